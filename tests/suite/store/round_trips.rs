//! How often PostgreSQL is asked: a provisioning write costs what it says to the database, and no questions beside it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use lockstep_shared::{
    clock::TestClock,
    model::{audit::Actor, workspace::Plan},
    store::{Store, StoreOptions},
};
use lockstep_tests::harness::postgres::{Database, Postgres};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

use super::{edit, idp, provisioned, sealer, workspace};

/// A way to PostgreSQL that counts what is waited for: queries and synchronisations.
struct Counter {
    asked: Arc<AtomicU64>,
    _connections: JoinSet<()>,
}

impl Counter {
    /// What a piece of work asks.
    async fn of(&self, work: impl Future) -> u64 {
        let before = self.asked.load(Ordering::SeqCst);
        work.await;
        self.asked.load(Ordering::SeqCst) - before
    }
}

/// Passes the client's messages on, each whole.
async fn count(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: Arc<AtomicU64>) -> std::io::Result<()> {
    // The first message has no type, nor has the question for TLS that may come before it.
    let mut kind = None;
    loop {
        if let Some(kind) = kind {
            to.write_u8(kind).await?;
        }
        let length = from.read_u32().await?;
        let mut rest = vec![0; usize::try_from(length).unwrap() - 4];
        from.read_exact(&mut rest).await?;
        to.write_u32(length).await?;
        to.write_all(&rest).await?;
        if matches!(kind, Some(b'S' | b'Q')) {
            asked.fetch_add(1, Ordering::SeqCst);
        }
        let is_question_for_tls = kind.is_none() && length == 8;
        kind = if is_question_for_tls { None } else { Some(from.read_u8().await?) };
    }
}

async fn counted() -> (Store, Counter, Database) {
    let cluster = Postgres::shared().await.unwrap();
    let database = cluster.database().await.unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = database.url().replace(&format!(":{}/", cluster.port()), &format!(":{}/", listener.local_addr().unwrap().port()));
    let (asked, port) = (Arc::<AtomicU64>::default(), cluster.port());
    let mut connections = JoinSet::new();
    let counting = asked.clone();
    connections.spawn(async move {
        let mut open = JoinSet::new();
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let ((from, mut back), (mut answers, to)) = (near.into_split(), far.into_split());
            open.spawn(count(from, to, counting.clone()));
            open.spawn(async move { tokio::io::copy(&mut answers, &mut back).await.map(drop) });
        }
    });
    let store = Store::open(&StoreOptions::new(&url), TestClock::new(), sealer()).unwrap();
    store.migrate().await.unwrap();
    store.create_workspace(&workspace("acme"), "A company", Plan::Enterprise, &Actor::operator()).await.unwrap();
    (store, Counter { asked, _connections: connections }, database)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_came_back_whole_is_asked_nothing_but_the_question() {
    let (store, counter, _database) = counted().await;
    let acme = workspace("acme");
    // Each statement is prepared once, on the one connection that requests in turn share.
    let babs = store.create_user(&acme, provisioned("babs"), &idp()).await.unwrap();
    drop(edit(&store, &acme, &babs.id, |profile| drop(profile.attributes.insert("title".into(), json!("A")))).await.unwrap());
    store.user(&acme, &babs.id).await.unwrap();

    let read = counter.of(async { drop(store.user(&acme, &babs.id).await.unwrap()) }).await;
    let created = counter.of(async { drop(store.create_user(&acme, provisioned("ada"), &idp()).await.unwrap()) }).await;
    let changed = counter
        .of(async {
            drop(
                edit(&store, &acme, &babs.id, |profile| drop(profile.attributes.insert("title".into(), json!("B"))))
                    .await
                    .unwrap(),
            );
        })
        .await;

    assert_eq!(read, 1);
    assert_eq!(created, 1, "user, address and audit trail in one statement that commits by itself");
    assert_eq!(changed, 1, "changed if nothing has come in between since it was read");
}
