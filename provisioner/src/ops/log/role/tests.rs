//! What the answer to "the group changed and the role did not" says of a log and a workspace.

use lockstep_shared::{
    check::Verdict,
    id::AuditId,
    model::{
        access::{AccessName, RoleAttribute, Rule},
        audit::Actor,
        guard::Limits,
    },
};
use serde_json::json;

use super::*;
use crate::ops::log::tests::{OKTA, count, entry, person};

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
        words: OKTA,
        workspace: WorkspaceId::parse("acme").unwrap(),
        mapping: Mapping { rules: vec![rule(&group, "Admin")], ..Mapping::default() },
        missing: Vec::new(),
        guard: Guard { is_on: true, limits: Limits::default(), released_until: None, departed: 0, held: None },
        last_change: Some(entry("group.members", Outcome::Done, None)),
        span: LogSpan::since(Timestamp(0)),
        counts: vec![count("group.members", Outcome::Done)],
        faults: Vec::new(),
        done: HashMap::new(),
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
            Facts { person: Some(Err(Nobody { name: "x".to_owned(), message: "no user 'x'".to_owned() })), ..well().0 },
            Verdict::Problem,
            "no user 'x' -> run `provisioner log explain acme accounts-not-created --user \"x\"`",
        ),
        (with(|_, person| person.user = crate::ops::log::tests::person(false)), Verdict::Problem, "is deactivated"),
        (with(|_, person| person.groups.clear()), Verdict::Problem, "is in no group here"),
        (with(|_, person| person.last_change = None), Verdict::Problem, "no change of a membership of this person"),
        (
            with(|_, person| person.last_change = Some(refused.clone())),
            Verdict::Problem,
            "and is refused: Okta changed the members of a group, which was refused: x -> mend that",
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

/// A change of a group's members that came so long after the other entries.
fn of_group(outcome: Outcome, people: &[&str], after: i64) -> Entry {
    let mut entry = entry("group.members", outcome, Some("changed the members of a group, which was refused: x"));
    entry.at = Timestamp(entry.at.0 + after);
    entry.target = "group-1".to_owned();
    entry.people = people.iter().map(|id| (*id).to_owned()).collect();
    entry
}

#[test]
fn a_refused_change_is_a_problem_until_the_same_people_are_changed_with_success() {
    let replaced = || {
        let mut entry = of_group(Outcome::Done, &[], 1);
        entry.detail.insert("members".to_owned(), json!({ "replace": 200 }));
        entry
    };
    let table = [
        (of_group(Outcome::Refused, &["zoe"], 0), of_group(Outcome::Done, &["bob", "zoe"], 1), Standing::Solved),
        (of_group(Outcome::Held, &["zoe"], 0), of_group(Outcome::Unchanged, &["zoe"], 1), Standing::Solved),
        (of_group(Outcome::Refused, &["zoe"], 0), replaced(), Standing::Solved),
        (of_group(Outcome::Refused, &["zoe"], 0), of_group(Outcome::Done, &["bob"], 1), Standing::Open),
        (of_group(Outcome::Refused, &["zoe"], 2), of_group(Outcome::Done, &["zoe"], 1), Standing::Open),
        (of_group(Outcome::Refused, &[], 0), of_group(Outcome::Done, &["bob"], 1), Standing::Remark),
    ];

    for (fault, later, standing) in table {
        let done = HashMap::from([("group-1".to_owned(), vec![later])]);
        assert_eq!(Facts { done, ..well().0 }.standing(&fault), standing, "{fault:?}");
    }
}

#[test]
fn what_stops_no_group_is_a_remark() {
    let gone = Some("deleted a group, which was refused: there is no such group here: nothing has to be done, it is gone");
    let search = entry("group.find", Outcome::Refused, Some("looked for groups, which was refused: x"));
    let create = entry("group.create", Outcome::Refused, Some("sent a new group, which was refused: x"));
    let later = LogCount { last_at: Timestamp(i64::MAX), ..count("group.create", Outcome::Done) };
    let table = [
        (entry("group.delete", Outcome::Refused, gone), Vec::new(), Standing::Remark),
        (search.clone(), vec![count("group.members", Outcome::Done)], Standing::Remark),
        (search, Vec::new(), Standing::Open),
        (create.clone(), vec![count("group.create", Outcome::Done)], Standing::Open),
        (create, vec![later], Standing::Remark),
    ];

    for (fault, counts, standing) in table {
        assert_eq!(Facts { counts, ..well().0 }.standing(&fault), standing, "{fault:?}");
    }
}

#[test]
fn a_change_that_is_held_is_approved_or_stopped_and_nothing_else() {
    let held = entry("group.members", Outcome::Held, Some("changed x; if it is meant, run `scim guard WORKSPACE approve`"));
    let failed = entry("group.members", Outcome::Failed, Some("changed x: y; nothing has to be done, the client sends it again"));
    let told_of = |last: Entry, verdict| told(&with(|_, person| person.last_change = Some(last)), verdict);

    let problems = told_of(held, Verdict::Problem);
    let remarks = told_of(failed, Verdict::Warning);

    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].ends_with(
            "and is held: it is part of a mass removal -> if it is meant, run `provisioner scim guard acme approve`; else stop \
             provisioning at the identity provider"
        ),
        "{problems:?}"
    );
    assert!(remarks.iter().any(|text| text.contains("and is failed: Okta changed x: y;")), "{remarks:?}");
}

/// A workspace where `roles` gives User and Admin and no group gives anything, and a person with these values, in no group.
fn by_attribute(values: &[&str], change: impl FnOnce(&mut Facts, &mut Somebody)) -> Facts {
    with(|facts, person| {
        facts.mapping.rules.clear();
        let grants = BTreeSet::from([role("User"), role("Admin")]);
        facts.mapping.role_attribute = Some(RoleAttribute { path: "roles".parse().unwrap(), grants });
        let values: Vec<Value> = values.iter().map(|value| json!({ "value": value })).collect();
        person.user.profile.attributes.insert("roles".to_owned(), Value::Array(values));
        person.groups.clear();
        (person.last_change, person.settled) = (None, None);
        change(facts, person);
    })
}

/// A write of the person that was not carried out, for this reason.
fn refused_write(person: &Somebody, why: &str) -> Entry {
    let sentence = format!("changed a user, which was refused: {why}");
    Entry { target: person.user.id.to_string(), ..entry("user.update", Outcome::Refused, Some(&sentence)) }
}

#[test]
fn whoever_has_their_role_by_attribute_needs_no_group() {
    let unmapped =
        |person: &mut Somebody| person.groups = vec![GroupRef { id: GroupId::new(), display_name: "Staff".to_owned() }];
    for facts in [
        by_attribute(&["Admin"], |_, _| {}),
        by_attribute(&["Admin"], |facts, _| facts.mapping.rules = vec![rule(&GroupId::new(), "User")]),
        by_attribute(&["Admin"], |_, person| unmapped(person)),
        by_attribute(&["Admin"], |facts, person| {
            facts.mapping.rules = vec![rule(&GroupId::new(), "User")];
            unmapped(person);
        }),
        Facts { person: None, last_change: None, ..by_attribute(&[], |_, _| {}) },
    ] {
        assert_eq!(told(&facts, Verdict::Problem), [""; 0]);
        assert_eq!(told(&facts, Verdict::Warning), [""; 0]);
    }
    let way = told(&by_attribute(&["Admin"], |_, _| {}), Verdict::Passed).join("\n");
    assert!(way.contains("roles is Admin, which is granted") && way.contains("the person has Admin"), "{way}");
}

#[test]
fn a_value_that_is_not_granted_is_told_with_what_is() {
    let only = "attribute: roles is ReadOnly; granted are Admin, User -> let the identity provider send one of these, spelled \
                exactly so; or grant it too: `provisioner mapping set acme --role-attribute roles --grants \"Admin,User,ROLE\"`";
    let one = |facts: &Facts, verdict: Verdict| {
        let told = told(facts, verdict);
        assert_eq!(told.len(), 1, "{told:?}");
        told.into_iter().next().unwrap()
    };

    assert_eq!(one(&by_attribute(&["ReadOnly"], |_, _| {}), Verdict::Problem), only);
    assert_eq!(one(&by_attribute(&["Admin", "ReadOnly"], |_, _| {}), Verdict::Warning), only);
    assert!(one(&by_attribute(&[], |_, _| {}), Verdict::Problem).contains("has nothing in roles; granted are Admin, User"));
    let (by_group, group) = (by_attribute(&[], |_, _| {}), GroupId::new());
    let mapped = |values: &[&str]| {
        by_attribute(values, |facts, person| {
            facts.mapping.rules = vec![rule(&group, "User")];
            person.groups = vec![GroupRef { id: group.clone(), display_name: "Staff".to_owned() }];
            person.last_change = Some(entry("group.members", Outcome::Done, None));
        })
    };
    assert_eq!(one(&mapped(&["ReadOnly"]), Verdict::Warning), only);
    assert_eq!(told(&mapped(&[]), Verdict::Warning), [""; 0]);
    let nothing = Facts { mapping: mapped(&[]).mapping, ..by_group };
    assert!(told(&nothing, Verdict::Problem).iter().any(|told| told.contains("is in no group here")), "a group could give one");
}

#[test]
fn a_refused_write_of_the_attribute_is_a_problem_until_the_attribute_is_written() {
    const BOSS: &str = "roles is \"Boss\"; allowed here are Admin, User: change the mapping";
    let later = |changed: &[&str]| {
        let mut later = entry("user.update", Outcome::Done, None);
        later.at = Timestamp(later.at.0 + 1);
        later.detail.insert("changed".to_owned(), json!(changed));
        later
    };
    let after = |why: &str, later: Vec<Entry>| {
        by_attribute(&["Admin"], |facts, person| {
            facts.faults.push(refused_write(person, why));
            facts.done.insert(person.user.id.to_string(), later);
        })
    };

    let open = told(&after(BOSS, Vec::new()), Verdict::Problem);
    assert!(
        open.len() == 1 && open[0].contains("which was refused: roles is \"Boss\"; allowed here are Admin, User"),
        "{open:?}"
    );
    assert_eq!(told(&after("title must be text", Vec::new()), Verdict::Problem), [""; 0]);
    assert_eq!(told(&after(BOSS, vec![later(&["title"])]), Verdict::Problem), [""; 0], "what was sent may be there already");
    assert_eq!(told(&after(BOSS, vec![later(&["title"])]), Verdict::Warning).len(), 1);
    let solved = after(BOSS, vec![later(&["title", "roles"])]);
    assert_eq!((told(&solved, Verdict::Problem), told(&solved, Verdict::Warning)), (Vec::new(), Vec::new()));
    let of_another = by_attribute(&["Admin"], |facts, person| {
        facts.faults.push(Entry { target: "somebody-else".to_owned(), ..refused_write(person, BOSS) });
    });
    assert_eq!(told(&of_another, Verdict::Problem), [""; 0]);
}

#[test]
fn only_what_may_have_to_do_with_a_role_is_read() {
    let Facts { mapping, person, .. } = by_attribute(&["Admin"], |_, _| {});
    let Some(Ok(somebody)) = &person else { panic!("a person") };
    let theirs = refused_write(somebody, "title must be text");
    let of_another = |why: &str| Entry { target: "somebody-else".to_owned(), ..refused_write(somebody, why) };
    let urn: RoleAttribute = RoleAttribute { path: "urn:acme:x:1.0:Job:level".parse().unwrap(), grants: BTreeSet::new() };
    let roles = mapping.role_attribute.as_ref();
    let held = Entry { outcome: Outcome::Held, ..of_another("it is part of a mass removal") };

    for (entry, attribute, is_in_question) in [
        (&theirs, roles, true),
        (&theirs, None, false),
        (&of_another("title must be text"), roles, false),
        (&of_another("roles is \"Boss\""), roles, true),
        (&of_another("urn:acme:x:1.0:Job:level is \"Boss\""), Some(&urn), true),
        (&of_another("urn:acme:x:1.0:Job:since must be a date"), Some(&urn), false),
        (&held, roles, true),
        (&entry("group.members", Outcome::Refused, Some("x")), None, true),
    ] {
        assert_eq!(super::is_in_question(entry, attribute, person.as_ref()), is_in_question, "{entry:?}");
    }
}
