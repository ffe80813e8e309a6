//! Signing out: by one's own click and nobody else's link, everywhere before it is said, and nothing of it left behind.

use http::StatusCode;
use lockstep_tests::harness::http::Agent;

use super::{Gate, SESSION, has_session_cookie, headers, post, set_cookies, title};

const CLEARED: &str = "__Host-lockstep=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_of_ones_own_signs_out_everywhere() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    for site in ["same-origin", "none"] {
        let mut agent = gate.sign_in().await;
        let mut copy = agent.clone();

        let answer = agent.get_with(gate.at("/oauth2/sign_out"), headers(&[("sec-fetch-site", site)])).await.unwrap();

        assert_eq!((answer.status, title(&answer).as_str()), (StatusCode::OK, "You are signed out"), "{site}");
        assert_eq!(set_cookies(&answer), [CLEARED], "{site}");
        assert!(answer.text().contains("/sso/acme"), "{site}");
        assert!(!has_session_cookie(&agent), "{site}");
        assert_eq!(gate.asked(&mut copy).await, StatusCode::UNAUTHORIZED, "g57: the old cookie is worth nothing");
        assert_eq!(
            gate.actions().await.iter().filter(|action| *action == "session.signed_out").count(),
            if site == "none" { 2 } else { 1 }
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_of_somebody_elses_signs_nobody_out() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = gate.sign_in().await;
    for from in [&[("sec-fetch-site", "cross-site")][..], &[("sec-fetch-site", "same-site")], &[]] {
        let answer = agent.get_with(gate.at("/oauth2/sign_out?rd=%2Fbye"), headers(from)).await.unwrap();
        assert_eq!((answer.status, title(&answer).as_str()), (StatusCode::OK, "Sign out?"), "{from:?}");
        assert!(answer.text().contains(r#"name="rd" value="/bye""#));
        assert_eq!(set_cookies(&answer), Vec::<String>::new(), "{from:?}");
        assert_eq!(gate.asked(&mut agent).await, StatusCode::OK, "{from:?}");
    }

    let pressed = post(&mut agent, &gate.at("/oauth2/sign_out"), &[("rd", "/bye")]).await;

    assert_eq!((pressed.status, pressed.header("location")), (StatusCode::SEE_OTHER, "/bye"));
    assert_eq!(set_cookies(&pressed), [CLEARED]);
    assert_eq!(gate.asked(&mut agent).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g30_a_sign_out_leads_nowhere_else() {
    let gate = Gate::open().await;
    for place in ["https://evil.example", "//evil.example", "javascript:alert(1)", "/\\evil.example"] {
        let rd: String = url::form_urlencoded::byte_serialize(place.as_bytes()).collect();
        let url = gate.at(&format!("/oauth2/sign_out?rd={rd}"));
        let mut agent = Agent::new().unwrap();
        let answer = agent.get_with(&url, headers(&[("sec-fetch-site", "none")])).await.unwrap();
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"), "{place}");
        assert!(!agent.get(&url).await.unwrap().text().contains("evil"), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_again_or_without_a_session_is_no_mistake() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = gate.sign_in().await;
    let own = agent.cookie("127.0.0.1", SESSION).unwrap().to_owned();
    let out = gate.at("/oauth2/sign_out");
    post(&mut agent, &out, &[]).await;
    let rows = gate.store().head().await.unwrap().seq;

    for cookie in [own.as_str(), "1.1.acme.forged.mac", ""] {
        agent.set_cookie("127.0.0.1", SESSION, cookie);
        let answer = post(&mut agent, &out, &[]).await;
        assert_eq!((answer.status, title(&answer).as_str()), (StatusCode::OK, "You are signed out"), "{cookie}");
        assert_eq!(set_cookies(&answer), [CLEARED], "{cookie}");
    }
    assert_eq!(gate.store().head().await.unwrap().seq, rows, "what has ended writes no further row");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_ends_one_session_and_not_the_others() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let (mut here, mut elsewhere) = (gate.sign_in().await, gate.sign_in().await);

    post(&mut here, &gate.at("/oauth2/sign_out"), &[]).await;

    assert_eq!(gate.asked(&mut here).await, StatusCode::UNAUTHORIZED);
    assert_eq!(gate.asked(&mut elsewhere).await, StatusCode::OK);
}
