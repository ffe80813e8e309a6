//! How often one client may ask for a token: whoever knows a client's name, and nothing else, cannot keep us busy with signatures,
//! nor use up what the client itself may ask for.

use std::time::Duration;

use lockstep_shared::clock::SharedClock;

use crate::limits::{self, Rates, Visitor};

/// One request in this time, on average.
const EVERY: Duration = Duration::from_millis(100);
/// As many at once, after a rest.
const BURST: u32 = 60;

/// The paces of the clients that there are, by what they show.
#[derive(Debug)]
pub(super) struct Pace {
    clock: SharedClock,
    rates: Rates<Visitor>,
}

impl Pace {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock, rates: Rates::new(limits::Pace { every: EVERY, burst: EVERY * BURST }) }
    }

    /// Takes a request of a client that there is, or says how long it has to wait.
    pub(super) fn take(&self, visitor: Visitor) -> Result<(), Duration> {
        self.rates.take(Some(visitor), self.clock.boot())
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::clock::TestClock;

    use super::*;
    use crate::limits::{REMEMBERED, Strangers};

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
        for n in 0..REMEMBERED {
            pace.take(visitor(n)).unwrap();
        }

        let further = (REMEMBERED..2 * REMEMBERED).take_while(|n| pace.take(visitor(*n)).is_ok()).count();

        assert_eq!(further, 60);
        pace.take(visitor(0)).unwrap();
        assert_eq!(pace.rates.remembered(), REMEMBERED + 1);
        clock.advance(EVERY * BURST * 2);
        pace.take(visitor(REMEMBERED)).unwrap();
        assert_eq!(pace.rates.remembered(), 1, "who was quiet is forgotten");
    }
}
