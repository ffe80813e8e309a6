//! Opens the database, brings its schema up to date and hands out connections.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use sqlx::{
    AnyConnection, Connection as _, Executor as _, SqlSafeStr as _,
    any::{AnyConnectOptions, AnyPoolOptions},
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

use super::{
    StoreError,
    pool::{FIT_WITHIN, Pool, Transaction, is_fit},
    recent::Recent,
    tokens::Credentials,
    tx::Tx,
    writer::Writer,
};
use crate::{clock::SharedClock, secret::Sealer};

/// The steps of the schema, in their order; a step that has been released is never edited.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let step = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        step(1, "initial", include_str!("../../migrations/0001_initial.sql")),
        step(2, "scim", include_str!("../../migrations/0002_scim.sql")),
        step(3, "notices", include_str!("../../migrations/0003_notices.sql")),
    ])
});

/// PostgreSQL sorts by the language of the cluster unless told otherwise; SQLite knows `binary` already.
const CREATE_COLLATION: &str = r#"CREATE COLLATION IF NOT EXISTS "binary" (provider = libc, locale = 'C')"#;
const SQLITE_SETTINGS: &str = "
    PRAGMA busy_timeout = 10000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA temp_store = MEMORY;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA wal_autocheckpoint = 8000;
";
/// The one connection that writes finds what it needs in its own memory, as long as nobody else changes the file.
const SQLITE_WRITER_SETTINGS: &str = "PRAGMA cache_size = -32768";
const POSTGRES_SETTINGS: &str = "
    SET application_name = 'lockstep';
    SET statement_timeout = '30s';
    SET lock_timeout = '10s';
    SET idle_in_transaction_session_timeout = '30s';
";
/// A step may rewrite a large table. But while it waits for a lock, everybody else waits behind it: it lets them pass and tries again.
const POSTGRES_MIGRATION_SETTINGS: &str = "
    SET statement_timeout = '15min';
    SET lock_timeout = '3s';
";
/// What PostgreSQL calls a lock that was not had in time, and a deadlock.
const LOCKED: [&str; 2] = ["55P03", "40P01"];
/// How often a program tries to migrate: SQLite has no lock for it, and PostgreSQL is in use meanwhile.
const MIGRATION_ATTEMPTS: u32 = 50;
const APPLIED: &str = "SELECT COUNT(*) AS applied FROM _sqlx_migrations";

/// Which database it is. Only opening, beginning, writing at once and the collation differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// One file on this machine.
    Sqlite,
    /// PostgreSQL 13 and later.
    Postgres,
}

/// How to open the database.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `sqlite:///path` or `postgres://…`.
    pub url: String,
    /// The most connections to hold.
    pub max_connections: u32,
    /// How long to wait for a connection.
    pub acquire_timeout: Duration,
}

impl StoreOptions {
    /// The defaults for a database at `url`: 16 connections, 5 s to get one.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), max_connections: 16, acquire_timeout: Duration::from_secs(5) }
    }
}

/// Whether the schema is the one that this program was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// It is.
    Current,
    /// Steps are missing: run `provisioner migrate`.
    Behind,
    /// A newer program has migrated it.
    Ahead,
}

/// The database.
#[derive(Debug, Clone)]
pub struct Store {
    pub(super) pool: Pool,
    pub(super) engine: Engine,
    pub(super) clock: SharedClock,
    pub(super) sealer: Arc<Sealer>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) recent: Recent,
    pub(super) writer: Option<Writer>,
}

impl Store {
    /// Opens the database without waiting for it; the first use does.
    pub fn open(options: &StoreOptions, clock: SharedClock, sealer: Sealer) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let engine = if options.url.starts_with("sqlite:") { Engine::Sqlite } else { Engine::Postgres };
        let url = match engine {
            Engine::Sqlite if !options.url.contains("mode=") => {
                format!("{}{}mode=rwc", options.url, if options.url.contains('?') { '&' } else { '?' })
            }
            Engine::Sqlite | Engine::Postgres => options.url.clone(),
        };
        let connect: AnyConnectOptions = url.parse()?;
        let connect = sqlx::ConnectOptions::disable_statement_logging(connect);
        let (pool, writer) = match engine {
            Engine::Sqlite => {
                let pool = pool_of(engine, connect.clone(), options, &[SQLITE_SETTINGS]);
                let one = StoreOptions { max_connections: 1, ..options.clone() };
                let writer = pool_of(engine, connect, &one, &[SQLITE_SETTINGS, SQLITE_WRITER_SETTINGS]);
                (pool, Some(Writer::new(writer)))
            }
            Engine::Postgres => (pool_of(engine, connect, options, &[POSTGRES_SETTINGS]), None),
        };
        Ok(Self {
            pool,
            engine,
            clock,
            sealer: Arc::new(sealer),
            credentials: Arc::new(Credentials::new()),
            recent: Recent::new(),
            writer,
        })
    }

    /// Which database it is.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Brings the schema up to date. Programs that start together take turns.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        if self.engine == Engine::Postgres {
            // Two sessions that create it at once can both miss it and one then fails: that one finds it made.
            let created = self.pool.sqlx().execute(sqlx::raw_sql(CREATE_COLLATION)).await;
            if created.is_err() {
                self.pool.sqlx().execute(sqlx::raw_sql(CREATE_COLLATION)).await?;
            }
        }
        self.run_migrations().await?;
        self.begin_log().await
    }

    async fn run_migrations(&self) -> Result<(), StoreError> {
        let rest = match self.engine {
            Engine::Sqlite => Duration::from_millis(100),
            Engine::Postgres => Duration::from_secs(1),
        };
        for _ in 1..MIGRATION_ATTEMPTS {
            match self.try_migrations().await {
                Err(MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) if self.may_pass(&cause) => {
                    tokio::time::sleep(rest).await;
                }
                outcome => return outcome.map_err(migration),
            }
        }
        self.try_migrations().await.map_err(migration)
    }

    /// Each step is a transaction, on a connection that is closed at the end: a step that fails leaves the migrator's own lock with it.
    async fn try_migrations(&self) -> Result<(), MigrateError> {
        let mut connection = self.pool.sqlx().acquire().await?.detach();
        if self.engine == Engine::Postgres {
            connection.execute(sqlx::raw_sql(POSTGRES_MIGRATION_SETTINGS)).await?;
        }
        // What `run` does with a connection, in a future that may be sent.
        let outcome = MIGRATIONS.run_direct(None, &mut connection, false).await;
        drop(connection.close().await);
        outcome
    }

    fn may_pass(&self, cause: &sqlx::Error) -> bool {
        match self.engine {
            // Of two programs that start together one fails, and then finds the other's work done.
            Engine::Sqlite => true,
            Engine::Postgres => {
                let code = cause.as_database_error().and_then(sqlx::error::DatabaseError::code);
                code.is_some_and(|code| LOCKED.contains(&&*code))
            }
        }
    }

    /// Whether the schema is the one that this program was built for.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        self.ping().await?;
        let applied: i64 = match sqlx::query_scalar(APPLIED).fetch_one(&self.pool).await {
            // No such table: nothing was ever applied.
            Err(sqlx::Error::Database(_)) => 0,
            outcome => outcome?,
        };
        let known = i64::try_from(MIGRATIONS.iter().count()).unwrap_or(i64::MAX);
        Ok(match applied.cmp(&known) {
            std::cmp::Ordering::Less => SchemaState::Behind,
            std::cmp::Ordering::Equal => SchemaState::Current,
            std::cmp::Ordering::Greater => SchemaState::Ahead,
        })
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.pool.execute(sqlx::raw_sql("SELECT 1")).await?;
        Ok(())
    }

    /// Closes every connection, after what is under way.
    pub async fn close(&self) {
        self.pool.close().await;
        if let Some(writer) = &self.writer {
            writer.pool.close().await;
        }
    }

    /// Begins a transaction that writes.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        let (begun, turn) = match &self.writer {
            None => (self.pool.begin("BEGIN").await?, None),
            Some(writer) => {
                let turn = writer.turn().await?;
                (writer.pool.begin("BEGIN IMMEDIATE").await?, Some(turn))
            }
        };
        Ok(Tx::new(begun, turn, self.clock.now()))
    }

    /// Begins a transaction whose reads all see one moment.
    pub(super) async fn snapshot(&self) -> Result<Transaction, StoreError> {
        let statement = match self.engine {
            Engine::Sqlite => "BEGIN",
            Engine::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        Ok(self.pool.begin(statement).await?)
    }
}

/// Whether a connection that may be in the middle of something is fit to be used again.
async fn is_fit_again(connection: &mut AnyConnection, engine: Engine) -> Result<bool, sqlx::Error> {
    if engine == Engine::Sqlite && !connection.is_in_transaction() {
        // A text with its own beginning may not have come to its end. That it has, SQLite says by refusing.
        drop(connection.execute("ROLLBACK").await);
    }
    is_fit(connection).await
}

fn pool_of(engine: Engine, connect: AnyConnectOptions, options: &StoreOptions, settings: &'static [&'static str]) -> Pool {
    let mut pool = AnyPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .after_release(move |connection, _| Box::pin(is_fit_again(connection, engine)))
        .after_connect(move |connection, _| {
            Box::pin(async move {
                for some in settings.iter().copied() {
                    connection.execute(sqlx::raw_sql(some)).await?;
                }
                Ok(())
            })
        });
    if engine == Engine::Postgres {
        // The pool's own test has no deadline: a connection to a host that fell silent would be waited for, for minutes.
        pool = pool.test_before_acquire(false).before_acquire(|connection, _| Box::pin(is_fit(connection)));
    }
    // A file does not fall silent; its writers may have to wait for those of another process.
    let silence = (engine == Engine::Postgres).then_some(FIT_WITHIN);
    Pool::new(pool.connect_lazy_with(connect), options.max_connections, options.acquire_timeout, silence)
}

/// A database that went away in the middle may come back; any other failure of a step stays one.
fn migration(error: MigrateError) -> StoreError {
    match error {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) if cause.as_database_error().is_none() => {
            StoreError::Unavailable(cause)
        }
        other => StoreError::Migration(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::TestClock, secret::Key};

    #[tokio::test]
    async fn every_connection_to_sqlite_is_durable_and_keeps_references() {
        let folder = std::env::temp_dir().join(format!("lockstep-store-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let options = StoreOptions::new(format!("sqlite://{}/lockstep.db", folder.display()));
        let store = Store::open(&options, TestClock::new(), Sealer::new(vec![Key::from_bytes([1; 32])]).unwrap()).unwrap();

        // Held at once, so that they are two.
        for mut connection in [store.pool.sqlx().acquire().await.unwrap(), store.pool.sqlx().acquire().await.unwrap()] {
            let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
            let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await.unwrap();
            let references: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *connection).await.unwrap();
            let patience: i64 = sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(&mut *connection).await.unwrap();
            assert_eq!((journal.as_str(), synchronous, references, patience), ("wal", 2, 1, 10_000));
        }

        store.close().await;
        std::fs::remove_dir_all(folder).unwrap();
    }
}
