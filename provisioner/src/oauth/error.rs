//! What the token endpoint refuses with (RFC 6749, section 5.2). Why a client was not believed stands in the log alone.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use lockstep_shared::store::StoreError;
use serde_json::json;

/// How soon to ask again when a dependency is away.
const RETRY_AFTER_SECONDS: u32 = 2;

/// Why a token request is refused. `Display` is what the client hears.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum OAuthError {
    /// It is not one.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// The form is over the limit.
    #[error("the request is too large")]
    TooLarge,
    /// Nobody, somebody unknown, or a proof that is not good: all alike.
    #[error("client authentication failed")]
    InvalidClient,
    /// The client is known, and its workspace may not provision.
    #[error("{0}")]
    UnauthorizedClient(&'static str),
    /// Another grant than the one there is.
    #[error("the only grant_type is client_credentials")]
    UnsupportedGrantType,
    /// Another scope than the one there is.
    #[error("the only scope is scim")]
    InvalidScope,
    /// The client asks too often.
    #[error("too many requests: try again in {retry_after} s")]
    RateLimited {
        /// Whole seconds.
        retry_after: u32,
    },
    /// The database or the issuer's keys are away; the same request may be sent again.
    #[error("temporarily unavailable: try again in {RETRY_AFTER_SECONDS} s")]
    Unavailable,
    /// A defect of ours; the log line of the request has the cause.
    #[error("internal error")]
    Internal,
}

impl OAuthError {
    /// For who has to wait so long.
    pub(super) fn too_often(wait: Duration) -> Self {
        Self::RateLimited { retry_after: u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1) }
    }

    pub(super) fn parts(&self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidRequest(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
            Self::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
            Self::UnauthorizedClient(_) => (StatusCode::BAD_REQUEST, "unauthorized_client"),
            Self::UnsupportedGrantType => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
            Self::InvalidScope => (StatusCode::BAD_REQUEST, "invalid_scope"),
            Self::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        }
    }

    /// The header that the cause asks for beside the body.
    fn header(&self) -> Option<(header::HeaderName, HeaderValue)> {
        match self {
            Self::InvalidClient => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"SCIM\""))),
            Self::RateLimited { retry_after } => Some((header::RETRY_AFTER, HeaderValue::from(*retry_after))),
            Self::Unavailable => Some((header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))),
            Self::InvalidRequest(_)
            | Self::TooLarge
            | Self::UnauthorizedClient(_)
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::Internal => None,
        }
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        if error.is_transient() {
            tracing::error!(error = %error, source, "a token was not granted: {error}");
            Self::Unavailable
        } else {
            tracing::error!(error = %error, source, "a defect: {error}");
            Self::Internal
        }
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let (status, error) = self.parts();
        let mut response = super::answer(status, &json!({ "error": error, "error_description": self.to_string() }));
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_one_of_rfc_6749_and_is_kept_by_nobody() {
        for (error, status, name, header) in [
            (OAuthError::InvalidRequest("x"), 400, "invalid_request", None),
            (OAuthError::TooLarge, 413, "invalid_request", None),
            (OAuthError::InvalidClient, 401, "invalid_client", Some((header::WWW_AUTHENTICATE, "Basic realm=\"SCIM\""))),
            (OAuthError::UnauthorizedClient("x"), 400, "unauthorized_client", None),
            (OAuthError::UnsupportedGrantType, 400, "unsupported_grant_type", None),
            (OAuthError::InvalidScope, 400, "invalid_scope", None),
            (OAuthError::RateLimited { retry_after: 7 }, 429, "temporarily_unavailable", Some((header::RETRY_AFTER, "7"))),
            (OAuthError::Unavailable, 503, "temporarily_unavailable", Some((header::RETRY_AFTER, "2"))),
            (OAuthError::Internal, 500, "server_error", None),
        ] {
            assert_eq!(error.parts(), (StatusCode::from_u16(status).unwrap(), name));
            let response = error.into_response();
            assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            if let Some((name, value)) = header {
                assert_eq!(response.headers()[name], value);
            }
        }
    }
}
