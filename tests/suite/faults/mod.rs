//! Whatever is away, at the start or in the middle: nobody is let in on a guess, nobody is signed out, and what comes back is
//! found again without a restart of ours.

mod at_start;
mod configuration;
mod database;
mod killed;
mod leaving;
mod provider;
mod session_store;

use std::time::Duration;

use http::StatusCode;
use lockstep_tests::{
    harness::{
        eventually,
        http::{Agent, Answer},
        postgres::{Database, Postgres},
    },
    world::{Person, World},
};
use sqlx::Row as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How soon what comes back has to be found again.
const FOUND_AGAIN: Duration = Duration::from_secs(3);
/// The lease of these worlds, with what a gateway's and a waiter's clocks may differ by.
const LEASE: Duration = Duration::from_millis(3_060);

/// "It cannot be known now": when to ask again, and nothing that signs anybody out or sends them round in a circle.
fn assert_in_doubt(answer: &Answer, what: &str) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{what}: {}", answer.text());
    assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{what}: {:?}", answer.headers);
    assert_eq!((answer.header("set-cookie"), answer.header("location")), ("", ""), "{what}");
}

/// Somebody with a session that every gateway has in memory, or just the first.
async fn signed_in(world: &World, login: &str) -> (Person, Agent, String) {
    let person = world.person(login).await.unwrap();
    let agent = world.sign_in(&person).await.unwrap();
    let cookie = world.cookie(&agent).unwrap();
    assert_eq!(world.ask(0, &cookie).await.unwrap().status, StatusCode::OK);
    (person, agent, cookie)
}

/// Waits until a gateway lets this cookie pass; until then it may be in doubt, and nothing else.
async fn passes_again(world: &World, gateway: usize, cookie: &str, within: Duration) {
    let asked = eventually(format!("gateway {gateway} answering again"), within, async || {
        let answer = world.ask(gateway, cookie).await.unwrap();
        if answer.status != StatusCode::OK {
            assert_in_doubt(&answer, "while something comes back");
        }
        (answer.status == StatusCode::OK).then_some(())
    });
    asked.await.unwrap();
}

/// Sends one question on a connection of its own, as a front without keep-alive does.
async fn send(address: &str, cookie: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /oauth2/auth HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// The whole answer; where the connection broke, that.
async fn read(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let outcome = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    match outcome {
        Ok(_) => answer,
        Err(error) => format!("cut off: {error} after {answer}"),
    }
}

/// A cluster that this test alone may stop, and a database in it.
async fn own_database() -> (Postgres, Database) {
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database().await.unwrap();
    (postgres, database)
}

/// Where the revocation log is.
async fn head(database: &Database) -> i64 {
    let mut connection = database.connect().await.unwrap();
    sqlx::query("SELECT seq FROM rev_head").fetch_one(&mut connection).await.unwrap().get(0)
}

/// Waits until the log has gone past a place.
async fn log_passes(database: &Database, seq: i64) {
    let passed = eventually("the log going on", Duration::from_secs(10), async || (head(database).await > seq).then_some(()));
    passed.await.unwrap();
}

/// How many gateways have a row.
async fn gateways(database: &Database) -> i64 {
    let mut connection = database.connect().await.unwrap();
    sqlx::query("SELECT COUNT(*) FROM gateways").fetch_one(&mut connection).await.unwrap().get(0)
}
