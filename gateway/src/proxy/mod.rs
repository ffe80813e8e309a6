//! The reverse proxy: what reaches an app has passed the decision and says about the person what we say, and nothing else. What
//! is still being sent when the session ends is cut. It answers a request that may not pass in the words of whoever asked: a
//! person is sent to sign in or reads a page, a script gets a status.
//!
//! Three rules that an operator may want to know. The path and query arrive as they were sent, byte for byte: no decision rests on
//! them, so there is nothing that another reading of them could get around (only an upstream with a path of its own refuses
//! what might lead out of it). `Host` is the host that was called, the one that the app was chosen by. An answer that says
//! nothing about caching becomes `private`, since the app need not know that somebody had to sign in for it.

mod body;
mod leash;
mod not_passed;
mod request;
#[cfg(test)]
mod tests;
mod upgrade;
mod upstream;

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    handler::Handler as _,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tracing::Span;

pub use self::upstream::{Upstreams, UpstreamsError};
use self::{
    body::{Download, Upload},
    leash::Leash,
    not_passed::NotPassed,
    request::Asked,
    upgrade::Switch,
    upstream::Failure,
};
use crate::{
    forward::{
        decision::{Allowed, Narrow, Refused},
        headers,
    },
    session::guard::Doubt,
    state::Gateway,
};

/// Puts the proxy under a router, for everything that is no route of our own.
pub fn mount(router: Router<Gateway>, upstreams: Upstreams) -> Router<Gateway> {
    router.fallback(handle.layer(Extension(upstreams)))
}

/// Passes a request on to the app of its host, or says why not. It needs `identify` around it and [`Upstreams`] among the
/// request's extensions, where [`mount`] puts them.
pub async fn handle(State(gateway): State<Gateway>, request: Request) -> Response {
    let upstreams = request.extensions().get::<Upstreams>().cloned();
    let Some((asked, upstreams)) = Asked::of(&request, &gateway.origins).zip(upstreams) else {
        tracing::error!("the proxy is mounted without `identify` or without its upstreams");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    pass(&gateway, &upstreams, &asked, request).await.unwrap_or_else(|not_passed| not_passed.answer(&asked))
}

async fn pass(gateway: &Gateway, upstreams: &Upstreams, asked: &Asked, request: Request) -> Result<Response, NotPassed> {
    let app = gateway.apps.of(&asked.client.host).ok_or(NotPassed::Nowhere)?;
    let upstream = app.upstream.as_ref().ok_or(NotPassed::Nowhere)?;
    let original = request.headers().clone();
    let allowed = gateway.decide(app, &original, &Narrow::default()).await?;
    Span::current().record("workspace.id", allowed.live.session.workspace.as_str());
    Span::current().record("user.id", allowed.live.session.user.as_str());
    let target = request::target(upstream, request.method(), request.uri())?;
    let (request, switch) = Switch::take(request, asked)?;

    let mut leash = Leash::tie(gateway, &allowed.live);
    // Only now: a row that was applied before the stream was on the list has not cut it.
    let exchange = async {
        if !gateway.guard.is_alive(&allowed.live) {
            return None;
        }
        let (upload, progress) = Upload::of(request.body_is_empty(), leash.token(), request.body);
        let head = request.head_for_upstream(target, asked, &allowed, switch.is_some());
        tokio::select! {
            biased;
            () = leash.cut() => None,
            answer = upstreams.send(head.map(|()| upload), progress) => Some(answer),
        }
    };
    let Some(answer) = exchange.await else { return Err(refused_again(gateway, app, &original).await) };
    answered(gateway, switch, answer?, leash)
}
