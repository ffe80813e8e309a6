//! What the answer to "accounts are not created" says of a log and a workspace.

use lockstep_shared::{
    check::Verdict,
    id::{OAuthClientId, TokenId},
    model::{
        guard::{Held, Limits},
        oauth_client::ClientProof,
        user::{Origin, User},
    },
};

use super::*;
use crate::{
    journal::NAME_DIGEST,
    ops::log::{
        person::Is,
        tests::{OKTA, count, entry},
    },
};

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
        words: OKTA,
        now: NOW,
        workspace: crate::ops::log::tests::workspace(),
        tokens: vec![token(365, true)],
        clients: Vec::new(),
        guard: Guard { is_on: true, limits: Limits::default(), released_until: None, departed: 0, held: None },
        span: LogSpan::since(Timestamp(NOW.0 - 7 * 86_400_000)),
        counts: vec![count("user.create", Outcome::Done)],
        faults: Vec::new(),
        successes: Successes::default(),
        person: None,
    }
}

fn counted(mut entry: Entry, name: &str, count: u64) -> Entry {
    entry.detail.insert(name.to_owned(), count.into());
    entry
}

/// A client was granted no token, so long after the other entries.
fn no_token(client: Option<&str>, after: i64) -> Entry {
    let mut entry = entry("token.grant", Outcome::Failed, Some("asked for a token, which was not carried out: x"));
    entry.at = Timestamp(NOW.0 + after);
    entry.credential = String::new();
    entry.detail.extend(client.map(|client| (OAUTH_CLIENT.to_owned(), client.into())));
    entry
}

/// A client with a secret that was used just now.
fn client(is_revoked: bool) -> OAuthClient {
    OAuthClient {
        workspace: id(),
        id: OAuthClientId::random(&id()),
        proof: ClientProof::Secret { digest: String::new() },
        token_lifetime: Duration::from_hours(1),
        created_at: NOW,
        last_used_at: Some(NOW),
        revoked_at: is_revoked.then_some(NOW),
    }
}

/// The findings that are not as they should be.
fn wrong(facts: &Facts) -> Vec<(&'static str, Verdict, String)> {
    let findings = diagnose(facts).into_iter().filter(|finding| finding.verdict != Verdict::Passed);
    findings.map(|finding| (finding.name, finding.verdict, format!("{} -> {}", finding.message, finding.fix.unwrap()))).collect()
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
    let lookup = |found: u64| LogCount { in_vain: found == 0, ..count("user.find", Outcome::Done) };
    let listing = |found: u64| LogCount { is_listing: true, ..lookup(found) };
    let refused = entry("user.create", Outcome::Refused, Some("sent a new user, which was refused: userType is \"premium\""));
    let old = LogCount { last_at: Timestamp(NOW.0 - 2 * 86_400_000), ..count("user.create", Outcome::Done) };
    let sent = count("user.create", Outcome::Refused);
    let client = client(false);
    let table: Vec<(Facts, &str, Verdict, &str)> = vec![
        (Facts { workspace: suspended, ..well() }, "switch", Verdict::Problem, "workspace resume acme"),
        (Facts { workspace: free, ..well() }, "switch", Verdict::Problem, "workspace set acme --plan enterprise"),
        (Facts { workspace: off, ..well() }, "switch", Verdict::Problem, "scim enable acme"),
        (Facts { tokens: Vec::new(), ..well() }, "credential", Verdict::Problem, "no credential was ever issued -> run"),
        (Facts { tokens: vec![token(-1, true)], ..well() }, "credential", Verdict::Problem, "the last one ended at 2025-12-31"),
        (Facts { tokens: vec![token(365, false)], ..well() }, "credential", Verdict::Problem, "nobody has ever used it"),
        (Facts { tokens: vec![token(3, true)], ..well() }, "credential", Verdict::Warning, "ends at 2026-01-04"),
        (
            Facts { counts: Vec::new(), faults: vec![turned_away(401)], ..well() },
            "strangers",
            Verdict::Problem,
            "7 requests came without a good credential",
        ),
        (Facts { counts: Vec::new(), ..well() }, "requests", Verdict::Problem, "no request with a good credential"),
        (Facts { counts: vec![old], ..well() }, "requests", Verdict::Warning, "more than a day ago"),
        (Facts { counts: vec![lookup(0)], ..well() }, "creations", Verdict::Problem, "let it create users"),
        (
            Facts { counts: vec![count("user.find", Outcome::Refused)], ..well() },
            "creations",
            Verdict::Problem,
            "1 times somebody was looked for within the last 7 days, which was refused",
        ),
        (Facts { counts: vec![lookup(1)], ..well() }, "creations", Verdict::Warning, "assign the person"),
        (
            Facts { counts: vec![listing(0), listing(5)], ..well() },
            "creations",
            Verdict::Warning,
            "no user was looked for or sent within the last 7 days; 2 times a list of users was read",
        ),
        (
            Facts { counts: vec![listing(5), lookup(1)], ..well() },
            "creations",
            Verdict::Warning,
            "looked for users 1 times and found each",
        ),
        (
            Facts { counts: vec![sent], faults: vec![refused.clone(), refused], ..well() },
            "refusals",
            Verdict::Problem,
            "2 times, last at 2026-01-01T00:00:00.000Z: Okta sent a new user, which was refused: userType is \"premium\"",
        ),
        (
            Facts { faults: vec![no_token(Some(client.id.as_str()), 1)], clients: vec![client], ..well() },
            "token",
            Verdict::Problem,
            "once, last at 2026-01-01T00:00:00.001Z: Okta asked for a token, which was not carried out",
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

#[test]
fn a_token_is_missing_until_that_client_is_granted_one_and_strangers_and_the_revoked_are_a_remark() {
    let (live, other, revoked) = (client(false), client(false), client(true));
    let [one, two, gone] = [&live, &other, &revoked].map(|client| client.id.as_str());
    let granted = |client: &str| LogCount { grantee: client.to_owned(), ..count("token.grant", Outcome::Done) };
    let table = [
        (no_token(Some(one), -1), one, None),
        (no_token(Some(one), 1), one, Some(Verdict::Problem)),
        (no_token(Some(one), -1), two, Some(Verdict::Problem)),
        (no_token(Some(gone), 1), one, Some(Verdict::Warning)),
        (no_token(Some("acme.invented"), 1), one, Some(Verdict::Warning)),
        (no_token(None, -1), two, None),
        (no_token(None, 1), two, Some(Verdict::Warning)),
    ];

    for (missing, client, expected) in table {
        let facts = Facts {
            clients: vec![live.clone(), other.clone(), revoked.clone()],
            counts: [well().counts, vec![granted(client)]].concat(),
            faults: vec![missing.clone()],
            ..well()
        };
        let told: Vec<_> = wrong(&facts).iter().filter(|(name, ..)| *name == "token").map(|(_, verdict, _)| *verdict).collect();
        assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{missing:?} {client}");
    }
}

#[test]
fn a_stranger_who_asks_for_tokens_is_no_news_once_a_good_request_came() {
    let no_client = || vec![no_token(None, 1)];
    let later = LogCount { last_at: Timestamp(NOW.0 + 2), ..count("user.find", Outcome::Done) };

    let before = wrong(&Facts { faults: no_client(), ..well() });
    let after = wrong(&Facts { faults: no_client(), counts: [well().counts, vec![later]].concat(), ..well() });

    assert_eq!(before.iter().map(|(name, verdict, _)| (*name, *verdict)).collect::<Vec<_>>(), [("token", Verdict::Warning)]);
    assert!(before[0].2.contains("Somebody asked for a token"), "{before:?}");
    assert_eq!(after, []);
}

#[test]
fn strangers_take_no_place_of_what_a_client_was_refused() {
    let (live, revoked) = (client(false), client(true));
    let of = |client: Option<&OAuthClient>, why: &str, count: u64| {
        let mut entry = no_token(client.map(|client| client.id.as_str()), 1);
        entry.sentence = Some(format!("asked for a token, which was refused: {why}"));
        counted(entry, "count", count)
    };
    let mut faults: Vec<Entry> = (0..9).map(|n| of(None, &format!("invented {n}"), 1_000)).collect();
    faults.extend([of(Some(&live), "the secret is another", 1), of(Some(&revoked), "the client is revoked", 1)]);

    let told = wrong(&Facts { faults, clients: vec![live, revoked], ..well() });

    assert!(told[0].1 == Verdict::Problem && told[0].2.contains("the secret is another"), "{told:?}");
    assert!(told[1].1 == Verdict::Warning && told[1].2.contains("the client is revoked"), "{told:?}");
    assert!(told[2..].iter().all(|(_, verdict, text)| *verdict == Verdict::Warning && !text.contains("Okta")), "{told:?}");
    assert_eq!(told.len(), 2 + 6, "five of the strangers', and how many further ones: {told:?}");
}

#[test]
fn whoever_is_granted_a_token_and_asks_for_nothing_has_not_come() {
    let facts = Facts { counts: vec![count("token.grant", Outcome::Done)], ..well() };

    assert!(wrong(&facts).iter().any(|(name, ..)| *name == "requests"));
}

/// Somebody of this name was refused, so long after the other entries.
fn not_created(name: &str, after: i64) -> Entry {
    let mut entry = entry("user.create", Outcome::Refused, Some("sent a new user, which was refused: x"));
    entry.at = Timestamp(NOW.0 + after);
    entry.detail.insert(NAME_DIGEST.to_owned(), name.into());
    entry
}

#[test]
fn a_refusal_is_a_problem_until_the_same_person_is_written_with_success() {
    let taken = Entry { people: vec!["id-1".to_owned()], ..not_created("other", 0) };
    let by_name = |at: i64| Successes::of(&[], &[("zoe", Timestamp(NOW.0 + at))], &[]);
    let by_id = |id: &str| Successes::of(&[(id, Timestamp(NOW.0 + 1))], &[], &[]);
    let gone = || Successes::of(&[], &[], &[("zoe", Timestamp(NOW.0 + 1)), ("other", Timestamp(NOW.0 + 1))]);
    let table = [
        (not_created("zoe", 0), by_name(1), true),
        (not_created("zoe", 2), by_name(1), false),
        (not_created("bob", 0), by_name(1), false),
        (not_created("zoe", 0), gone(), true),
        (not_created("zoe", 2), gone(), false),
        (taken.clone(), gone(), false),
        (taken.clone(), by_id("id-1"), true),
        (taken, by_id("id-2"), false),
    ];

    for (fault, successes, is_solved) in table {
        let facts = Facts { faults: vec![fault], successes, ..well() };
        assert_eq!(wrong(&facts).is_empty(), is_solved, "{:?}", facts.faults);
        let solved = diagnose(&facts).into_iter().any(|finding| finding.message.starts_with("solved since: 1 requests"));
        assert_eq!(solved, is_solved, "{:?}", facts.faults);
    }
}

#[test]
fn what_stops_nobody_is_a_remark() {
    let harmless = entry(
        "user.create",
        Outcome::Failed,
        Some("sent a new user, which was not carried out: x; nothing has to be done, the client sends it again"),
    );
    let search = entry("user.find", Outcome::Refused, Some("looked for users, which was refused: x"));
    let nameless = entry("user.create", Outcome::Refused, Some("sent a new user, which was refused: the body is empty"));
    let by_hand = Entry { client: "curl/8".to_owned(), ..nameless.clone() };
    let later = LogCount { last_at: Timestamp(NOW.0 + 1), ..count("user.create", Outcome::Done) };
    let found = LogCount { last_at: Timestamp(NOW.0 + 1), ..count("user.find", Outcome::Done) };
    let table = [
        (harmless, vec![count("user.create", Outcome::Done)], true),
        (search.clone(), vec![count("user.create", Outcome::Done)], true),
        (search.clone(), vec![count("user.find", Outcome::Refused)], false),
        (search, vec![found], true),
        (nameless.clone(), vec![count("user.create", Outcome::Done)], false),
        (nameless, vec![later.clone()], true),
        (by_hand, vec![later], false),
    ];

    for (fault, counts, is_remark) in table {
        let facts = Facts { faults: vec![fault], counts, ..well() };
        let of_it: Vec<_> = wrong(&facts).into_iter().filter(|(name, ..)| *name == "refusals").collect();
        let verdict = if is_remark { Verdict::Warning } else { Verdict::Problem };
        assert_eq!(of_it.iter().map(|(_, verdict, _)| *verdict).collect::<Vec<_>>(), [verdict], "{:?}", facts.faults);
    }
}

#[test]
fn what_is_not_told_is_counted() {
    let kind = |n: u32| entry("user.create", Outcome::Refused, Some(&format!("sent a new user, which was refused: {n}")));
    let faults: Vec<Entry> = (0..8).map(kind).chain((0..5).map(kind)).collect();

    let told = wrong(&Facts { faults, ..well() });

    assert_eq!(told.len(), 6, "{told:?}");
    assert!(told[5].2.starts_with("3 further kinds, of 3 requests, are not told here -> for all of them: `provisioner log tail"));
}

fn asked(is: Is, attempts: Vec<Entry>) -> Facts {
    let of_others = not_created("somebody else", 0);
    Facts { faults: [attempts.clone(), vec![of_others]].concat(), person: Some(Person { is, attempts }), ..well() }
}

#[test]
fn who_is_asked_about_is_here_was_refused_was_deleted_or_was_never_sent() {
    let here = |active: bool| Is::Here(Box::new(crate::ops::log::tests::person(active)));
    let invited = User { origin: Origin::Invited, ..crate::ops::log::tests::person(true) };
    let deleted = || Is::Deleted("id-1".to_owned(), Timestamp(NOW.0 + 5));
    let table = [
        (asked(Is::Unknown, vec![not_created("zoe", 0)]), Verdict::Problem, "they were sent, and not created"),
        (asked(Is::Unknown, vec![not_created("zoe", 0)]), Verdict::Problem, "once, last at 2026-01-01T00:00:00.000Z: Okta sent"),
        (asked(Is::Unknown, Vec::new()), Verdict::Problem, "they were never sent"),
        (
            asked(deleted(), vec![not_created("zoe", 0)]),
            Verdict::Problem,
            "user id-1 was deleted at 2026-01-01T00:00:00.005Z, and",
        ),
        (asked(deleted(), vec![not_created("zoe", 9)]), Verdict::Problem, "a new user of this name was sent since"),
        (asked(here(false), Vec::new()), Verdict::Problem, "and is deactivated"),
        (asked(here(true), vec![not_created("zoe", 0)]), Verdict::Warning, "once, last at"),
        (asked(Is::Here(Box::new(invited)), Vec::new()), Verdict::Warning, "does not belong to the directory"),
    ];

    for (facts, verdict, part) in table {
        let told = wrong(&facts);
        let is_told = |(name, v, text): &(&str, Verdict, String)| *name == "person" && *v == verdict && text.contains(part);
        assert!(told.iter().any(is_told), "{part}: {told:?}");
        let others: Vec<_> = told.iter().filter(|(name, ..)| *name == "refusals").collect();
        assert!(matches!(others[..], [(_, Verdict::Warning, text)] if text.starts_with("1 requests about others")), "{told:?}");
    }
    let refused_first = not_created("zoe", -i64::from(u32::MAX) * 1_000);
    assert!(wrong(&asked(here(true), vec![refused_first])).iter().all(|(name, ..)| *name == "refusals"));
}

#[test]
fn a_log_that_is_too_long_says_how_far_it_was_read() {
    let mut facts = well();
    facts.span.is_whole = false;
    facts.counts.clear();

    let told = wrong(&facts);

    for part in ["only the newest 1000000 entries", "no user was looked for or sent since 2025-12-25", "came since 2025-12-25"] {
        assert!(told.iter().any(|(.., text)| text.contains(part)), "{part}: {told:?}");
    }
}
