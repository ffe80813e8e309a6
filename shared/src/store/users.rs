//! Users. A change reads the row under its lock, applies the caller's pure edit, and in the same transaction writes what it
//! takes away into the revocation log.

use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};
use sqlx::{
    Any,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{
    Settlement, Store, StoreError, access, adoption,
    error::EditError,
    guard::{self, Loss},
    many::{Index, Many, by_ids},
    members::GroupRef,
    row::{Columns, to_json},
    tx::Tx,
};
use crate::{
    clock::Timestamp,
    id::{UserId, WorkspaceId},
    model::{
        audit::Actor,
        revocation::{Draft, Scope, Seq},
        text::fold,
        user::{LoginMethod, Origin, Profile, User},
    },
};

/// The columns of a user, in every statement that reads one.
macro_rules! user_columns {
    () => {
        "workspace_id, id, user_name, external_id, active, attributes, origin, login_method, may_have_sessions, version, ended_seq,
        created_at, updated_at"
    };
}
pub(super) use user_columns;

pub(super) const INSERT: &str = "
    INSERT INTO users (workspace_id, id, user_name, user_name_key, external_id, active, attributes, origin, login_method,
        may_have_sessions, version, ended_seq, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $9 = 'sso' THEN 0 ELSE 1 END, 1, 0, $10, $10)";
pub(super) const ONE: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE workspace_id = $1 AND id = $2");
pub(super) const BY_USER_NAME: &str =
    concat!("SELECT ", user_columns!(), " FROM users WHERE workspace_id = $1 AND user_name_key = $2");
pub(super) const BY_EXTERNAL_ID: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users WHERE workspace_id = $1 AND external_id = $2 AND id > $3 ORDER BY id LIMIT $4"
);
pub(super) const BY_EMAIL: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM users WHERE workspace_id = $1 AND id IN
        (SELECT user_id FROM user_emails WHERE workspace_id = $1 AND email_key = $2 AND user_id > $3 ORDER BY user_id LIMIT $4)
    ORDER BY id"
);
pub(super) const AFTER: &str =
    concat!("SELECT ", user_columns!(), " FROM users WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $3");
const PAGE: &str = concat!("SELECT ", user_columns!(), " FROM users WHERE workspace_id = $1 ORDER BY id LIMIT $2 OFFSET $3");
const COUNT: &str = "SELECT COUNT(*) AS total FROM users WHERE workspace_id = $1";
static BY_IDS: LazyLock<String> = LazyLock::new(|| by_ids(concat!("SELECT ", user_columns!(), " FROM users")));
static USERS: Many<User> = Many { after: AFTER, page: PAGE, count: COUNT, named: &BY_IDS, read, id: |user| user.id.as_str() };
/// Takes the row's lock on both engines and reads it in one step.
const LOCK: &str =
    concat!("UPDATE users SET version = version + 1 WHERE workspace_id = $1 AND id = $2 RETURNING ", user_columns!());
/// Takes the row's lock before something is hung on the person by which they may sign in.
const HOLD: &str =
    concat!("UPDATE users SET may_have_sessions = 1 WHERE workspace_id = $1 AND id = $2 RETURNING ", user_columns!());
const UPDATE: &str = "
    UPDATE users SET user_name = $3, user_name_key = $4, external_id = $5, active = $6, attributes = $7, updated_at = $8
    WHERE workspace_id = $1 AND id = $2";
const SET_METHOD: &str = "
    UPDATE users SET login_method = $3, may_have_sessions = 1, updated_at = $4 WHERE workspace_id = $1 AND id = $2";
const SET_ENDED: &str = "UPDATE users SET ended_seq = $3 WHERE workspace_id = $1 AND id = $2";
const ADD_EMAIL: &str = "
    INSERT INTO user_emails (workspace_id, user_id, email_key) VALUES ($1, $2, $3)
    ON CONFLICT (workspace_id, email_key, user_id) DO NOTHING";
pub(super) const CLEAR_EMAILS: &str = "DELETE FROM user_emails WHERE workspace_id = $1 AND user_id = $2";
pub(super) const ENDED: &str = "
    SELECT ended_seq FROM users WHERE workspace_id = $1 AND id = $2
    UNION ALL
    SELECT ended_seq FROM user_tombstones WHERE workspace_id = $1 AND id = $2";

/// More people than this are not read by a value that was to name one.
pub(super) const NAMESAKES: u32 = 1_000;

/// A user to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewUser {
    /// What the directory says.
    pub profile: Profile,
    /// Where they come from.
    pub origin: Origin,
    /// How they sign in.
    pub login_method: LoginMethod,
}

/// What an indexed look-up goes by; texts are compared as [`fold`] says, ids and external ids exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserMatch {
    /// By id.
    Id(String),
    /// By user name.
    UserName(String),
    /// By the provider's own name.
    ExternalId(String),
    /// By any e-mail value.
    Email(String),
}

impl Store {
    /// Creates a user.
    pub async fn create_user(&self, workspace: &WorkspaceId, new: NewUser, actor: &Actor) -> Result<User, StoreError> {
        self.create_user_as(workspace, UserId::new(), new, actor).await
    }

    /// The same under an id that was made beforehand, so that others could refer to it.
    pub async fn create_user_as(
        &self,
        workspace: &WorkspaceId,
        id: UserId,
        new: NewUser,
        actor: &Actor,
    ) -> Result<User, StoreError> {
        let user = made(workspace, id, new, self.clock.now());
        let detail = json!({ "external_id": user.profile.external_id, "active": user.profile.active, "origin": user.origin });
        if user.profile.emails().count() <= 1 {
            self.create_at_once(&user, actor, &detail).await?;
            return Ok(user);
        }
        let mut tx = self.begin().await?;
        insert_row(&mut tx, &user).await?;
        tx.audit(workspace, actor, "user.created", user.id.as_str(), &detail).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Reads one user.
    pub async fn user(&self, workspace: &WorkspaceId, id: &UserId) -> Result<Option<User>, StoreError> {
        let row = sqlx::query(ONE).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(&self.pool).await?;
        let user = row.as_ref().map(read).transpose()?;
        if let Some(user) = &user {
            self.recent.remember(user);
        }
        Ok(user)
    }

    pub(super) async fn user_on(
        on: &mut sqlx::AnyConnection,
        workspace: &WorkspaceId,
        id: &UserId,
    ) -> Result<Option<User>, StoreError> {
        let row = sqlx::query(ONE).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(on).await?;
        row.as_ref().map(read).transpose()
    }

    /// The first thousand users that an indexed value names, in the order of ids.
    pub async fn users_matching(&self, workspace: &WorkspaceId, by: &UserMatch) -> Result<Vec<User>, StoreError> {
        Self::users_matching_on(&self.pool, workspace, by, None, NAMESAKES).await
    }

    /// Those of the users that an indexed value names who are behind `after` in the order of ids: any number may share an externalId
    /// or an address.
    pub async fn users_matching_after(
        &self,
        workspace: &WorkspaceId,
        by: &UserMatch,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        let users = Self::users_matching_on(&self.pool, workspace, by, after, limit).await?;
        if let [one] = users.as_slice() {
            self.recent.remember(one);
        }
        Ok(users)
    }

    pub(super) async fn users_matching_on(
        on: impl sqlx::AnyExecutor<'_>,
        workspace: &WorkspaceId,
        by: &UserMatch,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        let (statement, key, names_one) = match by {
            UserMatch::Id(id) => (ONE, id.clone(), true),
            UserMatch::UserName(name) => (BY_USER_NAME, fold(name), true),
            UserMatch::ExternalId(id) => (BY_EXTERNAL_ID, id.clone(), false),
            UserMatch::Email(address) => (BY_EMAIL, fold(address), false),
        };
        let index = Index { statement, key, names_one };
        USERS.matching(on, workspace, index, after.map(UserId::as_str), limit).await
    }

    /// The users behind `after` in the order of ids, which is that of their creation.
    pub async fn users_after(
        &self,
        workspace: &WorkspaceId,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        USERS.after(&self.pool, workspace, after.map(UserId::as_str), limit).await
    }

    /// Those of these users that there are, in the order of ids.
    pub async fn users_named(&self, workspace: &WorkspaceId, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        USERS.named(&self.pool, workspace, ids.iter().map(UserId::as_str)).await
    }

    /// The users of a page in the same order.
    pub async fn users_page(&self, workspace: &WorkspaceId, offset: u64, limit: u32) -> Result<Vec<User>, StoreError> {
        USERS.page(&self.pool, workspace, offset, limit).await
    }

    /// How many users the workspace has.
    pub async fn count_users(&self, workspace: &WorkspaceId) -> Result<u64, StoreError> {
        USERS.count(&self.pool, workspace).await
    }

    /// Changes a user by a pure edit of the current record, which may be tried on an earlier one first. An edit that changes nothing
    /// writes nothing. The settlement waits for what was last taken from the person, though an earlier request may have taken it.
    pub async fn update_user<E>(
        &self,
        workspace: &WorkspaceId,
        id: &UserId,
        actor: &Actor,
        edit: impl Fn(&User) -> Result<Profile, E>,
    ) -> Result<Changed, EditError<E>> {
        if let Some(changed) = self.change_remembered(workspace, id, actor, &edit).await? {
            return Ok(changed);
        }
        let glance = self.glance(workspace, id).await?.ok_or(StoreError::NotFound("user"))?;
        if !glance.user.may_have_sessions {
            let profile = edit(&glance.user).map_err(EditError::Refused)?;
            if let Some(changed) = self.change_quietly(&glance, profile, actor).await? {
                return Ok(changed);
            }
        }
        self.update_under_lock(workspace, id, actor, edit).await
    }

    async fn update_under_lock<E>(
        &self,
        workspace: &WorkspaceId,
        id: &UserId,
        actor: &Actor,
        edit: impl Fn(&User) -> Result<Profile, E>,
    ) -> Result<Changed, EditError<E>> {
        let mut tx = self.begin().await?;
        let before = lock(&mut tx, workspace, id).await?;
        let profile = edit(&before).map_err(EditError::Refused)?;
        let step = adoption::step(&mut tx, &before, &profile, actor).await?;
        if profile == before.profile && step.is_nothing() {
            tx.roll_back().await?;
            return Ok(Changed::not(before.into()));
        }
        let (origin, login_method) = step.applied(&before);
        let mut after = User { origin, login_method, ..before.edited(profile, tx.now()) };
        write(&mut tx, &before, &after).await?;
        step.carry_out(&mut tx, &before, actor).await?;
        let detail = json!({ "active": after.profile.active, "was_active": before.profile.active });
        tx.audit(workspace, actor, action(&before, &after), id.as_str(), &detail).await?;
        let roles = access::note_edited(&mut tx, &before, &after, actor).await?;
        let leaves = before.profile.active && !after.profile.active;
        if leaves {
            guard::pass(&mut tx, workspace, actor, Loss::Account(id)).await?;
        } else if !before.profile.active && after.profile.active {
            guard::recount(&mut tx, workspace, actor).await?;
        }
        if let Some(roles) = &roles {
            guard::pass_roles(&mut tx, workspace, actor, id, roles).await?;
        }
        let adopted = (!leaves && step.ends_sessions(&before)).then(|| adoption::Step::draft(&before));
        let settlement = match adopted.or_else(|| draft(&before, &after)) {
            Some(draft) => tx.append(draft).await?,
            None => Settlement::of_earlier(after.ended_seq),
        };
        if settlement.through > after.ended_seq {
            // Whatever the row says: a role, or the right to sign in by a password, may hang on any attribute.
            after.ended_seq = settlement.through;
            set_ended(&mut tx, workspace, id, after.ended_seq).await?;
        }
        tx.commit().await?;
        Ok(Changed { user: after.into(), settlement, groups: None })
    }

    /// What every answer about this user has to wait for, a refusal too: that their sessions know what was last taken from them.
    pub async fn end_of_user(&self, workspace: &WorkspaceId, id: &UserId) -> Result<Settlement, StoreError> {
        let row = sqlx::query(ENDED).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(&self.pool).await?;
        let ended = row.map(|row| Columns::of(&row, "user").number("ended_seq")).transpose()?;
        Ok(Settlement::of_earlier(Seq(ended.unwrap_or_default())))
    }

    /// Changes how a person signs in; their sessions end.
    pub async fn set_login_method(
        &self,
        workspace: &WorkspaceId,
        id: &UserId,
        method: LoginMethod,
        actor: &Actor,
    ) -> Result<Settlement, StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        let changed = sqlx::query(SET_METHOD)
            .bind(workspace.as_str())
            .bind(id.as_str())
            .bind(method.as_str())
            .bind(now)
            .execute(tx.on())
            .await?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::NotFound("user"));
        }
        adoption::settle_method(&mut tx, workspace, id).await?;
        tx.audit(workspace, actor, "user.login_method_changed", id.as_str(), &json!({ "method": method })).await?;
        let settlement =
            tx.append(Draft::end(workspace, vec![Scope::User { id: id.clone() }], "user.login_method_changed")).await?;
        set_ended(&mut tx, workspace, id, settlement.through).await?;
        tx.commit().await?;
        Ok(settlement)
    }
}

/// A user after a change.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "an answer may be given only after the settlement went through the barrier"]
pub struct Changed {
    /// The record.
    pub user: Arc<User>,
    /// What has to be settled before an answer is given.
    pub settlement: Settlement,
    /// The groups that they are in, where the write has shown them.
    pub groups: Option<Vec<GroupRef>>,
}

impl Changed {
    /// The record as it was and stays.
    pub(super) fn not(user: Arc<User>) -> Self {
        Self { settlement: Settlement::of_earlier(user.ended_seq), user, groups: None }
    }
}

pub(super) async fn insert(tx: &mut Tx, workspace: &WorkspaceId, id: UserId, new: NewUser) -> Result<User, StoreError> {
    let user = made(workspace, id, new, tx.now());
    insert_row(tx, &user).await?;
    Ok(user)
}

fn made(workspace: &WorkspaceId, id: UserId, new: NewUser, now: Timestamp) -> User {
    User {
        workspace: workspace.clone(),
        id,
        profile: new.profile,
        origin: new.origin,
        login_method: new.login_method,
        may_have_sessions: new.login_method != LoginMethod::Sso,
        version: 1,
        ended_seq: Seq::default(),
        created_at: now,
        updated_at: now,
    }
}

async fn insert_row(tx: &mut Tx, user: &User) -> Result<(), StoreError> {
    bind(sqlx::query(INSERT), user)?.execute(tx.on()).await?;
    add_emails(tx, user).await
}

/// Binds a new user to the first ten parameters.
pub(super) fn bind<'q>(query: Query<'q, Any, AnyArguments>, user: &'q User) -> Result<Query<'q, Any, AnyArguments>, StoreError> {
    Ok(query
        .bind(user.workspace.as_str())
        .bind(user.id.as_str())
        .bind(&user.profile.user_name)
        .bind(fold(&user.profile.user_name))
        .bind(&user.profile.external_id)
        .bind(i64::from(user.profile.active))
        .bind(to_json("user", &user.profile.attributes)?)
        .bind(user.origin.as_str())
        .bind(user.login_method.as_str())
        .bind(user.created_at.0))
}

async fn add_emails(tx: &mut Tx, user: &User) -> Result<(), StoreError> {
    for (address, _) in user.profile.emails() {
        sqlx::query(ADD_EMAIL).bind(user.workspace.as_str()).bind(user.id.as_str()).bind(fold(address)).execute(tx.on()).await?;
    }
    Ok(())
}

/// Takes the row's lock; the record is as it was before, its version included.
pub(super) async fn lock(tx: &mut Tx, workspace: &WorkspaceId, id: &UserId) -> Result<User, StoreError> {
    let row = sqlx::query(LOCK).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(tx.on()).await?;
    let mut user = row.as_ref().map(read).transpose()?.ok_or(StoreError::NotFound("user"))?;
    user.version -= 1;
    Ok(user)
}

/// Takes the row's lock without a change that is seen, so that what is about to be hung on the user is not overtaken by their deletion.
pub(super) async fn hold(tx: &mut Tx, workspace: &WorkspaceId, id: &UserId) -> Result<Option<User>, StoreError> {
    let row = sqlx::query(HOLD).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(tx.on()).await?;
    row.as_ref().map(read).transpose()
}

async fn write(tx: &mut Tx, before: &User, after: &User) -> Result<(), StoreError> {
    sqlx::query(UPDATE)
        .bind(after.workspace.as_str())
        .bind(after.id.as_str())
        .bind(&after.profile.user_name)
        .bind(fold(&after.profile.user_name))
        .bind(&after.profile.external_id)
        .bind(i64::from(after.profile.active))
        .bind(to_json("user", &after.profile.attributes)?)
        .bind(after.updated_at.0)
        .execute(tx.on())
        .await?;
    if before.profile.attributes.get("emails") != after.profile.attributes.get("emails") {
        sqlx::query(CLEAR_EMAILS).bind(after.workspace.as_str()).bind(after.id.as_str()).execute(tx.on()).await?;
        add_emails(tx, after).await?;
    }
    Ok(())
}

pub(super) async fn set_ended(tx: &mut Tx, workspace: &WorkspaceId, id: &UserId, seq: Seq) -> Result<(), StoreError> {
    sqlx::query(SET_ENDED).bind(workspace.as_str()).bind(id.as_str()).bind(seq.0).execute(tx.on()).await?;
    Ok(())
}

/// What a change of this user means for their sessions: what alters nobody's effective access writes no row.
fn draft(before: &User, after: &User) -> Option<Draft> {
    let scopes = vec![Scope::User { id: after.id.clone() }];
    match (before.profile.active, after.profile.active) {
        (true, false) => Some(Draft::end(&after.workspace, scopes, "user.deactivated")),
        // A row of its own, above the one that ended the old sessions: nothing is ever taken back from the log.
        (false, true) => Some(Draft::changed(&after.workspace, scopes, "user.reactivated")),
        // Whatever changed may be a claim of some app: which are is the gateways' configuration, and not known here.
        (true, true) => Some(Draft::changed(&after.workspace, scopes, "user.changed")),
        (false, false) => None,
    }
}

fn action(before: &User, after: &User) -> &'static str {
    match (before.profile.active, after.profile.active) {
        (true, false) => "user.deactivated",
        (false, true) => "user.reactivated",
        (true, true) | (false, false) => "user.changed",
    }
}

pub(super) fn read(row: &AnyRow) -> Result<User, StoreError> {
    let columns = Columns::of(row, "user");
    Ok(User {
        workspace: columns.parsed("workspace_id")?,
        id: columns.parsed("id")?,
        profile: Profile {
            user_name: columns.text("user_name")?,
            external_id: columns.optional_text("external_id")?,
            active: columns.flag("active")?,
            attributes: columns.json::<Map<String, Value>>("attributes")?,
        },
        origin: columns.parsed("origin")?,
        login_method: columns.parsed("login_method")?,
        may_have_sessions: columns.flag("may_have_sessions")?,
        version: columns.number("version")?,
        ended_seq: Seq(columns.number("ended_seq")?),
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
