//! What a handler answers, before it is bytes.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::scim::{Document, bulk::Outcome, error::MEDIA_TYPE};

/// What a handler answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// A document that has no version.
    Document(Value),
    /// A resource at a version.
    Resource { body: Document, etag: String, location: String },
    /// A resource that was just made.
    Created { body: Document, etag: String, location: String },
    /// Done, and nothing to show.
    Done { etag: Option<String> },
    /// The caller has this version already.
    NotModified { etag: String },
}

impl Answer {
    /// The status of an answer of its own.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Document(_) | Self::Resource { .. } => StatusCode::OK,
            Self::Created { .. } => StatusCode::CREATED,
            Self::Done { .. } => StatusCode::NO_CONTENT,
            Self::NotModified { .. } => StatusCode::NOT_MODIFIED,
        }
    }

    /// What an operation inside a Bulk request tells of itself; `location` is where it was sent.
    pub(super) fn into_outcome(self, location: String) -> Outcome {
        let (status, version, location) = match self {
            Self::Document(_) => (StatusCode::OK, None, location),
            Self::Resource { etag, location, .. } => (StatusCode::OK, Some(etag), location),
            Self::Created { etag, location, .. } => (StatusCode::CREATED, Some(etag), location),
            Self::Done { etag } => (StatusCode::NO_CONTENT, etag, location),
            Self::NotModified { etag } => (StatusCode::NOT_MODIFIED, Some(etag), location),
        };
        Outcome::Done { status, version, location: Some(location) }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Document(body) => json(StatusCode::OK, &body),
            Self::Resource { body, etag, location } => {
                let mut response = json(StatusCode::OK, &Value::Object(body));
                put(&mut response, header::ETAG, &etag);
                // RFC 7644, section 3.1: a hint where the resource lives, for whoever followed a search.
                put(&mut response, header::CONTENT_LOCATION, &location);
                response
            }
            Self::Created { body, etag, location } => {
                let mut response = json(StatusCode::CREATED, &Value::Object(body));
                put(&mut response, header::ETAG, &etag);
                put(&mut response, header::LOCATION, &location);
                response
            }
            Self::Done { etag } => {
                let mut response = StatusCode::NO_CONTENT.into_response();
                if let Some(etag) = etag {
                    put(&mut response, header::ETAG, &etag);
                }
                response
            }
            Self::NotModified { etag } => {
                let mut response = StatusCode::NOT_MODIFIED.into_response();
                put(&mut response, header::ETAG, &etag);
                response
            }
        }
    }
}

fn json(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn put(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
