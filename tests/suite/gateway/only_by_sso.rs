//! While SSO is enforced there is no other way in: every way that there is, tried one by one.

use http::StatusCode;
use lockstep_shared::model::{
    audit::Actor,
    user::LoginMethod,
    workspace::{Enforcement, Stage},
};
use lockstep_tests::harness::{faulty_provider::Fault, http::Agent};

use super::{Gate, has_session_cookie, post, title};

const PASSWORD: &str = "nine quiet lanterns";

async fn enforce(gate: &Gate, enforcement: Enforcement, stage: &Stage) {
    let settlement = gate.store().set_enforcement(&gate.acme, enforcement, stage, &Actor::operator(), None).await.unwrap();
    gate.runtime.road.settle(&gate.acme, settlement).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_every_other_way_into_an_enforced_workspace_is_closed() {
    let gate = Gate::open().await;
    gate.prove_domain(&gate.acme, "acme.example").await;
    let mut signed_in_before = gate.with_password("guest@partner.example", PASSWORD).await;
    gate.with_password("admin@acme.example", PASSWORD).await;
    let invitation = gate.invite("late@partner.example").await;
    let forgotten = gate.provision("forgotten").await;
    drop(gate.store().set_login_method(&gate.acme, &forgotten.id, LoginMethod::Password, &Actor::operator()).await.unwrap());
    let elsewhere = gate.workspace("elsewhere").await;
    gate.connect(&elsewhere, "elsewhere-idp", gate.provider.issuer()).await;
    let mut through_elsewhere = Agent::new().unwrap();
    gate.provision("ada").await;
    gate.provision_in(&elsewhere, "ada").await;
    gate.sign_in_by(&mut through_elsewhere, "/sso/elsewhere").await;

    enforce(&gate, Enforcement::Enforced, &Stage::default()).await;

    assert_eq!(gate.asked(&mut signed_in_before).await, StatusCode::UNAUTHORIZED, "sessions by password have ended");
    let mut new = Agent::new().unwrap();
    let login = gate.at("/login/password");
    for address in ["guest@partner.example", "admin@acme.example"] {
        let answer = post(&mut new, &login, &[("email", address), ("password", PASSWORD)]).await;
        assert_eq!((answer.status, title(&answer).as_str()), (StatusCode::FORBIDDEN, "Use your company’s sign-in"), "{address}");
        assert!(answer.text().contains("/sso/acme"), "{address}");
    }
    let opened = new.get(&invitation).await.unwrap();
    let accepted = post(&mut new, &invitation, &[("password", PASSWORD), ("repeat", PASSWORD)]).await;
    assert_eq!([opened.status, accepted.status], [StatusCode::FORBIDDEN; 2], "an invitation");
    gate.provider.set_person(super::person("forgotten"));
    assert_eq!(gate.sign_in_by(&mut new, "/sso/acme").await.status, StatusCode::FORBIDDEN, "whose method is a password");
    gate.provider.set_person(super::person("ada"));
    let foreign = new.get(gate.at("/sso/acme?connection=elsewhere-idp")).await.unwrap();
    assert_eq!(foreign.status, StatusCode::NOT_FOUND, "another workspace's connection");
    assert!(!has_session_cookie(&new), "none of them made a session");

    let narrowed = through_elsewhere.get(gate.at("/oauth2/auth?workspace=acme")).await.unwrap();
    assert_eq!(narrowed.status, StatusCode::UNAUTHORIZED, "a session of another workspace");
    let mut ada = gate.sign_in().await;
    assert_eq!(gate.asked(&mut ada).await, StatusCode::OK, "and the one way in is open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_a_broken_provider_opens_no_other_way() {
    let gate = Gate::open().await;
    gate.prove_domain(&gate.acme, "acme.example").await;
    gate.with_password("admin@acme.example", PASSWORD).await;
    enforce(&gate, Enforcement::Enforced, &Stage::default()).await;
    gate.provider.misbehave(Some(Fault::DiscoveryServerError));
    let connection = lockstep_shared::id::ConnectionId::parse("acme-idp").unwrap();

    for step in ["down", "disabled", "removed"] {
        match step {
            "disabled" => drop(gate.store().disable_connection(&gate.acme, &connection, &Actor::operator()).await.unwrap()),
            "removed" => drop(gate.store().remove_connection(&gate.acme, &connection, &Actor::operator()).await.unwrap()),
            _ => {}
        }
        let mut agent = Agent::new().unwrap();
        let sign_on = agent.get(gate.at("/sso/acme")).await.unwrap();
        assert_eq!(sign_on.status, StatusCode::BAD_GATEWAY, "{step}");
        let discovered = post(&mut agent, &gate.at("/login"), &[("email", "admin@acme.example")]).await;
        assert!(discovered.header("location").starts_with("/sso/acme?"), "{step}: {}", discovered.text());
        let by_password =
            post(&mut agent, &gate.at("/login/password"), &[("email", "admin@acme.example"), ("password", PASSWORD)]).await;
        assert_eq!(by_password.status, StatusCode::FORBIDDEN, "{step}");
        assert!(!has_session_cookie(&agent), "{step}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_a_stage_closes_the_password_to_those_whom_it_names() {
    let gate = Gate::open().await;
    let mut named = gate.with_password("named@partner.example", PASSWORD).await;
    let mut other = gate.with_password("other@partner.example", PASSWORD).await;
    let stage = Stage { users: vec!["named@partner.example".to_owned()], ..Stage::default() };

    enforce(&gate, Enforcement::Staged, &stage).await;

    for agent in [&mut named, &mut other] {
        assert_eq!(gate.asked(agent).await, StatusCode::UNAUTHORIZED, "sessions by password have ended");
    }
    let login = gate.at("/login/password");
    let refused = post(&mut named, &login, &[("email", "named@partner.example"), ("password", PASSWORD)]).await;
    assert_eq!((refused.status, title(&refused).as_str()), (StatusCode::FORBIDDEN, "Use your company’s sign-in"));
    assert_eq!(gate.asked(&mut named).await, StatusCode::UNAUTHORIZED);
    let entered = post(&mut other, &login, &[("email", "other@partner.example"), ("password", PASSWORD)]).await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER);
    assert_eq!(gate.asked(&mut other).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i6_whom_a_group_brings_into_the_stage_is_out_by_password() {
    let gate = Gate::open().await;
    let stage = Stage { groups: vec!["pilots".to_owned()], ..Stage::default() };
    enforce(&gate, Enforcement::Staged, &stage).await;
    let mut agent = gate.with_password("guest@partner.example", PASSWORD).await;
    assert_eq!(gate.asked(&mut agent).await, StatusCode::OK);

    gate.bring_into("Pilots", "guest@partner.example").await;

    assert_eq!(gate.asked(&mut agent).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_connection_people_are_led_to_their_password_where_it_is_allowed() {
    let gate = Gate::open().await;
    gate.workspace("small").await;

    let answer = Agent::new().unwrap().get(gate.at("/sso/small?rd=%2Fapp")).await.unwrap();

    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/login?rd=%2Fapp"));
}
