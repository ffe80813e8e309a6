//! A sign-in that races the end of somebody's access loses, whichever comes first; and whoever is out is told so on the next click.

use http::StatusCode;
use lockstep_shared::model::{
    audit::Actor,
    revocation::{Draft, Scope},
    workspace::WorkspaceState,
};
use lockstep_tests::harness::http::Agent;

use super::{Gate, has_session_cookie, title};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i4_somebody_deactivated_under_way_is_not_let_in() {
    let gate = Gate::open().await;
    let ada = gate.provision("ada").await;
    let mut agent = Agent::new().unwrap();
    let callback = gate.to_callback(&mut agent, "/sso/acme").await;

    gate.set_active(&ada.id, false).await;

    let answer = agent.get(&callback).await.unwrap();
    assert_eq!((answer.status, title(&answer).as_str()), (StatusCode::FORBIDDEN, "Your access was removed"));
    assert!(!has_session_cookie(&agent));
    let user = gate.store().user(&gate.acme, &ada.id).await.unwrap().unwrap();
    assert!(!user.profile.active, "signing in re-activates nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i4_whatever_ended_under_way_ends_the_session_at_birth() {
    let gate = Gate::open().await;
    let ada = gate.provision("ada").await;
    let connection = lockstep_shared::id::ConnectionId::parse("acme-idp").unwrap();
    let scopes = [
        Scope::Workspace,
        Scope::User { id: ada.id.clone() },
        Scope::Subject { connection: connection.clone(), subject: "sub-ada".to_owned() },
        Scope::Connection { id: connection },
    ];
    for scope in scopes {
        let mut agent = Agent::new().unwrap();
        let callback = gate.to_callback(&mut agent, "/sso/acme").await;
        let draft = Draft::end(&gate.acme, vec![scope.clone()], "test.ended");
        let settlement = gate.store().revoke(draft).await.unwrap();
        gate.runtime.road.settle(&gate.acme, settlement).await.unwrap();

        agent.get(&callback).await.unwrap();

        assert_eq!(gate.asked(&mut agent).await, StatusCode::UNAUTHORIZED, "{scope:?}");
        // Ended, and yet a person like before: they sign in anew, without going round in a circle.
        let start = agent.get(gate.at("/oauth2/start?rd=%2Fapp")).await.unwrap();
        assert_eq!(start.header("location"), "/sso/acme?rd=%2Fapp", "{scope:?}");
        gate.sign_in_by(&mut agent, "/sso/acme").await;
        assert_eq!(gate.asked(&mut agent).await, StatusCode::OK, "{scope:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i4_switched_off_and_on_again_under_way_is_still_off_for_that_sign_in() {
    let gate = Gate::open().await;
    let ada = gate.provision("ada").await;
    let mut agent = Agent::new().unwrap();
    let callback = gate.to_callback(&mut agent, "/sso/acme").await;
    gate.set_active(&ada.id, false).await;
    gate.set_active(&ada.id, true).await;

    agent.get(&callback).await.unwrap();
    assert_eq!(gate.asked(&mut agent).await, StatusCode::UNAUTHORIZED);

    assert_eq!(gate.sign_in_by(&mut agent, "/sso/acme").await.status, StatusCode::SEE_OTHER);
    assert_eq!(gate.asked(&mut agent).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_incarnation_of_the_log_under_way_means_starting_again() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = Agent::new().unwrap();
    let callback = gate.to_callback(&mut agent, "/sso/acme").await;

    gate.store().new_generation().await.unwrap();

    let answer = agent.get(&callback).await.unwrap();
    assert_eq!((answer.status, title(&answer).as_str()), (StatusCode::BAD_REQUEST, "This sign-in is no longer open"));
    assert!(!has_session_cookie(&agent));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_switched_off_is_out_and_reads_so_on_the_next_click() {
    let gate = Gate::open().await;
    let ada = gate.provision("ada").await;
    let mut agent = gate.sign_in().await;
    assert_eq!(gate.asked(&mut agent).await, StatusCode::OK);

    gate.set_active(&ada.id, false).await;

    assert_eq!(gate.asked(&mut agent).await, StatusCode::UNAUTHORIZED);
    for _ in 0..2 {
        let next = agent.get(gate.at("/oauth2/start?rd=%2Fapp")).await.unwrap();
        assert_eq!((next.status, title(&next).as_str()), (StatusCode::FORBIDDEN, "Your access was removed"));
        assert!(next.text().contains("The acme company") && next.text().contains("/sso/acme?rd=%2Fapp"));
        assert!(has_session_cookie(&agent), "no cookie is cleared but by a sign-out");
    }
    let again = gate.sign_in_by(&mut agent, "/sso/acme").await;
    assert_eq!((again.status, title(&again).as_str()), (StatusCode::FORBIDDEN, "Your access was removed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_a_suspended_workspace_read_that_it_is_paused() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = gate.sign_in().await;
    let settlement = gate.store().set_workspace_state(&gate.acme, WorkspaceState::Suspended, &Actor::operator()).await.unwrap();
    gate.runtime.road.settle(&gate.acme, settlement).await.unwrap();

    let next = agent.get(gate.at("/oauth2/start")).await.unwrap();

    assert_eq!((next.status, title(&next).as_str()), (StatusCode::FORBIDDEN, "This workspace is paused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_signed_in_and_sent_to_start_again_and_again_reads_why() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut agent = gate.sign_in().await;

    let first = agent.get(gate.at("/oauth2/start?rd=%2Fapp")).await.unwrap();
    let second = agent.get(gate.at("/oauth2/start?rd=%2Fapp")).await.unwrap();

    assert_eq!((first.status, first.header("location")), (StatusCode::SEE_OTHER, "/app"));
    assert_eq!((second.status, title(&second).as_str()), (StatusCode::FORBIDDEN, "This app is not part of your workspace"));
}
