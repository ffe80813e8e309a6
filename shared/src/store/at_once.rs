//! Writes that need no look at the database in between. PostgreSQL carries out such a write as one statement that commits by
//! itself, SQLite as one text with its own beginning and end: either way the database is asked once.

use std::sync::Arc;

use sqlx::{Any, AssertSqlSafe, SqlSafeStr as _, SqlStr, any::AnyArguments, query::Query};

use super::{Engine, Store, StoreError};

/// A write of several parts, whose parameters are numbered through.
pub(super) struct AtOnce {
    postgres: SqlStr,
    sqlite: SqlStr,
}

impl AtOnce {
    /// `first` returns a row if it changed one; only then has `changed` a row, from which the second part may select.
    pub(super) fn new(first: &str, second: &str, rest: &[&str]) -> Self {
        let parts = [second].into_iter().chain(rest.iter().copied());
        let named: Vec<String> = parts.enumerate().map(|(number, part)| format!(", part{number} AS ({part})")).collect();
        let postgres = format!("WITH changed AS ({first}){} SELECT 1 FROM changed", named.concat());
        let rest: Vec<String> = rest.iter().map(|part| format!("; {part}")).collect();
        let sqlite =
            format!("BEGIN IMMEDIATE; {first}; WITH changed AS (SELECT 1 WHERE changes() > 0) {second}{}; COMMIT", rest.concat());
        let [postgres, sqlite] = [postgres, sqlite].map(|text| AssertSqlSafe(Arc::<str>::from(text)).into_sql_str());
        Self { postgres, sqlite }
    }

    /// The text for this database, built out of constants alone.
    pub(super) fn text(&self, engine: Engine) -> SqlStr {
        match engine {
            Engine::Postgres => self.postgres.clone(),
            Engine::Sqlite => self.sqlite.clone(),
        }
    }
}

impl Store {
    /// Carries a write out, and says whether its first part changed anything. An error leaves the outcome unknown, unless it is the
    /// database's own.
    pub(super) async fn at_once(&self, write: Query<'_, Any, AnyArguments>) -> Result<bool, StoreError> {
        let (pool, _turn) = self.writing().await?;
        Ok(pool.write(write).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_one_text_on_each_database() {
        let write = AtOnce::new("INSERT a RETURNING 1", "INSERT b SELECT FROM changed", &["INSERT c"]);

        assert_eq!(
            write.text(Engine::Postgres).as_str(),
            "WITH changed AS (INSERT a RETURNING 1), part0 AS (INSERT b SELECT FROM changed), part1 AS (INSERT c) SELECT 1 FROM changed"
        );
        assert_eq!(
            write.text(Engine::Sqlite).as_str(),
            "BEGIN IMMEDIATE; INSERT a RETURNING 1; \
             WITH changed AS (SELECT 1 WHERE changes() > 0) INSERT b SELECT FROM changed; INSERT c; COMMIT"
        );
    }
}
