//! Runs both services on one runtime. Neither goes on without the other: half a front door is worse than a supervisor's restart.

use std::sync::Arc;

use lockstep_shared::{
    clock::SystemClock,
    config::{Config, ConfigError, Program},
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

/// Opens what both services work with, and brings the schema up to date.
pub async fn open(config: Config, stop: CancellationToken) -> Result<Runtime, ServeError> {
    config.check_program(Program::Standalone)?;
    // Told before the database is waited for, and both at once.
    let (gateway, provisioner) = (config.require_gateway(), config.require_provisioner());
    (gateway?, provisioner?);
    Ok(Runtime::open(Arc::new(config), SystemClock::shared(), Schema::Migrate, stop).await?)
}

/// Serves until the runtime is told to stop, and closes it.
pub async fn run(runtime: &Runtime) -> Result<(), ServeError> {
    let metrics = Metrics::new();
    let gateway = async {
        let served = lockstep_gateway::serve::serve(runtime, metrics.clone()).await;
        runtime.stop.cancel();
        served
    };
    let provisioner = async {
        let served = lockstep_provisioner::serve::serve(runtime, metrics.clone()).await;
        runtime.stop.cancel();
        served
    };
    let (gateway, provisioner) = tokio::join!(gateway, provisioner);
    runtime.close().await;
    gateway?;
    Ok(provisioner?)
}
