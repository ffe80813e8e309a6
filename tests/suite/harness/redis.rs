//! Redis answers, stands still, goes on and comes back.

use std::time::Duration;

use lockstep_tests::harness::redis::Redis;
use redis::AsyncCommands;

#[tokio::test]
async fn redis_keeps_a_value_and_comes_back_empty_on_its_port() {
    let mut redis = Redis::start().await.unwrap();
    let url = redis.url();
    let mut connection = redis.connect().await.unwrap();
    connection.set::<_, _, ()>("key", "value").await.unwrap();
    assert_eq!(connection.get::<_, String>("key").await.unwrap(), "value");

    redis.kill().await.unwrap();
    assert!(redis.connect().await.is_err(), "a dead server accepts nobody");
    redis.restart().await.unwrap();

    assert_eq!(redis.url(), url);
    let mut connection = redis.connect().await.unwrap();
    assert_eq!(connection.get::<_, Option<String>>("key").await.unwrap(), None);
}

#[tokio::test]
async fn a_paused_redis_answers_nothing_until_it_goes_on() {
    let mut redis = Redis::start().await.unwrap();
    let mut connection = redis.connect().await.unwrap();
    connection.set::<_, _, ()>("key", "value").await.unwrap();

    redis.pause().await.unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(200), connection.get::<_, String>("key")).await;
    assert!(silent.is_err(), "it stands still");
    redis.resume().unwrap();

    let mut connection = redis.connect().await.unwrap();
    assert_eq!(connection.get::<_, String>("key").await.unwrap(), "value");
}
