//! Writes that need no look at the database in between. PostgreSQL carries out such a write as one statement that commits by
//! itself, SQLite as a part of one text with its own beginning and end: either way the database is asked once.

use std::sync::Arc;

use sqlx::{
    Any, AssertSqlSafe, Error, Execute as _, Row as _, SqlSafeStr as _, SqlStr,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use super::{Store, StoreError};

/// A write of several parts, whose parameters are numbered through.
#[derive(Debug)]
pub(super) struct AtOnce {
    postgres: SqlStr,
    /// The texts of one such write, of two, and so on.
    sqlite: Vec<SqlStr>,
}

/// What a write consists of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'p> {
    /// Changes one row or none. Only if it changed one has `changed` a row.
    pub(super) change: &'p str,
    /// Writes a row for each of `changed`.
    pub(super) note: &'p str,
    /// What is written besides.
    pub(super) rest: &'p [&'p str],
    /// What is shown for each of `changed`, as the end of a `SELECT`.
    pub(super) shown: &'p str,
}

impl AtOnce {
    /// The most writes of one commit.
    pub(super) const TOGETHER: usize = 8;

    pub(super) fn new(parts: Parts<'_>) -> Self {
        let Parts { change, note, rest, shown } = parts;
        let others = [note].into_iter().chain(rest.iter().copied());
        let named: Vec<String> = others.enumerate().map(|(number, part)| format!(", part{number} AS ({part})")).collect();
        let postgres = format!("WITH changed AS ({change} RETURNING 1){} SELECT 0 AS place{shown}", named.concat());
        let width = [change, note, shown].into_iter().chain(rest.iter().copied()).flat_map(parameters).max().unwrap_or_default();
        let one = |place: usize| {
            let renumbered = |part: &str| shifted(part, place * width);
            let rest: Vec<String> = rest.iter().map(|part| format!("{}; ", renumbered(part))).collect();
            let (change, note, shown) = (renumbered(change), renumbered(note), renumbered(shown));
            format!("{change}; {CHANGED} {note}; {CHANGED} SELECT {place} AS place{shown}; {}", rest.concat())
        };
        let sqlite = (1..=Self::TOGETHER).map(|writes| {
            let writes: String = (0..writes).map(one).collect();
            sql(format!("BEGIN IMMEDIATE; {writes}COMMIT"))
        });
        Self { postgres: sql(postgres), sqlite: sqlite.collect() }
    }

    /// The text of so many writes, whose arguments follow each other.
    pub(super) fn sqlite(&self, writes: usize) -> SqlStr {
        let text = writes.checked_sub(1).and_then(|place| self.sqlite.get(place));
        text.cloned().unwrap_or_else(|| SqlStr::from_static(""))
    }

    /// Of which of the writes of a text a row is.
    pub(super) fn place(row: &AnyRow) -> Result<usize, Error> {
        let place: i64 = row.try_get(0)?;
        usize::try_from(place).map_err(|error| Error::Decode(error.into()))
    }
}

/// The row that the statement before has changed.
const CHANGED: &str = "WITH changed AS (SELECT 1 WHERE changes() > 0)";

fn sql(text: String) -> SqlStr {
    // Built out of constants alone.
    AssertSqlSafe(Arc::<str>::from(text)).into_sql_str()
}

/// The text with its parameters numbered from `by` on.
fn shifted(text: &str, by: usize) -> String {
    let (before, pieces) = text.split_once('$').unwrap_or((text, ""));
    let shifted = pieces.split('$').filter_map(numbered).map(|(number, rest)| format!("${}{rest}", number + by));
    before.to_owned() + &shifted.collect::<Vec<_>>().concat()
}

fn parameters(text: &str) -> impl Iterator<Item = usize> {
    text.split('$').skip(1).filter_map(numbered).map(|(number, _)| number)
}

/// What stands behind a `$`: a number, and the text up to the next.
fn numbered(piece: &str) -> Option<(usize, &str)> {
    let digits = piece.find(|character: char| !character.is_ascii_digit()).unwrap_or(piece.len());
    let (number, rest) = piece.split_at(digits);
    Some((number.parse().ok()?, rest))
}

impl Store {
    /// Carries a write out, and shows what it changed. An error leaves the outcome unknown, unless it is the database's own.
    pub(super) async fn at_once<'q>(
        &self,
        write: &'static AtOnce,
        bind: impl FnOnce(Query<'q, Any, AnyArguments>) -> Result<Query<'q, Any, AnyArguments>, StoreError>,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let mut query = bind(sqlx::query(write.postgres.clone()))?;
        match &self.writer {
            None => Ok(self.pool.write(query).await?),
            Some(writer) => {
                let arguments = query.take_arguments().map_err(Error::Encode)?.unwrap_or_default();
                writer.write(write, arguments).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_one_text_on_each_database() {
        let write = AtOnce::new(Parts {
            change: "UPDATE a $1",
            note: "INSERT b $10 SELECT FROM changed",
            rest: &["INSERT c $2"],
            shown: ", d FROM changed JOIN d $1",
        });

        assert_eq!(
            write.postgres.as_str(),
            "WITH changed AS (UPDATE a $1 RETURNING 1), part0 AS (INSERT b $10 SELECT FROM changed), part1 AS (INSERT c $2) \
             SELECT 0 AS place, d FROM changed JOIN d $1"
        );
        assert_eq!(
            write.sqlite(2).as_str(),
            "BEGIN IMMEDIATE; \
             UPDATE a $1; WITH changed AS (SELECT 1 WHERE changes() > 0) INSERT b $10 SELECT FROM changed; \
             WITH changed AS (SELECT 1 WHERE changes() > 0) SELECT 0 AS place, d FROM changed JOIN d $1; INSERT c $2; \
             UPDATE a $11; WITH changed AS (SELECT 1 WHERE changes() > 0) INSERT b $20 SELECT FROM changed; \
             WITH changed AS (SELECT 1 WHERE changes() > 0) SELECT 1 AS place, d FROM changed JOIN d $11; INSERT c $12; COMMIT"
        );
    }
}
