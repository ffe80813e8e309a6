//! `connection`: registers a workspace's OpenID providers. The provider wants our redirect URI before it gives us a client, so
//! a connection begins as a draft.

use std::path::PathBuf;

use lockstep_shared::{
    check::{Finding, all_well},
    http::outbound::Outbound,
    id::{ConnectionId, WorkspaceId},
    model::{
        audit::Actor,
        connection::{Connection, ConnectionState, Link, Preset},
        workspace::Enforcement,
    },
    revoke::Receipt,
    store::{ConnectionDetails, NewConnection, Settlement, StoreError},
};
use serde_json::{Value, json};

use super::{Context, OpsError, Output, context::Addresses, provider, receipt, secret_file};

/// Entra sends mailNickname as `externalId` unless told otherwise, which no claim of its tokens carries.
pub(super) const ENTRA_ADVICE: &str = "Entra: in the provisioning app's attribute mappings, map objectId to externalId; unless told \
                                       otherwise Entra sends mailNickname there, and nobody's first sign-in finds their user";
/// The one issuer that is the same for every customer.
const GOOGLE: &str = "https://accounts.google.com";

/// The commands on connections.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Register a provider: a draft with its redirect URI, until issuer, client id and secret are known
    Add {
        /// The workspace
        workspace: WorkspaceId,
        /// Which provider: entra, okta, google, onelogin, jumpcloud, keycloak or generic
        #[arg(long)]
        preset: Preset,
        /// The connection's id, unique in the deployment; WORKSPACE-PRESET unless given
        #[arg(long, value_name = "SLUG")]
        id: Option<ConnectionId>,
        /// What is known already
        #[command(flatten)]
        details: Details,
    },
    /// Complete or change a connection; another issuer or client ends the sessions made through it
    #[command(group(clap::ArgGroup::new("change").required(true).multiple(true)
        .args(["issuer", "client_id", "client_secret_file", "link", "enable"])))]
    Set {
        /// The workspace
        workspace: WorkspaceId,
        /// The connection
        connection: ConnectionId,
        /// What changes
        #[command(flatten)]
        details: Details,
        /// Put a disabled connection in use again
        #[arg(long)]
        enable: bool,
    },
    /// Show a connection, or all of the workspace
    Show {
        /// The workspace
        workspace: WorkspaceId,
        /// The connection
        connection: Option<ConnectionId>,
    },
    /// Ask the provider whether people could sign in through it
    Test {
        /// The workspace
        workspace: WorkspaceId,
        /// The connection; may be left out where there is only one
        connection: Option<ConnectionId>,
    },
    /// Switch a connection off; the sessions made through it end
    Disable {
        /// The workspace
        workspace: WorkspaceId,
        /// The connection
        connection: ConnectionId,
    },
    /// Remove a connection with everybody's link to it; the sessions made through it end
    Remove {
        /// The workspace
        workspace: WorkspaceId,
        /// The connection
        connection: ConnectionId,
    },
}

/// What the provider gave us, and how people are found.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Details {
    /// The issuer, exactly as the provider's metadata has it
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Our client id at the provider
    #[arg(long, value_name = "ID", value_parser = client_id)]
    client_id: Option<String>,
    /// A file with our client secret at the provider; - is standard input
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// How a first sign-in finds its user: externalId=CLAIM, email or none
    #[arg(long, value_name = "RULE")]
    link: Option<Link>,
}

fn client_id(text: &str) -> Result<String, &'static str> {
    let id = text.trim();
    if id.is_empty() || id.len() > 1_000 || id.chars().any(char::is_control) {
        Err("expected the client id")
    } else {
        Ok(id.to_owned())
    }
}

impl Details {
    async fn read(self, context: &Context) -> Result<ConnectionDetails, OpsError> {
        if let Some(issuer) = &self.issuer {
            provider::check_issuer(&Outbound::new(&context.config().outbound)?, issuer)
                .map_err(|source| OpsError::Issuer { issuer: issuer.clone(), source })?;
        }
        let client_secret = match self.client_secret_file {
            Some(path) => Some(secret_file::read(path).await?),
            None => None,
        };
        Ok(ConnectionDetails { issuer: self.issuer, client_id: self.client_id, client_secret, link: self.link })
    }
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Add { workspace, preset, id, details } => add(context, &workspace, preset, id, details).await,
        Command::Set { workspace, connection, details, enable } => set(context, &workspace, &connection, details, enable).await,
        Command::Show { workspace, connection: Some(connection) } => show(context, &workspace, &connection).await,
        Command::Show { workspace, connection: None } => list(context, &workspace).await,
        Command::Test { workspace, connection } => test(context, &workspace, connection.as_ref()).await,
        Command::Disable { workspace, connection } => disable(context, &workspace, &connection).await,
        Command::Remove { workspace, connection } => remove(context, &workspace, &connection).await,
    }
}

async fn add(
    context: &Context,
    workspace: &WorkspaceId,
    preset: Preset,
    id: Option<ConnectionId>,
    mut details: Details,
) -> Result<Output, OpsError> {
    let addresses = context.addresses()?;
    context.workspace(workspace).await?;
    if preset == Preset::Google {
        details.issuer.get_or_insert_with(|| GOOGLE.to_owned());
    }
    let id = id.map_or_else(|| ConnectionId::parse(&format!("{workspace}-{preset}")), Ok)?;
    let new = NewConnection { id: id.clone(), preset, details: details.read(context).await? };
    let added = context.store().await?.add_connection(workspace, new, &Actor::operator()).await;
    let connection = added.map_err(|error| match error {
        StoreError::Conflict(_) => OpsError::ConnectionTaken(id),
        error => error.into(),
    })?;
    let heading = format!("Connection {} is added to workspace {workspace} ({}).", connection.id, connection.state);
    Ok(advise(context, present(&connection, &addresses).heading(heading), &connection))
}

async fn set(
    context: &Context,
    workspace: &WorkspaceId,
    id: &ConnectionId,
    details: Details,
    enable: bool,
) -> Result<Output, OpsError> {
    let (addresses, before) = (context.addresses()?, find(context, workspace, id).await?);
    // A change of a detail must not put in use what somebody has switched off.
    if before.state == ConnectionState::Disabled && !enable {
        return Err(not_in_use(&before));
    }
    let details = details.read(context).await?;
    let (road, store) = (context.road().await?, context.store().await?);
    let (connection, settlement) = store.set_connection(workspace, id, details, &Actor::operator()).await?;
    let has_ended = settlement != Settlement::default();
    let settled = road.settle(workspace, settlement).await?;
    let mut output = present(&connection, &addresses).heading(format!("Connection {id} is {}.", connection.state));
    if has_ended {
        output = with_receipt(output, &settled)
            .warn(format!("issuer or client changed; sessions made through the connection: {}", receipt::in_short(&settled)));
    }
    Ok(advise(context, output, &connection))
}

async fn show(context: &Context, workspace: &WorkspaceId, id: &ConnectionId) -> Result<Output, OpsError> {
    let (addresses, connection) = (context.addresses()?, find(context, workspace, id).await?);
    Ok(present(&connection, &addresses).heading(format!("Connection {id} of workspace {workspace}")))
}

async fn list(context: &Context, workspace: &WorkspaceId) -> Result<Output, OpsError> {
    let addresses = context.addresses()?;
    context.workspace(workspace).await?;
    let connections = context.store().await?.connections(workspace).await?;
    let listed: Vec<Value> = connections.iter().map(|connection| describe(connection, &addresses)).collect();
    let lines = connections.iter().map(|connection| {
        let issuer = connection.issuer.clone().unwrap_or_default();
        vec![connection.id.to_string(), connection.preset.to_string(), connection.state.to_string(), issuer]
    });
    Ok(Output::of(json!({ "workspace": workspace, "connections": listed }))
        .heading(format!("Connections of workspace {workspace}"))
        .table(&["ID", "PRESET", "STATE", "ISSUER"], lines))
}

async fn test(context: &Context, workspace: &WorkspaceId, id: Option<&ConnectionId>) -> Result<Output, OpsError> {
    let connection = match id {
        Some(id) => find(context, workspace, id).await?,
        None => the_only_one(context, workspace).await?,
    };
    if connection.issuer.is_none() {
        return Err(not_in_use(&connection));
    }
    let mut findings = examine(context, &connection).await?;
    findings.extend(standing(context, &connection));
    let ok = all_well(&findings);
    let checks: Vec<Value> = findings.iter().map(Finding::json).collect();
    Ok(Output::of(json!({ "id": connection.id, "workspace": workspace, "ok": ok, "checks": checks }))
        .heading(format!("Connection {} of workspace {workspace}: {}", connection.id, if ok { "works" } else { "does not work" }))
        .findings(findings)
        .warn_if(connection.preset == Preset::Entra, || ENTRA_ADVICE.to_owned()))
}

/// What the provider's own documents say about a connection that has an issuer.
pub(super) async fn examine(context: &Context, connection: &Connection) -> Result<Vec<Finding>, OpsError> {
    let outbound = Outbound::new(&context.config().outbound)?;
    Ok(provider::examine(&outbound, connection.issuer.as_deref().unwrap_or_default()).await)
}

fn standing(context: &Context, connection: &Connection) -> Option<Finding> {
    let refused = not_in_use(connection);
    match connection.state {
        ConnectionState::Active => None,
        ConnectionState::Draft | ConnectionState::Disabled => {
            Some(Finding::problem("state", refused.to_string(), refused.fix(context.program())))
        }
    }
}

async fn disable(context: &Context, workspace: &WorkspaceId, id: &ConnectionId) -> Result<Output, OpsError> {
    let (addresses, road) = (context.addresses()?, context.road().await?);
    find(context, workspace, id).await?;
    let settlement = context.store().await?.disable_connection(workspace, id, &Actor::operator()).await?;
    let settled = road.settle(workspace, settlement).await?;
    let connection = find(context, workspace, id).await?;
    let output = with_receipt(present(&connection, &addresses), &settled)
        .heading(format!("Connection {id} is disabled; the sessions made through it: {}.", receipt::in_short(&settled)));
    warn_of_enforcement(context, output, workspace).await
}

async fn remove(context: &Context, workspace: &WorkspaceId, id: &ConnectionId) -> Result<Output, OpsError> {
    let road = context.road().await?;
    if let Err(refused) = find(context, workspace, id).await {
        // The answer to an earlier removal may have been lost: this one is given when its sessions are out, too.
        if matches!(refused, OpsError::UnknownConnection { .. }) {
            context.settle_earlier(workspace).await?;
        }
        return Err(refused);
    }
    let settlement = context.store().await?.remove_connection(workspace, id, &Actor::operator()).await?;
    let settled = road.settle(workspace, settlement).await?;
    let output = with_receipt(Output::of(json!({ "id": id, "workspace": workspace, "state": "removed" })), &settled)
        .heading(format!("Connection {id} is removed; the sessions made through it: {}.", receipt::in_short(&settled)));
    warn_of_enforcement(context, output, workspace).await
}

/// A broken provider configuration leaves enforcement on; whoever breaks it should know.
async fn warn_of_enforcement(context: &Context, output: Output, id: &WorkspaceId) -> Result<Output, OpsError> {
    let workspace = context.workspace(id).await?;
    let connections = context.store().await?.connections(id).await?;
    let has_active = connections.iter().any(|connection| connection.state == ConnectionState::Active);
    Ok(output.warn_if(workspace.enforcement != Enforcement::Off && !has_active, || {
        format!(
            "SSO enforcement of workspace {id} is {}, and it has no active connection left: whoever must use SSO cannot sign in",
            workspace.enforcement
        )
    }))
}

pub(super) async fn find(context: &Context, workspace: &WorkspaceId, id: &ConnectionId) -> Result<Connection, OpsError> {
    context.workspace(workspace).await?;
    let store = context.store().await?;
    if let Some(connection) = store.connection(workspace, id).await? {
        return Ok(connection);
    }
    let known = store.connections(workspace).await?.into_iter().map(|connection| connection.id).collect();
    Err(OpsError::UnknownConnection { workspace: workspace.clone(), id: id.clone(), known })
}

async fn the_only_one(context: &Context, workspace: &WorkspaceId) -> Result<Connection, OpsError> {
    context.workspace(workspace).await?;
    let mut connections = context.store().await?.connections(workspace).await?;
    match (connections.pop(), connections.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(OpsError::NoWorkingConnection { workspace: workspace.clone(), findings: Vec::new() }),
        (Some(last), false) => {
            connections.push(last);
            Err(OpsError::WhichConnection {
                workspace: workspace.clone(),
                known: connections.into_iter().map(|connection| connection.id).collect(),
            })
        }
    }
}

fn not_in_use(connection: &Connection) -> OpsError {
    OpsError::NotInUse {
        workspace: connection.workspace.clone(),
        id: connection.id.clone(),
        state: connection.state,
        missing: missing(connection),
    }
}

/// What a draft still needs, as options.
fn missing(connection: &Connection) -> Vec<&'static str> {
    [
        (connection.issuer.is_none(), "--issuer URL"),
        (connection.client_id.is_none(), "--client-id ID"),
        (connection.sealed_secret.is_none(), "--client-secret-file FILE"),
    ]
    .into_iter()
    .filter_map(|(is_missing, option)| is_missing.then_some(option))
    .collect()
}

fn with_receipt(output: Output, settled: &Receipt) -> Output {
    output.member("receipt", receipt::describe(settled))
}

fn present(connection: &Connection, addresses: &Addresses) -> Output {
    let has_secret = if connection.sealed_secret.is_some() { "stored, sealed" } else { "" };
    Output::of(describe(connection, addresses)).rows([
        ("preset", connection.preset.to_string()),
        ("state", connection.state.to_string()),
        ("issuer", connection.issuer.clone().unwrap_or_default()),
        ("client id", connection.client_id.clone().unwrap_or_default()),
        ("client secret", has_secret.to_owned()),
        ("link rule", connection.link.to_string()),
        ("redirect URI", addresses.redirect(&connection.id)),
        ("Sign-On Link", addresses.sign_on(&connection.workspace)),
    ])
}

/// What comes next with this connection.
fn advise(context: &Context, output: Output, connection: &Connection) -> Output {
    let (program, workspace, id) = (context.program(), &connection.workspace, &connection.id);
    let output = output.warn_if(connection.preset == Preset::Entra, || ENTRA_ADVICE.to_owned());
    match connection.state {
        ConnectionState::Draft => output
            .next("Give the redirect URI to your provider when you register the application there.")
            .next(format!("Then: {program} connection set {workspace} {id} {}", missing(connection).join(" "))),
        ConnectionState::Active => output
            .next("See that the provider has the redirect URI exactly as above.")
            .next(format!("Then: {program} connection test {workspace} {id}")),
        ConnectionState::Disabled => output,
    }
}

/// The connection as its commands answer it; of the client secret only whether there is one.
pub(super) fn describe(connection: &Connection, addresses: &Addresses) -> Value {
    json!({
        "id": connection.id,
        "workspace": connection.workspace,
        "preset": connection.preset,
        "state": connection.state,
        "issuer": connection.issuer,
        "client_id": connection.client_id,
        "has_client_secret": connection.sealed_secret.is_some(),
        "link": connection.link,
        "redirect_uri": addresses.redirect(&connection.id),
        "sign_on_url": addresses.sign_on(&connection.workspace),
        "created_at": connection.created_at.to_string(),
    })
}
