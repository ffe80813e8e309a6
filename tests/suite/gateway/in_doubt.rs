//! What cannot be known lets nobody in and signs nobody out: a page says when to come back, and no cookie is touched.

use http::StatusCode;
use lockstep_tests::harness::{
    eventually,
    http::{Agent, Answer},
};

use super::{Gate, WITHIN, has_session_cookie, headers, post, set_cookies};

const PASSWORD: &str = "nine quiet lanterns";

fn assert_in_doubt(answer: &Answer, what: &str) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{what}: {}", answer.text());
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1), "{what}");
    assert_eq!(set_cookies(answer), Vec::<String>::new(), "{what}");
    assert_eq!(answer.header("location"), "", "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_every_way_in_and_out_says_come_back() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let invitation = gate.invite("guest@partner.example").await;
    let mut signed_in = gate.sign_in().await;
    let mut under_way = Agent::new().unwrap();
    let callback = gate.to_callback(&mut under_way, "/sso/acme").await;
    let mut new = Agent::new().unwrap();

    gate.store().close().await;

    assert_in_doubt(&new.get(gate.at("/sso/acme")).await.unwrap(), "the Sign-On Link");
    assert_in_doubt(&new.get(&invitation).await.unwrap(), "an invitation");
    let fields = [("email", "guest@partner.example"), ("password", PASSWORD), ("repeat", PASSWORD)];
    for path in ["/login", "/login/password"] {
        assert_in_doubt(&post(&mut new, &gate.at(path), &fields).await, path);
    }
    assert_in_doubt(&post(&mut new, &invitation, &fields).await, "setting a password");
    assert_in_doubt(&under_way.get(&callback).await.unwrap(), "the callback");
    assert!(!under_way.cookie_names("127.0.0.1").is_empty(), "the sign-in is still on its way");
    let own = headers(&[("sec-fetch-site", "same-origin")]);
    assert_in_doubt(&signed_in.get_with(gate.at("/oauth2/sign_out"), own).await.unwrap(), "a sign-out");
    assert!(has_session_cookie(&signed_in));
    assert_eq!(new.get(gate.at("/login")).await.unwrap().status, StatusCode::OK, "a form that needs nothing is shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_lease_nobody_is_sent_round_in_a_circle() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = gate.sign_in().await;

    gate.drained.cancel();
    let gone = eventually("the lease is given up", WITHIN, async || {
        (gate.asked(&mut agent).await == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    });
    gone.await.unwrap();

    for path in ["/oauth2/start?rd=%2Fapp", "/sso/acme?rd=%2Fapp"] {
        assert_in_doubt(&agent.get(gate.at(path)).await.unwrap(), path);
    }
    assert!(has_session_cookie(&agent));
}
