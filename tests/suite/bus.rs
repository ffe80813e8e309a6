//! The doorbell: what a listener hears, and that every loss is a gap that it hears.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lockstep_shared::{
    bus::{Ack, Bus, BusError, Listener, LocalBus, RedisBus, RedisLink, Signal},
    clock::{SystemClock, Timestamp},
    id::{Generation, ReplicaId},
    model::revocation::{Revocation, RevocationKind, Scope, Seq},
    secret::{Key, MacKey},
};
use lockstep_tests::harness::{eventually, redis::Redis};
use redis::AsyncCommands as _;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::store::workspace;

/// How soon the doorbell rings again once Redis is back.
const BACK_WITHIN: Duration = Duration::from_secs(4);
const SOON: Duration = Duration::from_secs(5);

fn generation() -> Generation {
    Generation::parse(&"a".repeat(32)).unwrap()
}

fn record(seq: i64) -> Revocation {
    Revocation {
        generation: generation(),
        seq: Seq(seq),
        tag: "00000000000000ff".into(),
        workspace: Some(workspace("acme")),
        kind: RevocationKind::End,
        scopes: vec![Scope::Workspace],
        reason: "test.revoked".into(),
        at: Timestamp(1_767_225_600_000),
    }
}

fn ack(seq: i64) -> Ack {
    Ack { generation: generation(), gateway: ReplicaId::new(), seq: Seq(seq) }
}

fn mac_key(byte: u8) -> MacKey {
    MacKey::derive(&Key::from_bytes([byte; 32]), "bus message")
}

/// A bus over Redis whose supervisor ends with this guard.
struct OverRedis {
    bus: Arc<RedisBus>,
    stop: CancellationToken,
}

impl OverRedis {
    fn start(url: &str, key: MacKey) -> Self {
        let link = RedisLink::new(url, SystemClock::shared()).unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        Self { bus: RedisBus::start(link, "test", key, &tasks, stop.clone()), stop }
    }
}

impl Drop for OverRedis {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn heard<T: Send + Sync>(listener: &mut Listener<T>) -> Signal<T>
where
    Signal<T>: Clone,
{
    timeout(SOON, listener.next()).await.expect("something is heard").expect("the bus is there")
}

/// Rings until a ring is heard; whether a gap was heard before it.
async fn rings(bus: &dyn Bus, listener: &mut Listener<Revocation>, within: Duration, number: i64) -> bool {
    let mut gap = false;
    eventually("the doorbell ringing", within, async || {
        drop(bus.publish(&record(number)).await);
        loop {
            match timeout(Duration::from_millis(50), listener.next()).await.ok()?? {
                Signal::Gap => gap = true,
                Signal::Message(message) if message.seq == Seq(number) => return Some(()),
                Signal::Message(_) => {}
            }
        }
    })
    .await
    .unwrap();
    gap
}

/// Both kinds of listener, past their first gap, on a bus that rings.
async fn connected(bus: &dyn Bus) -> (Listener<Revocation>, Listener<Ack>) {
    let mut records = bus.records();
    rings(bus, &mut records, SOON, -1).await;
    drain(&mut records).await;
    let mut acks = bus.acks();
    assert_eq!(heard(&mut acks).await, Signal::Gap);
    (records, acks)
}

/// Hears what is still under way.
async fn drain(listener: &mut Listener<Revocation>) {
    while timeout(Duration::from_millis(100), listener.next()).await.is_ok() {}
}

async fn the_first_signal_is_a_gap(bus: &dyn Bus) {
    bus.publish(&record(1)).await.unwrap();
    bus.acknowledge(&ack(1)).await.unwrap();

    assert_eq!(heard(&mut bus.records()).await, Signal::Gap);
    assert_eq!(heard(&mut bus.acks()).await, Signal::Gap);
}

async fn messages_are_heard_in_their_order_by_everybody(bus: &dyn Bus) {
    let (mut records, mut acks) = connected(bus).await;
    let mut second = bus.records();
    assert_eq!(heard(&mut second).await, Signal::Gap);

    let sent: Vec<Ack> = (1..=50).map(ack).collect();
    for (seq, ack) in (1..=50).zip(&sent) {
        bus.publish(&record(seq)).await.unwrap();
        bus.acknowledge(ack).await.unwrap();
    }

    for (seq, ack) in (1..=50).zip(sent) {
        assert_eq!(heard(&mut records).await, Signal::Message(Arc::new(record(seq))));
        assert_eq!(heard(&mut second).await, Signal::Message(Arc::new(record(seq))));
        assert_eq!(heard(&mut acks).await, Signal::Message(Arc::new(ack)));
    }
}

#[tokio::test]
async fn the_first_signal_is_a_gap_within_one_process() {
    the_first_signal_is_a_gap(&LocalBus::new(4)).await;
}

#[tokio::test]
async fn the_first_signal_is_a_gap_over_redis() {
    let server = Redis::start().await.unwrap();
    the_first_signal_is_a_gap(&*OverRedis::start(&server.url(), mac_key(1)).bus).await;
}

#[tokio::test]
async fn messages_are_heard_in_their_order_within_one_process() {
    messages_are_heard_in_their_order_by_everybody(&LocalBus::new(64)).await;
}

#[tokio::test]
async fn messages_are_heard_in_their_order_over_redis() {
    let server = Redis::start().await.unwrap();
    messages_are_heard_in_their_order_by_everybody(&*OverRedis::start(&server.url(), mac_key(1)).bus).await;
}

#[tokio::test]
async fn a_listener_that_lags_hears_a_gap_and_then_goes_on() {
    let bus = LocalBus::new(2);
    let mut listener = bus.records();
    assert_eq!(heard(&mut listener).await, Signal::Gap);

    for seq in 1..=5 {
        bus.publish(&record(seq)).await.unwrap();
    }

    assert_eq!(heard(&mut listener).await, Signal::Gap);
    assert_eq!(heard(&mut listener).await, Signal::Message(Arc::new(record(4))));
    assert_eq!(heard(&mut listener).await, Signal::Message(Arc::new(record(5))));
}

#[tokio::test]
async fn nobody_listening_is_no_error() {
    let server = Redis::start().await.unwrap();
    let over_redis = OverRedis::start(&server.url(), mac_key(1));

    for bus in [&LocalBus::new(1) as &dyn Bus, &*over_redis.bus] {
        bus.publish(&record(1)).await.unwrap();
        bus.acknowledge(&ack(1)).await.unwrap();
    }
}

#[tokio::test]
async fn two_processes_hear_each_other() {
    let server = Redis::start().await.unwrap();
    let (here, there) = (OverRedis::start(&server.url(), mac_key(1)), OverRedis::start(&server.url(), mac_key(1)));
    let (mut records, _) = connected(&*here.bus).await;
    let (_, mut acks) = connected(&*there.bus).await;
    drain(&mut records).await;

    there.bus.publish(&record(1)).await.unwrap();
    assert_eq!(heard(&mut records).await, Signal::Message(Arc::new(record(1))));
    let said = ack(1);
    here.bus.acknowledge(&said).await.unwrap();

    assert_eq!(heard(&mut acks).await, Signal::Message(Arc::new(said)));
}

#[tokio::test]
async fn what_carries_another_mac_or_none_is_not_heard() {
    let server = Redis::start().await.unwrap();
    let (ours, theirs) = (OverRedis::start(&server.url(), mac_key(1)), OverRedis::start(&server.url(), mac_key(2)));
    let (mut records, mut acks) = connected(&*ours.bus).await;
    let mut connection = server.connect().await.unwrap();

    theirs.bus.publish(&record(1)).await.unwrap();
    theirs.bus.acknowledge(&ack(1)).await.unwrap();
    for text in ["", "{}", r#"{"v":1}"#, "\u{1}\u{2}", &serde_json::to_string(&record(2)).unwrap()] {
        connection.publish::<_, _, ()>("test:revocations", text).await.unwrap();
        connection.publish::<_, _, ()>("test:acks", text).await.unwrap();
    }
    ours.bus.publish(&record(3)).await.unwrap();
    let said = ack(3);
    ours.bus.acknowledge(&said).await.unwrap();

    assert_eq!(heard(&mut records).await, Signal::Message(Arc::new(record(3))));
    assert_eq!(heard(&mut acks).await, Signal::Message(Arc::new(said)));
}

#[tokio::test]
async fn a_redis_that_dies_and_comes_back_is_heard_again_after_a_gap() {
    let mut server = Redis::start().await.unwrap();
    let over_redis = OverRedis::start(&server.url(), mac_key(1));
    let (mut records, mut acks) = connected(&*over_redis.bus).await;

    for round in 1..=2 {
        server.kill().await.unwrap();
        let refused = over_redis.bus.publish(&record(0)).await;
        assert!(matches!(refused, Err(BusError::Unavailable(_))), "{refused:?}");
        server.restart().await.unwrap();

        let gap = rings(&*over_redis.bus, &mut records, BACK_WITHIN, round).await;

        assert!(gap, "what was said meanwhile is looked for in the log");
        assert_eq!(heard(&mut acks).await, Signal::Gap);
    }
}

#[tokio::test]
async fn a_redis_that_is_down_at_the_start_is_heard_once_it_is_there() {
    let mut server = Redis::start().await.unwrap();
    server.stop().await.unwrap();
    let over_redis = OverRedis::start(&server.url(), mac_key(1));
    let mut records = over_redis.bus.records();
    assert_eq!(heard(&mut records).await, Signal::Gap);

    server.restart().await.unwrap();

    assert!(rings(&*over_redis.bus, &mut records, BACK_WITHIN, 1).await);
}

#[tokio::test]
async fn a_subscription_that_is_killed_is_made_anew_after_a_gap() {
    let server = Redis::start().await.unwrap();
    let over_redis = OverRedis::start(&server.url(), mac_key(1));
    let (mut records, _) = connected(&*over_redis.bus).await;
    let mut admin = server.connect().await.unwrap();

    let killed: i64 = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").query_async(&mut admin).await.unwrap();

    assert_eq!(killed, 1, "the subscription has one connection of its own");
    assert_eq!(heard(&mut records).await, Signal::Gap);
    rings(&*over_redis.bus, &mut records, BACK_WITHIN, 1).await;
}

#[tokio::test]
async fn a_redis_that_stood_still_is_heard_again_after_a_gap() {
    let mut server = Redis::start().await.unwrap();
    let over_redis = OverRedis::start(&server.url(), mac_key(1));
    let (mut records, _) = connected(&*over_redis.bus).await;

    server.pause().await.unwrap();
    let asked = Instant::now();
    let refused = over_redis.bus.publish(&record(0)).await;
    assert!(matches!(refused, Err(BusError::Unavailable(_))), "{refused:?}");
    assert!(asked.elapsed() < Duration::from_millis(1500));
    // Longer than the silence that the supervisor bears.
    eventually("three seconds of silence", SOON, async || (asked.elapsed() >= Duration::from_secs(3)).then_some(()))
        .await
        .unwrap();
    server.resume().unwrap();

    assert!(rings(&*over_redis.bus, &mut records, BACK_WITHIN, 1).await);
}

#[tokio::test]
async fn a_right_to_the_channel_that_is_taken_away_and_given_back_is_a_gap() {
    let server = Redis::start().await.unwrap();
    let mut admin = server.connect().await.unwrap();
    let mut rules = async |rules: &[&str]| {
        redis::cmd("ACL").arg("SETUSER").arg("bus").arg(rules).exec_async(&mut admin).await.unwrap();
    };
    rules(&["on", ">hush", "+@all", "~*", "resetchannels", "&test:*"]).await;
    let url = format!("redis://bus:hush@127.0.0.1:{}", server.port());
    let over_redis = OverRedis::start(&url, mac_key(1));
    let (mut records, _) = connected(&*over_redis.bus).await;

    rules(&["resetchannels", "&test:probe:*"]).await;
    let refused = over_redis.bus.publish(&record(0)).await;
    assert!(matches!(refused, Err(BusError::Refused(_))), "{refused:?}");
    assert!(timeout(Duration::from_secs(1), records.next()).await.is_err(), "no subscription, no signal");
    rules(&["&test:*"]).await;

    assert!(rings(&*over_redis.bus, &mut records, BACK_WITHIN, 1).await);
}

#[tokio::test]
async fn a_supervisor_that_is_stopped_leaves_no_subscription_behind() {
    let server = Redis::start().await.unwrap();
    let link = RedisLink::new(&server.url(), SystemClock::shared()).unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let bus = RedisBus::start(link, "test", mac_key(1), &tasks, stop.clone());
    let (records, _) = connected(&*bus).await;
    let mut admin = server.connect().await.unwrap();

    stop.cancel();
    tasks.close();
    timeout(SOON, tasks.wait()).await.expect("its task ends");
    drop(records);

    eventually("the subscription's end", SOON, async || {
        let clients: String = redis::cmd("CLIENT").arg("LIST").arg("TYPE").arg("pubsub").query_async(&mut admin).await.ok()?;
        clients.trim().is_empty().then_some(())
    })
    .await
    .unwrap();
}
