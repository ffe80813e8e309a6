//! "Somebody changed group but the role did not": the way from a membership at the identity provider to a role, step by step.

use std::collections::BTreeSet;

use lockstep_shared::{
    check::Finding,
    clock::Timestamp,
    config::Program,
    id::{GroupId, WorkspaceId},
    model::{
        access::{Mapping, Source},
        audit::AuditRecord,
        guard::Guard,
        provisioning::{Action, Entry, Outcome},
        revocation::Seq,
        user::User,
    },
    store::{GroupRef, LogQuery},
};
use serde_json::Value;

use super::{
    Context, OpsError, Output,
    accounts::{Told, answer, guard, refusals},
    provider_of,
};
use crate::ops::user;

/// How many entries are looked at.
const ENTRIES: u32 = 2_000;
/// How many records of one person's audit trail.
const RECORDS: u32 = 200;

/// What is known.
pub(super) struct Facts {
    pub(super) program: Program,
    pub(super) provider: &'static str,
    pub(super) workspace: WorkspaceId,
    pub(super) mapping: Mapping,
    /// Groups that the mapping names and that are not there.
    pub(super) missing: Vec<GroupId>,
    pub(super) guard: Guard,
    /// The newest entry about members of any group.
    pub(super) last_change: Option<Entry>,
    /// Of what something went wrong, newest first.
    pub(super) faults: Vec<Entry>,
    /// Whom it is about, if anybody was named: `Err` if there is nobody of that name.
    pub(super) person: Option<Result<Somebody, String>>,
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

impl Told for Facts {
    fn program(&self) -> Program {
        self.program
    }

    fn provider(&self) -> &'static str {
        self.provider
    }
}

pub(super) async fn explain(context: &Context, id: &WorkspaceId, name: Option<&str>) -> Result<Output, OpsError> {
    let (provider, store) = (provider_of(context, id).await?, context.store().await?);
    let mapping = store.mapping(id).await?;
    let mut missing = Vec::new();
    for rule in &mapping.rules {
        if store.group(id, &rule.group).await?.is_none() {
            missing.push(rule.group.clone());
        }
    }
    let query = LogQuery { after: None, since: Timestamp(0), at_fault: false, limit: ENTRIES };
    let entries = store.log_entries(id, query).await?;
    let facts = Facts {
        program: context.program(),
        provider,
        workspace: id.clone(),
        mapping,
        missing,
        guard: store.guard(id).await?,
        last_change: entries.into_iter().find(is_membership),
        faults: store.log_entries(id, LogQuery { at_fault: true, ..query }).await?,
        person: match name {
            Some(name) => Some(somebody(context, id, name).await?),
            None => None,
        },
    };
    Ok(answer("role-did-not-change", &format!("Why a role did not change in workspace {id}"), id, &diagnose(&facts)))
}

async fn somebody(context: &Context, id: &WorkspaceId, name: &str) -> Result<Result<Somebody, String>, OpsError> {
    let store = context.store().await?;
    let user = match user::find(context, id, name).await {
        Ok(user) => user,
        Err(error @ OpsError::UnknownUser { .. }) => return Ok(Err(error.to_string())),
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

fn is_membership(entry: &Entry) -> bool {
    matches!(entry.action(), Some(Action::GroupMembers)) || entry.detail.contains_key("members")
}

/// What is found, in the order in which a membership becomes a role.
pub(super) fn diagnose(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &facts.person {
        None => findings.push(last_change(facts.last_change.as_ref(), "anybody")),
        Some(Err(nobody)) => findings.push(Finding::problem(
            "person",
            nobody.clone(),
            format!("run `{} log explain {} accounts-not-created`", facts.program, facts.workspace),
        )),
        Some(Ok(person)) => findings.extend(of_person(person, facts)),
    }
    findings.push(mapping(facts));
    findings.extend(missing(facts));
    findings.extend(refused(facts));
    findings.extend(guard(&facts.guard, facts.program, &facts.workspace));
    findings
}

/// What was refused of groups: of one person only what is about them or their groups; the rest is a remark.
fn refused(facts: &Facts) -> Vec<Finding> {
    let is_change = |entry: &Entry| {
        let action = entry.action();
        matches!(action, Some(Action::GroupMembers | Action::GroupUpdate | Action::GroupCreate | Action::GroupDelete))
    };
    let Some(person) = &facts.person else {
        return refusals(&facts.faults, facts, |entry| is_change(entry) || entry.action() == Some(Action::GroupFind));
    };
    let concerns = |entry: &Entry| person.as_ref().is_ok_and(|person| person.is_concerned(entry));
    let mut findings = refusals(&facts.faults, facts, |entry| is_change(entry) && concerns(entry));
    let others: Vec<&Entry> = facts.faults.iter().filter(|entry| is_change(entry) && !concerns(entry)).collect();
    if let Some(last) = others.iter().map(|entry| entry.at).max() {
        findings.push(Finding::warning(
            "refusals",
            format!("of other people and groups {} changes were not carried out, the last at {last}", others.len()),
            format!("if one of these groups is meant: `{} log tail {} --refused`", facts.program, facts.workspace),
        ));
    }
    findings
}

impl Somebody {
    /// Whether an entry is about them or a group of theirs.
    fn is_concerned(&self, entry: &Entry) -> bool {
        let is_own = |group: &GroupRef| group.id.as_str() == entry.target;
        entry.people.iter().any(|id| id == self.user.id.as_str()) || self.groups.iter().any(is_own)
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
    findings.push(last_change(person.last_change.as_ref(), "this person"));
    findings.push(groups(person, facts));
    findings.extend(rank(person, facts));
    findings.extend(person.access_changed.as_ref().map(access_changed));
    findings.extend(person.settled.map(settled));
    findings
}

fn last_change(last: Option<&Entry>, of_whom: &str) -> Finding {
    const FIX: &str = "assign the group itself to the application at the identity provider and let it provision groups; members of \
                       groups within groups are not sent; Entra comes every 40 minutes, or at once by Provision on demand";
    let Some(entry) = last else {
        return Finding::problem("membership", format!("the log has no change of a membership of {of_whom}"), FIX);
    };
    let what = format!("the last change of a membership of {of_whom} came at {}, for group {}", entry.at, shown(&entry.target));
    match entry.outcome {
        Outcome::Done => Finding::passed("membership", format!("{what}, and was carried out")),
        Outcome::Unchanged => Finding::passed("membership", format!("{what}; it was so already")),
        Outcome::Refused | Outcome::Held | Outcome::Failed => {
            let why = entry.sentence.clone().unwrap_or_default();
            Finding::problem("membership", format!("{what}, and is {}: the client {why}", entry.outcome), FIX)
        }
    }
}

fn shown(target: &str) -> &str {
    if target.is_empty() { "(new)" } else { target }
}

fn groups(person: &Somebody, facts: &Facts) -> Finding {
    let (program, workspace) = (facts.program, &facts.workspace);
    if person.groups.is_empty() {
        return Finding::problem(
            "groups",
            "the person is in no group here",
            "look at the identity provider whether the group is assigned to the application, and the person is in it directly",
        );
    }
    let name = |group: &GroupRef| format!("{} ({})", group.display_name, group.id);
    let (mapped, others): (Vec<_>, Vec<_>) = person.groups.iter().partition(|group| facts.mapping.names(&group.id));
    let list = |groups: &[&GroupRef]| groups.iter().map(|group| name(group)).collect::<Vec<_>>().join(", ");
    if mapped.is_empty() {
        let fix = format!("run `{program} mapping set {workspace} --group GROUP --role ROLE`");
        return Finding::problem("groups", format!("none of the person's groups gives a role or a team: {}", list(&others)), fix);
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
    let sources = facts.mapping.sources(&ids, profile);
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
                facts.program, facts.workspace
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

fn mapping(facts: &Facts) -> Finding {
    let Mapping { rules, default, role_attribute, .. } = &facts.mapping;
    if rules.is_empty() && default.is_empty() && role_attribute.is_none() {
        let fix = format!("run `{} mapping set {} --group GROUP --role ROLE`", facts.program, facts.workspace);
        return Finding::problem("mapping", "no group is mapped to a role or a team", fix);
    }
    Finding::passed("mapping", format!("{} groups are mapped", rules.len()))
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
        format!("map the new group: `{} mapping set {} --group GROUP --role ROLE`", facts.program, facts.workspace),
    ))
}

#[cfg(test)]
mod tests {
    use lockstep_shared::{
        check::Verdict,
        id::AuditId,
        model::{
            access::{Access, AccessName, Rule},
            audit::Actor,
            guard::Limits,
        },
    };
    use serde_json::json;

    use super::*;
    use crate::ops::log::tests::{entry, person};

    fn role(name: &str) -> AccessName {
        name.to_owned().try_into().unwrap()
    }

    fn rule(group: &GroupId, name: &str) -> Rule {
        Rule { group: group.clone(), roles: BTreeSet::from([role(name)]), teams: BTreeSet::new() }
    }

    /// A person in one mapped group, everything well.
    fn well() -> (Facts, GroupId) {
        let group = GroupId::new();
        let facts = Facts {
            program: Program::Provisioner,
            provider: "Okta",
            workspace: WorkspaceId::parse("acme").unwrap(),
            mapping: Mapping { rules: vec![rule(&group, "Admin")], ..Mapping::default() },
            missing: Vec::new(),
            guard: Guard { is_on: true, limits: Limits::default(), released_until: None, departed: 0, held: None },
            last_change: Some(entry("group.members", Outcome::Done, None)),
            faults: Vec::new(),
            person: Some(Ok(Somebody {
                user: person(true),
                groups: vec![GroupRef { id: group.clone(), display_name: "Admins".to_owned() }],
                last_change: Some(entry("group.members", Outcome::Done, None)),
                access_changed: Some(AuditRecord {
                    id: AuditId::new(),
                    workspace: WorkspaceId::parse("acme").unwrap(),
                    at: Timestamp(0),
                    actor: Actor::system(),
                    action: "access.changed".to_owned(),
                    target: String::new(),
                    detail: json!({ "gained": { "roles": ["Admin"] }, "lost": { "roles": ["User"], "teams": [] } }),
                }),
                settled: Some((Seq(7), true)),
            })),
        };
        (facts, group)
    }

    fn with(change: impl FnOnce(&mut Facts, &mut Somebody)) -> Facts {
        let (mut facts, _) = well();
        let mut somebody = facts.person.take().unwrap().ok().unwrap();
        change(&mut facts, &mut somebody);
        Facts { person: Some(Ok(somebody)), ..facts }
    }

    fn told(facts: &Facts, verdict: Verdict) -> Vec<String> {
        let findings = diagnose(facts).into_iter().filter(|finding| finding.verdict == verdict);
        findings.map(|finding| format!("{}: {} -> {}", finding.name, finding.message, finding.fix.unwrap_or_default())).collect()
    }

    #[test]
    fn where_all_is_well_the_way_is_told_and_nothing_is_found() {
        let (facts, group) = well();

        assert_eq!(told(&facts, Verdict::Problem), [""; 0]);
        assert_eq!(told(&facts, Verdict::Warning), [""; 0]);
        let way = told(&facts, Verdict::Passed).join("\n");
        for part in [
            &format!("mapped: Admins ({group})")[..],
            "the person has Admin",
            "gained Admin and lost User",
            "every gateway confirmed",
        ] {
            assert!(way.contains(part), "{part}: {way}");
        }
    }

    #[test]
    fn each_cause_is_told_with_its_remedy() {
        let refused = entry("group.members", Outcome::Refused, Some("changed the members of a group, which was refused: x"));
        let table: Vec<(Facts, Verdict, &str)> = vec![
            (
                Facts { person: Some(Err("workspace acme has no user 'x'".to_owned())), ..well().0 },
                Verdict::Problem,
                "accounts-not-created",
            ),
            (with(|_, person| person.user = crate::ops::log::tests::person(false)), Verdict::Problem, "is deactivated"),
            (with(|_, person| person.groups.clear()), Verdict::Problem, "is in no group here"),
            (with(|_, person| person.last_change = None), Verdict::Problem, "no change of a membership of this person"),
            (
                with(|_, person| person.last_change = Some(refused.clone())),
                Verdict::Problem,
                "and is refused: the client changed",
            ),
            (with(|facts, _| facts.mapping.rules.clear()), Verdict::Problem, "no group is mapped"),
            (
                with(|facts, _| facts.mapping.rules = vec![rule(&GroupId::new(), "Admin")]),
                Verdict::Problem,
                "none of the person's groups gives a role or a team: Admins",
            ),
            (
                with(|facts, person| {
                    let second = GroupRef { id: GroupId::new(), display_name: "Users".to_owned() };
                    facts.mapping.rules.push(rule(&second.id, "User"));
                    facts.mapping.precedence = vec![role("Admin"), role("User")];
                    person.groups.push(second);
                }),
                Verdict::Warning,
                "a higher role takes the place of User",
            ),
            (
                with(|facts, _| {
                    facts.mapping.rules.clear();
                    facts.mapping.default = Access { roles: BTreeSet::from([role("ReadOnly")]), teams: BTreeSet::new() };
                }),
                Verdict::Warning,
                "the person has ReadOnly, by default alone",
            ),
            (with(|facts, _| facts.missing.push(GroupId::new())), Verdict::Problem, "groups that are not there any more"),
            (with(|_, person| person.settled = Some((Seq(7), false))), Verdict::Warning, "no confirmation of revocation 7"),
            (
                with(|facts, person| {
                    facts.faults.push(Entry { target: person.groups[0].id.to_string(), ..refused.clone() });
                }),
                Verdict::Problem,
                "once, last at 2026-01-01T00:00:00.000Z: Okta changed",
            ),
            (
                with(|facts, person| {
                    facts.faults.push(Entry { people: vec![person.user.id.to_string()], ..refused.clone() });
                }),
                Verdict::Problem,
                "once, last at 2026-01-01T00:00:00.000Z: Okta changed",
            ),
            (
                Facts { person: None, faults: vec![refused.clone()], ..well().0 },
                Verdict::Problem,
                "once, last at 2026-01-01T00:00:00.000Z: Okta changed",
            ),
            (Facts { person: None, last_change: None, ..well().0 }, Verdict::Problem, "no change of a membership of anybody"),
        ];

        for (facts, verdict, part) in table {
            let told = told(&facts, verdict);
            assert!(told.iter().any(|text| text.contains(part)), "{part}: {told:?}");
        }
    }

    #[test]
    fn what_was_refused_of_others_is_no_reason_why_this_person_has_no_role() {
        let of_others = Entry {
            target: GroupId::new().to_string(),
            people: vec!["somebody-else".to_owned()],
            ..entry("group.members", Outcome::Refused, Some("changed the members of a group, which was refused: x"))
        };
        let lookup = entry("group.find", Outcome::Refused, Some("looked for groups, which was refused: x"));
        let facts = with(|facts, _| facts.faults.extend([of_others.clone(), of_others, lookup.clone()]));

        assert_eq!(told(&facts, Verdict::Problem), [""; 0]);
        let remarks = told(&facts, Verdict::Warning);
        assert_eq!(remarks.len(), 1, "{remarks:?}");
        assert!(remarks[0].starts_with("refusals: of other people and groups 2 changes were not carried out"), "{remarks:?}");
        assert_eq!(told(&with(|facts, _| facts.faults.push(lookup)), Verdict::Warning), [""; 0], "a search changes nobody");
    }
}
