//! Links by an operator's or admin's word: which identity of a connection is whose. What sign-in itself links stands in `people`.
//! Nobody's identity is taken from them here, and that of somebody who was deleted is handed on only by saying so.

use serde_json::json;
use sqlx::any::AnyRow;

use super::{
    Settlement, Store, StoreError,
    error::EditError,
    people::{add_link, linked_user, of_identity},
    row::Columns,
    users,
};
use crate::{
    clock::Timestamp,
    id::{ConnectionId, UserId, WorkspaceId},
    model::{
        audit::Actor,
        revocation::{Draft, Scope},
        session::ProviderIdentity,
    },
};

const OF_USER: &str = "
    SELECT connection_id, issuer, subject, created_at FROM links WHERE workspace_id = $1 AND user_id = $2 ORDER BY connection_id";
const AT_CONNECTION: &str = "
    SELECT subject FROM links WHERE workspace_id = $1 AND user_id = $2 AND connection_id = $3";
const FORMERLY: &str = "
    SELECT user_id, ended_at FROM former_links
    WHERE workspace_id = $1 AND connection_id = $2 AND issuer = $3 AND subject = $4";
const REMOVE: &str = "
    DELETE FROM links WHERE workspace_id = $1 AND user_id = $2 AND connection_id = $3
    RETURNING connection_id, issuer, subject, created_at";

/// What a revocation and the audit trail call the end of a link.
const UNLINKED: &str = "user.unlinked";

/// An identity of a provider that is a person's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedIdentity {
    /// The connection.
    pub connection: ConnectionId,
    /// The issuer.
    pub issuer: String,
    /// The provider's `sub`.
    pub subject: String,
    /// Since when.
    pub since: Timestamp,
}

/// What is to become of an identity that was somebody's who was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormerIdentity {
    /// It is nobody's: the provider may have given it to somebody else, or not.
    Keep,
    /// It is this person's from now on.
    HandOn,
}

/// Why a link is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLinked {
    /// It is somebody else's.
    #[error("the identity is linked to user {0} already")]
    Taken(UserId),
    /// The person has another one at this connection.
    #[error("the person is linked to another identity of this connection, '{subject}'")]
    LinkedToAnother {
        /// Which.
        subject: String,
    },
    /// It was somebody's who was deleted.
    #[error("the identity was user {user}'s, who was deleted at {at}")]
    Former {
        /// Whose.
        user: UserId,
        /// When they were deleted.
        at: Timestamp,
    },
}

impl Store {
    /// Links a person to an identity; `false` if they are linked to it already.
    pub async fn link(
        &self,
        workspace: &WorkspaceId,
        identity: &ProviderIdentity,
        user: &UserId,
        former: FormerIdentity,
        actor: &Actor,
    ) -> Result<bool, EditError<NotLinked>> {
        let mut tx = self.begin().await?;
        // From here on they may have sessions, and their deletion comes before or after this.
        users::hold(&mut tx, workspace, user).await?.ok_or(StoreError::NotFound("user"))?;
        if let Some(owner) = linked_user(&mut tx, workspace, identity).await? {
            return if owner == *user { Ok(false) } else { Err(EditError::Refused(NotLinked::Taken(owner))) };
        }
        let theirs = sqlx::query(AT_CONNECTION)
            .bind(workspace.as_str())
            .bind(user.as_str())
            .bind(identity.connection.as_str())
            .fetch_optional(tx.on())
            .await?;
        if let Some(row) = theirs {
            let subject = Columns::of(&row, "link").text("subject")?;
            return Err(EditError::Refused(NotLinked::LinkedToAnother { subject }));
        }
        if let Some(row) = of_identity(FORMERLY, workspace, identity).fetch_optional(tx.on()).await? {
            let columns = Columns::of(&row, "former link");
            let (owner, at) = (columns.parsed::<UserId>("user_id")?, columns.time("ended_at")?);
            if former == FormerIdentity::Keep {
                return Err(EditError::Refused(NotLinked::Former { user: owner, at }));
            }
            let detail = json!({ "connection": identity.connection, "subject": identity.subject, "from": owner });
            tx.audit(workspace, actor, "user.identity_handed_on", user.as_str(), &detail).await?;
        }
        add_link(&mut tx, workspace, identity, user, actor).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a person's identity at a connection away, and ends the sessions made by it; `None` if they have none there. The answer
    /// waits for what an earlier request ended all the same.
    pub async fn unlink(
        &self,
        workspace: &WorkspaceId,
        user: &UserId,
        connection: &ConnectionId,
        actor: &Actor,
    ) -> Result<(Option<LinkedIdentity>, Settlement), StoreError> {
        let mut tx = self.begin().await?;
        let before = users::hold(&mut tx, workspace, user).await?.ok_or(StoreError::NotFound("user"))?;
        let removed = sqlx::query(REMOVE)
            .bind(workspace.as_str())
            .bind(user.as_str())
            .bind(connection.as_str())
            .fetch_optional(tx.on())
            .await?;
        let Some(row) = removed else {
            tx.roll_back().await?;
            return Ok((None, Settlement::of_earlier(before.ended_seq)));
        };
        let link = read(&row)?;
        let detail = json!({ "connection": link.connection, "issuer": link.issuer, "subject": link.subject });
        tx.audit(workspace, actor, UNLINKED, user.as_str(), &detail).await?;
        let scope = Scope::Subject { connection: link.connection.clone(), subject: link.subject.clone() };
        let settlement = tx.append(Draft::end(workspace, vec![scope], UNLINKED)).await?;
        users::set_ended(&mut tx, workspace, user, settlement.through).await?;
        tx.commit().await?;
        Ok((Some(link), settlement))
    }

    /// The identities that are a person's.
    pub async fn links(&self, workspace: &WorkspaceId, user: &UserId) -> Result<Vec<LinkedIdentity>, StoreError> {
        let rows = sqlx::query(OF_USER).bind(workspace.as_str()).bind(user.as_str()).fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &AnyRow) -> Result<LinkedIdentity, StoreError> {
    let columns = Columns::of(row, "link");
    Ok(LinkedIdentity {
        connection: columns.parsed("connection_id")?,
        issuer: columns.text("issuer")?,
        subject: columns.text("subject")?,
        since: columns.time("created_at")?,
    })
}
