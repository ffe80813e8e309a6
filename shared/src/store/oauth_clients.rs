//! OAuth clients, and what they are granted.

use std::time::Duration;

use serde_json::json;
use sqlx::any::AnyRow;

use super::{
    Store, StoreError,
    error::EditError,
    row::Columns,
    sessions, tokens,
    workspaces::{self, workspace_columns},
};
use crate::{
    clock::Timestamp,
    id::{OAuthClientId, WorkspaceId},
    model::{
        audit::Actor,
        oauth_client::{AssertionTrust, ClientProof, OAuthClient},
        token::{Token, TokenKind},
        workspace::Workspace,
    },
    secret::{BearerToken, sha256_hex},
};

/// The columns of a client `c`, under names that a workspace's do not have.
macro_rules! client_columns {
    () => {
        "c.id AS client_id, c.proof, c.secret_digest, c.issuer, c.jwks_url, c.subject, c.audience, c.token_lifetime_ms,
        c.created_at AS added_at, c.last_used_at, c.revoked_at"
    };
}

const INSERT: &str = "
    INSERT INTO oauth_clients
        (workspace_id, id, proof, secret_digest, issuer, jwks_url, subject, audience, token_lifetime_ms, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
const ONE: &str = concat!(
    "SELECT ",
    client_columns!(),
    ", ",
    workspace_columns!(),
    " FROM oauth_clients c JOIN workspaces w ON w.id = c.workspace_id WHERE c.workspace_id = $1 AND c.id = $2"
);
const ALL: &str =
    concat!("SELECT ", client_columns!(), " FROM oauth_clients c WHERE c.workspace_id = $1 ORDER BY c.created_at, c.id");
/// Takes the row's lock: a client that is revoked meanwhile is granted nothing, and what was granted before is revoked with it.
const USE: &str = "
    UPDATE oauth_clients SET last_used_at = $3 WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL";
const REVOKE: &str = "
    UPDATE oauth_clients SET revoked_at = $3 WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL";
const REVOKE_TOKENS: &str = "
    UPDATE tokens SET revoked_at = $3 WHERE workspace_id = $1 AND client_id = $2 AND revoked_at IS NULL";

/// What may be shown once alone: the name that an assertion has, and until when it could be shown again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceUntil {
    /// The name, as unique as its maker promises.
    pub name: String,
    /// When it is worth nothing any more.
    pub until: Timestamp,
}

/// Why a client is granted nothing, though its proof was good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    /// It was revoked.
    #[error("the client is revoked")]
    Revoked,
    /// What it showed was shown before.
    #[error("the assertion was used before")]
    Replayed,
}

impl Store {
    /// Adds a client, which `client` describes whole.
    pub async fn add_oauth_client(&self, client: &OAuthClient, actor: &Actor) -> Result<(), StoreError> {
        let (digest, trust) = match &client.proof {
            ClientProof::Secret { digest } => (Some(digest.as_str()), None),
            ClientProof::Assertion(trust) => (None, Some(trust)),
        };
        let mut tx = self.begin().await?;
        sqlx::query(INSERT)
            .bind(client.workspace.as_str())
            .bind(client.id.as_str())
            .bind(client.proof.as_str())
            .bind(digest)
            .bind(trust.map(|trust| trust.issuer.as_str()))
            .bind(trust.map(|trust| trust.jwks_url.as_str()))
            .bind(trust.map(|trust| trust.subject.as_str()))
            .bind(trust.and_then(|trust| trust.audience.as_deref()))
            .bind(i64::try_from(client.token_lifetime.as_millis()).unwrap_or(i64::MAX))
            .bind(client.created_at.0)
            .execute(tx.on())
            .await?;
        let detail = json!({ "proof": client.proof.as_str(), "issuer": trust.map(|trust| &trust.issuer) });
        tx.audit(&client.workspace, actor, "oauth_client.added", client.id.as_str(), &detail).await?;
        tx.commit().await
    }

    /// Reads a client, revoked or not, and its workspace, in one statement.
    pub async fn oauth_client(
        &self,
        workspace: &WorkspaceId,
        id: &OAuthClientId,
    ) -> Result<Option<(OAuthClient, Workspace)>, StoreError> {
        let row = sqlx::query(ONE).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(&self.pool).await?;
        row.map(|row| Ok((read(&row, workspace)?, workspaces::read(&row)?))).transpose()
    }

    /// The clients of a workspace, oldest first.
    pub async fn oauth_clients(&self, workspace: &WorkspaceId) -> Result<Vec<OAuthClient>, StoreError> {
        let rows = sqlx::query(ALL).bind(workspace.as_str()).fetch_all(&self.pool).await?;
        rows.iter().map(|row| read(row, workspace)).collect()
    }

    /// Revokes a client, and with it every token that it was granted.
    pub async fn revoke_oauth_client(
        &self,
        workspace: &WorkspaceId,
        id: &OAuthClientId,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        let revoked = sqlx::query(REVOKE).bind(workspace.as_str()).bind(id.as_str()).bind(now).execute(tx.on()).await?;
        if revoked.rows_affected() == 0 {
            return Err(StoreError::NotFound("live OAuth client"));
        }
        sqlx::query(REVOKE_TOKENS).bind(workspace.as_str()).bind(id.as_str()).bind(now).execute(tx.on()).await?;
        tx.audit(workspace, actor, "oauth_client.revoked", id.as_str(), &json!({})).await?;
        tx.commit().await
    }

    /// Grants a client a token, once for what it showed.
    pub async fn grant_token(
        &self,
        client: &OAuthClient,
        shown: Option<&OnceUntil>,
    ) -> Result<(BearerToken, Token), EditError<NotGranted>> {
        let (workspace, id) = (&client.workspace, &client.id);
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        let used = sqlx::query(USE).bind(workspace.as_str()).bind(id.as_str()).bind(now).execute(tx.on()).await?;
        if used.rows_affected() == 0 {
            return Err(EditError::Refused(NotGranted::Revoked));
        }
        if let Some(OnceUntil { name, until }) = shown {
            let digest = sha256_hex(format!("assertion {id} {name}").as_bytes());
            if !sessions::mark(&mut tx, workspace, &digest, *until).await? {
                return Err(EditError::Refused(NotGranted::Replayed));
            }
        }
        let kind = TokenKind::OAuth { client: id.clone() };
        let (secret, token) = tokens::insert(&mut tx, workspace, kind, client.token_lifetime).await?;
        let detail = json!({ "client": id, "expires_at": token.expires_at });
        tx.audit(workspace, &Actor::provider(id), "token.granted", token.id.as_str(), &detail).await?;
        tx.commit().await?;
        Ok((secret, token))
    }
}

fn read(row: &AnyRow, workspace: &WorkspaceId) -> Result<OAuthClient, StoreError> {
    let columns = Columns::of(row, "OAuth client");
    let lifetime = u64::try_from(columns.number("token_lifetime_ms")?).map_err(|error| columns.corrupt(error))?;
    Ok(OAuthClient {
        workspace: workspace.clone(),
        id: columns.parsed("client_id")?,
        proof: read_proof(&columns)?,
        token_lifetime: Duration::from_millis(lifetime),
        created_at: columns.time("added_at")?,
        last_used_at: columns.optional_time("last_used_at")?,
        revoked_at: columns.optional_time("revoked_at")?,
    })
}

fn read_proof(columns: &Columns<'_>) -> Result<ClientProof, StoreError> {
    let proof = columns.text("proof")?;
    match proof.as_str() {
        "secret" => Ok(ClientProof::Secret { digest: columns.text("secret_digest")? }),
        "assertion" => Ok(ClientProof::Assertion(AssertionTrust {
            issuer: columns.text("issuer")?,
            jwks_url: columns.text("jwks_url")?,
            subject: columns.text("subject")?,
            audience: columns.optional_text("audience")?,
        })),
        _ => Err(columns.corrupt(format!("{proof} is no kind of proof"))),
    }
}
