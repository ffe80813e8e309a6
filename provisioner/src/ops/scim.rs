//! `scim`: whether the workspace's identity provider may provision.

use lockstep_shared::{
    id::WorkspaceId,
    model::{audit::Actor, connection::Preset, guard::Guard, workspace::Plan},
};

use serde_json::json;

use super::{Context, OpsError, Output, basic, connection::ENTRA_ADVICE, guard, policy, schema, workspace};
use crate::scim::Profile;

/// The commands on provisioning.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Let the identity provider provision
    Enable {
        /// The workspace
        workspace: WorkspaceId,
    },
    /// Issue a user name and a password for HTTP Basic; shown once, and at most two pairs are live
    Basic(basic::Basic),
    /// Show or set from how many people the provider may take access within an hour; approve what was held
    Guard(guard::GuardCommand),
    /// Refuse SCIM requests; people and sessions stay as they are
    Disable {
        /// The workspace
        workspace: WorkspaceId,
    },
    /// Say how much of the providers' real behaviour is forgiven
    Set {
        /// The workspace
        workspace: WorkspaceId,
        /// lenient: every spelling that a provider is known to send; strict: the interoperability profile and nothing else
        #[arg(long, value_parser = profile)]
        profile: Profile,
    },
    /// Show what the workspace has for its provider, and what it asks of it
    Show {
        /// The workspace
        workspace: WorkspaceId,
    },
}

fn profile(text: &str) -> Result<Profile, &'static str> {
    match text {
        "lenient" => Ok(Profile::Lenient),
        "strict" => Ok(Profile::Strict),
        _ => Err("expected lenient or strict"),
    }
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Enable { workspace } => enable(context, &workspace).await,
        Command::Basic(command) => basic::run(&command, context).await,
        Command::Guard(command) => guard::run(command, context).await,
        Command::Disable { workspace } => disable(context, &workspace).await,
        Command::Set { workspace, profile } => set_profile(context, &workspace, profile).await,
        Command::Show { workspace } => show(context, &workspace).await,
    }
}

async fn enable(context: &Context, id: &WorkspaceId) -> Result<Output, OpsError> {
    let (addresses, before, store) = (context.addresses()?, context.workspace(id).await?, context.store().await?);
    if before.plan == Plan::Free {
        return Err(OpsError::Plan { workspace: id.clone(), what: "SCIM" });
    }
    store.set_scim(id, true, &Actor::operator()).await?;
    let is_entra = store.connections(id).await?.iter().any(|connection| connection.preset == Preset::Entra);
    let after = context.workspace(id).await?;
    Ok(Output::of(workspace::describe(&after, &addresses))
        .heading(format!("SCIM is enabled for workspace {id}."))
        .rows([("SCIM base URL", addresses.scim_base(id))])
        .warn_if(is_entra, || ENTRA_ADVICE.to_owned())
        .next(format!("Issue a token: {} token issue {id}", context.program()))
        .next("Give the SCIM base URL and the token to the identity provider."))
}

async fn disable(context: &Context, id: &WorkspaceId) -> Result<Output, OpsError> {
    let (addresses, store) = (context.addresses()?, context.store().await?);
    context.workspace(id).await?;
    store.set_scim(id, false, &Actor::operator()).await?;
    let after = context.workspace(id).await?;
    Ok(Output::of(workspace::describe(&after, &addresses))
        .heading(format!("SCIM is disabled for workspace {id}: its provider's requests are refused."))
        .warn("people whom the provider deactivates from now on keep their access until SCIM is enabled again"))
}

async fn set_profile(context: &Context, workspace: &WorkspaceId, profile: Profile) -> Result<Output, OpsError> {
    policy::edit(context, workspace, "scim.profile_set", json!("profile"), |document| document.with_profile(profile)).await?;
    Ok(Output::of(json!({ "workspace": workspace, "profile": profile }))
        .heading(format!("The profile of workspace {workspace} is {}, from the provider's next request.", word(profile)))
        .warn_if(!profile.is_lenient(), || {
            "strict refuses what Entra ID and Okta send by default; it is for providers that keep to the interoperability profile"
                .to_owned()
        }))
}

fn word(profile: Profile) -> &'static str {
    match profile {
        Profile::Lenient => "lenient",
        Profile::Strict => "strict",
    }
}

fn standing_of(guard: &Guard) -> &'static str {
    match (guard.is_on, guard.released_until) {
        (false, _) => "off",
        (true, Some(_)) => "on, and lets everything pass for a while",
        (true, None) if guard::holds(guard) => "on, and something is HELD",
        (true, None) => "on",
    }
}

async fn show(context: &Context, id: &WorkspaceId) -> Result<Output, OpsError> {
    let (addresses, workspace, store) = (context.addresses()?, context.workspace(id).await?, context.store().await?);
    let policy = policy::read(context, id).await?;
    let guard = store.guard(id).await?;
    let (document, now) = (policy.document(), context.clock().now());
    let tokens = store.tokens(id).await?.iter().filter(|token| token.is_live(now)).count();
    let clients = store.oauth_clients(id).await?.iter().filter(|client| client.revoked_at.is_none()).count();
    let rules =
        document.users.attributes.len() + document.groups.attributes.len() + usize::from(document.users.user_name_is_email);
    let urns: Vec<&str> = document.extensions.iter().map(|extension| extension.schema.id.as_str()).collect();
    let standing = if workspace.scim_enabled { "enabled" } else { "disabled" };
    Ok(Output::of(json!({
        "workspace": id,
        "scim_base_url": addresses.scim_base(id),
        "scim_enabled": workspace.scim_enabled,
        "profile": policy.profile(),
        "live_credentials": { "tokens": tokens, "oauth_clients": clients },
        "schemas": document.extensions.iter().map(schema::describe).collect::<Vec<_>>(),
        "rules": { "users": document.users.attributes, "groups": document.groups.attributes },
        "user_name_is_email": document.users.user_name_is_email,
        "guard": guard::describe(id, &guard),
    }))
    .heading(format!("SCIM of workspace {id}"))
    .rows([
        ("SCIM", standing.to_owned()),
        ("SCIM base URL", addresses.scim_base(id)),
        ("profile", word(policy.profile()).to_owned()),
        ("live tokens", tokens.to_string()),
        ("OAuth clients", clients.to_string()),
        ("schemas of its own", urns.join(", ")),
        ("rules", rules.to_string()),
        ("mass-change guard", standing_of(&guard).to_owned()),
    ])
    .next_if(guard::holds(&guard), || format!("See what is held: {} scim guard {id}", context.program())))
}
