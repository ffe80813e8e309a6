//! `domain`: the e-mail domains that a workspace owns, by which people are led to their provider and linked by e-mail.

use lockstep_shared::{
    id::WorkspaceId,
    model::{audit::Actor, text::is_domain},
    store::{Domain, StoreError},
};
use serde_json::{Value, json};

use super::{Context, OpsError, Output};

/// The commands on domains.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Note that a workspace says it owns a domain
    Add {
        /// The workspace
        workspace: WorkspaceId,
        /// The domain, such as example.com
        #[arg(value_parser = domain)]
        domain: String,
    },
    /// Note that the workspace owns the domain
    Verify {
        /// The workspace
        workspace: WorkspaceId,
        /// The domain, such as example.com
        #[arg(value_parser = domain)]
        domain: String,
        /// You vouch for it: you have seen that the company owns the domain (audited)
        #[arg(long, required = true)]
        by_operator: bool,
    },
}

fn domain(text: &str) -> Result<String, &'static str> {
    let domain = text.to_ascii_lowercase();
    if is_domain(&domain) {
        Ok(domain)
    } else {
        Err("expected a domain name, such as example.com (xn--… for others than ASCII)")
    }
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Add { workspace, domain } => add(context, &workspace, domain).await,
        Command::Verify { workspace, domain, by_operator: _ } => verify(context, &workspace, domain).await,
    }
}

async fn add(context: &Context, workspace: &WorkspaceId, domain: String) -> Result<Output, OpsError> {
    context.workspace(workspace).await?;
    match context.store().await?.add_domain(workspace, &domain, &Actor::operator()).await {
        Ok(()) => {}
        Err(StoreError::Conflict(_)) => return Err(OpsError::DomainTaken { workspace: workspace.clone(), domain }),
        Err(error) => return Err(error.into()),
    }
    Ok(Output::of(json!({ "id": domain, "workspace": workspace, "domain": domain, "verified": false }))
        .heading(format!("Domain {domain} is noted for workspace {workspace}; it is not verified yet."))
        .next(format!("Once you know that they own it: {} domain verify {workspace} {domain} --by-operator", context.program())))
}

async fn verify(context: &Context, workspace: &WorkspaceId, domain: String) -> Result<Output, OpsError> {
    context.workspace(workspace).await?;
    let store = context.store().await?;
    match store.verify_domain(workspace, &domain, &Actor::operator()).await {
        Ok(()) => {}
        Err(StoreError::NotFound(_)) => return Err(OpsError::UnknownDomain { workspace: workspace.clone(), domain }),
        Err(error) => return Err(error.into()),
    }
    let mut owners = store.workspaces_of_domain(&domain).await?;
    owners.retain(|owner| owner != workspace);
    let others: Vec<&str> = owners.iter().map(WorkspaceId::as_str).collect();
    Ok(Output::of(json!({ "id": domain, "workspace": workspace, "domain": domain, "verified": true }))
        .heading(format!("Domain {domain} is verified for workspace {workspace}."))
        .warn_if(!others.is_empty(), || format!("{domain} is also verified for {}", others.join(", "))))
}

/// The domain as the commands answer it.
pub(super) fn describe(domain: &Domain) -> Value {
    json!({
        "domain": domain.domain,
        "verified": domain.verified_at.is_some(),
        "verified_at": domain.verified_at.map(|at| at.to_string()),
    })
}
