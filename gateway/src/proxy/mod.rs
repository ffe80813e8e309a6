//! The reverse proxy: what reaches an app has passed the decision and says about the person what we say and nothing else. What
//! is still under way when the session ends is cut. Whoever may not pass hears it in their own language: a person is sent to
//! sign in or reads a page, a script gets a status.
//!
//! Three rules for operators. Path and query arrive as they were sent, byte for byte: no decision rests on them, so there is
//! nothing that another reading could get around (only an upstream with a path of its own refuses what might lead out of it).
//! `Host` is the host that was called, by which the app was chosen. An answer that says nothing about caching becomes
//! `private`, since the app need not know that one has to sign in for it.

mod body;
mod leash;
mod not_passed;
mod request;
#[cfg(test)]
mod tests;
mod upgrade;
mod upstream;

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    handler::Handler as _,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use tracing::Span;

pub use self::upstream::{Upstreams, UpstreamsError};
use self::{
    body::{Download, Upload},
    leash::{Leash, Loose},
    not_passed::NotPassed,
    request::Asked,
    upgrade::Switch,
};
use crate::{
    apps::App,
    forward::{
        decision::{Allowed, Narrow, Refused},
        headers::for_client,
    },
    session::{guard::Doubt, live::Live},
    state::Gateway,
};

/// How often a request is decided about whose person changes meanwhile.
const DECIDE_AGAIN: usize = 3;

/// Puts the proxy under a router, for everything that is no route of our own.
pub fn mount(router: Router<Gateway>, upstreams: Upstreams) -> Router<Gateway> {
    router.fallback(handle.layer(Extension(upstreams)))
}

/// Passes a request on to the app of its host, or says why not. It needs `identify` and `pages::render` around it, and
/// [`Upstreams`] among the request's extensions, where [`mount`] puts them.
pub async fn handle(State(gateway): State<Gateway>, request: Request) -> Response {
    let upstreams = request.extensions().get::<Upstreams>().cloned();
    let Some((asked, upstreams)) = Asked::of(&request, &gateway.origins).zip(upstreams) else {
        tracing::error!("the proxy is mounted without `identify` or without its upstreams");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    pass(&gateway, &upstreams, &asked, request).await.unwrap_or_else(|not_passed| not_passed.answer(&asked))
}

async fn pass(gateway: &Gateway, upstreams: &Upstreams, asked: &Asked, mut request: Request) -> Result<Response, NotPassed> {
    let app = gateway.apps.of(&asked.client.host).ok_or(NotPassed::Nowhere)?;
    let upstream = app.upstream.as_ref().ok_or(NotPassed::Nowhere)?;
    let (allowed, mut leash) = tied(gateway, app, request.headers()).await?;
    let live = &allowed.live;
    Span::current().record("workspace.id", live.session.workspace.as_str());
    Span::current().record("user.id", live.session.user.as_str());
    let target = request::target(upstream, request.method(), request.uri())?;
    let switch = Switch::take(&mut request, asked)?;

    let (request, progress) = request::outgoing(request, target, asked, &allowed, |body| Upload::new(body, leash.gate()))?;
    let request = match &switch {
        Some(_) => upgrade::asking(request),
        None => request,
    };
    let answer = tokio::select! {
        biased;
        () = leash.pulled() => None,
        answer = upstreams.send(request, progress) => Some(answer?),
    };
    match answer {
        // What comes while the stream is held waits with it.
        Some(answer) if leash.lets_pass().await => answered(gateway, switch, answer, leash),
        Some(_) | None => Err(why_cut(gateway, app, live).await.into()),
    }
}

/// Decides about a request and ties what is under way to its session. Whoever changes in between is decided about again.
async fn tied(gateway: &Gateway, app: &Arc<App>, headers: &HeaderMap) -> Result<(Allowed, Leash), Refused> {
    for _ in 0..DECIDE_AGAIN {
        let allowed = gateway.decide(app, headers, &Narrow::default()).await?;
        match Leash::tie(gateway, app, &allowed.live) {
            Ok(leash) => return Ok((allowed, leash)),
            Err(Loose::Changed) => {}
            Err(Loose::Ended) => return Err(why_cut(gateway, app, &allowed.live).await),
        }
    }
    Err(Refused::Doubt(Doubt::Restless))
}

/// Why a session was cut that had passed the decision a moment ago.
async fn why_cut(gateway: &Gateway, app: &App, live: &Live) -> Refused {
    match gateway.guard.check_session(&live.session.workspace, &live.session.id).await {
        Err(denied) => denied.into(),
        Ok(live) => match app.admits(&live.session) {
            Err(closed) => Refused::closed(closed, &live.session),
            // The lease was gone and is back, or nothing could be known for a while; what was under way is cut all the same.
            Ok(()) => Refused::Doubt(Doubt::NoLease),
        },
    }
}

fn answered(
    gateway: &Gateway,
    switch: Option<Switch>,
    mut answer: http::Response<Incoming>,
    leash: Leash,
) -> Result<Response, NotPassed> {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return upgrade::switched(gateway, switch, answer, leash);
    }
    let headers = answer.headers_mut();
    for_client(headers);
    keep_private(headers);
    if answer.body().is_end_stream() {
        return Ok(answer.map(|_| Body::empty()));
    }
    if let Some(length) = answer.body().size_hint().exact() {
        answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    Ok(answer.map(|body| Body::new(Download::new(body, leash))))
}

/// RFC 9111, section 3: a shared cache may keep what says nothing about caching, and hand it to the next person.
fn keep_private(headers: &mut HeaderMap) {
    if ![header::CACHE_CONTROL, header::EXPIRES, header::PRAGMA].iter().any(|name| headers.contains_key(name)) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}
