//! `sso`: how far SSO is demanded. Nobody is told to use a provider that does not work, unless an operator insists and says
//! why.

use lockstep_shared::{
    check::{Finding, all_well},
    id::{ConnectionId, WorkspaceId},
    model::{
        audit::Actor,
        connection::ConnectionState,
        text::fold,
        workspace::{Enforcement, Plan, Stage},
    },
};
use serde_json::json;

use super::{Context, OpsError, Output, connection, receipt, workspace};

/// The commands on enforcement.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Passwords work beside SSO
    Off {
        /// The workspace
        workspace: WorkspaceId,
    },
    /// SSO is demanded of some people; this replaces an earlier choice of them
    #[command(group(clap::ArgGroup::new("stage").required(true).multiple(true)))]
    Staged {
        /// The workspace
        workspace: WorkspaceId,
        /// A user name; may be repeated
        #[arg(long = "user", group = "stage", value_name = "USER_NAME")]
        users: Vec<String>,
        /// A group's display name; may be repeated
        #[arg(long = "group", group = "stage", value_name = "NAME")]
        groups: Vec<String>,
        /// This share of all people, from 0 to 100; who is in stays in as it grows
        #[arg(long, group = "stage", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: u8,
        /// What to do when no connection works
        #[command(flatten)]
        force: Force,
    },
    /// SSO is the only way in; sessions made with a password end
    Enforce {
        /// The workspace
        workspace: WorkspaceId,
        /// What to do when no connection works
        #[command(flatten)]
        force: Force,
    },
}

/// Going on although no connection works.
#[derive(Debug, Clone, clap::Args)]
pub struct Force {
    /// Go on even if no connection works (audited)
    #[arg(long, requires = "reason")]
    force: bool,
    /// Why; it stands in the audit trail
    #[arg(long, requires = "force", value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
}

fn reason(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 500 { Err("say why, in at most 500 characters") } else { Ok(text.to_owned()) }
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Off { workspace } => off(context, &workspace).await,
        Command::Staged { workspace, users, groups, percent, force } => {
            let folded = |names: Vec<String>| names.iter().map(|name| fold(name)).collect();
            let stage = Stage { users: folded(users), groups: folded(groups), percent };
            demand(context, &workspace, Enforcement::Staged, &stage, &force).await
        }
        Command::Enforce { workspace, force } => {
            demand(context, &workspace, Enforcement::Enforced, &Stage::default(), &force).await
        }
    }
}

async fn off(context: &Context, id: &WorkspaceId) -> Result<Output, OpsError> {
    let (addresses, road, store) = (context.addresses()?, context.road().await?, context.store().await?);
    context.workspace(id).await?;
    let settlement = store.set_enforcement(id, Enforcement::Off, &Stage::default(), &Actor::operator(), None).await?;
    road.settle(id, settlement).await?;
    let after = context.workspace(id).await?;
    Ok(Output::of(workspace::describe(&after, &addresses)).heading(format!(
        "SSO is not enforced in workspace {id} any more: passwords work for those whose login method is password."
    )))
}

async fn demand(
    context: &Context,
    id: &WorkspaceId,
    enforcement: Enforcement,
    stage: &Stage,
    force: &Force,
) -> Result<Output, OpsError> {
    let (addresses, before) = (context.addresses()?, context.workspace(id).await?);
    if before.plan == Plan::Free {
        return Err(OpsError::Plan { workspace: id.clone(), what: "SSO enforcement" });
    }
    let tests = test_connections(context, id).await?;
    let problems: Vec<(ConnectionId, Finding)> = problems(&tests);
    if !force.force && !tests.iter().any(|(_, findings)| all_well(findings)) {
        return Err(OpsError::NoWorkingConnection { workspace: id.clone(), findings: problems });
    }
    let (road, store) = (context.road().await?, context.store().await?);
    let settlement = store.set_enforcement(id, enforcement, stage, &Actor::operator(), force.reason.as_deref()).await?;
    let settled = road.settle(id, settlement).await?;
    let after = context.workspace(id).await?;
    let whom = match enforcement {
        Enforcement::Staged => "SSO is demanded of the people you named",
        Enforcement::Enforced | Enforcement::Off => "SSO is demanded of everybody",
    };
    let mut output = Output::of(workspace::describe(&after, &addresses))
        .member("forced", json!(force.force))
        .member("receipt", receipt::describe(&settled))
        .heading(format!("{whom} in workspace {id}. Sessions made with a password: {}.", receipt::in_short(&settled)))
        .rows([("Sign-On Link", addresses.sign_on(id))]);
    output = output.warn_if(tests.is_empty(), || format!("workspace {id} has no active connection: nobody can sign in"));
    for (connection, finding) in problems {
        output = output.warn(format!("{connection}: {}", finding.message));
    }
    Ok(output)
}

/// Tests every active connection of the workspace.
async fn test_connections(context: &Context, id: &WorkspaceId) -> Result<Vec<(ConnectionId, Vec<Finding>)>, OpsError> {
    let mut tests = Vec::new();
    for connection in context.store().await?.connections(id).await? {
        if connection.state == ConnectionState::Active {
            tests.push((connection.id.clone(), connection::examine(context, &connection).await?));
        }
    }
    Ok(tests)
}

fn problems(tests: &[(ConnectionId, Vec<Finding>)]) -> Vec<(ConnectionId, Finding)> {
    let of_one = |(id, findings): &(ConnectionId, Vec<Finding>)| {
        let problems = findings.iter().filter(|finding| finding.is_problem());
        problems.map(|finding| (id.clone(), finding.clone())).collect::<Vec<_>>()
    };
    tests.iter().flat_map(of_one).collect()
}
