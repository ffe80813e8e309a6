//! What a running program holds: the store, the bus, the sessions, the road, and the tasks that end with it. Every program is
//! built from the same parts; with Redis they work across processes, without it within one.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use secrecy::ExposeSecret as _;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    bus::{Bus, BusError, LocalBus, RedisBus, RedisLink},
    clock::SharedClock,
    config::{Config, ConfigError},
    revoke::Road,
    secret::{MacKey, SecretError},
    session::{RecordKey, RedisSessions, SessionStore, SqlSessions},
    store::{KeyPurpose, SchemaState, Store, StoreError, StoreOptions},
    telemetry::Meters,
};

/// How long to wait between attempts at a database that is not there yet.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Messages that the bus within one process keeps for a listener that is behind.
const LOCAL_CAPACITY: usize = 4_096;

/// Why a program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration does not fit.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database refuses, in a way that waiting does not mend.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The Redis URL does not fit.
    #[error("the Redis URL cannot be used")]
    Redis(#[from] BusError),
    /// Keys cannot be opened or made.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The schema is not this program's.
    #[error("the database schema is {0}")]
    Schema(&'static str),
    /// The process was told to stop while it waited.
    #[error("stopped before it was ready")]
    Stopped,
}

/// Whether a program brings the schema up to date or waits for one that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// It does so itself.
    Migrate,
    /// It waits.
    Await,
}

/// What a running program holds. Clones share it.
#[derive(Clone)]
pub struct Runtime {
    /// The settings.
    pub config: Arc<Config>,
    /// Where time comes from.
    pub clock: SharedClock,
    /// The database.
    pub store: Store,
    /// The doorbell.
    pub bus: Arc<dyn Bus>,
    /// Where sessions live.
    pub sessions: Arc<dyn SessionStore>,
    /// The one road by which access ends.
    pub road: Road,
    /// What the program counts.
    pub meters: Meters,
    /// The program's tasks.
    pub tasks: TaskTracker,
    /// Tells the program to finish what has begun.
    pub stop: CancellationToken,
    /// Ends what the last requests still need: the subscription, the watch over the gateways.
    closing: CancellationToken,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Runtime(…)")
    }
}

impl Runtime {
    /// Opens the parts that the configuration names. A database that is down is waited for. Boxed, so that it is compiled here and
    /// not in each program.
    #[must_use]
    pub fn open(
        config: Arc<Config>,
        clock: SharedClock,
        schema: Schema,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<Self, StartError>> {
        Self::start(config, clock, schema, stop).boxed()
    }

    async fn start(config: Arc<Config>, clock: SharedClock, schema: Schema, stop: CancellationToken) -> Result<Self, StartError> {
        let store = open_store(&config, clock.clone())?;
        await_schema(&store, schema, &stop).await?;
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let record_key = RecordKey::new(store.keys(KeyPurpose::SessionRecord).await?)?;
        let (bus, sessions): (Arc<dyn Bus>, Arc<dyn SessionStore>) = match &config.redis {
            Some(redis) => {
                let link = RedisLink::new(redis.url.expose_secret(), clock.clone())?;
                let key = bus_key(&store).await?;
                let bus = RedisBus::start(link.clone(), &redis.prefix, key, &tasks, closing.clone());
                (bus, Arc::new(RedisSessions::new(link, &redis.prefix, record_key, clock.clone())))
            }
            None => (Arc::new(LocalBus::new(LOCAL_CAPACITY)), Arc::new(SqlSessions::new(store.clone(), record_key))),
        };
        let meters = Meters::default();
        let road = Road::start(store.clone(), bus.clone(), clock.clone(), tasks.clone(), &closing, meters.clone());
        Ok(Self { config, clock, store, bus, sessions, road, meters, tasks, stop, closing })
    }

    /// Cancelled when the last requests have been answered: for tasks that write behind the answers. What is left they finish.
    #[must_use]
    pub fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Stops the tasks and closes the database, after what is under way.
    pub async fn close(&self) {
        self.stop.cancel();
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.store.close().await;
    }
}

/// Opens the database of a configuration, without waiting for it.
pub fn open_store(config: &Config, clock: SharedClock) -> Result<Store, StartError> {
    let database = config.require_database()?;
    let sealer = config.require_keys()?.sealer.clone();
    let url = database.urls.first().map(|url| url.expose_secret().to_owned()).unwrap_or_default();
    let options = StoreOptions { max_connections: database.max_connections.get(), ..StoreOptions::new(url) };
    Ok(Store::open(&options, clock, sealer)?)
}

/// A store for the lease alone: two connections that no other work can take, and little patience, since the next second brings
/// the next attempt.
pub fn open_lease_store(runtime: &Runtime) -> Result<Store, StartError> {
    let database = runtime.config.require_database()?;
    let sealer = runtime.config.require_keys()?.sealer.clone();
    let url = database.urls.first().map(|url| url.expose_secret().to_owned()).unwrap_or_default();
    let options = StoreOptions { max_connections: 2, acquire_timeout: Duration::from_millis(1_500), ..StoreOptions::new(url) };
    Ok(Store::open(&options, runtime.clock.clone(), sealer)?)
}

async fn bus_key(store: &Store) -> Result<MacKey, StartError> {
    let keys = store.keys(KeyPurpose::Bus).await?;
    let current = keys.first().ok_or(SecretError::CannotOpen)?;
    Ok(MacKey::derive(current, "bus message"))
}

async fn await_schema(store: &Store, schema: Schema, stop: &CancellationToken) -> Result<(), StartError> {
    let mut complained = false;
    loop {
        let problem = match try_schema(store, schema).await {
            Ok(None) => return Ok(()),
            Ok(Some(problem)) => problem.to_owned(),
            Err(StartError::Store(error)) if error.is_transient() => format!("{error}: {}", source_of(&error)),
            Err(error) => return Err(error),
        };
        if !complained {
            complained = true;
            tracing::warn!(%problem, "waiting for the database");
        }
        tokio::select! {
            () = tokio::time::sleep(TRY_AGAIN_AFTER) => {}
            () = stop.cancelled() => return Err(StartError::Stopped),
        }
    }
}

/// One attempt; `Some` is something that somebody else may mend.
async fn try_schema(store: &Store, schema: Schema) -> Result<Option<&'static str>, StartError> {
    match (store.schema_state().await?, schema) {
        (SchemaState::Current, _) => Ok(None),
        (SchemaState::Behind, Schema::Migrate) => {
            store.migrate().await?;
            Ok(None)
        }
        (SchemaState::Behind, Schema::Await) => {
            Ok(Some("the schema is not there yet: start the provisioner or run `provisioner migrate`"))
        }
        (SchemaState::Ahead, _) => {
            Err(StartError::Schema("newer than this program; start the release that migrated it, or a later one"))
        }
    }
}

fn source_of(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}
