//! Keeps the lease: on a thread and a database connection of its own, once a second, it beats, reads the head, applies what is
//! new, and only then grants. It is also the relay that finds what the doorbell has lost.

use std::{sync::Arc, time::Duration};

use lockstep_shared::{
    clock::SharedClock,
    http::health::Readiness,
    id::ReplicaId,
    model::revocation::Head,
    store::{Renewal, Store, StoreError},
    telemetry::Meters,
};
use tokio_util::sync::CancellationToken;

use super::{Lease, Moment};
use crate::session::{
    streams::Streams,
    watermarks::{Applied, Watermarks},
};

/// How often the lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How long after a failed renewal the next one is tried.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How long a renewal may take before it is given up as lost.
const RENEW_WITHIN: Duration = Duration::from_secs(2);
/// How often old watermarks are looked for.
const PRUNE_EVERY: Duration = Duration::from_mins(1);

/// Why a renewal granted nothing.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The database did not do it.
    #[error("the database did not renew the lease")]
    Store(#[from] StoreError),
    /// It took too long.
    #[error("the renewal took longer than {} s", RENEW_WITHIN.as_secs())]
    TooSlow,
    /// The log is not a later state of what was applied.
    #[error(
        "the revocation log contradicts what was applied: the database was restored; run `provisioner migrate --new-generation`"
    )]
    Contradiction,
    /// Our row was gone; it has been made anew.
    #[error("this gateway's row was gone")]
    RowGone,
}

/// Keeps the lease of one gateway.
pub struct Keeper {
    /// This start of this process.
    pub id: ReplicaId,
    /// A store of its own, so that no other work holds up a renewal.
    pub store: Store,
    /// Where time comes from.
    pub clock: SharedClock,
    /// What is applied.
    pub marks: Arc<Watermarks>,
    /// What is cut.
    pub streams: Streams,
    /// What is granted.
    pub lease: Arc<Lease>,
    /// How long a lease is.
    pub length: Duration,
    /// The longest a session may last; older watermarks are forgotten after twice that.
    pub longest_session: Duration,
    /// Whom to tell that the first lease is held.
    pub readiness: Readiness,
    /// Where it is counted.
    pub meters: Meters,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keeper({})", self.id)
    }
}

impl Keeper {
    /// Keeps the lease until `drained`, then gives it up, and only then takes the row away.
    pub async fn keep(self, drained: CancellationToken) {
        let mut joined = false;
        let mut complained = false;
        let mut pruned_at = self.clock.boot();
        loop {
            let renewed = tokio::time::timeout(RENEW_WITHIN, self.renew(&mut joined)).await.unwrap_or(Err(KeeperError::TooSlow));
            let pause = match renewed {
                Ok(applied_something) => {
                    if std::mem::take(&mut complained) {
                        tracing::info!(gateway.id = %self.id, "the lease is renewed again");
                    }
                    self.readiness.set_ready();
                    // At once, so that our row says how far we are: without Redis the barrier reads it there.
                    if applied_something { Duration::ZERO } else { RENEW_EVERY }
                }
                Err(error) => {
                    if !complained {
                        complained = true;
                        tracing::error!(gateway.id = %self.id, error = %error, source = source_of(&error), "the lease is not renewed");
                    }
                    TRY_AGAIN_AFTER
                }
            };
            if self.clock.boot().since(pruned_at) >= PRUNE_EVERY {
                pruned_at = self.clock.boot();
                self.marks.prune(self.clock.now().minus(self.longest_session * 2));
            }
            let sooner = async {
                // After a failure it rests, however many requests want a renewal.
                if complained { std::future::pending().await } else { self.lease.wanted().await }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = sooner => {}
                () = drained.cancelled() => break,
            }
        }
        self.lease.drop_it();
        self.streams.cut_all();
        if let Err(error) = self.store.leave_gateway(&self.id).await {
            tracing::warn!(gateway.id = %self.id, error = %error, "this gateway's row stays behind and will be waited out");
        }
    }

    /// One renewal; whether it applied anything.
    async fn renew(&self, joined: &mut bool) -> Result<bool, KeeperError> {
        if !*joined {
            match self.store.join_gateway(&self.id, self.length).await {
                // It was there already if the answer to an earlier attempt was lost.
                Ok(()) | Err(StoreError::Conflict(_)) => *joined = true,
                Err(error) => return Err(error.into()),
            }
        }
        let before = self.marks.position();
        // What our row is about to say is applied has cut and held its streams, whoever applied it.
        self.streams.heed(&self.marks);
        let applied = before.as_ref().map(|position| (&position.generation, position.seq));
        let taken_at = Moment::now(&*self.clock);
        let renewal = self.store.renew_gateway(&self.id, applied).await?;
        let head = match renewal {
            Renewal::Renewed(head) => head,
            Renewal::Unknown => {
                self.lease.drop_it();
                *joined = false;
                return Err(KeeperError::RowGone);
            }
        };
        if before.is_some_and(|before| before.is_contradicted_by(&head)) {
            self.lease.drop_it();
            return Err(KeeperError::Contradiction);
        }
        let applied_something = match self.catch_up(&head).await {
            Err(error @ KeeperError::Contradiction) => {
                self.lease.drop_it();
                return Err(error);
            }
            other => other?,
        };
        self.lease.grant(taken_at, self.length);
        Ok(applied_something)
    }

    /// Applies everything up to `head`, and has whom it ends cut and that acknowledged.
    async fn catch_up(&self, head: &Head) -> Result<bool, KeeperError> {
        let lost_track = !self.marks.is_of(head) || self.marks.applied().is_some_and(|(_, seq)| seq < head.floor);
        if lost_track {
            self.marks.begin(head);
        }
        let mut applied_something = lost_track;
        while let Some((generation, seq)) = self.marks.applied().filter(|(_, seq)| *seq < head.seq) {
            let rows = self.store.revocations_after(&generation, seq).await?;
            if rows.records.is_empty() {
                return Err(KeeperError::Contradiction);
            }
            for record in &rows.records {
                match self.marks.apply(record) {
                    Applied::Next => self.meters.applied(record.kind),
                    Applied::Known => {}
                    Applied::Gap | Applied::Contradiction => return Err(KeeperError::Contradiction),
                }
            }
            applied_something = true;
        }
        // The doorbell may have gone further meanwhile; at the same place it must be the same row.
        if self.marks.position().is_some_and(|position| position.seq == head.seq && position.is_contradicted_by(head)) {
            return Err(KeeperError::Contradiction);
        }
        if applied_something {
            self.lease.tell_caught_up();
        }
        Ok(applied_something)
    }
}

fn source_of(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}{}{source}", if text.is_empty() { "" } else { ": " });
        next = source.source();
    }
    text
}
