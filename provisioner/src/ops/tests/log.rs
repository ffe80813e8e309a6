//! What `log explain` reads out of a log with a great many entries in it.

use std::time::Duration;

use lockstep_shared::{
    clock::Clock as _,
    id::{EntryId, GroupId, UserId},
    model::provisioning::{Entry, Outcome},
};

use super::{Deployment, acme};
use crate::journal::{NAME_DIGEST, Names};

/// An entry of now.
fn entry(deployment: &Deployment, action: &str, outcome: Outcome) -> Entry {
    let is_fault = !matches!(outcome, Outcome::Done | Outcome::Unchanged);
    Entry {
        id: EntryId::new(),
        workspace: acme(),
        at: deployment.clock.now(),
        request: "request".to_owned(),
        credential: "credential".to_owned(),
        client: "Okta SCIM Client 1.0.0".to_owned(),
        action: action.to_owned(),
        target: String::new(),
        status: if is_fault { 400 } else { 200 },
        outcome,
        sentence: is_fault.then(|| format!("tried {action}, which was refused: x")),
        detail: serde_json::Map::new(),
        people: Vec::new(),
    }
}

/// Writes so many entries of one kind, newer than all others.
async fn many(deployment: &Deployment, count: usize, action: &str, outcome: Outcome) {
    let entries: Vec<Entry> = (0..count).map(|_| entry(deployment, action, outcome)).collect();
    deployment.store().append_log(&entries).await.unwrap();
}

#[tokio::test]
async fn a_creation_is_counted_however_much_else_came_since() {
    let deployment = Deployment::with_acme().await;
    many(&deployment, 1, "user.create", Outcome::Done).await;
    many(&deployment, 1, "user.create", Outcome::Refused).await;
    many(&deployment, 10_500, "group.members", Outcome::Refused).await;

    let told = deployment.run("log explain acme accounts-not-created").await.stdout;

    assert!(told.contains("1 users were created within the last 7 days, of 2 that were sent"), "{told}");
    assert!(told.contains("Okta tried user.create, which was refused: x"), "{told}");
    assert!(!told.contains("group.members"), "{told}");
}

#[tokio::test]
async fn a_membership_is_found_however_much_else_came_since() {
    let deployment = Deployment::with_acme().await;
    let group = GroupId::new();
    let change = Entry { target: group.to_string(), ..entry(&deployment, "group.members", Outcome::Done) };
    deployment.store().append_log(&[change]).await.unwrap();
    many(&deployment, 1, "group.update", Outcome::Refused).await;
    many(&deployment, 2_500, "user.update", Outcome::Refused).await;

    let told = deployment.run("log explain acme role-did-not-change").await.stdout;

    assert!(told.contains(&format!("for group {group}, and was carried out")), "{told}");
    assert!(told.contains("Okta tried group.update, which was refused: x"), "{told}");
}

#[tokio::test]
async fn what_was_refused_more_than_a_week_ago_is_no_problem_of_today() {
    let deployment = Deployment::with_acme().await;
    many(&deployment, 1, "group.members", Outcome::Done).await;
    many(&deployment, 1, "group.update", Outcome::Refused).await;
    many(&deployment, 1, "user.create", Outcome::Refused).await;
    deployment.clock.advance(Duration::from_hours(8 * 24));

    for question in ["role-did-not-change", "accounts-not-created"] {
        let told = deployment.run(&format!("log explain acme {question}")).await.stdout;
        assert!(told.contains("in workspace acme") && !told.contains("refused: x"), "{told}");
    }
}

#[tokio::test]
async fn who_was_deleted_is_shown_by_name_with_all_that_was_about_them() {
    let deployment = Deployment::with_acme().await;
    let store = deployment.store();
    let names = Names::new(store.clone());
    let digest = async |name: &str| names.digest(&acme(), name).await.unwrap();
    let (zoe, before, other) = (UserId::new(), UserId::new(), UserId::new());
    let of = |action: &str, id: &UserId| Entry { target: id.to_string(), ..entry(&deployment, action, Outcome::Done) };
    let deletion = |id: &UserId, digest: &str| {
        let mut entry = of("user.delete", id);
        entry.detail.insert(NAME_DIGEST.to_owned(), digest.into());
        entry
    };
    let (of_zoe, of_other) = (digest("zoe@acme.example").await, digest("other@acme.example").await);
    let mut refused = entry(&deployment, "user.create", Outcome::Refused);
    refused.detail.insert(NAME_DIGEST.to_owned(), of_zoe.as_str().into());
    let all = [
        refused,
        of("user.create", &before),
        deletion(&before, &of_zoe),
        of("user.create", &other),
        of("user.create", &zoe),
        Entry { people: vec![zoe.to_string()], ..of("group.members", &other) },
        deletion(&other, &of_other),
        of("user.deactivate", &zoe),
        deletion(&zoe, &of_zoe),
    ];
    let theirs: Vec<&str> = [0, 1, 2, 4, 5, 7, 8].map(|at: usize| all[at].id.as_str()).into();
    store.append_log(&all).await.unwrap();
    let shown = async |line: &str| deployment.json(line).await["entries"].clone();

    let found = shown("log show acme --user ZOE@acme.example").await;

    let ids: Vec<&str> = found.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    assert_eq!(ids, theirs);
    let newest = shown("log show acme --user zoe@acme.example --limit 2").await;
    assert_eq!((newest[0]["action"].as_str(), newest[1]["action"].as_str()), (Some("user.deactivate"), Some("user.delete")));
    let text = deployment.run("log show acme --user other@acme.example").await.stdout;
    assert!(text.contains(&format!("of user {other}, deleted at ")), "{text}");
    let (exit, nobody) = deployment.refusal("log show acme --user nobody@acme.example").await;
    assert_eq!((exit, nobody["code"].as_str()), (1, Some("user_not_found")));
}
