//! The outbox: notices on their way. A notice is written in the transaction that it tells of, and sent at least once by whichever
//! process claims it first; what became of it is kept for a while. What was not taken is kept with what it said for some of that time,
//! so that an operator can have it tried again.

use std::time::Duration;

use serde_json::json;
use sqlx::any::AnyRow;

use super::{
    Store, StoreError,
    recipients::{is_told, told},
    row::{Columns, to_json},
    tx::Tx,
};
use crate::{
    clock::Timestamp,
    id::{NoticeId, WorkspaceId},
    model::{
        audit::Actor,
        notice::{Letter, Notice, NoticeRecord, NoticeState},
        text::fold,
    },
};

const INSERT: &str = "
    INSERT INTO outbox
        (workspace_id, id, kind, address_key, address, content, state, attempts, created_at, due_at, claimed_until, ended_at, answer)
    VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 0, $7, $7, 0, 0, '')";
/// Of two that claim at once, the second waits for the first and finds the row claimed.
const CLAIM: &str = "
    UPDATE outbox SET claimed_until = $2, attempts = attempts + 1
    WHERE state = 'waiting' AND due_at <= $1 AND claimed_until <= $1 AND (workspace_id, id) IN (
        SELECT workspace_id, id FROM outbox
        WHERE state = 'waiting' AND due_at <= $1 AND claimed_until <= $1 ORDER BY due_at LIMIT $3)
    RETURNING workspace_id, id, address_key, address, content, attempts, created_at, due_at";
const ENVELOPE: &str = concat!(
    "SELECT w.name, COALESCE((SELECT ",
    is_told!(),
    " FROM recipients r WHERE r.workspace_id = $1 AND r.address_key = $2), 0) AS is_told FROM workspaces w WHERE w.id = $1"
);
const END: &str = "
    UPDATE outbox SET state = $4, ended_at = $5, answer = $6, claimed_until = 0,
        content = CASE WHEN $4 IN ('refused', 'given_up') THEN content ELSE '' END
    WHERE workspace_id = $1 AND id = $2 AND attempts = $3 AND state = 'waiting'";
const PUT_BACK: &str = "
    UPDATE outbox SET due_at = $4, answer = $5, claimed_until = 0
    WHERE workspace_id = $1 AND id = $2 AND attempts = $3 AND state = 'waiting'";
/// The attempts are counted on: they are also the number of a claim.
const RETRY: &str = "
    UPDATE outbox SET state = 'waiting', due_at = $2, ended_at = 0, claimed_until = 0
    WHERE workspace_id = $1
        AND ((state = 'waiting' AND due_at > $2) OR (state IN ('refused', 'given_up') AND content <> ''))";
const WAITING: &str = "
    SELECT COUNT(*) AS waiting, COUNT(CASE WHEN due_at <= $1 AND claimed_until <= $1 THEN 1 END) AS due
    FROM outbox WHERE state = 'waiting'";
const LATEST: &str = "
    SELECT id, kind, address, state, attempts, created_at, due_at, ended_at, answer,
        CASE WHEN content = '' THEN 0 ELSE 1 END AS is_kept
    FROM outbox
    WHERE workspace_id = $1 ORDER BY id DESC LIMIT $2";
const GIVE_UP: &str = "
    UPDATE outbox SET state = 'given_up', ended_at = $2
    WHERE state = 'waiting' AND due_at <= $1 AND claimed_until <= $2";
const FORGET_CONTENT: &str = "UPDATE outbox SET content = '' WHERE ended_at > 0 AND ended_at <= $1 AND content <> ''";
const FORGET: &str = "DELETE FROM outbox WHERE ended_at > 0 AND ended_at <= $1";

/// Whether this deployment mails notices. Without a mail server nothing is written that would go out when one comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mailing {
    /// It has a mail server.
    On,
    /// It has none.
    Off,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was the last one.
    Ended(NoticeState),
    /// The next one is at this moment.
    Again(Timestamp),
}

/// How much is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Notices on their way.
    pub all: u64,
    /// Those of them that may be sent now.
    pub due: u64,
}

/// Writes a notice to everybody whom the workspace has told.
pub(super) async fn enqueue(tx: &mut Tx, workspace: &WorkspaceId, notice: &Notice) -> Result<(), StoreError> {
    let (now, content) = (tx.now().0, to_json("notice", notice)?);
    for recipient in told(tx, workspace).await? {
        sqlx::query(INSERT)
            .bind(workspace.as_str())
            .bind(NoticeId::new().as_str())
            .bind(notice.kind())
            .bind(fold(&recipient.address))
            .bind(&recipient.address)
            .bind(&content)
            .bind(now)
            .execute(tx.on())
            .await?;
    }
    Ok(())
}

impl Store {
    /// Takes at most `limit` notices that are due, of all workspaces, for so long: nobody else sends them until then.
    pub async fn claim_letters(&self, limit: u32, lasting: Duration) -> Result<Vec<Letter>, StoreError> {
        let mut tx = self.begin().await?;
        let (now, until) = (tx.now(), tx.now().plus(lasting));
        let rows = sqlx::query(CLAIM).bind(now.0).bind(until.0).bind(i64::from(limit)).fetch_all(tx.on()).await?;
        let mut letters = Vec::with_capacity(rows.len());
        for row in &rows {
            letters.push(letter(&mut tx, row).await?);
        }
        tx.commit().await?;
        Ok(letters)
    }

    /// Notes what became of an attempt, unless the claim has run out and somebody else has it.
    pub async fn settle_letter(&self, letter: &Letter, fate: &Fate, answer: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        let (workspace, id, attempts) = (letter.workspace.as_str(), letter.id.as_str(), i64::from(letter.attempts));
        let query = match fate {
            Fate::Ended(state) => sqlx::query(END).bind(workspace).bind(id).bind(attempts).bind(state.as_str()).bind(now),
            Fate::Again(at) => sqlx::query(PUT_BACK).bind(workspace).bind(id).bind(attempts).bind(at.0),
        };
        query.bind(answer).execute(tx.on()).await?;
        tx.commit().await
    }

    /// Has everything of a workspace that waits sent at the next opportunity, and what was refused or given up and can still be sent;
    /// how much it is.
    pub async fn retry_letters(&self, workspace: &WorkspaceId, actor: &Actor) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        let retried = sqlx::query(RETRY).bind(workspace.as_str()).bind(now).execute(tx.on()).await?.rows_affected();
        tx.audit(workspace, actor, "notices.retried", workspace.as_str(), &json!({ "notices": retried })).await?;
        tx.commit().await?;
        Ok(retried)
    }

    /// How much is on its way, in all workspaces.
    pub async fn waiting_letters(&self) -> Result<Waiting, StoreError> {
        let row = sqlx::query(WAITING).bind(self.clock.now().0).fetch_one(&self.pool).await?;
        let count = |column| Columns::of(&row, "count").number(column).map(|count| u64::try_from(count).unwrap_or_default());
        Ok(Waiting { all: count("waiting")?, due: count("due")? })
    }

    /// The newest notices of a workspace, newest first.
    pub async fn notices(&self, workspace: &WorkspaceId, limit: u32) -> Result<Vec<NoticeRecord>, StoreError> {
        let rows = sqlx::query(LATEST).bind(workspace.as_str()).bind(i64::from(limit)).fetch_all(&self.pool).await?;
        rows.iter().map(record).collect()
    }

    /// Gives up what was due before `untried` and that nobody tries, and forgets what was said before `unsaid` and what ended before
    /// `forgotten`.
    pub async fn sweep_letters(&self, untried: Timestamp, unsaid: Timestamp, forgotten: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        sqlx::query(GIVE_UP).bind(untried.0).bind(now).execute(tx.on()).await?;
        sqlx::query(FORGET_CONTENT).bind(unsaid.0).execute(tx.on()).await?;
        sqlx::query(FORGET).bind(forgotten.0).execute(tx.on()).await?;
        tx.commit().await
    }
}

async fn letter(tx: &mut Tx, row: &AnyRow) -> Result<Letter, StoreError> {
    let columns = Columns::of(row, "notice");
    let workspace: WorkspaceId = columns.parsed("workspace_id")?;
    let envelope = sqlx::query(ENVELOPE).bind(workspace.as_str()).bind(columns.text("address_key")?).fetch_one(tx.on()).await?;
    let envelope = Columns::of(&envelope, "workspace");
    Ok(Letter {
        id: columns.parsed("id")?,
        workspace,
        workspace_name: envelope.text("name")?,
        address: columns.text("address")?,
        is_wanted: envelope.flag("is_told")?,
        notice: columns.json("content").ok(),
        attempts: attempts(&columns)?,
        created_at: columns.time("created_at")?,
        due_at: columns.time("due_at")?,
    })
}

fn record(row: &AnyRow) -> Result<NoticeRecord, StoreError> {
    let columns = Columns::of(row, "notice");
    let state: NoticeState = columns.parsed("state")?;
    let (due_at, ended_at) = (columns.time("due_at")?, columns.time("ended_at")?);
    Ok(NoticeRecord {
        id: columns.parsed("id")?,
        kind: columns.text("kind")?,
        address: columns.text("address")?,
        state,
        attempts: attempts(&columns)?,
        created_at: columns.time("created_at")?,
        due_at: (state == NoticeState::Waiting).then_some(due_at),
        ended_at: (ended_at.0 > 0).then_some(ended_at),
        answer: columns.text("answer")?,
        is_kept: columns.flag("is_kept")?,
    })
}

fn attempts(columns: &Columns<'_>) -> Result<u32, StoreError> {
    u32::try_from(columns.number("attempts")?).map_err(|error| columns.corrupt(error))
}
