//! The provider's answer counts once, in the browser that asked, at the connection that was asked.

use std::time::Duration;

use http::StatusCode;
use lockstep_tests::harness::{
    faulty_provider::{Endpoint, FaultyProvider},
    http::{Agent, Answer},
};
use url::Url;

use super::{CLIENT_ID, CLIENT_SECRET, Gate, SESSION, has_session_cookie, person, title};

const START_AGAIN: &str = "This sign-in is no longer open";
const UNREADABLE: &str = "We could not read that request";

fn said(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), title(answer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g37_an_answer_with_another_state_or_in_another_browser_is_none() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = Agent::new().unwrap();
    let good = gate.to_callback(&mut agent, "/sso/acme").await;
    let state = good.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let with = |query: &str| format!("{}?{query}", gate.at("/callback/acme-idp"));
    let long = "s".repeat(5000);
    for (query, page) in [
        (String::new(), UNREADABLE),
        ("code=x".to_owned(), UNREADABLE),
        (format!("state={state}"), UNREADABLE),
        (format!("code=x&code=y&state={state}"), UNREADABLE),
        (format!("code=x&state={state}&state={state}"), UNREADABLE),
        (format!("code=x&error=y&state={state}"), UNREADABLE),
        (format!("code[]=x&state={state}"), UNREADABLE),
        (format!("code=x&state={long}"), UNREADABLE),
        ("code=x&state=another".to_owned(), START_AGAIN),
        (format!("code=x&state={}", state.to_lowercase()), START_AGAIN),
        (format!("code=x&state={}", &state[..42]), START_AGAIN),
        ("ticket=x".to_owned(), START_AGAIN),
        ("ticket=x&ticket=y".to_owned(), UNREADABLE),
    ] {
        let answer = agent.get(with(&query)).await.unwrap();
        assert_eq!(said(&answer), (400, page.to_owned()), "{query:.80}");
    }
    let mut stranger = Agent::new().unwrap();
    assert_eq!(said(&stranger.get(&good).await.unwrap()), (400, START_AGAIN.to_owned()), "another browser");
    assert!(!has_session_cookie(&stranger));
    assert_eq!(gate.provider.asked(Endpoint::Token), 0, "no code was exchanged for any of them");

    assert_eq!(agent.get(&good).await.unwrap().status, StatusCode::SEE_OTHER, "and the good one still counts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g50_an_answer_counts_once() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = Agent::new().unwrap();
    let callback = gate.to_callback(&mut agent, "/sso/acme?rd=%2Fapp").await;
    let mut copy = agent.clone();
    assert_eq!(agent.get(&callback).await.unwrap().header("location"), "/app");

    // The back button: who is signed in goes on.
    let again = agent.get(&callback).await.unwrap();
    assert_eq!((again.status, again.header("location")), (StatusCode::SEE_OTHER, "/"));
    // The same browser as it was before, with the cookie of the sign-in: the state is used up.
    let replayed = copy.get(&callback).await.unwrap();
    assert_eq!(said(&replayed), (400, START_AGAIN.to_owned()));
    assert!(!has_session_cookie(&copy));
    assert_eq!(gate.provider.asked(Endpoint::Token), 1);
    // Signed in, and with the cookie of the sign-in besides.
    let mut both = gate.sign_in().await;
    let own = agent.cookie("127.0.0.1", SESSION).unwrap().to_owned();
    let callback = gate.to_callback(&mut both, "/sso/acme?rd=%2Fapp&connection=acme-idp").await;
    let mut copy = both.clone();
    both.get(&callback).await.unwrap();
    copy.set_cookie("127.0.0.1", SESSION, &own);
    assert_eq!(copy.get(&callback).await.unwrap().header("location"), "/app");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_is_open_for_ten_minutes() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = Agent::new().unwrap();
    let callback = gate.to_callback(&mut agent, "/sso/acme").await;

    gate.clock.advance(Duration::from_secs(601));

    assert_eq!(said(&agent.get(&callback).await.unwrap()), (400, START_AGAIN.to_owned()));
    assert_eq!(gate.provider.asked(Endpoint::Token), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g35_an_answer_at_another_connection_is_a_mix_up() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let attackers = FaultyProvider::start(CLIENT_ID, CLIENT_SECRET, person("ada")).unwrap();
    let globex = gate.workspace("globex").await;
    gate.connect(&gate.acme, "acme-new", attackers.issuer()).await;
    gate.connect(&globex, "globex-idp", attackers.issuer()).await;

    for elsewhere in ["acme-new", "globex-idp", "nobodys"] {
        let mut agent = Agent::new().unwrap();
        let mut callback = gate.to_callback(&mut agent, "/sso/acme?connection=acme-idp").await;
        callback.set_path(&format!("/callback/{elsewhere}"));
        let answer = agent.get(&callback).await.unwrap();
        assert_eq!(said(&answer), (403, "We could not trust that sign-in".to_owned()), "{elsewhere}");
        assert!(!has_session_cookie(&agent));
        assert_eq!(gate.refusals().await[0].detail["code"], "other_connection");
    }
    assert_eq!(
        (gate.provider.asked(Endpoint::Token), attackers.asked(Endpoint::Token)),
        (0, 0),
        "no provider sees another's code"
    );

    // RFC 9207: the other provider answers at the right connection.
    let mut agent = Agent::new().unwrap();
    let callback = gate.to_callback(&mut agent, "/sso/acme?connection=acme-idp").await;
    let swapped = callback.as_str().replace(&encoded(gate.provider.issuer()), &encoded(attackers.issuer()));
    assert_ne!(swapped, callback.as_str());
    assert_eq!(agent.get(swapped).await.unwrap().status, StatusCode::FORBIDDEN);
    assert_eq!(gate.refusals().await[0].detail["code"], "response_issuer_mismatch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_changes_under_way_lets_nobody_in() {
    use lockstep_shared::{model::audit::Actor, store::ConnectionDetails};

    let gate = Gate::open().await;
    gate.provision("ada").await;
    let attackers = FaultyProvider::start(CLIENT_ID, CLIENT_SECRET, person("ada")).unwrap();
    let id = lockstep_shared::id::ConnectionId::parse("acme-idp").unwrap();
    let mut agent = Agent::new().unwrap();
    let callback = gate.to_callback(&mut agent, "/sso/acme").await;
    let moved = ConnectionDetails { issuer: Some(attackers.issuer().to_owned()), ..ConnectionDetails::default() };
    drop(gate.store().set_connection(&gate.acme, &id, moved, &Actor::operator()).await.unwrap());

    assert_eq!(agent.get(&callback).await.unwrap().status, StatusCode::FORBIDDEN);
    assert_eq!(gate.refusals().await[0].detail["code"], "connection_closed");
    assert!(!has_session_cookie(&agent));

    let callback = gate.to_callback(&mut agent, "/sso/acme").await;
    drop(gate.store().disable_connection(&gate.acme, &id, &Actor::operator()).await.unwrap());
    assert_eq!(agent.get(&callback).await.unwrap().status, StatusCode::FORBIDDEN);
    assert!(!has_session_cookie(&agent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_posted_answer_comes_back_as_a_get_with_the_browsers_cookies() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = Agent::new().unwrap();
    let callback = gate.to_callback(&mut agent, "/sso/acme?rd=%2Fapp").await;
    let fields: Vec<_> = callback.query_pairs().into_owned().collect();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut at = callback.clone();
    at.set_query(None);

    // Another site sends the form: no cookie of ours comes with it.
    let posted = Agent::new().unwrap().post_form(at.as_str(), &fields).await.unwrap();
    assert_eq!(posted.status, StatusCode::SEE_OTHER, "{}", posted.text());
    let back = posted.redirect().unwrap();
    assert!(!back.as_str().contains(fields[0].1), "the code is in no address");

    let mut other_connection = back.clone();
    other_connection.set_path("/callback/another");
    assert_eq!(said(&agent.get(&other_connection).await.unwrap()), (400, START_AGAIN.to_owned()));
    assert_eq!(Agent::new().unwrap().get(&back).await.unwrap().status, StatusCode::BAD_REQUEST, "another browser");
    assert_eq!(agent.get(&back).await.unwrap().header("location"), "/app");
    let mut late = Agent::new().unwrap();
    assert_eq!(said(&late.get(&back).await.unwrap()), (400, START_AGAIN.to_owned()), "a ticket is for once");
    for bad in [&[("code", "x")][..], &[("code", "x"), ("code", "y"), ("state", "s")], &[]] {
        assert_eq!(late.post_form(at.as_str(), bad).await.unwrap().status, StatusCode::BAD_REQUEST, "{bad:?}");
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_sign_in_side_by_side() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = Agent::new().unwrap();
    let one: Url = gate.to_callback(&mut agent, "/sso/acme?rd=%2Fone").await;
    let two = gate.to_callback(&mut agent, "/sso/acme?rd=%2Ftwo").await;

    assert_eq!(agent.get(&two).await.unwrap().header("location"), "/two");
    assert_eq!(agent.get(&one).await.unwrap().header("location"), "/one");
    assert_eq!(gate.asked(&mut agent).await, StatusCode::OK);
}
