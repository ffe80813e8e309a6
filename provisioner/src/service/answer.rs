//! What a handler answers, before it is bytes.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use futures_util::stream;
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::scim::{
    bulk::Outcome,
    error::MEDIA_TYPE,
    list::ListResponse,
    write::{Shown, Text},
};

/// What a handler answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// A document that has no version.
    Document(Value),
    /// What became of the operations of a Bulk request, and after how many seconds those that can be sent again may be.
    Bulk { body: Value, retry_after: Option<u32> },
    /// A list of resources.
    List(ListResponse<Shown>),
    /// A resource, at a version.
    Resource { body: Shown, etag: Option<String>, location: String },
    /// A resource that was just made.
    Created { body: Shown, etag: Option<String>, location: String },
    /// Done, and nothing to show.
    Done { etag: Option<String> },
    /// The caller has this version already.
    NotModified { etag: String },
}

impl Answer {
    /// The status of an answer of its own.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Document(_) | Self::Bulk { .. } | Self::List(_) | Self::Resource { .. } => StatusCode::OK,
            Self::Created { .. } => StatusCode::CREATED,
            Self::Done { .. } => StatusCode::NO_CONTENT,
            Self::NotModified { .. } => StatusCode::NOT_MODIFIED,
        }
    }

    /// How many resources there are in all, of which a list has some.
    pub(super) fn found(&self) -> Option<Value> {
        match self {
            Self::Document(body) => body.get("totalResults").cloned(),
            Self::List(list) => list.total_results.map(Value::from),
            Self::Bulk { .. } | Self::Resource { .. } | Self::Created { .. } | Self::Done { .. } | Self::NotModified { .. } => {
                None
            }
        }
    }

    /// The same for a workspace that has no entity tags.
    pub(super) fn without_version(self) -> Self {
        match self {
            Self::Resource { body, location, .. } => Self::Resource { body, etag: None, location },
            Self::Created { body, location, .. } => Self::Created { body, etag: None, location },
            Self::Done { .. } => Self::Done { etag: None },
            Self::Document(_) | Self::Bulk { .. } | Self::List(_) | Self::NotModified { .. } => self,
        }
    }

    /// What an operation inside a Bulk request tells of itself; `location` is where it was sent.
    pub(super) fn into_outcome(self, location: String) -> Outcome {
        let (status, version, location) = match self {
            Self::Document(_) | Self::Bulk { .. } | Self::List(_) => (StatusCode::OK, None, location),
            Self::Resource { etag, location, .. } => (StatusCode::OK, etag, location),
            Self::Created { etag, location, .. } => (StatusCode::CREATED, etag, location),
            Self::Done { etag } => (StatusCode::NO_CONTENT, etag, location),
            Self::NotModified { etag } => (StatusCode::NOT_MODIFIED, Some(etag), location),
        };
        Outcome::Done { status, version, location: Some(location) }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Document(body) => json(StatusCode::OK, Text::from(&body)),
            Self::Bulk { body, retry_after } => {
                let mut response = json(StatusCode::OK, Text::from(&body));
                if let Some(seconds) = retry_after {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
                response
            }
            Self::List(list) => json(StatusCode::OK, list.into()),
            Self::Resource { body, etag, location } => {
                let mut response = json(StatusCode::OK, body.into());
                tag(&mut response, etag.as_deref());
                // RFC 7644, section 3.1: a hint where the resource lives, for whoever followed a search.
                put(&mut response, header::CONTENT_LOCATION, &location);
                response
            }
            Self::Created { body, etag, location } => {
                let mut response = json(StatusCode::CREATED, body.into());
                tag(&mut response, etag.as_deref());
                put(&mut response, header::LOCATION, &location);
                response
            }
            Self::Done { etag } => {
                let mut response = StatusCode::NO_CONTENT.into_response();
                tag(&mut response, etag.as_deref());
                response
            }
            Self::NotModified { etag } => {
                let mut response = StatusCode::NOT_MODIFIED.into_response();
                tag(&mut response, Some(&etag));
                response
            }
        }
    }
}

fn json(status: StatusCode, text: Text) -> Response {
    let mut response = Response::new(body(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What is one piece has a length. The rest is written as fast as it is read, from what was read before the answer began: a slow
/// reader holds nothing of the database, and what breaks off is never ended, so that nobody takes it for the whole.
fn body(mut text: Text) -> Body {
    match text.next() {
        Some(Ok(all)) if text.is_over() => Body::from(all),
        first => Body::from_stream(stream::iter(first.into_iter().chain(text))),
    }
}

fn tag(response: &mut Response, etag: Option<&str>) {
    if let Some(etag) = etag {
        put(response, header::ETAG, etag);
    }
}

fn put(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::HttpBody as _;
    use http_body_util::BodyExt as _;
    use serde_json::json;

    use super::*;
    use crate::scim::{Document, write::Entries};

    /// So many entries, and then an error.
    #[derive(Debug)]
    struct Breaking(usize);

    impl Entries for Breaking {
        fn write(&mut self, text: &mut Vec<u8>) -> Result<bool, serde_json::Error> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| serde::ser::Error::custom("broken"))?;
            text.extend_from_slice(b"{\"value\":\"01900000-0000-7000-8000-000000000001\"}");
            Ok(true)
        }
    }

    fn document() -> Document {
        Document::from_iter([("id".to_owned(), json!("g1")), ("members".to_owned(), json!([]))])
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_an_error_and_no_end() {
        let broken = body(Shown::with_rows(document(), "members", Breaking(2_000)).into());

        assert_eq!(broken.size_hint().exact(), None);
        assert!(broken.collect().await.is_err());
        assert!(body(Shown::with_rows(document(), "members", Breaking(0)).into()).collect().await.is_err());
    }

    #[tokio::test]
    async fn what_is_known_at_once_has_a_length() {
        let small = body(Shown::from(document()).into());

        assert_eq!(small.size_hint().exact(), Some(24));
        assert_eq!(small.collect().await.unwrap().to_bytes(), r#"{"id":"g1","members":[]}"#);
    }
}
