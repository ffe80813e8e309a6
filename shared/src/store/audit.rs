//! The audit trail, read by the operators' commands and the console.

use serde_json::Value;

use super::{Store, StoreError, row::Columns};
use crate::{
    id::WorkspaceId,
    model::audit::{Actor, AuditRecord},
};

const LATEST: &str = "
    SELECT id, at, actor_kind, actor_id, action, target, detail FROM audit
    WHERE workspace_id = $1 ORDER BY id DESC LIMIT $2";
const OF_TARGET: &str = "
    SELECT id, at, actor_kind, actor_id, action, target, detail FROM audit
    WHERE workspace_id = $1 AND target = $2 ORDER BY id DESC LIMIT $3";

impl Store {
    /// Writes one record by itself, for what is not part of another change.
    pub async fn record(
        &self,
        workspace: &WorkspaceId,
        actor: &Actor,
        action: &'static str,
        target: &str,
        detail: &Value,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.audit(workspace, actor, action, target, detail).await?;
        tx.commit().await
    }

    /// The newest records of a workspace, newest first; of one target, if one is named.
    pub async fn audit_trail(
        &self,
        workspace: &WorkspaceId,
        target: Option<&str>,
        limit: u32,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let rows = match target {
            Some(target) => {
                sqlx::query(OF_TARGET).bind(workspace.as_str()).bind(target).bind(i64::from(limit)).fetch_all(&self.pool).await?
            }
            None => sqlx::query(LATEST).bind(workspace.as_str()).bind(i64::from(limit)).fetch_all(&self.pool).await?,
        };
        rows.iter()
            .map(|row| {
                let columns = Columns::of(row, "audit record");
                Ok(AuditRecord {
                    id: columns.parsed("id")?,
                    workspace: workspace.clone(),
                    at: columns.time("at")?,
                    actor: Actor { kind: columns.parsed("actor_kind")?, id: columns.text("actor_id")? },
                    action: columns.text("action")?,
                    target: columns.text("target")?,
                    detail: columns.json("detail")?,
                })
            })
            .collect()
    }
}
