//! The provisioning log: written behind the answers in batches, read by the operators' commands, swept in bounded steps.

use std::sync::LazyLock;

use serde_json::Value;
use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{
    Store, StoreError,
    batch::places,
    row::{Columns, to_json},
};
use crate::{
    clock::Timestamp,
    id::{EntryId, UserId, WorkspaceId},
    model::provisioning::Entry,
};

const LATEST: &str = "
    SELECT id, at, request, credential, client, action, target, status, outcome, sentence, detail, people FROM provisioning_log
    WHERE workspace_id = $1 AND id > $2 AND at >= $3 ORDER BY id DESC LIMIT $4";
const LATEST_AT_FAULT: &str = "
    SELECT id, at, request, credential, client, action, target, status, outcome, sentence, detail, people FROM provisioning_log
    WHERE workspace_id = $1 AND id > $2 AND at >= $3 AND sentence IS NOT NULL ORDER BY id DESC LIMIT $4";
const OF_TARGET: &str = "
    SELECT id, at, request, credential, client, action, target, status, outcome, sentence, detail, people FROM provisioning_log
    WHERE workspace_id = $1 AND target = $2 AND target <> '' ORDER BY id DESC LIMIT $3";
const OF_MEMBER: &str = "
    SELECT id, at, request, credential, client, action, target, status, outcome, sentence, detail, people FROM provisioning_log
    WHERE workspace_id = $1 AND people IS NOT NULL AND people LIKE $2 ORDER BY id DESC LIMIT $3";
const WITH_DETAIL: &str = "
    SELECT id, at, request, credential, client, action, target, status, outcome, sentence, detail, people FROM provisioning_log
    WHERE workspace_id = $1 AND sentence IS NOT NULL AND detail LIKE $2 ORDER BY id DESC LIMIT $3";
const ONE: &str = "
    SELECT id, at, request, credential, client, action, target, status, outcome, sentence, detail, people FROM provisioning_log
    WHERE workspace_id = $1 AND id = $2";
const SWEEP: &str = "
    DELETE FROM provisioning_log WHERE (workspace_id, id) IN (
        SELECT workspace_id, id FROM provisioning_log WHERE at < $1 ORDER BY at LIMIT $2)";

/// Rows in one statement: 32 times 13 parameters are well under the limits of both engines.
const BATCH: usize = 32;

/// `INSERT … VALUES ($1, …), ($14, …), …`: built once, out of constants alone. An entry that a lost answer left in doubt may be
/// written twice.
static INSERT_BATCH: LazyLock<String> = LazyLock::new(|| insert_text(BATCH));
static INSERT_ONE: LazyLock<String> = LazyLock::new(|| insert_text(1));

fn insert_text(rows: usize) -> String {
    const COLUMNS: usize = 13;
    let row = |row: usize| format!("({})", places(row * COLUMNS + 1, COLUMNS));
    let values: Vec<String> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO provisioning_log
             (workspace_id, id, at, request, credential, client, action, target, status, outcome, sentence, detail, people)
         VALUES {} ON CONFLICT (workspace_id, id) DO NOTHING",
        values.join(", ")
    )
}

/// Which entries to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogQuery<'q> {
    /// Only those behind this one.
    pub after: Option<&'q EntryId>,
    /// Only those from this moment on.
    pub since: Timestamp,
    /// Only those of which something went wrong.
    pub at_fault: bool,
    /// The newest so many.
    pub limit: u32,
}

impl Store {
    /// Writes entries, of any workspaces, all or none of them; those that are there already stay as they are.
    pub async fn append_log(&self, entries: &[Entry]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let (batches, rest) = entries.as_chunks::<BATCH>();
        for batch in batches {
            insert(&mut tx, &INSERT_BATCH, batch).await?;
        }
        for entry in rest {
            insert(&mut tx, &INSERT_ONE, std::slice::from_ref(entry)).await?;
        }
        tx.commit().await
    }

    /// The newest entries of a workspace that fit, newest first.
    pub async fn log_entries(&self, workspace: &WorkspaceId, query: LogQuery<'_>) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(if query.at_fault { LATEST_AT_FAULT } else { LATEST })
            .bind(workspace.as_str())
            .bind(query.after.map_or("", EntryId::as_str))
            .bind(query.since.0)
            .bind(i64::from(query.limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| read(workspace, row)).collect()
    }

    /// One entry.
    pub async fn log_entry(&self, workspace: &WorkspaceId, id: &EntryId) -> Result<Option<Entry>, StoreError> {
        let row = sqlx::query(ONE).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(&self.pool).await?;
        row.as_ref().map(|row| read(workspace, row)).transpose()
    }

    /// The newest entries about a user or a group, newest first.
    pub async fn log_of_target(&self, workspace: &WorkspaceId, id: &str, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(OF_TARGET).bind(workspace.as_str()).bind(id).bind(i64::from(limit)).fetch_all(&self.pool).await?;
        rows.iter().map(|row| read(workspace, row)).collect()
    }

    /// The newest entries that name this person as a member, newest first.
    pub async fn log_of_member(&self, workspace: &WorkspaceId, id: &UserId, limit: u32) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(OF_MEMBER)
            .bind(workspace.as_str())
            .bind(format!("%{id}%"))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| read(workspace, row)).collect()
    }

    /// The newest entries with this text as a detail, of which something went wrong, newest first.
    pub async fn log_of_detail(
        &self,
        workspace: &WorkspaceId,
        name: &str,
        text: &str,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(WITH_DETAIL)
            .bind(workspace.as_str())
            .bind(format!("%{text}%"))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        let mut entries: Vec<Entry> = rows.iter().map(|row| read(workspace, row)).collect::<Result<_, _>>()?;
        // LIKE has wildcards of its own, and on SQLite does not mind the case.
        entries.retain(|entry| entry.detail.get(name).and_then(Value::as_str) == Some(text));
        Ok(entries)
    }

    /// Deletes at most `limit` entries from before this moment, oldest first; how many there were.
    pub async fn sweep_log(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let swept = sqlx::query(SWEEP).bind(before.0).bind(i64::from(limit)).execute(tx.on()).await?;
        tx.commit().await?;
        Ok(swept.rows_affected())
    }
}

async fn insert(tx: &mut super::tx::Tx, statement: &'static str, entries: &[Entry]) -> Result<(), StoreError> {
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for entry in entries {
        query = query
            .bind(entry.workspace.as_str())
            .bind(entry.id.as_str())
            .bind(entry.at.0)
            .bind(&entry.request)
            .bind(&entry.credential)
            .bind(&entry.client)
            .bind(&entry.action)
            .bind(&entry.target)
            .bind(i64::from(entry.status))
            .bind(entry.outcome.as_str())
            .bind(entry.sentence.as_deref())
            .bind(to_json("entry of the provisioning log", &entry.detail)?)
            .bind((!entry.people.is_empty()).then(|| entry.people.join(" ")));
    }
    query.execute(tx.on()).await?;
    Ok(())
}

fn read(workspace: &WorkspaceId, row: &AnyRow) -> Result<Entry, StoreError> {
    let columns = Columns::of(row, "entry of the provisioning log");
    Ok(Entry {
        id: columns.parsed("id")?,
        workspace: workspace.clone(),
        at: columns.time("at")?,
        request: columns.text("request")?,
        credential: columns.text("credential")?,
        client: columns.text("client")?,
        action: columns.text("action")?,
        target: columns.text("target")?,
        status: u16::try_from(columns.number("status")?).map_err(|error| columns.corrupt(error))?,
        outcome: columns.parsed("outcome")?,
        sentence: columns.optional_text("sentence")?,
        detail: columns.json("detail")?,
        people: columns
            .optional_text("people")?
            .unwrap_or_default()
            .split(' ')
            .filter(|id| !id.is_empty())
            .map(Into::into)
            .collect(),
    })
}
