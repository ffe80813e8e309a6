//! `user link` and `user unlink`: who an identity at the provider is, by an operator's word. For connections whose rule links nobody,
//! and for identities that no rule may hand on.

use lockstep_shared::{
    id::{ConnectionId, WorkspaceId},
    model::{
        audit::Actor,
        connection::{Connection, ConnectionState, Link},
        session::ProviderIdentity,
        user::{LoginMethod, User},
    },
    store::{EditError, FormerIdentity, LinkedIdentity},
};
use serde_json::{Value, json};

use super::{Context, OpsError, Output, connection, receipt, user::find};

/// OpenID Connect Core 1.0, section 2: a subject has at most 255 characters.
const LONGEST_SUBJECT: usize = 255;

/// Who is to be linked to what.
#[derive(Debug, Clone, clap::Args)]
pub struct New {
    /// The workspace
    workspace: WorkspaceId,
    /// The user's id, user name or e-mail address
    user: String,
    /// The connection
    connection: ConnectionId,
    /// The person's `sub` at the provider; the audit trail has that of a refused sign-in
    #[arg(value_parser = subject)]
    subject: String,
    /// Though it was somebody's who was deleted: the provider has given it to this person since
    #[arg(long)]
    hand_on: bool,
}

fn subject(text: &str) -> Result<String, &'static str> {
    let is_one = (1..=LONGEST_SUBJECT).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if is_one { Ok(text.to_owned()) } else { Err("expected 1 to 255 characters") }
}

pub(super) async fn link(context: &Context, new: New) -> Result<Output, OpsError> {
    let New { workspace, user: name, connection: id, subject, hand_on } = new;
    let (user, connection) = (find(context, &workspace, &name).await?, connection::find(context, &workspace, &id).await?);
    let Some(issuer) = connection.issuer.clone() else {
        return Err(OpsError::NotInUse { workspace, id, state: connection.state, missing: vec!["--issuer URL"] });
    };
    let identity = ProviderIdentity { connection: id.clone(), issuer, subject, sid: None };
    let former = if hand_on { FormerIdentity::HandOn } else { FormerIdentity::Keep };
    let linked = context.store().await?.link(&workspace, &identity, &user.id, former, &Actor::operator()).await;
    let is_new = linked.map_err(|error| match error {
        EditError::Refused(refusal) => OpsError::NotLinked { workspace: workspace.clone(), user: name, connection: id, refusal },
        EditError::Store(error) => error.into(),
    })?;
    let ProviderIdentity { connection: at, issuer, subject, .. } = &identity;
    let described = json!({
        "id": user.id, "workspace": workspace, "connection": at, "issuer": issuer, "subject": subject, "linked": is_new,
    });
    let already = if is_new { "is linked" } else { "was linked already" };
    let output = Output::of(described).heading(format!("User {} {already} to '{subject}' of connection {at}.", user.id));
    Ok(warned(output, context, &user, &connection))
}

/// What still keeps the person from signing in.
fn warned(output: Output, context: &Context, user: &User, connection: &Connection) -> Output {
    let (program, User { workspace, id, .. }) = (context.program(), user);
    output
        .warn_if(!user.profile.active, || "this person is deactivated and cannot sign in".to_owned())
        .warn_if(user.login_method == LoginMethod::Password, || {
            format!(
                "this person signs in with a password; to let them in by SSO, run `{program} user login-method {workspace} {id} sso`"
            )
        })
        .warn_if(connection.state != ConnectionState::Active, || {
            format!("connection {} is {}: nobody signs in through it", connection.id, connection.state)
        })
}

pub(super) async fn unlink(
    context: &Context,
    workspace: &WorkspaceId,
    name: &str,
    id: &ConnectionId,
) -> Result<Output, OpsError> {
    let road = context.road().await?;
    let (user, connection) = (find(context, workspace, name).await?, connection::find(context, workspace, id).await?);
    let (link, settlement) = context.store().await?.unlink(workspace, &user.id, id, &Actor::operator()).await?;
    let settled = road.settle(workspace, settlement).await?;
    let heading = match &link {
        Some(link) => format!(
            "User {} is not linked to '{}' of connection {id} any more, and signed out there: {}.",
            user.id,
            link.subject,
            receipt::in_short(&settled)
        ),
        None => format!("User {} is linked to no identity of connection {id}.", user.id),
    };
    Ok(Output::of(json!({
        "id": user.id,
        "workspace": workspace,
        "connection": id,
        "unlinked": link.as_ref().map(describe),
        "receipt": receipt::describe(&settled),
    }))
    .heading(heading)
    .warn_if(link.is_some() && connection.link != Link::None, || {
        format!(
            "the connection's rule ({}) may link whom it fits at the next sign-in; deactivate the person in the directory if they \
             must not come in",
            connection.link
        )
    }))
}

/// A link as the commands answer it.
pub(super) fn describe(link: &LinkedIdentity) -> Value {
    json!({ "connection": link.connection, "issuer": link.issuer, "subject": link.subject, "since": link.since.to_string() })
}

/// Links in one line.
pub(super) fn in_words(links: &[LinkedIdentity]) -> String {
    links.iter().map(|link| format!("{}: {}", link.connection, link.subject)).collect::<Vec<_>>().join(", ")
}
