//! "Accounts are not created": what stands between the identity provider and a new user, from the switch to the last refusal.

use std::time::Duration;

use lockstep_shared::{
    check::{Finding, in_short},
    clock::Timestamp,
    id::WorkspaceId,
    model::{
        guard::Guard,
        oauth_client::OAuthClient,
        provisioning::{Action, Entry, Outcome},
        token::{Token, TokenKind},
        workspace::{Plan, Workspace, WorkspaceState},
    },
    store::{LogCount, LogSpan},
};
use serde_json::{Value, json};

use super::{
    Context, FAULTS, OpsError, Output, PERIOD, READ,
    lines::Words,
    person::{self, Person},
    refusals::{Standing, carried_out, each_once, is_done_since, is_harmless, times},
    successes::{Successes, names_somebody},
};
use crate::journal::OAUTH_CLIENT;

/// A credential that ends within this should be replaced.
const SOON: Duration = Duration::from_hours(14 * 24);
/// Entra comes every 40 minutes by itself; who has been silent for longer is stopped, or in quarantine.
const SILENCE: Duration = Duration::from_hours(24);

/// What is known.
pub(super) struct Facts {
    pub(super) words: Words,
    pub(super) now: Timestamp,
    pub(super) workspace: Workspace,
    pub(super) tokens: Vec<Token>,
    pub(super) clients: Vec<OAuthClient>,
    pub(super) guard: Guard,
    /// What part of the log was read.
    pub(super) span: LogSpan,
    /// How much of each kind there is in it.
    pub(super) counts: Vec<LogCount>,
    /// Of what something went wrong there, newest first.
    pub(super) faults: Vec<Entry>,
    /// Who was written with success there.
    pub(super) successes: Successes,
    /// Whom the question is about, if it is about one.
    pub(super) person: Option<Person>,
}

/// What stands in the way of an account when it goes wrong.
const CONCERNED: [Action; 4] = [Action::UserCreate, Action::UserFind, Action::TurnedAway, Action::TokenGrant];

pub(super) async fn explain(context: &Context, id: &WorkspaceId, name: Option<&str>) -> Result<Output, OpsError> {
    let (workspace, store) = (context.workspace(id).await?, context.store().await?);
    let (words, now) = (super::words(context, id).await?, context.clock().now());
    let span = store.log_span(id, now.minus(PERIOD), READ).await?;
    let mut faults = Vec::new();
    for action in CONCERNED {
        faults.extend(store.log_faults(id, action, span.since, FAULTS).await?);
    }
    let successes = Successes::read(store, id, &span, &faults).await?;
    let facts = Facts {
        words,
        now,
        workspace,
        tokens: store.tokens(id).await?,
        clients: store.oauth_clients(id).await?,
        guard: store.guard(id).await?,
        counts: store.log_counts(id, &span).await?,
        span,
        faults,
        successes,
        person: match name {
            Some(name) => Some(person::look_up(context, id, name).await?),
            None => None,
        },
    };
    Ok(answer("accounts-not-created", &format!("Why accounts are not created in workspace {id}"), id, &diagnose(&facts)))
}

/// Findings as the answer to a question.
pub(super) fn answer(question: &str, heading: &str, workspace: &WorkspaceId, findings: &[Finding]) -> Output {
    let described: Vec<Value> = findings.iter().map(Finding::json).collect();
    let short = in_short(findings);
    Output::of(json!({ "workspace": workspace, "question": question, "findings": described, "summary": short }))
        .heading(format!("{heading}: {short}"))
        .findings(findings.to_vec())
}

/// What is found, in the order in which an account comes to be.
pub(super) fn diagnose(facts: &Facts) -> Vec<Finding> {
    let (id, words) = (&facts.workspace.id, facts.words);
    let mut findings = vec![switch(facts), credential(facts)];
    findings.extend(strangers(facts));
    findings.extend(each_once("token", &facts.faults, words, |entry| of_token(entry, facts)));
    findings.push(requests(facts));
    findings.push(creations(facts));
    findings.extend(facts.person.iter().flat_map(|person| person.findings(id, words, facts.span.since)));
    findings.extend(refused(facts));
    findings.extend(guard(&facts.guard, words, id));
    findings.extend(overload(facts));
    findings.extend(cut_short(&facts.span, &facts.faults, &CONCERNED, words, id));
    findings
}

/// What was refused of people; where one of them is asked about, that of the others is a remark.
fn refused(facts: &Facts) -> Vec<Finding> {
    let standing = |entry: &Entry| {
        let concerns = matches!(entry.action(), Some(Action::UserCreate | Action::UserFind));
        concerns.then(|| facts.standing(entry))
    };
    let Some(person) = &facts.person else { return each_once("refusals", &facts.faults, facts.words, standing) };
    let is_open = |entry: &&Entry| !person.is_concerned(entry) && standing(entry) == Some(Standing::Open);
    let others: Vec<&Entry> = facts.faults.iter().filter(is_open).collect();
    let Some(last) = others.iter().map(|entry| entry.at).max() else { return Vec::new() };
    vec![Finding::warning(
        "refusals",
        format!("{} requests about others, or nobody known, were not carried out, the last at {last}", others.len()),
        format!("without `--user`, `{} log explain {} accounts-not-created` tells them", facts.words.program, facts.workspace.id),
    )]
}

impl Facts {
    fn standing(&self, entry: &Entry) -> Standing {
        if self.successes.solve(entry) {
            Standing::Solved
        } else if is_harmless(entry) || !names_somebody(entry) && is_done_since(entry, &self.counts) {
            Standing::Remark
        } else if entry.action() == Some(Action::UserFind) && carried_out(&self.counts, Action::UserCreate) > 0 {
            // A search is a step on the way to an account, and accounts come to be.
            Standing::Remark
        } else {
            Standing::Open
        }
    }

    /// The time that was looked at, in words.
    fn period(&self) -> String {
        if self.span.is_whole { "within the last 7 days".to_owned() } else { format!("since {}", self.span.since) }
    }
}

/// Whether there is more than was looked at.
pub(super) fn cut_short(
    span: &LogSpan,
    faults: &[Entry],
    concerned: &[Action],
    words: Words,
    workspace: &WorkspaceId,
) -> Option<Finding> {
    let fix = || format!("what was before is found by `{} log show {workspace} --user NAME` for each person", words.program);
    let is_full = |action: &Action| {
        let entries = faults.iter().filter(|entry| entry.action() == Some(*action)).count();
        u32::try_from(entries).is_ok_and(|entries| entries >= FAULTS)
    };
    if !span.is_whole {
        let message = format!("only the newest {READ} entries of the log were read, which reach back to {}", span.since);
        return Some(Finding::warning("log", message, fix()));
    }
    let full: Vec<&str> = concerned.iter().filter(|action| is_full(action)).map(|action| action.as_str()).collect();
    (!full.is_empty()).then(|| {
        let message = format!("only the newest {FAULTS} refusals were read of each of {}", full.join(", "));
        Finding::warning("log", message, fix())
    })
}

fn switch(facts: &Facts) -> Finding {
    let (program, id) = (facts.words.program, &facts.workspace.id);
    if facts.workspace.state == WorkspaceState::Suspended {
        Finding::problem(
            "switch",
            "the workspace is suspended: every request is refused",
            format!("run `{program} workspace resume {id}`"),
        )
    } else if facts.workspace.plan == Plan::Free {
        let fix = format!("run `{program} workspace set {id} --plan enterprise`");
        Finding::problem("switch", "the plan is free, which has no SCIM: every request is refused", fix)
    } else if facts.workspace.scim_enabled {
        Finding::passed("switch", "SCIM is enabled")
    } else {
        Finding::problem("switch", "SCIM is not enabled: every request is refused", format!("run `{program} scim enable {id}`"))
    }
}

fn credential(facts: &Facts) -> Finding {
    let (program, id, now) = (facts.words.program, &facts.workspace.id, facts.now);
    let renew = format!("run `{program} token issue {id}` and put the new token into the identity provider");
    let own: Vec<&Token> = facts.tokens.iter().filter(|token| !matches!(token.kind, TokenKind::OAuth { .. })).collect();
    let live: Vec<&&Token> = own.iter().filter(|token| token.is_live(now)).collect();
    let clients: Vec<&OAuthClient> = facts.clients.iter().filter(|client| client.revoked_at.is_none()).collect();
    if live.is_empty() && clients.is_empty() {
        let ended = own.iter().map(|token| token.revoked_at.unwrap_or(token.expires_at)).max();
        let message = match ended {
            Some(ended) => format!("no credential is good any more: the last one ended at {ended}"),
            None => "no credential was ever issued".to_owned(),
        };
        return Finding::problem("credential", message, renew);
    }
    let last_used = live.iter().map(|token| token.last_used_at).chain(clients.iter().map(|client| client.last_used_at)).flatten();
    let Some(last_used) = last_used.max() else {
        return Finding::problem(
            "credential",
            "a good credential is there, and nobody has ever used it: the identity provider has another one, or none, or another base URL",
            "put the token and the SCIM base URL into the identity provider, and let it test the connection",
        );
    };
    // The one that is used is the one that matters; of several the last to end.
    let ends = live.iter().filter(|token| token.last_used_at.is_some()).map(|token| token.expires_at).max();
    match ends.filter(|ends| *ends < now.plus(SOON) && clients.is_empty()) {
        Some(ends) => Finding::warning("credential", format!("the credential in use ends at {ends}"), renew),
        None => Finding::passed("credential", format!("a good one is there; last used at {last_used}")),
    }
}

/// Who comes with a bad credential, if that was after the last good request.
fn strangers(facts: &Facts) -> Option<Finding> {
    let is_refused = |entry: &&Entry| entry.action() == Some(Action::TurnedAway) && entry.status == 401;
    let refused: Vec<&Entry> = facts.faults.iter().filter(is_refused).collect();
    let last = refused.iter().map(|entry| entry.at).max()?;
    if last_request(facts).is_some_and(|good| good > last) {
        return None;
    }
    let times: u64 = refused.iter().map(|entry| times(entry)).sum();
    let message = format!(
        "{times} requests came without a good credential, the last at {last}: the identity provider may still have an old one"
    );
    let fix = format!(
        "run `{0} token issue {1}` and put the new token into the identity provider",
        facts.words.program, facts.workspace.id
    );
    Some(Finding::problem("strangers", message, fix))
}

/// What has become of a token that was not granted, unless that client was granted one since. Who names no client that is here is
/// nobody's identity provider, or one that is set up still: no good request has come since.
fn of_token(entry: &Entry, facts: &Facts) -> Option<Standing> {
    if entry.action() != Some(Action::TokenGrant) {
        return None;
    }
    let wanted = entry.detail.get(OAUTH_CLIENT).and_then(Value::as_str);
    let is_of = |granted: &LogCount| wanted.is_none_or(|client| client == granted.grantee);
    let is_granted_since = |other: &LogCount| {
        other.action() == Some(Action::TokenGrant) && other.outcome == Outcome::Done && other.last_at > entry.at && is_of(other)
    };
    if facts.counts.iter().any(is_granted_since) {
        return None;
    }
    let Some(wanted) = wanted else {
        return last_request(facts).is_none_or(|good| good <= entry.at).then_some(Standing::Strangers);
    };
    let is_live = facts.clients.iter().any(|client| client.id.as_str() == wanted && client.revoked_at.is_none());
    // One that is revoked on purpose goes on asking until it is taken out of the identity provider.
    Some(if is_live { Standing::Open } else { Standing::Remark })
}

/// When somebody with a good credential last asked for something; who is granted a token has not asked for anything yet.
fn last_request(facts: &Facts) -> Option<Timestamp> {
    let is_other = |action| matches!(action, Some(Action::TurnedAway | Action::TokenGrant | Action::Lost));
    facts.counts.iter().filter(|count| !is_other(count.action())).map(|count| count.last_at).max()
}

fn requests(facts: &Facts) -> Finding {
    const FIX: &str = "look whether provisioning runs at the identity provider and is not in quarantine; Entra comes every 40 minutes, \
                       Okta when something changes";
    match last_request(facts) {
        None => Finding::problem("requests", format!("no request with a good credential came {}", facts.period()), FIX),
        Some(last) if facts.now.since(last) > SILENCE => {
            Finding::warning("requests", format!("the last request came at {last}, more than a day ago"), FIX)
        }
        Some(last) => Finding::passed("requests", format!("the last one came at {last}")),
    }
}

fn creations(facts: &Facts) -> Finding {
    let of = |wanted: Action| facts.counts.iter().filter(move |count| count.action() == Some(wanted));
    let created = carried_out(&facts.counts, Action::UserCreate);
    let tried: u64 = of(Action::UserCreate).map(|count| count.entries).sum();
    let listings: u64 =
        of(Action::UserFind).filter(|count| count.is_listing && count.is_success()).map(|count| count.entries).sum();
    let lookups = carried_out(&facts.counts, Action::UserFind).saturating_sub(listings);
    let refused: u64 = of(Action::UserFind).filter(|count| !count.is_success()).map(|count| count.entries).sum();
    let in_vain: u64 = of(Action::UserFind).filter(|count| count.in_vain && !count.is_listing).map(|count| count.entries).sum();
    let period = facts.period();
    if created > 0 {
        return Finding::passed("creations", format!("{created} users were created {period}, of {tried} that were sent"));
    }
    if tried > 0 {
        let message = format!("{tried} users were sent {period}, and none of them was created");
        return Finding::problem(
            "creations",
            message,
            "mend what is told below; the identity provider sends them again by itself",
        );
    }
    if in_vain > 0 {
        return Finding::problem(
            "creations",
            format!("{in_vain} times the identity provider looked for somebody, found nobody, and sent no new user"),
            "let it create users: Entra, Mappings > Target Object Actions > Create; Okta, Provisioning > To App > Create Users",
        );
    }
    if lookups == 0 && refused > 0 {
        return Finding::problem(
            "creations",
            format!("{refused} times somebody was looked for {period}, which was refused, and no user was sent"),
            "mend what is told below; the identity provider looks for them again by itself",
        );
    }
    if lookups > 0 {
        return Finding::warning(
            "creations",
            format!("the identity provider looked for users {lookups} times and found each of them: nobody new was assigned"),
            "assign the person, or a group that the person is in directly, to the application at the identity provider",
        );
    }
    // Who reads a whole list is an import or a test, and looks for nobody.
    let lists = if listings == 0 { String::new() } else { format!("; {listings} times a list of users was read") };
    Finding::warning(
        "creations",
        format!("no user was looked for or sent {period}{lists}"),
        "assign people or groups to the application at the identity provider, and start provisioning there",
    )
}

/// Whether the guard holds changes.
pub(super) fn guard(guard: &Guard, words: Words, workspace: &WorkspaceId) -> Option<Finding> {
    let held = guard.held.filter(|_| guard.is_on && guard.released_until.is_none())?;
    let message = format!("the mass-change guard holds changes, the last since {}: {} requests", held.at, held.requests);
    let fix = format!(
        "if they are meant, run `{} scim guard {workspace} approve`; else stop provisioning at the identity provider",
        words.program
    );
    Some(Finding::problem("guard", message, fix))
}

fn overload(facts: &Facts) -> Option<Finding> {
    let is_busy = |entry: &&Entry| entry.action() == Some(Action::TurnedAway) && entry.status == 429;
    let busy: Vec<&Entry> = facts.faults.iter().filter(is_busy).collect();
    let (times, last) = (busy.iter().map(|entry| times(entry)).sum::<u64>(), busy.iter().map(|entry| entry.at).max()?);
    let message = format!(
        "{times} requests were told to come again later, the last at {last}: they come late, and some clients do not come again"
    );
    let fix = "lower the number of parallel requests at the identity provider, or raise `[provisioner] requests_per_second`";
    Some(Finding::warning("rate", message, fix))
}

#[cfg(test)]
mod tests;
