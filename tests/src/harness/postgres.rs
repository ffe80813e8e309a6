//! A real PostgreSQL cluster with every write flushed, which can be stopped, killed, paused and brought back on its port. One
//! cluster serves all tests of a process that do not disturb it; each test has a database of its own.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::sync::OnceCell;

use super::{
    HarnessError, Scratch, ports,
    process::{Launch, Process, find, is_root, plain_environment},
};

const START: Duration = Duration::from_secs(30);
/// PostgreSQL refuses to run as root; its Debian package makes this user.
const SYSTEM_USER: &str = "postgres";
const ROLE: &str = "lockstep";

/// A running PostgreSQL cluster.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    launch: Launch,
    port: u16,
    next: AtomicU64,
    _folder: Scratch,
}

/// A database of its own, empty.
#[derive(Clone, Debug)]
pub struct Database {
    url: String,
}

impl Database {
    /// Its address, as the configuration wants it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A fresh connection.
    pub async fn connect(&self) -> Result<PgConnection, HarnessError> {
        Ok(PgConnection::connect(&self.url).await?)
    }
}

impl Postgres {
    /// The cluster that all tests of this process share; for tests that neither stop nor pause it.
    pub async fn shared() -> Result<&'static Self, HarnessError> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts a cluster for one test alone.
    pub async fn start() -> Result<Self, HarnessError> {
        let folder = Scratch::new("postgres")?;
        let binaries = binaries()?;
        let user = is_root().then_some(SYSTEM_USER);
        let cluster = folder.path().join("cluster");
        if user.is_some() {
            run(Command::new("chown").arg(SYSTEM_USER).arg(folder.path()))?;
        }
        initialise(&binaries, &cluster, user)?;
        let port = ports::free()?;
        let launch = Launch::new("postgres", binaries.join("postgres"), folder.path().join("log"))
            .args(["-D".into(), cluster.into_os_string()])
            .args(["-p".to_owned(), port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", "fsync=on", "-c", "synchronous_commit=on", "-c", "max_connections=300"])
            .args(["-c", "shared_buffers=64MB", "-c", "lc_messages=C"])
            .folder(folder.path())
            .as_user(user)
            // An immediate end at the death of the tests: it frees the shared memory, which SIGKILL would leave.
            .farewell(Signal::QUIT);
        let process = Process::start(&launch)?;
        let mut postgres = Self { process, launch, port, next: AtomicU64::new(1), _folder: folder };
        postgres.ready().await?;
        Ok(postgres)
    }

    /// Makes a fresh, empty database.
    pub async fn database(&self) -> Result<Database, HarnessError> {
        let name = format!("test_{}", self.next.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::connect(&self.url("postgres")).await?;
        // The name is made above of a number alone; identifiers cannot be bound.
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
        admin.close().await?;
        Ok(Database { url: self.url(&name) })
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stands still until `resume`, server processes included.
    pub async fn pause(&mut self) -> Result<(), HarnessError> {
        self.process.pause().await
    }

    /// Goes on after `pause`.
    pub fn resume(&mut self) -> Result<(), HarnessError> {
        self.process.resume()
    }

    /// Ends in good order, ending open connections (`pg_ctl stop -m fast`).
    pub async fn stop(&mut self) -> Result<(), HarnessError> {
        self.process.stop_with(Signal::INT).await.map(drop)
    }

    /// Ends without a checkpoint, as after a power cut (`pg_ctl stop -m immediate`).
    pub async fn stop_immediate(&mut self) -> Result<(), HarnessError> {
        self.process.stop_with(Signal::QUIT).await.map(drop)
    }

    /// Dies at once (SIGKILL), server processes included.
    pub async fn kill(&mut self) -> Result<(), HarnessError> {
        self.process.kill().await.map(drop)
    }

    /// Comes back on the same port, after ending first if it still runs.
    pub async fn restart(&mut self) -> Result<(), HarnessError> {
        self.stop().await?;
        self.process = Process::start(&self.launch)?;
        self.ready().await
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}", self.port)
    }

    async fn ready(&mut self) -> Result<(), HarnessError> {
        let url = self.url("postgres");
        self.process
            .ready(START, async || {
                let connection = PgConnection::connect(&url).await.ok()?;
                connection.close().await.ok()
            })
            .await
    }
}

/// Makes the cluster's files. Nothing is in it yet, so this step alone need not be flushed.
fn initialise(binaries: &std::path::Path, cluster: &std::path::Path, user: Option<&str>) -> Result<(), HarnessError> {
    let mut command = Command::new(find("setpriv", &[])?);
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.arg("--").arg(binaries.join("initdb")).arg("-D").arg(cluster);
    command.args(["-U", ROLE, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]);
    command.env_clear().envs(plain_environment()).current_dir("/");
    run(&mut command)
}

/// The binaries of the newest PostgreSQL on this machine; Debian keeps them out of `PATH`.
fn binaries() -> Result<PathBuf, HarnessError> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("initdb").is_file())
        .collect();
    versions.sort();
    match versions.pop() {
        Some((_, folder)) => Ok(folder),
        None => find("initdb", &[]).map(|initdb| initdb.parent().map(PathBuf::from).unwrap_or_default()),
    }
}

fn run(command: &mut Command) -> Result<(), HarnessError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|source| HarnessError::Spawn { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(HarnessError::Ended { program, status: output.status, log })
}
