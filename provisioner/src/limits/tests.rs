//! Turns, rates and strangers, without a clock that runs.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
};

use lockstep_shared::clock::TestClock;
use tokio::task::JoinSet;

use super::*;

const QUOTAS: Quotas =
    Quotas { per_second: NonZeroU32::MIN.saturating_add(24), at_a_time: 4, waiting: 100, patience: Duration::from_secs(20) };

fn limits(quotas: Quotas) -> (Arc<TestClock>, Arc<Limits>) {
    let clock = TestClock::new();
    (clock.clone(), Arc::new(Limits::new(clock, quotas)))
}

fn plenty() -> Quotas {
    Quotas { per_second: NonZeroU32::MAX, ..QUOTAS }
}

fn workspace(id: &str) -> WorkspaceId {
    WorkspaceId::parse(id).unwrap()
}

/// A credential that nobody else has.
fn credential() -> Vec<u8> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec()
}

const PEER: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

/// One request of a credential that is good.
async fn request(limits: &Limits, id: &str, credential: &[u8]) -> Result<Pass, Busy> {
    let knock = limits.knock(id, Some(credential), PEER).await?;
    limits.welcome(knock, &workspace(id)).await
}

async fn until(claim: impl Fn() -> bool) {
    while !claim() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_workspace_that_is_hammered_does_not_make_another_one_wait() {
    let (_, limits) = limits(plenty());
    let (busy, quiet) = (credential(), credential());
    let mut held = Vec::new();
    for _ in 0..QUOTAS.at_a_time {
        held.push(request(&limits, "busy", &busy).await.unwrap());
    }
    let mut crowd = JoinSet::new();
    for _ in 0..60 {
        let (limits, busy) = (limits.clone(), busy.clone());
        crowd.spawn(async move { request(&limits, "busy", &busy).await.map(drop) });
    }
    until(|| limits.lane(&workspace("busy")).waiting() == 60).await;

    for _ in 0..QUOTAS.at_a_time {
        // Polled once: it may not wait for anything.
        let pass = at_once(request(&limits, "quiet", &quiet)).unwrap().unwrap();
        held.push(pass);
    }

    drop(held);
    while let Some(passed) = crowd.join_next().await {
        assert_eq!(passed.unwrap(), Ok(()), "who waited is let in");
    }
}

/// The result of a future that is ready at once.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(ready) => Some(ready),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn no_more_of_a_workspace_are_worked_on_than_its_share_and_they_come_in_their_order() {
    let (_, limits) = limits(plenty());
    let token = credential();
    let mut held: std::collections::VecDeque<Pass> = std::collections::VecDeque::new();
    for _ in 0..QUOTAS.at_a_time {
        held.push_back(request(&limits, "acme", &token).await.unwrap());
    }
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..10 {
        let (its_limits, token, sender) = (limits.clone(), token.clone(), sender.clone());
        tokio::spawn(async move {
            let pass = request(&its_limits, "acme", &token).await.unwrap();
            sender.send((number, pass)).unwrap();
        });
        until(|| limits.lane(&workspace("acme")).waiting() == number + 1).await;
    }

    assert!(receiver.try_recv().is_err(), "all turns are taken");
    for number in 0..10 {
        held.pop_front();
        let (came, pass) = receiver.recv().await.unwrap();
        assert_eq!(came, number);
        held.push_back(pass);
    }
}

#[tokio::test]
async fn who_only_waits_lets_the_next_in() {
    let (_, limits) = limits(Quotas { at_a_time: 1, ..plenty() });
    let token = credential();
    let waits = request(&limits, "acme", &token).await.unwrap();
    assert!(at_once(request(&limits, "acme", &token)).is_none());

    waits.let_go();

    assert!(at_once(request(&limits, "acme", &token)).is_some());
}

#[tokio::test]
async fn a_queue_has_an_end() {
    let (_, limits) = limits(Quotas { waiting: 1, at_a_time: 1, ..plenty() });
    let token = credential();
    let held = request(&limits, "acme", &token).await.unwrap();
    let waits = tokio::spawn({
        let (limits, token) = (limits.clone(), token.clone());
        async move { request(&limits, "acme", &token).await.map(drop) }
    });
    until(|| limits.lane(&workspace("acme")).waiting() == 1).await;

    let one_more = at_once(request(&limits, "acme", &token)).unwrap().map(drop);
    assert_eq!(one_more, Err(Busy { why: Overload::Crowd, retry_after: 5 }));

    drop(held);
    assert_eq!(waits.await.unwrap(), Ok(()));
    assert_eq!(limits.lane(&workspace("acme")).waiting(), 0, "the place was given back");
}

#[tokio::test]
async fn nobody_stands_in_a_queue_for_ever() {
    let (_, limits) = limits(Quotas { patience: Duration::from_millis(1), at_a_time: 1, ..plenty() });
    let token = credential();
    let _held = request(&limits, "acme", &token).await.unwrap();

    let in_vain = request(&limits, "acme", &token).await.map(drop);

    assert_eq!(in_vain, Err(Busy { why: Overload::Crowd, retry_after: 5 }));
    assert_eq!(limits.lane(&workspace("acme")).waiting(), 0, "the place was given back");
}

#[tokio::test]
async fn above_the_rate_a_workspace_is_told_when_to_come_again_and_below_it_never() {
    let (clock, limits) = limits(QUOTAS);
    let (token, other) = (credential(), credential());

    let mut passed = 0;
    let busy = loop {
        match request(&limits, "acme", &token).await {
            Ok(_) => passed += 1,
            Err(busy) => break busy,
        }
    };
    assert_eq!((passed, busy), (125, Busy { why: Overload::Rate, retry_after: 1 }));
    request(&limits, "other", &other).await.unwrap();

    for _ in 0..1_000 {
        clock.advance(Duration::from_millis(40));
        request(&limits, "acme", &token).await.unwrap();
    }
}

#[tokio::test]
async fn strangers_lock_nobody_out() {
    let (_, limits) = limits(plenty());
    let good = credential();
    request(&limits, "acme", &good).await.unwrap();

    let busy = loop {
        // A well-formed token, each time another one, for a workspace that the attacker knows.
        match limits.knock("acme", Some(&credential()), PEER).await {
            Ok(knock) => limits.unwelcome(&knock),
            Err(busy) => break busy,
        }
    };

    assert_eq!(busy, Busy { why: Overload::Strangers, retry_after: 1 });
    request(&limits, "acme", &good).await.unwrap();
    assert!(limits.knock("acme", None, PEER).await.is_ok(), "what the database is not asked about is not counted");
}

#[tokio::test]
async fn a_credential_that_is_no_longer_good_has_no_right_to_the_lane() {
    let (_, limits) = limits(Quotas { at_a_time: 1, ..plenty() });
    let token = credential();
    let _held = request(&limits, "acme", &token).await.unwrap();
    assert!(at_once(limits.knock("acme", Some(&token), PEER)).is_none(), "it waits before it is looked at");

    let strange = Knock { visitor: Some(limits.strangers.visitor("acme", &token)), pass: None };
    limits.unwelcome(&strange);

    assert!(at_once(limits.knock("acme", Some(&token), PEER)).unwrap().unwrap().pass.is_none());
}

#[tokio::test]
async fn lanes_at_rest_are_forgotten() {
    let (clock, limits) = limits(QUOTAS);
    for number in 0..LANES {
        limits.enter(&workspace(&format!("w-{number}"))).await.unwrap();
    }
    let held = limits.enter(&workspace("w-0")).await.unwrap();

    clock.advance(Duration::from_mins(1));
    limits.enter(&workspace("one-more")).await.unwrap();

    assert_eq!(limits.lanes.lock().unwrap().len(), 2, "the held one and the new one");
    drop(held);
}

#[test]
fn seconds_are_whole_and_never_none() {
    for (wait, told) in [(0, 1), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (59_500, 60)] {
        assert_eq!(Busy::after(Overload::Rate, Duration::from_millis(wait)).retry_after, told);
    }
}
