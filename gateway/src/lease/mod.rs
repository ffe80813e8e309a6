//! The lease: the right to answer from what this gateway has applied. It is taken from the moment *before* a renewal was sent
//! and counted on two clocks; the earlier end counts. Without it nothing is answered, and nobody is signed out.

mod doorbell;
mod end;
mod keeper;

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use lockstep_shared::clock::{BootTime, Clock, Timestamp};
use tokio::sync::{Notify, watch};

pub use self::{
    doorbell::ring,
    end::cut_at_the_end,
    keeper::{Keeper, KeeperError},
};

/// The right to answer.
#[derive(Debug)]
pub struct Lease {
    until_boot_nanos: AtomicU64,
    until_wall_millis: AtomicI64,
    wanted: Notify,
    caught_up: Notify,
    granted: watch::Sender<u64>,
}

/// A moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// On the boot-time clock.
    pub boot: BootTime,
    /// On the wall clock.
    pub wall: Timestamp,
}

impl Moment {
    /// Now, on both clocks.
    #[must_use]
    pub fn now(clock: &dyn Clock) -> Self {
        Self { boot: clock.boot(), wall: clock.now() }
    }
}

/// The end of a lease as it was read *before* a decision was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    until_boot: BootTime,
    until_wall: Timestamp,
}

impl Term {
    /// Whether the term still runs. The clocks are to be read last, after everything that the answer rests on.
    #[must_use]
    pub fn runs(self, now: Moment) -> bool {
        now.boot < self.until_boot && now.wall < self.until_wall
    }

    /// How long the term runs on; by the earlier clock.
    #[must_use]
    pub fn left(self, now: Moment) -> Duration {
        self.until_boot.since(now.boot).min(self.until_wall.since(now.wall))
    }
}

impl Default for Lease {
    fn default() -> Self {
        Self {
            until_boot_nanos: AtomicU64::new(0),
            until_wall_millis: AtomicI64::new(i64::MIN),
            wanted: Notify::new(),
            caught_up: Notify::new(),
            granted: watch::Sender::new(0),
        }
    }
}

impl Lease {
    /// The lease's end as it is now.
    #[must_use]
    pub fn term(&self) -> Term {
        Term {
            until_boot: BootTime(Duration::from_nanos(self.until_boot_nanos.load(Ordering::SeqCst))),
            until_wall: Timestamp(self.until_wall_millis.load(Ordering::SeqCst)),
        }
    }

    /// Grants the right to answer for `length` from `taken_at`, a moment before the renewal was sent.
    pub(crate) fn grant(&self, taken_at: Moment, length: Duration) {
        let until_boot = u64::try_from(taken_at.boot.plus(length).0.as_nanos()).unwrap_or(0);
        self.until_boot_nanos.store(until_boot, Ordering::SeqCst);
        self.until_wall_millis.store(taken_at.wall.plus(length).0, Ordering::SeqCst);
        self.granted.send_modify(|count| *count += 1);
    }

    /// Gives up the right to answer, now.
    pub(crate) fn drop_it(&self) {
        self.until_boot_nanos.store(0, Ordering::SeqCst);
        self.until_wall_millis.store(i64::MIN, Ordering::SeqCst);
    }

    /// Makes one direct attempt at a renewal, for a request that found the lease gone. Returns when one was granted, or after
    /// `patience`.
    pub async fn attempt(&self, patience: Duration) {
        let mut granted = self.granted.subscribe();
        granted.mark_unchanged();
        self.wanted.notify_one();
        let _ = tokio::time::timeout(patience, granted.changed()).await;
    }

    /// Waits until somebody wants a renewal sooner than its time.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Tells whoever acknowledges that rows were read from the log and applied.
    pub(crate) fn tell_caught_up(&self) {
        self.caught_up.notify_one();
    }

    /// Waits until rows were read from the log and applied.
    pub(crate) async fn caught_up(&self) {
        self.caught_up.notified().await;
    }

    /// Wants a renewal sooner than its time.
    pub(crate) fn want(&self) {
        self.wanted.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::clock::TestClock;

    use super::*;

    #[test]
    fn a_lease_counts_from_before_its_renewal_and_ends_by_the_earlier_clock() {
        let (lease, clock) = (Lease::default(), TestClock::new());
        assert!(!lease.term().runs(Moment::now(&*clock)), "nothing before the first grant");

        let taken_at = Moment::now(&*clock);
        clock.advance(Duration::from_secs(4));
        lease.grant(taken_at, Duration::from_secs(10));

        clock.advance(Duration::from_millis(5_999));
        assert!(lease.term().runs(Moment::now(&*clock)));
        clock.advance(Duration::from_millis(1));
        assert!(!lease.term().runs(Moment::now(&*clock)));
    }

    #[test]
    fn a_wall_clock_that_is_set_back_does_not_lengthen_a_lease() {
        let (lease, clock) = (Lease::default(), TestClock::new());
        lease.grant(Moment::now(&*clock), Duration::from_secs(10));

        clock.advance(Duration::from_secs(10));
        clock.step_wall(-3_600_000);

        assert!(!lease.term().runs(Moment::now(&*clock)));
    }

    #[test]
    fn a_wall_clock_that_jumps_ahead_ends_a_lease() {
        // A guest that was suspended may see it on the wall clock alone.
        let (lease, clock) = (Lease::default(), TestClock::new());
        lease.grant(Moment::now(&*clock), Duration::from_secs(10));

        clock.step_wall(10_000);

        assert!(!lease.term().runs(Moment::now(&*clock)));
    }

    #[test]
    fn a_lease_that_is_given_up_is_gone() {
        let (lease, clock) = (Lease::default(), TestClock::new());
        lease.grant(Moment::now(&*clock), Duration::from_secs(10));

        lease.drop_it();

        assert!(!lease.term().runs(Moment::now(&*clock)));
    }
}
