//! A real nginx with a prefix, a configuration and a pid file of its own; never the system's service.

use std::time::Duration;

use rustix::process::Signal;

use super::{
    HarnessError, Scratch, ports,
    process::{Launch, Process, find, is_root},
};

const START: Duration = Duration::from_secs(15);

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    port: u16,
    folder: Scratch,
}

impl Nginx {
    /// Starts one on a free port; `servers` gets that port and returns what stands inside `http { … }`.
    pub async fn start(servers: impl FnOnce(u16) -> String) -> Result<Self, HarnessError> {
        Self::start_on(ports::free()?, servers).await
    }

    /// Starts one on a port that was reserved before, for instance because a public address names it.
    pub async fn start_on(port: u16, servers: impl FnOnce(u16) -> String) -> Result<Self, HarnessError> {
        let folder = Scratch::new("nginx")?;
        let configuration = folder.write("nginx.conf", configuration(&servers(port)))?;
        let launch = Launch::new("nginx", find("nginx", &[])?, folder.path().join("output.log"))
            .args(["-p".into(), folder.path().as_os_str().to_owned()])
            .args(["-c".into(), configuration.into_os_string()])
            .args(["-e", "error.log"])
            .farewell(Signal::TERM);
        let process = Process::start(&launch)?;
        let mut nginx = Self { process, port, folder };
        nginx.ready().await?;
        Ok(nginx)
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stands still until `resume`, workers included.
    pub async fn pause(&mut self) -> Result<(), HarnessError> {
        self.process.pause().await
    }

    /// Goes on after `pause`.
    pub fn resume(&mut self) -> Result<(), HarnessError> {
        self.process.resume()
    }

    /// Ends in good order.
    pub async fn stop(&mut self) -> Result<(), HarnessError> {
        self.process.stop().await.map(drop)
    }

    /// What it logged as errors.
    #[must_use]
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }

    async fn ready(&mut self) -> Result<(), HarnessError> {
        let address = (std::net::Ipv4Addr::LOCALHOST, self.port);
        let ready = self.process.ready(START, async || tokio::net::TcpStream::connect(address).await.ok().map(drop)).await;
        ready.map_err(|error| match error {
            HarnessError::Ended { program, status, log } => HarnessError::Ended { program, status, log: log + &self.errors() },
            other => other,
        })
    }
}

/// Everything around the servers. All files stay in the prefix; as root the workers keep that identity, since the prefix is
/// private.
fn configuration(servers: &str) -> String {
    let user = if is_root() { "user root;" } else { "" };
    format!(
        "{user}
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log info;
events {{ worker_connections 1024; }}
http {{
    access_log access.log;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    types {{ text/html html; text/css css; }}
    default_type text/plain;
{servers}
}}
"
    )
}
