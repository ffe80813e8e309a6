//! Adoption: how somebody who was invited comes to belong to the directory. A provider may take over only whom the workspace's own
//! proven domain makes its own, by name and not by an address that anybody could have typed; whom else, an operator says.

use serde_json::json;

use super::{Settlement, Store, StoreError, row::Columns, tx::Tx, users};
use crate::{
    clock::Timestamp,
    id::{UserId, WorkspaceId},
    model::{
        audit::{Actor, ActorKind},
        revocation::{Draft, Scope},
        text::{EmailAddress, fold},
        user::{LoginMethod, Origin, Profile, User},
    },
};

const IN_USE: &str = "SELECT 1 AS found FROM connections WHERE workspace_id = $1 AND state = 'active' LIMIT 1";
const WAITS: &str = "SELECT waits FROM adoptions WHERE workspace_id = $1 AND user_id = $2";
const ONE: &str = "SELECT at, actor_kind, actor_id, waits FROM adoptions WHERE workspace_id = $1 AND user_id = $2";
const NOTE: &str = "
    INSERT INTO adoptions (workspace_id, user_id, at, actor_kind, actor_id, waits) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (workspace_id, user_id) DO UPDATE SET waits = excluded.waits";
const WAIT_NO_MORE: &str = "UPDATE adoptions SET waits = 0 WHERE workspace_id = $1 AND user_id = $2";
const SET: &str = "UPDATE users SET origin = $3, login_method = $4 WHERE workspace_id = $1 AND id = $2";
const CLEAR_INVITATIONS: &str = "DELETE FROM invitations WHERE workspace_id = $1 AND user_id = $2";
const CLEAR_PASSWORD: &str = "DELETE FROM passwords WHERE workspace_id = $1 AND user_id = $2";

/// What a revocation and the audit trail call it.
const ADOPTED: &str = "user.adopted";

/// Why a provider may not change somebody who was invited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdopted {
    /// The user name is no address, so no domain speaks for it.
    #[error(
        "this person was invited, and their userName is no e-mail address: ask an operator to adopt them into the directory (user adopt)"
    )]
    NoAddress,
    /// The domain of the user name is not the workspace's.
    #[error(
        "this person was invited, and the workspace has not proven that it owns {domain}: prove the domain, or ask an operator to adopt them into the directory (user adopt)"
    )]
    DomainNotProven {
        /// The domain.
        domain: String,
    },
    /// The write would give them another name before they are known to be the same person.
    #[error("this person was invited: the first write that adopts them into the directory must leave their userName as it is")]
    NameChanged,
    /// A deletion says nothing of who they are.
    #[error("this person was invited, not provisioned: adopt them into the directory by a PUT or PATCH before deleting them")]
    Deletion,
}

/// That somebody who was invited belongs to the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// Since when.
    pub at: Timestamp,
    /// By whose write or word.
    pub actor: Actor,
    /// Whether they keep their password until a connection is in use.
    pub waits: bool,
}

/// What a write does beside what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Nothing,
    /// The person belongs to the directory from now on, and signs in by this method.
    Adopt(LoginMethod),
    /// The person was adopted before there was a connection; now there is one.
    SignInBySso,
}

/// Whether there is nothing to adopt: the directory's own, who signs in as it says.
pub(super) fn is_settled(user: &User) -> bool {
    user.origin == Origin::Provisioned && user.login_method == LoginMethod::Sso
}

/// Decides what a write of this profile makes of the person. Only a provider adopts by writing.
pub(super) async fn step(tx: &mut Tx, before: &User, after: &Profile, actor: &Actor) -> Result<Step, StoreError> {
    if actor.kind != ActorKind::Provider || is_settled(before) {
        return Ok(Step::Nothing);
    }
    match before.origin {
        Origin::Invited => {
            let domain = own_domain(before, after)?;
            if !Store::owns_domain_on(tx.on(), &before.workspace, &domain).await? {
                return Err(NotAdopted::DomainNotProven { domain }.into());
            }
            Ok(Step::Adopt(method(tx, before).await?))
        }
        Origin::Provisioned if waits(tx, before).await? && has_connection(tx, before).await? => Ok(Step::SignInBySso),
        Origin::Provisioned => Ok(Step::Nothing),
    }
}

/// A provider deletes whom it has written to before, and nobody else.
pub(super) fn permit_deletion(user: &User, actor: &Actor) -> Result<(), StoreError> {
    match (actor.kind, user.origin) {
        (ActorKind::Provider, Origin::Invited) => Err(NotAdopted::Deletion.into()),
        (ActorKind::Provider, Origin::Provisioned) | (ActorKind::Operator | ActorKind::User | ActorKind::System, _) => Ok(()),
    }
}

/// The domain that speaks for the person: of the name by which they were invited, which the write keeps.
fn own_domain(before: &User, after: &Profile) -> Result<String, NotAdopted> {
    if fold(&before.profile.user_name) != fold(&after.user_name) {
        return Err(NotAdopted::NameChanged);
    }
    let address = EmailAddress::parse(&before.profile.user_name).ok_or(NotAdopted::NoAddress)?;
    Ok(address.domain().to_owned())
}

impl Step {
    pub(super) fn is_nothing(self) -> bool {
        self == Self::Nothing
    }

    /// Whether the sessions that a password made end by it.
    pub(super) fn ends_sessions(self, before: &User) -> bool {
        match self {
            Self::Nothing => false,
            Self::Adopt(method) => method != before.login_method,
            Self::SignInBySso => true,
        }
    }

    /// The row of the log, where the sessions end.
    pub(super) fn draft(before: &User) -> Draft {
        Draft::end(&before.workspace, vec![Scope::User { id: before.id.clone() }], ADOPTED)
    }

    /// The origin and the login method of the person afterwards.
    pub(super) fn applied(self, before: &User) -> (Origin, LoginMethod) {
        match self {
            Self::Nothing => (before.origin, before.login_method),
            Self::Adopt(method) => (Origin::Provisioned, method),
            Self::SignInBySso => (Origin::Provisioned, LoginMethod::Sso),
        }
    }

    /// Writes it. With the password goes every way to set one.
    pub(super) async fn carry_out(self, tx: &mut Tx, before: &User, actor: &Actor) -> Result<(), StoreError> {
        if self.is_nothing() {
            return Ok(());
        }
        let (workspace, id) = (before.workspace.as_str(), before.id.as_str());
        let (origin, method) = self.applied(before);
        let (now, waits) = (tx.now().0, method == LoginMethod::Password);
        sqlx::query(SET).bind(workspace).bind(id).bind(origin.as_str()).bind(method.as_str()).execute(tx.on()).await?;
        sqlx::query(NOTE)
            .bind(workspace)
            .bind(id)
            .bind(now)
            .bind(actor.kind.as_str())
            .bind(&actor.id)
            .bind(i64::from(waits))
            .execute(tx.on())
            .await?;
        if method == LoginMethod::Sso {
            // Invitations before passwords, in the order in which somebody who accepts one touches them.
            for statement in [CLEAR_INVITATIONS, CLEAR_PASSWORD] {
                sqlx::query(statement).bind(workspace).bind(id).execute(tx.on()).await?;
            }
        }
        let detail = json!({ "login_method": method, "waits_for_connection": waits });
        tx.audit(&before.workspace, actor, ADOPTED, id, &detail).await
    }
}

/// How an adopted person signs in: by SSO, as soon as that is possible at all.
async fn method(tx: &mut Tx, user: &User) -> Result<LoginMethod, StoreError> {
    let has_connection = has_connection(tx, user).await?;
    Ok(if has_connection { LoginMethod::Sso } else { user.login_method })
}

async fn has_connection(tx: &mut Tx, user: &User) -> Result<bool, StoreError> {
    Ok(sqlx::query(IN_USE).bind(user.workspace.as_str()).fetch_optional(tx.on()).await?.is_some())
}

async fn waits(tx: &mut Tx, user: &User) -> Result<bool, StoreError> {
    let row = sqlx::query(WAITS).bind(user.workspace.as_str()).bind(user.id.as_str()).fetch_optional(tx.on()).await?;
    row.map_or(Ok(false), |row| Columns::of(&row, "adoption").flag("waits"))
}

/// Whose login method was chosen by somebody keeps it.
pub(super) async fn settle_method(tx: &mut Tx, workspace: &WorkspaceId, id: &UserId) -> Result<(), StoreError> {
    sqlx::query(WAIT_NO_MORE).bind(workspace.as_str()).bind(id.as_str()).execute(tx.on()).await?;
    Ok(())
}

impl Store {
    /// Takes somebody who was invited into the directory by an operator's or admin's word. Whoever belongs to it already stays as
    /// they are; the answer waits for what an earlier request ended all the same.
    pub async fn adopt_user(
        &self,
        workspace: &WorkspaceId,
        id: &UserId,
        actor: &Actor,
    ) -> Result<(User, Settlement), StoreError> {
        let mut tx = self.begin().await?;
        let before = users::lock(&mut tx, workspace, id).await?;
        let step = match before.origin {
            Origin::Invited => Step::Adopt(method(&mut tx, &before).await?),
            Origin::Provisioned if waits(&mut tx, &before).await? && has_connection(&mut tx, &before).await? => Step::SignInBySso,
            Origin::Provisioned => Step::Nothing,
        };
        if step.is_nothing() {
            tx.roll_back().await?;
            let settlement = Settlement::of_earlier(before.ended_seq);
            return Ok((before, settlement));
        }
        step.carry_out(&mut tx, &before, actor).await?;
        let (origin, login_method) = step.applied(&before);
        let mut after = User { origin, login_method, version: before.version + 1, ..before.clone() };
        let mut settlement = Settlement::of_earlier(before.ended_seq);
        if step.ends_sessions(&before) {
            settlement = tx.append(Step::draft(&before)).await?;
            after.ended_seq = settlement.through;
            users::set_ended(&mut tx, workspace, id, after.ended_seq).await?;
        }
        tx.commit().await?;
        Ok((after, settlement))
    }

    /// When and by whom somebody was adopted; `None` for whom the provider created and for whom it does not own.
    pub async fn adoption(&self, workspace: &WorkspaceId, id: &UserId) -> Result<Option<Adoption>, StoreError> {
        let row = sqlx::query(ONE).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(&self.pool).await?;
        row.map(|row| {
            let columns = Columns::of(&row, "adoption");
            Ok(Adoption {
                at: columns.time("at")?,
                actor: Actor { kind: columns.parsed("actor_kind")?, id: columns.text("actor_id")? },
                waits: columns.flag("waits")?,
            })
        })
        .transpose()
    }
}
