//! The ops listener: `/livez`, `/readyz`, `/metrics`. It never shares a port with the public one. Ready means ready once:
//! a later outage does not unready a process, or all replicas would be taken away together.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::serve::{Drain, ServeOptions, serve};
use crate::telemetry::Metrics;

/// Whether this process wants requests. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    is_ready: AtomicBool,
    is_draining: AtomicBool,
}

impl Readiness {
    /// A process that has just started.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything is there that the first request needs; never taken back.
    pub fn set_ready(&self) {
        self.0.is_ready.store(true, Ordering::Release);
    }

    /// The process is on its way out; never taken back.
    pub fn start_draining(&self) {
        self.0.is_draining.store(true, Ordering::Release);
    }

    /// Whether the process is on its way out.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Acquire)
    }

    /// Whether the process wants requests.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.is_ready.load(Ordering::Acquire) && !self.is_draining()
    }
}

/// The ops listener while it runs: from the first moment of its program, which may still be waiting for its database, to the
/// last. Dropping it ends it.
#[derive(Debug)]
pub struct Ops {
    /// What `/readyz` tells.
    pub readiness: Readiness,
    /// What `/metrics` tells; the program adds what it counts.
    pub metrics: Metrics,
    stop: DropGuard,
    serving: JoinHandle<Drain>,
}

impl Ops {
    /// Listens on an address.
    pub async fn start(address: SocketAddr, metrics: Metrics) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let (readiness, stop) = (Readiness::new(), CancellationToken::new());
        let router = ops_router(readiness.clone(), metrics.clone());
        let serving = tokio::spawn(serve(listener, router, ServeOptions::default(), stop.clone()));
        Ok(Self { readiness, metrics, stop: stop.drop_guard(), serving })
    }

    /// Ends it, after what is under way.
    pub async fn stop(self) {
        drop(self.stop);
        let _ = self.serving.await;
    }
}

/// The routes of the ops listener.
pub fn ops_router(readiness: Readiness, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(render).with_state(metrics))
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    if readiness.is_ready() {
        (StatusCode::OK, "ready\n")
    } else if readiness.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
    }
}

async fn render(State(metrics): State<Metrics>) -> Response {
    match metrics.render() {
        Ok(text) => ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "cannot write the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    use super::*;

    async fn get(router: &Router, path: &str) -> (StatusCode, String) {
        let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_process_is_ready_between_its_first_lease_and_its_drain() {
        let readiness = Readiness::new();
        let router = ops_router(readiness.clone(), Metrics::new());

        assert_eq!(get(&router, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()));
        readiness.set_ready();
        assert_eq!(get(&router, "/readyz").await, (StatusCode::OK, "ready\n".to_owned()));
        readiness.start_draining();
        assert_eq!(get(&router, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()));
        assert_eq!(get(&router, "/livez").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn metrics_are_rendered_with_our_prefix() {
        let metrics = Metrics::new();
        let counter = metrics.register("refusals", "Requests refused.", Counter::<u64>::default());
        counter.inc();

        let (status, text) = get(&ops_router(Readiness::new(), metrics), "/metrics").await;

        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("lockstep_refusals_total 1\n") && text.ends_with("# EOF\n"), "{text}");
    }
}
