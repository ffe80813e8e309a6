//! Writes that need no look at the database in between. PostgreSQL carries out such a write as one statement that commits by
//! itself, so that it costs one round trip; SQLite carries its parts out one after the other, in a transaction.

use std::sync::Arc;

use sqlx::{Any, AssertSqlSafe, SqlSafeStr as _, SqlStr, any::AnyArguments, query::Query};

use super::{Engine, Store, StoreError};

/// A write of several parts, whose parameters are numbered through.
pub(super) struct AtOnce {
    postgres: SqlStr,
    sqlite: SqlStr,
}

impl AtOnce {
    /// `first` returns what it changed. The second part may select from `changed`, which has a row if the first changed one.
    pub(super) fn new(first: &str, second: &str, rest: &[&str]) -> Self {
        // The last part is the statement proper, by which PostgreSQL counts.
        let parts = [second].into_iter().chain(rest.iter().copied());
        let (last, named) = (rest.last().copied().unwrap_or(second), parts.clone().take(rest.len()));
        let named: Vec<String> = named.enumerate().map(|(number, part)| format!(", part{number} AS ({part})")).collect();
        let postgres = format!("WITH changed AS ({first}){} {last}", named.concat());
        let rest: Vec<String> = rest.iter().map(|part| format!("; {part}")).collect();
        let sqlite = format!("{first}; WITH changed AS (SELECT 1 WHERE changes() > 0) {second}{}", rest.concat());
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
    /// Carries a write out, and says whether its parts changed anything. An error leaves the outcome unknown, unless it is the
    /// database's own.
    pub(super) async fn at_once(&self, write: Query<'_, Any, AnyArguments>) -> Result<bool, StoreError> {
        let done = match self.engine {
            Engine::Postgres => self.pool.write(write).await?,
            Engine::Sqlite => {
                let mut tx = self.begin().await?;
                let done = write.execute(tx.on()).await?;
                tx.commit().await?;
                done
            }
        };
        Ok(done.rows_affected() > 0)
    }
}
