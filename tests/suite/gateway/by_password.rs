//! The password, for people who are in no directory: how it is set, how it is asked for, and what is told to nobody.

use std::time::Duration;

use http::StatusCode;
use lockstep_shared::model::audit::Actor;
use lockstep_tests::harness::{eventually, http::Agent};

use super::{Gate, SESSION, WITHIN, has_session_cookie, headers, post, set_cookies, title};

const PASSWORD: &str = "nine quiet lanterns";

async fn log_in(gate: &Gate, agent: &mut Agent, email: &str, password: &str) -> super::Answer {
    post(agent, &gate.at("/login/password"), &[("email", email), ("password", password), ("rd", "/app")]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invited_person_sets_a_password_once_and_signs_in_with_it() {
    let gate = Gate::open().await;
    let link = gate.invite("guest@partner.example").await;
    let mut agent = Agent::new().unwrap();
    let page = agent.get(&link).await.unwrap();
    assert_eq!((page.status, title(&page).as_str()), (StatusCode::OK, "Set your password"));
    assert!(page.text().contains("guest@partner.example"));

    for (password, repeat, said) in [
        ("short", "short", "too easy to guess"),
        ("guest@partner.example", "guest@partner.example", "too easy to guess"),
        (PASSWORD, "nine quiet lanternz", "The two passwords differ"),
        (PASSWORD, "", "The two passwords differ"),
    ] {
        let answer = post(&mut agent, &link, &[("password", password), ("repeat", repeat)]).await;
        assert_eq!((answer.status, answer.text().contains(said)), (StatusCode::OK, true), "{password}");
        assert!(!has_session_cookie(&agent), "{password}");
    }
    let answer = post(&mut agent, &link, &[("password", PASSWORD), ("repeat", PASSWORD)]).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(gate.asked(&mut agent).await, StatusCode::OK, "the row that ended the other sessions is older than this one");

    let mut late = Agent::new().unwrap();
    let used = [late.get(&link).await.unwrap(), post(&mut late, &link, &[("password", PASSWORD), ("repeat", PASSWORD)]).await];
    assert!(used.iter().all(|answer| answer.status == StatusCode::GONE));
    let answer = log_in(&gate, &mut late, "Guest@Partner.example", PASSWORD).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/app"));
    for line in set_cookies(&answer) {
        assert!(line.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{line}");
    }
    assert_eq!(gate.asked(&mut late).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_runs_out_and_is_for_its_own_workspace() {
    let gate = Gate::open().await;
    let link = gate.invite("guest@partner.example").await;
    gate.workspace("globex").await;
    let mut agent = Agent::new().unwrap();

    let elsewhere = agent.get(link.replace("/invite/acme/", "/invite/globex/")).await.unwrap();
    let unknown = agent.get(gate.at("/invite/acme/no-such-token")).await.unwrap();
    gate.clock.advance(Duration::from_hours(25));
    let late = agent.get(&link).await.unwrap();

    assert_eq!([elsewhere.status, unknown.status, late.status], [StatusCode::GONE; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_page_nor_status_tells_whether_there_is_an_account() {
    let gate = Gate::open().await;
    gate.with_password("guest@partner.example", PASSWORD).await;
    let mut pages = Vec::new();
    for email in ["guest@partner.example", "nobody@partner.example"] {
        let mut agent = Agent::new().unwrap();
        let asked = post(&mut agent, &gate.at("/login"), &[("email", email), ("rd", "/app")]).await;
        let wrong = log_in(&gate, &mut agent, email, "not the password").await;
        for answer in [&asked, &wrong] {
            assert_eq!((answer.status, title(answer).as_str()), (StatusCode::OK, "Enter your password"));
        }
        assert!(!has_session_cookie(&agent));
        pages.push((asked.text().replace(email, ""), wrong.text().replace(email, ""), set_cookies(&wrong)));
    }
    assert_eq!(pages[0], pages[1]);
    let noted = eventually("the failure is in the audit trail", WITHIN, async || {
        gate.refusals().await.iter().any(|record| record.detail["reason"] == "the password was wrong").then_some(())
    });
    noted.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_domain_of_an_address_leads_to_the_company() {
    let gate = Gate::open().await;
    gate.prove_domain(&gate.acme, "acme.example").await;
    gate.prove_domain(&gate.acme, "shared.example").await;
    let globex = gate.workspace("globex").await;
    gate.connect(&globex, "globex-idp", gate.provider.issuer()).await;
    gate.prove_domain(&globex, "shared.example").await;
    let without_provider = gate.workspace("without").await;
    gate.prove_domain(&without_provider, "without.example").await;
    gate.store().add_domain(&gate.acme, "said.example", &Actor::operator()).await.unwrap();
    let mut agent = Agent::new().unwrap();

    let one = post(&mut agent, &gate.at("/login"), &[("email", " Ada@ACME.example "), ("rd", "/app")]).await;
    assert_eq!(one.header("location"), "/sso/acme?login_hint=ada%40acme.example&rd=%2Fapp");
    let two = post(&mut agent, &gate.at("/login"), &[("email", "ada@shared.example"), ("rd", "/app")]).await;
    assert_eq!(title(&two), "How do you want to sign in?");
    for workspace in ["acme", "globex"] {
        assert!(two.text().contains(&format!("/sso/{workspace}?login_hint=ada")), "{workspace}");
    }
    for address in ["ada@said.example", "ada@without.example", "ada@sub.acme.example", "ada@nowhere.example"] {
        let answer = post(&mut agent, &gate.at("/login"), &[("email", address)]).await;
        assert_eq!(title(&answer), "Enter your password", "{address}");
    }
    for address in ["", "ada", "ada@evil.example@acme.example", "\"x@acme.example\"@evil.example", "ada@acme.example%00"] {
        let answer = post(&mut agent, &gate.at("/login"), &[("email", address)]).await;
        assert!(answer.text().contains("That is not an e-mail address"), "{address}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_that_another_site_sends_does_nothing() {
    let gate = Gate::open().await;
    let link = gate.invite("guest@partner.example").await;
    gate.with_password("ada@partner.example", PASSWORD).await;
    let forms = [
        (gate.at("/login"), vec![("email", "ada@partner.example")]),
        (gate.at("/login/password"), vec![("email", "ada@partner.example"), ("password", PASSWORD)]),
        (link.clone(), vec![("password", PASSWORD), ("repeat", PASSWORD)]),
        (gate.at("/oauth2/sign_out"), vec![]),
    ];
    for (url, fields) in &forms {
        for from in [
            headers(&[("sec-fetch-site", "cross-site")]),
            headers(&[("sec-fetch-site", "same-site"), ("origin", &gate.url)]),
            headers(&[("origin", "https://evil.example")]),
            headers(&[("origin", "null")]),
            headers(&[]),
        ] {
            let mut agent = Agent::new().unwrap();
            let answer = agent.post_form_with(url, fields, from.clone()).await.unwrap();
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{url} {from:?}");
            assert!(!has_session_cookie(&agent) && set_cookies(&answer).is_empty(), "{url} {from:?}");
        }
    }
    // Safari before 16.4 says where a form came from in `Origin` alone.
    let mut old_safari = Agent::new().unwrap();
    let (url, fields) = &forms[1];
    let answer = old_safari.post_form_with(url, fields, headers(&[("origin", &gate.url)])).await.unwrap();
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(Agent::new().unwrap().get(&link).await.unwrap().status, StatusCode::OK, "the invitation is still open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_is_slowed_for_an_account_and_says_when_to_come_back() {
    let gate = Gate::open().await;
    gate.with_password("guest@partner.example", PASSWORD).await;
    let mut agent = Agent::new().unwrap();
    for _ in 0..10 {
        assert_eq!(log_in(&gate, &mut agent, "guest@partner.example", "not the password").await.status, StatusCode::OK);
    }

    let slowed = log_in(&gate, &mut agent, "guest@partner.example", PASSWORD).await;
    let other = log_in(&gate, &mut agent, "other@partner.example", PASSWORD).await;

    assert_eq!(slowed.status, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = slowed.header("retry-after").parse().unwrap();
    assert!((1..=90).contains(&wait), "{wait}");
    assert_eq!(other.status, StatusCode::OK, "another account is not held up");
    gate.clock.advance(Duration::from_secs(wait));
    assert_eq!(log_in(&gate, &mut agent, "guest@partner.example", PASSWORD).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_by_password_ends_like_any_other() {
    let gate = Gate::open().await;
    let mut agent = gate.with_password("guest@partner.example", PASSWORD).await;
    let user = gate.store().password_accounts("guest@partner.example").await.unwrap().remove(0).user;

    gate.set_active(&user, false).await;

    assert_eq!(gate.asked(&mut agent).await, StatusCode::UNAUTHORIZED);
    let again = log_in(&gate, &mut agent, "guest@partner.example", PASSWORD).await;
    assert_eq!((again.status, title(&again).as_str()), (StatusCode::FORBIDDEN, "Your access was removed"));
    assert!(agent.cookie("127.0.0.1", SESSION).is_some());
    gate.set_active(&user, true).await;
    assert_eq!(gate.asked(&mut agent).await, StatusCode::UNAUTHORIZED, "switched on again, the old session stays dead");
    let start = agent.get(gate.at("/oauth2/start?rd=%2Fapp")).await.unwrap();
    assert_eq!(start.header("location"), "/login?rd=%2Fapp", "to the way in that they have");
}
