//! A dependency that is down when a program starts is waited for: the program lives, and is ready by itself once it can be.

use http::StatusCode;
use lockstep_tests::{
    harness::{eventually, http::Agent, services::Service},
    world::{Shape, World},
};

use super::{FOUND_AGAIN, assert_in_doubt, own_database, passes_again, signed_in};

/// What a program's ops port answers, as soon as it answers at all.
async fn ops(service: &Service, path: &str) -> StatusCode {
    let url = format!("{}{path}", service.ops_url());
    let answered = eventually(&url, FOUND_AGAIN, async || Agent::new().unwrap().get(&url).await.ok());
    answered.await.unwrap().status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_is_waited_for() {
    let (mut postgres, database) = own_database().await;
    let mut world = World::start_on(database, Shape::default()).await.unwrap();
    let (_, _, cookie) = signed_in(&world, "ada").await;
    world.gateways[0].stop().await.unwrap();
    world.provisioner.stop().await.unwrap();
    postgres.stop().await.unwrap();

    world.gateways[0].begin_restart().await.unwrap();
    world.provisioner.begin_restart().await.unwrap();
    for service in [&world.gateways[0], &world.provisioner] {
        assert_eq!(ops(service, "/livez").await, StatusCode::OK, "waiting is no reason to be killed");
        assert_eq!(ops(service, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
    }
    let started = [world.gateways[0].id(), world.provisioner.id()];
    postgres.restart().await.unwrap();

    world.gateways[0].ready().await.unwrap();
    world.provisioner.ready().await.unwrap();
    assert_eq!([world.gateways[0].id(), world.provisioner.id()], started, "the same processes");
    assert_eq!(world.ask(0, &cookie).await.unwrap().status, StatusCode::OK, "nobody was signed out");
    world.person("grace").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_waits_for_its_database_can_be_stopped() {
    let (mut postgres, database) = own_database().await;
    let mut world = World::start_on(database, Shape::default()).await.unwrap();
    postgres.stop().await.unwrap();
    for service in [&mut world.gateways[0], &mut world.provisioner] {
        service.stop().await.unwrap();
        service.begin_restart().await.unwrap();
        assert_eq!(ops(service, "/livez").await, StatusCode::OK);

        let status = service.stop().await.unwrap();

        assert!(status.code().is_some(), "it ends by itself and is not killed: {status}");
    }
}

/// Redis is speed, and where sessions are: without it both programs serve what needs neither, above all deactivations.
#[tokio::test(flavor = "multi_thread")]
async fn without_redis_both_programs_start_and_find_it_later() {
    let mut world = World::start(Shape::default()).await.unwrap();
    let (ada, _, cookie) = signed_in(&world, "ada").await;
    let (grace, _, of_grace) = signed_in(&world, "grace").await;
    world.redis.stop().await.unwrap();

    world.provisioner.restart().await.unwrap();
    world.gateways[0].restart().await.unwrap();

    assert_in_doubt(&world.ask(0, &cookie).await.unwrap(), "a session that is in Redis");
    let answer = world.deactivate(&grace).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let mut agent = Agent::new().unwrap();
    let refused = world.try_sign_in(&mut agent, &ada.login).await.unwrap();
    assert_in_doubt(&refused, "a sign-in");
    world.redis.restart().await.unwrap();

    passes_again(&world, 0, &cookie, FOUND_AGAIN).await;
    assert_eq!(world.ask(0, &of_grace).await.unwrap().status, StatusCode::UNAUTHORIZED);
    world.sign_in(&ada).await.unwrap();
}
