//! The user info endpoint; OpenID Connect Core 1.0, section 5.3.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::claims::PersonClaims;
use crate::provider::{App, lock, now};

pub(super) async fn read(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(token) = bearer(&headers) else {
        // RFC 6750, section 3.1: no error code for a request without credentials.
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response();
    };
    let owner = lock(&app.grants).owner(token, now());
    let person = owner.and_then(|id| lock(&app.directory).person(&id).cloned()).filter(|person| person.active);
    match person {
        Some(person) => ([(header::CACHE_CONTROL, "no-store")], Json(PersonClaims::of(&person))).into_response(),
        None => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, r#"Bearer error="invalid_token""#)]).into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
