//! A transaction that writes: whatever it takes away from somebody, it numbers in the revocation log as its last step.

use serde_json::Value;
use sqlx::AnyConnection;
use tokio::sync::OwnedSemaphorePermit;

use super::{
    StoreError,
    pool::Transaction,
    row::{Columns, to_json},
};
use crate::{
    clock::Timestamp,
    id::{AuditId, Generation, WorkspaceId},
    model::{
        audit::Actor,
        revocation::{Draft, Revocation, Seq},
    },
    secret,
};

const NUMBER: &str = "UPDATE rev_head SET seq = seq + 1, tag = $1 WHERE id = 1 RETURNING generation, seq";
const APPEND: &str = "
    INSERT INTO revocations (generation, seq, tag, workspace_id, kind, scopes, reason, at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
const AUDIT: &str = "
    INSERT INTO audit (workspace_id, id, at, actor_kind, actor_id, action, target, detail)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// What has to be settled before an answer is given: the rows to publish, and the place that every gateway must have passed.
/// `Seq(0)` is passed by everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "an answer may be given only after the settlement went through the barrier"]
pub struct Settlement {
    /// The rows that this write appended.
    pub records: Vec<Revocation>,
    /// The place to wait for.
    pub through: Seq,
}

impl Settlement {
    /// Nothing was appended, but an earlier row has to be waited for.
    pub fn of_earlier(through: Seq) -> Self {
        Self { records: Vec::new(), through }
    }

    /// Waits at least for an earlier row, whose own answer may have been lost.
    pub(super) fn or_earlier(self, earlier: Seq) -> Self {
        Self { through: self.through.max(earlier), ..self }
    }
}

/// A transaction that writes. Dropped without a commit, it is rolled back.
pub(super) struct Tx {
    inner: Transaction,
    now: Timestamp,
    // Dropped after `inner`, so that the next writer begins when this one has let go of the lock.
    turn: Option<OwnedSemaphorePermit>,
}

impl Tx {
    pub(super) fn new(inner: Transaction, turn: Option<OwnedSemaphorePermit>, now: Timestamp) -> Self {
        Self { inner, now, turn }
    }

    /// The connection to run statements on.
    pub(super) fn on(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }

    /// Whether nobody else writes before its end, as on SQLite.
    pub(super) fn is_alone(&self) -> bool {
        self.turn.is_some()
    }

    /// The wall clock when the transaction began.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    /// Writes a record of the audit trail.
    pub(super) async fn audit(
        &mut self,
        workspace: &WorkspaceId,
        actor: &Actor,
        action: &'static str,
        target: &str,
        detail: &Value,
    ) -> Result<(), StoreError> {
        sqlx::query(AUDIT)
            .bind(workspace.as_str())
            .bind(AuditId::new().as_str())
            .bind(self.now.0)
            .bind(actor.kind.as_str())
            .bind(&actor.id)
            .bind(action)
            .bind(target)
            .bind(to_json("audit record", detail)?)
            .execute(self.on())
            .await?;
        Ok(())
    }

    /// Numbers and appends a row of the revocation log. From here to the commit every other revoking transaction waits, so this
    /// comes last.
    pub(super) async fn append(&mut self, draft: Draft) -> Result<Settlement, StoreError> {
        let tag: [u8; 8] = secret::random()?;
        let tag = format!("{:016x}", u64::from_be_bytes(tag));
        let row = sqlx::query(NUMBER).bind(&tag).fetch_one(self.on()).await?;
        let head = Columns::of(&row, "head of the revocation log");
        let record = Revocation {
            generation: head.parsed::<Generation>("generation")?,
            seq: Seq(head.number("seq")?),
            tag,
            workspace: draft.workspace,
            kind: draft.kind,
            scopes: draft.scopes,
            reason: draft.reason.to_owned(),
            at: self.now,
        };
        sqlx::query(APPEND)
            .bind(record.generation.as_str())
            .bind(record.seq.0)
            .bind(&record.tag)
            .bind(record.workspace.as_ref().map(WorkspaceId::as_str))
            .bind(record.kind.as_str())
            .bind(to_json("revocation", &record.scopes)?)
            .bind(&record.reason)
            .bind(record.at.0)
            .execute(self.on())
            .await?;
        Ok(Settlement { through: record.seq, records: vec![record] })
    }

    /// Commits. An error leaves the outcome unknown: whoever asked must be told to ask again.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.inner.commit().await.map_err(StoreError::Unavailable)
    }

    /// Takes everything back.
    pub(super) async fn roll_back(self) -> Result<(), StoreError> {
        Ok(self.inner.rollback().await?)
    }
}
