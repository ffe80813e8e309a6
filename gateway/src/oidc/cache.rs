//! What is known of each provider, kept: metadata and keys are asked for rarely, by one request at a time, and the last good
//! ones serve through an outage of up to a day. A flood of tokens with invented keys costs one request per half-minute.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lockstep_shared::clock::{BootTime, SharedClock};
use tokio::sync::Semaphore;

use super::{
    Claims, Expected, KeySet, Metadata, ProviderError, Refusal, Transport,
    transport::{self, get},
    verify,
};

/// How long metadata and keys are fresh.
const FRESH: Duration = Duration::from_mins(15);
/// How long the last good ones serve while the provider cannot be reached.
const LAST_GOOD: Duration = Duration::from_hours(24);
/// How long a failure answers for the provider, so that a dead one is not asked by every sign-in.
const FAILED: Duration = Duration::from_secs(5);
/// Between two refetches for the sake of an unknown key, whatever came of the first.
const ROTATION: Duration = Duration::from_secs(30);
/// For both requests of a fetch; each is bounded by the outbound client besides.
const DEADLINE: Duration = Duration::from_secs(12);

/// What one provider published.
#[derive(Debug)]
pub struct Provider {
    /// Its metadata.
    pub metadata: Metadata,
    /// Its keys.
    pub keys: KeySet,
    fetched_at: BootTime,
}

#[derive(Default)]
struct State {
    last_good: Option<Arc<Provider>>,
    failure: Option<(BootTime, ProviderError)>,
    rotated_at: Option<BootTime>,
}

/// One provider's place in the cache.
struct Slot {
    state: Mutex<State>,
    /// One permit: who holds it fetches, the others wait for the outcome or use the last good one.
    flight: Semaphore,
}

impl Slot {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The providers of all connections, by issuer.
pub struct Providers<T> {
    transport: T,
    clock: SharedClock,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

impl<T> fmt::Debug for Providers<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Providers")
    }
}

impl<T: Transport> Providers<T> {
    /// An empty cache that asks over `transport`.
    pub fn new(transport: T, clock: SharedClock) -> Self {
        Self { transport, clock, slots: Mutex::default() }
    }

    /// The way out, for the token request.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// What is known of a configured issuer: fresh, or the last good one of at most a day.
    pub async fn get(&self, issuer: &str) -> Result<Arc<Provider>, ProviderError> {
        let slot = self.slot(issuer);
        if let Some(known) = self.without_asking(&slot) {
            return known;
        }
        let last_good = self.last_good(&slot);
        let permit = match (slot.flight.try_acquire(), last_good) {
            (Ok(permit), _) => permit,
            // Somebody else is asking; what is known is good enough meanwhile.
            (Err(_), Some(last_good)) => return Ok(last_good),
            (Err(_), None) => self.wait_for_flight(&slot, issuer).await?,
        };
        // While this one waited, another may have brought the answer.
        let outcome = match self.without_asking(&slot) {
            Some(known) => known,
            None => self.fetch_into(&slot, issuer).await,
        };
        drop(permit);
        outcome.or_else(|error| self.last_good(&slot).ok_or(error))
    }

    /// Verifies an ID token, asking the provider for its keys again where the token names one that is not known.
    pub async fn verify(&self, token: &str, expected: &Expected<'_>) -> Result<Result<Claims, Refusal>, ProviderError> {
        let provider = self.get(expected.issuer).await?;
        match verify(token, &provider.keys, expected) {
            Err(Refusal::KeyUnknown) => {}
            settled => return Ok(settled),
        }
        match self.after_rotation(expected.issuer).await {
            Some(rotated) => Ok(verify(token, &rotated.keys, expected)),
            None => Ok(Err(Refusal::KeyUnknown)),
        }
    }

    /// Fetches anew for an unknown key; `None` where that was done less than half a minute ago or fails.
    async fn after_rotation(&self, issuer: &str) -> Option<Arc<Provider>> {
        let slot = self.slot(issuer);
        let permit = self.wait_for_flight(&slot, issuer).await.ok()?;
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
        let outcome = if due { self.fetch_into(&slot, issuer).await.ok() } else { self.last_good(&slot) };
        drop(permit);
        outcome
    }

    fn slot(&self, issuer: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(issuer) {
            return Arc::clone(slot);
        }
        let slot = Arc::new(Slot { state: Mutex::default(), flight: Semaphore::new(1) });
        slots.insert(issuer.to_owned(), Arc::clone(&slot));
        slot
    }

    /// The answer where no request is due: a fresh provider, or a failure of a moment ago.
    fn without_asking(&self, slot: &Slot) -> Option<Result<Arc<Provider>, ProviderError>> {
        let now = self.clock.boot();
        let state = slot.state();
        let last_good = state.last_good.as_ref();
        if let Some(fresh) = last_good.filter(|provider| now.since(provider.fetched_at) < FRESH) {
            return Some(Ok(Arc::clone(fresh)));
        }
        let (failed_at, error) = state.failure.as_ref()?;
        if now.since(*failed_at) >= FAILED {
            return None;
        }
        let old = last_good.filter(|provider| now.since(provider.fetched_at) < LAST_GOOD);
        Some(old.map(Arc::clone).ok_or_else(|| error.clone()))
    }

    fn last_good(&self, slot: &Slot) -> Option<Arc<Provider>> {
        let now = self.clock.boot();
        slot.state().last_good.as_ref().filter(|provider| now.since(provider.fetched_at) < LAST_GOOD).map(Arc::clone)
    }

    async fn wait_for_flight<'s>(&self, slot: &'s Slot, issuer: &str) -> Result<tokio::sync::SemaphorePermit<'s>, ProviderError> {
        match tokio::time::timeout(DEADLINE, slot.flight.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(too_slow(issuer)),
        }
    }

    async fn fetch_into(&self, slot: &Slot, issuer: &str) -> Result<Arc<Provider>, ProviderError> {
        let outcome = tokio::time::timeout(DEADLINE, self.fetch(issuer)).await.unwrap_or_else(|_| Err(too_slow(issuer)));
        let mut state = slot.state();
        match outcome {
            Ok(provider) => {
                let provider = Arc::new(provider);
                state.failure = None;
                state.last_good = Some(Arc::clone(&provider));
                Ok(provider)
            }
            Err(error) => {
                tracing::warn!(issuer, error = %transport::chain(&error), "the provider's metadata could not be renewed");
                state.failure = Some((self.clock.boot(), error.clone()));
                Err(error)
            }
        }
    }

    async fn fetch(&self, issuer: &str) -> Result<Provider, ProviderError> {
        let fetched_at = self.clock.boot();
        let location = Metadata::location(issuer)?;
        let metadata = Metadata::parse(issuer, &get(&self.transport, location.as_str()).await?)?;
        let keys = KeySet::parse(&get(&self.transport, metadata.jwks_uri.as_str()).await?)?;
        Ok(Provider { metadata, keys, fetched_at })
    }
}

fn too_slow(issuer: &str) -> ProviderError {
    ProviderError::Unreachable { url: issuer.to_owned(), reason: "it did not answer in time".to_owned() }
}

#[cfg(test)]
mod tests;
