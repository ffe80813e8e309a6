//! Reads of what a workspace has many of: by an indexed value, by the stretch, by page, by id. Users and groups differ in their
//! statements and in nothing else.

use std::sync::LazyLock;

use sqlx::{AnyExecutor, AssertSqlSafe, any::AnyRow};

use super::{
    StoreError,
    batch::{filled, places},
    row::Columns,
};
use crate::id::WorkspaceId;

/// How many a statement names.
const NAMED: usize = 128;

/// The statements that read one noun, and how a row of it reads. Every list is in the order of ids, which is that of creation.
pub(super) struct Many<R> {
    pub(super) after: &'static str,
    pub(super) page: &'static str,
    pub(super) count: &'static str,
    pub(super) named: &'static LazyLock<String>,
    pub(super) read: fn(&AnyRow) -> Result<R, StoreError>,
    pub(super) id: fn(&R) -> &str,
}

/// What an indexed look-up binds: a statement that names one at the most, or one that goes on behind an id.
pub(super) struct Index {
    pub(super) statement: &'static str,
    pub(super) key: String,
    pub(super) names_one: bool,
}

/// The text of `named`: `select` by ids, built out of constants alone.
pub(super) fn by_ids(select: &str) -> String {
    format!("{select} WHERE workspace_id = $1 AND id IN ({}) ORDER BY id", places(2, NAMED))
}

impl<R> Many<R> {
    /// Those that an indexed value names, behind an id.
    pub(super) async fn matching(
        &self,
        on: impl AnyExecutor<'_>,
        workspace: &WorkspaceId,
        index: Index,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<R>, StoreError> {
        let mut query = sqlx::query(index.statement).bind(workspace.as_str()).bind(index.key);
        if !index.names_one {
            query = query.bind(after.unwrap_or_default().to_owned()).bind(i64::from(limit));
        }
        let mut found = self.all(&query.fetch_all(on).await?)?;
        found.retain(|record| after.is_none_or(|after| (self.id)(record) > after));
        Ok(found)
    }

    /// Those behind an id.
    pub(super) async fn after(
        &self,
        on: impl AnyExecutor<'_>,
        workspace: &WorkspaceId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<R>, StoreError> {
        let query = sqlx::query(self.after).bind(workspace.as_str()).bind(after.unwrap_or_default()).bind(i64::from(limit));
        self.all(&query.fetch_all(on).await?)
    }

    /// Those of a page.
    pub(super) async fn page(
        &self,
        on: impl AnyExecutor<'_>,
        workspace: &WorkspaceId,
        offset: u64,
        limit: u32,
    ) -> Result<Vec<R>, StoreError> {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let query = sqlx::query(self.page).bind(workspace.as_str()).bind(i64::from(limit)).bind(offset);
        self.all(&query.fetch_all(on).await?)
    }

    /// How many there are.
    pub(super) async fn count(&self, on: impl AnyExecutor<'_>, workspace: &WorkspaceId) -> Result<u64, StoreError> {
        let row = sqlx::query(self.count).bind(workspace.as_str()).fetch_one(on).await?;
        Ok(u64::try_from(Columns::of(&row, "count").number("total")?).unwrap_or(0))
    }

    /// Those of these ids that there are.
    pub(super) async fn named<'i, E: AnyExecutor<'i> + Copy>(
        &self,
        on: E,
        workspace: &WorkspaceId,
        ids: impl Iterator<Item = &str>,
    ) -> Result<Vec<R>, StoreError> {
        let mut ids: Vec<&str> = ids.collect();
        ids.sort_unstable();
        let mut found = Vec::with_capacity(ids.len());
        for batch in ids.chunks(NAMED) {
            let query = sqlx::query(AssertSqlSafe(self.named.as_str())).bind(workspace.as_str());
            let rows = filled(batch, NAMED).fold(query, |query, id| query.bind(id.to_owned())).fetch_all(on).await?;
            found.extend(self.all(&rows)?);
        }
        Ok(found)
    }

    fn all(&self, rows: &[AnyRow]) -> Result<Vec<R>, StoreError> {
        rows.iter().map(self.read).collect()
    }
}
