//! Signing in, as the store sees it: one snapshot in which workspace, connection, link and person are all good, or a reason
//! why not. Signing in never re-activates anybody and never changes an existing link.

use serde_json::json;
use sqlx::{Any, any::AnyArguments, query::Query};

use super::{
    Store, StoreError,
    access::mapping_on,
    former_links::former_owner,
    members::groups_between,
    policies::seen_on,
    row::Columns,
    tx::Tx,
    users::{self, NAMESAKES, UserMatch},
};
use crate::{
    id::{ConnectionId, Generation, UserId, WorkspaceId},
    model::{
        audit::Actor,
        connection::{Connection, ConnectionState, Link},
        revocation::{Head, Seq},
        session::ProviderIdentity,
        text::EmailAddress,
        user::{LoginMethod, Origin, Person, Profile, User},
        workspace::{Workspace, WorkspaceState},
    },
};

const LINKED: &str = "
    SELECT user_id FROM links WHERE workspace_id = $1 AND connection_id = $2 AND issuer = $3 AND subject = $4";
const LINK_OF_USER: &str = "SELECT subject FROM links WHERE workspace_id = $1 AND user_id = $2 AND connection_id = $3";
const ADD_LINK: &str = "
    INSERT INTO links (workspace_id, connection_id, issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)";

/// Why somebody whom the provider vouches for does not get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The workspace does not exist or is suspended.
    #[error("the workspace is closed")]
    WorkspaceClosed,
    /// The connection is a draft, disabled, gone, or has another issuer than when the sign-in began.
    #[error("the connection is not in use")]
    ConnectionClosed,
    /// Nobody is provisioned who fits the connection's link rule.
    #[error("nobody is provisioned for this identity")]
    NotProvisioned,
    /// The person is provisioned but not active.
    #[error("the person is deactivated")]
    Deactivated,
    /// The link rule needs a claim that the provider did not send.
    #[error("the provider did not send the claim that the link rule needs")]
    ClaimMissing,
    /// The link rule is `email`, and the address is not verified or its domain is not proven.
    #[error("the e-mail address is not verified in a domain that the workspace owns")]
    EmailNotProven,
    /// The person is linked to another subject of this connection already.
    #[error("the person is linked to another identity of this connection")]
    LinkedToAnother,
    /// The identity was somebody's who was deleted, and nothing but an address says that it is this person's now.
    #[error("the identity belonged to somebody who was deleted, and an e-mail address alone does not hand it on")]
    FormerIdentity,
    /// The person signs in with a password.
    #[error("the person's login method is password")]
    UsesPassword,
    /// The person signs in through the provider, or the workspace demands SSO of them.
    #[error("the person must use SSO")]
    MustUseSso,
    /// The password was changed or taken away while it was checked.
    #[error("the password is no longer valid")]
    PasswordGone,
}

/// The claims that link rules look at.
pub trait ClaimSource {
    /// A claim's text value.
    fn text_claim(&self, name: &str) -> Option<String>;
    /// The address, only if the provider says that it verified it.
    fn verified_email(&self) -> Option<EmailAddress>;
}

/// How fresh attributes are: the head of the log in the snapshot that they were read in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// The log's incarnation.
    pub generation: Generation,
    /// Where it ended.
    pub seq: Seq,
}

impl From<Head> for Freshness {
    fn from(head: Head) -> Self {
        Self { generation: head.generation, seq: head.seq }
    }
}

/// Somebody who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The person.
    pub user: UserId,
    /// What apps see of them.
    pub person: Person,
    /// What else the directory says, for apps that ask for more.
    pub profile: Profile,
    /// How fresh that is.
    pub fresh: Freshness,
    /// Whether this sign-in made the link.
    pub linked_now: bool,
}

/// Somebody who is signed in, as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What apps see of them.
    pub person: Person,
    /// What else the directory says, for apps that ask for more.
    pub profile: Profile,
    /// How fresh that is.
    pub fresh: Freshness,
}

impl Store {
    /// Decides whether the person whom the provider vouches for may come in, and links them on the first time. `Ok(Err(…))` is a
    /// refusal that the person and their admin are told; it is in the audit trail.
    pub async fn sign_in_by_sso(
        &self,
        workspace: &WorkspaceId,
        identity: &ProviderIdentity,
        claims: &(dyn ClaimSource + Sync),
    ) -> Result<Result<SignedIn, Refusal>, StoreError> {
        let mut tx = self.begin().await?;
        let outcome = admit_by_sso(&mut tx, workspace, identity, claims).await?;
        let (action, target, detail) = match &outcome {
            Ok(signed_in) => ("session.signed_in", signed_in.user.as_str(), json!({ "connection": identity.connection })),
            Err(refusal) => (
                "session.refused",
                identity.connection.as_str(),
                json!({ "reason": refusal.to_string(), "subject": identity.subject }),
            ),
        };
        if outcome == Err(Refusal::WorkspaceClosed) && Self::workspace_on(tx.on(), workspace).await?.is_none() {
            return Ok(outcome);
        }
        let actor = outcome.as_ref().map_or_else(|_| Actor::user(""), |signed_in| Actor::user(&signed_in.user));
        tx.audit(workspace, &actor, action, target, &detail).await?;
        tx.commit().await?;
        Ok(outcome)
    }

    /// What apps see of a person now, and how fresh that is; `None` if there is no such active person or the workspace is closed.
    pub async fn person(&self, workspace: &WorkspaceId, id: &UserId) -> Result<Option<(Person, Freshness)>, StoreError> {
        Ok(self.seen(workspace, id).await?.map(|seen| (seen.person, seen.fresh)))
    }

    /// The same of somebody who is signed in by this method; `None` also if they may not sign in so any more: a change of groups may
    /// have brought them into the stage of enforcement.
    pub async fn person_signed_in_by(
        &self,
        method: LoginMethod,
        workspace: &WorkspaceId,
        id: &UserId,
    ) -> Result<Option<Reading>, StoreError> {
        let may_stay = |seen: &Seen| match method {
            LoginMethod::Sso => seen.user.login_method == LoginMethod::Sso,
            LoginMethod::Password => may_use_password(&seen.workspace, &seen.user, &seen.person),
        };
        let seen = self.seen(workspace, id).await?.filter(may_stay);
        Ok(seen.map(|Seen { person, profile, fresh, .. }| Reading { person, profile, fresh }))
    }

    async fn seen(&self, workspace: &WorkspaceId, id: &UserId) -> Result<Option<Seen>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let fresh = Self::head_on(&mut snapshot).await?.into();
        let workspace = Self::workspace_on(&mut snapshot, workspace).await?;
        let Some(workspace) = workspace.filter(|found| found.state == WorkspaceState::Active) else { return Ok(None) };
        let user = Self::user_on(&mut snapshot, &workspace.id, id).await?;
        let Some(user) = user.filter(|user| user.profile.active) else { return Ok(None) };
        let person = person_on(&mut snapshot, &user).await?;
        let profile = seen_on(&mut snapshot, &workspace.id, user.profile.clone()).await?;
        snapshot.rollback().await?;
        Ok(Some(Seen { workspace, user, person, profile, fresh }))
    }
}

/// An active person of an open workspace, in one snapshot.
struct Seen {
    workspace: Workspace,
    user: User,
    person: Person,
    profile: Profile,
    fresh: Freshness,
}

/// Whether this person may come in, and stay, by a password: the one rule for both.
pub(super) fn may_use_password(workspace: &Workspace, user: &User, person: &Person) -> bool {
    user.login_method == LoginMethod::Password
        && workspace.allows_password(user.id.as_str(), &user.profile.user_name, &person.groups)
}

async fn admit_by_sso(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    identity: &ProviderIdentity,
    claims: &(dyn ClaimSource + Sync),
) -> Result<Result<SignedIn, Refusal>, StoreError> {
    // Read before anything that it vouches for: a change that commits in between is newer than this and makes the session read again.
    let fresh = Store::head_on(tx.on()).await?.into();
    let connection = match open_connection(tx, workspace, &identity.connection, &identity.issuer).await? {
        Ok(connection) => connection,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut linked = linked_user(tx, workspace, identity).await?;
    if linked.is_none() {
        let found = match first_link(tx, workspace, identity, &connection, claims).await? {
            Ok(found) => found,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // Under the person's lock, so that their deletion and another first sign-in of theirs come before or after this one.
        let held = users::hold(tx, workspace, &found).await?;
        linked = linked_user(tx, workspace, identity).await?;
        if linked.is_none() {
            return admit(tx, identity, held, fresh, true).await;
        }
    }
    let user = match &linked {
        Some(id) => Store::user_on(tx.on(), workspace, id).await?,
        None => None,
    };
    admit(tx, identity, user, fresh, false).await
}

/// The rest of the decision, about the person.
async fn admit(
    tx: &mut Tx,
    identity: &ProviderIdentity,
    user: Option<User>,
    fresh: Freshness,
    linked_now: bool,
) -> Result<Result<SignedIn, Refusal>, StoreError> {
    let Some(user) = user else {
        return Ok(Err(Refusal::NotProvisioned));
    };
    if !user.profile.active {
        return Ok(Err(Refusal::Deactivated));
    }
    if user.login_method != LoginMethod::Sso {
        return Ok(Err(Refusal::UsesPassword));
    }
    if linked_now {
        if has_link(tx, &user.workspace, &user.id, &identity.connection).await? {
            return Ok(Err(Refusal::LinkedToAnother));
        }
        add_link(tx, &user.workspace, identity, &user.id, &Actor::user(&user.id)).await?;
    }
    let person = person_on(tx.on(), &user).await?;
    let profile = seen_on(tx.on(), &user.workspace, user.profile).await?;
    Ok(Ok(SignedIn { person, profile, fresh, user: user.id, linked_now }))
}

/// A statement whose first four parameters name an identity in a workspace.
pub(super) fn of_identity<'q>(
    statement: &'static str,
    workspace: &'q WorkspaceId,
    identity: &'q ProviderIdentity,
) -> Query<'q, Any, AnyArguments> {
    sqlx::query(statement)
        .bind(workspace.as_str())
        .bind(identity.connection.as_str())
        .bind(&identity.issuer)
        .bind(&identity.subject)
}

pub(super) async fn linked_user(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    identity: &ProviderIdentity,
) -> Result<Option<UserId>, StoreError> {
    let row = of_identity(LINKED, workspace, identity).fetch_optional(tx.on()).await?;
    row.map(|row| Columns::of(&row, "link").parsed("user_id")).transpose()
}

async fn open_connection(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    id: &ConnectionId,
    issuer: &str,
) -> Result<Result<Connection, Refusal>, StoreError> {
    if open_workspace(tx, workspace).await?.is_none() {
        return Ok(Err(Refusal::WorkspaceClosed));
    }
    let connection = Store::connection_on(tx.on(), workspace, id).await?;
    Ok(connection
        .filter(|connection| connection.state == ConnectionState::Active && connection.issuer.as_deref() == Some(issuer))
        .ok_or(Refusal::ConnectionClosed))
}

async fn open_workspace(tx: &mut Tx, workspace: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
    Ok(Store::workspace_on(tx.on(), workspace).await?.filter(|found| found.state == WorkspaceState::Active))
}

async fn first_link(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    identity: &ProviderIdentity,
    connection: &Connection,
    claims: &(dyn ClaimSource + Sync),
) -> Result<Result<UserId, Refusal>, StoreError> {
    let by = match &connection.link {
        Link::ExternalId { claim } => match claims.text_claim(claim) {
            Some(value) => UserMatch::ExternalId(value),
            None => return Ok(Err(Refusal::ClaimMissing)),
        },
        Link::Email => match claims.verified_email() {
            Some(address) if Store::owns_domain_on(tx.on(), workspace, address.domain()).await? => {
                UserMatch::Email(address.as_str().to_owned())
            }
            Some(_) | None => return Ok(Err(Refusal::EmailNotProven)),
        },
        Link::None => return Ok(Err(Refusal::NotProvisioned)),
    };
    let found = Store::users_matching_on(tx.on(), workspace, &by, None, NAMESAKES).await?;
    if u32::try_from(found.len()).is_ok_and(|found| found >= NAMESAKES) {
        // There may be more of them, and among those somebody else whom the directory created.
        return Ok(Err(Refusal::NotProvisioned));
    }
    // Only whom the directory created is linked by signing in, and only if the rule names one person.
    let mut provisioned = found.into_iter().filter(|user| user.origin == Origin::Provisioned);
    let (Some(user), None) = (provisioned.next(), provisioned.next()) else {
        return Ok(Err(Refusal::NotProvisioned));
    };
    // NIST SP 800-63C: what ended with an account does not come back by an address that was given to the next person. The directory
    // may say that both are the same one, by the same externalId.
    let former = if connection.link == Link::Email { former_owner(tx, workspace, identity).await? } else { None };
    let is_same = |former: Option<String>| former.is_some() && former == user.profile.external_id;
    Ok(if former.is_none_or(is_same) { Ok(user.id) } else { Err(Refusal::FormerIdentity) })
}

async fn has_link(tx: &mut Tx, workspace: &WorkspaceId, user: &UserId, connection: &ConnectionId) -> Result<bool, StoreError> {
    let found = sqlx::query(LINK_OF_USER)
        .bind(workspace.as_str())
        .bind(user.as_str())
        .bind(connection.as_str())
        .fetch_optional(tx.on())
        .await?;
    Ok(found.is_some())
}

pub(super) async fn add_link(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    identity: &ProviderIdentity,
    user: &UserId,
    actor: &Actor,
) -> Result<(), StoreError> {
    let now = tx.now().0;
    of_identity(ADD_LINK, workspace, identity).bind(user.as_str()).bind(now).execute(tx.on()).await?;
    let detail = json!({ "connection": identity.connection, "issuer": identity.issuer, "subject": identity.subject });
    tx.audit(workspace, actor, "user.linked", user.as_str(), &detail).await
}

/// What apps see of a person, in the snapshot of a transaction. Roles and teams are worked out here and kept nowhere.
pub(super) async fn person_on(on: &mut sqlx::AnyConnection, user: &User) -> Result<Person, StoreError> {
    let mapping = mapping_on(&mut *on, &user.workspace).await?;
    let groups = groups_between(on, &user.workspace, &user.id, &user.id).await?;
    let (ids, names): (Vec<_>, Vec<_>) = groups.into_iter().map(|(_, group)| (group.id, group.display_name)).unzip();
    Ok(Person::of(&user.profile, names).with_access(mapping.grant(&ids, &user.profile)))
}
