//! The two listeners of a program, which both programs open and close alike: the service's, and the one for operators beside it.

use std::{io, net::SocketAddr, time::Duration};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    health::{Ops, Readiness},
    serve::{Drain, ServeOptions, serve},
};
use crate::telemetry::Metrics;

/// How long the process still takes requests after it has said that it is not ready, so that load balancers hear of it.
const LINGER: Duration = Duration::from_millis(500);

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; is another program there? Change [{section}] {key}")]
pub struct ListenError {
    section: &'static str,
    key: &'static str,
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// Starts the ops listener of a section of the configuration.
pub async fn listen_ops(section: &'static str, address: SocketAddr, metrics: Metrics) -> Result<Ops, ListenError> {
    Ops::start(address, metrics).await.map_err(|source| ListenError { section, key: "ops_listen", address, source })
}

/// Takes the service's address of a section of the configuration. Whoever connects from now on waits until it serves.
pub async fn listen(section: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError { section, key: "listen", address, source })
}

/// Serves until `stop`, and then leaves in order: says that it is not ready, takes requests a moment longer, and lets what has begun come to
/// its end.
pub async fn serve_until(stop: &CancellationToken, listener: TcpListener, router: Router, readiness: &Readiness) {
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, router, ServeOptions::default(), shutdown.clone()));
    stop.cancelled().await;
    readiness.start_draining();
    tokio::time::sleep(LINGER).await;
    shutdown.cancel();
    if let Ok(Drain::CutOff { connections }) = serving.await {
        tracing::warn!(connections, "connections were cut off at the end of the drain");
    }
}
