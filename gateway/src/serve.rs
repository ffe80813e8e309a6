//! Runs the gateway: both listeners, and at the end the order of a good exit: stop being ready, let what has begun come to its
//! end, give up the lease, take the row away.

use futures_util::{FutureExt as _, future::BoxFuture};
use lockstep_shared::{
    config::Config,
    http::{
        health::Ops,
        listener::{self, ListenError, serve_until},
    },
    runtime::{Runtime, StartError, open_lease_store},
    telemetry::Metrics,
};
use tokio_util::sync::CancellationToken;

use crate::{
    proxy::{Upstreams, UpstreamsError},
    routes,
    state::{BuildError, Gateway},
};

/// Whose settings these are, for messages.
const SECTION: &str = "gateway";

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
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// Starts the ops listener. To come before the runtime, which may wait for the database: that is no reason to be taken for dead.
pub async fn listen_ops(config: &Config, metrics: Metrics) -> Result<Ops, ServeError> {
    let address = config.require_gateway().map_err(BuildError::from)?.ops_listen;
    Ok(listener::listen_ops(SECTION, address, metrics).await?)
}

/// Serves until the runtime is told to stop. Boxed, so that all that serving takes is compiled here and not in each program.
#[must_use]
pub fn serve(runtime: &Runtime, ops: Ops) -> BoxFuture<'_, Result<(), ServeError>> {
    run(runtime, ops).boxed()
}

async fn run(runtime: &Runtime, ops: Ops) -> Result<(), ServeError> {
    let settings = runtime.config.require_gateway().map_err(BuildError::from)?;
    let listener = listener::listen(SECTION, settings.listen).await?;
    let (readiness, drained) = (ops.readiness.clone(), CancellationToken::new());
    runtime.meters.show_in(&ops.metrics);
    let gateway = Gateway::build(runtime, open_lease_store(runtime)?, readiness.clone(), drained.clone()).await?;
    let router = routes::router(&gateway, Upstreams::new(&runtime.config.outbound)?);
    tracing::info!(address = %settings.listen, public_url = %settings.public_url, "the gateway listens");
    serve_until(&runtime.stop, listener, router, &readiness).await;
    drained.cancel();
    ops.stop().await;
    Ok(())
}
