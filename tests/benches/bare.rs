//! The bare parts that ours are held against, each a process of its own: a server that answers 200 and does nothing, and an
//! inserter of single durable rows. This binary starts itself in these roles.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Query, State},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lockstep_shared::http::serve::{ServeOptions, serve};
use lockstep_tests::harness::{
    ports,
    process::{Launch, Process},
};
use serde::{Deserialize, Serialize};
use sqlx::{AnyPool, Executor as _, any::AnyPoolOptions};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{Failure, installation::person};

/// The first argument of such a process.
pub(crate) const ROLE: &str = "bare";
const READY: Duration = Duration::from_secs(15);
/// As many rows in flight as there are provisioning clients.
const INSERTERS: usize = 8;

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS bare (id TEXT PRIMARY KEY, document TEXT NOT NULL)";
const INSERT: &str = "INSERT INTO bare (id, document) VALUES ($1, $2)";
/// As the product sets its connections up: a commit is on the disk.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL";

/// A bare part that runs.
#[derive(Debug)]
pub(crate) struct Bare {
    process: Process,
    address: String,
}

impl Bare {
    /// Starts this binary in a role, and waits until it answers.
    pub(crate) async fn start(folder: &Path, role: &str, subject: &str) -> Result<Self, Failure> {
        let address = format!("127.0.0.1:{}", ports::free()?);
        let launch = Launch::new(role, std::env::current_exe()?, folder.join(format!("{role}.log")));
        let mut process = Process::start(&launch.args([ROLE, role, &address, subject]))?;
        let client = client()?;
        let url = format!("http://{address}/ready");
        process.ready(READY, async || client.get(&url).send().await.ok().map(drop)).await?;
        Ok(Self { process, address })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Inserts rows for a while, and says how many and in what time.
    pub(crate) async fn insert(&self, seconds: u64) -> Result<Inserted, Failure> {
        let answer = client()?.get(self.url(&format!("/insert?seconds={seconds}"))).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        serde_json::from_str(&text).map_err(|error| format!("{status} {text}: {error}").into())
    }
}

/// What an inserter did.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Inserted {
    pub(crate) rows: u32,
    pub(crate) seconds: f64,
}

/// A client that goes straight to loopback.
pub(crate) fn client() -> Result<reqwest::Client, Failure> {
    Ok(reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?)
}

/// Runs a role until it is stopped from outside.
pub(crate) async fn run(arguments: &[String]) -> Result<(), Failure> {
    let [role, address, subject] = arguments else { return Err("a role, an address and a subject".into()) };
    let listener = TcpListener::bind(address).await?;
    match role.as_str() {
        "axum" => axum::serve(listener, answering(subject)?).await?,
        "ours" => drop(serve(listener, answering(subject)?, ServeOptions::default(), CancellationToken::new()).await),
        "insert" => axum::serve(listener, inserting(subject).await?).await?,
        _ => return Err(format!("no role {role}").into()),
    }
    Ok(())
}

/// 200 and prepared headers, whatever is asked.
fn answering(file: &str) -> Result<Router, Failure> {
    let lines: Vec<(String, String)> = serde_json::from_slice(&std::fs::read(file)?)?;
    let headers = lines.iter().map(|(name, value)| Ok((name.parse::<HeaderName>()?, HeaderValue::from_str(value)?)));
    let headers: Arc<HeaderMap> = Arc::new(headers.collect::<Result<_, Failure>>()?);
    let answer = async |State(headers): State<Arc<HeaderMap>>| (StatusCode::OK, HeaderMap::clone(&headers));
    Ok(Router::new().route("/ready", get(async || StatusCode::OK)).route("/oauth2/auth", get(answer)).with_state(headers))
}

#[derive(Clone)]
struct Inserter {
    pool: AnyPool,
    /// SQLite has one writer at a time: without a queue its writers poll, which costs more than the rows.
    turns: Arc<Semaphore>,
}

#[derive(Deserialize)]
struct For {
    seconds: u64,
}

async fn inserting(url: &str) -> Result<Router, Failure> {
    sqlx::any::install_default_drivers();
    let is_sqlite = url.starts_with("sqlite:");
    let pool = AnyPoolOptions::new().max_connections(16).test_before_acquire(false).after_connect(move |connection, _| {
        Box::pin(async move {
            if is_sqlite {
                connection.execute(sqlx::raw_sql(SQLITE_SETTINGS)).await?;
            }
            Ok(())
        })
    });
    let pool = pool.connect(url).await?;
    sqlx::query(CREATE_TABLE).execute(&pool).await?;
    let inserter = Inserter { pool, turns: Arc::new(Semaphore::new(if is_sqlite { 1 } else { INSERTERS })) };
    let insert = async |State(inserter): State<Inserter>, Query(For { seconds }): Query<For>| {
        let outcome = insert_for(&inserter, Duration::from_secs(seconds)).await;
        outcome.map(axum::Json).map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    };
    Ok(Router::new().route("/ready", get(async || StatusCode::OK)).route("/insert", get(insert)).with_state(inserter))
}

async fn insert_for(inserter: &Inserter, duration: Duration) -> Result<Inserted, Failure> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..INSERTERS {
        let inserter = inserter.clone();
        tasks.spawn(async move {
            let mut rows = 0;
            while begun.elapsed() < duration {
                let id = rand::random::<u128>();
                let document = person(&format!("{id:032x}")).to_string();
                let _turn = inserter.turns.acquire().await?;
                sqlx::query(INSERT).bind(format!("{id:032x}")).bind(document).execute(&inserter.pool).await?;
                rows += 1;
            }
            Ok::<u32, Failure>(rows)
        });
    }
    let mut rows = 0;
    while let Some(finished) = tasks.join_next().await {
        rows += finished??;
    }
    Ok(Inserted { rows, seconds: begun.elapsed().as_secs_f64() })
}
