//! "Accounts are not created": what stands between the identity provider and a new user, from the switch to the last refusal.

use std::{collections::HashMap, time::Duration};

use lockstep_shared::{
    check::{Finding, in_short},
    clock::Timestamp,
    config::Program,
    id::WorkspaceId,
    model::{
        guard::Guard,
        oauth_client::OAuthClient,
        provisioning::{Action, Entry, Outcome},
        token::{Token, TokenKind},
        workspace::{Plan, Workspace, WorkspaceState},
    },
    store::LogQuery,
};
use serde_json::{Value, json};

use super::{Context, OpsError, Output, lines, provider_of};

/// How far back is looked.
const PERIOD: Duration = Duration::from_hours(7 * 24);
/// How many entries are looked at.
const ENTRIES: u32 = 10_000;
/// How many different refusals are told.
const REFUSALS: usize = 5;
/// A credential that ends within this should be replaced.
const SOON: Duration = Duration::from_hours(14 * 24);
/// Entra comes every 40 minutes by itself; who has been silent for longer is stopped, or in quarantine.
const SILENCE: Duration = Duration::from_hours(24);

/// What is known.
pub(super) struct Facts {
    pub(super) program: Program,
    pub(super) now: Timestamp,
    pub(super) provider: &'static str,
    pub(super) workspace: Workspace,
    pub(super) tokens: Vec<Token>,
    pub(super) clients: Vec<OAuthClient>,
    pub(super) guard: Guard,
    /// Of the last days, newest first.
    pub(super) entries: Vec<Entry>,
    /// Those of them of which something went wrong.
    pub(super) faults: Vec<Entry>,
}

pub(super) async fn explain(context: &Context, id: &WorkspaceId) -> Result<Output, OpsError> {
    let (workspace, store) = (context.workspace(id).await?, context.store().await?);
    let now = context.clock().now();
    let query = LogQuery { after: None, since: now.minus(PERIOD), at_fault: false, limit: ENTRIES };
    let facts = Facts {
        program: context.program(),
        now,
        provider: provider_of(context, id).await?,
        workspace,
        tokens: store.tokens(id).await?,
        clients: store.oauth_clients(id).await?,
        guard: store.guard(id).await?,
        entries: store.log_entries(id, query).await?,
        faults: store.log_entries(id, LogQuery { at_fault: true, ..query }).await?,
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
    let mut findings = vec![switch(facts), credential(facts)];
    findings.extend(strangers(facts));
    findings.push(requests(facts));
    findings.push(creations(facts));
    findings
        .extend(refusals(&facts.faults, facts, |entry| matches!(entry.action(), Some(Action::UserCreate | Action::UserFind))));
    findings.extend(guard(&facts.guard, facts.program, &facts.workspace.id));
    findings.extend(overload(facts));
    findings
}

fn switch(facts: &Facts) -> Finding {
    let (program, id) = (facts.program, &facts.workspace.id);
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
    let (program, id, now) = (facts.program, &facts.workspace.id, facts.now);
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
    if last_request(facts).is_some_and(|good| good.at > last) {
        return None;
    }
    let times: u64 = refused.iter().map(|entry| times(entry)).sum();
    let message = format!(
        "{times} requests came without a good credential, the last at {last}: the identity provider may still have an old one"
    );
    let fix =
        format!("run `{0} token issue {1}` and put the new token into the identity provider", facts.program, facts.workspace.id);
    Some(Finding::problem("strangers", message, fix))
}

fn times(entry: &Entry) -> u64 {
    entry.detail.get("count").and_then(Value::as_u64).unwrap_or(1)
}

fn last_request(facts: &Facts) -> Option<&Entry> {
    facts.entries.iter().filter(|entry| !entry.credential.is_empty()).max_by_key(|entry| entry.at)
}

fn requests(facts: &Facts) -> Finding {
    const FIX: &str = "look whether provisioning runs at the identity provider and is not in quarantine; Entra comes every 40 minutes, \
                       Okta when something changes";
    match last_request(facts) {
        None => Finding::problem("requests", "no request with a good credential came within the last 7 days", FIX),
        Some(last) if facts.now.since(last.at) > SILENCE => {
            Finding::warning("requests", format!("the last request came at {}, more than a day ago", last.at), FIX)
        }
        Some(last) => Finding::passed("requests", format!("the last one came at {}", last.at)),
    }
}

fn creations(facts: &Facts) -> Finding {
    let of = |wanted: Action| facts.entries.iter().filter(move |entry| entry.action() == Some(wanted));
    let created = of(Action::UserCreate).filter(|entry| matches!(entry.outcome, Outcome::Done | Outcome::Unchanged)).count();
    let tried = of(Action::UserCreate).count();
    let lookups = of(Action::UserFind).count();
    let in_vain = of(Action::UserFind).filter(|entry| entry.detail.get("found").and_then(Value::as_u64) == Some(0)).count();
    if created > 0 {
        return Finding::passed(
            "creations",
            format!("{created} users were created within the last 7 days, of {tried} that were sent"),
        );
    }
    if tried > 0 {
        let message = format!("{tried} users were sent within the last 7 days, and none of them was created");
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
    if lookups > 0 {
        return Finding::warning(
            "creations",
            format!("the identity provider looked for users {lookups} times and found each of them: nobody new was assigned"),
            "assign the person, or a group that the person is in directly, to the application at the identity provider",
        );
    }
    Finding::warning(
        "creations",
        "no user was looked for or sent within the last 7 days",
        "assign people or groups to the application at the identity provider, and start provisioning there",
    )
}

/// What was refused, each thing once, the most frequent first.
pub(super) fn refusals(faults: &[Entry], facts: &impl Told, concerns: impl Fn(&Entry) -> bool) -> Vec<Finding> {
    let mut kinds: HashMap<String, (u64, &Entry)> = HashMap::new();
    for entry in faults.iter().filter(|entry| concerns(entry)) {
        let Some(sentence) = lines::sentence(entry, facts.provider()) else { continue };
        let (count, last) = kinds.entry(sentence).or_insert((0, entry));
        *count += times(entry);
        if entry.at > last.at {
            *last = entry;
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|(left_text, (left, _)), (right_text, (right, _))| right.cmp(left).then_with(|| left_text.cmp(right_text)));
    kinds
        .into_iter()
        .take(REFUSALS)
        .map(|(sentence, (count, last))| {
            let often = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            let message = format!("{often}, last at {}: {sentence}", last.at);
            let fix = format!("for one of them whole: `{} log show {} {}`", facts.program(), last.workspace, last.id);
            Finding::problem("refusals", message, fix)
        })
        .collect()
}

/// What every diagnosis knows.
pub(super) trait Told {
    fn program(&self) -> Program;
    fn provider(&self) -> &'static str;
}

impl Told for Facts {
    fn program(&self) -> Program {
        self.program
    }

    fn provider(&self) -> &'static str {
        self.provider
    }
}

/// Whether the guard holds changes.
pub(super) fn guard(guard: &Guard, program: Program, workspace: &WorkspaceId) -> Option<Finding> {
    let held = guard.held.filter(|_| guard.is_on && guard.released_until.is_none())?;
    let message = format!("the mass-change guard holds changes, the last since {}: {} requests", held.at, held.requests);
    let fix = format!(
        "if they are meant, run `{program} scim guard {workspace} approve`; else stop provisioning at the identity provider"
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
mod tests {
    use lockstep_shared::{
        check::Verdict,
        id::TokenId,
        model::guard::{Held, Limits},
    };

    use super::*;
    use crate::ops::log::tests::entry;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);

    fn id() -> WorkspaceId {
        WorkspaceId::parse("acme").unwrap()
    }

    fn token(expires_in: i64, used: bool) -> Token {
        Token {
            workspace: id(),
            id: TokenId::new(),
            kind: TokenKind::Bearer,
            created_at: NOW,
            expires_at: Timestamp(NOW.0 + expires_in * 86_400_000),
            last_used_at: used.then_some(NOW),
            revoked_at: None,
        }
    }

    /// A workspace in which everything is well.
    fn well() -> Facts {
        Facts {
            program: Program::Provisioner,
            now: NOW,
            provider: "Okta",
            workspace: crate::ops::log::tests::workspace(),
            tokens: vec![token(365, true)],
            clients: Vec::new(),
            guard: Guard { is_on: true, limits: Limits::default(), released_until: None, departed: 0, held: None },
            entries: vec![entry("user.create", Outcome::Done, None)],
            faults: Vec::new(),
        }
    }

    fn counted(mut entry: Entry, name: &str, count: u64) -> Entry {
        entry.detail.insert(name.to_owned(), count.into());
        entry
    }

    /// The findings that are not as they should be.
    fn wrong(facts: &Facts) -> Vec<(&'static str, Verdict, String)> {
        let findings = diagnose(facts).into_iter().filter(|finding| finding.verdict != Verdict::Passed);
        findings
            .map(|finding| (finding.name, finding.verdict, format!("{} -> {}", finding.message, finding.fix.unwrap())))
            .collect()
    }

    #[test]
    fn where_all_is_well_nothing_is_found() {
        assert_eq!(wrong(&well()), []);
    }

    #[test]
    fn each_cause_is_told_with_its_remedy() {
        let turned_away = |status: u16| Entry {
            status,
            credential: String::new(),
            ..counted(entry("turned_away", Outcome::Refused, Some("sent a credential that is not good here")), "count", 7)
        };
        let suspended = Workspace { state: WorkspaceState::Suspended, ..well().workspace };
        let free = Workspace { plan: Plan::Free, ..well().workspace };
        let off = Workspace { scim_enabled: false, ..well().workspace };
        let held = Guard { held: Some(Held { at: NOW, requests: 9 }), ..well().guard };
        let lookup = |found: u64| counted(entry("user.find", Outcome::Done, None), "found", found);
        let refused = entry("user.create", Outcome::Refused, Some("sent a new user, which was refused: userType is \"premium\""));
        let old = Entry { at: Timestamp(NOW.0 - 2 * 86_400_000), ..entry("user.create", Outcome::Done, None) };
        let table: Vec<(Facts, &str, Verdict, &str)> = vec![
            (Facts { workspace: suspended, ..well() }, "switch", Verdict::Problem, "workspace resume acme"),
            (Facts { workspace: free, ..well() }, "switch", Verdict::Problem, "workspace set acme --plan enterprise"),
            (Facts { workspace: off, ..well() }, "switch", Verdict::Problem, "scim enable acme"),
            (Facts { tokens: Vec::new(), ..well() }, "credential", Verdict::Problem, "no credential was ever issued -> run"),
            (
                Facts { tokens: vec![token(-1, true)], ..well() },
                "credential",
                Verdict::Problem,
                "the last one ended at 2025-12-31",
            ),
            (Facts { tokens: vec![token(365, false)], ..well() }, "credential", Verdict::Problem, "nobody has ever used it"),
            (Facts { tokens: vec![token(3, true)], ..well() }, "credential", Verdict::Warning, "ends at 2026-01-04"),
            (
                Facts { entries: Vec::new(), faults: vec![turned_away(401)], ..well() },
                "strangers",
                Verdict::Problem,
                "7 requests came without a good credential",
            ),
            (Facts { entries: Vec::new(), ..well() }, "requests", Verdict::Problem, "no request with a good credential"),
            (Facts { entries: vec![old], ..well() }, "requests", Verdict::Warning, "more than a day ago"),
            (Facts { entries: vec![lookup(0)], ..well() }, "creations", Verdict::Problem, "let it create users"),
            (Facts { entries: vec![lookup(1)], ..well() }, "creations", Verdict::Warning, "assign the person"),
            (
                Facts { entries: vec![refused.clone()], faults: vec![refused.clone(), refused], ..well() },
                "refusals",
                Verdict::Problem,
                "2 times, last at 2026-01-01T00:00:00.000Z: Okta sent a new user, which was refused: userType is \"premium\"",
            ),
            (Facts { guard: held, ..well() }, "guard", Verdict::Problem, "scim guard acme approve"),
            (Facts { faults: vec![turned_away(429)], ..well() }, "rate", Verdict::Warning, "requests_per_second"),
        ];

        for (facts, name, verdict, part) in table {
            let wrong = wrong(&facts);
            let found = wrong.iter().any(|(n, v, text)| *n == name && *v == verdict && text.contains(part));
            assert!(found, "{name} {part}: {wrong:?}");
        }
    }

    #[test]
    fn a_bad_credential_that_was_mended_since_is_no_news() {
        let earlier = Entry {
            at: Timestamp(NOW.0 - 1),
            credential: String::new(),
            status: 401,
            ..entry("turned_away", Outcome::Refused, Some("x"))
        };

        assert_eq!(wrong(&Facts { faults: vec![earlier], ..well() }), []);
    }
}
