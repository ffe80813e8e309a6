//! What others publish (metadata, keys), kept: it is asked for rarely, by one request at a time, and the last good answer serves
//! through an outage of up to a day. A flood of tokens with invented keys costs one request per half-minute.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    check::chain,
    clock::{BootTime, SharedClock},
};

/// How long an answer is fresh.
pub const FRESH: Duration = Duration::from_mins(15);
/// How long the last good one serves while the publisher cannot be reached.
pub const LAST_GOOD: Duration = Duration::from_hours(24);
/// How long a failure answers for the publisher, so that a dead one is not asked by everybody.
pub const FAILED: Duration = Duration::from_secs(5);
/// Between two refetches for the sake of an unknown key, whatever came of the first.
pub const ROTATION: Duration = Duration::from_secs(30);
/// For all requests of a fetch; each is bounded by the outbound client besides.
const DEADLINE: Duration = Duration::from_secs(12);

struct State<V, E> {
    last_good: Option<(BootTime, Arc<V>)>,
    failure: Option<(BootTime, E)>,
    rotated_at: Option<BootTime>,
}

/// One publisher's place.
struct Slot<V, E> {
    state: Mutex<State<V, E>>,
    /// One permit: who holds it fetches, the others wait for the outcome or use the last good one.
    flight: Semaphore,
}

impl<V, E> Slot<V, E> {
    fn new() -> Self {
        let state = State { last_good: None, failure: None, rotated_at: None };
        Self { state: Mutex::new(state), flight: Semaphore::new(1) }
    }

    fn state(&self) -> MutexGuard<'_, State<V, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What publishers have answered, by their names. A name is one that we know already, never one that a stranger brings along.
pub struct Kept<V, E> {
    clock: SharedClock,
    too_slow: fn(&str) -> E,
    slots: Mutex<HashMap<String, Arc<Slot<V, E>>>>,
}

impl<V, E> fmt::Debug for Kept<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl<V, E: std::error::Error + Clone> Kept<V, E> {
    /// Nothing yet; `too_slow` makes the error of a publisher that does not answer in time.
    pub fn new(clock: SharedClock, too_slow: fn(&str) -> E) -> Self {
        Self { clock, too_slow, slots: Mutex::default() }
    }

    /// What a publisher answers to `fetch`: fresh, or the last good answer of at most a day.
    pub async fn get<F>(&self, name: &str, fetch: impl FnOnce() -> F) -> Result<Arc<V>, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        let slot = self.slot(name);
        if let Some(known) = self.without_asking(&slot) {
            return known;
        }
        let last_good = self.last_good(&slot);
        let permit = match (slot.flight.try_acquire(), last_good) {
            (Ok(permit), _) => permit,
            // Somebody else is asking; what is known is good enough meanwhile.
            (Err(_), Some(last_good)) => return Ok(last_good),
            (Err(_), None) => self.wait_for_flight(&slot, name).await?,
        };
        // While this one waited, another may have brought the answer.
        let outcome = match self.without_asking(&slot) {
            Some(known) => known,
            None => self.fetch_into(&slot, name, fetch()).await,
        };
        drop(permit);
        outcome.or_else(|error| self.last_good(&slot).ok_or(error))
    }

    /// Fetches anew for an unknown key. Where that was done less than half a minute ago, the last good answer; `None` where there is
    /// none or the fetch fails.
    pub async fn after_rotation<F>(&self, name: &str, fetch: impl FnOnce() -> F) -> Option<Arc<V>>
    where
        F: Future<Output = Result<V, E>>,
    {
        let slot = self.slot(name);
        let permit = self.wait_for_flight(&slot, name).await.ok()?;
        // The cooldown is a matter of time alone: not of the outcome, nor of whether there are keys.
        let now = self.clock.boot();
        let due = {
            let mut state = slot.state();
            let due = state.rotated_at.is_none_or(|last| now.since(last) >= ROTATION);
            if due {
                state.rotated_at = Some(now);
            }
            due
        };
        let outcome = if due { self.fetch_into(&slot, name, fetch()).await.ok() } else { self.last_good(&slot) };
        drop(permit);
        outcome
    }

    fn slot(&self, name: &str) -> Arc<Slot<V, E>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(name) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot::new());
        slots.insert(name.to_owned(), Arc::clone(&slot));
        slot
    }

    /// The answer where no request is due: a fresh one, or a failure of a moment ago.
    fn without_asking(&self, slot: &Slot<V, E>) -> Option<Result<Arc<V>, E>> {
        let now = self.clock.boot();
        let state = slot.state();
        let younger_than =
            |age| state.last_good.as_ref().filter(|(at, _)| now.since(*at) < age).map(|(_, value)| Arc::clone(value));
        if let Some(fresh) = younger_than(FRESH) {
            return Some(Ok(fresh));
        }
        let (failed_at, error) = state.failure.as_ref()?;
        if now.since(*failed_at) >= FAILED {
            return None;
        }
        Some(younger_than(LAST_GOOD).ok_or_else(|| error.clone()))
    }

    fn last_good(&self, slot: &Slot<V, E>) -> Option<Arc<V>> {
        let now = self.clock.boot();
        let state = slot.state();
        state.last_good.as_ref().filter(|(at, _)| now.since(*at) < LAST_GOOD).map(|(_, value)| Arc::clone(value))
    }

    async fn wait_for_flight<'s>(&self, slot: &'s Slot<V, E>, name: &str) -> Result<SemaphorePermit<'s>, E> {
        match tokio::time::timeout(DEADLINE, slot.flight.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err((self.too_slow)(name)),
        }
    }

    async fn fetch_into(&self, slot: &Slot<V, E>, name: &str, fetch: impl Future<Output = Result<V, E>>) -> Result<Arc<V>, E> {
        let asked_at = self.clock.boot();
        let outcome = tokio::time::timeout(DEADLINE, fetch).await.unwrap_or_else(|_| Err((self.too_slow)(name)));
        let mut state = slot.state();
        match outcome {
            Ok(value) => {
                let value = Arc::new(value);
                state.failure = None;
                state.last_good = Some((asked_at, Arc::clone(&value)));
                Ok(value)
            }
            Err(error) => {
                tracing::warn!(publisher = name, error = %chain(&error), "what {name} publishes could not be renewed");
                state.failure = Some((self.clock.boot(), error.clone()));
                Err(error)
            }
        }
    }
}
