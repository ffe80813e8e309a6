//! The protected app.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::header;
use serde_json::{Value, json};

use super::http;
use crate::{RunningApp, SampleApp, SampleAppOptions};

async fn app() -> (RunningApp, String) {
    let options = SampleAppOptions { directory_url: Some("http://127.0.0.1:8100/".into()), ..SampleAppOptions::default() };
    let app = SampleApp::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).await.unwrap();
    let url = format!("http://{}/reports?year=2026", app.address());
    (app, url)
}

#[tokio::test]
async fn every_value_of_every_header_is_shown_as_json() {
    let (app, url) = app().await;

    let request = http().get(url).header(header::ACCEPT, "application/json").header("x-lockstep-roles", "admin, reader");
    let request = request.header("x-auth-request-user", "u1").header("x-auth-request-user", "forged");
    let body: Value = request.send().await.unwrap().json().await.unwrap();

    assert_eq!(body["headers"]["x-auth-request-user"], json!(["u1", "forged"]));
    assert_eq!(body["identity"]["roles"], json!(["admin", "reader"]));
    assert_eq!((&body["path"], &body["requests"]), (&json!("/reports?year=2026"), &json!(1)));
    app.stop().await;
}

#[tokio::test]
async fn the_page_says_who_it_is_or_that_nobody_said() {
    let (app, url) = app().await;

    let known = http().get(&url).header("x-auth-request-email", "ada@acme.example").header("x-lockstep-workspace", "acme");
    let known = known.send().await.unwrap().text().await.unwrap();
    let unknown = http().get(&url).send().await.unwrap().text().await.unwrap();

    assert!(known.contains("ada@acme.example") && known.contains("acme") && known.contains("/oauth2/sign_out"));
    assert!(unknown.contains("did not come through the gateway"));
    assert_eq!(app.requests(), 2);
    app.stop().await;
}
