//! The database goes away while people are provisioned: an integer `Retry-After`, no half-written record, none lost, and no
//! restart of ours to recover.

use std::{collections::HashMap, time::Duration};

use lockstep_tests::{
    harness::{eventually, http::Answer, postgres::Postgres, scim::Scim},
    world::text,
};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Installation, body, found, patch, refusal, user};

/// Entra and Okta hang up after a minute.
const BEFORE_THEY_HANG_UP: Duration = Duration::from_secs(59);

#[track_caller]
fn come_again(answer: Answer) {
    let seconds: u32 = answer.header("retry-after").parse().expect("an integer");
    assert!((1..=300).contains(&seconds), "{seconds}");
    refusal(Ok(answer), 503, "");
}

/// Creates people one after the other until told to stop, and returns what each was answered.
async fn create_people(scim: Scim, writer: usize, stop: CancellationToken) -> HashMap<String, u16> {
    let mut outcomes = HashMap::new();
    for number in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let name = format!("user-{writer}-{number}");
        let answer = scim.post("/Users", &user(&name)).await.unwrap();
        outcomes.insert(name, answer.status.as_u16());
        if answer.status != 201 {
            come_again(answer);
        }
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_the_database_was_killed_is_there_after() {
    let mut postgres = Postgres::start().await.unwrap();
    let installation = Installation::on_postgres(&postgres.database().await.unwrap()).await;
    let scim = installation.workspace("acme").await;
    let stop = CancellationToken::new();
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        writers.spawn(create_people(scim.clone(), writer, stop.clone()));
    }

    eventually("people", BEFORE_THEY_HANG_UP, async || (found(&scim, "/Users", "userName pr").await > 100).then_some(()))
        .await
        .unwrap();
    postgres.kill().await.unwrap();
    come_again(scim.post("/Users", &user("never")).await.unwrap());
    postgres.restart().await.unwrap();
    eventually("the first answer", BEFORE_THEY_HANG_UP, async || {
        (scim.get("/Users?count=0").await.ok()?.status == 200).then_some(())
    })
    .await
    .unwrap();
    stop.cancel();
    let outcomes: HashMap<String, u16> = writers.join_all().await.into_iter().flatten().collect();

    assert!(outcomes.values().any(|status| *status == 503), "the outage was noticed");
    for (name, status) in &outcomes {
        let there = found(&scim, "/Users", &format!("userName eq \"{name}\"")).await;
        if *status == 201 {
            assert_eq!(there, 1, "{name} was acknowledged and is lost");
        } else {
            // The outcome was unknown: asking again settles it.
            let again = scim.post("/Users", &user(name)).await.unwrap();
            assert_eq!(again.status.as_u16(), if there == 1 { 409 } else { 201 }, "{name}: {}", again.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_or_silent_is_a_503_on_every_route() {
    let mut postgres = Postgres::start().await.unwrap();
    let installation = Installation::on_postgres(&postgres.database().await.unwrap()).await;
    let scim = installation.workspace("acme").await;
    let person = text(&body(scim.post("/Users", &user("ada")).await, 201), "id");
    let group = text(&body(scim.post("/Groups", &json!({ "displayName": "Group" })).await, 201), "id");
    let deactivate = patch(&json!([{ "op": "Replace", "path": "active", "value": "False" }]));
    let add = patch(&json!([{ "op": "Add", "path": "members", "value": [{ "value": person }] }]));

    for silent in [false, true] {
        if silent {
            postgres.pause().await.unwrap();
        } else {
            postgres.stop().await.unwrap();
        }
        let asked = async {
            let (user, group) = (format!("/Users/{person}"), format!("/Groups/{group}"));
            let new = super::user("never");
            let answers = tokio::join!(
                scim.get("/Users"),
                scim.get(&user),
                scim.get("/ServiceProviderConfig"),
                scim.post("/Users", &new),
                scim.patch(&user, &deactivate),
                scim.patch(&group, &add),
                scim.delete(&group),
            );
            [answers.0, answers.1, answers.2, answers.3, answers.4, answers.5, answers.6].map(Result::unwrap)
        };
        let answers = tokio::time::timeout(BEFORE_THEY_HANG_UP, asked).await.expect("an answer before they hang up");
        for answer in answers {
            come_again(answer);
        }

        if silent {
            postgres.resume().unwrap();
        } else {
            postgres.restart().await.unwrap();
        }
        let back = async || {
            let answer = scim.get(&format!("/Users/{person}")).await.ok()?;
            (answer.status == 200).then_some(answer)
        };
        let back = eventually("the database's return", BEFORE_THEY_HANG_UP, back).await.unwrap();
        assert_eq!(body(Ok(back), 200)["active"], true, "nothing of what was refused stays, silent: {silent}");
        assert_eq!(found(&scim, "/Users", "userName eq \"never\"").await, 0, "silent: {silent}");
        assert_eq!(body(scim.get(&format!("/Groups/{group}")).await, 200)["members"], json!([]), "silent: {silent}");
    }
    assert_eq!(body(scim.patch(&format!("/Users/{person}"), &deactivate).await, 200)["active"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_in_the_middle_of_a_request_is_a_503_too() {
    let mut postgres = Postgres::start().await.unwrap();
    let installation = Installation::on_postgres(&postgres.database().await.unwrap()).await;
    let scim = installation.workspace("acme").await;
    let stop = CancellationToken::new();
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        writers.spawn(create_people(scim.clone(), writer, stop.clone()));
    }
    eventually("people", BEFORE_THEY_HANG_UP, async || (found(&scim, "/Users", "userName pr").await > 100).then_some(()))
        .await
        .unwrap();

    postgres.pause().await.unwrap();
    stop.cancel();
    let outcomes = tokio::time::timeout(BEFORE_THEY_HANG_UP, writers.join_all()).await.expect("an answer before they hang up");

    assert!(outcomes.iter().flatten().any(|(_, status)| *status == 503));
    postgres.resume().unwrap();
}
