//! Runs both services on one runtime. Neither goes on without the other: half a front door is worse than a supervisor's restart.

use std::sync::Arc;

use lockstep_shared::{
    clock::SystemClock,
    config::{Config, ConfigError, Program},
    http::health::Ops,
    runtime::{Runtime, Schema, StartError},
    telemetry::Metrics,
};
use tokio_util::sync::CancellationToken;

/// Why the services do not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting is missing.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A part cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The gateway does not run.
    #[error(transparent)]
    Gateway(#[from] lockstep_gateway::serve::ServeError),
    /// The provisioner does not run.
    #[error(transparent)]
    Provisioner(#[from] lockstep_provisioner::serve::ServeError),
}

/// Both services before they serve. Their ops listeners answer already.
#[derive(Debug)]
pub struct Services {
    /// What both work with.
    pub runtime: Runtime,
    gateway_ops: Ops,
    provisioner_ops: Ops,
}

/// Opens what both services work with, and brings the schema up to date.
pub async fn open(config: Config, stop: CancellationToken) -> Result<Services, ServeError> {
    config.check_program(Program::Standalone)?;
    // Told before the database is waited for.
    config.require_gateway()?;
    config.require_provisioner()?;
    // Both show what both count: it is one process.
    let gateway_ops = lockstep_gateway::serve::listen_ops(&config, Metrics::new()).await?;
    let provisioner_ops = lockstep_provisioner::serve::listen_ops(&config, Metrics::new()).await?;
    let runtime = Runtime::open(Arc::new(config), SystemClock::shared(), Schema::Migrate, stop).await?;
    Ok(Services { runtime, gateway_ops, provisioner_ops })
}

/// Serves until the runtime is told to stop, and closes it.
pub async fn run(services: Services) -> Result<(), ServeError> {
    let Services { runtime, gateway_ops, provisioner_ops } = services;
    let gateway = async {
        let served = lockstep_gateway::serve::serve(&runtime, gateway_ops).await;
        runtime.stop.cancel();
        served
    };
    let provisioner = async {
        let served = lockstep_provisioner::serve::serve(&runtime, provisioner_ops).await;
        runtime.stop.cancel();
        served
    };
    let (gateway, provisioner) = tokio::join!(gateway, provisioner);
    runtime.close().await;
    gateway?;
    Ok(provisioner?)
}
