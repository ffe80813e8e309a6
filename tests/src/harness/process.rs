//! A child process that ends with its guard, and with the test process at the latest. Signals go to what was started here
//! and to its descendants, never to anything else.

mod family;

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, OnceLock, PoisonError, mpsc},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

use self::family::{Member, family, signal_all};
use super::{HarnessError, eventually};

/// How long a process may take to end by itself before it is killed.
const FAREWELL: Duration = Duration::from_secs(10);
const LOG_TAIL_LINES: usize = 40;

/// What to start, and how.
#[derive(Clone, Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    user: Option<&'static str>,
    farewell: Signal,
    log: PathBuf,
}

impl Launch {
    /// A program that writes its output to `log` and ends on SIGTERM.
    pub fn new(name: &str, program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
            user: None,
            farewell: Signal::TERM,
            log: log.into(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts it in a folder of its own.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Runs it as another user of the system.
    #[must_use]
    pub fn as_user(mut self, user: Option<&'static str>) -> Self {
        self.user = user;
        self
    }

    /// The signal on which it ends in good order.
    #[must_use]
    pub fn farewell(mut self, signal: Signal) -> Self {
        self.farewell = signal;
        self
    }

    /// The command line: `setpriv` makes the kernel end the child when this process dies, however it dies.
    fn command(&self) -> Result<Command, HarnessError> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(find("setpriv", &[])?);
        command.args(["--pdeathsig", signal_name(self.farewell)]);
        if let Some(user) = self.user {
            command.args(["--reuid", user, "--regid", user, "--init-groups"]);
        }
        command.arg("--").arg(&self.program).args(&self.arguments);
        command.env_clear().envs(plain_environment());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }
}

/// A running child; dropping it ends it and everything that it started.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    farewell: Signal,
    child: Child,
}

impl Process {
    /// Starts a child.
    pub fn start(launch: &Launch) -> Result<Self, HarnessError> {
        let child = spawn(launch.command()?).map_err(|source| HarnessError::Spawn { program: launch.name.clone(), source })?;
        Ok(Self { name: launch.name.clone(), log: launch.log.clone(), farewell: launch.farewell, child })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, HarnessError> {
        Ok(self.child.try_wait()?)
    }

    /// Asks `probe` until it answers, and fails at once, with the log, if the process ends meanwhile.
    pub async fn ready<T>(&mut self, within: Duration, mut probe: impl AsyncFnMut() -> Option<T>) -> Result<T, HarnessError> {
        let what = format!("{} being ready", self.name);
        let child = &mut self.child;
        let awaited = eventually(&what, within, async || match child.try_wait() {
            Ok(None) => probe().await.map(Ok),
            Ok(Some(status)) => Some(Err(status)),
            Err(_) => None,
        });
        match awaited.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(status)) => Err(HarnessError::Ended { program: self.name.clone(), status, log: self.log_tail() }),
            Err(HarnessError::Deadline { what, within }) => {
                Err(HarnessError::Deadline { what: format!("{what}, with the log\n{}\n", self.log_tail()), within })
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a signal to it alone.
    pub fn signal(&mut self, signal: Signal) -> Result<(), HarnessError> {
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), signal)?;
        }
        Ok(())
    }

    /// Stops it and its descendants in their tracks (SIGSTOP), and returns when the kernel says that all stand still.
    pub async fn pause(&mut self) -> Result<(), HarnessError> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        let root = Pid::from_child(&self.child);
        eventually(format!("{} standing still", self.name), FAREWELL, async || {
            let moving: Vec<Member> = family(root).into_iter().filter(|member| !member.is_stopped()).collect();
            signal_all(&moving, Signal::STOP);
            moving.is_empty().then_some(())
        })
        .await
    }

    /// Lets it and its descendants go on (SIGCONT).
    pub fn resume(&mut self) -> Result<(), HarnessError> {
        if self.child.try_wait()?.is_none() {
            signal_all(&family(Pid::from_child(&self.child)), Signal::CONT);
        }
        Ok(())
    }

    /// Ends it in good order; one that does not end in time is killed, and so is what it leaves behind.
    pub async fn stop(&mut self) -> Result<ExitStatus, HarnessError> {
        self.stop_with(self.farewell).await
    }

    /// Ends it as `stop` does, with another signal than its usual one.
    pub async fn stop_with(&mut self, signal: Signal) -> Result<ExitStatus, HarnessError> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        let family = family(Pid::from_child(&self.child));
        signal_all(&family, Signal::CONT);
        self.signal(signal)?;
        let child = &mut self.child;
        let ended = eventually("ending", FAREWELL, async || child.try_wait().ok().flatten()).await;
        signal_all(&family, Signal::KILL);
        match ended {
            Ok(status) => Ok(status),
            Err(_) => self.kill().await,
        }
    }

    /// Kills it and its descendants (SIGKILL).
    pub async fn kill(&mut self) -> Result<ExitStatus, HarnessError> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        signal_all(&family(Pid::from_child(&self.child)), Signal::KILL);
        let child = &mut self.child;
        eventually("dying", FAREWELL, async || child.try_wait().ok().flatten()).await
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(LOG_TAIL_LINES);
        lines.get(from..).unwrap_or_default().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Ok(None) = self.child.try_wait() else {
            return;
        };
        let root = Pid::from_child(&self.child);
        let known = family(root);
        signal_all(&known, Signal::CONT);
        signal_all(known.get(..1).unwrap_or_default(), self.farewell);
        if !ends_within(root, FAREWELL) {
            signal_all(&family(root), Signal::KILL);
        }
        signal_all(&known, Signal::KILL);
        drop(self.child.wait());
    }
}

/// Finds a program in `PATH`, in the system's folders or in `elsewhere`.
pub fn find(program: &str, elsewhere: &[PathBuf]) -> Result<PathBuf, HarnessError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .chain(elsewhere.iter().cloned())
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| HarnessError::Missing(program.to_owned()))
}

/// What a child sees of our environment: nothing that could configure it.
pub(super) fn plain_environment() -> impl Iterator<Item = (OsString, OsString)> {
    const KEPT: [&str; 6] = ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE", "RUST_LOG", "LLVM_PROFILE_FILE"];
    KEPT.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
}

/// Whether this process runs as root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The kernel's end-of-parent signal follows the *thread* that spawned, so every spawn happens on one that lasts.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static ORDERS: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let gone = || io::Error::other("the spawning thread is gone");
    let orders = ORDERS.get_or_init(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in orders {
                drop(reply.send(command.spawn()));
            }
        });
        Mutex::new(sender)
    });
    let (reply, answer) = mpsc::channel();
    orders.lock().unwrap_or_else(PoisonError::into_inner).send((command, reply)).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// Waits for a process without reaping it.
fn ends_within(process: Pid, within: Duration) -> bool {
    let Ok(handle) = pidfd_open(process, PidfdFlags::empty()) else {
        return false;
    };
    let limit = Timespec { tv_sec: i64::try_from(within.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit)).is_ok_and(|ready| ready > 0)
}

fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::QUIT => "QUIT",
        Signal::INT => "INT",
        Signal::TERM => "TERM",
        _ => "KILL",
    }
}
