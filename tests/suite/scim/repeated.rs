//! A creation whose answer was lost is repeated, and refused because it was carried out: the refusal waits as the answer did.

use std::time::Duration;

use lockstep_shared::{
    clock::SystemClock,
    id::{ReplicaId, UserId},
    store::{GroupMatch, Store},
};
use lockstep_tests::{
    harness::{eventually, http::Answer, postgres::Postgres, scim::Scim},
    world::{deactivation, text},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::timeout};

use super::{GROUP, Installation, body, refusal, user};
use crate::store::{open, signed_in, workspace};

const SOON: Duration = Duration::from_secs(20);
const A_WHILE: Duration = Duration::from_millis(700);
const LONG_LEASE: Duration = Duration::from_secs(45);

fn send(scim: &Scim, path: &'static str, body: &Value) -> JoinHandle<Answer> {
    let (scim, body) = (scim.clone(), body.clone());
    tokio::spawn(async move { scim.post(path, &body).await.unwrap() })
}

async fn not_yet(answer: &mut JoinHandle<Answer>, why: &str) {
    assert!(timeout(A_WHILE, answer).await.is_err(), "{why}");
}

/// A gateway that has applied the log as far as it goes now.
async fn catches_up(store: &Store, gateway: &ReplicaId) {
    let head = store.head().await.unwrap();
    store.renew_gateway(gateway, Some((&head.generation, head.seq))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_that_is_refused_since_it_was_carried_out_waits_for_the_gateways() {
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let installation = Installation::on_postgres(&database).await;
    let scim = installation.workspace("acme").await;
    let (store, acme) = (open(database.url(), SystemClock::shared()), workspace("acme"));
    let ada = text(&body(scim.post("/Users", &user("ada")).await, 201), "id");
    signed_in(&store, &acme, &UserId::parse(&ada).unwrap()).await;
    let gateway = ReplicaId::new();
    store.join_gateway(&gateway, LONG_LEASE).await.unwrap();
    catches_up(&store, &gateway).await;

    let crew = json!({ "schemas": [GROUP], "displayName": "Crew", "members": [{ "value": ada }] });
    let first = send(&scim, "/Groups", &crew);
    let by_name = GroupMatch::DisplayName("Crew".into());
    let is_there = async || (!store.groups_matching(&acme, &by_name).await.ok()?.is_empty()).then_some(());
    eventually("the group", SOON, is_there).await.unwrap();
    let mut again = send(&scim, "/Groups", &crew);
    not_yet(&mut again, "the members' sessions may not know of the group").await;
    catches_up(&store, &gateway).await;
    body(Ok(timeout(SOON, first).await.unwrap().unwrap()), 201);
    refusal(Ok(timeout(SOON, again).await.unwrap().unwrap()), 409, "uniqueness");

    let head = store.head().await.unwrap().seq;
    let (path, out) = (format!("/Users/{ada}"), deactivation());
    let lost = tokio::spawn({
        let scim = scim.clone();
        async move { scim.patch(&path, &out).await.unwrap() }
    });
    let is_out = async || (store.head().await.ok()?.seq > head).then_some(());
    eventually("the deactivation", SOON, is_out).await.unwrap();
    let mut taken = send(&scim, "/Users", &user("ada"));
    not_yet(&mut taken, "whoever bears the name may still be in").await;
    catches_up(&store, &gateway).await;
    body(Ok(timeout(SOON, lost).await.unwrap().unwrap()), 200);
    refusal(Ok(timeout(SOON, taken).await.unwrap().unwrap()), 409, "uniqueness");
}
