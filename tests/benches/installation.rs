//! An installation to be measured: our programs in release, a database with every write flushed, Redis, one company. It has no
//! OpenID provider: sessions are issued as a sign-in would.

use lockstep_tests::{
    harness::{
        postgres::{Database, Postgres},
        redis::Redis,
        scim::Scim,
        services::{Service, Site},
    },
    world::{WORKSPACE, text},
};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::{
    Failure,
    machine::{SERVERS, parent_of, pin},
};

const BACKEND: &str = "SELECT pg_backend_pid()";

/// Which database it stands on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Engine {
    Postgres,
    Sqlite,
}

impl Engine {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Sqlite => "SQLite",
        }
    }
}

/// What runs.
#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) gateways: Vec<Service>,
    pub(crate) provisioner: Service,
    pub(crate) site: Site,
    pub(crate) redis: Redis,
    pub(crate) url: String,
    postgres: Option<(Postgres, Database)>,
    token: String,
}

impl Installation {
    /// Starts everything; `adapt` may change the configuration before.
    pub(crate) async fn start(engine: Engine, gateways: usize, adapt: impl FnOnce(&mut Site)) -> Result<Self, Failure> {
        let (redis, postgres) = (Redis::start().await?, start_postgres(engine).await?);
        let mut site = Site::new("", Some(&redis.url()))?;
        let url = match &postgres {
            Some((_, database)) => database.url().to_owned(),
            None => format!("sqlite://{}/lockstep.db", site.folder().display()),
        };
        site.set("database.url", url.clone());
        // What is measured is the work, not the limits, of which the guard against mass changes is one.
        site.set("provisioner.requests_per_second", 1_000_000);
        adapt(&mut site);
        let provisioner = site.provisioner().await?;
        site.command(&["workspace", "create", WORKSPACE, "--name", "Acme", "--plan", "enterprise"]).await?;
        site.command(&["scim", "enable", WORKSPACE]).await?;
        site.command(&["scim", "guard", WORKSPACE, "off"]).await?;
        let token = text(&site.command(&["token", "issue", WORKSPACE]).await?, "token");
        let mut running = Vec::new();
        for _ in 0..gateways {
            running.push(site.gateway().await?);
        }
        Ok(Self { gateways: running, provisioner, site, redis, url, postgres, token })
    }

    /// A provisioning client with connections of its own.
    pub(crate) fn scim(&self) -> Result<Scim, Failure> {
        Ok(Scim::new(format!("{}/scim/v2/{WORKSPACE}", self.provisioner.url()), &self.token)?)
    }

    /// A connection to the database, where it is PostgreSQL.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Failure> {
        let (_, database) = self.postgres.as_ref().ok_or("there is no PostgreSQL")?;
        Ok(database.connect().await?)
    }

    /// The database's process, the parent of those that serve; none for SQLite, which is a part of ours.
    pub(crate) async fn database_process(&self) -> Result<Option<u32>, Failure> {
        if self.postgres.is_none() {
            return Ok(None);
        }
        let backend: i32 = sqlx::query_scalar(BACKEND).fetch_one(&mut self.connect().await?).await?;
        parent_of(backend.try_into()?).map(Some)
    }

    /// Redis's process.
    pub(crate) async fn redis_process(&self) -> Result<u32, Failure> {
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut self.redis.connect().await?).await?;
        let id = info.lines().find_map(|line| line.strip_prefix("process_id:")).ok_or("Redis does not say who it is")?;
        Ok(id.trim().parse()?)
    }

    /// Keeps all of it on the servers' core.
    pub(crate) async fn pin(&self) -> Result<(), Failure> {
        let ours = self.gateways.iter().chain([&self.provisioner]).map(Service::id);
        let others = self.database_process().await?.into_iter().chain([self.redis_process().await?]);
        for process in ours.chain(others) {
            pin(process, SERVERS)?;
        }
        Ok(())
    }
}

async fn start_postgres(engine: Engine) -> Result<Option<(Postgres, Database)>, Failure> {
    if engine == Engine::Sqlite {
        return Ok(None);
    }
    let postgres = Postgres::start().await?;
    let database = postgres.database().await?;
    Ok(Some((postgres, database)))
}

/// Somebody as Entra would provision them.
pub(crate) fn person(login: &str) -> Value {
    let email = format!("{login}@acme.example");
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "externalId": format!("oid-{login}"),
        "userName": email,
        "active": true,
        "emails": [{ "primary": true, "type": "work", "value": email }],
        "meta": { "resourceType": "User" },
        "name": { "formatted": format!("{login} Example"), "familyName": "Example", "givenName": login },
        "displayName": format!("{login} Example"),
        "title": "Engineer",
        "roles": [],
    })
}
