//! `audit`: the audit trail as JSON lines, oldest first.

use lockstep_shared::{id::WorkspaceId, model::audit::AuditRecord};
use serde_json::{Value, json};

use super::{Context, OpsError, Output};

/// The commands on the audit trail.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Print every record as a line of JSON, oldest first
    Export {
        /// The workspace
        workspace: WorkspaceId,
    },
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    let Command::Export { workspace } = command;
    context.workspace(&workspace).await?;
    let newest_first = context.store().await?.audit_trail(&workspace, None, u32::MAX).await?;
    Ok(Output::lines(newest_first.iter().rev().map(describe).collect()))
}

fn describe(record: &AuditRecord) -> Value {
    json!({
        "id": record.id,
        "workspace": record.workspace,
        "at": record.at.to_string(),
        "actor": record.actor,
        "action": record.action,
        "target": record.target,
        "detail": record.detail,
    })
}
