//! "Somebody changed group but the role did not": the way from a membership at the identity provider to a role, step by step.

use std::collections::{BTreeSet, HashMap};

use lockstep_shared::{
    check::Finding,
    clock::Timestamp,
    id::{GroupId, WorkspaceId},
    model::{
        access::{Access, Mapping, RoleAttribute, Source},
        audit::AuditRecord,
        guard::Guard,
        provisioning::{Action, Entry, Outcome},
        revocation::Seq,
        user::User,
    },
    store::{GroupRef, LogCount, LogSpan, Store},
};
use serde_json::Value;

use super::{
    Context, FAULTS, OpsError, Output, PERIOD, READ,
    accounts::{answer, cut_short, guard},
    by_attribute::{self, Beside},
    lines::{self, Words},
    refusals::{Standing, carried_out, each_once, is_done_since, is_harmless},
};
use crate::ops::{mapping, user};

/// What stands in the way of a role when it goes wrong.
const CONCERNED: [Action; 5] =
    [Action::GroupMembers, Action::GroupUpdate, Action::GroupCreate, Action::GroupDelete, Action::GroupFind];
/// Of how many groups is looked up what was carried out later.
const GROUPS: usize = 500;
/// How many entries of each of them.
const LATER: u32 = 200;
/// How many records of one person's audit trail.
const RECORDS: u32 = 200;

/// What is known.
pub(super) struct Facts {
    pub(super) words: Words,
    pub(super) workspace: WorkspaceId,
    pub(super) mapping: Mapping,
    /// Groups that the mapping names and that are not there.
    pub(super) missing: Vec<GroupId>,
    pub(super) guard: Guard,
    /// The newest entry about members of any group.
    pub(super) last_change: Option<Entry>,
    /// What part of the log was read.
    pub(super) span: LogSpan,
    /// How much of each kind there is in it.
    pub(super) counts: Vec<LogCount>,
    /// Of what something went wrong there, newest first.
    pub(super) faults: Vec<Entry>,
    /// What was carried out on the groups of which something went wrong.
    pub(super) done: HashMap<String, Vec<Entry>>,
    /// Whom it is about, if anybody was named: `Err` if there is nobody of that name.
    pub(super) person: Option<Result<Somebody, Nobody>>,
}

/// A name that nobody has.
pub(super) struct Nobody {
    pub(super) name: String,
    pub(super) message: String,
}

/// What is known of the person.
pub(super) struct Somebody {
    pub(super) user: User,
    pub(super) groups: Vec<GroupRef>,
    /// The newest entry that names them as a member.
    pub(super) last_change: Option<Entry>,
    /// When their roles or teams last changed, as the audit trail has it.
    pub(super) access_changed: Option<AuditRecord>,
    /// The last revocation that told their groups, and whether every gateway's confirmation of it is written down.
    pub(super) settled: Option<(Seq, bool)>,
}

pub(super) async fn explain(context: &Context, id: &WorkspaceId, name: Option<&str>) -> Result<Output, OpsError> {
    let (words, store) = (super::words(context, id).await?, context.store().await?);
    let mapping = store.mapping(id).await?;
    let mut missing = Vec::new();
    for rule in &mapping.rules {
        if store.group(id, &rule.group).await?.is_none() {
            missing.push(rule.group.clone());
        }
    }
    let span = store.log_span(id, context.clock().now().minus(PERIOD), READ).await?;
    let mut faults = Vec::new();
    for action in concerned(&mapping) {
        faults.extend(store.log_faults(id, action, span.since, FAULTS).await?);
    }
    let person = match name {
        Some(name) => Some(somebody(context, id, name).await?),
        None => None,
    };
    faults.retain(|entry| is_in_question(entry, mapping.role_attribute.as_ref(), person.as_ref()));
    let of_old = store.log_span(id, Timestamp(0), READ).await?;
    let facts = Facts {
        words,
        workspace: id.clone(),
        mapping,
        missing,
        guard: store.guard(id).await?,
        last_change: store.log_of_last_membership(id, &of_old).await?,
        counts: store.log_counts(id, &span).await?,
        span,
        done: done(store, id, &faults).await?,
        faults,
        person,
    };
    Ok(answer("role-did-not-change", &format!("Why a role did not change in workspace {id}"), id, &diagnose(&facts)))
}

/// What stands in the way of a role here: where an attribute gives roles, the writes of people too.
fn concerned(mapping: &Mapping) -> Vec<Action> {
    let of_people = mapping.role_attribute.iter().flat_map(|_| by_attribute::CONCERNED);
    CONCERNED.into_iter().chain(of_people).collect()
}

/// Whether what went wrong may have to do with a role: of the writes of people those of the attribute, and all of whom it is about.
fn is_in_question(entry: &Entry, attribute: Option<&RoleAttribute>, person: Option<&Result<Somebody, Nobody>>) -> bool {
    let is_theirs = || matches!(person, Some(Ok(person)) if entry.target == person.user.id.as_str());
    !by_attribute::is_of_user(entry) || attribute.is_some_and(|attribute| by_attribute::is_about(attribute, entry) || is_theirs())
}

/// What was carried out on the groups and people that these entries are about.
async fn done(store: &Store, id: &WorkspaceId, faults: &[Entry]) -> Result<HashMap<String, Vec<Entry>>, OpsError> {
    let groups: BTreeSet<&str> = faults.iter().map(|entry| &*entry.target).filter(|target| !target.is_empty()).collect();
    let mut done = HashMap::new();
    for group in groups.into_iter().take(GROUPS) {
        let mut entries = store.log_of_target(id, group, LATER).await?;
        entries.retain(|entry| matches!(entry.outcome, Outcome::Done | Outcome::Unchanged) && is_write(entry));
        done.insert(group.to_owned(), entries);
    }
    Ok(done)
}

fn is_write(entry: &Entry) -> bool {
    entry.action().is_some_and(Action::is_write)
}

async fn somebody(context: &Context, id: &WorkspaceId, name: &str) -> Result<Result<Somebody, Nobody>, OpsError> {
    let store = context.store().await?;
    let user = match user::find(context, id, name).await {
        Ok(user) => user,
        Err(error @ OpsError::UnknownUser { .. }) => {
            return Ok(Err(Nobody { name: name.to_owned(), message: error.to_string() }));
        }
        Err(error) => return Err(error),
    };
    let groups = store.groups_of(id, &user.id).await?;
    let mut told = Seq::default();
    for group in &groups {
        told = told.max(store.group(id, &group.id).await?.map(|group| group.changed_seq).unwrap_or_default());
    }
    let settled = if told == Seq::default() {
        None
    } else {
        let receipts = store.audit_trail(id, Some(&told.to_string()), 10).await?;
        Some((told, receipts.iter().any(|record| record.action == "access.settled")))
    };
    let trail = store.audit_trail(id, Some(user.id.as_str()), RECORDS).await?;
    Ok(Ok(Somebody {
        last_change: store.log_of_member(id, &user.id, 1).await?.into_iter().next(),
        access_changed: trail.into_iter().find(|record| record.action == "access.changed"),
        user,
        groups,
        settled,
    }))
}

/// What a later change of the same group means for one that was not carried out: it solves it where it is about the same people or
/// about all members. Of a request that could not be read nobody knows whom it was about.
fn since(entry: &Entry, done: &[Entry]) -> Option<Standing> {
    let is_of_all = |later: &Entry| later.detail.get("members").is_some_and(|members| members.get("replace").is_some());
    let has_them = |later: &Entry| is_of_all(later) || entry.people.iter().all(|id| later.people.contains(id));
    let mut later = done.iter().filter(|later| later.at > entry.at).peekable();
    later.peek()?;
    if entry.people.is_empty() {
        return Some(Standing::Remark);
    }
    later.any(has_them).then_some(Standing::Solved)
}

/// What is found, in the order in which a membership becomes a role.
pub(super) fn diagnose(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &facts.person {
        None => findings.push(last_change(facts.last_change.as_ref(), None, facts)),
        Some(Err(nobody)) => findings.push(Finding::problem(
            "person",
            nobody.message.clone(),
            format!(
                "run `{} log explain {} accounts-not-created --user {:?}`",
                facts.words.program, facts.workspace, nobody.name
            ),
        )),
        Some(Ok(person)) => findings.extend(of_person(person, facts)),
    }
    findings.push(of_mapping(facts));
    findings.extend(missing(facts));
    findings.extend(refused(facts));
    findings.extend(guard(&facts.guard, facts.words, &facts.workspace));
    findings.extend(cut_short(&facts.span, &facts.faults, &concerned(&facts.mapping), facts.words, &facts.workspace));
    findings
}

/// What was refused of groups: of one person only what is about them or their groups; the rest is a remark.
fn refused(facts: &Facts) -> Vec<Finding> {
    let is_change = |entry: &Entry| {
        let action = entry.action();
        matches!(action, Some(Action::GroupMembers | Action::GroupUpdate | Action::GroupCreate | Action::GroupDelete))
            || by_attribute::is_of_user(entry)
    };
    let Some(person) = &facts.person else {
        return each_once("refusals", &facts.faults, facts.words, |entry| Some(facts.standing(entry)));
    };
    let concerns = |entry: &Entry| is_change(entry) && person.as_ref().is_ok_and(|person| person.is_concerned(entry));
    let mut findings = each_once("refusals", &facts.faults, facts.words, |entry| concerns(entry).then(|| facts.standing(entry)));
    let is_of_others = |entry: &&Entry| is_change(entry) && !concerns(entry) && facts.standing(entry) == Standing::Open;
    let others: Vec<&Entry> = facts.faults.iter().filter(is_of_others).collect();
    if let Some(last) = others.iter().map(|entry| entry.at).max() {
        findings.push(Finding::warning(
            "refusals",
            format!("of other people and groups {} changes were not carried out, the last at {last}", others.len()),
            format!("if one of these groups is meant: `{} log tail {} --refused`", facts.words.program, facts.workspace),
        ));
    }
    findings
}

impl Facts {
    fn standing(&self, entry: &Entry) -> Standing {
        if let Some(attribute) = self.mapping.role_attribute.as_ref().filter(|_| by_attribute::is_of_user(entry)) {
            let done = self.done.get(&entry.target).map(Vec::as_slice).unwrap_or_default();
            return by_attribute::standing(attribute, entry, done);
        }
        let later = self.done.get(&entry.target).and_then(|done| since(entry, done));
        let is_sent = [Action::GroupMembers, Action::GroupCreate].iter().any(|action| carried_out(&self.counts, *action) > 0);
        match later {
            Some(standing) => standing,
            None if is_harmless(entry) => Standing::Remark,
            None if entry.target.is_empty() && is_done_since(entry, &self.counts) => Standing::Remark,
            // A search is a step on the way to a group, and groups come.
            None if entry.action() == Some(Action::GroupFind) && is_sent => Standing::Remark,
            None => Standing::Open,
        }
    }

    /// The attribute that gives roles here, if no group gives any.
    fn attribute_alone(&self) -> Option<&RoleAttribute> {
        self.mapping.role_attribute.as_ref().filter(|_| self.mapping.rules.is_empty())
    }

    /// Why nobody misses a membership: an attribute gives the roles, to everybody or to this person.
    fn needs_no_group(&self, person: Option<&Somebody>) -> Option<String> {
        if let Some(attribute) = self.attribute_alone() {
            return Some(format!("{} gives the roles here, and no group", attribute.path));
        }
        let by = person?.gives(self).into_iter().find_map(|(source, _)| match source {
            Source::Attribute(path) => Some(path),
            Source::Group(_) | Source::Default => None,
        });
        by.map(|path| format!("{path} gives the person a role"))
    }
}

impl Somebody {
    /// Whether an entry is about them or a group of theirs.
    fn is_concerned(&self, entry: &Entry) -> bool {
        let (is_own, own) = (|group: &GroupRef| group.id.as_str() == entry.target, self.user.id.as_str());
        entry.target == own || entry.people.iter().any(|id| id == own) || self.groups.iter().any(is_own)
    }

    /// What they have, by where it comes from.
    fn gives<'f>(&self, facts: &'f Facts) -> Vec<(Source<'f>, Access)> {
        let ids: Vec<GroupId> = self.groups.iter().map(|group| group.id.clone()).collect();
        facts.mapping.sources(&ids, &self.user.profile)
    }
}

fn of_person(person: &Somebody, facts: &Facts) -> Vec<Finding> {
    let user = &person.user;
    let mut findings = vec![if user.profile.active {
        Finding::passed("person", format!("user {} is active", user.id))
    } else {
        Finding::problem(
            "person",
            format!("user {} is deactivated, and has no role and no team", user.id),
            "assign the person to the application at the identity provider again",
        )
    }];
    findings.push(last_change(person.last_change.as_ref(), Some(person), facts));
    findings.push(groups(person, facts));
    findings.extend(attribute(person, facts));
    findings.extend(rank(person, facts));
    findings.extend(person.access_changed.as_ref().map(access_changed));
    findings.extend(person.settled.map(settled));
    findings
}

/// What the attribute gives them that gives roles.
fn attribute(person: &Somebody, facts: &Facts) -> Option<Finding> {
    let attribute = facts.mapping.role_attribute.as_ref()?;
    let is_given = |(source, access): &(Source<'_>, Access)| matches!(source, Source::Group(_)) && !access.roles.is_empty();
    let beside = if person.gives(facts).iter().any(is_given) {
        Beside::Given
    } else if facts.mapping.rules.is_empty() {
        Beside::Nothing
    } else {
        Beside::Possible
    };
    Some(by_attribute::of_person(attribute, &person.user.profile, beside, facts.words, &facts.workspace))
}

fn last_change(last: Option<&Entry>, person: Option<&Somebody>, facts: &Facts) -> Finding {
    const FIX: &str = "assign the group itself to the application at the identity provider and let it provision groups; members of \
                       groups within groups are not sent; Entra comes every 40 minutes, or at once by Provision on demand";
    let of_whom = person.map_or("anybody", |_| "this person");
    let Some(entry) = last else {
        let message = format!("the log has no change of a membership of {of_whom}");
        return match facts.needs_no_group(person) {
            Some(why) => Finding::passed("membership", format!("{message}: {why}")),
            None => Finding::problem("membership", message, FIX),
        };
    };
    let what = format!("the last change of a membership of {of_whom} came at {}, for group {}", entry.at, shown(&entry.target));
    match entry.outcome {
        Outcome::Done => Finding::passed("membership", format!("{what}, and was carried out")),
        Outcome::Unchanged => Finding::passed("membership", format!("{what}; it was so already")),
        Outcome::Held => {
            let fix = format!(
                "if it is meant, run `{} scim guard {} approve`; else stop provisioning at the identity provider",
                facts.words.program, facts.workspace
            );
            Finding::problem("membership", format!("{what}, and is held: it is part of a mass removal"), fix)
        }
        Outcome::Refused | Outcome::Failed => not_carried_out(entry, &what, facts.words),
    }
}

/// The sentence says what to do about it.
fn not_carried_out(entry: &Entry, what: &str, words: Words) -> Finding {
    let message = format!("{what}, and is {}: {}", entry.outcome, lines::sentence(entry, words).unwrap_or_default());
    let whole = format!("`{} log show {} {}`", words.program, entry.workspace, entry.id);
    if is_harmless(entry) {
        return Finding::warning("membership", message, format!("see the whole entry: {whole}"));
    }
    Finding::problem(
        "membership",
        message,
        format!("mend that, and let the identity provider send it again; the whole entry: {whole}"),
    )
}

fn shown(target: &str) -> &str {
    if target.is_empty() { "(new)" } else { target }
}

fn groups(person: &Somebody, facts: &Facts) -> Finding {
    let (program, workspace) = (facts.words.program, &facts.workspace);
    let needs_none = facts.needs_no_group(Some(person));
    if person.groups.is_empty() {
        const NONE: &str = "the person is in no group here";
        if let Some(why) = needs_none {
            return Finding::passed("groups", format!("{NONE}: {why}"));
        }
        return Finding::problem(
            "groups",
            NONE,
            "look at the identity provider whether the group is assigned to the application, and the person is in it directly",
        );
    }
    let name = |group: &GroupRef| format!("{} ({})", group.display_name, group.id);
    let (mapped, others): (Vec<_>, Vec<_>) = person.groups.iter().partition(|group| facts.mapping.names(&group.id));
    let list = |groups: &[&GroupRef]| groups.iter().map(|group| name(group)).collect::<Vec<_>>().join(", ");
    if mapped.is_empty() {
        let fix = format!("run `{program} mapping set {workspace} --group GROUP --role ROLE`");
        let message = format!("none of the person's groups gives a role or a team: {}", list(&others));
        return match needs_none {
            Some(why) => Finding::passed("groups", format!("{message}; {why}")),
            None => Finding::problem("groups", message, fix),
        };
    }
    let others = if others.is_empty() { String::new() } else { format!("; not mapped: {}", list(&others)) };
    Finding::passed("groups", format!("mapped: {}{others}", list(&mapped)))
}

/// What the person has, and what precedence takes away.
fn rank(person: &Somebody, facts: &Facts) -> Vec<Finding> {
    let ids: Vec<GroupId> = person.groups.iter().map(|group| group.id.clone()).collect();
    let profile = &person.user.profile;
    if !profile.active {
        return Vec::new();
    }
    let sources = person.gives(facts);
    let granted = facts.mapping.grant(&ids, profile);
    let names = |roles: &mut dyn Iterator<Item = String>| roles.collect::<Vec<_>>().join(", ");
    let has = names(&mut granted.roles.iter().chain(&granted.teams).map(ToString::to_string));
    let message = if has.is_empty() { "the person has no role and no team".to_owned() } else { format!("the person has {has}") };
    let mut findings = vec![if sources.iter().all(|(source, _)| matches!(source, Source::Default)) && !has.is_empty() {
        Finding::warning("access", format!("{message}, by default alone"), "map a group of the person")
    } else {
        Finding::passed("access", message)
    }];
    let lower: BTreeSet<String> = sources
        .iter()
        .flat_map(|(_, given)| &given.roles)
        .filter(|role| !granted.roles.contains(*role))
        .map(ToString::to_string)
        .collect();
    if !lower.is_empty() {
        findings.push(Finding::warning(
            "precedence",
            format!("a higher role takes the place of {}", names(&mut lower.into_iter())),
            format!(
                "if that is not meant, change the order: `{} mapping set {} --precedence A,B`",
                facts.words.program, facts.workspace
            ),
        ));
    }
    findings
}

fn access_changed(record: &AuditRecord) -> Finding {
    let list = |name: &str| {
        let of = |kind: &str| record.detail.get(name)?.get(kind)?.as_array().cloned();
        let all: Vec<Value> = ["roles", "teams"].into_iter().filter_map(of).flatten().collect();
        all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let (gained, taken) = (list("gained"), list("lost"));
    let part = |word: &str, names: &str| (!names.is_empty()).then(|| format!("{word} {names}"));
    let change: Vec<String> = [part("gained", &gained), part("lost", &taken)].into_iter().flatten().collect();
    Finding::passed("changed", format!("at {} the person {}", record.at, change.join(" and ")))
}

fn settled((seq, is_settled): (Seq, bool)) -> Finding {
    if is_settled {
        Finding::passed(
            "gateways",
            format!("every gateway confirmed the last change of these groups (revocation {seq}), or was waited out"),
        )
    } else {
        Finding::warning(
            "gateways",
            format!("no confirmation of revocation {seq}, the last change of these groups, is written down"),
            "a gateway that answers has applied it within its lease, 10 s unless set otherwise; if it lasts, look at the gateways' logs",
        )
    }
}

fn of_mapping(facts: &Facts) -> Finding {
    let Mapping { rules, default, role_attribute, .. } = &facts.mapping;
    if rules.is_empty() && default.is_empty() && role_attribute.is_none() {
        let fix = format!("run `{} mapping set {} --group GROUP --role ROLE`", facts.words.program, facts.workspace);
        return Finding::problem("mapping", "no group is mapped to a role or a team", fix);
    }
    let by = role_attribute.as_ref().map(|by| format!(", and {} gives {}", by.path, mapping::join(&by.grants)));
    Finding::passed("mapping", format!("{} groups are mapped{}", rules.len(), by.unwrap_or_default()))
}

fn missing(facts: &Facts) -> Option<Finding> {
    if facts.missing.is_empty() {
        return None;
    }
    let ids = facts.missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Some(Finding::problem(
        "mapping",
        format!(
            "the mapping names groups that are not there any more: {ids}; a new group of the same name gives nothing by itself"
        ),
        format!("map the new group: `{} mapping set {} --group GROUP --role ROLE`", facts.words.program, facts.workspace),
    ))
}

#[cfg(test)]
mod tests;
