//! `[database]`: where the records are.

use std::num::NonZeroU32;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::reader::Section;

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file, in this process.
    Sqlite,
    /// A server.
    Postgres,
}

/// `[database]`.
#[derive(Debug, Clone)]
pub struct Database {
    /// The engine of all URLs.
    pub engine: Engine,
    /// One URL or, with several hosts of PostgreSQL, one for each, of which one is the primary. Never empty; may hold passwords.
    pub urls: Vec<SecretString>,
    /// How many connections the process opens at most.
    pub max_connections: NonZeroU32,
}

const DEFAULT_MAX_CONNECTIONS: NonZeroU32 = NonZeroU32::MIN.saturating_add(15);

impl Database {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let one = section.secret("url", "url_file");
        let several = section.secret_list("urls", "urls_file");
        let max_connections = section.get("max_connections").unwrap_or(DEFAULT_MAX_CONNECTIONS);
        let (key, urls, origin) = match (one, several) {
            (Some((_, first)), Some((_, second))) => {
                section.exclusive(("url", first), ("urls", second));
                section.finish();
                return None;
            }
            (Some((url, origin)), None) => ("url", vec![url], origin),
            (None, Some((urls, origin))) => ("urls", urls, origin),
            (None, None) => {
                section.finish();
                return None;
            }
        };
        let engine = engine_of(&urls);
        if let Err(reason) = engine {
            section.invalid(key, origin, reason.to_owned());
        }
        section.finish();
        Some(Self { engine: engine.ok()?, urls, max_connections })
    }
}

fn engine_of(urls: &[SecretString]) -> Result<Engine, &'static str> {
    let engines: Vec<Engine> = urls.iter().map(|url| engine(url.expose_secret())).collect::<Result<_, _>>()?;
    match engines.as_slice() {
        [] => Err("is an empty list; name at least one database"),
        [only] => Ok(*only),
        several if several.iter().all(|engine| *engine == Engine::Postgres) => Ok(Engine::Postgres),
        _ => Err("lists several databases, which only PostgreSQL can be; SQLite is one file"),
    }
}

fn engine(url: &str) -> Result<Engine, &'static str> {
    const EXPECTED: &str =
        "is not a database URL; expected \"sqlite:///path/to/file.db\" or \"postgres://user:password@host/database\"";
    // The path of SQLite is read by the driver; three slashes say that it does not depend on the working folder.
    if let Some(path) = url.strip_prefix("sqlite://") {
        let named = path.starts_with('/') && path.len() > 1;
        return if named {
            Ok(Engine::Sqlite)
        } else {
            Err("names SQLite without an absolute path; expected \"sqlite:///path/to/file.db\"")
        };
    }
    let parsed = Url::parse(url).map_err(|_| EXPECTED)?;
    match parsed.scheme() {
        "postgres" | "postgresql" if parsed.has_host() => Ok(Engine::Postgres),
        _ => Err(EXPECTED),
    }
}
