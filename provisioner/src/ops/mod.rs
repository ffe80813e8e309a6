//! The operators' commands: what can be said to a deployment at a terminal. They parse, call the store, and take whatever
//! ends somebody's access through the road; they hold no rule of their own about who may sign in.

mod adoption;
mod attribute;
mod audit;
mod basic;
mod check;
mod connection;
mod context;
mod domain;
mod error;
mod guard;
mod link;
mod log;
mod mail;
mod mapping;
mod migrate;
mod notify;
mod oauth_client;
mod output;
mod policy;
mod provider;
mod receipt;
mod schema;
mod scim;
mod secret_file;
mod sso;
mod terminal;
#[cfg(test)]
mod tests;
mod token;
mod user;
mod workspace;

use std::path::PathBuf;

pub use self::{
    context::Context,
    error::OpsError,
    output::Output,
    terminal::{Finished, execute, load, refuse, usage},
};

/// What every command takes, before or after its name.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// The configuration file, unless `LOCKSTEP_CONFIG` names it
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,
}

/// The operators' commands.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Customer companies: create, show, change, suspend
    #[command(subcommand)]
    Workspace(workspace::Command),
    /// OpenID providers of a workspace
    #[command(subcommand)]
    Connection(connection::Command),
    /// E-mail domains that a workspace owns
    #[command(subcommand)]
    Domain(domain::Command),
    /// Provisioning by the identity provider
    #[command(subcommand)]
    Scim(scim::Command),
    /// Schemas of the workspace's own
    #[command(subcommand)]
    Schema(schema::Command),
    /// What the workspace asks of single attributes
    #[command(subcommand)]
    Attribute(attribute::Command),
    /// SCIM bearer tokens
    #[command(subcommand)]
    Token(token::Command),
    /// OAuth clients of the identity provider
    #[command(subcommand)]
    OauthClient(oauth_client::Command),
    /// How far SSO is demanded
    #[command(subcommand)]
    Sso(sso::Command),
    /// People of a workspace
    #[command(subcommand)]
    User(user::Command),
    /// Roles and teams that people have by their groups
    #[command(subcommand)]
    Mapping(mapping::Command),
    /// Bring the database schema up to date
    Migrate(migrate::Migrate),
    /// Validate the configuration and every dependency
    Check,
    /// The provisioning log: what the identity provider sent, and what came of it
    #[command(subcommand)]
    Log(log::Command),
    /// Who confirmed that somebody is out, and how soon
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// Notices by mail: whether they get out, and what became of them
    #[command(subcommand)]
    Mail(mail::Command),
    /// The audit trail
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Carries out one command.
pub async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Workspace(command) => workspace::run(command, context).await,
        Command::Connection(command) => connection::run(command, context).await,
        Command::Domain(command) => domain::run(command, context).await,
        Command::Scim(command) => scim::run(command, context).await,
        Command::Schema(command) => schema::run(command, context).await,
        Command::Attribute(command) => attribute::run(command, context).await,
        Command::Token(command) => token::run(command, context).await,
        Command::OauthClient(command) => oauth_client::run(command, context).await,
        Command::Sso(command) => sso::run(command, context).await,
        Command::User(command) => user::run(command, context).await,
        Command::Mapping(command) => mapping::run(command, context).await,
        Command::Migrate(command) => migrate::run(&command, context).await,
        Command::Check => Ok(check::run(context).await),
        Command::Log(command) => log::run(command, context).await,
        Command::Mail(command) => mail::run(command, context).await,
        Command::Receipt(command) => receipt::run(command, context).await,
        Command::Audit(command) => audit::run(command, context).await,
    }
}
