//! `mail`: whether notices get out, and what became of them.

use lockstep_shared::{
    check::{Finding, chain},
    config::{Mail, Program},
    id::WorkspaceId,
    model::{
        audit::Actor,
        notice::{NoticeRecord, NoticeState},
    },
};
use serde_json::{Value, json};

use super::{Context, OpsError, Output, notify::address};
use crate::mail::{MailServer, probe, style};

/// The commands on mail.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Send a test to an address, at once, and show what the mail server said
    Test {
        /// The address
        #[arg(value_parser = address)]
        address: String,
    },
    /// Show what became of a workspace's notices, newest first, in the last 30 days
    List {
        /// The workspace
        workspace: WorkspaceId,
        /// The newest so many
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
    },
    /// Try again at once what is waiting, and what was refused or given up in the last 7 days: when the mail server is back, or the
    /// settings are mended
    Retry {
        /// The workspace
        workspace: WorkspaceId,
    },
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Test { address } => test(context, &address).await,
        Command::List { workspace, limit } => list(context, &workspace, limit).await,
        Command::Retry { workspace } => retry(context, &workspace).await,
    }
}

fn mail(context: &Context) -> Result<&Mail, OpsError> {
    context.config().mail.as_ref().ok_or(OpsError::NoMail)
}

async fn test(context: &Context, address: &str) -> Result<Output, OpsError> {
    let mail = mail(context)?;
    let server = MailServer::new(mail, &context.config().outbound)?;
    let message = probe(address, context.clock().now(), &style(mail, context.program())).map_err(OpsError::MailAddress)?;
    let answer = server.send(&message).await.map_err(OpsError::NotSent)?;
    Ok(Output::of(json!({ "address": address, "server": mail.server.to_string(), "answer": answer }))
        .heading(format!("{} has taken a test to {address}.", mail.server))
        .rows([("it said", answer)])
        .next("If it does not arrive, look into the mail server's own log, and into the spam folder."))
}

async fn list(context: &Context, workspace: &WorkspaceId, limit: u32) -> Result<Output, OpsError> {
    context.workspace(workspace).await?;
    let notices = context.store().await?.notices(workspace, limit).await?;
    let described: Vec<Value> = notices.iter().map(describe).collect();
    let waits = notices.iter().any(|notice| notice.state == NoticeState::Waiting);
    let program = context.program();
    Ok(Output::of(json!({ "workspace": workspace, "notices": described }))
        .heading(format!("Notices of workspace {workspace}"))
        .table(&["written", "what", "to", "state", "attempts", "next or end", "the server said"], notices.iter().map(line))
        .warn_if(waits && context.config().mail.is_none(), || "what waits stays: the configuration has no [mail]".to_owned())
        .next_if(notices.iter().any(|notice| notice.is_kept) && context.config().mail.is_some(), || {
            format!("To try again at once what waits, was refused or was given up: {program} mail retry {workspace}")
        }))
}

async fn retry(context: &Context, workspace: &WorkspaceId) -> Result<Output, OpsError> {
    mail(context)?;
    context.workspace(workspace).await?;
    let retried = context.store().await?.retry_letters(workspace, &Actor::operator()).await?;
    let program = context.program();
    Ok(Output::of(json!({ "workspace": workspace, "notices": retried }))
        .heading(format!("{retried} notices of workspace {workspace} are tried again within seconds, where the service runs."))
        .next(format!("See what comes of it: {program} mail list {workspace}")))
}

fn line(notice: &NoticeRecord) -> Vec<String> {
    let moment = notice.due_at.or(notice.ended_at).map_or_else(String::new, |at| at.to_string());
    vec![
        notice.created_at.to_string(),
        notice.kind.clone(),
        notice.address.clone(),
        notice.state.to_string(),
        notice.attempts.to_string(),
        moment,
        notice.answer.clone(),
    ]
}

fn describe(notice: &NoticeRecord) -> Value {
    json!({
        "id": notice.id,
        "kind": notice.kind,
        "address": notice.address,
        "state": notice.state,
        "attempts": notice.attempts,
        "created_at": notice.created_at.to_string(),
        "due_at": notice.due_at.map(|at| at.to_string()),
        "ended_at": notice.ended_at.map(|at| at.to_string()),
        "answer": notice.answer,
    })
}

/// What became of the newest notice of a workspace, to everybody who was told, in words and for programs.
pub(super) fn in_short(notices: &[NoticeRecord]) -> (String, Value) {
    let newest = notices.first().map(|notice| notice.created_at);
    let of_newest = || notices.iter().filter(|notice| Some(notice.created_at) == newest);
    let count = |state: NoticeState| of_newest().filter(|notice| notice.state == state).count();
    let counts: Vec<(NoticeState, usize)> =
        NoticeState::ALL.iter().map(|state| (*state, count(*state))).filter(|(_, count)| *count > 0).collect();
    let words = counts.iter().map(|(state, count)| format!("{count} {}", state.as_str().replace('_', " ")));
    let words = words.collect::<Vec<_>>().join(", ");
    let at = newest.map(|at| at.to_string());
    let text = at.as_ref().map_or_else(String::new, |at| format!("{words}; written at {at}"));
    let counts: serde_json::Map<String, Value> =
        counts.into_iter().map(|(state, count)| (state.as_str().to_owned(), json!(count))).collect();
    (text, json!({ "at": at, "notices": counts }))
}

/// Whether notices get out, for `check`. The gateway sends none.
pub(super) async fn check(context: &Context) -> Option<Finding> {
    if context.program() == Program::Gateway {
        return None;
    }
    let Some(mail) = &context.config().mail else {
        return Some(Finding::passed("mail", "notices are not mailed: the configuration has no [mail]"));
    };
    let server = match MailServer::new(mail, &context.config().outbound) {
        Ok(server) => server,
        Err(error) => return Some(Finding::problem("mail", chain(&error), "mend [outbound] ca_file")),
    };
    Some(match server.greet().await {
        Ok(how) => Finding::passed("mail", how),
        Err(error) => Finding::problem("mail", format!("{} takes no mail: {error}", mail.server), error.fix()),
    })
}
