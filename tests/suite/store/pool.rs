//! Connections that come back from somebody who hung up: the next one finds nothing open on them.

use std::{future::Future, pin::pin, task::Poll, time::Duration};

use lockstep_shared::{
    clock::TestClock,
    id::UserId,
    store::{Store, StoreOptions},
};
use serde_json::json;
use tokio::time::timeout;

use super::{Db, idp, on_each_engine, provisioned, sealer, set_active};

/// More than enough for a database that is not asked anything else.
const IN_TIME: Duration = Duration::from_secs(20);

/// A store with one connection, so that the next request gets the one that was left.
fn with_one_connection(db: &Db) -> Store {
    let options = StoreOptions { max_connections: 1, ..StoreOptions::new(&db.url) };
    Store::open(&options, TestClock::new(), sealer()).unwrap()
}

/// Goes on with a request until it has been woken so often, and drops it there.
async fn hang_up_after(polls: u32, request: impl Future) {
    let mut request = pin!(request);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        request.as_mut().poll(context).map(drop)
    })
    .await;
}

on_each_engine! {
    async fn what_is_answered_after_somebody_hung_up_is_kept(db: &Db) {
        let store = with_one_connection(db);
        store.ping().await.unwrap();
        let (mut created, mut lost) = (0, Vec::new());

        for round in 0..120 {
            hang_up_after(round % 7, store.record(&db.acme, &idp(), "test.written", "", &json!({}))).await;
            let user = store.create_user(&db.acme, provisioned(&format!("user-{round}")), &idp()).await.unwrap();
            created += 1;
            if db.store.user(&db.acme, &user.id).await.unwrap().is_none() {
                lost.push(round);
            }
        }

        assert_eq!((created, lost), (120, vec![]));
    }

    async fn what_is_read_after_somebody_hung_up_is_as_it_is_now(db: &Db) {
        let (store, babs) = (with_one_connection(db), db.user("babs").await);
        let mut stale = Vec::new();

        for round in 0..80 {
            store.head().await.unwrap();
            hang_up_after(round % 7, store.person(&db.acme, &UserId::new())).await;
            store.head().await.unwrap();
            let told = set_active(&db.store, &db.acme, &babs.id, round % 2 == 1).await.unwrap();
            if store.head().await.unwrap().seq != told.through {
                stale.push(round);
            }
        }

        assert_eq!(stale, Vec::<u32>::new());
    }

    async fn whoever_hangs_up_leaves_their_place_to_the_next(db: &Db) {
        let store = with_one_connection(db);
        let babs = db.user("babs").await;

        for round in 0..60 {
            let polls = round % 10;
            match round % 3 {
                0 => hang_up_after(polls, set_active(&store, &db.acme, &babs.id, round % 2 == 0)).await,
                1 => hang_up_after(polls, store.user(&db.acme, &babs.id)).await,
                _ => hang_up_after(polls, store.create_user(&db.acme, provisioned(&format!("user-{round}")), &idp())).await,
            }
            timeout(IN_TIME, store.ping()).await.expect("a place").unwrap();
            timeout(IN_TIME, store.record(&db.acme, &idp(), "test.written", "", &json!({}))).await.expect("a turn").unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_database_ended_a_moment_ago_is_replaced() {
    let db = Db::postgres().await;
    let store = with_one_connection(&db);
    let mut connection = db.connection().await;

    for _ in 0..5 {
        store.head().await.unwrap();
        let end = "SELECT CAST(COUNT(pg_terminate_backend(pid)) AS BIGINT) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let ended: i64 = sqlx::query_scalar(end).fetch_one(&mut connection).await.unwrap();
        assert!(ended > 0);

        store.head().await.unwrap();
    }
}
