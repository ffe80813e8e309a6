//! The SCIM client against a server that writes everything down: the exact bytes of Entra's default job.

use std::time::Duration;

use reqwest::header;
use serde_json::json;

use super::scim_server::{Instead, ScimServer};
use crate::{Action, DemoProvider, Directory, NewPerson, Options, PersonId, Running, acme};

async fn provider(directory: Directory, server: &ScimServer) -> Running {
    let options = Options { directory, ..Options::default() };
    let running = DemoProvider::start(options).await.unwrap();
    running.configure_scim(&server.base(), "secret-token").unwrap();
    running
}

/// A company of one, in no group: each exchange counts.
fn tiny() -> (Directory, PersonId) {
    let mut directory = Directory::new("Tiny", "tiny.example");
    let new =
        NewPerson { given_name: "Ada".into(), family_name: "Okafor".into(), title: "Engineer".into(), ..NewPerson::default() };
    let id = directory.add(&new).unwrap();
    (directory, id)
}

async fn one_person(server: &ScimServer) -> (Running, PersonId) {
    let (directory, id) = tiny();
    (provider(directory, server).await, id)
}

/// Waits for a second where Entra waits for a minute.
async fn impatient(server: &ScimServer) -> (Running, PersonId) {
    let (directory, id) = tiny();
    let options = Options { directory, scim_limit: Duration::from_secs(1), ..Options::default() };
    let running = DemoProvider::start(options).await.unwrap();
    running.configure_scim(&server.base(), "secret-token").unwrap();
    (running, id)
}

const FIND: &str = "GET /Users?filter=userName%20eq%20%22ada.okafor%40tiny.example%22";

#[tokio::test]
async fn a_person_is_looked_up_and_created_as_entra_does() {
    let server = ScimServer::start().await;
    let (running, id) = one_person(&server).await;

    let report = running.sync().await;

    let recorded = server.take();
    assert!(report.is_confirmed());
    assert_eq!(recorded.iter().map(|one| one.line.as_str()).collect::<Vec<_>>(), [FIND, "POST /Users"]);
    let expected = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "externalId": id, "userName": "ada.okafor@tiny.example", "active": true, "displayName": "Ada Okafor",
        "emails": [{"primary": true, "type": "work", "value": "ada.okafor@tiny.example"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "Ada Okafor", "familyName": "Okafor", "givenName": "Ada"},
        "roles": [], "title": "Engineer",
    });
    assert_eq!(recorded[1].body.to_string(), expected.to_string(), "in Entra's order of members too");
    assert_eq!(recorded[1].headers[header::AUTHORIZATION], "Bearer secret-token");
    assert_eq!(recorded[1].headers[header::CONTENT_TYPE], "application/scim+json; charset=utf-8");
    assert_eq!(recorded[1].headers[header::ACCEPT], "application/scim+json");
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn somebody_is_switched_off_and_on_by_a_word() {
    let server = ScimServer::start().await;
    let (running, id) = one_person(&server).await;
    running.sync().await;
    server.take();

    let off = running.deactivate(&id).await.unwrap();
    let on = running.activate(&id).await.unwrap();

    let body = |value: &str| {
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
               "Operations": [{"op": "Replace", "path": "active", "value": value}]})
    };
    let recorded = server.take();
    assert_eq!(recorded.iter().map(|one| one.line.as_str()).collect::<Vec<_>>(), ["PATCH /Users/u0", "PATCH /Users/u0"]);
    assert_eq!(recorded[0].body.to_string(), body("False").to_string());
    assert_eq!(recorded[1].body.to_string(), body("True").to_string());
    assert_eq!(off.find(Action::Deactivate).unwrap().status, Some(204));
    assert!(on.is_confirmed());
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn the_first_sync_sends_people_then_groups_with_their_members() {
    let server = ScimServer::start().await;
    let running = provider(acme(), &server).await;

    let report = running.sync().await;

    assert!(report.is_confirmed());
    let recorded = server.take();
    let group = recorded.iter().position(|one| one.line == "POST /Groups").unwrap();
    assert_eq!(recorded[group - 1].line, "GET /Groups?excludedAttributes=members&filter=displayName%20eq%20%22Engineering%22");
    let expected = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group", "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": running.groups()[0].id, "displayName": "Engineering", "meta": {"resourceType": "Group"},
    });
    assert_eq!(recorded[group].body.to_string(), expected.to_string());
    assert_eq!(recorded[group + 1].line, "PATCH /Groups/g6");
    let expected = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "Add", "path": "members", "value": [
            {"$ref": null, "value": "u0"}, {"$ref": null, "value": "u1"}, {"$ref": null, "value": "u3"}]}],
    });
    assert_eq!(recorded[group + 1].body.to_string(), expected.to_string());
    assert!(running.sync().await.requests.is_empty(), "the second sync has nothing to say");
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_move_removes_from_one_group_and_adds_to_another() {
    let server = ScimServer::start().await;
    let running = provider(acme(), &server).await;
    running.sync().await;
    server.take();
    let kenji = running.find("kenji.watanabe@acme.example").unwrap();

    running.set_groups(&kenji.id, &["Finance".into()]).await.unwrap();

    let recorded = server.take();
    let operation = |op: &str| {
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
               "Operations": [{"op": op, "path": "members", "value": [{"$ref": null, "value": "u1"}]}]})
    };
    assert_eq!(recorded.iter().map(|one| one.line.as_str()).collect::<Vec<_>>(), ["PATCH /Groups/g6", "PATCH /Groups/g7"]);
    assert_eq!(recorded[0].body.to_string(), operation("Remove").to_string());
    assert_eq!(recorded[1].body.to_string(), operation("Add").to_string());
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_sent_again_by_the_next_sync() {
    let server = ScimServer::start().await;
    let (running, id) = impatient(&server).await;
    running.sync().await;
    server.take();
    server.plan([Instead::LoseAnswer]);

    let report = running.deactivate(&id).await.unwrap();
    assert_eq!(report.requests[0].status, None);
    assert!(report.requests[0].failure.as_deref().unwrap().starts_with("no answer within"));

    let again = running.sync().await;
    assert!(again.is_confirmed());
    assert_eq!(again.requests[0].action, Action::Deactivate);
    assert!(running.sync().await.requests.is_empty());
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_lost_answer_to_a_creation_creates_nobody_twice() {
    let server = ScimServer::start().await;
    let (running, _) = impatient(&server).await;
    server.plan([Instead::Serve, Instead::LoseAnswer]);

    assert!(!running.sync().await.is_confirmed());
    assert!(running.sync().await.is_confirmed());

    assert_eq!(server.lines(), [FIND, "POST /Users", FIND]);
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_stays_to_be_sent_and_the_rest_goes_on() {
    let server = ScimServer::start().await;
    let running = provider(acme(), &server).await;
    server.plan([Instead::Serve, Instead::Refuse(503)]);

    let first = running.sync().await;
    let second = running.sync().await;

    assert_eq!(first.requests[1].status, Some(503));
    assert_eq!(first.requests[1].failure.as_deref(), Some("as planned"));
    assert_eq!(first.requests.iter().filter(|one| one.action == Action::CreateUser && one.is_confirmed()).count(), 5);
    let actions: Vec<_> = second.requests.iter().map(|one| (one.action, one.is_confirmed())).collect();
    let done = [Action::FindUser, Action::CreateUser, Action::AddMembers, Action::AddMembers].map(|action| (action, true));
    assert_eq!(actions, done, "Ada alone, and her two groups");
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_refused_token_stops_the_round_until_there_is_a_new_one() {
    let server = ScimServer::start().await;
    let running = provider(acme(), &server).await;
    server.plan([Instead::Refuse(401)]);

    assert_eq!(running.sync().await.requests.len(), 1);

    running.configure_scim(&format!("{}/", server.base()), "new-token").unwrap();
    assert!(running.sync().await.is_confirmed());
    assert_eq!(server.take()[1].headers[header::AUTHORIZATION], "Bearer new-token");
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn somebody_whom_the_server_knows_is_joined_and_set_right() {
    let server = ScimServer::start().await;
    let (running, id) = one_person(&server).await;
    server.put("/Users/u9", json!({"id": "u9", "userName": "ada.okafor@tiny.example", "active": true}));

    running.deactivate(&id).await.unwrap();

    assert_eq!(server.lines(), [FIND, "PATCH /Users/u9"]);
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn somebody_who_is_off_and_unknown_is_not_created() {
    let server = ScimServer::start().await;
    let (running, id) = one_person(&server).await;

    running.deactivate(&id).await.unwrap();

    assert_eq!(server.lines(), [FIND]);
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn somebody_whom_the_server_lost_is_created_anew() {
    let server = ScimServer::start().await;
    let (running, id) = one_person(&server).await;
    running.sync().await;
    server.remove("/Users/u0");

    let off = running.deactivate(&id).await.unwrap();
    running.activate(&id).await.unwrap();

    assert_eq!(off.requests[0].status, Some(404));
    assert_eq!(server.lines()[2..], ["PATCH /Users/u0", FIND, "POST /Users"]);
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn an_id_that_could_leave_its_path_is_no_id() {
    let server = ScimServer::start().await;
    let (running, id) = one_person(&server).await;
    server.put("/Users/x", json!({"id": "../../admin", "userName": "ada.okafor@tiny.example", "active": true}));

    running.deactivate(&id).await.unwrap();

    assert_eq!(server.lines(), [FIND]);
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn with_settings_at_the_start_everything_is_sent_unasked() {
    let server = ScimServer::start().await;
    let scim = crate::ScimSettings { base_url: server.base(), token: "t".into() };
    let running = DemoProvider::start(Options { scim: Some(scim), ..Options::default() }).await.unwrap();

    running.sync().await;

    assert_eq!(running.sent().iter().filter(|one| one.action == Action::CreateUser).count(), 6, "once each, whoever was first");
    assert_eq!(server.lines().iter().filter(|line| *line == "POST /Groups").count(), 3);
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_base_that_is_no_plain_http_url_is_refused() {
    let running = DemoProvider::start(Options::default()).await.unwrap();

    for base in ["", "acme", "https://scim.example/v2", "http://127.0.0.1/scim?x", "file:///tmp"] {
        assert!(running.configure_scim(base, "t").is_err(), "{base}");
    }
    running.stop().await;
}

#[tokio::test]
async fn presses_side_by_side_end_as_the_directory_ends() {
    let server = ScimServer::start().await;
    let (running, id) = one_person(&server).await;
    running.sync().await;

    let presses = (0..20).map(|press| {
        let (running, id) = (running.clone(), id.clone());
        async move { if press % 2 == 0 { running.deactivate(&id).await } else { running.activate(&id).await } }
    });
    futures_util::future::join_all(presses).await;

    let active = running.find(id.as_str()).unwrap().active;
    assert_eq!(server.get("/Users/u0").unwrap()["active"], active);
    assert!(running.sync().await.requests.is_empty(), "nothing was left unsaid");
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_round_goes_on_when_whoever_asked_hangs_up() {
    let server = ScimServer::start().await;
    let (running, id) = one_person(&server).await;
    running.sync().await;
    server.plan([Instead::Hold]);

    let (page, id) = (running.clone(), id.clone());
    let press = tokio::spawn(async move { page.deactivate(&id).await });
    server.held().await;
    press.abort();
    assert!(press.await.unwrap_err().is_cancelled());
    server.release();
    let left = running.sync().await;

    assert!(left.requests.is_empty(), "the deactivation was confirmed: {left:?}");
    assert_eq!(running.sent()[0].action, Action::Deactivate);
    running.stop().await;
    server.stop().await;
}
