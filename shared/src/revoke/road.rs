//! Publish, wait, write the receipt. It runs in a task of its own, which a client that hangs up cannot cancel.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::sync::oneshot;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    barrier::{Standing, Target, with_drift},
    receipt::{Confirmation, Receipt, WaitedOut},
    watch::{Watch, in_time},
};
use crate::{
    bus::Bus,
    clock::{BootTime, SharedClock},
    config::MAX_LEASE,
    id::{Generation, ReplicaId, WorkspaceId},
    model::audit::Actor,
    store::{Settlement, Store, StoreError},
    telemetry::Meters,
};

/// How long to wait for an acknowledgement before the rows are read again.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(25);

/// Why nothing can be said about who is out.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The database does not say which incarnation the log is in.
    #[error("the barrier could not read the revocation log")]
    Store(#[from] StoreError),
    /// The process is stopping.
    #[error("the barrier was interrupted by a shutdown")]
    Interrupted,
}

/// The one road by which access ends. Clones share it.
#[derive(Clone)]
pub struct Road(Arc<Inner>);

struct Inner {
    store: Store,
    bus: Arc<dyn Bus>,
    clock: SharedClock,
    watch: Arc<Watch>,
    tasks: TaskTracker,
    meters: Meters,
}

impl std::fmt::Debug for Road {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Road(…)")
    }
}

impl Road {
    /// The road of this process; its tasks run on `tasks`, and its looking-out ends with `stop`.
    #[must_use]
    pub fn start(
        store: Store,
        bus: Arc<dyn Bus>,
        clock: SharedClock,
        tasks: TaskTracker,
        stop: &CancellationToken,
        meters: Meters,
    ) -> Self {
        let watch = Watch::start(store.clone(), &bus, clock.clone(), &tasks, stop);
        Self(Arc::new(Inner { store, bus, clock, watch, tasks, meters }))
    }

    /// Lets the gateways hear of rows at once whose settlement is put off. Nobody waits for it: it is speed only.
    pub fn announce(&self, settlement: &Settlement) {
        if !settlement.records.is_empty() {
            let (inner, settlement) = (self.0.clone(), settlement.clone());
            self.0.tasks.spawn(async move { inner.publish(&settlement).await });
        }
    }

    /// Returns when no gateway answers from a state older than the settlement. To be called after the commit.
    pub async fn settle(&self, workspace: &WorkspaceId, settlement: Settlement) -> Result<Receipt, SettleError> {
        if settlement.through.0 == 0 {
            return Ok(Receipt::default());
        }
        let committed_by = self.0.clock.boot();
        let (inner, workspace) = (self.0.clone(), workspace.clone());
        let (answer, answered) = oneshot::channel();
        self.0.tasks.spawn(async move {
            let outcome = inner.settle(&workspace, &settlement, committed_by).await;
            let receipt = outcome.as_ref().ok().filter(|_| !settlement.records.is_empty()).cloned();
            // Nobody waits any more if the client has hung up; the receipt is written all the same, and after the answer.
            let _ = answer.send(outcome);
            if let Some(receipt) = receipt {
                inner.write_down(&workspace, &receipt).await;
            }
        });
        answered.await.map_err(|_| SettleError::Interrupted)?
    }
}

impl Inner {
    async fn settle(
        &self,
        workspace: &WorkspaceId,
        settlement: &Settlement,
        committed_by: BootTime,
    ) -> Result<Receipt, SettleError> {
        let heard = self.watch.hear();
        let (generation, ()) = tokio::join!(self.generation(settlement, committed_by), self.publish(settlement));
        let target = Target { generation: &generation?, seq: settlement.through, committed_by };
        let receipt = self.wait(target, heard).await;
        let waited_out = receipt.waited_out.len();
        let took = self.clock.boot().since(committed_by);
        self.meters.settled(took.as_secs_f64(), u64::try_from(waited_out).unwrap_or(u64::MAX));
        if waited_out > 0 {
            tracing::warn!(workspace.id = %workspace, seq = %receipt.seq, took_ms = receipt.took_ms, waited_out, "gateways were waited out");
        }
        Ok(receipt)
    }

    async fn publish(&self, settlement: &Settlement) {
        for record in &settlement.records {
            if let Err(error) = self.bus.publish(record).await {
                tracing::warn!(seq = %record.seq, error = %error, "a revocation was not published; gateways find it in the log");
            }
        }
    }

    /// The log's incarnation. It stands in the rows that were just written; for an earlier place it has to be read.
    async fn generation(&self, settlement: &Settlement, since: BootTime) -> Result<Generation, SettleError> {
        if let Some(record) = settlement.records.last() {
            return Ok(record.generation.clone());
        }
        loop {
            match in_time(self.store.head()).await {
                Ok(head) => return Ok(head.generation),
                Err(error) if self.clock.boot().since(since) >= MAX_LEASE => return Err(error.into()),
                Err(_) => tokio::time::sleep(READ_AGAIN_AFTER).await,
            }
        }
    }

    async fn wait(&self, target: Target<'_>, mut heard: tokio::sync::watch::Receiver<u64>) -> Receipt {
        let mut receipt = Receipt { seq: target.seq, ..Receipt::default() };
        let mut settled: HashSet<ReplicaId> = HashSet::new();
        loop {
            heard.mark_unchanged();
            let passed = match self.watch.rows().await {
                Ok(rows) => self.note(&mut receipt, &mut settled, &rows, target, heard.clone()).await,
                // Without the rows, the longest lease there can be is waited out.
                Err(_) => self.clock.boot().since(target.committed_by) >= with_drift(MAX_LEASE),
            };
            let took = self.clock.boot().since(target.committed_by);
            (receipt.took_ms, receipt.took_us) = (whole(took.as_millis()), whole(took.as_micros()));
            if passed {
                return receipt;
            }
            let _ = tokio::time::timeout(READ_AGAIN_AFTER, heard.changed()).await;
        }
    }

    /// Judges these rows, again at every acknowledgement for a while, since most arrive within it and need no second reading.
    async fn note(
        &self,
        receipt: &mut Receipt,
        settled: &mut HashSet<ReplicaId>,
        rows: &[crate::store::Replica],
        target: Target<'_>,
        mut heard: tokio::sync::watch::Receiver<u64>,
    ) -> bool {
        let until = tokio::time::Instant::now() + READ_AGAIN_AFTER;
        loop {
            heard.mark_unchanged();
            let mut awaited = false;
            for (gateway, standing) in self.watch.standings(rows, target) {
                match standing {
                    Standing::Awaited => awaited = true,
                    Standing::Confirmed if settled.insert(gateway.clone()) => {
                        receipt.confirmed.push(Confirmation { gateway, after_ms: self.elapsed(target) });
                    }
                    Standing::Lapsed if settled.insert(gateway.clone()) => {
                        receipt.waited_out.push(WaitedOut { gateway, after_ms: self.elapsed(target) });
                    }
                    Standing::Confirmed | Standing::Lapsed => {}
                }
            }
            if !awaited {
                return true;
            }
            if tokio::time::timeout_at(until, heard.changed()).await.is_err() {
                return false;
            }
        }
    }

    fn elapsed(&self, target: Target<'_>) -> u64 {
        whole(self.clock.boot().since(target.committed_by).as_millis())
    }

    async fn write_down(&self, workspace: &WorkspaceId, receipt: &Receipt) {
        let detail = serde_json::to_value(receipt).unwrap_or_default();
        let written = self.store.record(workspace, &Actor::system(), "access.settled", &receipt.seq.to_string(), &detail).await;
        if let Err(error) = written {
            tracing::warn!(workspace.id = %workspace, seq = %receipt.seq, error = %error, "a receipt could not be written down");
        }
    }
}

fn whole(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
