//! The provisioning log: written behind the answers in batches, read by the operators' commands, swept in bounded steps.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use sqlx::{
    Any, AssertSqlSafe,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{
    Store, StoreError,
    batch::places,
    row::{Columns, to_json},
};
use crate::{
    clock::Timestamp,
    id::{EntryId, UserId, WorkspaceId},
    model::provisioning::{Action, Entry, Outcome},
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
const FAULTS_OF: &str = "
    SELECT id, at, request, credential, client, action, target, status, outcome, sentence, detail, people FROM provisioning_log
    WHERE workspace_id = $1 AND at >= $2 AND action = $3 AND sentence IS NOT NULL ORDER BY id DESC LIMIT $4";
// The newest row that is too many to be read.
const EDGE: &str = "
    SELECT id, at FROM provisioning_log WHERE workspace_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2";
// Who was granted a token matters, and of a search whether it found anybody, and whether it was for somebody at all.
const COUNTS: &str = "
    SELECT action, outcome, client,
           CASE WHEN action = 'token.grant' THEN credential ELSE '' END AS grantee,
           CASE WHEN detail LIKE '%\"found\":0,%' OR detail LIKE '%\"found\":0}' THEN 1 ELSE 0 END AS in_vain,
           CASE WHEN action = 'user.find' AND detail NOT LIKE '%\"filter\":%' THEN 1 ELSE 0 END AS is_listing,
           COUNT(*) AS entries, MAX(at) AS last_at
    FROM provisioning_log
    WHERE workspace_id = $1 AND id > $2 AND at >= $3
    GROUP BY action, outcome, client, grantee, in_vain, is_listing";
const USERS_WRITTEN: &str = "
    SELECT target, MAX(at) AS last_at FROM provisioning_log
    WHERE workspace_id = $1 AND id > $2 AND at >= $3 AND target <> '' AND outcome IN ('done', 'unchanged')
      AND action IN ('user.create', 'user.update', 'user.activate', 'user.deactivate') AND target > $4
    GROUP BY target ORDER BY target LIMIT $5";
const LAST_MEMBERSHIP: &str = "
    SELECT id, at, request, credential, client, action, target, status, outcome, sentence, detail, people FROM provisioning_log
    WHERE workspace_id = $1 AND id > $2 AND at >= $3 AND (action = 'group.members' OR detail LIKE '%\"members\":{%')
    ORDER BY id DESC LIMIT 1";
const DELETIONS: &str = "
    SELECT id, target, at, detail FROM provisioning_log
    WHERE workspace_id = $1 AND id > $2 AND at >= $3 AND action = 'user.delete' AND outcome = 'done' AND id < $4
    ORDER BY id DESC LIMIT $5";
/// Behind every id, which are lower-case.
const LAST: &str = "~";
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

/// A part of a workspace's log: from a moment on, and no further back than can be read in a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSpan {
    after: Option<EntryId>,
    /// From when on it is read.
    pub since: Timestamp,
    /// Whether that is the moment which was asked for.
    pub is_whole: bool,
}

/// How many entries there are of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCount {
    /// What was asked for: a word of [`Action`], or of a newer program.
    pub action: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What the client called itself.
    pub client: String,
    /// The OAuth client, where it is about a token.
    pub grantee: String,
    /// Whether it was a search that found nobody.
    pub in_vain: bool,
    /// Whether it was for users without a filter: a list, and nobody in particular.
    pub is_listing: bool,
    /// How many.
    pub entries: u64,
    /// The newest of them.
    pub last_at: Timestamp,
}

impl LogCount {
    /// What was asked for, if this program knows the word.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        self.action.parse().ok()
    }

    /// Whether it was carried out.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.outcome, Outcome::Done | Outcome::Unchanged)
    }
}

/// A user's end, as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDeletion {
    /// The entry.
    pub entry: EntryId,
    /// What is kept of them as a detail.
    pub text: Option<String>,
    /// Their id.
    pub target: String,
    /// When it was.
    pub at: Timestamp,
}

impl Store {
    /// The log of a workspace from a moment on, but of its newest `most` entries alone.
    pub async fn log_span(&self, workspace: &WorkspaceId, since: Timestamp, most: u32) -> Result<LogSpan, StoreError> {
        let edge = sqlx::query(EDGE).bind(workspace.as_str()).bind(i64::from(most)).fetch_optional(&self.pool).await?;
        let Some(edge) = edge else { return Ok(LogSpan::since(since)) };
        let columns = Columns::of(&edge, "entry of the provisioning log");
        let (after, at) = (Some(columns.parsed("id")?), columns.time("at")?);
        Ok(LogSpan { after, since: since.max(at), is_whole: at < since })
    }

    /// How much there is of each kind of entry.
    pub async fn log_counts(&self, workspace: &WorkspaceId, span: &LogSpan) -> Result<Vec<LogCount>, StoreError> {
        let rows = span.query(COUNTS, workspace).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::of(row, "count of the provisioning log");
                Ok(LogCount {
                    action: columns.text("action")?,
                    outcome: columns.parsed("outcome")?,
                    client: columns.text("client")?,
                    grantee: columns.text("grantee")?,
                    in_vain: columns.flag("in_vain")?,
                    is_listing: columns.flag("is_listing")?,
                    entries: u64::try_from(columns.number("entries")?).map_err(|error| columns.corrupt(error))?,
                    last_at: columns.time("last_at")?,
                })
            })
            .collect()
    }

    /// The ids behind `after` of users who were created or changed with success, in their order, each with when that was last.
    pub async fn log_of_users_written(
        &self,
        workspace: &WorkspaceId,
        span: &LogSpan,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(String, Timestamp)>, StoreError> {
        let query = span.query(USERS_WRITTEN, workspace).bind(after.unwrap_or_default().to_owned()).bind(i64::from(limit));
        let rows = query.fetch_all(&self.pool).await?;
        let read = |row: &AnyRow| {
            let columns = Columns::of(row, "entry of the provisioning log");
            Ok((columns.text("target")?, columns.time("last_at")?))
        };
        rows.iter().map(read).collect()
    }

    /// The newest entry about members of any group.
    pub async fn log_of_last_membership(&self, workspace: &WorkspaceId, span: &LogSpan) -> Result<Option<Entry>, StoreError> {
        let row = span.query(LAST_MEMBERSHIP, workspace).fetch_optional(&self.pool).await?;
        row.as_ref().map(|row| read(workspace, row)).transpose()
    }

    /// Who was deleted, newest first: those before this entry, with the text of this name that theirs have as a detail.
    pub async fn log_of_deletions(
        &self,
        workspace: &WorkspaceId,
        span: &LogSpan,
        name: &str,
        before: Option<&EntryId>,
        limit: u32,
    ) -> Result<Vec<LogDeletion>, StoreError> {
        let before = before.map_or(LAST, EntryId::as_str).to_owned();
        let rows = span.query(DELETIONS, workspace).bind(before).bind(i64::from(limit)).fetch_all(&self.pool).await?;
        let read = |row: &AnyRow| {
            let columns = Columns::of(row, "entry of the provisioning log");
            let mut detail: Map<String, Value> = columns.json("detail")?;
            let text = match detail.remove(name) {
                Some(Value::String(text)) => Some(text),
                Some(_) | None => None,
            };
            Ok(LogDeletion { entry: columns.parsed("id")?, text, target: columns.text("target")?, at: columns.time("at")? })
        };
        rows.iter().map(read).collect()
    }

    /// The newest entries of one action of which something went wrong, newest first.
    pub async fn log_faults(
        &self,
        workspace: &WorkspaceId,
        action: Action,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query(FAULTS_OF)
            .bind(workspace.as_str())
            .bind(since.0)
            .bind(action.as_str())
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| read(workspace, row)).collect()
    }

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

impl LogSpan {
    /// The log from this moment on, however much that is.
    #[must_use]
    pub fn since(since: Timestamp) -> Self {
        Self { after: None, since, is_whole: true }
    }

    fn query(&self, statement: &'static str, workspace: &WorkspaceId) -> Query<'static, Any, AnyArguments> {
        sqlx::query(statement)
            .bind(workspace.as_str().to_owned())
            .bind(self.after.as_ref().map_or("", EntryId::as_str).to_owned())
            .bind(self.since.0)
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
