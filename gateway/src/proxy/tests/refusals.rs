//! What is said to whom when a request does not reach its app.

use lockstep_shared::model::revocation::Scope;

use super::*;

const NAVIGATE: &str = "navigate";

fn navigation(request: http::request::Builder) -> http::request::Builder {
    request.header("sec-fetch-mode", NAVIGATE)
}

/// Status, reason and location of an answer; and that it says nothing to anybody's cookies or caches.
async fn said(house: &House, request: http::request::Builder) -> (u16, String, String, Bytes) {
    let response = house.get(request).await;
    assert!(!response.headers().contains_key(header::SET_COOKIE), "{response:?}");
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let text = |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let (status, reason, location) = (response.status().as_u16(), text("x-lockstep-reason"), text("location"));
    (status, reason, location, whole(response).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn g32_whoever_is_not_signed_in_is_sent_to_sign_in_or_told_401_without_a_body_of_the_apps() {
    let house = House::build().await;

    for request in [house.to(APP, "/a/b?c=d&e=%20"), house.to(APP, "/a/b?c=d&e=%20").method("HEAD")] {
        let (status, _, location, body) = said(&house, navigation(request)).await;
        assert_eq!((status, location.as_str(), body.len()), (302, "/oauth2/start?rd=%2Fa%2Fb%3Fc%3Dd%26e%3D%2520", 0));
    }
    let older_browser = house.to(APP, "/").header(header::ACCEPT, "text/html,*/*;q=0.8");
    assert_eq!(said(&house, older_browser).await.0, 302);
    for request in [
        house.to(APP, "/a"),
        house.to(APP, "/a").header("sec-fetch-mode", "cors").header(header::ACCEPT, "text/html"),
        house.to(APP, "/a").method("POST").header("sec-fetch-mode", NAVIGATE),
        house.to(APP, "/a").header(header::COOKIE, "__Host-lockstep=1.1.acme.x.y"),
    ] {
        let (status, reason, location, _) = said(&house, request).await;
        assert_eq!((status, reason.as_str(), location.as_str()), (401, "no_session", ""));
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g16_a_preflight_is_not_let_through() {
    let house = House::build().await;

    let preflight = house
        .to(APP, "/a")
        .method("OPTIONS")
        .header(header::ORIGIN, "https://evil.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "DELETE")
        .header("x-auth-request-user", "admin");

    assert_eq!(said(&house, preflight).await.0, 401);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_never_leads_to_another_host() {
    let house = House::build().await;

    for path in ["//evil.example/x", "/%09/evil.example", "/.//evil.example"] {
        let (status, _, location, _) = said(&house, navigation(house.to(APP, path))).await;
        assert_eq!((status, location.as_str()), (302, "/oauth2/start?rd=%2F"), "{path}");
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g21_a_host_that_is_nobodys_and_one_that_a_front_forwards_are_404() {
    let house = House::build().await;

    for host in ["unknown.example.com", "login.example.com", "front.example.com", "127.0.0.1"] {
        let (status, reason, _, _) = said(&house, house.signed_in(host, "/x")).await;
        assert_eq!((status, reason.as_str()), (404, "unknown_host"), "{host}");
        let (status, _, _, page) = said(&house, navigation(house.signed_in(host, "/x"))).await;
        assert_eq!(status, 404);
        assert!(String::from_utf8_lossy(&page).contains("There is nothing here"));
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_role_is_403_and_another_workspaces_app_asks_to_sign_in() {
    let house = House::build().await;

    let (status, reason, _, _) = said(&house, house.signed_in("admin.example.com", "/x")).await;
    assert_eq!((status, reason.as_str()), (403, "role_missing"));
    let (status, _, _, page) = said(&house, navigation(house.signed_in("admin.example.com", "/x"))).await;
    assert_eq!(status, 403);
    assert!(String::from_utf8_lossy(&page).contains("admin.example.com asks for a role"));

    let (status, reason, _, _) = said(&house, house.signed_in("other.example.com", "/x")).await;
    assert_eq!((status, reason.as_str()), (401, "other_workspace"));
    let (status, _, location, _) = said(&house, navigation(house.signed_in("other.example.com", "/x"))).await;
    assert_eq!((status, location.as_str()), (302, "/oauth2/start?rd=%2Fx"));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doubt_is_503_for_everybody_and_signs_nobody_out() {
    let house = House::build().await;
    assert_eq!(house.reached(house.signed_in(APP, "/x")).await.method, "GET");

    house.test.give_up_its_lease().await;

    for request in [house.signed_in(APP, "/x"), navigation(house.signed_in(APP, "/x"))] {
        let response = house.get(request).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let retry_after = response.headers()[header::RETRY_AFTER].to_str().unwrap();
        assert!(retry_after.parse::<u32>().is_ok_and(|seconds| seconds > 0), "{retry_after}");
        assert!(!response.headers().contains_key(header::SET_COOKIE) && !response.headers().contains_key(header::LOCATION));
    }
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_ended_is_not_let_through_again() {
    let house = House::build().await;
    assert_eq!(house.reached(house.signed_in(APP, "/x")).await.method, "GET");

    house.test.end(&house.workspace, vec![Scope::User { id: house.user.clone() }]).await;

    let (status, reason, _, _) = said(&house, house.signed_in(APP, "/x")).await;
    assert_eq!((status, reason.as_str()), (401, "session_ended"));
    assert_eq!(said(&house, navigation(house.signed_in(APP, "/x"))).await.0, 302);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_passed_on_is_refused() {
    let house = House::build().await;

    let (status, reason, _, _) = said(&house, house.signed_in(APP, "/x").method("TRACE")).await;
    assert_eq!((status, reason.as_str()), (405, "method_not_allowed"));
    let (status, reason, _, _) = said(&house, house.signed_in("base.example.com", "/%2e%2e/x")).await;
    assert_eq!((status, reason.as_str()), (400, "malformed"));
    let answer = house.raw(&format!("{}Connection: close\r\n\r\n", house.raw_head("OPTIONS *"))).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_without_its_surroundings_passes_nothing() {
    let house = House::build().await;
    let bare = house.test.serve(Router::new().fallback(super::super::handle)).await;

    let request =
        http::Request::get(format!("http://{}/x", bare.address)).header(header::HOST, APP).header(header::COOKIE, &house.cookie);

    assert_eq!(house.get(request).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    bare.stop().await;
    house.stop().await;
}
