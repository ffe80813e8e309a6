//! `workspace`: creates, shows, changes and closes a customer company.

use std::time::Duration;

use lockstep_shared::{
    check::chain,
    config::Program,
    id::WorkspaceId,
    model::{
        audit::Actor,
        connection::Connection,
        notice::is_mailable,
        text::EmailAddress,
        workspace::{Enforcement, Plan, Workspace, WorkspaceState},
    },
    store::{Domain, Store, StoreError},
};
use serde_json::{Value, json};

use super::{
    Context, OpsError, Output, connection,
    context::Addresses,
    domain,
    notify::{self, Notify},
    receipt,
};

/// How long an invitation is open.
pub(super) const INVITATION: Duration = Duration::from_hours(72);

/// The commands on workspaces.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Create a workspace
    Create {
        /// Its id: 1 to 63 characters of a-z, 0-9 and '-'
        id: WorkspaceId,
        /// The company's name, for people
        #[arg(long, value_parser = name)]
        name: String,
        /// What the company has bought: free or enterprise
        #[arg(long, default_value = "free")]
        plan: Plan,
        /// Invite this person as the first; prints a link that works once, within 72 hours. They are also written to, as by `notify`
        #[arg(long, value_name = "EMAIL", value_parser = email)]
        admin: Option<String>,
    },
    /// Show a workspace with its addresses, connections and domains
    Show {
        /// The workspace
        id: WorkspaceId,
    },
    /// Change a workspace
    #[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
    Set {
        /// The workspace
        id: WorkspaceId,
        /// Another name
        #[arg(long, group = "change", value_parser = name)]
        name: Option<String>,
        /// Another plan: free or enterprise
        #[arg(long, group = "change")]
        plan: Option<Plan>,
    },
    /// Say who is written to when something has to be looked at, or show it
    Notify(Notify),
    /// Close a workspace: everybody is signed out, nobody signs in, SCIM is refused
    Suspend {
        /// The workspace
        id: WorkspaceId,
    },
    /// Reopen a suspended workspace
    Resume {
        /// The workspace
        id: WorkspaceId,
    },
}

/// Reads an e-mail address as strictly as sign-ins do.
pub(super) fn email(text: &str) -> Result<String, &'static str> {
    EmailAddress::parse(text).map(|_| text.to_owned()).ok_or("expected an e-mail address, such as ada@example.com")
}

fn name(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err("expected a name of 1 to 200 characters");
    }
    Ok(name.to_owned())
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Create { id, name, plan, admin } => create(context, &id, &name, plan, admin.as_deref()).await,
        Command::Show { id } => show(context, &id).await,
        Command::Set { id, name, plan } => set(context, &id, name.as_deref(), plan).await,
        Command::Notify(command) => notify::run(command, context).await,
        Command::Suspend { id } => set_state(context, &id, WorkspaceState::Suspended).await,
        Command::Resume { id } => set_state(context, &id, WorkspaceState::Active).await,
    }
}

async fn create(context: &Context, id: &WorkspaceId, name: &str, plan: Plan, admin: Option<&str>) -> Result<Output, OpsError> {
    let (addresses, program, store) = (context.addresses()?, context.program(), context.store().await?);
    let created = store.create_workspace(id, name, plan, &Actor::operator()).await;
    let workspace = created.map_err(|error| match error {
        StoreError::Conflict(_) => OpsError::WorkspaceTaken(id.clone()),
        error => error.into(),
    })?;
    let mut output = Output::of(describe(&workspace, &addresses))
        .heading(format!("Workspace {id} is created."))
        .rows(rows(&workspace, &addresses));
    if let Some(email) = admin {
        let (user, token) = store.invite(id, email, INVITATION, &Actor::operator()).await?;
        // The link is nowhere but here: what fails from now on is said beside it.
        let not_told = not_told(store, program, id, email).await;
        let setup_url = addresses.invitation(id, &token);
        output = output
            .member("setup_url", json!(setup_url))
            .member("admin", json!(user))
            .warn_if(not_told.is_some(), || not_told.unwrap_or_default())
            .next(format!("Send this link to {email}; it works once, within 72 hours:"))
            .next(format!("  {setup_url}"));
    }
    Ok(output.next(format!("Register the company's provider: {program} connection add {id} --preset PRESET")))
}

/// Has the first admin told by mail; why they are not, and what to do about it.
async fn not_told(store: &Store, program: Program, id: &WorkspaceId, email: &str) -> Option<String> {
    let notify = format!("{program} workspace notify {id} --add");
    if !is_mailable(email) {
        return Some(format!("notices cannot be mailed to {email}: have another address told by `{notify} ADDRESS`"));
    }
    let why = match store.add_recipient(id, email, &Actor::operator()).await {
        Ok(true) => return None,
        Ok(false) => "as many as may be are told already".to_owned(),
        Err(error) => chain(&error),
    };
    Some(format!("{email} is not told of what has to be looked at ({why}): have it told by `{notify} {email}`"))
}

async fn show(context: &Context, id: &WorkspaceId) -> Result<Output, OpsError> {
    let (addresses, workspace, store) = (context.addresses()?, context.workspace(id).await?, context.store().await?);
    let (connections, domains) = (store.connections(id).await?, store.domains(id).await?);
    let users = store.count_users(id).await?;
    let listed: Vec<Value> = connections.iter().map(|connection| connection::describe(connection, &addresses)).collect();
    Ok(Output::of(describe(&workspace, &addresses))
        .member("users", json!(users))
        .member("connections", json!(listed))
        .member("domains", domains.iter().map(domain::describe).collect())
        .heading(format!("Workspace {id}"))
        .rows(rows(&workspace, &addresses))
        .rows(holdings(users, &connections, &domains)))
}

fn holdings(users: u64, connections: &[Connection], domains: &[Domain]) -> [(&'static str, String); 3] {
    let connections = connections.iter().map(|connection| format!("{} ({})", connection.id, connection.state));
    let domains = domains.iter().map(|domain| {
        let standing = if domain.verified_at.is_some() { "verified" } else { "not verified" };
        format!("{} ({standing})", domain.domain)
    });
    [
        ("users", users.to_string()),
        ("connections", connections.collect::<Vec<_>>().join(", ")),
        ("domains", domains.collect::<Vec<_>>().join(", ")),
    ]
}

async fn set(context: &Context, id: &WorkspaceId, name: Option<&str>, plan: Option<Plan>) -> Result<Output, OpsError> {
    let (addresses, store) = (context.addresses()?, context.store().await?);
    context.workspace(id).await?;
    if let Some(name) = name {
        store.rename_workspace(id, name, &Actor::operator()).await?;
    }
    if let Some(plan) = plan {
        store.set_plan(id, plan, &Actor::operator()).await?;
    }
    let after = context.workspace(id).await?;
    let lost = after.plan == Plan::Free && (after.scim_enabled || after.enforcement != Enforcement::Off);
    Ok(Output::of(describe(&after, &addresses))
        .heading(format!("Workspace {id} is changed."))
        .rows(rows(&after, &addresses))
        .warn_if(lost, || {
            format!("on the plan free SCIM requests are refused; SSO enforcement is {} until you turn it off", after.enforcement)
        }))
}

async fn set_state(context: &Context, id: &WorkspaceId, state: WorkspaceState) -> Result<Output, OpsError> {
    let (addresses, road, store) = (context.addresses()?, context.road().await?, context.store().await?);
    context.workspace(id).await?;
    let settlement = store.set_workspace_state(id, state, &Actor::operator()).await?;
    let settled = road.settle(id, settlement).await?;
    let after = context.workspace(id).await?;
    let output = Output::of(describe(&after, &addresses));
    Ok(match state {
        WorkspaceState::Suspended => output
            .member("receipt", receipt::describe(&settled))
            .heading(format!("Workspace {id} is suspended: {}.", receipt::in_short(&settled)))
            .next(format!("To reopen it: {} workspace resume {id}", context.program())),
        WorkspaceState::Active => output.heading(format!("Workspace {id} is open. Its people sign in again.")),
    })
}

/// The workspace as its commands answer it.
pub(super) fn describe(workspace: &Workspace, addresses: &Addresses) -> Value {
    json!({
        "id": workspace.id,
        "name": workspace.name,
        "plan": workspace.plan,
        "state": workspace.state,
        "enforcement": workspace.enforcement,
        "stage": workspace.stage,
        "scim_enabled": workspace.scim_enabled,
        "sign_on_url": addresses.sign_on(&workspace.id),
        "scim_base_url": addresses.scim_base(&workspace.id),
        "created_at": workspace.created_at.to_string(),
    })
}

fn rows(workspace: &Workspace, addresses: &Addresses) -> [(&'static str, String); 7] {
    let scim = if workspace.scim_enabled { "enabled" } else { "disabled" };
    [
        ("name", workspace.name.clone()),
        ("plan", workspace.plan.to_string()),
        ("state", workspace.state.to_string()),
        ("SSO enforcement", workspace.enforcement.to_string()),
        ("SCIM", scim.to_owned()),
        ("Sign-On Link", addresses.sign_on(&workspace.id)),
        ("SCIM base URL", addresses.scim_base(&workspace.id)),
    ]
}
