//! Domains that a workspace says it owns, and those that it has proven to.

use serde_json::json;

use super::{Store, StoreError, row::Columns};
use crate::{clock::Timestamp, id::WorkspaceId, model::audit::Actor};

const INSERT: &str = "INSERT INTO domains (workspace_id, domain, created_at) VALUES ($1, $2, $3)";
const VERIFY: &str = "
    UPDATE domains SET verified_at = $3, verified_by = $4 WHERE workspace_id = $1 AND domain = $2";
const ALL: &str = "SELECT domain, verified_at FROM domains WHERE workspace_id = $1 ORDER BY domain";
const PROVEN: &str = "SELECT verified_at FROM domains WHERE workspace_id = $1 AND domain = $2 AND verified_at IS NOT NULL";
const OWNERS: &str = "SELECT workspace_id FROM domains WHERE domain = $1 AND verified_at IS NOT NULL ORDER BY workspace_id";

/// A domain of a workspace.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Domain {
    /// The name, in lower case.
    pub domain: String,
    /// When the workspace was found to own it.
    pub verified_at: Option<Timestamp>,
}

impl Store {
    /// Notes that a workspace says it owns a domain.
    pub async fn add_domain(&self, workspace: &WorkspaceId, domain: &str, actor: &Actor) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        sqlx::query(INSERT).bind(workspace.as_str()).bind(domain).bind(now).execute(tx.on()).await?;
        tx.audit(workspace, actor, "domain.added", domain, &json!({})).await?;
        tx.commit().await
    }

    /// Notes that the workspace owns the domain, and by whose word.
    pub async fn verify_domain(&self, workspace: &WorkspaceId, domain: &str, actor: &Actor) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        let verified = sqlx::query(VERIFY)
            .bind(workspace.as_str())
            .bind(domain)
            .bind(now)
            .bind(actor.kind.as_str())
            .execute(tx.on())
            .await?;
        if verified.rows_affected() == 0 {
            return Err(StoreError::NotFound("domain"));
        }
        tx.audit(workspace, actor, "domain.verified", domain, &json!({ "by": actor.kind })).await?;
        tx.commit().await
    }

    /// The domains of a workspace.
    pub async fn domains(&self, workspace: &WorkspaceId) -> Result<Vec<Domain>, StoreError> {
        let rows = sqlx::query(ALL).bind(workspace.as_str()).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::of(row, "domain");
                Ok(Domain { domain: columns.text("domain")?, verified_at: columns.optional_time("verified_at")? })
            })
            .collect()
    }

    /// Whether the workspace has proven to own the domain, in the snapshot of a transaction.
    pub(super) async fn owns_domain_on(
        on: &mut sqlx::AnyConnection,
        workspace: &WorkspaceId,
        domain: &str,
    ) -> Result<bool, StoreError> {
        Ok(sqlx::query(PROVEN).bind(workspace.as_str()).bind(domain).fetch_optional(on).await?.is_some())
    }

    /// The workspaces that have proven to own a domain: where an e-mail address signs in.
    pub async fn workspaces_of_domain(&self, domain: &str) -> Result<Vec<WorkspaceId>, StoreError> {
        let rows = sqlx::query(OWNERS).bind(domain).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Columns::of(row, "domain").parsed("workspace_id")).collect()
    }
}
