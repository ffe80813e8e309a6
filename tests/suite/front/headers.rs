//! What the app behind nginx is told: the gateway's word and nobody else's, whatever a client sends in whatever spelling.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use lockstep_tests::{harness::http::Agent, world::WORKSPACE};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::House;

const FORGED: &str = "forged";
const IDENTITY: [&str; 9] = [
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-lockstep-workspace",
    "x-lockstep-user-id",
    "x-lockstep-roles",
    "x-lockstep-teams",
    "x-lockstep-jwt",
];
/// What else an app may take for who or what a request is.
const OTHERS: [&str; 16] = [
    "x-auth-request-access-token",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-prefix",
    "x-forwarded-uri",
    "x-remote-user",
    "remote-user",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-http-method-override",
    "x-method-override",
    "forwarded",
];

/// Every spelling that some server reads as this name.
fn spellings(name: &str) -> Vec<String> {
    let upper = name.to_ascii_uppercase();
    let with = |sign: &str| name.replace('-', sign);
    let last = name.rfind('-').map(|at| format!("{}_{}", &name[..at], &name[at + 1..]));
    [
        name.to_owned(),
        upper,
        with("_"),
        with("."),
        with("+"),
        with(" "),
        format!("{name} "),
        format!("{name}\t"),
        format!(" {name}"),
    ]
    .into_iter()
    .chain(last)
    .collect()
}

/// What the app was told, when it answers as JSON; `None` where the request did not get to it.
fn told(body: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let page: Value = serde_json::from_str(body).ok()?;
    serde_json::from_value(page.get("headers")?.clone()).ok()
}

/// Sends lines as they are, which no HTTP client would, and returns the body of the answer.
async fn send_raw(house: &House, lines: &[String]) -> String {
    let address = ("127.0.0.1", house.nginx.port());
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "GET /x HTTP/1.1\r\nHost: localhost:{}\r\nAccept: application/json\r\nConnection: close\r\n{}\r\n\r\n",
        house.nginx.port(),
        lines.join("\r\n")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

fn as_json() -> HeaderMap {
    [(http::header::ACCEPT, HeaderValue::from_static("application/json"))].into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_g3_g4_p12_no_spelling_of_a_forged_header_gets_to_the_app() {
    let house = House::build().await;
    let (ada, agent) = house.somebody_signed_in("ada").await;
    let cookie = format!("Cookie: {}", house.world.cookie(&agent).unwrap());
    let honest = told(&send_raw(&house, std::slice::from_ref(&cookie)).await).unwrap();
    for (name, value) in [
        ("x-auth-request-user", ada.id.as_str()),
        ("x-lockstep-user-id", &ada.id),
        ("x-auth-request-email", &ada.email),
        ("x-auth-request-preferred-username", &ada.email),
        ("x-lockstep-workspace", WORKSPACE),
    ] {
        assert_eq!(honest[name], [value], "{name}");
    }
    assert_eq!(honest["x-lockstep-jwt"][0].split('.').count(), 3);
    let mut reached = 0;
    for name in IDENTITY.into_iter().chain(OTHERS) {
        for spelling in spellings(name) {
            for lines in [
                vec![format!("{spelling}: {FORGED}"), cookie.clone()],
                vec![cookie.clone(), format!("{spelling}: {FORGED}"), format!("{spelling}: {FORGED}")],
                vec![cookie.clone(), format!("Connection: {spelling}"), format!("{spelling}:{FORGED}")],
            ] {
                // nginx refuses some spellings as no HTTP; then nothing has got anywhere.
                let Some(seen) = told(&send_raw(&house, &lines).await) else { continue };
                reached += 1;

                assert!(!seen.values().flatten().any(|value| value.contains(FORGED)), "{lines:?}: {seen:?}");
                for identity in IDENTITY.into_iter().filter(|identity| *identity != "x-lockstep-jwt") {
                    assert_eq!(seen.get(identity), honest.get(identity), "{lines:?}");
                }
            }
        }
    }
    assert!(reached > 300, "{reached} requests got through to the app, without what was forged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_keeps_its_cookies_and_never_sees_the_session() {
    let house = House::build().await;
    let (_, agent) = house.somebody_signed_in("ada").await;
    let session = house.world.cookie(&agent).unwrap();
    assert!(session.starts_with("__Host-lockstep="), "{session}");
    for (sent, wanted) in [
        (session.clone(), None),
        (format!("{session}; theme=dark; cart=1=2"), Some("theme=dark; cart=1=2")),
        (format!("theme=dark; {session}"), Some("theme=dark")),
        (format!("theme=dark; {session}; cart=1=2"), Some("theme=dark; cart=1=2")),
        (format!("theme=dark;{session};cart=1=2"), Some("theme=dark;cart=1=2")),
        (format!("a__Host-lockstep=x; {session}; __Host-lockstepping=y"), Some("a__Host-lockstep=x; __Host-lockstepping=y")),
    ] {
        let seen = told(&send_raw(&house, &[format!("Cookie: {sent}")]).await).unwrap_or_else(|| panic!("{sent}"));

        assert_eq!(seen.get("cookie").map(|lines| lines.join("|")).as_deref(), wanted, "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_signed_in_is_sent_to_sign_in_where_a_page_is_opened_and_nowhere_else() {
    let house = House::build().await;
    let (_, mut signed_in) = house.somebody_signed_in("ada").await;
    let mut nobody = Agent::new().unwrap();

    let page = nobody.get(house.at("/a?b=c&d=%26")).await.unwrap();
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let start = page.redirect().unwrap();
    assert_eq!(start.path(), format!("/sso/{WORKSPACE}"));
    assert_eq!(start.query_pairs().collect::<Vec<_>>(), [("rd".into(), "/a?b=c&d=%26".into())]);

    let form = nobody.post_form(house.at("/a"), &[("comment", "a long text")]).await.unwrap();
    assert_eq!((form.status, form.header("location")), (StatusCode::UNAUTHORIZED, ""));
    assert!(!form.text().contains("a long text"));
    for mode in ["cors", "same-origin", "no-cors"] {
        let script = [(HeaderName::from_static("sec-fetch-mode"), HeaderValue::from_static(mode))].into_iter().collect();
        let asked = nobody.get_with(house.at("/api"), script).await.unwrap();
        assert_eq!((asked.status, asked.header("location")), (StatusCode::UNAUTHORIZED, ""), "{mode}");
    }
    for path in ["/oauth2/auth", "/_lockstep/page/401", "/%5Flockstep/page/401", "/oauth2//auth"] {
        let asked = signed_in.get(house.at(path)).await.unwrap();
        assert_eq!(asked.status, StatusCode::NOT_FOUND, "{path} is nginx's alone");
        assert_eq!(asked.header("x-auth-request-user"), "", "{path}");
    }
    assert_eq!(house.app.requests(), 0);

    let posted = signed_in.post_form_with(house.at("/a"), &[("comment", "a long text")], as_json()).await.unwrap();
    assert_eq!(posted.status, StatusCode::OK);
    assert_eq!(posted.json::<Value>().unwrap()["method"], Method::POST.as_str());
    assert_eq!(posted.header("set-cookie"), "", "a click sets no cookie");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_ended_gets_one_page_and_no_redirect() {
    let house = House::build().await;
    let (ada, mut agent) = house.somebody_signed_in("ada").await;
    assert_eq!(agent.get(house.at("/a")).await.unwrap().status, StatusCode::OK);
    house.world.deactivate(&ada).await.unwrap().expect_status(StatusCode::OK).unwrap();

    for attempt in 0..3 {
        let page = agent.get(house.at("/a")).await.unwrap();

        assert_eq!((page.status, page.header("location")), (StatusCode::FORBIDDEN, ""), "attempt {attempt}");
        assert_eq!(page.header("set-cookie"), "", "the cookie stays, and with it the reason");
        assert!(page.text().contains("Your access was removed"), "{}", page.text());
    }
    let form = agent.post_form(house.at("/a"), &[]).await.unwrap();
    assert_eq!((form.status, form.header("location")), (StatusCode::UNAUTHORIZED, ""));
}
