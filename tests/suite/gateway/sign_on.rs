//! The Sign-On Link: where it sends whom, who comes back signed in, and what everybody else is told.

use http::StatusCode;
use lockstep_shared::model::{audit::Actor, connection::Link, user::LoginMethod, workspace::WorkspaceState};
use lockstep_tests::harness::{
    faulty_provider::{Endpoint, FaultyProvider},
    http::Agent,
};
use serde_json::{Value, json};

use super::{CLIENT_ID, CLIENT_SECRET, Gate, SESSION, email, has_session_cookie, person, set_cookies, title};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_of_the_company_comes_in_and_is_known() {
    let gate = Gate::open().await;
    let ada = gate.provision("ada").await;
    let mut agent = Agent::new().unwrap();

    let answer = gate.sign_in_by(&mut agent, "/sso/acme?rd=%2Freports%3Fyear%3D2026").await;

    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/reports?year=2026"));
    let known = agent.get(gate.at("/oauth2/auth")).await.unwrap();
    assert_eq!(known.status, StatusCode::OK);
    assert_eq!((known.header("x-lockstep-user-id"), known.header("x-lockstep-workspace")), (ada.id.as_str(), "acme"));
    let info: Value = agent.get(gate.at("/oauth2/userinfo")).await.unwrap().json().unwrap();
    assert_eq!(info["email"], json!(email("ada")));
    assert_eq!(gate.actions().await.iter().filter(|action| *action == "session.signed_in").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_to_the_provider_has_pkce_state_and_nonce_and_the_cookies_have_every_flag() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = Agent::new().unwrap();

    let start = agent.get(gate.at("/sso/acme?login_hint=ada%40acme.example")).await.unwrap();
    let away = start.redirect().unwrap();
    let query: std::collections::HashMap<_, _> = away.query_pairs().into_owned().collect();
    let callback = agent.get(&away).await.unwrap().redirect().unwrap();
    let answer = agent.get(callback).await.unwrap();

    assert_eq!(query["redirect_uri"], gate.at("/callback/acme-idp"));
    assert_eq!((query["response_type"].as_str(), query["code_challenge_method"].as_str()), ("code", "S256"));
    assert!(query["state"].len() >= 43 && query["nonce"].len() >= 43 && query["state"] != query["nonce"]);
    assert_eq!(query["login_hint"], "ada@acme.example");
    for (name, of) in [("the start", &start), ("the callback", &answer)] {
        for line in set_cookies(of) {
            assert!(line.starts_with("__Host-lockstep"), "{name}: {line}");
            for flag in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(line.split("; ").any(|part| part == flag), "{name}: {line} has no {flag}");
            }
            assert!(!line.contains("Domain"), "{name}: {line}");
        }
        assert_eq!(of.header("cache-control"), "no-store", "{name}");
        assert_eq!(of.header("referrer-policy"), "no-referrer", "{name}");
        assert_eq!(of.header("x-content-type-options"), "nosniff", "{name}");
    }
    assert_eq!(agent.cookie_names("127.0.0.1"), [SESSION], "the sign-in's own cookie is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_suspended_looks_like_none() {
    let gate = Gate::open().await;
    let closed = gate.workspace("closed").await;
    gate.connect(&closed, "closed-idp", gate.provider.issuer()).await;
    drop(gate.store().set_workspace_state(&closed, WorkspaceState::Suspended, &Actor::operator()).await.unwrap());
    let without_request_ids = |text: &str, id: &str| text.replace(id, "");
    let mut pages = Vec::new();
    for path in ["/sso/closed", "/sso/nobody", "/sso/No_Body", "/sso/acme?connection=closed-idp", "/sso/acme?iss=https%3A%2F%2Fx"]
    {
        let answer = Agent::new().unwrap().get(gate.at(path)).await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(set_cookies(&answer), Vec::<String>::new(), "{path}");
        pages.push(without_request_ids(&answer.text(), answer.header("x-request-id")));
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "one page for all of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_connections_one_is_named_or_chosen() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let other = FaultyProvider::start(CLIENT_ID, CLIENT_SECRET, person("ada")).unwrap();
    gate.connect(&gate.acme, "acme-new", other.issuer()).await;
    let mut agent = Agent::new().unwrap();

    let choose = agent.get(gate.at("/sso/acme?rd=%2Fapp")).await.unwrap();
    assert_eq!((choose.status, title(&choose).as_str()), (StatusCode::OK, "How do you want to sign in?"));
    for id in ["acme-idp", "acme-new"] {
        assert!(choose.text().contains(&format!("/sso/acme?connection={id}")), "{id}");
    }
    let issuer: String = url::form_urlencoded::byte_serialize(other.issuer().as_bytes()).collect();
    for path in ["/sso/acme?connection=acme-new&rd=%2Fapp", &format!("/sso/acme?iss={issuer}&target_link_uri=%2Fapp")] {
        let mut agent = Agent::new().unwrap();
        let answer = gate.sign_in_by(&mut agent, path).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/app"), "{path}");
    }
    assert_eq!((other.asked(Endpoint::Token), gate.provider.asked(Endpoint::Token)), (2, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_signed_in_goes_on_unless_they_ask_for_another_identity() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = gate.sign_in().await;
    let elsewhere = gate.workspace("globex").await;
    gate.connect(&elsewhere, "globex-idp", gate.provider.issuer()).await;

    for (path, goes_on) in [
        ("/sso/acme?rd=%2Fapp", true),
        ("/sso/acme?rd=%2Fapp&login_hint=bob%40acme.example", false),
        ("/sso/acme?rd=%2Fapp&connection=acme-idp", false),
        ("/sso/globex?rd=%2Fapp", false),
    ] {
        let answer = agent.get(gate.at(path)).await.unwrap();
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        assert_eq!(answer.header("location") == "/app", goes_on, "{path}");
    }
}

/// Who is known to the provider and not let in: what the page says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_whom_the_store_refuses_is_told_why() {
    let gate = Gate::open().await;
    gate.connect_by(&gate.acme, "by-email", gate.provider.issuer(), Link::Email).await;
    gate.connect_by(&gate.acme, "by-badge", gate.provider.issuer(), Link::ExternalId { claim: "badge".to_owned() }).await;
    gate.prove_domain(&gate.acme, "acme.example").await;
    let (gone, guest) = (gate.provision("gone").await, gate.provision("guest").await);
    gate.provision("ada").await;
    gate.set_active(&gone.id, false).await;
    drop(gate.store().set_login_method(&gate.acme, &guest.id, LoginMethod::Password, &Actor::operator()).await.unwrap());
    let unverified = json!({ "sub": "sub-ada", "email": email("ada") });
    let foreign = json!({ "sub": "sub-ada", "email": "ada@evil.example", "email_verified": true });
    let verified_in_words = json!({ "sub": "sub-ada", "email": email("ada"), "email_verified": "true" });

    for (connection, who, said) in [
        ("acme-idp", person("stranger"), "You are not set up here yet"),
        ("acme-idp", person("gone"), "Your access was removed"),
        ("acme-idp", person("guest"), "You sign in with a password"),
        ("by-badge", person("ada"), "You are not set up here yet"),
        ("by-email", unverified, "We could not match your e-mail"),
        ("by-email", foreign, "We could not match your e-mail"),
        ("by-email", verified_in_words, "We could not match your e-mail"),
        ("by-email", person("stranger"), "You are not set up here yet"),
    ] {
        gate.provider.set_person(who.clone());
        let mut agent = Agent::new().unwrap();
        let before = gate.refusals().await.len();

        let answer = gate.sign_in_by(&mut agent, &format!("/sso/acme?connection={connection}")).await;

        assert_eq!((answer.status, title(&answer).as_str()), (StatusCode::FORBIDDEN, said), "{connection}: {who}");
        assert!(answer.text().contains("The acme company"), "{who}");
        assert!(!has_session_cookie(&agent), "{who}");
        assert_eq!(gate.refusals().await.len(), before + 1, "{who}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g54_a_sign_in_has_a_session_of_its_own_and_ends_the_one_that_was_there() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    gate.provision("mallory").await;
    gate.provider.set_person(person("mallory"));
    let mut attacker = gate.sign_in().await;
    let planted = attacker.cookie("127.0.0.1", SESSION).unwrap().to_owned();
    gate.provider.set_person(person("ada"));
    let mut victim = Agent::new().unwrap();
    victim.set_cookie("127.0.0.1", SESSION, &planted);

    gate.sign_in_by(&mut victim, "/sso/acme?connection=acme-idp").await;

    assert_ne!(victim.cookie("127.0.0.1", SESSION).unwrap(), planted);
    assert_eq!(gate.asked(&mut victim).await, StatusCode::OK);
    let out = lockstep_tests::harness::eventually("the planted session is over", super::WITHIN, async || {
        (gate.asked(&mut attacker).await == StatusCode::UNAUTHORIZED).then_some(())
    });
    out.await.unwrap();
}

/// Generated here and not copied from anywhere: each way in which somebody might smuggle another host through `rd`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g25_to_g29_nobody_is_sent_to_another_site() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let own = gate.url.clone();
    let mut agent = Agent::new().unwrap();
    let mut places = vec!["javascript:alert(1)".to_owned(), "data:text/html,x".to_owned(), "/a\r\nSet-Cookie: x=y".to_owned()];
    for slash in ["//", "///", "/\\", "\\\\", "/\t/", "/./\\", "/%09/", "/%5c", "/%2f", "/.//", "https:", "https:///", "https://"]
    {
        places.push(format!("{slash}evil.example"));
    }
    places.extend(
        [".evil.example", "@evil.example", ":1@evil.example", "%00.evil.example", "0"].map(|tail| format!("{own}{tail}")),
    );
    places.extend(["/oauth2/sign_out", "/login", "/sso/acme", "/callback/acme-idp"].map(str::to_owned));
    for place in places {
        let rd: String = url::form_urlencoded::byte_serialize(place.as_bytes()).collect();
        for path in ["/sso/acme?rd", "/sso/acme?target_link_uri"] {
            let mut agent = Agent::new().unwrap();
            let answer = gate.sign_in_by(&mut agent, &format!("{path}={rd}")).await;
            assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"), "{path}: {place:?}");
        }
        let start = agent.get(gate.at(&format!("/oauth2/start?rd={rd}"))).await.unwrap();
        assert_eq!(start.header("location"), "/login?rd=%2F", "{place:?}");
        let login = agent.get(gate.at(&format!("/login?rd={rd}"))).await.unwrap();
        assert!(login.text().contains(r#"name="rd" value="/""#) && !login.text().contains("evil"), "{place:?}");
    }
    let good = format!("{own}/app?x=1#y");
    let rd: String = url::form_urlencoded::byte_serialize(good.as_bytes()).collect();
    assert_eq!(gate.sign_in_by(&mut agent, &format!("/sso/acme?rd={rd}")).await.header("location"), good);
}
