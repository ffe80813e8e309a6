//! `workspace notify`: whom a workspace has told by mail when somebody has to look at something.

use lockstep_shared::{
    id::WorkspaceId,
    model::{
        audit::Actor,
        notice::{MOST_RECIPIENTS, Recipient, is_mailable},
    },
};
use serde_json::{Value, json};

use super::{Context, OpsError, Output};

/// Whom a workspace has told. Alone it is shown.
#[derive(Debug, Clone, clap::Args)]
pub struct Notify {
    /// The workspace
    workspace: WorkspaceId,
    /// Write to this address from now on; may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    add: Vec<String>,
    /// Write to this address no longer; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    remove: Vec<String>,
}

/// Reads an address that any mail server takes.
pub(super) fn address(text: &str) -> Result<String, &'static str> {
    if is_mailable(text) { Ok(text.to_owned()) } else { Err("expected a mail address, such as ada@example.com") }
}

pub(super) async fn run(command: Notify, context: &Context) -> Result<Output, OpsError> {
    let Notify { workspace, add, remove } = command;
    context.workspace(&workspace).await?;
    let (store, actor) = (context.store().await?, Actor::operator());
    for address in remove {
        if !store.remove_recipient(&workspace, &address, &actor).await? {
            return Err(OpsError::UnknownRecipient { workspace, address });
        }
    }
    for address in add {
        if !store.add_recipient(&workspace, &address, &actor).await? {
            return Err(OpsError::TooManyRecipients { workspace, most: MOST_RECIPIENTS });
        }
    }
    let recipients = store.recipients(&workspace).await?;
    Ok(show(&workspace, &recipients, context))
}

fn show(workspace: &WorkspaceId, recipients: &[Recipient], context: &Context) -> Output {
    let program = context.program();
    let lines = recipients.iter().map(|recipient| {
        let standing = if recipient.is_told { "told" } else { "not told: this person has no access any more" };
        let whose = recipient.user.as_ref().map_or_else(|| "nobody known".to_owned(), |user| format!("user {user}"));
        vec![recipient.address.clone(), whose, standing.to_owned()]
    });
    let listed: Vec<Value> = recipients.iter().map(describe).collect();
    Output::of(json!({ "workspace": workspace, "recipients": listed, "mailed": context.config().mail.is_some() }))
        .heading(format!("Whom workspace {workspace} has told when its provider's changes are held"))
        .table(&["address", "belongs to", ""], lines)
        .warn_if(context.config().mail.is_none(), || "nothing is mailed: the configuration has no [mail]".to_owned())
        .next_if(recipients.is_empty(), || format!("Have somebody told: {program} workspace notify {workspace} --add ADDRESS"))
        .next_if(context.config().mail.is_some() && !recipients.is_empty(), || {
            format!("See whether mail arrives: {program} mail test ADDRESS")
        })
}

fn describe(recipient: &Recipient) -> Value {
    json!({
        "address": recipient.address,
        "user": recipient.user,
        "told": recipient.is_told,
        "created_at": recipient.created_at.to_string(),
    })
}
