//! The two writes that a directory sends by the thousand: somebody new, and a change of somebody who has never signed in, of which
//! nobody's session has to hear. Everything else about users takes the long way, under the row's lock.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{
    Store, StoreError, access, adoption,
    at_once::AtOnce,
    row::{Columns, to_json},
    users::{self, user_columns},
};
use crate::{
    id::{AuditId, UserId, WorkspaceId},
    model::{
        access::Mapping,
        audit::Actor,
        text::fold,
        user::{Profile, User},
    },
};

const NOTE_CREATED: &str = "
    INSERT INTO audit (workspace_id, id, at, actor_kind, actor_id, action, target, detail)
    SELECT $1, $11, $10, $12, $13, 'user.created', $2, $14 FROM changed";
const ADD_EMAIL: &str = "
    INSERT INTO user_emails (workspace_id, user_id, email_key) SELECT $1, $2, $15 WHERE $15 IS NOT NULL";
pub(super) const READ: &str = concat!(
    "SELECT ",
    user_columns!(),
    ", may_have_sessions, (SELECT mapping FROM workspaces WHERE id = $1) AS mapping FROM users WHERE workspace_id = $1 AND id = $2"
);
/// Nothing of the record that was read has changed, and still nobody has signed in. A gateway of the version before links people
/// without raising the flag: the link says so as well.
pub(super) const CHANGE: &str = "
    UPDATE users SET user_name = $4, user_name_key = $5, external_id = $6, attributes = $7, updated_at = $8, version = version + 1
    WHERE workspace_id = $1 AND id = $2 AND version = $3 AND may_have_sessions = 0
        AND NOT EXISTS (SELECT 1 FROM links WHERE workspace_id = $1 AND user_id = $2)
    RETURNING 1";
const NOTE_CHANGED: &str = "
    INSERT INTO audit (workspace_id, id, at, actor_kind, actor_id, action, target, detail)
    SELECT $1, $9, $8, $10, $11, 'user.changed', $2, $12 FROM changed";

static CREATE: LazyLock<AtOnce> =
    LazyLock::new(|| AtOnce::new(&format!("{} RETURNING 1", users::INSERT), NOTE_CREATED, &[ADD_EMAIL]));
static QUIET_CHANGE: LazyLock<AtOnce> = LazyLock::new(|| AtOnce::new(CHANGE, NOTE_CHANGED, &[]));

/// A user as read without a lock, and the mapping beside them.
pub(super) struct Glance {
    pub(super) user: User,
    pub(super) may_have_sessions: bool,
    mapping: Mapping,
}

impl Glance {
    /// Whether nobody but the record has to know of the change: no session, no index beside it, no role, no adoption.
    fn is_quiet(&self, after: &Profile) -> bool {
        let before = &self.user.profile;
        !self.may_have_sessions
            && adoption::is_settled(&self.user)
            && before.active
            && after.active
            && before.attributes.get("emails") == after.attributes.get("emails")
            && access::gives_the_same(&self.mapping, before, after)
    }
}

impl Store {
    /// Creates a user who has one address at the most.
    pub(super) async fn create_at_once(&self, user: &User, actor: &Actor, detail: &Value) -> Result<(), StoreError> {
        let email = user.profile.emails().next();
        let write = users::bind(sqlx::query(CREATE.text(self.engine)), user)?
            .bind(AuditId::new().to_string())
            .bind(actor.kind.as_str())
            .bind(&actor.id)
            .bind(to_json("audit record", detail)?)
            .bind(email.map(|(address, _)| fold(address)));
        self.at_once(write).await.map(drop)
    }

    pub(super) async fn glance(&self, workspace: &WorkspaceId, id: &UserId) -> Result<Option<Glance>, StoreError> {
        let row = sqlx::query(READ).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(&self.pool).await?;
        row.map(|row| {
            let columns = Columns::of(&row, "user");
            let (may_have_sessions, mapping) = (columns.flag("may_have_sessions")?, columns.json("mapping")?);
            Ok(Glance { user: users::read(&row)?, may_have_sessions, mapping })
        })
        .transpose()
    }

    /// Writes the record as it shall be; `None` if the change is not quiet or anything came in between.
    pub(super) async fn change_quietly(
        &self,
        glance: &Glance,
        profile: Profile,
        actor: &Actor,
    ) -> Result<Option<User>, StoreError> {
        let before = &glance.user;
        if !glance.is_quiet(&profile) {
            return Ok(None);
        }
        if profile == before.profile {
            return Ok(Some(before.clone()));
        }
        let after = User { profile, version: before.version + 1, updated_at: self.clock.now(), ..before.clone() };
        let write = sqlx::query(QUIET_CHANGE.text(self.engine))
            .bind(after.workspace.as_str())
            .bind(after.id.as_str())
            .bind(before.version)
            .bind(&after.profile.user_name)
            .bind(fold(&after.profile.user_name))
            .bind(&after.profile.external_id)
            .bind(to_json("user", &after.profile.attributes)?)
            .bind(after.updated_at.0)
            .bind(AuditId::new().to_string())
            .bind(actor.kind.as_str())
            .bind(&actor.id)
            .bind(to_json("audit record", &json!({ "active": true, "was_active": true }))?);
        Ok(self.at_once(write).await?.then_some(after))
    }
}
