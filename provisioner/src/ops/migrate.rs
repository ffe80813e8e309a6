//! `migrate`: brings the database schema up to date, and begins a new incarnation of the revocation log after a restore.

use lockstep_shared::{
    check::{ConnectError, connect},
    runtime,
    store::SchemaState,
};
use serde_json::json;

use super::{Context, OpsError, Output};

/// Brings the database schema up to date.
#[derive(Debug, Clone, clap::Args)]
pub struct Migrate {
    /// After a restore from a backup: end every session that was made before now, since the log may have lost revocations
    #[arg(long)]
    pub new_generation: bool,
}

pub(super) async fn run(command: &Migrate, context: &Context) -> Result<Output, OpsError> {
    match connect(context.config().require_database()?).await {
        // The first migration of all makes the file.
        Ok(_) | Err(ConnectError::NoFile(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let store = runtime::open_store(context.config(), context.clock().clone())?;
    let outcome = async {
        let before = store.schema_state().await?;
        match before {
            SchemaState::Current => {}
            SchemaState::Behind => store.migrate().await?,
            SchemaState::Ahead => return Err(OpsError::SchemaAhead),
        }
        let head = if command.new_generation { store.new_generation().await? } else { store.head().await? };
        let was_behind = before == SchemaState::Behind;
        let heading = if was_behind { "The database schema is migrated." } else { "The database schema is up to date." };
        let output = Output::of(json!({ "schema": "current", "migrated": was_behind, "generation": head.generation }));
        let output = output.heading(heading);
        Ok(if command.new_generation {
            let lease = context.config().revocation.lease.as_secs();
            output
                .rows([("new generation", head.generation.to_string())])
                .next(format!("Every session made before is dead; running gateways know within {lease} s."))
        } else {
            output
        })
    };
    let outcome = outcome.await;
    store.close().await;
    outcome
}
