//! Runs the provisioner: both listeners, and the order of a good exit.

use std::time::Duration;

use axum::Router;
use futures_util::{FutureExt as _, future::BoxFuture};
use lockstep_shared::{
    clock::Timestamp,
    config::{Config, ConfigError},
    http::{
        health::Ops,
        layers::{Observation, count, observe},
        listener::{self, ListenError, serve_until},
        outbound::{Outbound, SetupError},
    },
    runtime::Runtime,
    store::{Store, StoreError},
    telemetry::Metrics,
};
use tokio_util::sync::CancellationToken;

use crate::{
    journal::Journal,
    mail::{self, Courier, MailSetupError},
    oauth::TokenService,
    service::ScimService,
};

/// Whose settings these are, for messages.
const SECTION: &str = "provisioner";
/// How often sessions, one-time marks and granted tokens that have run out are deleted, and the log is pruned.
const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// Rows of the log are kept for this long at the least.
const KEEP_REVOCATIONS: Duration = Duration::from_hours(30 * 24);

/// Entries of the provisioning log that are deleted in one step.
const LOG_STEP: u32 = 1_000;

/// Why the provisioner does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A setting is missing.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Our own HTTP client cannot be made.
    #[error(transparent)]
    Outbound(#[from] SetupError),
    /// Mail cannot be sent.
    #[error(transparent)]
    Mail(#[from] MailSetupError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// Starts the ops listener. To come before the runtime, which may wait for the database: that is no reason to be taken for dead.
pub async fn listen_ops(config: &Config, metrics: Metrics) -> Result<Ops, ServeError> {
    let address = config.require_provisioner()?.ops_listen;
    Ok(listener::listen_ops(SECTION, address, metrics).await?)
}

/// Serves until the runtime is told to stop. Boxed, so that all that serving takes is compiled here and not in each program.
#[must_use]
pub fn serve(runtime: &Runtime, ops: Ops) -> BoxFuture<'_, Result<(), ServeError>> {
    run(runtime, ops).boxed()
}

async fn run(runtime: &Runtime, ops: Ops) -> Result<(), ServeError> {
    let settings = runtime.config.require_provisioner()?;
    let listener = listener::listen(SECTION, settings.listen).await?;
    let readiness = ops.readiness.clone();
    runtime.meters.show_in(&ops.metrics);
    let router = router(runtime, settings.public_url.origin())?;
    Courier::start(runtime)?;
    start_sweeping(runtime);
    readiness.set_ready();
    tracing::info!(address = %settings.listen, public_url = %settings.public_url, "the provisioner listens");
    serve_until(&runtime.stop, listener, router, &readiness).await;
    ops.stop().await;
    Ok(())
}

/// Everything that the provisioner answers, below `origin`.
pub fn router(runtime: &Runtime, origin: &str) -> Result<Router, ServeError> {
    let outbound = Outbound::new(&runtime.config.outbound)?;
    let journal = journal_of(runtime);
    let tokens = TokenService::new(runtime, origin, outbound, journal.clone());
    let routes = ScimService::new(runtime, origin, journal).router().merge(tokens.router());
    Ok(count(observe(routes, Observation::default()), runtime.meters.clone(), "provisioner", kind))
}

fn journal_of(runtime: &Runtime) -> Journal {
    let (closing, meters) = (runtime.closing(), runtime.meters.clone());
    Journal::start(runtime.store.clone(), runtime.clock.clone(), &runtime.tasks, closing, meters)
}

/// What a route is for, in the metrics.
fn kind(route: Option<&str>) -> &'static str {
    match route.unwrap_or_default().split('/').nth(1).unwrap_or_default() {
        "scim" => "scim",
        "oauth2" | ".well-known" => "token",
        _ => "other",
    }
}

fn start_sweeping(runtime: &Runtime) {
    let (store, clock, stop) = (runtime.store.clone(), runtime.clock.clone(), runtime.stop.clone());
    // Further back than any session lasts: what is pruned can name none that is alive.
    let keep = KEEP_REVOCATIONS.max(runtime.config.gateway.sessions.absolute * 2);
    let log_kept = runtime.config.provisioner.log_retention;
    runtime.tasks.spawn(async move {
        loop {
            let swept = store.sweep_sessions().await.and(store.sweep_tokens().await);
            let pruned = store.prune_revocations(clock.now().minus(keep)).await;
            let forgotten = store.sweep_departures().await;
            let told = sweep_log(&store, clock.now().minus(log_kept), &stop).await;
            let posted = mail::sweep(&store, &clock).await;
            if let Err(error) = swept.and(pruned.map(drop)).and(forgotten).and(told).and(posted) {
                tracing::warn!(error = %error, "old records were not swept away; trying again later");
            }
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                () = stop.cancelled() => return,
            }
        }
    });
}

/// A step at a time, since whoever writes waits for each.
async fn sweep_log(store: &Store, before: Timestamp, stop: &CancellationToken) -> Result<(), StoreError> {
    while !stop.is_cancelled() && store.sweep_log(before, LOG_STEP).await? == u64::from(LOG_STEP) {}
    Ok(())
}
