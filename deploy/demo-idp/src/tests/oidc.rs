//! Signing in, as a relying party and as somebody who pretends to be one.

use reqwest::{Response, StatusCode, header};
use serde_json::Value;

use super::{http, location, query};
use crate::{DemoProvider, Options, Person, Running};

const CALLBACK: &str = "http://127.0.0.1:9/callback/acme";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

async fn provider() -> Running {
    let running = DemoProvider::start(Options::default()).await.unwrap();
    running.set_redirect_uris(vec![CALLBACK.into()]);
    running
}

fn ada(running: &Running) -> Person {
    running.find("ada.okafor@acme.example").unwrap()
}

fn request<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut params = vec![
        ("client_id", "lockstep"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("scope", "openid email profile"),
        ("state", "s1"),
        ("nonce", "n1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    params.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    params.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    params
}

async fn authorize(running: &Running, changes: &[(&str, &str)], cookie: &str) -> Response {
    let url = format!("{}/authorize", running.issuer());
    http().get(url).query(&request(changes)).header(header::COOKIE, cookie).send().await.unwrap()
}

async fn press(running: &Running, person: &Person) -> Response {
    let url = format!("{}/sign-in", running.issuer());
    http().post(url).query(&request(&[])).form(&[("person", person.id.as_str())]).send().await.unwrap()
}

fn cookie(response: &Response) -> String {
    response.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
}

async fn code(running: &Running, person: &Person) -> String {
    query(&location(&press(running, person).await), "code").unwrap()
}

async fn token(running: &Running, changes: &[(&str, &str)]) -> (StatusCode, Value) {
    let client = running.client();
    let mut form = vec![("grant_type", "authorization_code"), ("redirect_uri", CALLBACK), ("code_verifier", VERIFIER)];
    form.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    form.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    let url = format!("{}/token", running.issuer());
    let response = http().post(url).basic_auth(&client.id, Some(&client.secret)).form(&form).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_sign_in_ends_in_a_signed_id_token() {
    let running = provider().await;
    let ada = ada(&running);

    let pressed = press(&running, &ada).await;
    let back = location(&pressed);
    let (status, tokens) = token(&running, &[("code", &query(&back, "code").unwrap())]).await;

    assert_eq!(pressed.status(), StatusCode::SEE_OTHER);
    assert!(cookie(&pressed).starts_with("demo_idp_session="));
    assert_eq!((query(&back, "state").as_deref(), query(&back, "iss").as_deref()), (Some("s1"), Some(running.issuer())));
    assert_eq!(status, StatusCode::OK);
    let keys: Value = http().get(format!("{}/jwks", running.issuer())).send().await.unwrap().json().await.unwrap();
    let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(keys["keys"][0].clone()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.set_audience(&["lockstep"]);
    validation.set_issuer(&[running.issuer()]);
    let key = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
    let claims = jsonwebtoken::decode::<Value>(tokens["id_token"].as_str().unwrap(), &key, &validation).unwrap().claims;
    assert_eq!(claims["oid"], ada.id.as_str());
    assert_eq!(claims["email"], "ada.okafor@acme.example");
    assert_eq!(claims["email_verified"], true);
    assert_eq!(claims["name"], "Ada Okafor");
    assert_eq!(claims["nonce"], "n1");
    assert!(claims["sid"].as_str().is_some_and(|sid| !sid.is_empty()));
    assert_ne!(claims["sub"], claims["oid"]);

    let userinfo = http().get(format!("{}/userinfo", running.issuer())).bearer_auth(tokens["access_token"].as_str().unwrap());
    let userinfo: Value = userinfo.send().await.unwrap().json().await.unwrap();
    assert_eq!(userinfo["sub"], claims["sub"]);
    running.stop().await;
}

#[tokio::test]
async fn discovery_names_the_issuer_it_was_read_from() {
    let running = provider().await;

    let url = format!("{}/.well-known/openid-configuration", running.issuer());
    let document: Value = http().get(url).send().await.unwrap().json().await.unwrap();

    assert_eq!(document["issuer"], running.issuer());
    assert_eq!(document["token_endpoint"], format!("{}/token", running.issuer()));
    assert_eq!(document["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    running.stop().await;
}

#[tokio::test]
async fn a_wrong_verifier_is_refused_and_the_code_is_spent() {
    let running = provider().await;
    let code = code(&running, &ada(&running)).await;

    let (status, body) = token(&running, &[("code", &code), ("code_verifier", &"x".repeat(43))]).await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));

    let (status, _) = token(&running, &[("code", &code)]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    running.stop().await;
}

#[tokio::test]
async fn a_code_works_once_and_its_reuse_ends_the_access_token() {
    let running = provider().await;
    let code = code(&running, &ada(&running)).await;

    let (first, tokens) = token(&running, &[("code", &code)]).await;
    let (second, body) = token(&running, &[("code", &code)]).await;

    assert_eq!(first, StatusCode::OK);
    assert_eq!((second, &body["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));
    let userinfo = http().get(format!("{}/userinfo", running.issuer())).bearer_auth(tokens["access_token"].as_str().unwrap());
    assert_eq!(userinfo.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    running.stop().await;
}

#[tokio::test]
async fn token_requests_that_lack_something_are_refused_by_name() {
    let running = provider().await;
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[("code", "x"), ("grant_type", "password")], "unsupported_grant_type"),
        (&[("code", "x"), ("code_verifier", "")], "invalid_request"),
        (&[("code", "never-issued")], "invalid_grant"),
        (&[("code", "x"), ("client_secret", "also-here")], "invalid_request"),
    ];
    for (changes, error) in cases {
        let (status, body) = token(&running, changes).await;
        assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &error.into()), "{changes:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn the_client_proves_itself_by_header_or_by_form() {
    let running = provider().await;
    let client = running.client();
    let url = format!("{}/token", running.issuer());
    let form = |code: String, secret: &str| {
        let fields = [
            ("grant_type", "authorization_code"),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("client_id", "lockstep"),
        ];
        let mut form: Vec<(String, String)> = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        form.extend([("code".to_owned(), code), ("client_secret".to_owned(), secret.to_owned())]);
        form
    };

    let good = http().post(&url).form(&form(code(&running, &ada(&running)).await, &client.secret)).send().await.unwrap();
    let bad = http().post(&url).form(&form(code(&running, &ada(&running)).await, "wrong")).send().await.unwrap();
    let wrong = http().post(&url).basic_auth("lockstep", Some("wrong")).form(&form(String::new(), "")[..4]).send().await.unwrap();

    assert_eq!(good.status(), StatusCode::OK);
    assert_eq!(bad.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    assert!(wrong.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic"));
    running.stop().await;
}

#[tokio::test]
async fn nobody_is_sent_to_an_unregistered_address() {
    let running = provider().await;

    for uri in ["http://127.0.0.1:9/callback/acme/", "http://127.0.0.1:9/callback/acme?x", "https://evil.example/", ""] {
        let response = authorize(&running, &[("redirect_uri", uri)], "").await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{uri}");
        assert!(!response.headers().contains_key(header::LOCATION), "{uri}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_request_without_s256_is_told_so_at_the_client() {
    let running = provider().await;

    let response = authorize(&running, &[("code_challenge_method", "plain")], "").await;

    let back = location(&response);
    assert_eq!(query(&back, "error").as_deref(), Some("invalid_request"));
    assert_eq!((query(&back, "state").as_deref(), query(&back, "iss").as_deref()), (Some("s1"), Some(running.issuer())));
    running.stop().await;
}

#[tokio::test]
async fn somebody_who_is_switched_off_cannot_sign_in() {
    let running = provider().await;
    let ada = ada(&running);
    running.deactivate(&ada.id).await.unwrap();

    let response = press(&running, &ada).await;

    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!response.headers().contains_key(header::SET_COOKIE));
    assert!(response.text().await.unwrap().contains("You cannot sign in"));
    running.stop().await;
}

#[tokio::test]
async fn switching_somebody_off_ends_session_code_and_access_token() {
    let running = provider().await;
    let ada = ada(&running);
    let pressed = press(&running, &ada).await;
    let (session, unspent) = (cookie(&pressed), query(&location(&pressed), "code").unwrap());
    let spent = code(&running, &ada).await;
    let (_, tokens) = token(&running, &[("code", &spent)]).await;

    running.deactivate(&ada.id).await.unwrap();

    assert_eq!(authorize(&running, &[], &session).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(token(&running, &[("code", &unspent)]).await.0, StatusCode::BAD_REQUEST);
    let userinfo = http().get(format!("{}/userinfo", running.issuer())).bearer_auth(tokens["access_token"].as_str().unwrap());
    assert_eq!(userinfo.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);

    running.activate(&ada.id).await.unwrap();
    assert_eq!(
        authorize(&running, &[], &session).await.status(),
        StatusCode::OK,
        "the old session is not raised again: the page asks"
    );
    running.stop().await;
}

#[tokio::test]
async fn a_session_answers_at_once_unless_the_request_wants_more() {
    let running = provider().await;
    let session = cookie(&press(&running, &ada(&running)).await);
    let asks = |response: &Response| response.status() == StatusCode::OK;
    let gets = |response: &Response, name: &str| {
        response.status() == StatusCode::SEE_OTHER && query(&location(response), name).is_some()
    };

    assert!(gets(&authorize(&running, &[], &session).await, "code"));
    assert!(gets(&authorize(&running, &[("prompt", "none")], &session).await, "code"));
    assert!(gets(&authorize(&running, &[("login_hint", "Ada.Okafor@acme.example")], &session).await, "code"));
    assert!(asks(&authorize(&running, &[("prompt", "login")], &session).await));
    assert!(asks(&authorize(&running, &[("login_hint", "priya.raman@acme.example")], &session).await));
    assert!(asks(&authorize(&running, &[], "demo_idp_session=forged").await));
    assert!(gets(&authorize(&running, &[("prompt", "none")], "").await, "error"));
    running.stop().await;
}

#[tokio::test]
async fn a_parameter_that_comes_twice_is_refused() {
    let running = provider().await;
    let mut params = request(&[]);
    params.push(("nonce", "n2"));

    let response = http().get(format!("{}/authorize", running.issuer())).query(&params).send().await.unwrap();

    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    running.stop().await;
}

#[tokio::test]
async fn a_page_of_another_site_cannot_press_our_buttons() {
    let running = provider().await;
    let ada = ada(&running);
    let presses = [("/sign-in", "person"), ("/sign-out", "state"), ("/sync", "x"), ("/people", "x")];

    for (path, field) in presses {
        let url = format!("{}{path}", running.issuer());
        let press = http().post(url).query(&request(&[])).form(&[(field, ada.id.as_str())]);
        let response =
            press.header("sec-fetch-site", "cross-site").header(header::ORIGIN, "https://evil.example").send().await.unwrap();
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
    }
    running.stop().await;
}

#[tokio::test]
async fn sign_out_asks_unless_the_hint_names_the_session() {
    let running = provider().await;
    running.set_post_logout_redirect_uris(vec!["http://127.0.0.1:9/bye".into()]);
    let pressed = press(&running, &ada(&running)).await;
    let (session, code) = (cookie(&pressed), query(&location(&pressed), "code").unwrap());
    let (_, tokens) = token(&running, &[("code", &code)]).await;
    let hint = tokens["id_token"].as_str().unwrap();
    let logout = async |params: &[(&str, &str)]| {
        http().get(format!("{}/logout", running.issuer())).query(params).header(header::COOKIE, &session).send().await.unwrap()
    };

    assert_eq!(logout(&[]).await.status(), StatusCode::OK, "asks");
    assert_eq!(authorize(&running, &[], &session).await.status(), StatusCode::SEE_OTHER, "still signed in");
    let foreign = [("id_token_hint", hint), ("post_logout_redirect_uri", "https://evil.example/")];
    assert_eq!(logout(&foreign).await.status(), StatusCode::BAD_REQUEST);
    let done = logout(&[("id_token_hint", hint), ("post_logout_redirect_uri", "http://127.0.0.1:9/bye"), ("state", "x")]).await;

    assert_eq!(location(&done).as_str(), "http://127.0.0.1:9/bye?state=x");
    assert_eq!(authorize(&running, &[], &session).await.status(), StatusCode::OK, "the page asks again");
    running.stop().await;
}
