//! One running process of ours.

use std::{process::ExitStatus, time::Duration};

use http::StatusCode;
use rustix::process::Signal;

use super::Listeners;
use crate::harness::{
    HarnessError, eventually,
    http::send,
    process::{Launch, Process},
};

const START: Duration = Duration::from_secs(30);

/// A running program of ours; dropping it ends it in good order.
#[derive(Debug)]
pub struct Service {
    pub(super) process: Process,
    pub(super) launch: Launch,
    pub(super) listeners: Vec<Listeners>,
    pub(super) client: reqwest::Client,
}

impl Service {
    /// Its own address on loopback, which is not the public one.
    #[must_use]
    pub fn url(&self) -> String {
        self.address(|listeners| listeners.port)
    }

    /// Where it answers `/livez`, `/readyz` and `/metrics`.
    #[must_use]
    pub fn ops_url(&self) -> String {
        self.address(|listeners| listeners.ops)
    }

    /// Its process id, for instance to read its processor time.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until `/readyz` answers 200 on each of its ops ports.
    pub async fn ready(&mut self) -> Result<(), HarnessError> {
        let client = &self.client;
        let addresses: Vec<String> =
            self.listeners.iter().map(|listeners| format!("http://127.0.0.1:{}/readyz", listeners.ops)).collect();
        self.process
            .ready(START, async || {
                for address in &addresses {
                    let answer = send(client.get(address)).await.ok()?;
                    if answer.status != StatusCode::OK {
                        return None;
                    }
                }
                Some(())
            })
            .await
    }

    /// Waits until it has ended by itself, for instance because it refuses its configuration.
    pub async fn ended(&mut self) -> Result<ExitStatus, HarnessError> {
        let process = &mut self.process;
        eventually("a program ending by itself", START, async || process.ended().ok().flatten()).await
    }

    /// Stands still until `resume` (SIGSTOP).
    pub async fn pause(&mut self) -> Result<(), HarnessError> {
        self.process.pause().await
    }

    /// Goes on after `pause` (SIGCONT).
    pub fn resume(&mut self) -> Result<(), HarnessError> {
        self.process.resume()
    }

    /// Sends a signal.
    pub fn signal(&mut self, signal: Signal) -> Result<(), HarnessError> {
        self.process.signal(signal)
    }

    /// Ends in good order (SIGTERM).
    pub async fn stop(&mut self) -> Result<ExitStatus, HarnessError> {
        self.process.stop().await
    }

    /// Dies at once (SIGKILL).
    pub async fn kill(&mut self) -> Result<(), HarnessError> {
        self.process.kill().await.map(drop)
    }

    /// Comes back on the same ports, after ending first if it still runs, and waits until it is ready.
    pub async fn restart(&mut self) -> Result<(), HarnessError> {
        self.begin_restart().await?;
        self.ready().await
    }

    /// Comes back as `restart` does, but returns while it may still be waiting for something.
    pub async fn begin_restart(&mut self) -> Result<(), HarnessError> {
        self.process.stop().await?;
        self.process = Process::start(&self.launch)?;
        Ok(())
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    fn address(&self, port: impl Fn(&Listeners) -> u16) -> String {
        self.listeners.first().map(|listeners| format!("http://127.0.0.1:{}", port(listeners))).unwrap_or_default()
    }
}
