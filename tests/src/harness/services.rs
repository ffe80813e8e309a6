//! Our own programs as processes, configured as an operator would: one TOML file, free ports, logs in files. Dropping a site
//! fails the test if a secret reached a log.

mod service;

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use toml::Table;

pub use self::service::Service;
use super::{
    HarnessError, Scratch,
    canary::Canary,
    http::client,
    ports,
    process::{Launch, Process, plain_environment},
};

const COMMAND: Duration = Duration::from_mins(1);

/// Fields of a command's answer that are secrets.
const SECRET_FIELDS: [&str; 4] = ["token", "client_secret", "password", "setup_url"];

/// One of our programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    /// Lets people in.
    Gateway,
    /// Receives SCIM, and is the operators' command line.
    Provisioner,
    /// Both in one process.
    Lockstep,
}

impl Program {
    const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Provisioner => "provisioner",
            Self::Lockstep => "lockstep",
        }
    }

    /// Where Cargo put it: beside the folder of the running test.
    pub fn path(self) -> Result<PathBuf, HarnessError> {
        let test = std::env::current_exe()?;
        let folder = test.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        let path = folder.join(self.name());
        if path.is_file() { Ok(path) } else { Err(HarnessError::NotBuilt(path)) }
    }
}

/// One installation: a configuration and the processes that share it.
#[derive(Debug)]
pub struct Site {
    /// The configuration, to be changed before the first program starts.
    pub config: Table,
    folder: Scratch,
    gateway: Listeners,
    provisioner: Listeners,
    started: usize,
    gateways: usize,
    provisioners: usize,
    canary: Arc<Mutex<Canary>>,
}

/// Settings as environment variables.
type Settings = Vec<(String, String)>;

/// The two ports of a service.
#[derive(Clone, Copy, Debug)]
struct Listeners {
    port: u16,
    ops: u16,
}

impl Listeners {
    fn free() -> Result<Self, HarnessError> {
        Ok(Self { port: ports::free()?, ops: ports::free()? })
    }

    /// As the environment overrides a section's `listen` and `ops_listen`.
    fn settings(self, section: &str) -> [(String, String); 2] {
        [("LISTEN", self.port), ("OPS_LISTEN", self.ops)]
            .map(|(key, port)| (format!("LOCKSTEP_{section}__{key}"), format!("127.0.0.1:{port}")))
    }
}

impl Site {
    /// A site on a database and, for two processes or more, a Redis. The gateway's public address is its first process on
    /// `localhost`, where browsers keep `Secure` cookies without TLS.
    pub fn new(database: &str, redis: Option<&str>) -> Result<Self, HarnessError> {
        let folder = Scratch::new("site")?;
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key)?;
        let key = STANDARD.encode(key);
        let key_file = folder.write("master.key", format!("{key}\n"))?;
        let (gateway, provisioner) = (Listeners::free()?, Listeners::free()?);
        let (config, canary) = (Table::new(), Arc::default());
        let mut site = Self { config, folder, gateway, provisioner, started: 0, gateways: 0, provisioners: 0, canary };
        site.secret("the master key", &key);
        site.set("database.url", database);
        if let Some(redis) = redis {
            site.set("redis.url", redis);
        }
        site.set("revocation.lease", "3s");
        site.set("gateway.public_url", site.gateway_url());
        site.set("gateway.trusted_proxies", vec!["127.0.0.1"]);
        site.set("provisioner.public_url", site.provisioner_url());
        site.set("keys.master_key_file", key_file.display().to_string());
        site.set("outbound.allow_http_hosts", vec!["127.0.0.1", "localhost"]);
        site.set("outbound.allow_networks", vec!["127.0.0.0/8"]);
        Ok(site)
    }

    /// Sets a key of the configuration, such as `revocation.lease`.
    pub fn set(&mut self, key: &str, value: impl Into<toml::Value>) {
        let mut table = &mut self.config;
        let mut path = key.split('.').peekable();
        while let Some(part) = path.next() {
            if path.peek().is_none() {
                table.insert(part.to_owned(), value.into());
                return;
            }
            let section = table.entry(part).or_insert_with(|| Table::new().into());
            let toml::Value::Table(section) = section else {
                return;
            };
            table = section;
        }
    }

    /// Remembers a secret that no log of this site may hold.
    pub fn secret(&self, name: &str, value: &str) {
        self.canary().secret(name, value);
    }

    /// Writes a secret to a file of this site, as `--client-secret-file` wants it, and remembers it.
    pub fn secret_file(&self, name: &str, value: &str) -> Result<PathBuf, HarnessError> {
        self.secret(name, value);
        self.folder.write(name, value)
    }

    /// Where people reach the gateway, unless the configuration was changed.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        format!("http://localhost:{}", self.gateway.port)
    }

    /// Where providers reach the provisioner, unless the configuration was changed.
    #[must_use]
    pub fn provisioner_url(&self) -> String {
        format!("http://localhost:{}", self.provisioner.port)
    }

    /// Starts a gateway and waits until it is ready. The first one has the public address, each further one a port of its own.
    pub async fn gateway(&mut self) -> Result<Service, HarnessError> {
        let mut service = self.spawn(Program::Gateway)?;
        service.ready().await?;
        Ok(service)
    }

    /// Starts a provisioner and waits until it is ready. The first one has the public address, each further one a port of its own.
    pub async fn provisioner(&mut self) -> Result<Service, HarnessError> {
        let mut service = self.spawn(Program::Provisioner)?;
        service.ready().await?;
        Ok(service)
    }

    /// Starts `lockstep serve` and waits until it is ready.
    pub async fn lockstep(&mut self) -> Result<Service, HarnessError> {
        let mut service = self.spawn(Program::Lockstep)?;
        service.ready().await?;
        Ok(service)
    }

    /// Starts a program without waiting, for tests in which a dependency is away at the start.
    pub fn spawn(&mut self, program: Program) -> Result<Service, HarnessError> {
        let configuration = self.configuration()?;
        let (listeners, settings) = self.listeners(program)?;
        self.started += 1;
        let log = self.folder.path().join(format!("{}-{}.log", program.name(), self.started));
        let mut launch = Launch::new(program.name(), program.path()?, &log)
            .args(["serve".into(), "--config".into(), configuration.into_os_string()])
            .folder(self.folder.path());
        for (name, value) in settings {
            launch = launch.env(name, value);
        }
        let process = Process::start(&launch)?;
        self.canary().log(&log);
        Ok(Service { process, launch, listeners, client: client()? })
    }

    /// Runs an operator's command, such as `["workspace", "create", "acme"]`, and returns what it printed as JSON. Secrets in the
    /// answer are remembered.
    pub async fn command(&self, arguments: &[&str]) -> Result<Value, HarnessError> {
        self.run(Program::Provisioner, arguments).await
    }

    /// Runs any of our programs with this site's configuration and `--json`, and returns what it printed.
    pub async fn run(&self, program: Program, arguments: &[&str]) -> Result<Value, HarnessError> {
        let output = self.output(program, arguments, &[]).await?;
        if !output.status.success() {
            let answer = json_or_text(&output.stderr);
            return Err(HarnessError::Refused { command: line(program, arguments), status: output.status, answer });
        }
        let answer = if output.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&output.stdout)? };
        self.remember(&answer);
        Ok(answer)
    }

    /// Runs any of our programs to its end, however it ends, with these variables over the configuration.
    pub async fn output(
        &self,
        program: Program,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Output, HarnessError> {
        let configuration = self.configuration()?;
        let command = tokio::process::Command::new(program.path()?)
            .arg("--config")
            .arg(configuration)
            .arg("--json")
            .args(arguments)
            .env_clear()
            .envs(plain_environment())
            .envs(environment.iter().copied())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let ended = tokio::time::timeout(COMMAND, command.wait_with_output());
        Ok(ended.await.map_err(|_| HarnessError::Deadline {
            what: format!("the end of `{}`", line(program, arguments)),
            within: COMMAND,
        })??)
    }

    /// Writes the configuration as it is now, and returns where it is.
    pub fn configuration(&self) -> Result<PathBuf, HarnessError> {
        self.folder.write("lockstep.toml", toml::to_string(&self.config)?)
    }

    /// The private folder of this site, for instance for a SQLite file.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What this site looks for in its logs.
    pub fn canary(&self) -> MutexGuard<'_, Canary> {
        self.canary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ports of a program, and the settings that give them to it.
    fn listeners(&mut self, program: Program) -> Result<(Vec<Listeners>, Settings), HarnessError> {
        let gateway = |ports: Listeners| (ports, ports.settings("GATEWAY"));
        let provisioner = |ports: Listeners| (ports, ports.settings("PROVISIONER"));
        let services = match program {
            Program::Gateway => {
                self.gateways += 1;
                let ports = if self.gateways == 1 { self.gateway } else { Listeners::free()? };
                vec![gateway(ports)]
            }
            Program::Provisioner => {
                self.provisioners += 1;
                let ports = if self.provisioners == 1 { self.provisioner } else { Listeners::free()? };
                vec![provisioner(ports)]
            }
            Program::Lockstep => vec![gateway(self.gateway), provisioner(self.provisioner)],
        };
        let (listeners, settings): (Vec<_>, Vec<_>) = services.into_iter().unzip();
        Ok((listeners, settings.into_iter().flatten().collect()))
    }

    fn remember(&self, answer: &Value) {
        match answer {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(value) if SECRET_FIELDS.contains(&name.as_str()) => {
                            self.secret(name, value);
                        }
                        other => self.remember(other),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.remember(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let leaks = self.canary().leaks();
        assert!(leaks.as_ref().is_ok_and(Vec::is_empty), "a secret reached a log, or a log cannot be read: {leaks:?}");
    }
}

fn line(program: Program, arguments: &[&str]) -> String {
    format!("{} {}", program.name(), arguments.join(" "))
}

fn json_or_text(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_writes_the_configuration_that_the_programs_read() {
        let mut site = Site::new("postgres://localhost/x", Some("redis://127.0.0.1:1")).unwrap();
        site.set("gateway.sessions.idle", "1h");

        let written: Table = std::fs::read_to_string(site.configuration().unwrap()).unwrap().parse().unwrap();

        assert_eq!(written["database"]["url"].as_str(), Some("postgres://localhost/x"));
        assert_eq!(written["gateway"]["sessions"]["idle"].as_str(), Some("1h"));
        assert_eq!(written["gateway"]["public_url"].as_str(), Some(site.gateway_url().as_str()));
    }

    #[test]
    #[should_panic(expected = "a secret reached a log")]
    fn a_secret_in_a_log_fails_the_test_that_made_it() {
        let site = Site::new("sqlite://x", None).unwrap();
        site.remember(&serde_json::json!({ "tokens": [{ "token": "lockstep-token-0123" }] }));
        let log = site.folder.write("gateway-1.log", "seen: lockstep-token-0123").unwrap();
        site.canary().log(&log);

        drop(site);
    }
}
