//! OpenID Connect RP-Initiated Logout 1.0. Without a hint of ours that names the browser's session, the person is asked
//! first: else any page could sign people out.

use std::sync::Arc;

use axum::{
    extract::{Form, Query, State, rejection::FormRejection, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::sessions;
use crate::{
    provider::{App, lock, now},
    web::pages::{self, ErrorPage, SignOutPage, SignedOutPage},
};

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(super) struct Params {
    #[serde(default)]
    id_token_hint: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    post_logout_redirect_uri: String,
    #[serde(default)]
    state: String,
}

#[derive(Debug, Deserialize)]
struct Hint {
    sid: String,
}

pub(super) async fn get(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Result<Query<Params>, QueryRejection>,
) -> Response {
    params.map_or_else(|_| refused(), |Query(params)| begin(&app, &headers, &params))
}

pub(super) async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Result<Form<Params>, FormRejection>,
) -> Response {
    params.map_or_else(|_| refused(), |Form(params)| begin(&app, &headers, &params))
}

/// The press of the button on our own page.
pub(super) async fn confirmed(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Result<Form<Params>, FormRejection>,
) -> Response {
    let Ok(Form(params)) = params else {
        return refused();
    };
    match target(&app, &params) {
        Ok(target) => finish(&app, &headers, target),
        Err(NotRegistered) => refused(),
    }
}

fn begin(app: &App, headers: &HeaderMap, params: &Params) -> Response {
    let Ok(target) = target(app, params) else {
        return refused();
    };
    let session = sessions::cookie(headers).and_then(|secret| lock(&app.sessions).find(&secret, now()));
    let hint = app.key.read_hint::<Hint>(&params.id_token_hint, &app.issuer, &app.client().id);
    let is_meant = |sid: &str| hint.is_some_and(|hint| hint.sid == sid);
    match session {
        Some(session) if !is_meant(&session.sid) => {
            let name = lock(&app.directory).person(&session.person).map(crate::Person::name).unwrap_or_default();
            let fields = [
                ("client_id", params.client_id.as_str()),
                ("post_logout_redirect_uri", params.post_logout_redirect_uri.as_str()),
                ("id_token_hint", params.id_token_hint.as_str()),
                ("state", params.state.as_str()),
            ];
            pages::page(StatusCode::OK, &SignOutPage { name: &name, fields: &fields })
        }
        Some(_) | None => finish(app, headers, target),
    }
}

fn finish(app: &App, headers: &HeaderMap, target: Option<String>) -> Response {
    if let Some(secret) = sessions::cookie(headers) {
        lock(&app.sessions).forget(&secret);
    }
    let cleared = AppendHeaders([(header::SET_COOKIE, sessions::clear_cookie())]);
    match target {
        Some(target) => (cleared, Redirect::to(&target)).into_response(),
        None => (cleared, pages::page(StatusCode::OK, &SignedOutPage)).into_response(),
    }
}

/// The browser would be sent where nobody registered.
struct NotRegistered;

fn target(app: &App, params: &Params) -> Result<Option<String>, NotRegistered> {
    if params.post_logout_redirect_uri.is_empty() {
        return Ok(None);
    }
    let client = app.client();
    let is_client =
        params.client_id == client.id || app.key.read_hint::<Hint>(&params.id_token_hint, &app.issuer, &client.id).is_some();
    let registered = client.post_logout_redirect_uris.iter().find(|uri| **uri == params.post_logout_redirect_uri);
    let mut uri = registered.filter(|_| is_client).and_then(|uri| Url::parse(uri).ok()).ok_or(NotRegistered)?;
    if !params.state.is_empty() {
        uri.query_pairs_mut().append_pair("state", &params.state);
    }
    Ok(Some(uri.into()))
}

fn refused() -> Response {
    let text = "The application asked to end at an address that is not registered. You are still signed in here.";
    pages::error(StatusCode::BAD_REQUEST, &ErrorPage { title: "This sign-out cannot go on", text, back: None })
}
