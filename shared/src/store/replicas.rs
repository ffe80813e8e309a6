//! The running gateways: each holds a row, beats in it, and writes down how far it has applied the log.

use std::time::Duration;

use super::{Store, StoreError, revocations::read_head, row::Columns};
use crate::{
    clock::Timestamp,
    id::{Generation, ReplicaId},
    model::{
        revocation::{Head, Seq},
        words,
    },
    secret,
};

const JOIN: &str = "
    INSERT INTO gateways (id, state, lease_ms, beat, applied_generation, applied_seq, started_at)
    VALUES ($1, 'joining', $2, $3, '', 0, $4)";
const BEAT: &str = "
    UPDATE gateways SET state = 'serving', beat = beat + 1, applied_generation = $2, applied_seq = $3 WHERE id = $1";
const HEAD: &str = "SELECT generation, seq, tag, floor FROM rev_head WHERE id = 1";
const LEAVE: &str = "DELETE FROM gateways WHERE id = $1";
const ALL: &str = "SELECT id, state, lease_ms, beat, applied_generation, applied_seq FROM gateways";
const DELETE_STILL: &str = "DELETE FROM gateways WHERE id = $1 AND beat = $2";

words! {
    /// Whether a gateway may be answering.
    ReplicaState, "gateway state" {
        /// It has not held a lease yet: it answers nothing.
        Joining = "joining",
        /// It answers while its lease lasts.
        Serving = "serving",
    }
}

/// A running gateway, as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// One start of one process.
    pub id: ReplicaId,
    /// Whether it may be answering.
    pub state: ReplicaState,
    /// How long it may answer after a renewal.
    pub lease: Duration,
    /// Counts its renewals.
    pub beat: i64,
    /// The incarnation of the log that it has applied; `None` before the first.
    pub applied_generation: Option<Generation>,
    /// How far it has applied that log.
    pub applied_seq: Seq,
}

/// What became of a renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renewal {
    /// The beat is committed; this is where the log ended when it was read *after* that.
    Renewed(Head),
    /// The row is gone: nothing is granted, the gateway must join anew.
    Unknown,
}

impl Store {
    /// Announces a gateway that is not answering yet. Its beats count on from a random number: a row that was forgotten and is made
    /// anew under the same id must not come past a beat that somebody has seen standing still.
    pub async fn join_gateway(&self, id: &ReplicaId, lease: Duration) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        let first_beat = i64::from_be_bytes(secret::random()?) >> 2;
        sqlx::query(JOIN)
            .bind(id.as_str())
            .bind(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
            .bind(first_beat)
            .bind(now)
            .execute(tx.on())
            .await?;
        tx.commit().await
    }

    /// Beats, commits, and only then reads the head, in a statement of its own: in one statement a renewal that the barrier cannot
    /// see yet could carry an old head.
    pub async fn renew_gateway(&self, id: &ReplicaId, applied: Option<(&Generation, Seq)>) -> Result<Renewal, StoreError> {
        let (generation, seq) = applied.map_or(("", 0), |(generation, seq)| (generation.as_str(), seq.0));
        let mut tx = self.begin().await?;
        let beaten = sqlx::query(BEAT).bind(id.as_str()).bind(generation).bind(seq).execute(tx.on()).await?;
        tx.commit().await?;
        if beaten.rows_affected() == 0 {
            return Ok(Renewal::Unknown);
        }
        let head = sqlx::query(HEAD).fetch_one(&self.pool).await?;
        Ok(Renewal::Renewed(read_head(&head)?))
    }

    /// Takes the row away, after the gateway has given up its lease.
    pub async fn leave_gateway(&self, id: &ReplicaId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(LEAVE).bind(id.as_str()).execute(tx.on()).await?;
        tx.commit().await
    }

    /// Every gateway that has a row.
    pub async fn gateways(&self) -> Result<Vec<Replica>, StoreError> {
        let rows = sqlx::query(ALL).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::of(row, "gateway");
                let generation = columns.text("applied_generation")?;
                Ok(Replica {
                    id: columns.parsed("id")?,
                    state: columns.parsed("state")?,
                    lease: Duration::from_millis(u64::try_from(columns.number("lease_ms")?).unwrap_or(0)),
                    beat: columns.number("beat")?,
                    applied_generation: Generation::parse(&generation).ok(),
                    applied_seq: Seq(columns.number("applied_seq")?),
                })
            })
            .collect()
    }

    /// Deletes a row whose beat still stands at `beat`.
    pub async fn forget_gateway(&self, id: &ReplicaId, beat: i64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(DELETE_STILL).bind(id.as_str()).bind(beat).execute(tx.on()).await?;
        tx.commit().await
    }

    /// The wall clock that the store writes by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
