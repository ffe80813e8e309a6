//! Group membership as rows: adding or removing costs what is added or removed, never the size of the group.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{
    Store, StoreError,
    batch::{filled, places},
    row::Columns,
    tx::Tx,
};
use crate::{
    id::{GroupId, UserId, WorkspaceId},
    model::{
        group::{Member, MemberChange},
        members::Members,
    },
};

/// The columns of a member, as it is shown.
macro_rules! members_shown {
    () => {
        "SELECT m.member_id, m.display, u.user_name, g.display_name FROM group_members m
        LEFT JOIN users u ON u.workspace_id = m.workspace_id AND u.id = m.member_id
        LEFT JOIN groups g ON g.workspace_id = m.workspace_id AND g.id = m.member_id
        WHERE m.workspace_id = $1 AND m.group_id = $2"
    };
}

pub(super) const OF_GROUP: &str = concat!(members_shown!(), " AND m.member_id > $3 ORDER BY m.member_id LIMIT $4");
pub(super) const NAMED: &str = concat!(members_shown!(), " AND m.member_id = $3");
/// Whether there is anybody behind so many.
pub(super) const BEHIND: &str = "
    SELECT member_id FROM group_members WHERE workspace_id = $1 AND group_id = $2 ORDER BY member_id LIMIT 1 OFFSET $3";
const IDS: &str = "SELECT member_id FROM group_members WHERE workspace_id = $1 AND group_id = $2";
const IDS_AFTER: &str = "
    SELECT member_id FROM group_members WHERE workspace_id = $1 AND group_id = $2 AND member_id > $3 ORDER BY member_id LIMIT $4";
pub(super) const OF_USER: &str = "
    SELECT m.member_id, g.id, g.display_name FROM group_members m
    JOIN groups g ON g.workspace_id = m.workspace_id AND g.id = m.group_id
    WHERE m.workspace_id = $1 AND m.member_id = $2 ORDER BY g.display_name_key, g.id";
/// How much lies between two ids, PostgreSQL has to guess: for one user it would read all groups.
const OF_USERS: &str = "
    SELECT m.member_id, g.id, g.display_name FROM group_members m
    JOIN groups g ON g.workspace_id = m.workspace_id AND g.id = m.group_id
    WHERE m.workspace_id = $1 AND m.member_id >= $2 AND m.member_id <= $3 ORDER BY g.display_name_key, g.id";

/// How many members are read at a time.
const STRETCH: u32 = 500;
/// Rows in one statement. 128 keeps well under the parameter limits of both engines.
const BATCH: usize = 128;
/// Up to here, single statements cost less than a batch that is filled up.
const FEW: usize = 4;

/// `INSERT … VALUES ($1, $2, $3, $4), ($1, $2, $5, $6), …`: built once, out of constants alone.
static INSERT_BATCH: LazyLock<String> = LazyLock::new(|| insert_text(BATCH));
static INSERT_ONE: LazyLock<String> = LazyLock::new(|| insert_text(1));
static DELETE_BATCH: LazyLock<String> = LazyLock::new(|| delete_text(BATCH));
static DELETE_ONE: LazyLock<String> = LazyLock::new(|| delete_text(1));

fn insert_text(rows: usize) -> String {
    let values: Vec<String> = (0..rows).map(|row| format!("($1, $2, ${}, ${})", 2 * row + 3, 2 * row + 4)).collect();
    format!(
        "INSERT INTO group_members (workspace_id, group_id, member_id, display) VALUES {}
         ON CONFLICT (workspace_id, group_id, member_id) DO NOTHING RETURNING member_id",
        values.join(", ")
    )
}

fn delete_text(rows: usize) -> String {
    format!(
        "DELETE FROM group_members WHERE workspace_id = $1 AND group_id = $2 AND member_id IN ({}) RETURNING member_id",
        places(3, rows)
    )
}

/// A group that a person is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRef {
    /// The group.
    pub id: GroupId,
    /// Its name.
    pub display_name: String,
}

impl Store {
    /// Everybody in a group at one moment. What a single reading holds is read by one statement; a larger group in a snapshot of its
    /// own, a stretch at a time, so that no more than a stretch is ever held unpacked.
    pub async fn members(&self, workspace: &WorkspaceId, group: &GroupId) -> Result<Members, StoreError> {
        let few = stretch(&self.pool, workspace, group, "").await?;
        if is_the_last(&few) {
            return Ok(few.into_iter().collect());
        }
        let mut snapshot = self.snapshot().await?;
        let members = by_stretches(&mut snapshot, workspace, group).await?;
        snapshot.rollback().await?;
        Ok(members)
    }

    /// The same of a group that has at most so many; of one that has more, `None`, before they are read.
    pub async fn members_within(
        &self,
        workspace: &WorkspaceId,
        group: &GroupId,
        most: usize,
    ) -> Result<Option<Members>, StoreError> {
        let few = stretch(&self.pool, workspace, group, "").await?;
        if few.len() > most {
            return Ok(None);
        }
        if is_the_last(&few) {
            return Ok(Some(few.into_iter().collect()));
        }
        let mut snapshot = self.snapshot().await?;
        let behind = sqlx::query(BEHIND).bind(workspace.as_str()).bind(group.as_str());
        let behind = behind.bind(i64::try_from(most).unwrap_or(i64::MAX)).fetch_optional(&mut *snapshot).await?;
        let members = match behind {
            Some(_) => None,
            None => Some(by_stretches(&mut snapshot, workspace, group).await?),
        };
        snapshot.rollback().await?;
        Ok(members)
    }

    /// Those of these ids that are members of the group, however large it is.
    pub async fn members_named(
        &self,
        workspace: &WorkspaceId,
        group: &GroupId,
        ids: impl IntoIterator<Item = &str>,
    ) -> Result<Vec<Member>, StoreError> {
        let mut named = Vec::new();
        for id in ids {
            let query = sqlx::query(NAMED).bind(workspace.as_str()).bind(group.as_str()).bind(id);
            named.extend(query.fetch_optional(&self.pool).await?.as_ref().map(member).transpose()?);
        }
        Ok(named)
    }

    /// The groups that a person is in.
    pub async fn groups_of(&self, workspace: &WorkspaceId, user: &UserId) -> Result<Vec<GroupRef>, StoreError> {
        let pairs = self.groups_of_range(workspace, user, user).await?;
        Ok(pairs.into_iter().map(|(_, group)| group).collect())
    }

    /// The memberships of everybody whose id lies from `first` to `last`: one query for a page of users.
    pub async fn groups_of_range(
        &self,
        workspace: &WorkspaceId,
        first: &UserId,
        last: &UserId,
    ) -> Result<Vec<(String, GroupRef)>, StoreError> {
        groups_between(&self.pool, workspace, first, last).await
    }
}

/// Everybody in a group, in the snapshot of a transaction.
async fn by_stretches(on: &mut sqlx::AnyConnection, workspace: &WorkspaceId, group: &GroupId) -> Result<Members, StoreError> {
    let (mut members, mut after) = (Members::default(), String::new());
    loop {
        let read = stretch(&mut *on, workspace, group, &after).await?;
        let is_last = is_the_last(&read);
        after = read.last().map(|member| member.id.clone()).unwrap_or_default();
        members.extend(read);
        if is_last {
            return Ok(members);
        }
    }
}

/// A stretch of a group behind `after`, in the order of ids.
async fn stretch(
    on: impl sqlx::AnyExecutor<'_>,
    workspace: &WorkspaceId,
    group: &GroupId,
    after: &str,
) -> Result<Vec<Member>, StoreError> {
    let query = sqlx::query(OF_GROUP).bind(workspace.as_str()).bind(group.as_str()).bind(after).bind(i64::from(STRETCH));
    query.fetch_all(on).await?.iter().map(member).collect()
}

fn is_the_last(stretch: &[Member]) -> bool {
    u32::try_from(stretch.len()).is_ok_and(|read| read < STRETCH)
}

fn member(row: &AnyRow) -> Result<Member, StoreError> {
    let columns = Columns::of(row, "member");
    let group_name = columns.optional_text("display_name")?;
    let user_name = columns.optional_text("user_name")?;
    let (is_group, is_pending) = (group_name.is_some(), group_name.is_none() && user_name.is_none());
    Ok(Member {
        id: columns.text("member_id")?,
        display: columns.optional_text("display")?.or(group_name).or(user_name),
        is_group,
        is_pending,
    })
}

pub(super) async fn groups_between(
    on: impl sqlx::AnyExecutor<'_>,
    workspace: &WorkspaceId,
    first: &UserId,
    last: &UserId,
) -> Result<Vec<(String, GroupRef)>, StoreError> {
    let rows = if first == last {
        sqlx::query(OF_USER).bind(workspace.as_str()).bind(first.as_str()).fetch_all(on).await?
    } else {
        sqlx::query(OF_USERS).bind(workspace.as_str()).bind(first.as_str()).bind(last.as_str()).fetch_all(on).await?
    };
    rows.iter()
        .map(|row| {
            let columns = Columns::of(row, "membership");
            Ok((columns.text("member_id")?, GroupRef { id: columns.parsed("id")?, display_name: columns.text("display_name")? }))
        })
        .collect()
}

/// The group of a row that may have none.
pub(super) fn group_shown(row: &AnyRow) -> Result<Option<GroupRef>, StoreError> {
    let columns = Columns::of(row, "membership");
    if columns.optional_text("id")?.is_none() {
        return Ok(None);
    }
    Ok(Some(GroupRef { id: columns.parsed("id")?, display_name: columns.text("display_name")? }))
}

/// Carries out the steps in their order; the answer names whose membership is not as it was, without repetition.
pub(super) async fn change(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    group: &GroupId,
    changes: &[MemberChange],
) -> Result<HashSet<String>, StoreError> {
    let (mut touched, mut names) = (HashSet::new(), Names::new());
    for step in changes {
        let moved = match step {
            MemberChange::Name(called) => {
                names.extend(called.iter().map(|(id, name)| (id.as_str(), name.as_str())));
                continue;
            }
            MemberChange::Add(ids) => rows(tx, workspace, group, ids, Rows::Added(&names)).await?,
            MemberChange::Remove(ids) => rows(tx, workspace, group, ids, Rows::Gone).await?,
            MemberChange::Replace(ids) => {
                let wanted: HashSet<&str> = ids.iter().map(String::as_str).collect();
                let gone: Vec<String> =
                    all(tx, workspace, group).await?.into_iter().filter(|id| !wanted.contains(id.as_str())).collect();
                let mut moved = rows(tx, workspace, group, &gone, Rows::Gone).await?;
                moved.extend(rows(tx, workspace, group, ids, Rows::Added(&names)).await?);
                moved
            }
        };
        for id in moved {
            // Added and removed again within one request is as it was.
            if !touched.remove(&id) {
                touched.insert(id);
            }
        }
    }
    Ok(touched)
}

/// Every member's id. The rows are read as they come: what is held is the ids alone.
pub(super) async fn all(tx: &mut Tx, workspace: &WorkspaceId, group: &GroupId) -> Result<Vec<String>, StoreError> {
    let mut rows = sqlx::query(IDS).bind(workspace.as_str()).bind(group.as_str()).fetch(tx.on());
    let mut ids = Vec::new();
    while let Some(row) = rows.try_next().await? {
        ids.push(Columns::of(&row, "member").text("member_id")?);
    }
    Ok(ids)
}

/// The members whose ids may be a user's: all of them, or more than `many`.
pub(super) async fn people(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    group: &GroupId,
    many: usize,
) -> Result<Vec<String>, StoreError> {
    let (mut people, mut after) = (Vec::new(), String::new());
    loop {
        let query = sqlx::query(IDS_AFTER).bind(workspace.as_str()).bind(group.as_str()).bind(&after).bind(i64::from(STRETCH));
        let rows = query.fetch_all(tx.on()).await?;
        let is_last = u32::try_from(rows.len()).is_ok_and(|read| read < STRETCH);
        for row in &rows {
            after = Columns::of(row, "member").text("member_id")?;
            people.extend(UserId::parse(&after).is_ok().then(|| after.clone()));
        }
        if is_last || people.len() > many {
            return Ok(people);
        }
    }
}

/// What the provider calls members.
type Names<'n> = HashMap<&'n str, &'n str>;

/// What is to become of rows.
#[derive(Clone, Copy)]
enum Rows<'n> {
    Added(&'n Names<'n>),
    Gone,
}

impl Rows<'_> {
    fn batch(self) -> &'static str {
        match self {
            Self::Added(_) => &INSERT_BATCH,
            Self::Gone => &DELETE_BATCH,
        }
    }

    fn one(self) -> &'static str {
        match self {
            Self::Added(_) => &INSERT_ONE,
            Self::Gone => &DELETE_ONE,
        }
    }
}

async fn rows(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    group: &GroupId,
    ids: &[String],
    what: Rows<'_>,
) -> Result<Vec<String>, StoreError> {
    // Once each and in one order: two requests cannot lock each other out.
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut moved = Vec::new();
    for chunk in ids.chunks(BATCH) {
        if chunk.len() > FEW {
            // Filled up with its last: a row that is there already is not moved twice.
            let whole: Vec<&str> = filled(chunk, BATCH).collect();
            moved.extend(run(tx, workspace, group, &whole, what, what.batch()).await?);
        } else {
            for id in chunk {
                moved.extend(run(tx, workspace, group, std::slice::from_ref(id), what, what.one()).await?);
            }
        }
    }
    Ok(moved)
}

async fn run(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    group: &GroupId,
    ids: &[&str],
    what: Rows<'_>,
    text: &'static str,
) -> Result<Vec<String>, StoreError> {
    let mut query = sqlx::query(AssertSqlSafe(text)).bind(workspace.as_str()).bind(group.as_str());
    for id in ids {
        query = query.bind(*id);
        if let Rows::Added(names) = what {
            query = query.bind(names.get(id).copied());
        }
    }
    let rows = query.fetch_all(tx.on()).await?;
    rows.iter().map(|row| Columns::of(row, "member").text("member_id")).collect()
}
