//! A rate: how soon the next may come (the generic cell rate algorithm, one moment of memory), and the rates of many.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lockstep_shared::clock::BootTime;

/// When all that was taken would have been earned at the even pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rate(Option<BootTime>);

/// One in each `every`, and who was quiet may take `burst` worth at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) every: Duration,
    pub(crate) burst: Duration,
}

impl Rate {
    /// Takes one, or says how long to wait for it. What is refused is not counted: who asks too often is not kept out for ever.
    pub(super) fn take(&mut self, now: BootTime, pace: Pace) -> Result<(), Duration> {
        let earned = self.0.map_or(now, |earned| earned.max(now)).plus(pace.every);
        let ahead = earned.since(now);
        // The first one passes whatever the figures are.
        if ahead > pace.burst.max(pace.every) {
            return Err(ahead.saturating_sub(pace.burst.max(pace.every)));
        }
        self.0 = Some(earned);
        Ok(())
    }

    /// Whether it is as if nothing had ever been taken.
    pub(super) fn is_at_rest(&self, now: BootTime) -> bool {
        self.0.is_none_or(|earned| earned <= now)
    }
}

/// Callers of whom a rate is remembered; further ones share a single one.
pub(crate) const REMEMBERED: usize = 10_000;

/// A rate for each of many callers, all at one pace. Nobody can make it grow without end.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    pace: Pace,
    of: Mutex<HashMap<Option<K>, Rate>>,
}

impl<K: Eq + Hash> Rates<K> {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, of: Mutex::default() }
    }

    /// Takes one for a caller, or says how long they have to wait for it.
    pub(crate) fn take(&self, caller: Option<K>, now: BootTime) -> Result<(), Duration> {
        let mut rates = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() >= REMEMBERED {
            rates.retain(|_, rate| !rate.is_at_rest(now));
        }
        let is_full = rates.len() >= REMEMBERED && !rates.contains_key(&caller);
        rates.entry(if is_full { None } else { caller }).or_default().take(now, self.pace)
    }

    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.of.lock().unwrap().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { every: Duration::from_millis(40), burst: Duration::from_secs(2) };

    #[test]
    fn who_was_quiet_takes_the_burst_and_then_goes_at_the_pace() {
        let (mut rate, mut now) = (Rate::default(), BootTime(Duration::from_secs(100)));

        let at_once = (0..1_000).take_while(|_| rate.take(now, PACE).is_ok()).count();
        assert_eq!(at_once, 50);
        assert_eq!(rate.take(now, PACE), Err(Duration::from_millis(40)));

        now = now.plus(Duration::from_secs(1));
        let in_a_second = (0..1_000).take_while(|_| rate.take(now, PACE).is_ok()).count();
        assert_eq!(in_a_second, 25, "refusals were not counted");
    }

    #[test]
    fn whoever_keeps_the_pace_is_never_refused() {
        let (mut rate, mut now) = (Rate::default(), BootTime(Duration::ZERO));

        for _ in 0..10_000 {
            assert_eq!(rate.take(now, PACE), Ok(()));
            now = now.plus(PACE.every);
        }
        assert!(rate.is_at_rest(now));
    }

    #[test]
    fn a_burst_of_nothing_still_lets_the_first_pass() {
        let (mut rate, now) = (Rate::default(), BootTime(Duration::from_secs(1)));
        let slow = Pace { every: Duration::from_secs(1), burst: Duration::ZERO };

        assert_eq!((rate.take(now, slow), rate.take(now, slow)), (Ok(()), Err(Duration::from_secs(1))));
    }
}
