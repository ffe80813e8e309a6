//! The OpenID provider: discovery, keys, the code flow with PKCE, user info and sign-out. No implicit or hybrid flow, no
//! plain PKCE, no request objects, and one confidential client.

mod authorize;
mod claims;
mod client;
mod discovery;
mod grants;
mod key;
mod logout;
mod request;
mod sessions;
mod token;
mod userinfo;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};

pub use client::Client;

pub(crate) use grants::Grants;
pub(crate) use key::Key;
pub(crate) use sessions::Sessions;

use crate::provider::App;

/// What browsers reach: these must come from a page of our own where they change something.
pub(crate) fn browser_routes() -> Router<Arc<App>> {
    Router::new().route("/sign-in", post(authorize::sign_in)).route("/sign-out", post(logout::confirmed))
}

/// What protocols reach from elsewhere: a cross-site POST is legitimate here, and carries no cookie of ours.
pub(crate) fn protocol_routes() -> Router<Arc<App>> {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery::configuration))
        .route("/jwks", get(discovery::keys))
        .route("/authorize", get(authorize::get).post(authorize::post))
        .route("/token", post(token::exchange))
        .route("/userinfo", get(userinfo::read).post(userinfo::read))
        .route("/logout", get(logout::get).post(logout::post))
}
