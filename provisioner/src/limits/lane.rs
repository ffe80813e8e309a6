//! One workspace's lane: a few of its requests are worked on at a time, the others wait in the order of their coming. So a busy
//! workspace has its own queue, and the database never sees more of it than its share.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lockstep_shared::clock::BootTime;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    Busy, Overload, Quotas,
    rate::{Pace, Rate},
};

/// When to come again for who found the queue full, or stood in it in vain.
const AFTER_A_CROWD: Duration = Duration::from_secs(5);

/// The right to be worked on; whoever drops it lets the next in.
#[derive(Debug)]
pub struct Pass(Mutex<Option<OwnedSemaphorePermit>>);

impl Pass {
    /// Lets the next in while this one goes on: for who only waits, without any work.
    pub fn let_go(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// One workspace's lane.
#[derive(Debug)]
pub(super) struct Lane {
    rate: Mutex<Rate>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Lane {
    pub(super) fn new(quotas: &Quotas) -> Self {
        Self { rate: Mutex::default(), turns: Arc::new(Semaphore::new(quotas.at_a_time)), waiting: AtomicUsize::new(0) }
    }

    /// Waits for a turn.
    pub(super) async fn enter(&self, now: BootTime, pace: Pace, quotas: &Quotas) -> Result<Pass, Busy> {
        self.rate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now, pace)
            .map_err(|wait| Busy::after(Overload::Rate, wait))?;
        // A turn that is given back goes to who waits, so this comes before nobody.
        if let Ok(turn) = self.turns.clone().try_acquire_owned() {
            return Ok(Pass(Mutex::new(Some(turn))));
        }
        let crowd = || Busy::after(Overload::Crowd, AFTER_A_CROWD);
        let _place = Place::take(&self.waiting, quotas.waiting).ok_or_else(crowd)?;
        match timeout(quotas.patience, self.turns.clone().acquire_owned()).await {
            Ok(Ok(turn)) => Ok(Pass(Mutex::new(Some(turn)))),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(crowd()),
        }
    }

    /// Whether the lane is as a new one would be.
    pub(super) fn is_at_rest(&self, now: BootTime, quotas: &Quotas) -> bool {
        self.turns.available_permits() == quotas.at_a_time
            && self.rate.lock().unwrap_or_else(PoisonError::into_inner).is_at_rest(now)
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

/// A place in the queue, until it is dropped.
struct Place<'l>(&'l AtomicUsize);

impl<'l> Place<'l> {
    fn take(waiting: &'l AtomicUsize, most: usize) -> Option<Self> {
        waiting
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |before| (before < most).then_some(before + 1))
            .is_ok()
            .then(|| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
