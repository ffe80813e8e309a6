//! Listens, serves until told to stop, and then waits a moment for what is under way.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::error::StartError;

const DRAIN: Duration = Duration::from_secs(2);

/// A server that runs.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// An address that is ours, not served yet: whoever connects waits.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

pub(crate) async fn bind(address: SocketAddr) -> Result<Bound, StartError> {
    let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
    Ok(Bound { listener, address })
}

impl Bound {
    pub(crate) fn serve(self, router: Router, tasks: TaskTracker, shutdown: CancellationToken) -> Server {
        let (address, stop, force) = (self.address, shutdown.clone(), shutdown.clone());
        tasks.spawn(async move {
            let serving = axum::serve(self.listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
            let cut_off = async move {
                force.cancelled().await;
                tokio::time::sleep(DRAIN).await;
            };
            tokio::select! {
                outcome = serving => if let Err(error) = outcome {
                    tracing::error!(%error, server.address = %address, "a demo server stopped");
                },
                () = cut_off => {}
            }
        });
        Server { address, tasks, shutdown }
    }
}

impl Server {
    pub(crate) async fn stop(&self) {
        self.shutdown.cancel();
        self.tasks.close();
        // Nothing that is still under way is waited for longer than this.
        let _ = tokio::time::timeout(DRAIN * 2, self.tasks.wait()).await;
    }
}
