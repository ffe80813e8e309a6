//! I7: what is over stays written down, and whoever bears the name afterwards is somebody new: nothing of the old person opens
//! their account, and they inherit nothing.

use http::{HeaderName, HeaderValue, StatusCode};
use lockstep_tests::{
    harness::{
        http::{Agent, Answer},
        provider::Account,
        services::Program,
    },
    world::{Shape, WORKSPACE, World, text},
};
use serde_json::{Value, json};

use super::patch;

const PASSWORD: &str = "nine quiet lanterns";

/// A form as a page of ours sends it in a browser of today.
async fn post(agent: &mut Agent, url: &str, fields: &[(&str, &str)]) -> Answer {
    let same_origin = [(HeaderName::from_static("sec-fetch-site"), HeaderValue::from_static("same-origin"))];
    agent.post_form_with(url, fields, same_origin.into_iter().collect()).await.unwrap()
}

/// Somebody new with the name and the address of somebody who is gone, whom the provider knows by other identifiers.
async fn successor(world: &World, login: &str) -> String {
    let email = "ada@acme.example";
    let account = Account::new(login, &format!("sub-{login}"), &format!("oid-{login}"), email);
    world.provider.put_account(&account).await.unwrap();
    let person = json!({
        "userName": email, "externalId": format!("oid-{login}"), "active": true, "displayName": "Another Ada",
        "emails": [{ "value": email, "type": "work", "primary": true }],
    });
    let made = world.scim.post("/Users", &person).await.unwrap().expect_status(StatusCode::CREATED).unwrap();
    text(&made.json().unwrap(), "id")
}

async fn actions_about(world: &World, id: &str) -> Vec<String> {
    let exported = world.site.output(Program::Provisioner, &["audit", "export", WORKSPACE], &[]).await.unwrap();
    let records = String::from_utf8(exported.stdout).unwrap();
    records
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|record| record["target"] == id)
        .map(|record| text(&record, "action"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_used_again_opens_nothing_to_whom_it_belonged() {
    let world = World::start(Shape::default()).await.unwrap();
    let ada = world.person("ada").await.unwrap();
    let group = json!({ "displayName": "Board", "members": [{ "value": ada.id }] });
    let group: Value = world.scim.post("/Groups", &group).await.unwrap().json().unwrap();
    let agent = world.sign_in(&ada).await.unwrap();
    let old_cookie = world.cookie(&agent).unwrap();
    world.scim.delete(&format!("/Users/{}", ada.id)).await.unwrap().expect_status(StatusCode::NO_CONTENT).unwrap();

    let new_id = successor(&world, "ada-two").await;

    assert_ne!(new_id, ada.id);
    assert_eq!(world.ask(0, &old_cookie).await.unwrap().status, StatusCode::UNAUTHORIZED, "the old cookie");
    let by_old_link = world.try_sign_in(&mut Agent::new().unwrap(), "ada").await.unwrap();
    assert_eq!(by_old_link.status, StatusCode::FORBIDDEN, "the old identity: {}", by_old_link.text());
    // The provider may still name the old id, as of somebody to come: that is nobody any more.
    let late = patch(&json!([{ "op": "add", "path": "members", "value": [{ "value": ada.id }] }]));
    let path = format!("/Groups/{}", text(&group, "id"));
    world.scim.patch(&path, &late).await.unwrap().expect_status(StatusCode::NO_CONTENT).unwrap();
    let mut agent = Agent::new().unwrap();
    world.try_sign_in(&mut agent, "ada-two").await.unwrap().expect_status(StatusCode::SEE_OTHER).unwrap();
    let allowed = world.ask(0, &world.cookie(&agent).unwrap()).await.unwrap();
    assert_eq!((allowed.status, allowed.header("x-lockstep-user-id")), (StatusCode::OK, new_id.as_str()));
    assert_eq!((allowed.header("x-auth-request-groups"), allowed.header("x-lockstep-roles")), ("", ""), "they begin anew");
    assert_eq!(world.ask(0, &old_cookie).await.unwrap().status, StatusCode::UNAUTHORIZED);
    let shown = world.site.command(&["user", "show", WORKSPACE, &new_id]).await.unwrap();
    assert_eq!((&shown["groups"], &shown["adoption"], &shown["ended_seq"]), (&json!([]), &Value::Null, &json!(0)));
    let old = actions_about(&world, &ada.id).await;
    for action in ["user.created", "user.linked", "session.signed_in", "user.deleted"] {
        assert!(old.iter().any(|kept| kept == action), "{action} of {old:?}");
    }
    assert!(!actions_about(&world, &new_id).await.iter().any(|action| action == "user.deleted"));
    let receipt = world.site.command(&["receipt", "show", WORKSPACE]).await.unwrap();
    assert!(receipt["took_ms"].is_u64(), "{receipt}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_used_again_hands_on_no_identity() {
    let world = World::start(Shape::default()).await.unwrap();
    world.site.command(&["connection", "set", WORKSPACE, &world.connection, "--link", "email"]).await.unwrap();
    let ada = world.person("ada").await.unwrap();
    world.sign_in(&ada).await.unwrap();
    world.scim.delete(&format!("/Users/{}", ada.id)).await.unwrap().expect_status(StatusCode::NO_CONTENT).unwrap();
    let new_id = successor(&world, "ada-two").await;

    let old = world.try_sign_in(&mut Agent::new().unwrap(), "ada").await.unwrap();

    assert_eq!(old.status, StatusCode::FORBIDDEN, "the old subject still says that the address is theirs: {}", old.text());
    let mut agent = Agent::new().unwrap();
    world.try_sign_in(&mut agent, "ada-two").await.unwrap().expect_status(StatusCode::SEE_OTHER).unwrap();
    assert_eq!(world.ask(0, &world.cookie(&agent).unwrap()).await.unwrap().header("x-lockstep-user-id"), new_id);
    world.scim.delete(&format!("/Users/{new_id}")).await.unwrap().expect_status(StatusCode::NO_CONTENT).unwrap();
    // Deleted and made again by the directory under the same externalId, it is the same person.
    let back = world.person("ada").await.unwrap();
    let agent = world.sign_in(&back).await.unwrap();
    assert_eq!(world.ask(0, &world.cookie(&agent).unwrap()).await.unwrap().header("x-lockstep-user-id"), back.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_and_an_invitation_go_with_their_person() {
    let world = World::start(Shape { enforced: false, ..Shape::default() }).await.unwrap();
    let invite = async || world.site.command(&["user", "invite", WORKSPACE, "ada@acme.example"]).await.unwrap();
    let (first, mut agent) = (invite().await, Agent::new().unwrap());
    let fields = [("password", PASSWORD), ("repeat", PASSWORD)];
    post(&mut agent, &text(&first, "setup_url"), &fields).await.expect_status(StatusCode::SEE_OTHER).unwrap();
    let (open, old_cookie) = (text(&invite().await, "setup_url"), world.cookie(&agent).unwrap());
    let id = text(&first, "id");
    world.site.command(&["user", "adopt", WORKSPACE, &id]).await.unwrap();
    world.site.command(&["user", "login-method", WORKSPACE, &id, "password"]).await.unwrap();
    let fresh = text(&invite().await, "setup_url");
    post(&mut Agent::new().unwrap(), &fresh, &fields).await.expect_status(StatusCode::SEE_OTHER).unwrap();
    let log_in = async || {
        let (mut agent, url) = (Agent::new().unwrap(), format!("{}/login/password", world.public_url));
        let answer = post(&mut agent, &url, &[("email", "ada@acme.example"), ("password", PASSWORD), ("rd", "/")]).await;
        answer.status
    };
    assert_eq!(log_in().await, StatusCode::SEE_OTHER, "so far it opens");
    let last = text(&invite().await, "setup_url");
    world.scim.delete(&format!("/Users/{id}")).await.unwrap().expect_status(StatusCode::NO_CONTENT).unwrap();

    let new_id = successor(&world, "ada-two").await;

    assert_eq!(log_in().await, StatusCode::OK, "the form again");
    world.site.command(&["user", "login-method", WORKSPACE, &new_id, "password"]).await.unwrap();
    assert_eq!(log_in().await, StatusCode::OK, "nor when the new person has a password of their own to set");
    for link in [&open, &last] {
        assert_eq!(Agent::new().unwrap().get(link).await.unwrap().status, StatusCode::GONE);
    }
    assert_eq!(world.ask(0, &old_cookie).await.unwrap().status, StatusCode::UNAUTHORIZED);
}
