//! What surrounds every handler: a request id of ours, one span and one event per request, a limit for the body, an answer
//! in place of a panic, and the headers that a page of ours must have. None of it logs a query, a header or a body.

use std::{fmt, panic::AssertUnwindSafe, time::Instant};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    middleware::{Next, from_fn, from_fn_with_state, map_request_with_state, map_response},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
};
use http_body_util::Limited;
use tracing::{Instrument, Span, field::Empty};
use uuid::Uuid;

use crate::telemetry::Meters;

/// The header by which an answer tells its request's id. On a request it means nothing: a client could otherwise write
/// another's id into the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, an extension of the request and of its answer. Error pages and the log show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A new id.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How the requests of a router are observed.
#[derive(Debug, Clone, Copy)]
pub struct Observation {
    /// What is answered in place of a panic; it must be a 500 and say no more than the id.
    pub panic_answer: fn(RequestId) -> Response,
    /// Whether answers below 500 are logged at `debug` and not at `info`: for a listener that is asked at every click.
    pub is_quiet: bool,
}

impl Default for Observation {
    fn default() -> Self {
        Self { panic_answer: plain_panic_answer, is_quiet: false }
    }
}

fn plain_panic_answer(id: RequestId) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("internal error, request {id}\n")).into_response()
}

/// Gives each request its id and its span, logs how it went, and answers where its handler panics. To be the outermost.
/// Handlers may record `workspace.id` and `user.id` on the current span.
pub fn observe(router: Router, observation: Observation) -> Router {
    router.layer(from_fn_with_state(observation, observed))
}

/// Does for one handler what [`observe`] does for a router, at a fraction of its price: for an answer that is given at every
/// click, from memory. It is called by the handler instead of being laid around it, and makes no span where nothing is logged:
/// for a decision that lets a request pass. Whatever `refuse` logs stands in the span.
pub async fn observe_decision<R>(
    observation: Observation,
    method: &Method,
    route: &'static str,
    decision: impl Future<Output = Result<Response, R>>,
    refuse: impl FnOnce(R) -> Response,
) -> Response {
    let (id, started) = (RequestId::new(), Instant::now());
    let decided = AssertUnwindSafe(decision).catch_unwind().await;
    let response = match decided {
        Ok(Ok(passed)) if observation.is_quiet && !tracing::enabled!(tracing::Level::DEBUG) => passed,
        decided => {
            let span = tracing::info_span!("request", request.id = %id, http.method = %method, http.route = route);
            let response = match decided {
                Ok(Ok(passed)) => passed,
                Ok(Err(refused)) => span.in_scope(|| refuse(refused)),
                Err(_) => (observation.panic_answer)(id),
            };
            log(&span, response.status(), started, observation.is_quiet);
            response
        }
    };
    stamped(response, id)
}

/// Counts the answers of a program's router by the kind of their path, which `kind` tells of the route as it was declared: a path
/// as it was sent is anybody's to choose.
pub fn count(router: Router, meters: Meters, program: &'static str, kind: fn(Option<&str>) -> &'static str) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| {
        let (meters, kind) = (meters.clone(), kind(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str)));
        async move {
            let response = next.run(request).await;
            meters.answered(program, kind, response.status().as_u16());
            response
        }
    }))
}

async fn observed(State(observation): State<Observation>, mut request: Request, next: Next) -> Response {
    let id = RequestId::new();
    request.headers_mut().remove(REQUEST_ID);
    request.extensions_mut().insert(id);
    let span = tracing::info_span!(
        "request",
        request.id = %id,
        http.method = %request.method(),
        http.route = %Route::of(&request),
        workspace.id = Empty,
        user.id = Empty,
    );
    let started = Instant::now();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().instrument(span.clone()).await;
    // The panic itself has been logged by the hook of `telemetry::init`; its text never reaches the client.
    let mut response = answer.unwrap_or_else(|_| (observation.panic_answer)(id));
    log(&span, response.status(), started, observation.is_quiet);
    response.extensions_mut().insert(id);
    stamped(response, id)
}

fn stamped(mut response: Response, id: RequestId) -> Response {
    if let Ok(value) = HeaderValue::from_str(id.0.hyphenated().encode_lower(&mut Uuid::encode_buffer())) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

fn log(span: &Span, status: StatusCode, started: Instant, is_quiet: bool) {
    let _entered = span.enter();
    let (status, millis) = (status.as_u16(), started.elapsed().as_secs_f64() * 1000.0);
    // What is not offered is a client's mistake, and no failure of ours.
    let has_failed = status >= 500 && status != StatusCode::NOT_IMPLEMENTED.as_u16();
    if has_failed {
        tracing::error!(http.status = status, duration_ms = millis, "answered {status}");
    } else if is_quiet {
        tracing::debug!(http.status = status, duration_ms = millis, "answered {status}");
    } else {
        tracing::info!(http.status = status, duration_ms = millis, "answered {status}");
    }
}

/// The route as it was declared, since a path may carry a one-time token; the path itself, cut short, where none matched.
enum Route {
    Matched(MatchedPath),
    Unmatched(String),
}

impl Route {
    fn of(request: &Request) -> Self {
        match request.extensions().get::<MatchedPath>() {
            Some(route) => Self::Matched(route.clone()),
            None => Self::Unmatched(request.uri().path().chars().take(100).collect()),
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matched(route) => f.write_str(route.as_str()),
            Self::Unmatched(path) => write!(f, "none for {path}"),
        }
    }
}

/// Limits the body of each request, for whoever reads it; axum's extractors answer 413.
pub fn limit_body<S: Clone + Send + Sync + 'static>(router: Router<S>, bytes: usize) -> Router<S> {
    router
        .layer(DefaultBodyLimit::disable())
        .layer(map_request_with_state(bytes, |State(bytes): State<usize>, request: Request| async move {
            request.map(|body| Body::new(Limited::new(body, bytes)))
        }))
}

/// The policy of a page: everything from our own origin, forms included, and nobody may frame it.
pub const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// The policy of a page whose form leads on to an identity provider. Browsers hold the redirects that follow a form against
/// `form-action` as well, and the providers of all workspaces cannot be listed.
pub const SIGN_IN_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// Headers that every answer of ours has, whatever its handler said (ASVS 3.4). HSTS for two years; browsers ignore it over
/// plain http.
const FIXED: [(HeaderName, HeaderValue); 6] = [
    (STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=(), payment=()"),
    ),
];

/// Headers that a handler may choose otherwise.
const DEFAULT: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_SECURITY_POLICY, PAGE_POLICY),
    // RFC 9700, section 4.2: codes and `state` are in URLs of ours.
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// Puts the security headers on every answer of these routes, which must be our own: not what a protected app answers.
pub fn page_headers<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    router.layer(map_response(|mut response: Response| async move {
        set_page_headers(response.headers_mut());
        response
    }))
}

/// Puts the security headers among these.
pub fn set_page_headers(headers: &mut HeaderMap) {
    for (name, value) in FIXED {
        headers.insert(name, value);
    }
    for (name, value) in DEFAULT {
        headers.entry(name).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use axum::{
        Extension,
        routing::{get, post},
    };
    use bytes::Bytes;
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    async fn ask(router: Router, request: Request) -> (http::response::Parts, String) {
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        (parts, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    fn get_request(path: &str) -> Request {
        Request::get(path).header("x-request-id", "forged").body(Body::empty()).unwrap()
    }

    async fn panics() -> &'static str {
        panic!("a secret")
    }

    #[tokio::test]
    async fn a_request_has_an_id_of_ours_and_not_the_clients() {
        let handler = |Extension(id): Extension<RequestId>, headers: HeaderMap| async move {
            format!("{id} {}", headers.contains_key("x-request-id"))
        };
        let router = observe(Router::new().route("/", get(handler)), Observation::default());

        let (parts, body) = ask(router, get_request("/")).await;

        let id = parts.headers["x-request-id"].to_str().unwrap();
        assert_eq!(body, format!("{id} false"));
        assert_eq!(Uuid::try_parse(id).unwrap().get_version_num(), 7);
        assert!(parts.extensions.get::<RequestId>().is_some());
    }

    #[tokio::test]
    async fn a_panic_is_answered_with_500_and_the_id_alone() {
        let router = observe(Router::new().route("/", get(panics)), Observation::default());

        let (parts, body) = ask(router, get_request("/")).await;

        assert_eq!(parts.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body, format!("internal error, request {}\n", parts.headers["x-request-id"].to_str().unwrap()));
    }

    async fn decide(decision: impl Future<Output = Result<Response, StatusCode>>) -> Response {
        let observation = Observation { is_quiet: true, ..Observation::default() };
        observe_decision(observation, &Method::GET, "/auth", decision, IntoResponse::into_response).await
    }

    #[tokio::test]
    async fn every_decision_has_an_id_and_a_panic_is_none() {
        let passed = decide(async { Ok(StatusCode::OK.into_response()) }).await;
        let refused = decide(async { Err(StatusCode::UNAUTHORIZED) }).await;
        let panicked = decide(async { panic!("a secret") }).await;

        let statuses = [&passed, &refused, &panicked].map(|answer| answer.status().as_u16());
        assert_eq!(statuses, [200, 401, 500]);
        let ids = [passed, refused, panicked].map(|answer| answer.headers()["x-request-id"].to_str().unwrap().to_owned());
        assert!(ids.iter().all(|id| Uuid::try_parse(id).unwrap().get_version_num() == 7) && ids[0] != ids[1], "{ids:?}");
    }

    #[tokio::test]
    async fn a_refusal_is_logged_with_its_id_and_what_passes_is_not() {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(move || writer.clone());
        let info = tracing_subscriber::filter::LevelFilter::INFO;
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer).with(info));

        decide(async { Ok(StatusCode::OK.into_response()) }).await;
        let passed = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let refused = decide(async { Err(StatusCode::SERVICE_UNAVAILABLE) }).await;

        assert_eq!(passed, "");
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&event["message"], &event["span"]["http.route"]), (&"answered 503".into(), &"/auth".into()));
        assert_eq!(event["span"]["request.id"], refused.headers()["x-request-id"].to_str().unwrap());
    }

    #[tokio::test]
    async fn what_is_not_offered_is_no_error_of_ours() {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer().json().with_writer(move || writer.clone());
        let error = tracing_subscriber::filter::LevelFilter::ERROR;
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer).with(error));

        decide(async { Err(StatusCode::NOT_IMPLEMENTED) }).await;
        let not_offered = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        decide(async { Err(StatusCode::INTERNAL_SERVER_ERROR) }).await;

        assert_eq!(not_offered, "");
        assert!(String::from_utf8(kept.0.lock().unwrap().clone()).unwrap().contains("answered 500"));
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_413_announced_or_not() {
        let router = limit_body(Router::new().route("/", post(|body: Bytes| async move { body.len().to_string() })), 4);
        let announced = |text: &'static str| Request::post("/").body(Body::from(text)).unwrap();
        let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("abc"), Ok("de")]);
        let streamed = Request::post("/").body(Body::from_stream(chunks)).unwrap();

        assert_eq!(ask(router.clone(), announced("abcd")).await.1, "4");
        assert_eq!(ask(router.clone(), announced("abcde")).await.0.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(ask(router, streamed).await.0.status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_limit_above_the_frameworks_own_counts() {
        let size = 3 * 1024 * 1024;
        let router = limit_body(Router::new().route("/", post(|body: Bytes| async move { body.len().to_string() })), size);

        let (_, body) = ask(router, Request::post("/").body(Body::from(vec![0; size])).unwrap()).await;

        assert_eq!(body, size.to_string());
    }

    #[tokio::test]
    async fn every_page_has_the_security_headers() {
        let own = Router::new()
            .route("/", get(|| async { "page" }))
            .route(
                "/own",
                get(|| async {
                    ([(CONTENT_SECURITY_POLICY, SIGN_IN_POLICY), (X_FRAME_OPTIONS, HeaderValue::from_static("ALLOWALL"))], "page")
                }),
            )
            .fallback(|| async { StatusCode::NOT_FOUND });
        let router = page_headers(own);

        for path in ["/", "/missing"] {
            let headers = ask(router.clone(), get_request(path)).await.0.headers;
            for (name, value) in [
                ("strict-transport-security", "max-age=63072000"),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "DENY"),
                ("referrer-policy", "no-referrer"),
                ("cache-control", "no-store"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
            ] {
                assert_eq!(headers[name], value, "{path}");
            }
            assert_eq!(headers["content-security-policy"], PAGE_POLICY, "{path}");
        }
        let chosen = ask(router, get_request("/own")).await.0.headers;
        assert_eq!(
            (&chosen["content-security-policy"], &chosen["x-frame-options"]),
            (&SIGN_IN_POLICY, &HeaderValue::from_static("DENY"))
        );
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_request_leaves_one_event_with_its_route_and_without_its_query_or_tokens() {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(move || writer.clone());
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let handler = || async {
            Span::current().record("workspace.id", "acme");
            StatusCode::FORBIDDEN
        };
        let router = observe(Router::new().route("/setup/{token}", get(handler)), Observation::default());
        let request = Request::get("/setup/hush1?code=hush2").header("cookie", "hush3").body(Body::empty()).unwrap();

        let (parts, _) = ask(router, request).await;

        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(!text.contains("hush"), "{text}");
        let event: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&event["message"], &event["http.status"]), (&"answered 403".into(), &403.into()));
        assert_eq!((&event["span"]["http.route"], &event["span"]["workspace.id"]), (&"/setup/{token}".into(), &"acme".into()));
        assert_eq!(event["span"]["request.id"], parts.headers["x-request-id"].to_str().unwrap());
    }
}
