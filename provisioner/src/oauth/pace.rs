//! How often one client may ask for a token: whoever knows a client's name, and nothing else, cannot keep us busy with signatures.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lockstep_shared::{
    clock::{BootTime, SharedClock},
    id::OAuthClientId,
};

/// One request in this time, on average.
const EVERY: Duration = Duration::from_millis(100);
/// As many at once, after a rest.
const BURST: u32 = 60;

/// The paces of the clients that there are.
#[derive(Debug)]
pub(super) struct Pace {
    clock: SharedClock,
    /// When each client's requests would be over, had they come one by one.
    busy_until: Mutex<HashMap<OAuthClientId, BootTime>>,
}

impl Pace {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { clock, busy_until: Mutex::default() }
    }

    /// Takes a request of a client that there is, or says how long it has to wait.
    pub(super) fn take(&self, client: &OAuthClientId) -> Result<(), Duration> {
        let now = self.clock.boot();
        let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
        let next = busy_until.get(client).map_or(now, |until| (*until).max(now)).plus(EVERY);
        let ahead = next.since(now);
        if ahead > EVERY * BURST {
            return Err(ahead.saturating_sub(EVERY * BURST));
        }
        busy_until.insert(client.clone(), next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::{clock::TestClock, id::WorkspaceId};

    use super::*;

    #[test]
    fn a_client_asks_sixty_times_and_then_ten_times_a_second() {
        let clock = TestClock::new();
        let pace = Pace::new(clock.clone());
        let client = || OAuthClientId::random(&WorkspaceId::parse("acme").unwrap());
        let (one, other) = (client(), client());

        for _ in 0..BURST {
            pace.take(&one).unwrap();
        }
        assert_eq!(pace.take(&one), Err(EVERY));
        assert_eq!(pace.take(&one), Err(EVERY), "a refusal costs nothing");
        pace.take(&other).unwrap();

        clock.advance(EVERY);
        pace.take(&one).unwrap();
        assert_eq!(pace.take(&one), Err(EVERY));
        clock.advance(EVERY * BURST);
        for _ in 0..BURST {
            pace.take(&one).unwrap();
        }
        assert_eq!(pace.take(&one), Err(EVERY));
    }
}
