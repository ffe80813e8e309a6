//! The revocation log, read. It is appended to by the transactions that take access away, nowhere else.

use sqlx::any::AnyRow;

use super::{Settlement, Store, StoreError, row::Columns};
use crate::{
    clock::Timestamp,
    id::{Generation, WorkspaceId},
    model::revocation::{Draft, Head, Revocation, RevocationKind, Scope, Seq},
};

const BEGIN_LOG: &str = "
    INSERT INTO rev_head (id, generation, seq, tag, floor) VALUES (1, $1, 0, '', 0)
    ON CONFLICT (id) DO NOTHING";
const HEAD: &str = "SELECT generation, seq, tag, floor FROM rev_head WHERE id = 1";
const ROWS: &str = "
    SELECT generation, seq, tag, workspace_id, kind, scopes, reason, at FROM revocations
    WHERE generation = $1 AND seq > $2 ORDER BY seq LIMIT $3";
const RENEW_LOG: &str = "UPDATE rev_head SET generation = $1, seq = seq + 1, tag = '', floor = seq + 1 WHERE id = 1";
/// The last row before the first that is not old enough: a row by a clock that is behind takes no newer one with it.
const NEWEST_PRUNABLE: &str = "
    SELECT COALESCE(
        (SELECT MIN(seq) - 1 FROM revocations WHERE generation = $1 AND at >= $2),
        (SELECT MAX(seq) FROM revocations WHERE generation = $1),
        0
    ) AS seq";
const RAISE_FLOOR: &str = "UPDATE rev_head SET floor = $2 WHERE id = 1 AND generation = $1 AND floor < $2";
const PRUNE: &str = "
    DELETE FROM revocations
    WHERE (generation = $1 AND seq <= $2) OR generation <> (SELECT generation FROM rev_head WHERE id = 1)";

/// A stretch of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// In their order, without a gap.
    pub records: Vec<Revocation>,
    /// Whether there may be more behind them.
    pub more: bool,
}

/// How many rows are read at a time.
const STRETCH: i64 = 1_000;

impl Store {
    pub(super) async fn begin_log(&self) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(BEGIN_LOG).bind(Generation::random().as_str()).execute(tx.on()).await?;
        tx.commit().await
    }

    /// Where the log ends now.
    pub async fn head(&self) -> Result<Head, StoreError> {
        read_head(&sqlx::query(HEAD).fetch_one(&self.pool).await?)
    }

    /// Where the log ends in the snapshot of this transaction.
    pub(super) async fn head_on(connection: &mut sqlx::AnyConnection) -> Result<Head, StoreError> {
        read_head(&sqlx::query(HEAD).fetch_one(connection).await?)
    }

    /// The rows behind `after`, at most a thousand.
    pub async fn revocations_after(&self, generation: &Generation, after: Seq) -> Result<Rows, StoreError> {
        let rows = sqlx::query(ROWS).bind(generation.as_str()).bind(after.0).bind(STRETCH).fetch_all(&self.pool).await?;
        let records = rows.iter().map(read_revocation).collect::<Result<Vec<_>, _>>()?;
        let more = i64::try_from(records.len()).is_ok_and(|read| read == STRETCH);
        Ok(Rows { records, more })
    }

    /// Appends a row that no change of another record goes with: a sign-out, a logout by the provider, an operator's order.
    pub async fn revoke(&self, draft: Draft) -> Result<Settlement, StoreError> {
        let mut tx = self.begin().await?;
        let settlement = tx.append(draft).await?;
        tx.commit().await?;
        Ok(settlement)
    }

    /// Begins a new incarnation of the log, after the database was restored from a backup: every session made before it is dead.
    pub async fn new_generation(&self) -> Result<Head, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(RENEW_LOG).bind(Generation::random().as_str()).execute(tx.on()).await?;
        tx.commit().await?;
        self.head().await
    }

    /// Deletes the rows older than `before`, which must be further back than the longest session lasts, and raises the floor to the
    /// last of them.
    pub async fn prune_revocations(&self, before: Timestamp) -> Result<Seq, StoreError> {
        let mut tx = self.begin().await?;
        let head = Self::head_on(tx.on()).await?;
        let row = sqlx::query(NEWEST_PRUNABLE).bind(head.generation.as_str()).bind(before.0).fetch_one(tx.on()).await?;
        let floor = Columns::of(&row, "revocation").number("seq")?.max(head.floor.0);
        sqlx::query(RAISE_FLOOR).bind(head.generation.as_str()).bind(floor).execute(tx.on()).await?;
        // The floor first, by itself: deleting takes long, and whoever ends access waits for the row that holds the floor.
        tx.commit().await?;
        let mut tx = self.begin().await?;
        sqlx::query(PRUNE).bind(head.generation.as_str()).bind(floor).execute(tx.on()).await?;
        tx.commit().await?;
        Ok(Seq(floor))
    }
}

pub(super) fn read_head(row: &AnyRow) -> Result<Head, StoreError> {
    let columns = Columns::of(row, "head of the revocation log");
    Ok(Head {
        generation: columns.parsed("generation")?,
        seq: Seq(columns.number("seq")?),
        tag: columns.text("tag")?,
        floor: Seq(columns.number("floor")?),
    })
}

fn read_revocation(row: &AnyRow) -> Result<Revocation, StoreError> {
    let columns = Columns::of(row, "revocation");
    let workspace = columns.optional_text("workspace_id")?;
    Ok(Revocation {
        generation: columns.parsed("generation")?,
        seq: Seq(columns.number("seq")?),
        tag: columns.text("tag")?,
        workspace: workspace.map(|id| WorkspaceId::parse(&id)).transpose().map_err(|error| columns.corrupt(error))?,
        kind: columns.parsed::<RevocationKind>("kind")?,
        scopes: columns.json::<Vec<Scope>>("scopes")?,
        reason: columns.text("reason")?,
        at: columns.time("at")?,
    })
}
