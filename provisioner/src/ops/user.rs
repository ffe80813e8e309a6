//! `user`: invites people who are not in the directory, shows people, changes how they sign in and signs them out.

use lockstep_shared::{
    id::{UserId, WorkspaceId},
    model::{
        audit::Actor,
        revocation::{Draft, Scope},
        user::{LoginMethod, Person, User},
        workspace::Enforcement,
    },
    store::{StoreError, UserMatch},
};
use serde_json::{Value, json};

use super::{
    Context, OpsError, Output, receipt,
    workspace::{INVITATION, email},
};

/// What a revocation and the audit trail call an operator's order to sign somebody out.
const REVOKED: &str = "user.sessions_revoked";

/// The commands on people. USER is an id, a user name or an e-mail address.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Invite somebody who is not in the directory; prints a link that works once, within 72 hours
    Invite {
        /// The workspace
        workspace: WorkspaceId,
        /// Their e-mail address, which becomes their user name
        #[arg(value_parser = email)]
        email: String,
    },
    /// Show a person
    Show {
        /// The workspace
        workspace: WorkspaceId,
        /// The user's id, user name or e-mail address
        user: String,
    },
    /// Change how a person signs in; their sessions end
    LoginMethod {
        /// The workspace
        workspace: WorkspaceId,
        /// The user's id, user name or e-mail address
        user: String,
        /// How they sign in from now on: sso or password
        method: LoginMethod,
    },
    /// Sign a person out everywhere; they may sign in again
    RevokeSessions {
        /// The workspace
        workspace: WorkspaceId,
        /// The user's id, user name or e-mail address
        user: String,
    },
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Invite { workspace, email } => invite(context, workspace, email).await,
        Command::Show { workspace, user } => show(context, &workspace, &user).await,
        Command::LoginMethod { workspace, user, method } => set_login_method(context, &workspace, &user, method).await,
        Command::RevokeSessions { workspace, user } => revoke_sessions(context, &workspace, &user).await,
    }
}

async fn invite(context: &Context, id: WorkspaceId, email: String) -> Result<Output, OpsError> {
    let (addresses, workspace, store) = (context.addresses()?, context.workspace(&id).await?, context.store().await?);
    let (user, token) = match store.invite(&id, &email, INVITATION, &Actor::operator()).await {
        Ok(invited) => invited,
        Err(StoreError::Conflict(_)) => return Err(OpsError::SignsInBySso { workspace: id, email }),
        Err(error) => return Err(error.into()),
    };
    let setup_url = addresses.invitation(&id, &token);
    let is_active = store.user(&id, &user).await?.is_some_and(|user| user.profile.active);
    Ok(Output::of(json!({ "id": user, "workspace": id, "setup_url": setup_url }))
        .heading(format!("User {user} is invited to workspace {id}."))
        .rows([("invitation link", setup_url)])
        .warn_if(workspace.enforcement == Enforcement::Enforced, || {
            format!("SSO is enforced in workspace {id}: a password opens nothing there")
        })
        .warn_if(!is_active, || "this person is deactivated and cannot sign in".to_owned())
        .next(format!("Send the link to {email}; it works once, within 72 hours.")))
}

async fn show(context: &Context, workspace: &WorkspaceId, name: &str) -> Result<Output, OpsError> {
    let user = find(context, workspace, name).await?;
    let person = context.store().await?.person(workspace, &user.id).await?;
    // Whoever was deactivated has a profile, but is no person to any app.
    let person = person.map_or_else(|| Person::of(&user.profile, Vec::new()), |(person, _)| person);
    Ok(Output::of(describe(&user, &person)).heading(format!("User {} of workspace {workspace}", user.id)).rows([
        ("user name", user.profile.user_name.clone()),
        ("name", person.display_name),
        ("e-mail", person.email),
        ("external id", user.profile.external_id.clone().unwrap_or_default()),
        ("active", if user.profile.active { "yes" } else { "no" }.to_owned()),
        ("signs in by", user.login_method.to_string()),
        ("came from", user.origin.to_string()),
        ("groups", person.groups.join(", ")),
        ("changed", user.updated_at.to_string()),
    ]))
}

async fn set_login_method(
    context: &Context,
    workspace: &WorkspaceId,
    name: &str,
    method: LoginMethod,
) -> Result<Output, OpsError> {
    let road = context.road().await?;
    let user = find(context, workspace, name).await?;
    let store = context.store().await?;
    let settlement = store.set_login_method(workspace, &user.id, method, &Actor::operator()).await?;
    let settled = road.settle(workspace, settlement).await?;
    let user = User { login_method: method, ..user };
    let output = Output::of(
        json!({ "id": user.id, "workspace": workspace, "login_method": method, "receipt": receipt::describe(&settled) }),
    )
    .heading(format!("User {} signs in by {method} from now on: {}.", user.id, receipt::in_short(&settled)));
    Ok(match method {
        LoginMethod::Sso => output,
        LoginMethod::Password => {
            let email = user.profile.email().unwrap_or(&user.profile.user_name);
            output.next(format!("If they have no password yet: {} user invite {workspace} {email}", context.program()))
        }
    })
}

async fn revoke_sessions(context: &Context, workspace: &WorkspaceId, name: &str) -> Result<Output, OpsError> {
    let road = context.road().await?;
    let user = find(context, workspace, name).await?;
    let store = context.store().await?;
    // First, so that no session ends without a word of who ordered it.
    store.record(workspace, &Actor::operator(), REVOKED, user.id.as_str(), &json!({})).await?;
    let settlement = store.revoke(Draft::end(workspace, vec![Scope::User { id: user.id.clone() }], REVOKED)).await?;
    let settled = road.settle(workspace, settlement).await?;
    Ok(Output::of(json!({ "id": user.id, "workspace": workspace, "receipt": receipt::describe(&settled) }))
        .heading(format!("User {} is signed out: {}.", user.id, receipt::in_short(&settled)))
        .warn_if(user.profile.active, || "they may sign in again; deactivate them in the directory if they must not".to_owned()))
}

/// Finds the one person that an operator names.
async fn find(context: &Context, workspace: &WorkspaceId, name: &str) -> Result<User, OpsError> {
    context.workspace(workspace).await?;
    let store = context.store().await?;
    let mut by = vec![UserMatch::UserName(name.to_owned()), UserMatch::Email(name.to_owned())];
    if UserId::parse(name).is_ok() {
        by.insert(0, UserMatch::Id(name.to_owned()));
    }
    for by in by {
        let mut found = store.users_matching(workspace, &by).await?;
        if found.len() > 1 {
            return Err(OpsError::AmbiguousUser { name: name.to_owned(), count: found.len() });
        }
        if let Some(user) = found.pop() {
            return Ok(user);
        }
    }
    Err(OpsError::UnknownUser { workspace: workspace.clone(), name: name.to_owned() })
}

fn describe(user: &User, person: &Person) -> Value {
    json!({
        "id": user.id,
        "workspace": user.workspace,
        "user_name": user.profile.user_name,
        "display_name": person.display_name,
        "email": person.email,
        "external_id": user.profile.external_id,
        "active": user.profile.active,
        "login_method": user.login_method,
        "origin": user.origin,
        "groups": person.groups,
        "roles": person.roles,
        "teams": person.teams,
        "version": user.version,
        "ended_seq": user.ended_seq,
        "created_at": user.created_at.to_string(),
        "updated_at": user.updated_at.to_string(),
    })
}
