//! The system's wish that a program end: SIGTERM from a supervisor, SIGINT from a terminal. A second one ends it at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first signal. To be called within a runtime.
pub fn stop_on_signal() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stopping.is_cancelled() {
                tracing::warn!("told to stop a second time: ending at once");
                std::process::exit(130);
            }
            tracing::info!("told to stop: finishing what has begun");
            stopping.cancel();
        }
    });
    Ok(stop)
}
