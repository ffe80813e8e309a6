//! How often one client may ask for a token: whoever knows a client's name, and nothing else, cannot keep us busy with signatures,
//! nor use up what the client itself may ask for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lockstep_shared::clock::{BootTime, SharedClock};

use crate::limits::Visitor;

/// One request in this time, on average.
const EVERY: Duration = Duration::from_millis(100);
/// As many at once, after a rest.
const BURST: u32 = 60;

/// Visitors that are remembered; further ones share a single pace.
const VISITORS: usize = 10_000;

/// The paces of the clients that there are, by what they show.
#[derive(Debug)]
pub(super) struct Pace {
    clock: SharedClock,
    /// When each visitor's requests would be over, had they come one by one.
    busy_until: Mutex<HashMap<Option<Visitor>, BootTime>>,
}

impl Pace {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock, busy_until: Mutex::default() }
    }

    /// Takes a request of a client that there is, or says how long it has to wait.
    pub(super) fn take(&self, visitor: Visitor) -> Result<(), Duration> {
        let now = self.clock.boot();
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        if busy_until.len() >= VISITORS {
            busy_until.retain(|_, until| *until > now);
        }
        let is_full = busy_until.len() >= VISITORS && !busy_until.contains_key(&Some(visitor));
        let visitor = if is_full { None } else { Some(visitor) };
        let next = busy_until.get(&visitor).map_or(now, |until| (*until).max(now)).plus(EVERY);
        let ahead = next.since(now);
        if ahead > EVERY * BURST {
            return Err(ahead.saturating_sub(EVERY * BURST));
        }
        busy_until.insert(visitor, next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::clock::TestClock;

    use super::*;
    use crate::limits::Strangers;

    #[test]
    fn a_client_asks_sixty_times_and_then_ten_times_a_second() {
        let clock = TestClock::new();
        let (pace, strangers) = (Pace::new(clock.clone()), Strangers::default());
        let (one, other) = (strangers.visitor("one", b""), strangers.visitor("other", b""));

        for _ in 0..BURST {
            pace.take(one).unwrap();
        }
        assert_eq!(pace.take(one), Err(EVERY));
        assert_eq!(pace.take(one), Err(EVERY), "a refusal costs nothing");
        pace.take(other).unwrap();

        clock.advance(EVERY);
        pace.take(one).unwrap();
        assert_eq!(pace.take(one), Err(EVERY));
        clock.advance(EVERY * BURST);
        for _ in 0..BURST {
            pace.take(one).unwrap();
        }
        assert_eq!(pace.take(one), Err(EVERY));
    }

    #[test]
    fn more_visitors_than_are_remembered_share_one_pace() {
        let clock = TestClock::new();
        let (pace, strangers) = (Pace::new(clock.clone()), Strangers::default());
        let visitor = |n: usize| strangers.visitor("acme", &n.to_be_bytes());
        for n in 0..VISITORS {
            pace.take(visitor(n)).unwrap();
        }

        let further = (VISITORS..2 * VISITORS).take_while(|n| pace.take(visitor(*n)).is_ok()).count();

        assert_eq!(further, 60);
        pace.take(visitor(0)).unwrap();
        assert_eq!(pace.busy_until.lock().unwrap().len(), VISITORS + 1);
        clock.advance(EVERY * BURST * 2);
        pace.take(visitor(VISITORS)).unwrap();
        assert_eq!(pace.busy_until.lock().unwrap().len(), 1, "who was quiet is forgotten");
    }
}
