//! Groups become access. The mapping is one document of the workspace; what it gives somebody is worked out where the person is
//! read, in the same snapshot, so that no derived copy can be out of date. Who gains and who loses by a change is written into the
//! audit trail, in the transaction of the change, at a cost that knows nothing of the size of a group.

use std::{
    collections::{BTreeSet, HashMap},
    sync::LazyLock,
};

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::{
    Settlement, Store, StoreError,
    batch::{filled, places},
    error::EditError,
    row::{Columns, to_json},
    tx::Tx,
};
use crate::{
    id::{AuditId, GroupId, UserId, WorkspaceId},
    model::{
        access::{Access, AccessName, Mapping},
        audit::Actor,
        revocation::{Draft, Scope},
        user::{Profile, User},
    },
};

const MAPPING: &str = "SELECT mapping FROM workspaces WHERE id = $1";
const LOCK: &str = "UPDATE workspaces SET mapping = mapping WHERE id = $1 RETURNING mapping";
const SET: &str = "UPDATE workspaces SET mapping = $2 WHERE id = $1";
const SOME_MEMBERS: &str = "SELECT member_id FROM group_members WHERE workspace_id = $1 AND group_id = $2 LIMIT $3";
const COUNT_MEMBERS: &str = "SELECT COUNT(*) AS total FROM group_members WHERE workspace_id = $1 AND group_id = $2";

/// How an entry about somebody's roles and teams is called.
const ACTION: &str = "access.changed";
/// More people than this in one change are one entry, about the group.
const NAMED_AT_MOST: usize = 200;
/// People in one statement, and groups beside them; a shorter list repeats its last.
const PEOPLE: usize = 100;
const GROUPS: usize = 50;
/// Entries in one statement.
const ENTRIES: usize = 20;

/// Built once, out of constants alone.
static ACTIVE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT id, user_name, external_id, attributes FROM users WHERE workspace_id = $1 AND active = 1 AND id IN ({})",
        places(2, PEOPLE)
    )
});
static MEMBERSHIPS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT member_id, group_id FROM group_members WHERE workspace_id = $1 AND member_id IN ({}) AND group_id IN ({})",
        places(2, PEOPLE),
        places(2 + PEOPLE, GROUPS)
    )
});
static ENTER: LazyLock<String> = LazyLock::new(|| {
    let rows: Vec<String> =
        (0..ENTRIES).map(|row| 6 + row * 3).map(|at| format!("($1, ${at}, $2, $3, $4, $5, ${}, ${})", at + 1, at + 2)).collect();
    format!("INSERT INTO audit (workspace_id, id, at, actor_kind, actor_id, action, target, detail) VALUES {}", rows.join(", "))
});

impl Store {
    /// Which roles and teams the people of a workspace have by their groups.
    pub async fn mapping(&self, workspace: &WorkspaceId) -> Result<Mapping, StoreError> {
        mapping_on(&self.pool, workspace).await
    }

    /// How many members a group has.
    pub async fn count_members(&self, workspace: &WorkspaceId, group: &GroupId) -> Result<u64, StoreError> {
        let row = sqlx::query(COUNT_MEMBERS).bind(workspace.as_str()).bind(group.as_str()).fetch_one(&self.pool).await?;
        Ok(u64::try_from(Columns::of(&row, "count").number("total")?).unwrap_or(0))
    }

    /// Changes the mapping by a pure edit of the current one. What changes nothing writes nothing; anything else has every session of
    /// the workspace read its person again.
    pub async fn update_mapping<E>(
        &self,
        workspace: &WorkspaceId,
        actor: &Actor,
        edit: impl FnOnce(&Mapping) -> Result<Mapping, E>,
    ) -> Result<(Mapping, Settlement), EditError<E>> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(LOCK).bind(workspace.as_str()).fetch_optional(tx.on()).await?;
        let row = row.ok_or(StoreError::NotFound("workspace"))?;
        let before: Mapping = Columns::of(&row, "mapping").json("mapping")?;
        let after = edit(&before).map_err(EditError::Refused)?;
        if after == before {
            tx.roll_back().await?;
            return Ok((after, Settlement::default()));
        }
        sqlx::query(SET).bind(workspace.as_str()).bind(to_json("mapping", &after)?).execute(tx.on()).await?;
        let detail = json!({ "before": before, "after": after });
        tx.audit(workspace, actor, "mapping.changed", workspace.as_str(), &detail).await?;
        if let Some(people) = few_people_of(&mut tx, workspace, &before, &after).await? {
            let change = Change { workspace, actor, because: "mapping.changed", before: &before, after: &after, moved: None };
            change.enter_each(&mut tx, people).await?;
        }
        let settlement = tx.append(Draft::changed(workspace, vec![Scope::Workspace], "mapping.changed")).await?;
        tx.commit().await?;
        Ok((after, settlement))
    }
}

/// The mapping, in the snapshot of a transaction where there is one.
pub(super) async fn mapping_on(
    on: impl sqlx::Executor<'_, Database = sqlx::Any>,
    workspace: &WorkspaceId,
) -> Result<Mapping, StoreError> {
    let row = sqlx::query(MAPPING).bind(workspace.as_str()).fetch_optional(on).await?;
    row.map_or(Ok(Mapping::default()), |row| Columns::of(&row, "mapping").json("mapping"))
}

/// Enters who gained or lost what, when these people came into a group or went out of it. To be called when the rows are changed.
pub(super) async fn note_moved(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    actor: &Actor,
    group: &GroupId,
    people: impl Iterator<Item = &String>,
    because: &'static str,
) -> Result<(), StoreError> {
    let people: Vec<UserId> = people.filter_map(|id| UserId::parse(id).ok()).collect();
    if people.is_empty() {
        return Ok(());
    }
    let mapping = mapping_on(tx.on(), workspace).await?;
    let Some(rule) = mapping.rules.iter().find(|rule| rule.group == *group) else { return Ok(()) };
    if people.len() > NAMED_AT_MOST {
        let detail = json!({ "because": because, "people": people.len(), "roles": rule.roles, "teams": rule.teams });
        return tx.audit(workspace, actor, ACTION, group.as_str(), &detail).await;
    }
    let change = Change { workspace, actor, because, before: &mapping, after: &mapping, moved: Some(group) };
    change.enter_each(tx, people).await
}

/// The roles that somebody's own record gave before a change, and those that it gives after it.
#[derive(Debug)]
pub(super) struct OwnRoles {
    pub(super) before: BTreeSet<AccessName>,
    pub(super) after: BTreeSet<AccessName>,
}

/// Enters what somebody with access gained or lost when their own record changed, and says what it gives, where that is something else.
pub(super) async fn note_edited(tx: &mut Tx, before: &User, after: &User, actor: &Actor) -> Result<Option<OwnRoles>, StoreError> {
    if before.profile == (Profile { active: before.profile.active, ..after.profile.clone() }) {
        return Ok(None);
    }
    let mapping = mapping_on(tx.on(), &after.workspace).await?;
    let Some(attribute) = &mapping.role_attribute else { return Ok(None) };
    if attribute.path.of(&before.profile) == attribute.path.of(&after.profile) {
        return Ok(None);
    }
    let roles = OwnRoles { before: attribute.granted(&before.profile), after: attribute.granted(&after.profile) };
    if before.profile.active && after.profile.active {
        let change = Change {
            workspace: &after.workspace,
            actor,
            because: "user.changed",
            before: &mapping,
            after: &mapping,
            moved: None,
        };
        let groups = change.groups_of(tx, std::slice::from_ref(&after.id)).await?.remove(after.id.as_str()).unwrap_or_default();
        let (was, is) = (mapping.grant(&groups, &before.profile), mapping.grant(&groups, &after.profile));
        if let Some(detail) = change.detail(&was, &is) {
            tx.audit(&after.workspace, actor, ACTION, after.id.as_str(), &detail).await?;
        }
    }
    Ok((roles.before != roles.after).then_some(roles))
}

/// Whether somebody's own record gives the same roles and teams before and after.
pub(super) fn gives_the_same(mapping: &Mapping, before: &Profile, after: &Profile) -> bool {
    mapping.role_attribute.as_ref().is_none_or(|attribute| attribute.path.of(before) == attribute.path.of(after))
}

/// Whom a change of the mapping can concern, if it is a few: the members of the groups whose rules are not as they were.
async fn few_people_of(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    before: &Mapping,
    after: &Mapping,
) -> Result<Option<Vec<UserId>>, StoreError> {
    let of_all = |mapping: &Mapping| (mapping.default.clone(), mapping.precedence.clone(), mapping.role_attribute.clone());
    if of_all(before) != of_all(after) {
        return Ok(None);
    }
    let mut people = Vec::new();
    let changed = |rule: &&_| !(before.rules.contains(rule) && after.rules.contains(rule));
    for rule in before.rules.iter().chain(&after.rules).filter(changed) {
        let rows = sqlx::query(SOME_MEMBERS)
            .bind(workspace.as_str())
            .bind(rule.group.as_str())
            .bind(i64::try_from(NAMED_AT_MOST + 1).unwrap_or(i64::MAX))
            .fetch_all(tx.on())
            .await?;
        for row in &rows {
            people.extend(UserId::parse(&Columns::of(row, "member").text("member_id")?).ok());
        }
        people.sort_unstable();
        people.dedup();
        if people.len() > NAMED_AT_MOST {
            return Ok(None);
        }
    }
    Ok(Some(people))
}

/// A change by which people may gain or lose roles and teams.
struct Change<'a> {
    workspace: &'a WorkspaceId,
    actor: &'a Actor,
    because: &'static str,
    before: &'a Mapping,
    after: &'a Mapping,
    /// The group that each of the people was in before or is in after it, but not both.
    moved: Option<&'a GroupId>,
}

impl Change<'_> {
    /// Enters what it did to each of these people, of whom there are a few.
    async fn enter_each(&self, tx: &mut Tx, mut people: Vec<UserId>) -> Result<(), StoreError> {
        people.sort_unstable();
        let mut entries = Vec::new();
        for batch in people.chunks(PEOPLE) {
            let mut groups = self.groups_of(tx, batch).await?;
            for (id, profile) in self.active(tx, batch).await? {
                let is_in = groups.remove(id.as_str()).unwrap_or_default();
                let (was, is) = (self.before.grant(&self.earlier(&is_in), &profile), self.after.grant(&is_in, &profile));
                entries.extend(self.detail(&was, &is).map(|detail| (id, detail)));
            }
        }
        self.enter(tx, &entries).await
    }

    fn earlier(&self, groups: &[GroupId]) -> Vec<GroupId> {
        let Some(moved) = self.moved else { return groups.to_vec() };
        let others = groups.iter().filter(|group| *group != moved).cloned();
        if groups.contains(moved) { others.collect() } else { others.chain([moved.clone()]).collect() }
    }

    /// In which of the groups that count these people are.
    async fn groups_of(&self, tx: &mut Tx, people: &[UserId]) -> Result<HashMap<String, Vec<GroupId>>, StoreError> {
        let mut groups: Vec<&str> = self.before.rules.iter().chain(&self.after.rules).map(|rule| rule.group.as_str()).collect();
        groups.sort_unstable();
        groups.dedup();
        let people: Vec<&str> = people.iter().map(UserId::as_str).collect();
        let mut found: HashMap<String, Vec<GroupId>> = HashMap::new();
        for some in groups.chunks(GROUPS) {
            let query = sqlx::query(AssertSqlSafe(MEMBERSHIPS.as_str())).bind(self.workspace.as_str());
            let query = filled(&people, PEOPLE).chain(filled(some, GROUPS)).fold(query, |query, id| query.bind(id.to_owned()));
            for row in &query.fetch_all(tx.on()).await? {
                let columns = Columns::of(row, "membership");
                found.entry(columns.text("member_id")?).or_default().push(columns.parsed("group_id")?);
            }
        }
        Ok(found)
    }

    /// Whoever of them may have access at all.
    async fn active(&self, tx: &mut Tx, people: &[UserId]) -> Result<Vec<(UserId, Profile)>, StoreError> {
        let ids: Vec<&str> = people.iter().map(UserId::as_str).collect();
        let query = sqlx::query(AssertSqlSafe(ACTIVE.as_str())).bind(self.workspace.as_str());
        let query = filled(&ids, PEOPLE).fold(query, |query, id| query.bind(id.to_owned()));
        let rows = query.fetch_all(tx.on()).await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::of(row, "user");
                let profile = Profile {
                    user_name: columns.text("user_name")?,
                    external_id: columns.optional_text("external_id")?,
                    active: true,
                    attributes: columns.json("attributes")?,
                };
                Ok((columns.parsed("id")?, profile))
            })
            .collect()
    }

    /// What there is to enter; `None` if nothing changed.
    fn detail(&self, was: &Access, is: &Access) -> Option<Value> {
        let entry = json!({ "because": self.because, "group": self.moved, "gained": is.without(was), "lost": was.without(is) });
        (was != is).then_some(entry)
    }

    async fn enter(&self, tx: &mut Tx, entries: &[(UserId, Value)]) -> Result<(), StoreError> {
        let mut batches = entries.chunks_exact(ENTRIES);
        for batch in &mut batches {
            let mut query = sqlx::query(AssertSqlSafe(ENTER.as_str()))
                .bind(self.workspace.as_str())
                .bind(tx.now().0)
                .bind(self.actor.kind.as_str())
                .bind(&self.actor.id)
                .bind(ACTION);
            for (person, detail) in batch {
                query = query.bind(AuditId::new().to_string()).bind(person.as_str()).bind(to_json("audit record", detail)?);
            }
            query.execute(tx.on()).await?;
        }
        for (person, detail) in batches.remainder() {
            tx.audit(self.workspace, self.actor, ACTION, person.as_str(), detail).await?;
        }
        Ok(())
    }
}
