//! Why a request did not reach its app, and how that is said: to a person by a redirect or a page, to a script by a status. No
//! answer of ours touches a cookie or shows what was asked for.

use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use url::form_urlencoded;

use super::{
    request::{Asked, Unsound},
    upstream::Failure,
};
use crate::{
    forward::{
        decision::{Refused, Unwritable},
        oracle::refusal,
    },
    pages::{Denied, Page, Problem},
};

const REASON: HeaderName = HeaderName::from_static("x-lockstep-reason");
const START: &str = "/oauth2/start";
/// How soon to ask again when nothing can be known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request did not reach its app.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotPassed {
    /// The host is no app's, or the app's requests do not go through here.
    #[error("no app is reached here by this host")]
    Nowhere,
    /// The decision was no.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It is not a request to pass on.
    #[error(transparent)]
    Unsound(#[from] Unsound),
    /// A page of another host asks for a WebSocket.
    #[error("a page of another host asks for a WebSocket")]
    ForeignOrigin,
    /// The upstream gave no answer.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl NotPassed {
    /// The answer to whoever asked.
    pub(super) fn answer(&self, asked: &Asked) -> Response {
        match self {
            Self::Nowhere if asked.is_navigation => Page::Problem(Problem::NotFound).into_response(),
            Self::Nowhere => text(StatusCode::NOT_FOUND, "unknown_host", asked),
            Self::Refused(refused) => refused_answer(refused, asked),
            Self::Unsound(_) if asked.is_navigation => Page::Problem(Problem::BadRequest).into_response(),
            Self::Unsound(Unsound::Method) => text(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", asked),
            Self::Unsound(Unsound::Target | Unsound::LeadsOut) => text(StatusCode::BAD_REQUEST, "malformed", asked),
            Self::ForeignOrigin => {
                tracing::warn!("refused a WebSocket that a page of another host asked for");
                text(StatusCode::FORBIDDEN, "foreign_origin", asked)
            }
            Self::Failed(failure) => {
                tracing::warn!(error = %failure, source = source_of(failure), "an app gave no answer: {failure}");
                text(failure.status(), failure.code(), asked)
            }
        }
    }
}

fn refused_answer(refused: &Refused, asked: &Asked) -> Response {
    if let Refused::Unwritable(Unwritable::TooLarge(error)) = refused {
        tracing::warn!(error = %error, "a request was not passed on: {error}");
    }
    // It writes the log's line as well.
    let plain = refusal(refused);
    if !asked.is_navigation {
        return plain;
    }
    match refused {
        Refused::NotSignedIn(_) | Refused::OtherWorkspace(_) => to_sign_in(asked),
        Refused::Forbidden(_) => {
            let app = asked.client.host.host().to_owned();
            let retry = Some(asked.here.as_str().to_owned());
            Page::Denied { why: Denied::RoleMissing { app }, workspace: None, retry }.into_response()
        }
        Refused::Doubt(_) => Page::Problem(Problem::Unavailable { retry_after: RETRY_AFTER }).into_response(),
        Refused::Unwritable(_) => Page::Problem(Problem::Internal).into_response(),
    }
}

/// Without a body: the protected page's own must not leave with it, nor anything else (GHSA-59jp).
fn to_sign_in(asked: &Asked) -> Response {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("rd", asked.here.as_str()).finish();
    let location = HeaderValue::try_from(format!("{START}?{query}")).unwrap_or(HeaderValue::from_static(START));
    (StatusCode::FOUND, [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))])
        .into_response()
}

fn text(status: StatusCode, code: &'static str, asked: &Asked) -> Response {
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store")), (REASON, HeaderValue::from_static(code))];
    (status, headers, format!("{code}, request {}\n", asked.id)).into_response()
}

fn source_of(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}{}{source}", if text.is_empty() { "" } else { ": " });
        next = source.source();
    }
    text
}
