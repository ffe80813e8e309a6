//! Fills a database by SQL, in the form in which the product stores what it was sent: a million requests would take too long.

use lockstep_shared::id::{GroupId, UserId};
use sqlx::{AnyConnection, Connection as _};

use crate::{Failure, installation::Engine};

/// Rows in one transaction: nobody else is kept from writing for long.
const STRETCH: i64 = 50_000;

macro_rules! numbers {
    () => {
        "WITH RECURSIVE numbers (n) AS (SELECT $2 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < $3) "
    };
}
/// The id that a number has.
macro_rules! id {
    () => {
        "'01900000-0000-7000-8000-' || substr('000000000000' || CAST(n AS TEXT), length(CAST(n AS TEXT)) + 1, 12)"
    };
}

const USERS: &str = concat!(
    numbers!(),
    "INSERT INTO users (workspace_id, id, user_name, user_name_key, external_id, active, attributes, origin, login_method,
        may_have_sessions, version, ended_seq, created_at, updated_at)
    SELECT $1, ",
    id!(),
    ", 'user' || n || '@acme.example', 'user' || n || '@acme.example', 'oid-' || n, 1,
        '{\"name\":{\"formatted\":\"User Example\",\"familyName\":\"Example\",\"givenName\":\"User\"},\"displayName\":\"User ' || n
            || '\",\"title\":\"Engineer\",\"emails\":[{\"value\":\"user' || n || '@acme.example\",\"type\":\"work\",\"primary\":true}]}',
        'provisioned', 'sso', 0, 1, 0, 1700000000000, 1700000000000 FROM numbers"
);
const EMAILS: &str = concat!(
    numbers!(),
    "INSERT INTO user_emails (workspace_id, user_id, email_key) SELECT $1, ",
    id!(),
    ", 'user' || n || '@acme.example' FROM numbers"
);
const MEMBERS: &str =
    concat!(numbers!(), "INSERT INTO group_members (workspace_id, group_id, member_id) SELECT $1, $4, ", id!(), " FROM numbers");

/// The id of a seeded user.
pub(crate) fn user_id(number: i64) -> Result<UserId, Failure> {
    Ok(UserId::parse(&format!("01900000-0000-7000-8000-{number:012}"))?)
}

/// The database, beside the product.
pub(crate) struct Seeder {
    connection: AnyConnection,
    engine: Engine,
}

impl Seeder {
    pub(crate) async fn connect(engine: Engine, url: &str) -> Result<Self, Failure> {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(url).await?;
        if engine == Engine::Sqlite {
            sqlx::raw_sql("PRAGMA busy_timeout = 10000").execute(&mut connection).await?;
        }
        Ok(Self { connection, engine })
    }

    /// Users by these numbers, each with an address.
    pub(crate) async fn users(&mut self, workspace: &str, from: i64, to: i64) -> Result<(), Failure> {
        for (from, to) in stretches(from, to) {
            for statement in [USERS, EMAILS] {
                sqlx::query(statement).bind(workspace).bind(from).bind(to).execute(&mut self.connection).await?;
            }
        }
        Ok(())
    }

    /// Makes users members of a group.
    pub(crate) async fn members(&mut self, workspace: &str, group: &GroupId, from: i64, to: i64) -> Result<(), Failure> {
        for (from, to) in stretches(from, to) {
            sqlx::query(MEMBERS).bind(workspace).bind(from).bind(to).bind(group.as_str()).execute(&mut self.connection).await?;
        }
        Ok(())
    }

    /// Has PostgreSQL count its rows, as it does by itself within a minute.
    pub(crate) async fn settle(&mut self) -> Result<(), Failure> {
        if self.engine == Engine::Postgres {
            sqlx::raw_sql("ANALYZE").execute(&mut self.connection).await?;
        }
        Ok(())
    }
}

fn stretches(from: i64, to: i64) -> impl Iterator<Item = (i64, i64)> {
    let begins = std::iter::successors(Some(from), |begin| Some(begin + STRETCH));
    begins.take_while(move |begin| *begin < to).map(move |begin| (begin, to.min(begin + STRETCH)))
}
