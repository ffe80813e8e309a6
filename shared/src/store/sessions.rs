//! Session records and one-time marks in the database, for deployments without Redis. Records arrive sealed: the database
//! cannot be used to forge or read one.

use super::{Store, StoreError, row::Columns, tx::Tx};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId, WorkspaceId},
};

const PUT: &str = "
    INSERT INTO sessions (workspace_id, id, user_id, sealed, expires_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (workspace_id, id) DO UPDATE SET sealed = excluded.sealed";
const REPLACE: &str = "UPDATE sessions SET sealed = $3 WHERE workspace_id = $1 AND id = $2";
const GET: &str = "SELECT sealed FROM sessions WHERE workspace_id = $1 AND id = $2 AND expires_at > $3";
const OF_USER: &str = "
    SELECT id FROM sessions WHERE workspace_id = $1 AND user_id = $2 AND expires_at > $3 ORDER BY expires_at, id";
const DELETE: &str = "DELETE FROM sessions WHERE workspace_id = $1 AND id = $2";
const USE_ONCE: &str = "
    INSERT INTO used_once (workspace_id, digest, expires_at) VALUES ($1, $2, $3)
    ON CONFLICT (workspace_id, digest) DO NOTHING";
const SWEEP_SESSIONS: &str = "DELETE FROM sessions WHERE expires_at <= $1";
const SWEEP_USED: &str = "DELETE FROM used_once WHERE expires_at <= $1";

impl Store {
    pub(crate) async fn put_session(
        &self,
        workspace: &WorkspaceId,
        id: &SessionId,
        user: &UserId,
        sealed: &str,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(PUT)
            .bind(workspace.as_str())
            .bind(id.as_str())
            .bind(user.as_str())
            .bind(sealed)
            .bind(expires_at.0)
            .execute(tx.on())
            .await?;
        tx.commit().await
    }

    /// Writes a record again if it is still there; one that was deleted stays deleted.
    pub(crate) async fn replace_session(&self, workspace: &WorkspaceId, id: &SessionId, sealed: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(REPLACE).bind(workspace.as_str()).bind(id.as_str()).bind(sealed).execute(tx.on()).await?;
        tx.commit().await
    }

    pub(crate) async fn get_session(&self, workspace: &WorkspaceId, id: &SessionId) -> Result<Option<String>, StoreError> {
        let now = self.clock.now().0;
        let row = sqlx::query(GET).bind(workspace.as_str()).bind(id.as_str()).bind(now).fetch_optional(&self.pool).await?;
        row.map(|row| Columns::of(&row, "session").text("sealed")).transpose()
    }

    pub(crate) async fn session_ids_of(&self, workspace: &WorkspaceId, user: &UserId) -> Result<Vec<SessionId>, StoreError> {
        let now = self.clock.now().0;
        let rows = sqlx::query(OF_USER).bind(workspace.as_str()).bind(user.as_str()).bind(now).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Columns::of(row, "session").parsed("id")).collect()
    }

    pub(crate) async fn delete_session(&self, workspace: &WorkspaceId, id: &SessionId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(DELETE).bind(workspace.as_str()).bind(id.as_str()).execute(tx.on()).await?;
        tx.commit().await
    }

    pub(crate) async fn use_once(
        &self,
        workspace: &WorkspaceId,
        digest: &str,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let is_first = mark(&mut tx, workspace, digest, expires_at).await?;
        tx.commit().await?;
        Ok(is_first)
    }

    /// Deletes what has run out.
    pub async fn sweep_sessions(&self) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        for statement in [SWEEP_SESSIONS, SWEEP_USED] {
            sqlx::query(statement).bind(now).execute(tx.on()).await?;
        }
        tx.commit().await
    }
}

/// Marks a digest as used; whether this was the first time.
pub(super) async fn mark(tx: &mut Tx, workspace: &WorkspaceId, digest: &str, expires_at: Timestamp) -> Result<bool, StoreError> {
    let used = sqlx::query(USE_ONCE).bind(workspace.as_str()).bind(digest).bind(expires_at.0).execute(tx.on()).await?;
    Ok(used.rows_affected() == 1)
}
