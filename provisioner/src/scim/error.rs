//! The one error of the SCIM edge and its one way out: RFC 7644, section 3.12.
//!
//! `Display` is the public text; nothing that names another workspace or a cause inside the house may be put into it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// The media type of every SCIM answer.
pub const MEDIA_TYPE: &str = "application/scim+json";

/// The second challenge of a 401; the first is `Bearer`.
const BASIC_CHALLENGE: &str = "Basic realm=\"SCIM\", charset=\"UTF-8\"";

/// The schema of an error body.
pub const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// Everything that a SCIM request can be refused for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScimError {
    /// The body is malformed or not of the shape that the operation asks for.
    #[error("{0}")]
    InvalidSyntax(String),
    /// The filter is malformed, names no attribute, or compares what cannot be compared.
    #[error("{0}")]
    InvalidFilter(String),
    /// The PATCH path or the `sortBy` is malformed or names no attribute.
    #[error("{0}")]
    InvalidPath(String),
    /// A required value is missing, or a value is not of its attribute's type or among those allowed.
    #[error("{0}")]
    InvalidValue(String),
    /// A read-only or immutable attribute would change.
    #[error("{0}")]
    Mutability(String),
    /// A PATCH path selects nothing.
    #[error("{0}")]
    NoTarget(String),
    /// The filter selects more than the server is willing to return.
    #[error("{0}")]
    TooMany(String),
    /// Another resource of the workspace has this value of the named attribute.
    #[error("{0} is already in use in this workspace")]
    Uniqueness(String),
    /// An operation of a Bulk request refers to one that was not done.
    #[error("{0}")]
    Unresolved(String),
    /// A cursor that this server did not issue for this request (RFC 9865).
    #[error("the cursor does not belong to this request")]
    InvalidCursor,
    /// A cursor that is too old (RFC 9865).
    #[error("the cursor has expired: begin again without one")]
    ExpiredCursor,
    /// A `count` that differs from the one the cursor was made for, or is no number (RFC 9865).
    #[error("the count is not valid for this cursor")]
    InvalidCount,
    /// No credential, or one that is not good.
    #[error("a valid credential for this workspace is required")]
    Unauthorized,
    /// The credential is good but does not permit this.
    #[error("{0}")]
    Forbidden(String),
    /// No such resource in this workspace.
    #[error("no such resource")]
    NotFound,
    /// The path exists and knows other methods: the value of `Allow`.
    #[error("this method is not supported here; supported: {0}")]
    MethodNotAllowed(&'static str),
    /// The resource changed since the version that `If-Match` names.
    #[error("the resource changed since it was read")]
    PreconditionFailed,
    /// The body, or the number of things in it, is over the limit.
    #[error("{0}")]
    TooLarge(String),
    /// The body is neither `application/scim+json` nor `application/json`.
    #[error("send application/scim+json")]
    UnsupportedMediaType,
    /// The body is compressed.
    #[error("the body is compressed, and compressed bodies are not read here: send it without Content-Encoding")]
    Compressed,
    /// The workspace's rate is used up for this many seconds.
    #[error("too many requests: try again in {retry_after} s")]
    RateLimited {
        /// Whole seconds.
        retry_after: u32,
    },
    /// The mass-change guard holds this change until an admin approves it.
    #[error("this change is part of a mass removal and waits for an admin's approval")]
    Held {
        /// Whole seconds.
        retry_after: u32,
    },
    /// A dependency is away or the outcome is unknown; the same request may be sent again.
    #[error("temporarily unavailable: try again in {retry_after} s")]
    Unavailable {
        /// Whole seconds.
        retry_after: u32,
    },
    /// A defect of ours. The request id finds the log line that has the cause.
    #[error("internal error; request id {request_id}")]
    Internal {
        /// The id that the log line carries too.
        request_id: String,
    },
    /// The feature is not offered, as the `ServiceProviderConfig` says.
    #[error("{0} is not supported")]
    NotImplemented(&'static str),
}

impl ScimError {
    /// The status and the `scimType` of each cause.
    #[must_use]
    pub fn parts(&self) -> (StatusCode, Option<&'static str>) {
        match self {
            Self::InvalidSyntax(_) => (StatusCode::BAD_REQUEST, Some("invalidSyntax")),
            Self::InvalidFilter(_) => (StatusCode::BAD_REQUEST, Some("invalidFilter")),
            Self::InvalidPath(_) => (StatusCode::BAD_REQUEST, Some("invalidPath")),
            Self::InvalidValue(_) => (StatusCode::BAD_REQUEST, Some("invalidValue")),
            Self::Mutability(_) => (StatusCode::BAD_REQUEST, Some("mutability")),
            Self::NoTarget(_) => (StatusCode::BAD_REQUEST, Some("noTarget")),
            Self::TooMany(_) => (StatusCode::BAD_REQUEST, Some("tooMany")),
            Self::InvalidCursor => (StatusCode::BAD_REQUEST, Some("invalidCursor")),
            Self::ExpiredCursor => (StatusCode::BAD_REQUEST, Some("expiredCursor")),
            Self::InvalidCount => (StatusCode::BAD_REQUEST, Some("invalidCount")),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, None),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, None),
            Self::NotFound => (StatusCode::NOT_FOUND, None),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, None),
            Self::Uniqueness(_) => (StatusCode::CONFLICT, Some("uniqueness")),
            Self::Unresolved(_) => (StatusCode::CONFLICT, None),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, None),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, None),
            Self::UnsupportedMediaType | Self::Compressed => (StatusCode::UNSUPPORTED_MEDIA_TYPE, None),
            // Both Entra and Okta come again after a 429; to Okta a 503 is a failed task that a person has to start again.
            Self::RateLimited { .. } | Self::Held { .. } => (StatusCode::TOO_MANY_REQUESTS, None),
            Self::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, None),
            Self::Internal { .. } => (StatusCode::INTERNAL_SERVER_ERROR, None),
            Self::NotImplemented(_) => (StatusCode::NOT_IMPLEMENTED, None),
        }
    }

    /// The error body, also as it stands inside a Bulk answer.
    #[must_use]
    pub fn body(&self) -> Value {
        let (status, scim_type) = self.parts();
        let mut body =
            Map::from_iter([("schemas".to_owned(), json!([ERROR_SCHEMA])), ("status".to_owned(), status.as_str().into())]);
        if let Some(scim_type) = scim_type {
            body.insert("scimType".to_owned(), scim_type.into());
        }
        body.insert("detail".to_owned(), self.to_string().into());
        Value::Object(body)
    }

    /// After how many seconds the same request may be sent again, where waiting helps.
    #[must_use]
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::RateLimited { retry_after } | Self::Held { retry_after } | Self::Unavailable { retry_after } => {
                Some(*retry_after)
            }
            Self::InvalidSyntax(_)
            | Self::InvalidFilter(_)
            | Self::InvalidPath(_)
            | Self::InvalidValue(_)
            | Self::Mutability(_)
            | Self::NoTarget(_)
            | Self::TooMany(_)
            | Self::Uniqueness(_)
            | Self::Unresolved(_)
            | Self::InvalidCursor
            | Self::ExpiredCursor
            | Self::InvalidCount
            | Self::Unauthorized
            | Self::Forbidden(_)
            | Self::NotFound
            | Self::MethodNotAllowed(_)
            | Self::PreconditionFailed
            | Self::TooLarge(_)
            | Self::UnsupportedMediaType
            | Self::Compressed
            | Self::Internal { .. }
            | Self::NotImplemented(_) => None,
        }
    }

    /// The header that the cause asks for beside the body.
    fn header(&self) -> Option<(header::HeaderName, HeaderValue)> {
        match self {
            Self::Unauthorized => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::MethodNotAllowed(allow) => Some((header::ALLOW, HeaderValue::from_static(allow))),
            // RFC 9110, section 12.5.3: in an answer it says which encodings would have been read.
            Self::Compressed => Some((header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))),
            // Okta reads whole seconds alone: with a date, or nothing, it pauses for five minutes.
            Self::RateLimited { retry_after } | Self::Held { retry_after } | Self::Unavailable { retry_after } => {
                Some((header::RETRY_AFTER, HeaderValue::from(*retry_after)))
            }
            Self::InvalidSyntax(_)
            | Self::InvalidFilter(_)
            | Self::InvalidPath(_)
            | Self::InvalidValue(_)
            | Self::Mutability(_)
            | Self::NoTarget(_)
            | Self::TooMany(_)
            | Self::Uniqueness(_)
            | Self::Unresolved(_)
            | Self::InvalidCursor
            | Self::ExpiredCursor
            | Self::InvalidCount
            | Self::Forbidden(_)
            | Self::NotFound
            | Self::PreconditionFailed
            | Self::TooLarge(_)
            | Self::UnsupportedMediaType
            | Self::Internal { .. }
            | Self::NotImplemented(_) => None,
        }
    }
}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        let (status, _) = self.parts();
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], self.body().to_string()).into_response();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        // The ways in are the same for every workspace, there or not: which of them one uses is nobody's business.
        if self == Self::Unauthorized {
            response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(BASIC_CHALLENGE));
        }
        response
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An error of each kind.
    pub(crate) fn of_each_kind() -> impl Iterator<Item = ScimError> {
        std::iter::successors(Some(ScimError::InvalidSyntax(String::new())), next)
    }

    #[test]
    fn the_body_is_that_of_rfc_7644_section_3_12() {
        let error = ScimError::Uniqueness("userName".into());

        assert_eq!(
            error.body().to_string(),
            r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","scimType":"uniqueness","detail":"userName is already in use in this workspace"}"#
        );
        assert_eq!(
            ScimError::NotFound.body().to_string(),
            r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"404","detail":"no such resource"}"#
        );
    }

    /// The next variant; a new one does not compile until it has its place here.
    fn next(error: &ScimError) -> Option<ScimError> {
        let text = || "x".to_owned();
        Some(match error {
            ScimError::InvalidSyntax(_) => ScimError::InvalidFilter(text()),
            ScimError::InvalidFilter(_) => ScimError::InvalidPath(text()),
            ScimError::InvalidPath(_) => ScimError::InvalidValue(text()),
            ScimError::InvalidValue(_) => ScimError::Mutability(text()),
            ScimError::Mutability(_) => ScimError::NoTarget(text()),
            ScimError::NoTarget(_) => ScimError::TooMany(text()),
            ScimError::TooMany(_) => ScimError::Uniqueness(text()),
            ScimError::Uniqueness(_) => ScimError::Unresolved(text()),
            ScimError::Unresolved(_) => ScimError::InvalidCursor,
            ScimError::InvalidCursor => ScimError::ExpiredCursor,
            ScimError::ExpiredCursor => ScimError::InvalidCount,
            ScimError::InvalidCount => ScimError::Unauthorized,
            ScimError::Unauthorized => ScimError::Forbidden(text()),
            ScimError::Forbidden(_) => ScimError::NotFound,
            ScimError::NotFound => ScimError::MethodNotAllowed("GET"),
            ScimError::MethodNotAllowed(_) => ScimError::PreconditionFailed,
            ScimError::PreconditionFailed => ScimError::TooLarge(text()),
            ScimError::TooLarge(_) => ScimError::UnsupportedMediaType,
            ScimError::UnsupportedMediaType => ScimError::Compressed,
            ScimError::Compressed => ScimError::RateLimited { retry_after: 7 },
            ScimError::RateLimited { .. } => ScimError::Held { retry_after: 7 },
            ScimError::Held { .. } => ScimError::Unavailable { retry_after: 7 },
            ScimError::Unavailable { .. } => ScimError::Internal { request_id: text() },
            ScimError::Internal { .. } => ScimError::NotImplemented("x"),
            ScimError::NotImplemented(_) => return None,
        })
    }

    #[test]
    fn s32_every_429_and_503_says_how_many_seconds_and_nothing_else_does() {
        let mut waits = 0;
        for error in of_each_kind() {
            let asks_to_wait = matches!(error.parts().0.as_u16(), 429 | 503);
            let response = error.clone().into_response();

            let told = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap());
            assert_eq!(told, asks_to_wait.then_some("7"), "{error:?}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/scim+json");
            waits += u32::from(asks_to_wait);
        }
        assert_eq!(waits, 3);
    }

    #[test]
    fn a_refusal_names_the_way_in_and_a_wrong_method_the_right_ones() {
        let unauthorized = ScimError::Unauthorized.into_response();
        let method = ScimError::MethodNotAllowed("GET, POST").into_response();

        let ways: Vec<_> = unauthorized.headers().get_all(header::WWW_AUTHENTICATE).iter().collect();
        assert_eq!(unauthorized.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(ways, ["Bearer", "Basic realm=\"SCIM\", charset=\"UTF-8\""]);
        assert_eq!(
            (method.status(), &method.headers()[header::ALLOW]),
            (StatusCode::METHOD_NOT_ALLOWED, &HeaderValue::from_static("GET, POST"))
        );
    }
}
