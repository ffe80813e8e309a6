//! Time as a parameter: the wall clock for what people read and tokens carry, the boot-time clock for leases. Nothing else
//! in the project asks the system what time it is.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01 UTC on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment moved on by `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This moment moved back by `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// The time from `earlier` to this moment; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Whole seconds since 1970, as JWTs count.
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match chrono::DateTime::from_timestamp_millis(self.0) {
            Some(moment) => f.write_str(&moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A moment of the boot-time clock (`CLOCK_BOOTTIME`): it goes on while the machine sleeps and nobody can set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(pub Duration);

impl BootTime {
    /// This moment moved on by `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// The time from `earlier` to this moment; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// The boot-time clock.
    fn boot(&self) -> BootTime;
}

/// A clock that is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clocks, to hand around.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let read = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        Timestamp(read.tv_sec.saturating_mul(1000).saturating_add(read.tv_nsec / 1_000_000))
    }

    fn boot(&self) -> BootTime {
        let read = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        BootTime(Duration::new(u64::try_from(read.tv_sec).unwrap_or(0), u32::try_from(read.tv_nsec).unwrap_or(0)))
    }
}

/// A clock that a test moves by hand; both clocks move together unless told otherwise.
#[derive(Debug)]
pub struct TestClock {
    wall_millis: AtomicI64,
    boot_nanos: AtomicU64,
}

impl TestClock {
    /// A clock that stands at 2026-01-01 00:00 UTC, an hour after boot.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { wall_millis: AtomicI64::new(1_767_225_600_000), boot_nanos: AtomicU64::new(3_600_000_000_000) })
    }

    /// Moves both clocks on.
    pub fn advance(&self, duration: Duration) {
        self.step_wall(millis(duration));
        self.boot_nanos.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Moves the wall clock alone, as an operator or NTP would, by `millis` (which may be negative).
    pub fn step_wall(&self, millis: i64) {
        self.wall_millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall_millis.load(Ordering::SeqCst))
    }

    fn boot(&self) -> BootTime {
        BootTime(Duration::from_nanos(self.boot_nanos.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_as_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp(1_767_225_600_007).to_string(), "2026-01-01T00:00:00.007Z");
    }

    #[test]
    fn the_boot_clock_ignores_a_step_of_the_wall_clock() {
        let clock = TestClock::new();
        let before = clock.boot();

        clock.step_wall(-3_600_000);

        assert_eq!(clock.boot(), before);
    }

    #[test]
    fn the_system_clock_goes_forward() {
        let (a, b) = (SystemClock.boot(), SystemClock.boot());

        assert!(b >= a);
        assert!(SystemClock.now() > Timestamp(1_767_225_600_000));
    }
}
