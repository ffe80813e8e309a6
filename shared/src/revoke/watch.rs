//! What a waiting process knows of the gateways: their rows, how long each beat has stood still, and the acknowledgements it
//! has heard. One watch serves every barrier of the process.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::barrier::{Acks, Beats, Standing, Target, standing};
use crate::{
    bus::{Bus, Signal},
    clock::SharedClock,
    id::ReplicaId,
    store::{Replica, Store, StoreError},
};

/// How often the rows are looked at when nobody waits, so that a gateway that has died is known before somebody does.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a reading may take: a database that fell silent in the middle of one must not hold the waiting up for ever.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// A row that has stood still this long is deleted.
const FORGET_AFTER: Duration = Duration::from_mins(10);

#[derive(Debug, Default)]
struct Known {
    beats: Beats,
    acks: Acks,
}

/// The rows of one reading, and which reading it was.
#[derive(Debug, Clone, Default)]
struct Reading {
    ticket: u64,
    rows: Arc<[Replica]>,
}

pub(super) struct Watch {
    store: Store,
    clock: SharedClock,
    known: Mutex<Known>,
    reading: tokio::sync::Mutex<Reading>,
    tickets: AtomicU64,
    heard: watch::Sender<u64>,
}

impl Watch {
    pub(super) fn start(
        store: Store,
        bus: &Arc<dyn Bus>,
        clock: SharedClock,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let watch = Arc::new(Self {
            store,
            clock,
            known: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            tickets: AtomicU64::new(1),
            heard: watch::Sender::new(0),
        });
        let (listening, mut acks, stop_listening) = (watch.clone(), bus.acks(), stop.clone());
        tasks.spawn(async move {
            loop {
                let signal = tokio::select! {
                    signal = acks.next() => signal,
                    () = stop_listening.cancelled() => return,
                };
                match signal {
                    Some(Signal::Message(ack)) => {
                        listening.with_known(|known| known.acks.note(&ack.gateway, &ack.generation, ack.seq));
                        listening.heard.send_modify(|count| *count += 1);
                    }
                    // A lost acknowledgement is found in the gateway's row.
                    Some(Signal::Gap) => {}
                    None => return,
                }
            }
        });
        let (looking, stop_looking) = (watch.clone(), stop.clone());
        tasks.spawn(async move {
            let mut ticks = interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => looking.look().await,
                    () = stop_looking.cancelled() => return,
                }
            }
        });
        watch
    }

    /// Hears of new acknowledgements.
    pub(super) fn hear(&self) -> watch::Receiver<u64> {
        self.heard.subscribe()
    }

    /// Rows of a reading that began after this was called. Callers that wait for a reading under way share the next one.
    pub(super) async fn rows(&self) -> Result<Arc<[Replica]>, StoreError> {
        let called = self.tickets.fetch_add(1, Ordering::SeqCst);
        let mut reading = self.reading.lock().await;
        if reading.ticket > called {
            return Ok(reading.rows.clone());
        }
        let ticket = self.tickets.fetch_add(1, Ordering::SeqCst);
        let rows: Arc<[Replica]> = in_time(self.store.gateways()).await?.into();
        let read_by = self.clock.boot();
        self.with_known(|known| {
            known.beats.note(&rows, read_by);
            known.acks.keep(&rows);
        });
        *reading = Reading { ticket, rows: rows.clone() };
        Ok(rows)
    }

    /// Each gateway's standing now.
    pub(super) fn standings(&self, rows: &[Replica], target: Target<'_>) -> Vec<(ReplicaId, Standing)> {
        let now = self.clock.boot();
        self.with_known(|known| {
            rows.iter().map(|row| (row.id.clone(), standing(row, target, &known.beats, &known.acks, now))).collect()
        })
    }

    async fn look(&self) {
        let Ok(rows) = self.rows().await else { return };
        let now = self.clock.boot();
        for row in rows.iter() {
            let still = self.with_known(|known| known.beats.still_for(row, now));
            if still >= FORGET_AFTER && self.store.forget_gateway(&row.id, row.beat).await.is_ok() {
                tracing::info!(gateway.id = %row.id, "a gateway that has been still for 10 minutes was forgotten");
            }
        }
    }

    fn with_known<T>(&self, use_it: impl FnOnce(&mut Known) -> T) -> T {
        // Every change is a single insertion or removal, so what a panic has left behind is whole.
        use_it(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A reading with a deadline.
pub(super) async fn in_time<T>(reading: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(READ_WITHIN, reading).await {
        Ok(outcome) => outcome,
        Err(late) => Err(StoreError::Unavailable(sqlx::Error::Io(late.into()))),
    }
}
