//! The token endpoint: a code, its PKCE verifier and the client's secret become an ID token. RFC 6749, sections 2.3.1,
//! 4.1.3 and 5.2.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Form, State, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;

use super::claims::IdToken;
use crate::provider::{App, lock, now};

#[derive(Debug, Default, Deserialize)]
pub(super) struct Params {
    grant_type: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("the request could not be read")]
    InvalidRequest,
    #[error("the client is not known, or its secret is wrong")]
    InvalidClient,
    #[error("the code is spent, expired, or was given for another request")]
    InvalidGrant,
    #[error("only authorization_code is supported")]
    UnsupportedGrantType,
    #[error("something broke")]
    ServerError,
}

impl TokenError {
    fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::InvalidGrant => (StatusCode::BAD_REQUEST, "invalid_grant"),
            Self::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
            Self::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        }
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let (status, error) = self.parts();
        let mut response =
            (status, no_store(), Json(json!({"error": error, "error_description": self.to_string()}))).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Basic realm="token""#));
        }
        response
    }
}

pub(super) async fn exchange(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Result<Form<Params>, FormRejection>,
) -> Result<Response, TokenError> {
    let Form(params) = params.map_err(|_| TokenError::InvalidRequest)?;
    authenticate(&app, &headers, &params)?;
    if params.grant_type.as_deref() != Some("authorization_code") {
        return Err(TokenError::UnsupportedGrantType);
    }
    let (Some(code), Some(redirect_uri), Some(verifier)) = (&params.code, &params.redirect_uri, &params.code_verifier) else {
        return Err(TokenError::InvalidRequest);
    };
    let now = now();
    let grant = lock(&app.grants).redeem(code, redirect_uri, verifier, now).ok_or(TokenError::InvalidGrant)?;
    let person = lock(&app.directory).person(&grant.person).cloned();
    // A code does not outlive its person's account.
    let person = person.filter(|person| person.active).ok_or(TokenError::InvalidGrant)?;
    let (access_token, life) = lock(&app.grants).access_token(code, &person.id, now).map_err(|_| TokenError::ServerError)?;
    let id_token =
        app.key.sign(&IdToken::new(&app.issuer, &grant, &person, now.timestamp(), life)).map_err(|_| TokenError::ServerError)?;
    let body = json!({"access_token": access_token, "token_type": "Bearer", "expires_in": life, "scope": "openid email profile", "id_token": id_token});
    Ok((no_store(), Json(body)).into_response())
}

fn authenticate(app: &App, headers: &HeaderMap, params: &Params) -> Result<(), TokenError> {
    let (id, secret) = match (basic(headers)?, &params.client_secret) {
        // RFC 6749, section 2.3: not more than one method in a request.
        (Some(_), Some(_)) => return Err(TokenError::InvalidRequest),
        (Some((id, _)), None) if params.client_id.as_ref().is_some_and(|other| *other != id) => {
            return Err(TokenError::InvalidRequest);
        }
        (Some(pair), None) => pair,
        (None, Some(secret)) => (params.client_id.clone().unwrap_or_default(), secret.clone()),
        (None, None) => return Err(TokenError::InvalidClient),
    };
    app.client().is_authentic(&id, &secret).then_some(()).ok_or(TokenError::InvalidClient)
}

fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, TokenError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let read = || {
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (id, secret) = decoded.split_once(':')?;
        scheme.eq_ignore_ascii_case("basic").then(|| (form_decoded(id), form_decoded(secret)))
    };
    read().map(Some).ok_or(TokenError::InvalidClient)
}

/// RFC 6749, section 2.3.1: both halves are form-encoded before they are joined.
fn form_decoded(text: &str) -> String {
    let pair = format!("v={text}");
    url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn no_store() -> [(header::HeaderName, &'static str); 2] {
    [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")]
}
