//! The two writes that a directory sends by the thousand: somebody new, and a change of somebody who has never signed in, of which
//! nobody's session has to hear. Everything else about users takes the long way, under the row's lock.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::{
    Changed, Settlement, Store, StoreError, access, adoption,
    at_once::{AtOnce, Parts},
    members,
    recent::StoredMapping,
    row::{Columns, to_json},
    users::{self, user_columns},
};
use crate::{
    id::{AuditId, UserId, WorkspaceId},
    model::{
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
    ", (SELECT mapping FROM workspaces WHERE id = $1) AS mapping FROM users WHERE workspace_id = $1 AND id = $2"
);
/// Nothing of the record that was read has changed, nor the mapping, and still nobody has signed in. A gateway of the version before
/// links people without raising the flag: the link says so as well.
pub(super) const CHANGE: &str = "
    UPDATE users SET user_name = $4, user_name_key = $5, external_id = $6, attributes = $7, updated_at = $8, version = version + 1
    WHERE workspace_id = $1 AND id = $2 AND version = $3 AND may_have_sessions = 0
        AND NOT EXISTS (SELECT 1 FROM links WHERE workspace_id = $1 AND user_id = $2)
        AND EXISTS (SELECT 1 FROM workspaces WHERE id = $1 AND mapping = $9)";
const NOTE_CHANGED: &str = "
    INSERT INTO audit (workspace_id, id, at, actor_kind, actor_id, action, target, detail)
    SELECT $1, $10, $8, $11, $12, 'user.changed', $2, $13 FROM changed";

/// The groups of whoever was changed, as their own statement shows them.
const GROUPS: &str = ", g.id, g.display_name FROM changed
    LEFT JOIN group_members m ON m.workspace_id = $1 AND m.member_id = $2
    LEFT JOIN groups g ON g.workspace_id = m.workspace_id AND g.id = m.group_id
    ORDER BY g.display_name_key, g.id";

static CREATE: LazyLock<AtOnce> = LazyLock::new(|| {
    AtOnce::new(Parts { change: users::INSERT, note: NOTE_CREATED, rest: &[ADD_EMAIL], shown: " FROM changed" })
});
static QUIET_CHANGE: LazyLock<AtOnce> =
    LazyLock::new(|| AtOnce::new(Parts { change: CHANGE, note: NOTE_CHANGED, rest: &[], shown: GROUPS }));

/// A user as read without a lock, and the mapping beside them.
pub(super) struct Glance {
    pub(super) user: Arc<User>,
    mapping: Arc<StoredMapping>,
}

impl Glance {
    /// Whether nobody but the record has to know of the change: no session, no index beside it, no role, no adoption.
    fn is_quiet(&self, after: &Profile) -> bool {
        let before = &self.user.profile;
        !self.user.may_have_sessions
            && adoption::is_settled(&self.user)
            && before.active
            && after.active
            && before.attributes.get("emails") == after.attributes.get("emails")
            && access::gives_the_same(&self.mapping.mapping, before, after)
    }
}

impl Store {
    /// Creates a user who has one address at the most.
    pub(super) async fn create_at_once(&self, user: &User, actor: &Actor, detail: &Value) -> Result<(), StoreError> {
        let email = user.profile.emails().next();
        let detail = to_json("audit record", detail)?;
        let write = self.at_once(&CREATE, |query| {
            Ok(users::bind(query, user)?
                .bind(AuditId::new().to_string())
                .bind(actor.kind.as_str())
                .bind(&actor.id)
                .bind(detail)
                .bind(email.map(|(address, _)| fold(address))))
        });
        write.await?;
        self.recent.remember(user);
        Ok(())
    }

    pub(super) async fn glance(&self, workspace: &WorkspaceId, id: &UserId) -> Result<Option<Glance>, StoreError> {
        let row = sqlx::query(READ).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        let columns = Columns::of(&row, "user");
        let mapping = Arc::new(StoredMapping { mapping: columns.json("mapping")?, text: columns.text("mapping")? });
        self.recent.remember_mapping(workspace, mapping.clone());
        Ok(Some(Glance { user: Arc::new(users::read(&row)?), mapping }))
    }

    /// Changes somebody as they were a moment ago; `None` if nothing was done, since nobody remembers them, they are not the same any
    /// more, or the edit comes to anything but a quiet change. Then the record has to be read.
    pub(super) async fn change_remembered<E>(
        &self,
        workspace: &WorkspaceId,
        id: &UserId,
        actor: &Actor,
        edit: impl Fn(&User) -> Result<Profile, E>,
    ) -> Result<Option<Changed>, StoreError> {
        let Some((user, mapping)) = self.recent.of(workspace, id) else { return Ok(None) };
        let glance = Glance { user, mapping };
        let Ok(profile) = edit(&glance.user) else { return Ok(None) };
        if profile == glance.user.profile {
            return Ok(None);
        }
        self.change_quietly(&glance, profile, actor).await
    }

    /// Writes the record as it shall be; `None` if the change is not quiet or anything came in between.
    pub(super) async fn change_quietly(
        &self,
        glance: &Glance,
        profile: Profile,
        actor: &Actor,
    ) -> Result<Option<Changed>, StoreError> {
        let before = &glance.user;
        if !glance.is_quiet(&profile) {
            return Ok(None);
        }
        if profile == before.profile {
            return Ok(Some(Changed::not(before.clone())));
        }
        let after = Arc::new(before.edited(profile, self.clock.now()));
        let attributes = to_json("user", &after.profile.attributes)?;
        let write = self.at_once(&QUIET_CHANGE, |query| {
            Ok(query
                .bind(after.workspace.as_str())
                .bind(after.id.as_str())
                .bind(before.version)
                .bind(&after.profile.user_name)
                .bind(fold(&after.profile.user_name))
                .bind(&after.profile.external_id)
                .bind(attributes)
                .bind(after.updated_at.0)
                .bind(&glance.mapping.text)
                .bind(AuditId::new().to_string())
                .bind(actor.kind.as_str())
                .bind(&actor.id)
                .bind(to_json("audit record", &json!({ "active": true, "was_active": true }))?))
        });
        let shown = write.await?;
        if shown.is_empty() {
            self.recent.forget(&after.workspace, &after.id);
            return Ok(None);
        }
        self.recent.share(&after);
        let groups = shown.iter().filter_map(|row| members::group_shown(row).transpose()).collect::<Result<_, _>>()?;
        let settlement = Settlement::of_earlier(after.ended_seq);
        Ok(Some(Changed { user: after, settlement, groups: Some(groups) }))
    }
}
