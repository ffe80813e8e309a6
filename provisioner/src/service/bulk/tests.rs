//! The run of a Bulk request against a directory that remembers what it was asked.

use std::sync::Mutex;

use http::StatusCode;
use lockstep_shared::{id::UserId, store::Settlement};
use serde_json::json;

use super::*;
use crate::scim::Profile;

/// Does what it is asked, but for users whose name is taken, and those that it never answers about.
#[derive(Default)]
struct Obedient {
    asked: Mutex<Vec<String>>,
}

impl Directory for Obedient {
    async fn carry_out(&self, call: Call, id: Option<String>) -> Deed {
        let name = call.data["userName"].as_str().or(call.data["displayName"].as_str()).unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push(format!("{} {name}", call.method));
        match name.as_str() {
            "taken" => Deed::new(Outcome::failed(ScimError::Uniqueness("userName".into())), Settlement::default()),
            "never" => std::future::pending().await,
            _ => {
                let location = id.map(|_| call.data.to_string());
                Deed::new(Outcome::Done { status: StatusCode::OK, version: None, location }, Settlement::default())
            }
        }
    }
}

async fn run(fail_on_errors: Option<u32>, operations: Value) -> (Vec<String>, Vec<Option<Outcome>>) {
    run_for(Duration::from_mins(1), fail_on_errors, operations).await
}

async fn run_for(time: Duration, fail_on_errors: Option<u32>, operations: Value) -> (Vec<String>, Vec<Option<Outcome>>) {
    let body = json!({ "failOnErrors": fail_on_errors, "Operations": operations });
    let request = BulkRequest::parse(body, Profile::Lenient).unwrap();
    let directory = Obedient::default();
    let deeds = Run::new(&directory, Instant::now() + time).carry_out(&request).await;
    let outcomes = deeds.into_iter().map(|deed| deed.map(|deed| deed.outcome)).collect();
    (directory.asked.into_inner().unwrap(), outcomes)
}

fn user(name: &str) -> Value {
    json!({ "method": "POST", "path": "/Users", "bulkId": name, "data": { "userName": name } })
}

fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|member| json!({ "value": format!("bulkId:{member}") })).collect();
    json!({ "method": "POST", "path": "/Groups", "bulkId": name, "data": { "displayName": name, "members": members } })
}

fn statuses(outcomes: &[Option<Outcome>]) -> Vec<u16> {
    let status = |outcome: &Outcome| match outcome {
        Outcome::Done { status, .. } => status.as_u16(),
        Outcome::Failed { error, .. } => error.parts().0.as_u16(),
    };
    outcomes.iter().map(|outcome| outcome.as_ref().map_or(0, status)).collect()
}

fn sent(outcome: Option<&Outcome>) -> Value {
    match outcome {
        Some(Outcome::Done { location: Some(sent), .. }) => serde_json::from_str(sent).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reference_forward_waits_and_is_resolved() {
    let (asked, outcomes) = run(None, json!([group("g", &["ada"]), user("bob"), user("ada")])).await;

    assert_eq!(asked, ["POST bob", "POST ada", "POST g"]);
    assert_eq!(statuses(&outcomes), [200, 200, 200]);
    let member = sent(outcomes[0].as_ref())["members"][0]["value"].as_str().unwrap().to_owned();
    assert!(UserId::parse(&member).is_ok(), "{member}");
}

#[tokio::test]
async fn what_refers_to_a_failure_or_to_nothing_is_not_carried_out() {
    let (asked, outcomes) =
        run(None, json!([group("g", &["taken"]), user("taken"), group("h", &["g"]), group("i", &["nobody"]), user("ada")])).await;

    assert_eq!(asked, ["POST taken", "POST ada"]);
    assert_eq!(statuses(&outcomes), [409, 409, 409, 400, 200]);
}

#[tokio::test]
async fn a_circle_is_made_as_one() {
    let (asked, outcomes) = run(None, json!([group("a", &["b", "a"]), user("ada"), group("b", &["a", "ada"])])).await;

    assert_eq!(asked, ["POST ada", "POST a", "POST b"]);
    let (a, b) = (sent(outcomes[0].as_ref()), sent(outcomes[2].as_ref()));
    assert_eq!(a["members"][1], b["members"][0], "both name the first group");
    assert_ne!(a["members"][0], a["members"][1]);
}

#[tokio::test]
async fn of_a_circle_that_fails_nothing_stays() {
    let (asked, outcomes) = run(None, json!([group("a", &["taken"]), group("taken", &["a"]), user("ada")])).await;

    assert_eq!(asked, ["POST a", "POST taken", "DELETE ", "POST ada"]);
    assert_eq!(statuses(&outcomes), [409, 409, 200]);
}

#[tokio::test]
async fn s31_so_many_errors_end_the_run_and_the_rest_is_not_answered() {
    let operations = json!([user("taken"), user("ada"), group("g", &["taken"]), user("bob")]);
    for (most, expected) in
        [(Some(1), [409, 0, 0, 0]), (Some(2), [409, 200, 409, 0]), (Some(3), [409, 200, 409, 200]), (None, [409, 200, 409, 200])]
    {
        assert_eq!(statuses(&run(most, operations.clone()).await.1), expected, "{most:?}");
    }
}

#[tokio::test]
async fn when_the_time_is_over_what_is_done_is_told_and_the_rest_can_be_asked_again() {
    let (asked, outcomes) = run_for(Duration::from_millis(300), None, json!([user("ada"), user("never"), user("bob")])).await;

    assert_eq!(asked, ["POST ada", "POST never"]);
    assert_eq!(statuses(&outcomes), [200, 503, 503]);
    assert_eq!(outcomes[2], Some(Outcome::failed(LATE)));
}
