//! Chromium opens a page, keeps the cookies that Lockstep sets, signs in at the provider and sees nothing but loopback.

use lockstep_tests::harness::{
    Scratch,
    browser::Browser,
    nginx::Nginx,
    provider::{Account, Client, Provider},
};

use super::{CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, authorization_url};

const SERVER: &str = r#"
    add_header Set-Cookie "__Host-test=1; Path=/; Secure; HttpOnly; SameSite=Lax" always;
    default_type text/html;
    location = / { return 200 "<!doctype html><title>Home</title><h1>Welcome</h1>"; }
    location = /cookies { return 200 "<!doctype html><title>Cookies</title><p>[$http_cookie]</p>"; }
"#;

#[tokio::test]
async fn chromium_shows_a_page_and_keeps_host_cookies_on_loopback() {
    let nginx = Nginx::start(|port| format!("server {{ listen 127.0.0.1:{port}; {SERVER} }}")).await.unwrap();
    let base = format!("http://localhost:{}", nginx.port());
    let pictures = Scratch::new("pictures").unwrap();
    let browser = Browser::open().await.unwrap();

    browser.goto(&base).await.unwrap();
    assert_eq!(browser.text().await.unwrap(), "Welcome");
    browser.goto(&format!("{base}/cookies")).await.unwrap();
    assert_eq!(browser.text().await.unwrap(), "[__Host-test=1]", "a Secure cookie is kept on localhost without TLS");
    let picture = pictures.path().join("page.png");
    browser.screenshot(&picture).await.unwrap();
    let outside = browser.goto("http://example.com/").await;

    assert!(std::fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
    assert!(outside.unwrap_err().to_string().contains("refused"), "names outside loopback do not resolve");
    browser.close().await.unwrap();
}

#[tokio::test]
async fn a_person_signs_in_at_the_provider_with_a_browser() {
    let ada = Account::new("ada", "sub-ada", "oid-ada", "ada@acme.example");
    let nginx = Nginx::start(|port| {
        format!(
            "server {{ listen 127.0.0.1:{port}; default_type text/html; location / {{ return 200 \"<p id=back>back</p>\"; }} }}"
        )
    })
    .await
    .unwrap();
    let home = format!("http://localhost:{}/callback", nginx.port());
    let client = Client::new(CLIENT_ID, CLIENT_SECRET, &home);
    let provider = Provider::start(&[ada], &[client]).await.unwrap();
    let metadata = provider.metadata().await.unwrap();
    let url = authorization_url(metadata["authorization_endpoint"].as_str().unwrap());
    let url = url.as_str().replace(&encoded(REDIRECT_URI), &encoded(&home));
    let browser = Browser::open().await.unwrap();

    browser.goto(&url).await.unwrap();
    browser.fill("#login", "ada").await.unwrap();
    browser.click("#submit").await.unwrap();
    browser.wait_for("#back").await.unwrap();

    let arrived = browser.url().await.unwrap();
    assert!(arrived.as_str().starts_with(&home), "{arrived}");
    assert!(super::parameter(&arrived, "code").is_some(), "{arrived}");
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
