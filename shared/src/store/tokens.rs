//! SCIM bearer tokens, stored as digests.

use std::time::Duration;

use serde_json::json;
use sqlx::any::AnyRow;

use super::{Store, StoreError, row::Columns};
use crate::{
    clock::Timestamp,
    id::{TokenId, WorkspaceId},
    model::{audit::Actor, token::Token},
    secret::BearerToken,
};

const INSERT: &str = "
    INSERT INTO tokens (workspace_id, id, digest, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)";
const BY_DIGEST: &str = "
    SELECT workspace_id, id, created_at, expires_at, last_used_at, revoked_at FROM tokens
    WHERE workspace_id = $1 AND digest = $2";
const ALL: &str = "
    SELECT workspace_id, id, created_at, expires_at, last_used_at, revoked_at FROM tokens
    WHERE workspace_id = $1 ORDER BY id";
const TOUCH: &str = "UPDATE tokens SET last_used_at = $3 WHERE workspace_id = $1 AND id = $2";
const REVOKE: &str = "
    UPDATE tokens SET revoked_at = $3 WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL";

impl Store {
    /// Issues a token. The answer's first part is shown once and kept nowhere.
    pub async fn issue_token(
        &self,
        workspace: &WorkspaceId,
        lifetime: Duration,
        actor: &Actor,
    ) -> Result<(BearerToken, Token), StoreError> {
        let secret = BearerToken::new()?;
        let mut tx = self.begin().await?;
        let token = Token {
            workspace: workspace.clone(),
            id: TokenId::new(),
            created_at: tx.now(),
            expires_at: tx.now().plus(lifetime),
            last_used_at: None,
            revoked_at: None,
        };
        sqlx::query(INSERT)
            .bind(workspace.as_str())
            .bind(token.id.as_str())
            .bind(secret.digest())
            .bind(token.created_at.0)
            .bind(token.expires_at.0)
            .execute(tx.on())
            .await?;
        tx.audit(workspace, actor, "token.issued", token.id.as_str(), &json!({ "expires_at": token.expires_at })).await?;
        tx.commit().await?;
        Ok((secret, token))
    }

    /// Finds the record of a presented token in this workspace, live or not.
    pub async fn find_token(&self, workspace: &WorkspaceId, presented: &BearerToken) -> Result<Option<Token>, StoreError> {
        let row = sqlx::query(BY_DIGEST).bind(workspace.as_str()).bind(presented.digest()).fetch_optional(&self.pool).await?;
        row.as_ref().map(read).transpose()
    }

    /// The tokens of a workspace, oldest first.
    pub async fn tokens(&self, workspace: &WorkspaceId) -> Result<Vec<Token>, StoreError> {
        let rows = sqlx::query(ALL).bind(workspace.as_str()).fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// Notes that a token was used.
    pub async fn touch_token(&self, workspace: &WorkspaceId, id: &TokenId, at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(TOUCH).bind(workspace.as_str()).bind(id.as_str()).bind(at.0).execute(tx.on()).await?;
        tx.commit().await
    }

    /// Stops a token at once.
    pub async fn revoke_token(&self, workspace: &WorkspaceId, id: &TokenId, actor: &Actor) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        let revoked = sqlx::query(REVOKE).bind(workspace.as_str()).bind(id.as_str()).bind(now).execute(tx.on()).await?;
        if revoked.rows_affected() == 0 {
            return Err(StoreError::NotFound("live token"));
        }
        tx.audit(workspace, actor, "token.revoked", id.as_str(), &json!({})).await?;
        tx.commit().await
    }
}

fn read(row: &AnyRow) -> Result<Token, StoreError> {
    let columns = Columns::of(row, "token");
    Ok(Token {
        workspace: columns.parsed("workspace_id")?,
        id: columns.parsed("id")?,
        created_at: columns.time("created_at")?,
        expires_at: columns.time("expires_at")?,
        last_used_at: columns.optional_time("last_used_at")?,
        revoked_at: columns.optional_time("revoked_at")?,
    })
}
