//! Deletes users, with everything by which they could come back, and remembers that they were there.

use serde_json::{Value, json};

use super::{
    Settlement, Store, StoreError, adoption,
    error::EditError,
    former_links,
    guard::{self, Loss},
    row::Columns,
    users::{self, CLEAR_EMAILS},
};
use crate::{
    id::{UserId, WorkspaceId},
    model::{
        audit::Actor,
        revocation::{Draft, Scope, Seq},
        user::User,
    },
};

const CLEAR_MEMBERSHIPS: &str = "DELETE FROM group_members WHERE workspace_id = $1 AND member_id = $2";
const CLEAR_LINKS: &str = "DELETE FROM links WHERE workspace_id = $1 AND user_id = $2";
const CLEAR_PASSWORD: &str = "DELETE FROM passwords WHERE workspace_id = $1 AND user_id = $2";
const CLEAR_INVITATIONS: &str = "DELETE FROM invitations WHERE workspace_id = $1 AND user_id = $2";
const CLEAR_ADOPTION: &str = "DELETE FROM adoptions WHERE workspace_id = $1 AND user_id = $2";
const DELETE: &str = "DELETE FROM users WHERE workspace_id = $1 AND id = $2";
const BURY: &str = "
    INSERT INTO user_tombstones (workspace_id, id, ended_seq, deleted_at) VALUES ($1, $2, $3, $4)";
const TOMBSTONE: &str = "SELECT ended_seq FROM user_tombstones WHERE workspace_id = $1 AND id = $2";

/// Why something is gone that one request has made and taken back, as the audit trail says it.
pub(super) const TAKEN_BACK: &str = "bulk.taken_back";

/// What became of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// The user was there and is gone.
    Now(Settlement),
    /// The user had been deleted before; the answer still waits for the end of their access.
    Before(Settlement),
    /// There never was such a user in this workspace.
    Never,
}

impl Store {
    /// Deletes a user and everything by which they could come back; the audit trail stays.
    pub async fn delete_user(&self, workspace: &WorkspaceId, id: &UserId, actor: &Actor) -> Result<Deletion, StoreError> {
        self.delete_user_if(workspace, id, actor, |_| Ok(())).await.map_err(EditError::unrefused)
    }

    /// The same, if `permit` says so of the record as it is.
    pub async fn delete_user_if<E>(
        &self,
        workspace: &WorkspaceId,
        id: &UserId,
        actor: &Actor,
        permit: impl FnOnce(&User) -> Result<(), E>,
    ) -> Result<Deletion, EditError<E>> {
        self.remove_user(workspace, id, (actor, json!({})), permit).await
    }

    /// Takes back somebody whom a request has made in vain a moment ago. Nobody loses by it what they had, so it is Lockstep's own
    /// deed, and no departure to the guard, which watches the provider.
    pub async fn take_user_back(&self, workspace: &WorkspaceId, id: &UserId) -> Result<Deletion, StoreError> {
        let by = (&Actor::system(), json!({ "because": TAKEN_BACK }));
        self.remove_user(workspace, id, by, |_| Ok(())).await.map_err(EditError::unrefused)
    }

    async fn remove_user<E>(
        &self,
        workspace: &WorkspaceId,
        id: &UserId,
        (actor, detail): (&Actor, Value),
        permit: impl FnOnce(&User) -> Result<(), E>,
    ) -> Result<Deletion, EditError<E>> {
        let mut tx = self.begin().await?;
        let user = match users::lock(&mut tx, workspace, id).await {
            Ok(user) => {
                permit(&user).map_err(EditError::Refused)?;
                adoption::permit_deletion(&user, actor)?;
                user
            }
            Err(StoreError::NotFound(_)) => {
                let grave = sqlx::query(TOMBSTONE).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(tx.on()).await?;
                let Some(grave) = grave else { return Ok(Deletion::Never) };
                let ended = Seq(Columns::of(&grave, "tombstone").number("ended_seq")?);
                return Ok(Deletion::Before(Settlement::of_earlier(ended)));
            }
            Err(error) => return Err(error.into()),
        };
        former_links::remember(&mut tx, &user).await?;
        // Invitations before passwords, in the order in which somebody who accepts one touches them.
        for statement in [CLEAR_EMAILS, CLEAR_MEMBERSHIPS, CLEAR_LINKS, CLEAR_INVITATIONS, CLEAR_PASSWORD, CLEAR_ADOPTION, DELETE]
        {
            sqlx::query(statement).bind(workspace.as_str()).bind(id.as_str()).execute(tx.on()).await?;
        }
        tx.audit(workspace, actor, "user.deleted", id.as_str(), &detail).await?;
        if user.profile.active {
            guard::pass(&mut tx, workspace, actor, Loss::Account(id)).await?;
        }
        let now = tx.now().0;
        let settlement = tx.append(Draft::end(workspace, vec![Scope::User { id: id.clone() }], "user.deleted")).await?;
        sqlx::query(BURY)
            .bind(workspace.as_str())
            .bind(id.as_str())
            .bind(settlement.through.0)
            .bind(now)
            .execute(tx.on())
            .await?;
        tx.commit().await?;
        Ok(Deletion::Now(settlement))
    }
}
