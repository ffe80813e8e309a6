//! The protected app of the demo. It trusts the identity headers without a check of its own, as an app behind the gateway
//! may, so nothing but the gateway should reach it. It shows, as a page or as JSON, what it was told.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use askama::Template;
use axum::{
    Json, Router,
    extract::{OriginalUri, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::json;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    error::StartError,
    provider::now,
    serve::{self, Server},
    web,
};

/// How the sample app looks and stops.
#[derive(Debug, Clone)]
pub struct SampleAppOptions {
    /// The directory page, which the app links to.
    pub directory_url: Option<String>,
    /// Where the sign-out link leads.
    pub sign_out_url: String,
    /// Stops the app.
    pub shutdown: CancellationToken,
}

impl Default for SampleAppOptions {
    fn default() -> Self {
        Self { directory_url: None, sign_out_url: "/oauth2/sign_out".to_owned(), shutdown: CancellationToken::new() }
    }
}

/// The protected app, before it runs.
#[derive(Debug)]
pub struct SampleApp;

/// The protected app, until its token is cancelled or `stop` is called.
#[derive(Debug, Clone)]
pub struct RunningApp {
    server: Server,
    app: Arc<App>,
}

impl RunningApp {
    /// Reads the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Counts the requests that reached it.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.app.requests.load(Ordering::Relaxed)
    }

    /// Stops the app, and returns when it no longer listens.
    pub async fn stop(&self) {
        self.server.stop().await;
    }
}

impl SampleApp {
    /// Starts the app; it answers on every path.
    pub async fn start(listen: SocketAddr, options: SampleAppOptions) -> Result<RunningApp, StartError> {
        let bound = serve::bind(listen).await?;
        let app = Arc::new(App {
            directory_url: options.directory_url,
            sign_out_url: options.sign_out_url,
            requests: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/demo.css", get(web::stylesheet))
            .fallback(answer)
            .layer(middleware::from_fn(web::harden))
            .with_state(Arc::clone(&app));
        Ok(RunningApp { server: bound.serve(router, TaskTracker::new(), options.shutdown), app })
    }
}

#[derive(Debug)]
struct App {
    directory_url: Option<String>,
    sign_out_url: String,
    requests: AtomicU64,
}

/// Who the gateway says it is.
#[derive(Debug, Serialize)]
struct Identity {
    user: String,
    email: String,
    preferred_username: String,
    user_id: String,
    workspace: String,
    roles: Vec<String>,
    teams: Vec<String>,
    groups: Vec<String>,
    has_jwt: bool,
}

impl Identity {
    fn read(headers: &HeaderMap) -> Self {
        let one = |name: &str| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
        };
        let list = |name: &str| one(name).split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect();
        Self {
            user: one("x-auth-request-user"),
            email: one("x-auth-request-email"),
            preferred_username: one("x-auth-request-preferred-username"),
            user_id: one("x-lockstep-user-id"),
            workspace: one("x-lockstep-workspace"),
            roles: list("x-lockstep-roles"),
            teams: list("x-lockstep-teams"),
            groups: list("x-auth-request-groups"),
            has_jwt: !one("x-lockstep-jwt").is_empty(),
        }
    }

    fn name(&self) -> &str {
        let names = [&self.preferred_username, &self.email, &self.user];
        names.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str)
    }
}

#[derive(Debug, Template)]
#[template(path = "sample_app.html")]
struct Page<'a> {
    who: Identity,
    count: u64,
    time: String,
    path: String,
    directory_url: Option<&'a str>,
    sign_out_url: &'a str,
}

async fn answer(State(app): State<Arc<App>>, method: Method, OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Response {
    let count = app.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let who = Identity::read(&headers);
    if accepts_json(&headers) {
        let all = received(&headers);
        let body =
            json!({"method": method.as_str(), "path": uri.to_string(), "requests": count, "identity": who, "headers": all});
        return Json(body).into_response();
    }
    let page = Page {
        who,
        count,
        time: now().format("%H:%M:%S").to_string(),
        path: uri.path().to_owned(),
        directory_url: app.directory_url.as_deref(),
        sign_out_url: &app.sign_out_url,
    };
    web::pages::page(StatusCode::OK, &page)
}

fn accepts_json(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("application/json"))
}

/// Every header with every value, in order: a forged second value must not hide.
fn received(headers: &HeaderMap) -> BTreeMap<&str, Vec<String>> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        all.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    all
}
