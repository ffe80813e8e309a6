//! Who the app is told it was, whatever the client says.

use super::*;
use crate::forward::headers::NAMES;

/// What a client may not say, in each spelling that some server reads as the same name.
fn spellings() -> Vec<String> {
    const OTHERS: [&str; 14] = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-groups",
        "x-forwarded-access-token",
        "x-original-url",
        "x-original-uri",
        "x-rewrite-url",
        "x-http-method-override",
        "x-method-override",
        "x-real-ip",
        "x-lockstep-invented-later",
    ];
    let own = NAMES;
    let names = own.iter().map(HeaderName::as_str).chain(OTHERS);
    let separators = ["-", "_", ".", "+", "~", "!"];
    names
        .flat_map(|name| separators.map(|separator| name.replace('-', separator)).into_iter().chain([name.replacen('-', "_", 1)]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_g1_g12_g14_no_spelling_of_a_clients_claim_reaches_the_app() {
    let house = House::build().await;

    for claims in spellings().chunks(20) {
        let mut request = house.signed_in(APP, "/x");
        for claim in claims {
            for value in ["smuggled", "again"] {
                request = request.header(claim.as_str(), value);
            }
        }
        let reached = house.reached(request).await;

        assert!(reached.headers.iter().all(|(_, value)| value != "smuggled" && value != "again"), "{claims:?}: {reached:?}");
        expect_anna(&house, &reached);
    }
    house.stop().await;
}

fn expect_anna(house: &House, reached: &Reached) {
    let user = house.user.as_str();
    for (name, value) in [
        ("x-auth-request-user", user),
        ("x-auth-request-email", "anna@acme.example"),
        ("x-auth-request-groups", ""),
        ("x-auth-request-preferred-username", "anna@acme.example"),
        ("x-lockstep-workspace", "acme"),
        ("x-lockstep-user-id", user),
        ("x-lockstep-roles", ""),
        ("x-lockstep-teams", ""),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", APP),
        ("host", APP),
    ] {
        assert_eq!(reached.all(name), [value], "{name}");
    }
    assert_eq!(reached.all("x-lockstep-jwt").len(), 1);
    assert_eq!(reached.all("x-lockstep-jwt")[0].split('.').count(), 3, "ours, for this app");
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_names_that_are_none_are_refused_before_anybody_reads_them() {
    let house = House::build().await;

    for line in ["X-Lockstep-Roles : admin", "X-Lockstep-Roles\t: admin", " X-Lockstep-Roles: admin", "X-Lockstep\0-Roles: admin"]
    {
        let answer = house.raw(&format!("{}Connection: close\r\n{line}\r\n\r\n", house.raw_head("GET /x"))).await;

        assert!(!answer.contains("admin"), "{line:?}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 400") || answer.contains("\"method\":\"GET\""), "{line:?}: {answer}");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_connection_header_takes_none_of_it_away() {
    let house = House::build().await;

    for connection in [
        "close, X-Auth-Request-User, X-Lockstep-Roles",
        "x-auth-request-user, x-forwarded-for, host",
        "keep-alive, x-lockstep-jwt",
    ] {
        let reached = house.reached(house.signed_in(APP, "/x").header(header::CONNECTION, connection)).await;

        expect_anna(&house, &reached);
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p12_trailers_pass_in_neither_direction() {
    async fn answer_with_trailers() -> Response {
        let mut trailers = HeaderMap::new();
        trailers.insert("set-cookie", HeaderValue::from_static("__Host-lockstep=fixed"));
        let body = Body::from("body").with_trailers(async { Some(Ok(trailers)) });
        ([(header::TRAILER, "set-cookie")], Body::new(body)).into_response()
    }
    let house = House::build_around(Router::new().route("/trailers", any(answer_with_trailers))).await;

    let chunks = "4\r\nbody\r\n0\r\nX-Lockstep-Roles: admin\r\nX-Auth-Request-User: admin\r\n\r\n";
    let head = house.raw_head("POST /x");
    let answer = house
        .raw(&format!("{head}Connection: close\r\nTrailer: X-Lockstep-Roles\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))
        .await;
    assert!(answer.contains("\"body\":4") && answer.contains("\"trailers\":0") && !answer.contains("admin"), "{answer}");

    let head = house.raw_head("GET /trailers");
    let answer = house.raw(&format!("{head}TE: trailers\r\nConnection: close, TE\r\n\r\n")).await;
    assert!(answer.contains("body") && !answer.to_ascii_lowercase().contains("set-cookie"), "{answer}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r34_the_app_gets_its_own_cookies_and_sets_its_own_alone() {
    let house = House::build().await;
    let both = format!("theme=dark; {}; id=1", house.cookie.to_str().unwrap());

    let reached =
        house.reached(house.to(APP, "/x").header(header::COOKIE, both).header(header::COOKIE, "__Host-lockstep-flow-x=1")).await;
    let answer = house.get(house.signed_in(APP, "/headers")).await;

    assert_eq!(reached.all("cookie"), ["theme=dark; id=1"]);
    assert_eq!(answer.headers().get_all(header::SET_COOKIE).iter().collect::<Vec<_>>(), ["theme=dark"]);
    assert!(!answer.headers().contains_key("x-hop") && answer.headers().contains_key("x-kept"));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_without_an_audience_gets_no_jwt() {
    let house = House::build().await;

    let reached = house.reached(house.signed_in("plain.example.com", "/x").header("x-lockstep-jwt", "e.y.J")).await;

    assert_eq!(reached.all("x-lockstep-jwt"), [""]);
    house.stop().await;
}
