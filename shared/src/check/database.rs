//! Whether the database can be reached and keeps what it confirms. The log is the truth: a server that confirms a commit
//! and loses it lets somebody back in.

use std::{path::PathBuf, time::Duration};

use secrecy::ExposeSecret;
use sqlx::{AnyConnection, Connection as _, Row as _};

use super::{Deployment, Finding, chain, keys};
use crate::{
    config::{Database, Engine},
    runtime,
    store::SchemaState,
};

/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// The oldest PostgreSQL that is served, as `server_version_num` has it.
const OLDEST_POSTGRES: u32 = 130_000;

const POSTGRES_SETTINGS: &str = "
    SELECT current_setting('server_version_num') AS version,
        current_setting('fsync') AS fsync,
        current_setting('full_page_writes') AS full_page_writes,
        current_setting('synchronous_commit') AS synchronous_commit,
        current_setting('synchronous_standby_names') AS standbys,
        CASE WHEN pg_is_in_recovery() THEN 'yes' ELSE 'no' END AS is_replica";
const SQLITE_VERSION: &str = "SELECT sqlite_version() AS version";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers at the database's address, or not to us.
    #[error("the database cannot be reached: {}", chain(.0))]
    Unreachable(#[source] sqlx::Error),
    /// The database's address is answered by nobody in time.
    #[error("the database cannot be reached: no connection within {} s", CONNECT_WITHIN.as_secs())]
    TooSlow,
    /// There is no such SQLite file.
    #[error("there is no database at {}", .0.display())]
    NoFile(PathBuf),
}

impl ConnectError {
    /// What to do about it; `administrator` is the program that migrates.
    #[must_use]
    pub fn fix(&self, administrator: &str) -> String {
        match self {
            Self::Unreachable(_) | Self::TooSlow => {
                "see that the database runs and that [database] url names it; nothing was changed".to_owned()
            }
            Self::NoFile(_) => format!("make it with `{administrator} migrate`, or mend the path in [database] url"),
        }
    }
}

/// Connects once, without waiting for a database that is down, so that the reason can be told.
pub async fn connect(database: &Database) -> Result<AnyConnection, ConnectError> {
    let url = database.urls.first().map(ExposeSecret::expose_secret).unwrap_or_default();
    if let Some(path) = sqlite_file(url)
        && !path.exists()
    {
        return Err(ConnectError::NoFile(path));
    }
    sqlx::any::install_default_drivers();
    match tokio::time::timeout(CONNECT_WITHIN, AnyConnection::connect(url)).await {
        Ok(connected) => connected.map_err(ConnectError::Unreachable),
        Err(_) => Err(ConnectError::TooSlow),
    }
}

fn sqlite_file(url: &str) -> Option<PathBuf> {
    let path = url.strip_prefix("sqlite://")?;
    Some(path.split_once('?').map_or(path, |(path, _)| path).into())
}

pub(super) async fn check(of: Deployment<'_>, database: &Database) -> Vec<Finding> {
    let mut connection = match connect(database).await {
        Ok(connection) => connection,
        Err(error) => return vec![Finding::problem("database", error.to_string(), error.fix(of.administrator()))],
    };
    let mut findings = match database.engine {
        Engine::Postgres => postgres(&mut connection, database.urls.len()).await,
        Engine::Sqlite => sqlite(&mut connection).await,
    }
    .unwrap_or_else(|error| vec![Finding::problem("database", chain(&error), "see that the account may read settings")]);
    let schema = schema(of).await;
    let is_current = !schema.is_problem();
    findings.push(schema);
    if is_current && let Some(keys) = &of.config.keys {
        findings.push(keys::check(of, keys, &mut connection).await);
    }
    // It was only read from: a failing goodbye loses nothing.
    let _ = connection.close().await;
    findings
}

async fn schema(of: Deployment<'_>) -> Finding {
    let store = match runtime::open_store(of.config, of.clock.clone()) {
        Ok(store) => store,
        Err(error) => return Finding::problem("schema", chain(&error), "mend the configuration first"),
    };
    let state = store.schema_state().await;
    store.close().await;
    match state {
        Ok(SchemaState::Current) => Finding::passed("schema", "up to date"),
        Ok(SchemaState::Behind) => {
            let fix = format!("run `{} migrate`", of.administrator());
            Finding::problem("schema", "the database schema is not up to date", fix)
        }
        Ok(SchemaState::Ahead) => Finding::problem(
            "schema",
            "the database schema is newer than this program",
            "use the release that migrated it, or a later one",
        ),
        Err(error) => Finding::problem("schema", chain(&error), "see that the account may read the database"),
    }
}

async fn sqlite(connection: &mut AnyConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let version: String = sqlx::query(SQLITE_VERSION).fetch_one(connection).await?.try_get("version")?;
    Ok(vec![Finding::passed("database", format!("SQLite {version}"))])
}

async fn postgres(connection: &mut AnyConnection, hosts: usize) -> Result<Vec<Finding>, sqlx::Error> {
    let row = sqlx::query(POSTGRES_SETTINGS).fetch_one(connection).await?;
    Ok(judge_postgres(
        &Settings {
            version: row.try_get("version")?,
            fsync: row.try_get("fsync")?,
            full_page_writes: row.try_get("full_page_writes")?,
            synchronous_commit: row.try_get("synchronous_commit")?,
            standbys: row.try_get("standbys")?,
            is_replica: row.try_get::<String, _>("is_replica")? == "yes",
        },
        hosts,
    ))
}

/// What PostgreSQL says of itself.
struct Settings {
    version: String,
    fsync: String,
    full_page_writes: String,
    synchronous_commit: String,
    standbys: String,
    is_replica: bool,
}

fn judge_postgres(settings: &Settings, hosts: usize) -> Vec<Finding> {
    let number: u32 = settings.version.parse().unwrap_or(0);
    let version = format!("PostgreSQL {}.{}", number / 10_000, number % 10_000);
    let mut findings = vec![if settings.is_replica {
        Finding::problem("database", format!("{version} is a read-only replica"), "name the primary in [database] url")
    } else if number < OLDEST_POSTGRES {
        Finding::problem("database", format!("{version} is too old"), "use PostgreSQL 13 or later")
    } else {
        Finding::passed("database", version)
    }];
    for (name, value) in [("fsync", &settings.fsync), ("full_page_writes", &settings.full_page_writes)] {
        if value != "on" {
            findings.push(durability(name, value));
        }
    }
    if settings.synchronous_commit == "off" {
        findings.push(durability("synchronous_commit", "off"));
    }
    let is_durable = findings.len() == 1;
    if is_durable {
        findings.push(Finding::passed("durability", "what is confirmed survives a crash of the server"));
    }
    if hosts > 1 && settings.standbys.is_empty() {
        findings.push(Finding::problem(
            "failover",
            "replication is asynchronous: a failover may lose a revocation that was confirmed",
            "set synchronous_standby_names in PostgreSQL, so that a commit waits for a standby",
        ));
    }
    findings
}

fn durability(setting: &str, value: &str) -> Finding {
    Finding::problem(
        "durability",
        format!("{setting} is {value}: a crash of the server may lose a revocation that was confirmed"),
        format!("set {setting} = on in PostgreSQL, also for this account and database"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Settings {
        Settings {
            version: "150014".into(),
            fsync: "on".into(),
            full_page_writes: "on".into(),
            synchronous_commit: "on".into(),
            standbys: String::new(),
            is_replica: false,
        }
    }

    fn problems(settings: &Settings, hosts: usize) -> Vec<String> {
        judge_postgres(settings, hosts).into_iter().filter(Finding::is_problem).map(|finding| finding.message).collect()
    }

    #[test]
    fn a_sound_postgres_passes() {
        assert_eq!(problems(&sound(), 1), Vec::<String>::new());
        assert_eq!(problems(&Settings { standbys: "ANY 1 (*)".into(), ..sound() }, 2), Vec::<String>::new());
    }

    #[test]
    fn each_setting_that_loses_commits_is_named() {
        for (settings, hosts, word) in [
            (Settings { fsync: "off".into(), ..sound() }, 1, "fsync is off"),
            (Settings { full_page_writes: "off".into(), ..sound() }, 1, "full_page_writes is off"),
            (Settings { synchronous_commit: "off".into(), ..sound() }, 1, "synchronous_commit is off"),
            (Settings { version: "120004".into(), ..sound() }, 1, "PostgreSQL 12.4 is too old"),
            (Settings { is_replica: true, ..sound() }, 1, "read-only replica"),
            (sound(), 2, "asynchronous"),
        ] {
            let found = problems(&settings, hosts);
            assert!(matches!(found.as_slice(), [only] if only.contains(word)), "{word}: {found:?}");
        }
    }

    #[test]
    fn the_file_of_a_url_is_its_path() {
        assert_eq!(sqlite_file("sqlite:///var/lib/x.db?mode=rwc"), Some(PathBuf::from("/var/lib/x.db")));
        assert_eq!(sqlite_file("postgres://localhost/x"), None);
    }
}
