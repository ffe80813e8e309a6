//! The secrets by which identity providers provision, stored as digests: bearer tokens, passwords of HTTP Basic, and what OAuth
//! clients were granted.

use std::time::Duration;

use serde_json::json;
use sqlx::any::AnyRow;

use super::{
    Store, StoreError,
    error::EditError,
    row::Columns,
    shared_read::SharedReads,
    tx::Tx,
    workspaces::{self, workspace_columns},
};
use crate::{
    clock::Timestamp,
    id::{TokenId, WorkspaceId},
    model::{
        audit::Actor,
        token::{Token, TokenKind},
        workspace::Workspace,
    },
    secret::{self, BearerToken},
};

/// The columns of a token `t`, under names that a workspace's do not have.
macro_rules! token_columns {
    () => {
        "t.id AS token_id, t.kind, t.user_name, t.client_id, t.created_at AS issued_at, t.expires_at, t.last_used_at, t.revoked_at"
    };
}

/// Credentials and their workspaces, by workspace and digest.
pub(super) type Credentials = SharedReads<(WorkspaceId, String), Option<(Token, Workspace)>>;

/// Takes the row's lock on both engines, so that two who issue at once do not both count the same tokens.
const LOCK_WORKSPACE: &str = "UPDATE workspaces SET name = name WHERE id = $1";
const INSERT: &str = "
    INSERT INTO tokens (workspace_id, id, digest, kind, user_name, client_id, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
pub(super) const BY_DIGEST: &str = concat!(
    "SELECT ",
    token_columns!(),
    ", ",
    workspace_columns!(),
    " FROM tokens t JOIN workspaces w ON w.id = t.workspace_id WHERE t.workspace_id = $1 AND t.digest = $2"
);
const ISSUED: &str =
    concat!("SELECT ", token_columns!(), " FROM tokens t WHERE t.workspace_id = $1 AND t.kind <> 'oauth' ORDER BY t.id");
const LIVE: &str = concat!(
    "SELECT ",
    token_columns!(),
    " FROM tokens t WHERE t.workspace_id = $1 AND t.kind = $2 AND t.revoked_at IS NULL AND t.expires_at > $3 ORDER BY t.id"
);
const TOUCH: &str = "UPDATE tokens SET last_used_at = $3 WHERE workspace_id = $1 AND id = $2";
const REVOKE: &str = "
    UPDATE tokens SET revoked_at = $3 WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL";
const SWEEP: &str = "DELETE FROM tokens WHERE kind = 'oauth' AND expires_at <= $1";

/// One for the provider, and one more while it is rotated.
const LIVE_AT_ONCE: usize = 2;

/// As many of a kind as may be live are live.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{LIVE_AT_ONCE} are live already, which is as many as a rotation needs")]
pub struct TooManyLive {
    /// Which.
    pub live: Vec<Token>,
}

impl Store {
    /// Issues a bearer token; at most two are live at once. The answer's first part is shown once and kept nowhere.
    pub async fn issue_token(
        &self,
        workspace: &WorkspaceId,
        lifetime: Duration,
        actor: &Actor,
    ) -> Result<(BearerToken, Token), EditError<TooManyLive>> {
        self.issue(workspace, TokenKind::Bearer, lifetime, actor).await
    }

    /// Issues a user name and a password for HTTP Basic; at most two pairs are live at once. The answer's first part is the password,
    /// shown once and kept nowhere.
    pub async fn issue_password(
        &self,
        workspace: &WorkspaceId,
        lifetime: Duration,
        actor: &Actor,
    ) -> Result<(BearerToken, Token), EditError<TooManyLive>> {
        let random: [u8; 4] = secret::random().map_err(StoreError::from)?;
        let user_name = format!("{workspace}-{:08x}", u32::from_be_bytes(random));
        self.issue(workspace, TokenKind::Basic { user_name }, lifetime, actor).await
    }

    async fn issue(
        &self,
        workspace: &WorkspaceId,
        kind: TokenKind,
        lifetime: Duration,
        actor: &Actor,
    ) -> Result<(BearerToken, Token), EditError<TooManyLive>> {
        let mut tx = self.begin().await?;
        if sqlx::query(LOCK_WORKSPACE).bind(workspace.as_str()).execute(tx.on()).await?.rows_affected() == 0 {
            return Err(StoreError::NotFound("workspace").into());
        }
        let (word, now) = (kind.as_str(), tx.now().0);
        let rows = sqlx::query(LIVE).bind(workspace.as_str()).bind(word).bind(now).fetch_all(tx.on()).await?;
        if rows.len() >= LIVE_AT_ONCE {
            let live = rows.iter().map(|row| read(row, workspace)).collect::<Result<_, _>>()?;
            return Err(EditError::Refused(TooManyLive { live }));
        }
        let (secret, token) = insert(&mut tx, workspace, kind, lifetime).await?;
        let detail = json!({ "kind": token.kind.as_str(), "expires_at": token.expires_at });
        tx.audit(workspace, actor, "token.issued", token.id.as_str(), &detail).await?;
        tx.commit().await?;
        Ok((secret, token))
    }

    /// Finds the record of a presented secret in this workspace, live or not, and the workspace, in one statement
    /// that everybody shares who presents it at that moment.
    pub async fn find_token(
        &self,
        workspace: &WorkspaceId,
        presented: &BearerToken,
    ) -> Result<Option<(Token, Workspace)>, StoreError> {
        let digest = presented.digest();
        let question = async {
            let row = sqlx::query(BY_DIGEST).bind(workspace.as_str()).bind(&digest).fetch_optional(&self.pool).await?;
            row.map(|row| Ok((read(&row, workspace)?, workspaces::read(&row)?))).transpose()
        };
        self.credentials.ask((workspace.clone(), digest.clone()), question).await
    }

    /// The tokens and passwords that were issued in a workspace, oldest first.
    pub async fn tokens(&self, workspace: &WorkspaceId) -> Result<Vec<Token>, StoreError> {
        let rows = sqlx::query(ISSUED).bind(workspace.as_str()).fetch_all(&self.pool).await?;
        rows.iter().map(|row| read(row, workspace)).collect()
    }

    /// Notes that a token was used.
    pub async fn touch_token(&self, workspace: &WorkspaceId, id: &TokenId, at: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(TOUCH).bind(workspace.as_str()).bind(id.as_str()).bind(at.0).execute(tx.on()).await?;
        tx.commit().await
    }

    /// Stops a token or a password at once.
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

    /// Deletes what OAuth clients were granted and has run out.
    pub async fn sweep_tokens(&self) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        sqlx::query(SWEEP).bind(now).execute(tx.on()).await?;
        tx.commit().await
    }
}

/// Makes a secret and its record.
pub(super) async fn insert(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    kind: TokenKind,
    lifetime: Duration,
) -> Result<(BearerToken, Token), StoreError> {
    let secret = BearerToken::new()?;
    let (user_name, client) = match &kind {
        TokenKind::Bearer => (None, None),
        TokenKind::Basic { user_name } => (Some(user_name.as_str()), None),
        TokenKind::OAuth { client } => (None, Some(client.as_str())),
    };
    let (id, created_at, expires_at) = (TokenId::new(), tx.now(), tx.now().plus(lifetime));
    sqlx::query(INSERT)
        .bind(workspace.as_str())
        .bind(id.as_str())
        .bind(secret.digest())
        .bind(kind.as_str())
        .bind(user_name)
        .bind(client)
        .bind(created_at.0)
        .bind(expires_at.0)
        .execute(tx.on())
        .await?;
    let token = Token { workspace: workspace.clone(), id, kind, created_at, expires_at, last_used_at: None, revoked_at: None };
    Ok((secret, token))
}

fn read(row: &AnyRow, workspace: &WorkspaceId) -> Result<Token, StoreError> {
    let columns = Columns::of(row, "token");
    Ok(Token {
        workspace: workspace.clone(),
        id: columns.parsed("token_id")?,
        kind: read_kind(&columns)?,
        created_at: columns.time("issued_at")?,
        expires_at: columns.time("expires_at")?,
        last_used_at: columns.optional_time("last_used_at")?,
        revoked_at: columns.optional_time("revoked_at")?,
    })
}

fn read_kind(columns: &Columns<'_>) -> Result<TokenKind, StoreError> {
    let kind = columns.text("kind")?;
    match kind.as_str() {
        "bearer" => Ok(TokenKind::Bearer),
        "basic" => Ok(TokenKind::Basic { user_name: columns.text("user_name")? }),
        "oauth" => Ok(TokenKind::OAuth { client: columns.parsed("client_id")? }),
        _ => Err(columns.corrupt(format!("{kind} is no kind of token"))),
    }
}
