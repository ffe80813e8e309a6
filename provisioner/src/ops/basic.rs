//! `scim basic`: a user name and a password for connectors that know nothing but HTTP Basic. `token list` and `token revoke` are for
//! them too.

use std::time::Duration;

use lockstep_shared::{
    id::WorkspaceId,
    model::{audit::Actor, token::TokenKind},
};
use serde_json::json;

use super::{
    Context, OpsError, Output,
    token::{describe, is_refused, lifetime, scim_is_off, too_many},
};

/// The command.
#[derive(Debug, Clone, clap::Args)]
pub struct Basic {
    /// The workspace
    workspace: WorkspaceId,
    /// How long the password works, such as 12h or 365d
    #[arg(long, default_value = "365d", value_name = "DURATION", value_parser = lifetime)]
    expires: Duration,
}

pub(super) async fn run(command: &Basic, context: &Context) -> Result<Output, OpsError> {
    let id = &command.workspace;
    let (addresses, workspace, store) = (context.addresses()?, context.workspace(id).await?, context.store().await?);
    let issued = store.issue_password(id, command.expires, &Actor::operator()).await;
    let (secret, token) = issued.map_err(|error| too_many(id, "passwords", error))?;
    let user_name = match &token.kind {
        TokenKind::Basic { user_name } => user_name.clone(),
        TokenKind::Bearer | TokenKind::OAuth { .. } => String::new(),
    };
    Ok(Output::of(describe(&token, context.clock().now()))
        .member("password", json!(secret.expose()))
        .member("scim_base_url", json!(addresses.scim_base(id)))
        .heading(format!("User name and password for workspace {id}; the password is shown this once."))
        .rows([
            ("user name", user_name),
            ("password", secret.expose().to_owned()),
            ("SCIM base URL", addresses.scim_base(id)),
            ("id", token.id.to_string()),
            ("expires", token.expires_at.to_string()),
        ])
        .warn_if(is_refused(&workspace), || scim_is_off(context, id))
        .next("Give user name, password and SCIM base URL to the identity provider. A bearer token is better where it takes one.")
        .next(format!("To stop it: {} token revoke {id} {}", context.program(), token.id)))
}
