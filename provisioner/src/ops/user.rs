//! `user`: invites people who are not in the directory, shows people, changes how they sign in and signs them out.

use std::collections::BTreeSet;

use lockstep_shared::{
    id::{ConnectionId, GroupId, UserId, WorkspaceId},
    model::{
        access::{Access, AccessName, Mapping, Source},
        audit::Actor,
        revocation::{Draft, Scope},
        user::{LoginMethod, Person, User},
        workspace::Enforcement,
    },
    store::{GroupRef, StoreError, UserMatch},
};
use serde_json::{Value, json};

use super::{
    Context, OpsError, Output, adoption, link, mapping, receipt,
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
    /// Take somebody who was invited into the directory: from then on the identity provider may change them
    Adopt {
        /// The workspace
        workspace: WorkspaceId,
        /// The user's id, user name or e-mail address
        user: String,
    },
    /// Link a person to an identity at the provider, where no rule does it; never one that is somebody else's
    Link(link::New),
    /// Take a person's identity at a connection away; the sessions made by it end
    Unlink {
        /// The workspace
        workspace: WorkspaceId,
        /// The user's id, user name or e-mail address
        user: String,
        /// The connection
        connection: ConnectionId,
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
        Command::Adopt { workspace, user } => adoption::adopt(context, &workspace, &user).await,
        Command::Link(new) => link::link(context, new).await,
        Command::Unlink { workspace, user, connection } => link::unlink(context, &workspace, &user, &connection).await,
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
    let (store, program) = (context.store().await?, context.program());
    let person = store.person(workspace, &user.id).await?;
    let (mapping, groups) = (store.mapping(workspace).await?, store.groups_of(workspace, &user.id).await?);
    let (adopted, identities) = (store.adoption(workspace, &user.id).await?, store.links(workspace, &user.id).await?);
    // Whoever was deactivated has a profile, but is no person to any app.
    let person = person.map_or_else(|| Person::of(&user.profile, Vec::new()), |(person, _)| person);
    let sources = sources(&mapping, &groups, &user);
    let lines = sources.iter().map(|source| vec![source.from.clone(), source.roles.clone(), source.teams.clone()]);
    let described: Vec<&Value> = sources.iter().map(|source| &source.described).collect();
    let ranked = mapping.sources(&ids(&groups), &user.profile).into_iter().flat_map(|(_, access)| access.roles);
    let lower: BTreeSet<AccessName> = ranked.filter(|role| !person.roles.iter().any(|own| own == role.as_str())).collect();
    let gets_nothing = user.profile.active && !groups.is_empty() && person.roles.is_empty() && person.teams.is_empty();
    Ok(Output::of(describe(&user, &person))
        .member("access", json!(described))
        .member("adoption", adoption::describe(adopted.as_ref()))
        .member("links", identities.iter().map(link::describe).collect())
        .heading(format!("User {} of workspace {workspace}", user.id))
        .rows([
            ("user name", user.profile.user_name.clone()),
            ("name", person.display_name),
            ("e-mail", person.email),
            ("external id", user.profile.external_id.clone().unwrap_or_default()),
            ("active", if user.profile.active { "yes" } else { "no: no role, no team" }.to_owned()),
            ("signs in by", user.login_method.to_string()),
            ("linked to", link::in_words(&identities)),
            ("came from", adoption::in_words(user.origin, adopted.as_ref())),
            ("roles", person.roles.join(", ")),
            ("teams", person.teams.join(", ")),
            ("changed", user.updated_at.to_string()),
        ])
        .table(&["from", "roles", "teams"], lines)
        .warn_if(user.profile.active && !lower.is_empty(), || {
            format!("a higher role takes the place of {}: see `{program} mapping list {workspace}`", mapping::join(&lower))
        })
        .warn_if(gets_nothing, || {
            format!(
                "none of these groups gives a role or a team: run `{program} mapping set {workspace} --group GROUP --role ROLE`"
            )
        }))
}

fn ids(groups: &[GroupRef]) -> Vec<GroupId> {
    groups.iter().map(|group| group.id.clone()).collect()
}

/// Where somebody's roles and teams come from, or do not.
struct Giver {
    from: String,
    roles: String,
    teams: String,
    described: Value,
}

/// Every group of the person, mapped or not, and what gives them something besides.
fn sources(mapping: &Mapping, groups: &[GroupRef], user: &User) -> Vec<Giver> {
    let given = mapping.sources(&ids(groups), &user.profile);
    let shown = |from: String, kind: &str, of: Value, access: Option<&Access>| Giver {
        from,
        roles: access.map_or_else(|| "(not mapped)".to_owned(), |access| mapping::join(&access.roles)),
        teams: access.map_or_else(String::new, |access| mapping::join(&access.teams)),
        described: json!({ "from": kind, "of": of, "mapped": access.is_some(), "gives": access.cloned().unwrap_or_default() }),
    };
    let of_group = |group: &GroupRef| {
        let access = given.iter().find(|(source, _)| *source == Source::Group(&group.id)).map(|(_, access)| access);
        let of = json!({ "id": group.id, "display_name": group.display_name });
        shown(format!("group {}", group.display_name), "group", of, access)
    };
    let beside = given.iter().filter_map(|(source, access)| match source {
        Source::Group(_) => None,
        Source::Attribute(path) => Some(shown(format!("attribute {path}"), "attribute", json!(path), Some(access))),
        Source::Default => Some(shown("default".to_owned(), "default", Value::Null, Some(access))),
    });
    groups.iter().map(of_group).chain(beside).collect()
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
pub(super) async fn find(context: &Context, workspace: &WorkspaceId, name: &str) -> Result<User, OpsError> {
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
