//! The demo: both services on an embedded database in a folder of their own, a sample company set up by the operators' own
//! commands, its identity provider, and an app behind the gateway. It keeps nothing: the folder goes when it ends.

mod error;
mod ports;
mod seed;
pub mod text;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lockstep_demo_idp::{DemoProvider, Options, Running, RunningApp, SampleApp, SampleAppOptions, ScimSettings, SyncReport};
use lockstep_shared::{config::Config, runtime::Runtime, secret::Key};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::{
    error::DemoError,
    ports::{Ports, Taken},
};
use crate::services::{self, ServeError};

/// How long the services may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How often they are asked.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// The demo, running. Dropping it without `stop` leaves its tasks to the runtime, but takes the folder away.
#[derive(Debug)]
pub struct Demo {
    /// Where browsers reach the app, through the gateway: `http://localhost:8080`.
    pub app_url: String,
    /// Acme's provider and directory.
    pub provider: Running,
    /// The protected app itself, which trusts whoever reaches it.
    pub app: RunningApp,
    /// Where the directory is sent.
    pub scim: ScimSettings,
    /// When the start began.
    pub began: Instant,
    ports: Ports,
    runtime: Runtime,
    services: JoinHandle<Result<(), ServeError>>,
    stop: CancellationToken,
    folder: TempDir,
}

impl Demo {
    /// Starts everything, and returns when the services are ready. Nobody is provisioned yet.
    pub async fn start(ports: Ports, stop: CancellationToken) -> Result<Self, DemoError> {
        let began = Instant::now();
        ports.check()?;
        let folder = tempfile::Builder::new().prefix("lockstep-demo-").tempdir().map_err(DemoError::Folder)?;
        let app_url = format!("http://localhost:{}", ports.gateway);
        let provider_url = format!("http://localhost:{}", ports.provider);
        let app = SampleApp::start(
            local(0),
            SampleAppOptions { directory_url: Some(provider_url.clone()), shutdown: stop.clone(), ..SampleAppOptions::default() },
        );
        let app = app.await?;
        let provider = DemoProvider::start(Options {
            listen: local(ports.provider),
            issuer: Some(provider_url),
            app_url: Some(app_url.clone()),
            shutdown: stop.clone(),
            ..Options::default()
        });
        let provider = provider.await?;
        let services = services::open(configuration(ports, &folder, &app)?, stop.clone()).await?;
        let scim = seed::acme(&services.runtime, &provider, folder.path()).await?;
        provider.configure_scim(&scim.base_url, &scim.token).map_err(lockstep_demo_idp::StartError::from)?;
        let runtime = services.runtime.clone();
        let services = tokio::spawn(services::run(services));
        let mut demo = Self { app_url, provider, app, scim, began, ports, runtime, services, stop, folder };
        demo.wait_until_ready().await?;
        Ok(demo)
    }

    /// Sends the whole directory to the provisioner, and maps its groups.
    pub async fn provision(&self) -> Result<SyncReport, DemoError> {
        let report = self.provider.sync().await;
        match report.requests.iter().find(|exchange| !exchange.is_confirmed()) {
            None if report.is_confirmed() => {
                seed::access(&self.runtime).await?;
                Ok(report)
            }
            None => Err(DemoError::NothingSent),
            Some(refused) => Err(DemoError::NotProvisioned {
                subject: refused.subject.clone(),
                reason: refused.failure.clone().unwrap_or_else(|| "no reason was given".to_owned()),
            }),
        }
    }

    /// Where the directory page is.
    #[must_use]
    pub fn directory_url(&self) -> &str {
        self.provider.issuer()
    }

    /// Stops everything in good order and removes what it made.
    pub async fn stop(self) -> Result<(), DemoError> {
        self.stop.cancel();
        let served = self.services.await;
        self.provider.stop().await;
        self.app.stop().await;
        served.map_err(|_| DemoError::Broken)??;
        self.folder.close().map_err(DemoError::Folder)
    }

    async fn wait_until_ready(&mut self) -> Result<(), DemoError> {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().map_err(DemoError::Http)?;
        let ops = [self.ports.gateway_ops, self.ports.provisioner_ops].map(|port| format!("http://127.0.0.1:{port}/readyz"));
        let ready = async {
            for address in &ops {
                while !http.get(address).send().await.is_ok_and(|answer| answer.status().is_success()) {
                    tokio::time::sleep(ASK_EVERY).await;
                }
            }
        };
        tokio::select! {
            ready = tokio::time::timeout(READY_WITHIN, ready) => ready.map_err(|_| DemoError::NotReady(READY_WITHIN)),
            served = &mut self.services => Err(match served {
                Ok(Err(error)) => error.into(),
                Ok(Ok(())) => DemoError::Stopped,
                Err(_) => DemoError::Broken,
            }),
        }
    }
}

/// What `lockstep.toml` would say.
fn configuration(ports: Ports, folder: &TempDir, app: &RunningApp) -> Result<Config, DemoError> {
    let key = STANDARD.encode(Key::random().map_err(DemoError::Randomness)?.expose());
    let database = format!("sqlite://{}/lockstep.db", folder.path().display());
    // A text of JSON is one of TOML, too.
    let database = serde_json::Value::String(database);
    let Ports { gateway, gateway_ops, provisioner, provisioner_ops, .. } = ports;
    let upstream = app.address();
    let text = format!(
        r#"
        [database]
        url = {database}
        max_connections = 4
        [keys]
        master_key = "{key}"
        [gateway]
        listen = "127.0.0.1:{gateway}"
        ops_listen = "127.0.0.1:{gateway_ops}"
        public_url = "http://localhost:{gateway}"
        trusted_proxies = []
        [provisioner]
        listen = "127.0.0.1:{provisioner}"
        ops_listen = "127.0.0.1:{provisioner_ops}"
        public_url = "http://localhost:{provisioner}"
        [outbound]
        allow_http_hosts = ["localhost"]
        allow_networks = ["127.0.0.0/8"]
        [[apps]]
        hosts = ["localhost"]
        upstream = "http://{upstream}"
        workspaces = ["acme"]
        "#
    );
    Ok(Config::from_toml(&text).map_err(ServeError::from)?)
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named_with_what_to_do() {
        let squatter = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = squatter.local_addr().unwrap().port();
        let ports = Ports { provisioner: taken, ..Ports::free().unwrap() };

        let error = Demo::start(ports, CancellationToken::new()).await.unwrap_err();

        assert_eq!(error.to_string(), format!("another program listens on port {taken} (provisioner)"));
        assert!(error.fix().contains("--free-ports"), "{}", error.fix());
    }

    #[tokio::test]
    async fn what_the_demo_made_is_gone_when_it_ends() {
        let demo = Demo::start(Ports::free().unwrap(), CancellationToken::new()).await.unwrap();
        let folder = demo.folder.path().to_owned();
        assert!(folder.join("lockstep.db").exists());
        let ports = demo.ports;

        demo.stop().await.unwrap();

        assert!(!folder.exists());
        assert!(ports.check().is_ok(), "every port is free again");
    }
}
