//! PostgreSQL answers, keeps what it confirmed, stands still and comes back.

use std::time::Duration;

use lockstep_tests::harness::postgres::{Database, Postgres};
use sqlx::{Connection, PgConnection};

async fn select(database: &Database, sql: &'static str) -> i32 {
    let mut connection = database.connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let cluster = Postgres::shared().await.unwrap();
    let (mine, yours) = (cluster.database().await.unwrap(), cluster.database().await.unwrap());
    let mut connection = mine.connect().await.unwrap();
    sqlx::query("CREATE TABLE mine (id INT)").execute(&mut connection).await.unwrap();

    let tables = "SELECT count(*)::INT FROM pg_tables WHERE schemaname = 'public'";

    assert_eq!(select(&mine, tables).await, 1);
    assert_eq!(select(&yours, tables).await, 0);
    assert_eq!(select(&mine, "SELECT (current_setting('fsync') = 'on')::INT").await, 1, "writes are flushed");
}

#[tokio::test]
async fn what_was_committed_outlives_an_immediate_stop() {
    let mut cluster = Postgres::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let mut connection = database.connect().await.unwrap();
    sqlx::raw_sql("CREATE TABLE kept (id INT); INSERT INTO kept VALUES (7)").execute(&mut connection).await.unwrap();

    cluster.stop_immediate().await.unwrap();
    assert!(database.connect().await.is_err(), "a stopped server accepts nobody");
    cluster.restart().await.unwrap();
    assert_eq!(select(&database, "SELECT id FROM kept").await, 7);
    cluster.kill().await.unwrap();
    cluster.restart().await.unwrap();

    assert_eq!(select(&database, "SELECT id FROM kept").await, 7);
}

#[tokio::test]
async fn a_paused_postgres_answers_nothing_on_an_open_connection() {
    let mut cluster = Postgres::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let mut connection = database.connect().await.unwrap();

    cluster.pause().await.unwrap();
    let silent = tokio::time::timeout(Duration::from_millis(200), connection.ping()).await;
    assert!(silent.is_err(), "its server processes stand still too");
    cluster.resume().unwrap();

    assert_eq!(select(&database, "SELECT 1").await, 1);
    drop::<PgConnection>(connection);
}
