//! Our own paths: one spelling each, with the headers of a page, and at our own host.

use http::StatusCode;
use lockstep_tests::harness::http::Agent;

use super::{Gate, headers, title};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g17_an_odd_spelling_leads_nowhere_and_not_to_an_app() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let app = axum::Router::new().fallback(|| async { "the app" });
    let app = tokio::spawn(async move { axum::serve(listener, app).await });
    let gate = Gate::open_before(&format!("[[apps]]\nhosts = [\"127.0.0.1\"]\nupstream = \"http://{upstream}\"")).await;
    gate.provision("ada").await;
    let mut agent = gate.sign_in().await;
    assert_eq!(agent.get(gate.at("/logins")).await.unwrap().text(), "the app");
    for path in [
        "//oauth2/auth",
        "/oauth2//auth",
        "/oauth2/auth/",
        "/OAuth2/auth",
        "/oauth2%2Fauth",
        "/%6Fauth2/auth",
        "/oauth2;a=b/auth",
        "/oauth2/nothing",
        "//login",
        "/login/",
        "/LOGIN",
        "/sso",
        "/sso/acme/",
        "//sso/acme",
        "/callback",
    ] {
        let answer = agent.get(gate.at(path)).await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.header("location"), "", "{path}");
    }
    app.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_has_its_headers_and_every_form_tells_its_origin() {
    let gate = Gate::open().await;
    let mut agent = Agent::new().unwrap();
    for (path, status, referrer) in [
        ("/login", 200, "strict-origin"),
        ("/login/password?email=ada%40acme.example", 200, "strict-origin"),
        ("/oauth2/sign_out", 200, "strict-origin"),
        ("/sso/nobody", 404, "no-referrer"),
        ("/callback/acme-idp", 400, "no-referrer"),
        ("/invite/acme/nothing", 410, "no-referrer"),
        ("/login?rd=a&rd=b", 400, "no-referrer"),
    ] {
        let answer = agent.get(gate.at(path)).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{path}");
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("strict-transport-security", "max-age=63072000"),
            ("referrer-policy", referrer),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'; style-src 'sha256-"), "{path}");
        assert_eq!(answer.text().contains(answer.header("x-request-id")), status != 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_long_or_no_form_is_not_read() {
    let gate = Gate::open().await;
    let mut agent = Agent::new().unwrap();
    let long = "x".repeat(70 * 1024);
    for path in ["/login", "/login/password", "/oauth2/sign_out", "/callback/acme-idp"] {
        let own = headers(&[("sec-fetch-site", "same-origin")]);
        let answer = agent.post_form_with(gate.at(path), &[("rd", long.as_str())], own).await.unwrap();
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    let delete = reqwest::Client::builder().no_proxy().build().unwrap().delete(gate.at("/callback/acme-idp"));
    assert_eq!(delete.send().await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g06_g21_at_a_host_that_is_not_ours_nobody_signs_in() {
    let gate = Gate::open().await;
    let mut agent = Agent::new().unwrap();
    for path in ["/login", "/sso/acme", "/oauth2/start", "/callback/acme-idp?code=a&state=b", "/oauth2/sign_out"] {
        let answer = agent.get_with(gate.at(path), headers(&[("host", "evil.example")])).await.unwrap();
        assert_eq!((answer.status, title(&answer).as_str()), (StatusCode::NOT_FOUND, "There is nothing here"), "{path}");
        assert_eq!(answer.header("location"), "", "{path}");
    }
    let forwarded = headers(&[("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "https")]);
    let start = agent.get_with(gate.at("/sso/acme"), forwarded).await.unwrap();
    let redirect_uri = start.redirect().unwrap().query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned();
    assert_eq!(redirect_uri, gate.at("/callback/acme-idp"), "an untrusted peer's word counts for nothing");
}
