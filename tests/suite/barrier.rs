//! I1: an answer that says "they are out" is given when no gateway can be answering from an older state, and not before.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lockstep_shared::{
    bus::{Ack, Bus, BusError, Listener, LocalBus},
    clock::{SharedClock, SystemClock, TestClock},
    id::ReplicaId,
    model::revocation::{Draft, Head, Revocation, Scope, Seq},
    revoke::{Receipt, Road, SettleError},
    store::{Renewal, Settlement, Store, StoreOptions},
    telemetry::Meters,
};
use lockstep_tests::harness::{eventually, postgres::Postgres};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::store::{Db, on_each_engine, sealer, workspace};

const LEASE: Duration = Duration::from_millis(300);
/// Longer than any test: a gateway with this lease has to confirm.
const LONG_LEASE: Duration = Duration::from_secs(40);
/// Long enough for an answer that comes too early to be seen.
const A_WHILE: Duration = Duration::from_millis(250);
const SOON: Duration = Duration::from_secs(5);

/// A bus that has lost its wire but still hears.
struct Mute(LocalBus, Mutex<u32>);

#[async_trait]
impl Bus for Mute {
    async fn publish(&self, _: &Revocation) -> Result<(), BusError> {
        *self.1.lock().unwrap() += 1;
        Err(BusError::Unavailable("cut off".into()))
    }

    async fn acknowledge(&self, _: &Ack) -> Result<(), BusError> {
        Err(BusError::Unavailable("cut off".into()))
    }

    fn records(&self) -> Listener<Revocation> {
        self.0.records()
    }

    fn acks(&self) -> Listener<Ack> {
        self.0.acks()
    }
}

/// A provisioner's side: the road of one process, which ends with this guard.
struct Waiter {
    road: Road,
    bus: Arc<dyn Bus>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Waiter {
    fn new(store: &Store, clock: SharedClock) -> Self {
        Self::over(store, clock, Arc::new(LocalBus::new(64)))
    }

    fn over(store: &Store, clock: SharedClock, bus: Arc<dyn Bus>) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let road = Road::start(store.clone(), bus.clone(), clock, tasks.clone(), &stop, Meters::default());
        Self { road, bus, tasks, stop }
    }

    fn settle(&self, settlement: &Settlement) -> JoinHandle<Result<Receipt, SettleError>> {
        let (road, settlement) = (self.road.clone(), settlement.clone());
        tokio::spawn(async move { road.settle(&workspace("acme"), settlement).await })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A gateway that beats and acknowledges when the test says so.
struct Gateway {
    id: ReplicaId,
    store: Store,
}

impl Gateway {
    async fn joining(store: &Store, lease: Duration) -> Self {
        let gateway = Self { id: ReplicaId::new(), store: store.clone() };
        store.join_gateway(&gateway.id, lease).await.unwrap();
        gateway
    }

    async fn serving(store: &Store, lease: Duration) -> Self {
        let gateway = Self::joining(store, lease).await;
        let head = store.head().await.unwrap();
        gateway.beats(&head).await;
        gateway
    }

    /// Renews, having applied the log up to `head`.
    async fn beats(&self, head: &Head) -> Head {
        match self.store.renew_gateway(&self.id, Some((&head.generation, head.seq))).await.unwrap() {
            Renewal::Renewed(head) => head,
            Renewal::Unknown => panic!("the row is gone"),
        }
    }

    async fn acknowledges(&self, bus: &dyn Bus, seq: Seq) {
        let generation = self.store.head().await.unwrap().generation;
        bus.acknowledge(&Ack { generation, gateway: self.id.clone(), seq }).await.unwrap();
    }
}

async fn revoke(store: &Store) -> Settlement {
    store.revoke(Draft::end(&workspace("acme"), vec![Scope::Workspace], "test.revoked")).await.unwrap()
}

async fn not_yet(answer: &mut JoinHandle<Result<Receipt, SettleError>>, why: &str) {
    assert!(timeout(A_WHILE, answer).await.is_err(), "{why}");
}

async fn answered(answer: JoinHandle<Result<Receipt, SettleError>>) -> Receipt {
    timeout(SOON, answer).await.expect("an answer").unwrap().unwrap()
}

fn confirmed(receipt: &Receipt) -> Vec<&ReplicaId> {
    receipt.confirmed.iter().map(|confirmation| &confirmation.gateway).collect()
}

fn waited_out(receipt: &Receipt) -> Vec<&ReplicaId> {
    receipt.waited_out.iter().map(|waited| &waited.gateway).collect()
}

on_each_engine! {
    async fn without_a_gateway_nobody_is_waited_for(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());

        let receipt = answered(waiter.settle(&revoke(&db.store).await)).await;

        assert_eq!((receipt.seq, receipt.confirmed.len(), receipt.waited_out.len()), (Seq(1), 0, 0));
    }

    async fn the_answer_waits_for_the_word_of_every_gateway(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());
        let (one, two) = (Gateway::serving(&db.store, LONG_LEASE).await, Gateway::serving(&db.store, LONG_LEASE).await);
        let settlement = revoke(&db.store).await;

        let mut answer = waiter.settle(&settlement);
        not_yet(&mut answer, "nobody has confirmed").await;
        one.acknowledges(&*waiter.bus, settlement.through).await;
        two.acknowledges(&*waiter.bus, Seq(settlement.through.0 - 1)).await;
        not_yet(&mut answer, "one of two has confirmed, the other an earlier place").await;
        two.acknowledges(&*waiter.bus, settlement.through.next()).await;

        let receipt = answered(answer).await;
        assert_eq!((receipt.confirmed.len(), receipt.waited_out.len()), (2, 0));
        assert!(confirmed(&receipt).contains(&&one.id) && confirmed(&receipt).contains(&&two.id));
    }

    async fn a_row_confirms_where_the_word_was_lost(db: &Db) {
        let bus = Arc::new(Mute(LocalBus::new(4), Mutex::new(0)));
        let waiter = Waiter::over(&db.store, SystemClock::shared(), bus.clone());
        let gateway = Gateway::serving(&db.store, LONG_LEASE).await;
        let settlement = revoke(&db.store).await;

        let mut answer = waiter.settle(&settlement);
        // It renews without having applied the place, and then having done so.
        let head = gateway.beats(&Head { seq: Seq(0), ..db.store.head().await.unwrap() }).await;
        not_yet(&mut answer, "the row says an earlier place").await;
        gateway.beats(&head).await;

        assert_eq!(confirmed(&answered(answer).await), [&gateway.id]);
        assert_eq!(*bus.1.lock().unwrap(), 1, "it was tried");
    }

    async fn a_row_or_a_word_of_another_incarnation_confirms_nothing(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());
        let gateway = Gateway::serving(&db.store, LONG_LEASE).await;
        let before = db.store.head().await.unwrap();
        db.store.new_generation().await.unwrap();
        let settlement = revoke(&db.store).await;

        let mut answer = waiter.settle(&settlement);
        gateway.beats(&Head { seq: Seq(99), ..before.clone() }).await;
        let word = Ack { generation: before.generation, gateway: gateway.id.clone(), seq: Seq(99) };
        waiter.bus.acknowledge(&word).await.unwrap();
        not_yet(&mut answer, "a place of another incarnation").await;
        gateway.acknowledges(&*waiter.bus, settlement.through).await;

        answered(answer).await;
    }

    async fn a_gateway_that_has_not_served_yet_holds_nobody_up(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());
        Gateway::joining(&db.store, LONG_LEASE).await;

        let receipt = answered(waiter.settle(&revoke(&db.store).await)).await;

        assert_eq!(receipt.waited_out.len(), 0);
    }

    async fn a_gateway_that_begins_to_serve_meanwhile_has_the_place(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());
        let (slow, late) = (Gateway::serving(&db.store, LONG_LEASE).await, Gateway::joining(&db.store, LONG_LEASE).await);
        let settlement = revoke(&db.store).await;

        let mut answer = waiter.settle(&settlement);
        not_yet(&mut answer, "one is awaited").await;
        let head = late.beats(&Head { seq: Seq(0), ..db.store.head().await.unwrap() }).await;
        assert!(head.seq >= settlement.through, "its first lease has the place");
        not_yet(&mut answer, "the first is awaited still, and the rows are read again meanwhile").await;
        slow.acknowledges(&*waiter.bus, settlement.through).await;
        not_yet(&mut answer, "it serves, and has not said that it has applied it").await;
        late.beats(&head).await;

        assert_eq!(answered(answer).await.waited_out.len(), 0);
    }

    async fn a_gateway_that_stands_still_is_waited_out_for_its_lease_and_no_less(db: &Db) {
        let gateway = Gateway::serving(&db.store, LEASE).await;
        let settlement = revoke(&db.store).await;
        // Just started: it has not watched yet.
        let waiter = Waiter::new(&db.store, SystemClock::shared());

        let asked = Instant::now();
        let receipt = answered(waiter.settle(&settlement)).await;

        assert!(asked.elapsed() >= LEASE + LEASE / 50, "{:?}: the drift of the clocks is counted", asked.elapsed());
        assert!(asked.elapsed() < LEASE * 4, "{:?}", asked.elapsed());
        assert_eq!((waited_out(&receipt), receipt.confirmed.len()), (vec![&gateway.id], 0));
        assert!(receipt.took_ms >= 306 && receipt.waited_out[0].after_ms >= 306, "{receipt:?}");
    }

    async fn a_gateway_that_beats_but_does_not_apply_is_waited_out_from_the_commit(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());
        let gateway = Gateway::serving(&db.store, LEASE).await;
        let settlement = revoke(&db.store).await;
        let behind = Head { seq: Seq(0), ..db.store.head().await.unwrap() };

        let asked = Instant::now();
        let answer = waiter.settle(&settlement);
        while !answer.is_finished() {
            gateway.beats(&behind).await;
        }

        // Every renewal since the commit has carried a head with the place: no lease from before it lasts.
        let receipt = answered(answer).await;
        assert!(asked.elapsed() >= LEASE + LEASE / 50);
        assert_eq!(waited_out(&receipt), [&gateway.id]);
    }

    async fn a_gateway_that_was_seen_standing_still_costs_nothing(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());
        let dead = Gateway::serving(&db.store, LEASE).await;
        answered(waiter.settle(&revoke(&db.store).await)).await;

        let asked = Instant::now();
        let receipt = answered(waiter.settle(&revoke(&db.store).await)).await;

        assert!(asked.elapsed() < LEASE, "{:?}", asked.elapsed());
        assert_eq!(waited_out(&receipt), [&dead.id]);
    }

    async fn a_gateway_that_leaves_holds_nobody_up(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());
        let gateway = Gateway::serving(&db.store, LONG_LEASE).await;
        let settlement = revoke(&db.store).await;

        let mut answer = waiter.settle(&settlement);
        not_yet(&mut answer, "it serves").await;
        db.store.leave_gateway(&gateway.id).await.unwrap();

        answered(answer).await;
    }

    async fn a_row_that_stands_still_for_ten_minutes_is_forgotten(db: &Db) {
        let clock = TestClock::new();
        let waiter = Waiter::new(&db.store, clock.clone());
        let (dead, live) = (Gateway::serving(&db.store, LEASE).await, Gateway::serving(&db.store, LEASE).await);
        let settlement = revoke(&db.store).await;
        live.acknowledges(&*waiter.bus, settlement.through).await;
        dead.acknowledges(&*waiter.bus, settlement.through).await;
        answered(waiter.settle(&settlement)).await;

        clock.advance(Duration::from_secs(599));
        live.beats(&db.store.head().await.unwrap()).await;
        let settlement = revoke(&db.store).await;
        live.acknowledges(&*waiter.bus, settlement.through).await;
        assert_eq!(waited_out(&answered(waiter.settle(&settlement)).await), [&dead.id]);
        assert_eq!(db.store.gateways().await.unwrap().len(), 2, "not yet");
        clock.advance(Duration::from_secs(1));

        let left = eventually("the row's end", SOON, async || {
            let rows = db.store.gateways().await.unwrap();
            (rows.len() < 2).then_some(rows)
        });
        assert_eq!(left.await.unwrap()[0].id, live.id);
    }

    async fn a_repetition_waits_as_the_first_did(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());
        let gateway = Gateway::serving(&db.store, LONG_LEASE).await;
        let babs = db.user("babs").await;
        let (first, again) = (db.set_active(&babs.id, false).await, db.set_active(&babs.id, false).await);

        let (mut answer, mut repeated) = (waiter.settle(&first), waiter.settle(&again));
        not_yet(&mut answer, "the first").await;
        not_yet(&mut repeated, "the repetition").await;
        gateway.acknowledges(&*waiter.bus, first.through).await;

        assert_eq!((answered(answer).await.seq, answered(repeated).await.seq), (first.through, first.through));
    }

    async fn what_takes_nothing_away_waits_for_nobody(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());
        Gateway::serving(&db.store, LONG_LEASE).await;

        assert_eq!(answered(waiter.settle(&Settlement::default())).await, Receipt::default());
    }

    async fn a_caller_that_hangs_up_cancels_nothing(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());
        let gateway = Gateway::serving(&db.store, LONG_LEASE).await;
        let mut records = waiter.bus.records();
        records.next().await;
        let settlement = revoke(&db.store).await;

        let mut answer = waiter.settle(&settlement);
        not_yet(&mut answer, "it is awaited").await;
        answer.abort();
        assert!(answer.await.unwrap_err().is_cancelled());
        timeout(SOON, records.next()).await.expect("it was published").unwrap();
        gateway.acknowledges(&*waiter.bus, settlement.through).await;
        waiter.tasks.close();

        let receipt = eventually("the receipt in the audit trail", SOON, async || {
            db.store.audit_trail(&db.acme, Some(&settlement.through.to_string()), 1).await.unwrap().pop()
        })
        .await
        .unwrap();
        assert_eq!(receipt.action, "access.settled");
        assert_eq!(receipt.detail["confirmed"][0]["gateway"], gateway.id.as_str());
    }

    async fn forty_barriers_at_once_each_wait_for_their_own_place(db: &Db) {
        let waiter = Waiter::new(&db.store, SystemClock::shared());
        let gateway = Gateway::serving(&db.store, LONG_LEASE).await;
        let mut answers = Vec::new();
        for _ in 0..40 {
            let settlement = revoke(&db.store).await;
            answers.push((settlement.through, waiter.settle(&settlement)));
        }

        gateway.acknowledges(&*waiter.bus, Seq(20)).await;

        let (first, last): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(through, _)| *through <= Seq(20));
        for (through, answer) in first {
            assert_eq!(answered(answer).await.seq, through);
        }
        assert!(last.iter().all(|(_, answer)| !answer.is_finished()));
        gateway.acknowledges(&*waiter.bus, Seq(40)).await;
        for (through, answer) in last {
            assert_eq!(answered(answer).await.seq, through);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_goes_away_after_the_commit_hastens_no_answer() {
    for silent in [false, true] {
        let mut cluster = Postgres::start().await.unwrap();
        let url = cluster.database().await.unwrap().url().to_owned();
        let options = StoreOptions { acquire_timeout: Duration::from_millis(300), ..StoreOptions::new(url) };
        let clock = TestClock::new();
        let store = Store::open(&options, clock.clone(), sealer()).unwrap();
        store.migrate().await.unwrap();
        let gateway = Gateway::serving(&store, Duration::from_secs(10)).await;
        let waiter = Waiter::new(&store, clock.clone());
        let settlement = revoke(&store).await;
        if silent {
            cluster.pause().await.unwrap();
        } else {
            cluster.kill().await.unwrap();
        }

        let mut answer = waiter.settle(&settlement);
        // The word of a gateway counts for nothing without the rows: there may be others.
        let word =
            Ack { generation: settlement.records[0].generation.clone(), gateway: gateway.id.clone(), seq: settlement.through };
        waiter.bus.acknowledge(&word).await.unwrap();
        not_yet(&mut answer, "nothing is known").await;
        clock.advance(Duration::from_millis(45_500));
        not_yet(&mut answer, "the longest lease with its drift has not passed").await;
        clock.advance(Duration::from_millis(500));

        let receipt = timeout(Duration::from_secs(20), answer).await.expect("an answer").unwrap().unwrap();
        assert_eq!((receipt.seq, receipt.took_ms), (settlement.through, 46_000), "silent: {silent}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_comes_back_is_asked_again() {
    let mut cluster = Postgres::start().await.unwrap();
    let url = cluster.database().await.unwrap().url().to_owned();
    let options = StoreOptions { acquire_timeout: Duration::from_millis(300), ..StoreOptions::new(url) };
    let store = Store::open(&options, SystemClock::shared(), sealer()).unwrap();
    store.migrate().await.unwrap();
    let gateway = Gateway::serving(&store, LONG_LEASE).await;
    let waiter = Waiter::new(&store, SystemClock::shared());
    let settlement = revoke(&store).await;

    cluster.kill().await.unwrap();
    let mut answer = waiter.settle(&settlement);
    not_yet(&mut answer, "nothing is known").await;
    cluster.restart().await.unwrap();
    eventually("the database", SOON, async || store.head().await.ok()).await.unwrap();
    not_yet(&mut answer, "the gateway has not confirmed").await;
    gateway.acknowledges(&*waiter.bus, settlement.through).await;

    assert_eq!(confirmed(&answered(answer).await), [&gateway.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reading_that_hangs_is_given_up() {
    let db = Db::postgres().await;
    let clock = TestClock::new();
    let waiter = Waiter::new(&db.store, clock.clone());
    let settlement = revoke(&db.store).await;
    let mut connection = db.connection().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE gateways IN ACCESS EXCLUSIVE MODE").execute(&mut connection).await.unwrap();

    let mut answer = waiter.settle(&settlement);
    not_yet(&mut answer, "the rows are not read").await;
    clock.advance(Duration::from_secs(46));

    assert_eq!(answered(answer).await.took_ms, 46_000);
}

#[tokio::test]
async fn an_earlier_place_whose_incarnation_cannot_be_read_is_never_taken_for_settled() {
    let clock = TestClock::new();
    let options =
        StoreOptions { acquire_timeout: Duration::from_millis(100), ..StoreOptions::new("sqlite:///no/such/folder/x.db") };
    let store = Store::open(&options, clock.clone(), sealer()).unwrap();
    let waiter = Waiter::new(&store, clock.clone());

    let mut answer = waiter.settle(&Settlement::of_earlier(Seq(1)));
    not_yet(&mut answer, "nothing is known").await;
    clock.advance(Duration::from_secs(45));

    let outcome = timeout(SOON, answer).await.expect("an answer").unwrap();
    assert!(matches!(outcome, Err(SettleError::Store(_))), "{outcome:?}");
}
