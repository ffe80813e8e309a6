//! `oauth-client`: the clients that our token endpoint knows, by a secret of ours or by the assertions of an issuer (Entra's workload
//! identity). A client is never changed: add another, and revoke the first.

use std::time::Duration;

use lockstep_shared::{
    config::parse_duration,
    http::outbound::{Outbound, OutboundError},
    id::{OAuthClientId, WorkspaceId},
    model::{
        audit::Actor,
        oauth_client::{AssertionTrust, ClientProof, OAuthClient},
    },
    secret::BearerToken,
    store::StoreError,
};
use serde_json::{Value, json};
use url::Url;

use super::{
    Context, OpsError, Output, provider,
    token::{is_refused, scim_is_off},
};
use crate::oauth::keys;

/// The shortest and the longest life of a granted token; Entra refuses others.
const LIFETIMES: std::ops::RangeInclusive<Duration> = Duration::from_hours(1)..=Duration::from_hours(6);

/// The commands on OAuth clients.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Add a client, with a secret that is shown once or with an issuer whose assertions it shows
    Add(Add),
    /// List the clients
    List {
        /// The workspace
        workspace: WorkspaceId,
    },
    /// Revoke a client and, at once, every token that it was granted
    Revoke {
        /// The workspace
        workspace: WorkspaceId,
        /// The client's id, from `oauth-client list`
        id: OAuthClientId,
    },
}

/// What a new client is.
#[derive(Debug, Clone, clap::Args)]
pub struct Add {
    /// The workspace
    workspace: WorkspaceId,
    /// The client shows a secret of ours; what is done unless --jwks-url is given
    #[arg(long, conflicts_with = "jwks_url")]
    secret: bool,
    /// The client shows an assertion; this is where its issuer publishes the keys
    #[arg(long, value_name = "URL")]
    jwks_url: Option<Url>,
    /// The assertion's `iss`; the client's own id unless given
    #[arg(long, requires = "jwks_url", value_parser = claim)]
    issuer: Option<String>,
    /// The assertion's `sub`; the client's own id unless given
    #[arg(long, requires = "jwks_url", value_parser = claim)]
    subject: Option<String>,
    /// The assertion's `aud`; our token URL or origin unless given
    #[arg(long, requires = "jwks_url", value_parser = claim)]
    audience: Option<String>,
    /// How long a granted token works, from 1h to 6h
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = token_lifetime)]
    token_lifetime: Duration,
}

fn token_lifetime(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).filter(|lifetime| LIFETIMES.contains(lifetime)).ok_or("expected 1h to 6h, such as 90m")
}

fn claim(text: &str) -> Result<String, &'static str> {
    let is_one = (1..=256).contains(&text.len()) && !text.contains(|c: char| c.is_control() || c.is_whitespace());
    if is_one { Ok(text.to_owned()) } else { Err("expected 1 to 256 characters without spaces") }
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Add(new) => add(context, new).await,
        Command::List { workspace } => list(context, &workspace).await,
        Command::Revoke { workspace, id } => revoke(context, workspace, id).await,
    }
}

async fn add(context: &Context, new: Add) -> Result<Output, OpsError> {
    let (addresses, workspace, store) = (context.addresses()?, context.workspace(&new.workspace).await?, context.store().await?);
    let outbound = Outbound::new(&context.config().outbound)?;
    let id = OAuthClientId::random(&workspace.id);
    let (proof, secret) = if let Some(jwks_url) = &new.jwks_url {
        (ClientProof::Assertion(trust(&outbound, &new, &id, jwks_url)?), None)
    } else {
        let secret = BearerToken::new().map_err(StoreError::from)?;
        (ClientProof::Secret { digest: secret.digest() }, Some(secret))
    };
    let client = OAuthClient {
        workspace: workspace.id.clone(),
        id,
        proof,
        token_lifetime: new.token_lifetime,
        created_at: context.clock().now(),
        last_used_at: None,
        revoked_at: None,
    };
    store.add_oauth_client(&client, &Actor::operator()).await?;
    let keys = look_at_keys(&outbound, &client).await;
    let (token_url, base_url) = (addresses.token_url(), addresses.scim_base(&workspace.id));
    let mut output = Output::of(describe(&client))
        .member("token_url", json!(token_url))
        .member("scim_base_url", json!(base_url))
        .member("scope", json!("scim"));
    if let Some(secret) = &secret {
        output = output.member("client_secret", json!(secret.expose()));
    }
    let shown = secret.map(|secret| ("client secret", secret.expose().to_owned()));
    Ok(output
        .heading(format!(
            "OAuth client of workspace {}{}.",
            workspace.id,
            if shown.is_some() { "; its secret is shown this once" } else { "" }
        ))
        .rows([("client id", client.id.to_string())].into_iter().chain(shown).chain([
            ("token URL", token_url),
            ("scope", "scim".to_owned()),
            ("SCIM base URL", base_url),
        ]))
        .warn_if(is_refused(&workspace), || scim_is_off(context, &workspace.id))
        .warn_if(keys.is_some(), || keys.unwrap_or_default())
        .next("Give all of this to the identity provider."))
}

fn trust(outbound: &Outbound, new: &Add, id: &OAuthClientId, jwks_url: &Url) -> Result<AssertionTrust, OpsError> {
    let unusable = |source: OutboundError| OpsError::JwksUrl { url: jwks_url.to_string(), source };
    outbound.check(jwks_url).map_err(unusable)?;
    let own = || id.to_string();
    let issuer = new.issuer.clone().unwrap_or_else(own);
    provider::refuse_shared(&issuer).map_err(|source| OpsError::Issuer { issuer: issuer.clone(), source })?;
    Ok(AssertionTrust {
        issuer,
        jwks_url: jwks_url.to_string(),
        subject: new.subject.clone().unwrap_or_else(own),
        audience: new.audience.clone(),
    })
}

/// What is wrong with the key set as it is now; nothing that would keep the client from being added.
async fn look_at_keys(outbound: &Outbound, client: &OAuthClient) -> Option<String> {
    let ClientProof::Assertion(trust) = &client.proof else { return None };
    let problem = keys::fetch(outbound, &trust.jwks_url).await.err()?;
    Some(format!("{}: {problem}; until that is mended the client is given no token", trust.jwks_url))
}

async fn list(context: &Context, workspace: &WorkspaceId) -> Result<Output, OpsError> {
    context.workspace(workspace).await?;
    let clients = context.store().await?.oauth_clients(workspace).await?;
    let listed: Vec<Value> = clients.iter().map(describe).collect();
    let lines = clients.iter().map(|client| {
        vec![
            client.id.to_string(),
            client.proof.as_str().to_owned(),
            standing(client).to_owned(),
            client.created_at.to_string(),
            client.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        ]
    });
    Ok(Output::of(json!({ "workspace": workspace, "clients": listed }))
        .heading(format!("OAuth clients of workspace {workspace}"))
        .table(&["CLIENT ID", "SHOWS", "STATE", "ADDED", "LAST TOKEN"], lines))
}

async fn revoke(context: &Context, workspace: WorkspaceId, id: OAuthClientId) -> Result<Output, OpsError> {
    context.workspace(&workspace).await?;
    match context.store().await?.revoke_oauth_client(&workspace, &id, &Actor::operator()).await {
        Ok(()) => Ok(Output::of(json!({ "client_id": id, "workspace": workspace, "state": "revoked" }))
            .heading(format!("OAuth client {id} is revoked, and so is every token that it was granted."))),
        Err(StoreError::NotFound(_)) => Err(OpsError::UnknownClient { workspace, id }),
        Err(error) => Err(error.into()),
    }
}

fn standing(client: &OAuthClient) -> &'static str {
    if client.revoked_at.is_some() { "revoked" } else { "live" }
}

fn describe(client: &OAuthClient) -> Value {
    let trust = match &client.proof {
        ClientProof::Secret { .. } => None,
        ClientProof::Assertion(trust) => Some(trust),
    };
    json!({
        "id": client.id,
        "client_id": client.id,
        "workspace": client.workspace,
        "state": standing(client),
        "proof": client.proof.as_str(),
        "issuer": trust.map(|trust| &trust.issuer),
        "jwks_url": trust.map(|trust| &trust.jwks_url),
        "subject": trust.map(|trust| &trust.subject),
        "audience": trust.and_then(|trust| trust.audience.as_ref()),
        "token_lifetime_seconds": client.token_lifetime.as_secs(),
        "created_at": client.created_at.to_string(),
        "last_used_at": client.last_used_at.map(|at| at.to_string()),
        "revoked_at": client.revoked_at.map(|at| at.to_string()),
    })
}
