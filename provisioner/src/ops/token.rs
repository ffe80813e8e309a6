//! `token`: the secrets by which an identity provider provisions, bearer tokens and, issued by `scim basic`, passwords. A secret is
//! shown once and stored as a digest.

use std::time::Duration;

use lockstep_shared::{
    clock::Timestamp,
    config::parse_duration,
    id::{TokenId, WorkspaceId},
    model::{
        audit::Actor,
        token::{Token, TokenKind},
        workspace::{Plan, Workspace},
    },
    store::{EditError, StoreError, TooManyLive},
};
use serde_json::{Value, json};

use super::{Context, OpsError, Output};

/// The longest life of a token: ten years.
const LONGEST: Duration = Duration::from_hours(24 * 3_650);

/// The commands on tokens.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Issue a token; it is shown once, and at most two are live
    Issue {
        /// The workspace
        workspace: WorkspaceId,
        /// How long it works, such as 12h or 365d
        #[arg(long, default_value = "365d", value_name = "DURATION", value_parser = lifetime)]
        expires: Duration,
    },
    /// List the tokens and the passwords of HTTP Basic, without what they say
    List {
        /// The workspace
        workspace: WorkspaceId,
    },
    /// Stop a token or a password at once
    Revoke {
        /// The workspace
        workspace: WorkspaceId,
        /// The token's id, from `token list`
        id: TokenId,
    },
}

pub(super) fn lifetime(text: &str) -> Result<Duration, &'static str> {
    let lifetime = parse_duration(text).ok_or("expected a whole number and a unit of s, m, h or d, such as 12h or 365d")?;
    if lifetime.is_zero() || lifetime > LONGEST { Err("must be longer than nothing and at most 3650d") } else { Ok(lifetime) }
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Issue { workspace, expires } => issue(context, &workspace, expires).await,
        Command::List { workspace } => list(context, &workspace).await,
        Command::Revoke { workspace, id } => revoke(context, workspace, id).await,
    }
}

async fn issue(context: &Context, id: &WorkspaceId, expires: Duration) -> Result<Output, OpsError> {
    let (addresses, workspace, store) = (context.addresses()?, context.workspace(id).await?, context.store().await?);
    let issued = store.issue_token(id, expires, &Actor::operator()).await;
    let (secret, token) = issued.map_err(|error| too_many(id, "tokens", error))?;
    Ok(Output::of(describe(&token, context.clock().now()))
        .member("token", json!(secret.expose()))
        .member("scim_base_url", json!(addresses.scim_base(id)))
        .heading(format!("Token for workspace {id}; it is shown this once."))
        .rows([
            ("token", secret.expose().to_owned()),
            ("SCIM base URL", addresses.scim_base(id)),
            ("id", token.id.to_string()),
            ("expires", token.expires_at.to_string()),
        ])
        .warn_if(is_refused(&workspace), || scim_is_off(context, id))
        .next("Give the token and the SCIM base URL to the identity provider."))
}

/// Whether every credential of the workspace is refused for now.
pub(super) fn is_refused(workspace: &Workspace) -> bool {
    workspace.plan == Plan::Free || !workspace.scim_enabled
}

pub(super) fn scim_is_off(context: &Context, id: &WorkspaceId) -> String {
    format!("SCIM is off for this workspace: run `{} scim enable {id}`", context.program())
}

pub(super) fn too_many(workspace: &WorkspaceId, what: &'static str, error: EditError<TooManyLive>) -> OpsError {
    match error {
        EditError::Store(error) => error.into(),
        EditError::Refused(TooManyLive { live }) => {
            let live = live.into_iter().map(|token| token.id).collect();
            OpsError::TooManyLive { workspace: workspace.clone(), what, live }
        }
    }
}

async fn list(context: &Context, workspace: &WorkspaceId) -> Result<Output, OpsError> {
    context.workspace(workspace).await?;
    let tokens = context.store().await?.tokens(workspace).await?;
    let now = context.clock().now();
    let listed: Vec<Value> = tokens.iter().map(|token| describe(token, now)).collect();
    let lines = tokens.iter().map(|token| {
        let used = token.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let user_name = match &token.kind {
            TokenKind::Basic { user_name } => user_name.clone(),
            TokenKind::Bearer | TokenKind::OAuth { .. } => String::new(),
        };
        vec![
            token.id.to_string(),
            token.kind.as_str().to_owned(),
            user_name,
            standing(token, now).to_owned(),
            token.created_at.to_string(),
            token.expires_at.to_string(),
            used,
        ]
    });
    Ok(Output::of(json!({ "workspace": workspace, "tokens": listed }))
        .heading(format!("Tokens and passwords of workspace {workspace}"))
        .table(&["ID", "KIND", "USER NAME", "STATE", "CREATED", "EXPIRES", "LAST USED"], lines))
}

async fn revoke(context: &Context, workspace: WorkspaceId, id: TokenId) -> Result<Output, OpsError> {
    context.workspace(&workspace).await?;
    match context.store().await?.revoke_token(&workspace, &id, &Actor::operator()).await {
        Ok(()) => Ok(Output::of(json!({ "id": id, "workspace": workspace, "state": "revoked" }))
            .heading(format!("Token {id} is revoked: the next request with it is refused."))),
        Err(StoreError::NotFound(_)) => Err(OpsError::UnknownToken { workspace, id }),
        Err(error) => Err(error.into()),
    }
}

fn standing(token: &Token, now: Timestamp) -> &'static str {
    if token.revoked_at.is_some() {
        "revoked"
    } else if token.is_live(now) {
        "live"
    } else {
        "expired"
    }
}

pub(super) fn describe(token: &Token, now: Timestamp) -> Value {
    let user_name = match &token.kind {
        TokenKind::Basic { user_name } => Some(user_name),
        TokenKind::Bearer | TokenKind::OAuth { .. } => None,
    };
    json!({
        "id": token.id,
        "workspace": token.workspace,
        "kind": token.kind.as_str(),
        "user_name": user_name,
        "state": standing(token, now),
        "created_at": token.created_at.to_string(),
        "expires_at": token.expires_at.to_string(),
        "last_used_at": token.last_used_at.map(|at| at.to_string()),
        "revoked_at": token.revoked_at.map(|at| at.to_string()),
    })
}
