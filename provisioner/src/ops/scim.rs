//! `scim`: whether the workspace's identity provider may provision.

use lockstep_shared::{
    id::WorkspaceId,
    model::{audit::Actor, connection::Preset, workspace::Plan},
};

use super::{Context, OpsError, Output, connection::ENTRA_ADVICE, workspace};

/// The commands on provisioning.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Let the identity provider provision
    Enable {
        /// The workspace
        workspace: WorkspaceId,
    },
    /// Refuse SCIM requests; people and sessions stay as they are
    Disable {
        /// The workspace
        workspace: WorkspaceId,
    },
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Enable { workspace } => enable(context, &workspace).await,
        Command::Disable { workspace } => disable(context, &workspace).await,
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
