//! A real mail server on a port of its own, which can be stopped, paused and brought back on that port, and shows what it has taken.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
};

use super::{
    HarnessError, Scratch, eventually, ports,
    process::{Launch, Process},
};

const START: Duration = Duration::from_secs(20);
/// Where tests/run puts it; it is on the path there.
const ENVIRONMENT: &str = "../target/tests-venv/bin";

/// A user of a mail server, whose name needs to be encoded in a URL.
pub const USER: &str = "login@example.com";

/// Something that the server has taken.
#[derive(Clone, Debug, Deserialize)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Head and body.
    pub text: String,
    /// Whether it came over TLS.
    pub encrypted: bool,
    /// Who sent it.
    pub user: Option<String>,
}

impl Mail {
    /// A field of the head, unfolded.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let head = self.text.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        let mut fields = head.split("\r\n").filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| *field == name).map(|(_, value)| value.to_owned())
    }
}

/// A running mail server.
#[derive(Debug)]
pub struct Smtp {
    process: Process,
    launch: Launch,
    port: u16,
    password: Option<String>,
    inbox: PathBuf,
    _folder: Scratch,
}

impl Smtp {
    /// Starts a server that takes everything without asking.
    pub async fn start() -> Result<Self, HarnessError> {
        Self::start_with(None).await
    }

    /// Starts a server that wants STARTTLS and this password of `USER`.
    pub async fn start_secure(password: &str) -> Result<Self, HarnessError> {
        Self::start_with(Some(password)).await
    }

    async fn start_with(password: Option<&str>) -> Result<Self, HarnessError> {
        let folder = Scratch::new("smtp")?;
        let (port, inbox) = (ports::free()?, folder.path().join("inbox"));
        let mut settings = json!({ "port": port, "inbox": inbox });
        if let (Some(password), Some(settings)) = (password, settings.as_object_mut()) {
            settings.insert("login".to_owned(), json!({ "user": USER, "password": password }));
            settings.insert("certificate".to_owned(), json!(certificates().join("app.pem")));
            settings.insert("key".to_owned(), json!(certificates().join("app.key")));
        }
        let settings = folder.write("settings.json", serde_json::to_vec(&settings)?)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/smtp.py");
        let launch = Launch::new("smtp", python()?, folder.path().join("log")).args([script, settings]);
        let process = Process::start(&launch)?;
        let mut this = Self { process, launch, port, password: password.map(str::to_owned), inbox, _folder: folder };
        this.ready().await?;
        Ok(this)
    }

    /// Its address, as the configuration wants it.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.password {
            None => format!("smtp://127.0.0.1:{}", self.port),
            Some(password) => format!("smtp://{}:{password}@localhost:{}?tls=required", USER.replace('@', "%40"), self.port),
        }
    }

    /// The authority of its certificate.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        certificates().join("ca.pem")
    }

    /// What it has taken so far, oldest first.
    pub fn mails(&self) -> Result<Vec<Mail>, HarnessError> {
        match std::fs::read_to_string(&self.inbox) {
            // A line that is being written has no end yet.
            Ok(text) => {
                let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
                Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it has taken so many, and returns them.
    pub async fn taken(&self, count: usize) -> Result<Vec<Mail>, HarnessError> {
        let what = format!("{count} mails");
        eventually(what, Duration::from_secs(20), async || self.mails().ok().filter(|mails| mails.len() >= count)).await
    }

    /// Stands still until `resume`: connections are taken and nothing answers.
    pub async fn pause(&mut self) -> Result<(), HarnessError> {
        self.process.pause().await
    }

    /// Goes on after `pause`.
    pub fn resume(&mut self) -> Result<(), HarnessError> {
        self.process.resume()
    }

    /// Ends; connections to its port are refused.
    pub async fn stop(&mut self) -> Result<(), HarnessError> {
        self.process.stop().await.map(drop)
    }

    /// Comes back on the same port, after ending first if it still runs.
    pub async fn restart(&mut self) -> Result<(), HarnessError> {
        self.process.stop().await?;
        self.process = Process::start(&self.launch)?;
        self.ready().await
    }

    async fn ready(&mut self) -> Result<(), HarnessError> {
        let port = self.port;
        self.process
            .ready(START, async || {
                let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
                let mut greeting = String::new();
                BufReader::new(stream).read_line(&mut greeting).await.ok()?;
                greeting.starts_with("220 ").then_some(())
            })
            .await
    }
}

/// An authority of tests, and what it vouches for on loopback.
fn certificates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/src/proxy/tests/tls")
}

/// The first Python that has the server.
fn python() -> Result<PathBuf, HarnessError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain([Path::new(env!("CARGO_MANIFEST_DIR")).join(ENVIRONMENT)]);
    let has_server = |folder: &Path| {
        let python = folder.join("python");
        let is_environment = folder.join("aiosmtpd").is_file() && python.is_file();
        is_environment.then_some(python)
    };
    folders.find_map(|folder| has_server(&folder)).ok_or_else(|| HarnessError::Missing("aiosmtpd (PyPI)".to_owned()))
}
