//! A real Redis server on a port of its own, which can be stopped, killed, paused and brought back on that port.

use std::time::Duration;

use redis::aio::MultiplexedConnection;

use super::{
    HarnessError, Scratch, ports,
    process::{Launch, Process, find},
};

const START: Duration = Duration::from_secs(15);

/// A running Redis server.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    launch: Launch,
    port: u16,
    _folder: Scratch,
}

impl Redis {
    /// Starts a server that keeps nothing across restarts.
    pub async fn start() -> Result<Self, HarnessError> {
        Self::start_with(&[]).await
    }

    /// Starts a server with further settings, such as `["--appendonly", "yes"]`.
    pub async fn start_with(settings: &[&str]) -> Result<Self, HarnessError> {
        let folder = Scratch::new("redis")?;
        let port = ports::free()?;
        let launch = Launch::new("redis-server", find("redis-server", &[])?, folder.path().join("log"))
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .args([folder.path()])
            .args(settings);
        let process = Process::start(&launch)?;
        let mut redis = Self { process, launch, port, _folder: folder };
        redis.ready().await?;
        Ok(redis)
    }

    /// Its address, as the configuration wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port on loopback.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A fresh connection.
    pub async fn connect(&self) -> Result<MultiplexedConnection, HarnessError> {
        Ok(redis::Client::open(self.url())?.get_multiplexed_async_connection().await?)
    }

    /// Stands still until `resume`: connections stay open and nothing answers.
    pub async fn pause(&mut self) -> Result<(), HarnessError> {
        self.process.pause().await
    }

    /// Goes on after `pause`.
    pub fn resume(&mut self) -> Result<(), HarnessError> {
        self.process.resume()
    }

    /// Ends in good order; connections to its port are refused.
    pub async fn stop(&mut self) -> Result<(), HarnessError> {
        self.process.stop().await.map(drop)
    }

    /// Dies at once (SIGKILL).
    pub async fn kill(&mut self) -> Result<(), HarnessError> {
        self.process.kill().await.map(drop)
    }

    /// Comes back on the same port, after ending first if it still runs.
    pub async fn restart(&mut self) -> Result<(), HarnessError> {
        self.process.stop().await?;
        self.process = Process::start(&self.launch)?;
        self.ready().await
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    async fn ready(&mut self) -> Result<(), HarnessError> {
        let client = redis::Client::open(self.url())?;
        self.process
            .ready(START, async || {
                let mut connection = client.get_multiplexed_async_connection().await.ok()?;
                redis::cmd("PING").query_async::<String>(&mut connection).await.ok().map(drop)
            })
            .await
    }
}
