//! The run of a Bulk request against a directory that remembers what it was asked.

use std::sync::Mutex;

use http::StatusCode;
use lockstep_shared::{id::UserId, model::revocation::Seq, store::Settlement};
use serde_json::json;

use super::*;
use crate::scim::Profile;

/// Does what it is asked, but for users whose name is taken, those that it never answers about, and those of whom it cannot say whether
/// they were made. It may need all the time that there is.
#[derive(Default)]
struct Obedient {
    asked: Mutex<Vec<String>>,
    told: Mutex<Vec<String>>,
    ready_at: Option<Instant>,
}

impl Directory for Obedient {
    async fn carry_out(&self, call: Call, id: Option<String>) -> Deed {
        let name = name(&call);
        self.asked.lock().unwrap().push(format!("{} {name}", call.method));
        if let Some(at) = self.ready_at {
            tokio::time::sleep_until(at).await;
        }
        let outcome = match name.as_str() {
            "taken" => Outcome::failed(ScimError::Uniqueness("userName".into())),
            "unsure" => Outcome::failed(ScimError::Unavailable { retry_after: 1 }),
            "never" => std::future::pending().await,
            _ => Outcome::Done { status: StatusCode::OK, version: None, location: id.map(|_| call.data.to_string()) },
        };
        Deed::new(outcome, Settlement::default(), Entry::Written)
    }

    async fn take_back(&self, call: &Call, id: &str) -> Result<Settlement, ScimError> {
        assert!(UserId::parse(id).is_ok(), "{id}");
        self.asked.lock().unwrap().push(format!("take back {}", name(call)));
        if name(call) == "sticky" { Err(LATE) } else { Ok(Settlement::of_earlier(Seq(7))) }
    }

    async fn tell(&self, operation: &BulkOperation, deed: &mut Deed) {
        let status = deed.outcome.status();
        let how = if matches!(deed.entry, Entry::Missing) { " unbegun" } else { "" };
        self.told.lock().unwrap().push(format!("{} {status}{how}", operation.bulk_id.as_deref().unwrap_or_default()));
    }
}

trait Status {
    fn status(&self) -> u16;
}

impl Status for Outcome {
    fn status(&self) -> u16 {
        match self {
            Self::Done { status, .. } => status.as_u16(),
            Self::Failed { error, .. } => error.parts().0.as_u16(),
        }
    }
}

fn name(call: &Call) -> String {
    call.data["userName"].as_str().or(call.data["displayName"].as_str()).unwrap_or_default().to_owned()
}

async fn run(fail_on_errors: Option<u32>, operations: Value) -> (Vec<String>, Vec<Option<Outcome>>) {
    run_for(Duration::from_mins(1), fail_on_errors, operations).await
}

async fn run_for(time: Duration, fail_on_errors: Option<u32>, operations: Value) -> (Vec<String>, Vec<Option<Outcome>>) {
    let directory = Obedient::default();
    let outcomes =
        run_in(&directory, Instant::now() + time, json!({ "failOnErrors": fail_on_errors, "Operations": operations })).await;
    (directory.asked.into_inner().unwrap(), outcomes)
}

async fn run_in(directory: &Obedient, until: Instant, body: Value) -> Vec<Option<Outcome>> {
    let request = BulkRequest::parse(body, Profile::Lenient).unwrap();
    let deeds = Run::new(directory, until).carry_out(&request).await;
    let outcome = |deed: Deed| {
        assert_eq!(deed.waits, deed.settlement != Settlement::default());
        deed.outcome
    };
    deeds.into_iter().map(|deed| deed.map(outcome)).collect()
}

fn user(name: &str) -> Value {
    json!({ "method": "POST", "path": "/Users", "bulkId": name, "data": { "userName": name } })
}

fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|member| json!({ "value": format!("bulkId:{member}") })).collect();
    json!({ "method": "POST", "path": "/Groups", "bulkId": name, "data": { "displayName": name, "members": members } })
}

fn statuses(outcomes: &[Option<Outcome>]) -> Vec<u16> {
    outcomes.iter().map(|outcome| outcome.as_ref().map_or(0, Status::status)).collect()
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

    assert_eq!(asked, ["POST a", "POST taken", "take back a", "POST ada"]);
    assert_eq!(statuses(&outcomes), [409, 409, 200]);
}

#[tokio::test]
async fn a_circle_is_taken_back_though_the_time_is_over() {
    let until = Instant::now() + Duration::from_millis(50);
    let directory = Obedient { ready_at: Some(until), ..Obedient::default() };
    let circle = json!({ "Operations": [group("a", &["b"]), group("b", &["a"])] });

    let outcomes = run_in(&directory, until, circle).await;

    assert_eq!(*directory.asked.lock().unwrap(), ["POST a", "take back a"]);
    assert_eq!(statuses(&outcomes), [409, 503]);
    assert_eq!(*directory.told.lock().unwrap(), ["a 409", "b 503 unbegun"]);
}

#[tokio::test]
async fn what_may_have_been_made_is_taken_back_and_what_cannot_be_is_not_denied() {
    let (asked, outcomes) = run(None, json!([group("sticky", &["unsure"]), group("unsure", &["sticky"])])).await;

    assert_eq!(asked, ["POST sticky", "POST unsure", "take back unsure", "take back sticky"]);
    assert_eq!(statuses(&outcomes), [503, 503]);
}

#[tokio::test]
async fn each_operation_is_told_once_and_as_it_is_answered() {
    let directory = Obedient::default();
    let operations = json!([group("a", &["taken"]), group("taken", &["a"]), group("g", &["a"]), user("ada")]);

    let outcomes = run_in(&directory, Instant::now() + Duration::from_mins(1), json!({ "Operations": operations })).await;

    assert_eq!(statuses(&outcomes), [409, 409, 409, 200]);
    assert_eq!(*directory.told.lock().unwrap(), ["a 409", "taken 409", "g 409 unbegun", "ada 200"]);
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
