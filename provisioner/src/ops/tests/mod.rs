//! The commands as an operator types them, against a SQLite database in a folder of the test.

mod check;
mod connection;
mod credentials;
mod directory;
mod guard;
mod link;
mod log;
mod mail;
mod mapping;
mod policy;
mod refusals;
mod sso;
mod workspace;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{Json, Router, routing::get};
use clap::{CommandFactory as _, Parser};
use lockstep_shared::{
    clock::TestClock,
    config::{Config, Program},
    http::serve::{ServeOptions, serve},
    id::{ReplicaId, WorkspaceId},
    model::revocation::Seq,
    store::{Renewal, Store, StoreOptions},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Command, Context, Finished, Options, execute, run, usage};

const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[derive(Debug, Parser)]
#[command(name = "provisioner")]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

/// A deployment without running programs.
struct Deployment {
    folder: TempDir,
    clock: Arc<TestClock>,
}

impl Deployment {
    /// A folder with a configuration and no database yet.
    fn empty() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap(), clock: TestClock::new() };
        std::fs::write(this.path("master.key"), MASTER_KEY).unwrap();
        this.write_config(&this.database_url());
        this
    }

    /// A deployment whose database is there.
    async fn migrated() -> Self {
        let this = Self::empty();
        assert_eq!(this.run("migrate").await.code, 0);
        this
    }

    /// A deployment with the workspace `acme`, on the plan enterprise.
    async fn with_acme() -> Self {
        let this = Self::migrated().await;
        assert_eq!(this.run("workspace create acme --name Acme --plan enterprise").await.code, 0);
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database_url(&self) -> String {
        format!("sqlite://{}", self.path("lockstep.db").display())
    }

    fn write_config(&self, database_url: &str) {
        let text = format!(
            "[database]\nurl = \"{database_url}\"\n[keys]\nmaster_key_file = \"master.key\"\n\
             [gateway]\npublic_url = \"https://login.example.com\"\ntrusted_proxies = []\n\
             [provisioner]\npublic_url = \"https://scim.example.com\"\n\
             [outbound]\nallow_http_hosts = [\"127.0.0.1\"]\nallow_networks = [\"127.0.0.0/8\"]\n"
        );
        std::fs::write(self.path("lockstep.toml"), text).unwrap();
    }

    fn write_secret(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    fn config(&self) -> Config {
        Config::load(Some(&self.path("lockstep.toml")), std::iter::empty()).unwrap()
    }

    fn store(&self) -> Store {
        let sealer = self.config().keys.unwrap().sealer;
        Store::open(&StoreOptions::new(self.database_url()), self.clock.clone(), sealer).unwrap()
    }

    /// Runs a line, split at its spaces (`_` in a word stands for one), as the program does.
    async fn run(&self, line: &str) -> Finished {
        let config = self.path("lockstep.toml").display().to_string();
        let words = ["provisioner".to_owned(), "--config".to_owned(), config];
        let arguments: Vec<String> = words.into_iter().chain(line.split(' ').map(str::to_owned)).collect();
        match Cli::try_parse_from(&arguments) {
            // On the heap: one future has room for the largest command.
            Ok(cli) => Box::pin(execute(Program::Standalone, &cli.options, cli.command, &[], self.clock.clone())).await,
            Err(error) => usage(&error, &arguments),
        }
    }

    /// Runs a line with `--json` and returns the object that it printed.
    async fn json(&self, line: &str) -> Value {
        let finished = self.run(&format!("{line} --json")).await;
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""), "{line}");
        serde_json::from_str(&finished.stdout).unwrap()
    }

    /// Runs a line with `--json` and returns the exit code and the error that it printed.
    async fn refusal(&self, line: &str) -> (u8, Value) {
        let finished = self.run(&format!("{line} --json")).await;
        assert_eq!(finished.stdout, "", "{line}");
        let printed: Value = serde_json::from_str(&finished.stderr).unwrap();
        assert!(!printed["error"]["message"].as_str().unwrap().is_empty(), "{line}: {printed}");
        assert!(!printed["error"]["fix"].as_str().unwrap().is_empty(), "{line}: {printed}");
        (finished.code, printed["error"].clone())
    }

    /// The audit trail of `acme`, oldest first.
    async fn trail(&self) -> Vec<Value> {
        let exported = self.run("audit export acme").await;
        exported.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn acme() -> WorkspaceId {
    WorkspaceId::parse("acme").unwrap()
}

/// A gateway as the database knows it: it applies the log when the test says so.
struct Gateway {
    id: ReplicaId,
    store: Store,
}

impl Gateway {
    async fn serving(deployment: &Deployment) -> Self {
        let this = Self { id: ReplicaId::new(), store: deployment.store() };
        this.store.join_gateway(&this.id, Duration::from_secs(10)).await.unwrap();
        this.apply().await;
        this
    }

    /// Renews with everything that the log holds applied.
    async fn apply(&self) -> Seq {
        let head = self.store.head().await.unwrap();
        let renewal = self.store.renew_gateway(&self.id, Some((&head.generation, head.seq))).await.unwrap();
        assert!(matches!(renewal, Renewal::Renewed(_)));
        head.seq
    }

    /// Applies the log again and again while `work` goes on.
    async fn apply_during<T>(&self, work: impl Future<Output = T>) -> T {
        // Both are polled at once: a renewal waits for the database while the work may hold its lock.
        let renewing = async {
            let mut renewals = tokio::time::interval(Duration::from_millis(20));
            loop {
                renewals.tick().await;
                self.apply().await;
            }
        };
        tokio::select! {
            done = work => done,
            () = renewing => unreachable!(),
        }
    }
}

/// An OpenID provider's documents on loopback, until it is stopped.
struct Provider {
    issuer: String,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Provider {
    /// A provider whose metadata is changed by `change`.
    async fn start(change: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let mut metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        for (name, value) in change.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        let keys = json!({ "keys": [{ "kty": "RSA", "use": "sig", "kid": "1" }] });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(|| async move { Json(metadata) }))
            .route("/jwks", get(|| async move { Json(keys) }));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let options = ServeOptions { drain: Duration::from_millis(50), ..ServeOptions::default() };
        tasks.spawn(serve(listener, router, options, stop.clone()));
        tasks.close();
        Self { issuer, stop, tasks }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Deployment {
    /// Adds the active connection `acme-generic` to this provider.
    async fn connect(&self, provider: &Provider) {
        let secret = self.write_secret("client.secret", "s3cret\n");
        let line = format!(
            "connection add acme --preset generic --issuer {} --client-id lockstep --client-secret-file {secret}",
            provider.issuer
        );
        assert_eq!(self.json(&line).await["state"], "active");
    }
}
