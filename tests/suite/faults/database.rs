//! The database goes away, falls silent, comes back. Leases serve until they run out; after that nothing can be known.

use std::time::{Duration, Instant};

use http::StatusCode;
use lockstep_tests::{
    harness::{HarnessError, http::Agent, postgres::Postgres},
    world::{Shape, World},
};

use super::{LEASE, assert_in_doubt, own_database, passes_again, signed_in};

/// How long a request that finds the lease gone may take to say so.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How soon everything has to work again. A connection that was silent has to be found out first.
const RECOVERED: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Away {
    Stopped,
    Silent,
}

impl Away {
    async fn begin(self, postgres: &mut Postgres) -> Result<(), HarnessError> {
        match self {
            Self::Stopped => postgres.stop_immediate().await,
            Self::Silent => postgres.pause().await,
        }
    }

    async fn end(self, postgres: &mut Postgres) -> Result<(), HarnessError> {
        match self {
            Self::Stopped => postgres.restart().await,
            Self::Silent => postgres.resume(),
        }
    }
}

/// Asks again and again until it cannot be known any more; returns when the last request that passed was sent.
async fn until_doubt(world: &World, cookie: &str, from: Instant) -> Option<Duration> {
    let mut last_passed = None;
    loop {
        let sent = from.elapsed();
        let answer = world.ask(0, cookie).await.unwrap();
        if answer.status != StatusCode::OK {
            assert_in_doubt(&answer, "a request without a lease");
            return last_passed;
        }
        last_passed = Some(sent);
        assert!(from.elapsed() < LEASE + ATTEMPT, "the lease runs out");
    }
}

async fn the_database_goes_away_and_comes_back(away: Away) {
    let (mut postgres, database) = own_database().await;
    let mut world = World::start_on(database, Shape::default()).await.unwrap();
    let (ada, agent, cookie) = signed_in(&world, "ada").await;
    let processes = [world.gateways[0].id(), world.provisioner.id()];

    away.begin(&mut postgres).await.unwrap();
    let last_passed = until_doubt(&world, &cookie, Instant::now()).await.expect("the lease serves for a while");

    assert!(last_passed < LEASE, "{away:?}: a request passed {last_passed:?} after the database had gone");
    let directory = world.scim.get("/Users").await.unwrap();
    assert_in_doubt(&directory, "SCIM");
    assert_eq!(directory.header("content-type").split(';').next(), Some("application/scim+json"));
    assert_in_doubt(&world.deactivate(&ada).await.unwrap(), "a deactivation that was not carried out");
    assert_in_doubt(&Agent::new().unwrap().get(world.sign_on_url()).await.unwrap(), "a sign-in");
    assert_eq!(world.cookie(&agent).unwrap(), cookie);
    away.end(&mut postgres).await.unwrap();

    passes_again(&world, 0, &cookie, RECOVERED).await;
    world.deactivate(&ada).await.unwrap().expect_status(StatusCode::OK).unwrap();
    assert_eq!(world.ask(0, &cookie).await.unwrap().status, StatusCode::UNAUTHORIZED);
    let grace = world.person("grace").await.unwrap();
    world.sign_in(&grace).await.unwrap();
    assert_eq!([world.gateways[0].id(), world.provisioner.id()], processes, "{away:?}: nothing was restarted");
    assert!(world.gateways[0].stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn i3_the_database_stops_and_comes_back() {
    the_database_goes_away_and_comes_back(Away::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i3_the_database_falls_silent_and_comes_back() {
    the_database_goes_away_and_comes_back(Away::Silent).await;
}
