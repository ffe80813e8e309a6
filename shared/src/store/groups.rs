//! Groups. Their attributes are a document, their members are rows; a change locks the group's row, so that changes of one
//! group follow each other.

use std::{collections::HashSet, sync::LazyLock};

use serde_json::{Map, Value, json};
use sqlx::any::AnyRow;

use super::{
    Settlement, Store, StoreError, access,
    deletion::TAKEN_BACK,
    error::EditError,
    guard::{self, Loss},
    many::{Index, Many, by_ids},
    members, newcomers,
    row::{Columns, to_json},
    tx::Tx,
    users::NAMESAKES,
};
use crate::{
    id::{GroupId, UserId, WorkspaceId},
    model::{
        audit::Actor,
        group::{Group, GroupProfile, MemberChange, taken_out},
        revocation::{Draft, Scope, Seq},
        text::fold,
    },
};

/// The columns of a group, in every statement that reads one.
macro_rules! group_columns {
    () => {
        "workspace_id, id, display_name, external_id, attributes, version, changed_seq, created_at, updated_at"
    };
}

const INSERT: &str = "
    INSERT INTO groups (workspace_id, id, display_name, display_name_key, external_id, attributes, version, changed_seq, created_at,
        updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, 1, 0, $7, $7)";
pub(super) const ONE: &str = concat!("SELECT ", group_columns!(), " FROM groups WHERE workspace_id = $1 AND id = $2");
pub(super) const BY_NAME: &str =
    concat!("SELECT ", group_columns!(), " FROM groups WHERE workspace_id = $1 AND display_name_key = $2");
pub(super) const BY_EXTERNAL_ID: &str =
    concat!("SELECT ", group_columns!(), " FROM groups WHERE workspace_id = $1 AND external_id = $2");
pub(super) const BY_MEMBER: &str = concat!(
    "SELECT ",
    group_columns!(),
    " FROM groups WHERE workspace_id = $1 AND id IN
        (SELECT group_id FROM group_members WHERE workspace_id = $1 AND member_id = $2 AND group_id > $3 ORDER BY group_id LIMIT $4)
    ORDER BY id"
);
pub(super) const AFTER: &str =
    concat!("SELECT ", group_columns!(), " FROM groups WHERE workspace_id = $1 AND id > $2 ORDER BY id LIMIT $3");
const PAGE: &str = concat!("SELECT ", group_columns!(), " FROM groups WHERE workspace_id = $1 ORDER BY id LIMIT $2 OFFSET $3");
const COUNT: &str = "SELECT COUNT(*) AS total FROM groups WHERE workspace_id = $1";
static BY_IDS: LazyLock<String> = LazyLock::new(|| by_ids(concat!("SELECT ", group_columns!(), " FROM groups")));
static GROUPS: Many<Group> = Many { after: AFTER, page: PAGE, count: COUNT, named: &BY_IDS, read, id: |group| group.id.as_str() };
const LOCK: &str =
    concat!("UPDATE groups SET version = version + 1 WHERE workspace_id = $1 AND id = $2 RETURNING ", group_columns!());
const UPDATE: &str = "
    UPDATE groups SET display_name = $3, display_name_key = $4, external_id = $5, attributes = $6, updated_at = $7
    WHERE workspace_id = $1 AND id = $2";
const SET_CHANGED: &str = "UPDATE groups SET changed_seq = $3 WHERE workspace_id = $1 AND id = $2";
const CLEAR_MEMBERS: &str = "DELETE FROM group_members WHERE workspace_id = $1 AND group_id = $2";
const CLEAR_MEMBERSHIPS: &str = "DELETE FROM group_members WHERE workspace_id = $1 AND member_id = $2";
const DELETE: &str = "DELETE FROM groups WHERE workspace_id = $1 AND id = $2";
const BURY: &str = "
    INSERT INTO group_tombstones (workspace_id, id, changed_seq, deleted_at) VALUES ($1, $2, $3, $4)";
pub(super) const CHANGED: &str = "
    SELECT changed_seq FROM groups WHERE workspace_id = $1 AND id = $2
    UNION ALL
    SELECT changed_seq FROM group_tombstones WHERE workspace_id = $1 AND id = $2";
const TOMBSTONE: &str = "SELECT changed_seq FROM group_tombstones WHERE workspace_id = $1 AND id = $2";

/// More people than this in one change are named by their workspace instead: each of its sessions reads its person again.
const NAMED_AT_MOST: usize = 200;

/// What an indexed look-up goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupMatch {
    /// By id.
    Id(String),
    /// By display name, as [`fold`] compares.
    DisplayName(String),
    /// By the provider's own name.
    ExternalId(String),
    /// By a member's id.
    Member(String),
}

/// What became of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupDeletion {
    /// The group was there and is gone.
    Now(Settlement),
    /// It had been deleted before; the answer still waits for what that took away.
    Before(Settlement),
    /// There never was such a group in this workspace.
    Never,
}

impl Store {
    /// Creates a group with these members.
    pub async fn create_group(
        &self,
        workspace: &WorkspaceId,
        profile: GroupProfile,
        member_ids: Vec<String>,
        actor: &Actor,
    ) -> Result<(Group, Settlement), StoreError> {
        self.create_group_as(workspace, GroupId::new(), profile, &[MemberChange::Add(member_ids)], actor).await
    }

    /// The same by steps, under an id that was made beforehand, so that others could refer to it.
    pub async fn create_group_as(
        &self,
        workspace: &WorkspaceId,
        id: GroupId,
        profile: GroupProfile,
        members: &[MemberChange],
        actor: &Actor,
    ) -> Result<(Group, Settlement), StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now();
        let mut group = Group {
            workspace: workspace.clone(),
            id,
            profile,
            version: 1,
            changed_seq: Seq::default(),
            created_at: now,
            updated_at: now,
        };
        sqlx::query(INSERT)
            .bind(workspace.as_str())
            .bind(group.id.as_str())
            .bind(&group.profile.display_name)
            .bind(fold(&group.profile.display_name))
            .bind(&group.profile.external_id)
            .bind(to_json("group", &group.profile.attributes)?)
            .bind(now.0)
            .execute(tx.on())
            .await?;
        let newcomers = newcomers::hold(&mut tx, workspace, members, NAMED_AT_MOST).await?;
        let mut touched = members::change(&mut tx, workspace, &group.id, members).await?;
        tx.audit(workspace, actor, "group.created", group.id.as_str(), &json!({ "members": touched.len() })).await?;
        touched.retain(|id| !newcomers.contains(id));
        let settlement = append_changed(&mut tx, workspace, touched, "group.created").await?;
        note_changed(&mut tx, &mut group, &settlement).await?;
        tx.commit().await?;
        Ok((group, settlement))
    }

    /// Reads one group, without its members.
    pub async fn group(&self, workspace: &WorkspaceId, id: &GroupId) -> Result<Option<Group>, StoreError> {
        let row = sqlx::query(ONE).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(&self.pool).await?;
        row.as_ref().map(read).transpose()
    }

    /// The first thousand groups that an indexed value names, in the order of ids.
    pub async fn groups_matching(&self, workspace: &WorkspaceId, by: &GroupMatch) -> Result<Vec<Group>, StoreError> {
        self.groups_matching_after(workspace, by, None, NAMESAKES).await
    }

    /// Those of the groups that an indexed value names which are behind `after` in the order of ids.
    pub async fn groups_matching_after(
        &self,
        workspace: &WorkspaceId,
        by: &GroupMatch,
        after: Option<&GroupId>,
        limit: u32,
    ) -> Result<Vec<Group>, StoreError> {
        let (statement, key, names_one) = match by {
            GroupMatch::Id(id) => (ONE, id.clone(), true),
            GroupMatch::DisplayName(name) => (BY_NAME, fold(name), true),
            GroupMatch::ExternalId(id) => (BY_EXTERNAL_ID, id.clone(), true),
            GroupMatch::Member(id) => (BY_MEMBER, id.clone(), false),
        };
        let index = Index { statement, key, names_one };
        GROUPS.matching(&self.pool, workspace, index, after.map(GroupId::as_str), limit).await
    }

    /// The groups behind `after` in the order of ids, which is that of their creation.
    pub async fn groups_after(
        &self,
        workspace: &WorkspaceId,
        after: Option<&GroupId>,
        limit: u32,
    ) -> Result<Vec<Group>, StoreError> {
        GROUPS.after(&self.pool, workspace, after.map(GroupId::as_str), limit).await
    }

    /// Those of these groups that there are, in the order of ids.
    pub async fn groups_named(&self, workspace: &WorkspaceId, ids: &[GroupId]) -> Result<Vec<Group>, StoreError> {
        GROUPS.named(&self.pool, workspace, ids.iter().map(GroupId::as_str)).await
    }

    /// The groups of a page in the same order.
    pub async fn groups_page(&self, workspace: &WorkspaceId, offset: u64, limit: u32) -> Result<Vec<Group>, StoreError> {
        GROUPS.page(&self.pool, workspace, offset, limit).await
    }

    /// How many groups the workspace has.
    pub async fn count_groups(&self, workspace: &WorkspaceId) -> Result<u64, StoreError> {
        GROUPS.count(&self.pool, workspace).await
    }

    /// Changes a group by a pure edit of the current record and by steps of membership, all or nothing. What changes nothing
    /// writes nothing, but still waits for what an earlier request took away.
    pub async fn update_group<E>(
        &self,
        workspace: &WorkspaceId,
        id: &GroupId,
        actor: &Actor,
        edit: impl FnOnce(&Group) -> Result<(GroupProfile, Vec<MemberChange>), E>,
    ) -> Result<(Group, Settlement), EditError<E>> {
        let mut tx = self.begin().await?;
        let before = lock(&mut tx, workspace, id).await?;
        let (profile, steps) = edit(&before).map_err(EditError::Refused)?;
        let newcomers = newcomers::hold(&mut tx, workspace, &steps, NAMED_AT_MOST).await?;
        let mut touched = members::change(&mut tx, workspace, id, &steps).await?;
        if profile == before.profile && touched.is_empty() {
            tx.roll_back().await?;
            let settlement = Settlement::of_earlier(before.changed_seq);
            return Ok((before, settlement));
        }
        let mut after = Group { profile, version: before.version + 1, updated_at: tx.now(), ..before.clone() };
        write(&mut tx, &after).await?;
        let detail = json!({ "memberships_changed": touched.len() });
        tx.audit(workspace, actor, "group.changed", id.as_str(), &detail).await?;
        access::note_moved(&mut tx, workspace, actor, id, touched.iter(), "group.changed").await?;
        guard::pass(&mut tx, workspace, actor, Loss::Group(id, &taken_out(&steps, &touched))).await?;
        if before.profile.display_name != after.profile.display_name {
            touched.extend(members::people(&mut tx, workspace, id, NAMED_AT_MOST).await?);
        }
        touched.retain(|id| !newcomers.contains(id));
        let settlement = append_changed(&mut tx, workspace, touched, "group.changed").await?.or_earlier(before.changed_seq);
        note_changed(&mut tx, &mut after, &settlement).await?;
        tx.commit().await?;
        Ok((after, settlement))
    }

    /// What every answer about this group has to wait for, a refusal too: that its members' sessions know what was taken from them.
    pub async fn end_of_group(&self, workspace: &WorkspaceId, id: &GroupId) -> Result<Settlement, StoreError> {
        let row = sqlx::query(CHANGED).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(&self.pool).await?;
        let changed = row.map(|row| Columns::of(&row, "group").number("changed_seq")).transpose()?;
        Ok(Settlement::of_earlier(Seq(changed.unwrap_or_default())))
    }

    /// Deletes a group and its memberships.
    pub async fn delete_group(&self, workspace: &WorkspaceId, id: &GroupId, actor: &Actor) -> Result<GroupDeletion, StoreError> {
        self.delete_group_if(workspace, id, actor, |_| Ok(())).await.map_err(EditError::unrefused)
    }

    /// The same, if `permit` says so of the record as it is.
    pub async fn delete_group_if<E>(
        &self,
        workspace: &WorkspaceId,
        id: &GroupId,
        actor: &Actor,
        permit: impl FnOnce(&Group) -> Result<(), E>,
    ) -> Result<GroupDeletion, EditError<E>> {
        self.remove_group(workspace, id, (actor, None), permit).await
    }

    /// Takes back a group that a request has made in vain a moment ago, as [`Store::take_user_back`] does somebody.
    pub async fn take_group_back(&self, workspace: &WorkspaceId, id: &GroupId) -> Result<GroupDeletion, StoreError> {
        let by = (&Actor::system(), Some(TAKEN_BACK));
        self.remove_group(workspace, id, by, |_| Ok(())).await.map_err(EditError::unrefused)
    }

    async fn remove_group<E>(
        &self,
        workspace: &WorkspaceId,
        id: &GroupId,
        (actor, because): (&Actor, Option<&'static str>),
        permit: impl FnOnce(&Group) -> Result<(), E>,
    ) -> Result<GroupDeletion, EditError<E>> {
        let mut tx = self.begin().await?;
        let before = match lock(&mut tx, workspace, id).await {
            Ok(before) => before,
            Err(StoreError::NotFound(_)) => {
                let grave = sqlx::query(TOMBSTONE).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(tx.on()).await?;
                let Some(grave) = grave else { return Ok(GroupDeletion::Never) };
                let changed = Seq(Columns::of(&grave, "tombstone").number("changed_seq")?);
                return Ok(GroupDeletion::Before(Settlement::of_earlier(changed)));
            }
            Err(error) => return Err(error.into()),
        };
        permit(&before).map_err(EditError::Refused)?;
        let touched: HashSet<String> = members::all(&mut tx, workspace, id).await?.into_iter().collect();
        for statement in [CLEAR_MEMBERS, CLEAR_MEMBERSHIPS, DELETE] {
            sqlx::query(statement).bind(workspace.as_str()).bind(id.as_str()).execute(tx.on()).await?;
        }
        let mut detail = Map::from_iter([("members".to_owned(), json!(touched.len()))]);
        detail.extend(because.map(|because| ("because".to_owned(), json!(because))));
        tx.audit(workspace, actor, "group.deleted", id.as_str(), &Value::Object(detail)).await?;
        access::note_moved(&mut tx, workspace, actor, id, touched.iter(), "group.deleted").await?;
        let members: Vec<&str> = touched.iter().map(String::as_str).collect();
        guard::pass(&mut tx, workspace, actor, Loss::Group(id, &members)).await?;
        let now = tx.now().0;
        let settlement = append_changed(&mut tx, workspace, touched, "group.deleted").await?.or_earlier(before.changed_seq);
        sqlx::query(BURY)
            .bind(workspace.as_str())
            .bind(id.as_str())
            .bind(settlement.through.0)
            .bind(now)
            .execute(tx.on())
            .await?;
        tx.commit().await?;
        Ok(GroupDeletion::Now(settlement))
    }
}

/// Tells the sessions of everybody whose groups changed to read their person again. Ids that are no user's cannot have sessions.
async fn append_changed(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    touched: HashSet<String>,
    reason: &'static str,
) -> Result<Settlement, StoreError> {
    let mut ids: Vec<UserId> = touched.iter().filter_map(|id| UserId::parse(id).ok()).collect();
    if ids.is_empty() {
        return Ok(Settlement::default());
    }
    let scopes = if ids.len() > NAMED_AT_MOST {
        vec![Scope::Workspace]
    } else {
        ids.sort_unstable();
        ids.into_iter().map(|id| Scope::User { id }).collect()
    };
    tx.append(Draft::changed(workspace, scopes, reason)).await
}

async fn note_changed(tx: &mut Tx, group: &mut Group, settlement: &Settlement) -> Result<(), StoreError> {
    if settlement.through > group.changed_seq {
        group.changed_seq = settlement.through;
        let seq = group.changed_seq.0;
        sqlx::query(SET_CHANGED).bind(group.workspace.as_str()).bind(group.id.as_str()).bind(seq).execute(tx.on()).await?;
    }
    Ok(())
}

async fn lock(tx: &mut Tx, workspace: &WorkspaceId, id: &GroupId) -> Result<Group, StoreError> {
    let row = sqlx::query(LOCK).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(tx.on()).await?;
    let mut group = row.as_ref().map(read).transpose()?.ok_or(StoreError::NotFound("group"))?;
    group.version -= 1;
    Ok(group)
}

async fn write(tx: &mut Tx, after: &Group) -> Result<(), StoreError> {
    sqlx::query(UPDATE)
        .bind(after.workspace.as_str())
        .bind(after.id.as_str())
        .bind(&after.profile.display_name)
        .bind(fold(&after.profile.display_name))
        .bind(&after.profile.external_id)
        .bind(to_json("group", &after.profile.attributes)?)
        .bind(after.updated_at.0)
        .execute(tx.on())
        .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<Group, StoreError> {
    let columns = Columns::of(row, "group");
    Ok(Group {
        workspace: columns.parsed("workspace_id")?,
        id: columns.parsed("id")?,
        profile: GroupProfile {
            display_name: columns.text("display_name")?,
            external_id: columns.optional_text("external_id")?,
            attributes: columns.json::<Map<String, Value>>("attributes")?,
        },
        version: columns.number("version")?,
        changed_seq: Seq(columns.number("changed_seq")?),
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
