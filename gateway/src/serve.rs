//! Runs the gateway: both listeners, and at the end the order of a good exit: stop being ready, let what has begun come to its
//! end, give up the lease, take the row away.

use std::{io, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use lockstep_shared::{
    config::Config,
    http::{
        health::Ops,
        serve::{Drain, ServeOptions, serve as serve_http},
    },
    runtime::{Runtime, StartError, open_lease_store},
    telemetry::Metrics,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    proxy::{Upstreams, UpstreamsError},
    routes,
    state::{BuildError, Gateway},
};

/// How long the process still takes requests after it has said that it is not ready, so that load balancers hear of it.
const LINGER: Duration = Duration::from_millis(500);

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A part cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The gateway cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The way to the apps cannot be opened.
    #[error(transparent)]
    Upstreams(#[from] UpstreamsError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}; is another program there? Change [gateway] {key}")]
    Listen {
        /// The setting.
        key: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Starts the ops listener. To come before the runtime, which may wait for the database: that is no reason to be taken for dead.
pub async fn listen_ops(config: &Config, metrics: Metrics) -> Result<Ops, ServeError> {
    let address = config.require_gateway().map_err(BuildError::from)?.ops_listen;
    Ops::start(address, metrics).await.map_err(|source| ServeError::Listen { key: "ops_listen", address, source })
}

/// Serves until the runtime is told to stop. Boxed, so that all that serving takes is compiled here and not in each program.
#[must_use]
pub fn serve(runtime: &Runtime, ops: Ops) -> BoxFuture<'_, Result<(), ServeError>> {
    run(runtime, ops).boxed()
}

async fn run(runtime: &Runtime, ops: Ops) -> Result<(), ServeError> {
    let settings = runtime.config.require_gateway().map_err(BuildError::from)?;
    let listener = listen("listen", settings.listen).await?;
    let (readiness, drained) = (ops.readiness.clone(), CancellationToken::new());
    runtime.meters.show_in(&ops.metrics);
    let gateway = Gateway::build(runtime, open_lease_store(runtime)?, readiness.clone(), drained.clone()).await?;
    let router = routes::router(&gateway, Upstreams::new(&runtime.config.outbound)?);
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve_http(listener, router, ServeOptions::default(), shutdown.clone()));
    tracing::info!(address = %settings.listen, public_url = %settings.public_url, "the gateway listens");

    runtime.stop.cancelled().await;
    readiness.start_draining();
    tokio::time::sleep(LINGER).await;
    shutdown.cancel();
    if let Ok(Drain::CutOff { connections }) = serving.await {
        tracing::warn!(connections, "connections were cut off at the end of the drain");
    }
    drained.cancel();
    ops.stop().await;
    Ok(())
}

async fn listen(key: &'static str, address: std::net::SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { key, address, source })
}
