//! The control API and the directory page.

use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use super::{http, scim_server::ScimServer};
use crate::{DemoProvider, Options, Running, ScimSettings};

async fn started() -> (Running, ScimServer) {
    let server = ScimServer::start().await;
    let scim = ScimSettings { base_url: server.base(), token: "t".into() };
    let running = DemoProvider::start(Options { scim: Some(scim), ..Options::default() }).await.unwrap();
    running.sync().await;
    server.take();
    (running, server)
}

async fn post(running: &Running, path: &str, body: Value) -> (StatusCode, Value) {
    let response = http().post(format!("{}{path}", running.issuer())).json(&body).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_change_answers_with_what_was_sent_for_it() {
    let (running, server) = started().await;

    let (status, body) = post(&running, "/api/people/priya.raman@acme.example/active", json!({"active": false})).await;

    assert_eq!(status, StatusCode::OK);
    assert_eq!((&body["person"]["active"], &body["confirmed"]), (&json!(false), &json!(true)));
    let request = &body["requests"][0];
    assert_eq!(
        (&request["action"], &request["method"], &request["status"]),
        (&json!("deactivate"), &json!("PATCH"), &json!(204))
    );
    assert_eq!(request["body"]["Operations"][0]["value"], "False");
    assert!(request["ms"].as_f64().is_some_and(|ms| ms >= 0.0));
    assert_eq!(body["requests"].as_array().unwrap().len(), 1);
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn somebody_is_added_and_moved_by_the_api() {
    let (running, server) = started().await;

    let new = json!({"given_name": "Noor", "family_name": "de Vries", "groups": ["Finance"]});
    let (created, body) = post(&running, "/api/people", new).await;
    let id = body["person"]["id"].as_str().unwrap().to_owned();
    let url = format!("{}/api/people/{id}/groups", running.issuer());
    let moved: Value = http().put(url).json(&json!({"groups": ["Admins"]})).send().await.unwrap().json().await.unwrap();

    let actions = |body: &Value| body["requests"].as_array().unwrap().iter().map(|one| one["action"].clone()).collect::<Vec<_>>();
    assert_eq!(created, StatusCode::CREATED);
    assert_eq!(actions(&body), ["find_user", "create_user", "add_members"]);
    assert_eq!(actions(&moved), ["remove_members", "add_members"]);
    assert_eq!(moved["person"]["groups"], json!(["Admins"]));
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_the_api_cannot_do_it_says() {
    let (running, server) = started().await;
    let ada = "/api/people/ada.okafor@acme.example/active";
    let cases = [
        ("/api/people/nobody/active", json!({"active": false}), StatusCode::NOT_FOUND, "no_person"),
        (ada, json!({"active": "False"}), StatusCode::UNPROCESSABLE_ENTITY, "bad_body"),
        (ada, json!({}), StatusCode::UNPROCESSABLE_ENTITY, "bad_body"),
        ("/api/people", json!({"given_name": "Ada", "family_name": "Okafor"}), StatusCode::CONFLICT, "taken"),
        ("/api/people", json!({"given_name": "", "family_name": "X"}), StatusCode::BAD_REQUEST, "bad_name"),
        ("/api/people", json!({"given_name": "A", "family_name": "X", "groups": ["Sales"]}), StatusCode::BAD_REQUEST, "no_group"),
    ];

    for (path, body, status, code) in cases {
        let (got, answer) = post(&running, path, body.clone()).await;
        assert_eq!((got, &answer["error"]["code"]), (status, &json!(code)), "{path} {body}");
    }

    let text = http().post(format!("{}{ada}", running.issuer())).body(r#"{"active":false}"#).send().await.unwrap();
    assert_eq!(text.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "what a foreign form could send is not taken");
    assert!(server.take().is_empty(), "nothing was sent");
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn the_page_works_by_forms_and_tells_what_was_answered() {
    let (running, server) = started().await;
    let ada = running.find("ada.okafor@acme.example").unwrap();
    let press =
        |path: String, form: Vec<(&'static str, String)>| http().post(format!("{}{path}", running.issuer())).form(&form).send();

    let off = press(format!("/people/{}/active", ada.id), vec![("active", "false".into())]).await.unwrap();
    let group = running.groups()[1].id.to_string();
    let moved = press(format!("/people/{}/groups", ada.id), vec![("group", group), ("member", "true".into())]).await.unwrap();
    let page = http().get(running.issuer()).send().await.unwrap();

    assert_eq!((off.status(), moved.status()), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
    assert_eq!(off.headers()[header::LOCATION], format!("/#person-{}", ada.id));
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe-inline"));
    let html = page.text().await.unwrap();
    assert!(html.contains("5 of 6 active"));
    assert!(html.contains("Added to Finance: 204 in "));
    assert!(!running.find(ada.id.as_str()).unwrap().active);
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_name_cannot_become_markup() {
    let (running, server) = started().await;

    let (status, _) = post(&running, "/api/people", json!({"given_name": "<script>alert(1)</script>", "family_name": "X"})).await;
    let html = http().get(running.issuer()).send().await.unwrap().text().await.unwrap();

    assert_eq!(status, StatusCode::CREATED);
    assert!(!html.contains("<script>alert"));
    running.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn an_open_page_hears_of_a_change_and_stops_with_the_provider() {
    let (running, server) = started().await;
    let mut events = http().get(format!("{}/events", running.issuer())).send().await.unwrap();
    let ada = running.find("ada.okafor@acme.example").unwrap();

    running.deactivate(&ada.id).await.unwrap();
    let first = events.chunk().await.unwrap().unwrap();
    running.stop().await;
    while events.chunk().await.unwrap().is_some() {}

    assert!(String::from_utf8_lossy(&first).contains("event: changed"));
    server.stop().await;
}
