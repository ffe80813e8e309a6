//! Redis goes away, falls silent, comes back, comes back empty.

use http::StatusCode;
use lockstep_tests::{
    harness::{HarnessError, eventually, http::Agent, redis::Redis},
    world::{Shape, World},
};

use super::{FOUND_AGAIN, assert_in_doubt, passes_again, signed_in};

/// Two ways to be away: connections are refused, or nothing is answered on those that there are.
#[derive(Clone, Copy, Debug)]
enum Away {
    Stopped,
    Silent,
}

impl Away {
    async fn begin(self, redis: &mut Redis) -> Result<(), HarnessError> {
        match self {
            Self::Stopped => redis.stop().await,
            Self::Silent => redis.pause().await,
        }
    }

    async fn end(self, redis: &mut Redis) -> Result<(), HarnessError> {
        match self {
            Self::Stopped => redis.restart().await,
            Self::Silent => redis.resume(),
        }
    }
}

async fn redis_goes_away_and_comes_back(away: Away) {
    let mut world = World::start(Shape { gateways: 2, ..Shape::default() }).await.unwrap();
    let (ada, agent, cookie) = signed_in(&world, "ada").await;
    let (grace, mut under_way) = (world.person("grace").await.unwrap(), Agent::new().unwrap());
    let start = under_way.get(world.sign_on_url()).await.unwrap();
    let callback = world.provider.sign_in(&mut under_way, start.redirect().unwrap(), &grace.login).await.unwrap();

    away.begin(&mut world.redis).await.unwrap();

    for _ in 0..3 {
        assert_eq!(world.ask(0, &cookie).await.unwrap().status, StatusCode::OK, "{away:?}: a session that is in memory goes on");
        assert_in_doubt(&world.ask(1, &cookie).await.unwrap(), "a session that has to be read");
    }
    let stopped = under_way.get(&callback).await.unwrap();
    assert_in_doubt(&stopped, "a sign-in");
    assert!(stopped.text().contains("Not available at the moment"), "{}", stopped.text());
    let again = under_way.get(&callback).await.unwrap();
    assert_in_doubt(&again, "the same sign-in");
    assert_eq!(world.cookie(&agent).unwrap(), cookie);
    away.end(&mut world.redis).await.unwrap();

    passes_again(&world, 1, &cookie, FOUND_AGAIN).await;
    let done = eventually("the sign-in going on", FOUND_AGAIN, async || {
        let answer = under_way.get(&callback).await.unwrap();
        (answer.status != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    });
    let done = done.await.unwrap();
    // A silent server may have heard after all that this answer was used, and nobody can know by whom: once more from the start.
    let is_unclear = matches!(away, Away::Silent) && done.status == StatusCode::BAD_REQUEST;
    let done = if is_unclear { world.try_sign_in(&mut under_way, &grace.login).await.unwrap() } else { done };
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{away:?}: it goes on where it stood: {}", done.text());
    let of_grace = world.cookie(&under_way).unwrap();
    for gateway in 0..2 {
        assert_eq!(world.ask(gateway, &of_grace).await.unwrap().status, StatusCode::OK);
    }
    world.deactivate(&ada).await.unwrap().expect_status(StatusCode::OK).unwrap();
    for gateway in 0..2 {
        assert_eq!(world.ask(gateway, &cookie).await.unwrap().status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g58_redis_stops_and_comes_back() {
    redis_goes_away_and_comes_back(Away::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g58_redis_falls_silent_and_comes_back() {
    redis_goes_away_and_comes_back(Away::Silent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_has_lost_means_signing_in_again_once() {
    let mut world = World::start(Shape { gateways: 2, ..Shape::default() }).await.unwrap();
    let (_, mut agent, old) = signed_in(&world, "ada").await;
    let mut connection = world.redis.connect().await.unwrap();
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();

    assert_eq!(world.ask(1, &old).await.unwrap().status, StatusCode::UNAUTHORIZED);
    world.gateways[0].restart().await.unwrap();
    assert_eq!(world.ask(0, &old).await.unwrap().status, StatusCode::UNAUTHORIZED);
    // The browser goes its way by itself, since the provider knows the person still: one round, and it is home.
    let start = agent.get(format!("{}/oauth2/start?rd=/", world.public_url)).await.unwrap();
    let home = format!("{}/", world.public_url);
    let arrived = agent.follow(start, |next| next.as_str() == home).await.unwrap();

    assert!(arrived.url.path().starts_with("/callback/"), "{}: {}", arrived.url, arrived.text());
    assert_eq!(arrived.location().unwrap().path(), "/");
    let new = world.cookie(&agent).unwrap();
    assert_ne!(new, old);
    for gateway in [0, 1, 0, 1] {
        assert_eq!(world.ask(gateway, &new).await.unwrap().status, StatusCode::OK);
        assert_eq!(world.ask(gateway, &old).await.unwrap().status, StatusCode::UNAUTHORIZED);
    }
}
