//! The mass-change guard over SCIM: what is held is answered so that a provider comes again, changes nothing, and passes when an
//! admin says so.

use std::time::{Duration, Instant};

use http::StatusCode;
use lockstep_tests::{
    harness::{HarnessError, eventually, http::Answer},
    world::{Shape, WORKSPACE, World, activation, deactivation},
};
use serde_json::{Value, json};

use super::{Company, ERROR, body, on_each_database, patch, user};

async fn guard(company: &Company, arguments: &[&str]) -> Value {
    company.command(&[&["scim", "guard", &company.id], arguments].concat()).await
}

async fn people(company: &Company, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(company.person(&format!("user-{number}@acme.example")).await);
    }
    ids
}

fn remove(ids: &[String]) -> Value {
    let members: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    patch(&json!([{ "op": "Remove", "path": "members", "value": members }]))
}

/// A change that was made; whether the answer shows the user is the dialect's.
#[track_caller]
pub(super) fn done(answer: Result<Answer, HarnessError>) {
    let answer = answer.unwrap();
    assert!([StatusCode::OK, StatusCode::NO_CONTENT].contains(&answer.status), "{}: {}", answer.status, answer.text());
}

/// An answer by which a provider comes again: both Entra and Okta understand a 429 with whole seconds.
#[track_caller]
fn held(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text());
    assert_eq!((answer.header("retry-after"), answer.header("content-type")), ("600", "application/scim+json"));
    let error: Value = answer.json().unwrap();
    assert_eq!((&error["schemas"], &error["status"]), (&json!([ERROR]), &json!("429")));
    assert!(error["detail"].as_str().unwrap().contains("mass removal"), "{error}");
}

on_each_database! {
    async fn a_mass_removal_in_single_requests_is_held_from_the_limit_on(company: &Company) {
        let ids = people(company, 6).await;
        guard(company, &["--max", "2", "--percent", "0"]).await;
        for id in &ids[..2] {
            done(company.scim.patch(&format!("/Users/{id}"), &deactivation()).await);
        }
        let before = company.all("/Users").await;
        let path = format!("/Users/{}", ids[2]);

        held(&company.scim.patch(&path, &deactivation()).await.unwrap());
        let whole = json!({ "userName": "user-2@acme.example", "active": false, "displayName": "Changed" });
        held(&company.scim.put(&path, &whole).await.unwrap());
        held(&company.scim.delete(&path).await.unwrap());

        assert_eq!(company.all("/Users").await, before, "nothing of it was written");
        let shown = guard(company, &[]).await;
        assert_eq!((&shown["on"], &shown["max"], &shown["percent"], &shown["departed"]), (&json!(true), &json!(2), &json!(0), &json!(2)));
        assert_eq!((&shown["held"]["requests"], &shown["approved_until"]), (&json!(3), &Value::Null));
        let log = company.installation.provisioner.log();
        assert_eq!(log.matches(&format!("scim guard {} approve", company.id)).count(), 1, "told once: {log}");
        body(company.scim.post("/Users", &user("joiner@acme.example")).await, 201);
        done(company.scim.patch(&format!("/Users/{}", ids[5]), &patch(&json!([{ "op": "add", "path": "title", "value": "Dr" }]))).await);
        done(company.scim.patch(&format!("/Users/{}", ids[0]), &activation()).await);
        done(company.scim.patch(&path, &deactivation()).await);
        held(&company.scim.delete(&format!("/Users/{}", ids[3])).await.unwrap());
    }

    async fn a_bulk_answer_says_when_to_come_again_for_what_is_held(company: &Company) {
        let ids = people(company, 3).await;
        guard(company, &["--max", "1", "--percent", "0"]).await;
        let operations: Vec<Value> =
            ids.iter().map(|id| json!({ "method": "PATCH", "path": format!("/Users/{id}"), "data": deactivation() })).collect();
        let only = |operation: &Value| json!({ "Operations": [operation] });

        let passed = company.scim.post("/Bulk", &only(&operations[0])).await.unwrap();
        let answer = company.scim.post("/Bulk", &json!({ "Operations": operations })).await.unwrap();

        assert_eq!((passed.status.as_u16(), passed.header("retry-after")), (200, ""));
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (200, "600"));
        let told: Value = answer.json().unwrap();
        let statuses: Vec<_> = told["Operations"].as_array().unwrap().iter().map(|operation| operation["status"].clone()).collect();
        assert_eq!(statuses, ["200", "429", "429"]);
    }

    async fn an_approval_lets_the_same_requests_pass(company: &Company) {
        let ids = people(company, 4).await;
        let group = company.group("Everybody", &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let path = format!("/Groups/{group}");
        guard(company, &["--max", "1", "--percent", "0"]).await;
        let requests = async || {
            [
                company.scim.patch(&path, &remove(&ids[..2])).await.unwrap(),
                company.scim.patch(&path, &patch(&json!([{ "op": "remove", "path": "members" }]))).await.unwrap(),
                company.scim.delete(&path).await.unwrap(),
            ]
        };
        let renamed = json!({ "displayName": "Nobody", "members": [] });
        held(&company.scim.put(&path, &renamed).await.unwrap());
        for answer in requests().await {
            held(&answer);
        }
        let mut everybody = ids.clone();
        everybody.sort();
        assert_eq!(company.members(&group).await, everybody);
        assert_eq!(body(company.scim.get(&path).await, 200)["displayName"], "Everybody");

        let approved = guard(company, &["approve", "--for", "30m"]).await;

        assert!(approved["approved_until"].is_string() && approved["held"].is_null(), "{approved}");
        for answer in requests().await {
            assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text());
        }
        for id in &ids {
            body(company.scim.delete(&format!("/Users/{id}")).await, 204);
        }
    }

    async fn off_and_a_single_leaver_are_never_held(company: &Company) {
        let ids = people(company, 4).await;
        guard(company, &["--max", "1", "--percent", "0"]).await;
        done(company.scim.patch(&format!("/Users/{}", ids[0]), &deactivation()).await);
        held(&company.scim.patch(&format!("/Users/{}", ids[1]), &deactivation()).await.unwrap());

        let off = guard(company, &["off"]).await;

        assert_eq!((&off["on"], &off["max"]), (&json!(false), &json!(1)));
        for id in &ids[1..] {
            done(company.scim.patch(&format!("/Users/{id}"), &deactivation()).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passed_is_in_force_before_anybody_hears_of_what_is_held() {
    let mut world = World::start(Shape::default()).await.unwrap();
    let people = [world.person("ada").await.unwrap(), world.person("bob").await.unwrap(), world.person("cyd").await.unwrap()];
    world.site.command(&["scim", "guard", WORKSPACE, "--max", "1", "--percent", "0"]).await.unwrap();
    let members: Vec<Value> = people.iter().map(|person| json!({ "value": person.id })).collect();
    let group = json!({ "displayName": "Everybody", "members": members });
    let group: Value = world.scim.post("/Groups", &group).await.unwrap().json().unwrap();
    let path = format!("/Groups/{}", group["id"].as_str().unwrap());
    // Of somebody who never signed in, no gateway has to hear.
    let _first = world.sign_in(&people[0]).await.unwrap();
    let agent = world.sign_in(&people[1]).await.unwrap();
    let cookie = world.cookie(&agent).unwrap();
    world.gateways[0].pause().await.unwrap();
    let (scim, first_path, first) = (world.scim.clone(), path.clone(), remove(&[people[0].id.clone()]));
    let passing = tokio::spawn(async move { scim.patch(&first_path, &first).await });
    let departed = async || {
        let shown = world.site.command(&["scim", "guard", WORKSPACE]).await.unwrap();
        (shown["departed"] == 1).then_some(())
    };
    eventually("the first change is committed", Duration::from_secs(2), departed).await.unwrap();
    assert!(!passing.is_finished(), "the gateway that stands still keeps the answer waiting");

    let began = Instant::now();
    held(&world.scim.patch(&path, &remove(&[people[1].id.clone()])).await.unwrap());

    assert!(began.elapsed() > Duration::from_millis(500), "it waits for the earlier change: {:?}", began.elapsed());
    assert_eq!(passing.await.unwrap().unwrap().status, StatusCode::NO_CONTENT);
    world.gateways[0].resume().unwrap();
    let is_in = async || (world.ask(0, &cookie).await.unwrap().status == StatusCode::OK).then_some(());
    eventually("whoever is held keeps their session", Duration::from_secs(10), is_in).await.unwrap();
    done(world.deactivate(&people[0]).await);
    world.site.command(&["scim", "guard", WORKSPACE, "approve"]).await.unwrap();
    done(world.deactivate(&people[1]).await);
    assert_eq!(world.ask(0, &cookie).await.unwrap().status, StatusCode::UNAUTHORIZED);
}
