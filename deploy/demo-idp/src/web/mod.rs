//! Everything that the provider answers over HTTP, and the headers that keep its pages to themselves.

mod api;
mod assets;
mod directory_page;
mod live;
pub(crate) mod pages;

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use tower_http::csrf::CsrfLayer;

pub(crate) use assets::stylesheet;

use crate::{oidc, provider::App};

/// No `form-action`: browsers hold it against the redirect that follows a sign-in, which leads to the application.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'";

pub(crate) fn router(app: Arc<App>) -> Router {
    let browser =
        Router::new().merge(directory_page::routes()).merge(api::routes()).merge(oidc::browser_routes()).layer(CsrfLayer::new());
    Router::new()
        .merge(browser)
        .merge(oidc::protocol_routes())
        .route("/demo.css", get(assets::stylesheet))
        .route("/demo.js", get(assets::script))
        .route("/events", get(live::events))
        .fallback(pages::not_found)
        .layer(middleware::from_fn(harden))
        .with_state(app)
}

pub(crate) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
