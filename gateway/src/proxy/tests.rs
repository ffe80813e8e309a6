//! The proxy between a real client and a real upstream, both on loopback.

mod identity;
mod protocols;
mod refusals;
mod streams;
mod transfer;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::Request,
    middleware::from_fn,
    response::{IntoResponse as _, Response},
    routing::any,
};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use lockstep_shared::{
    clock::{SharedClock, SystemClock},
    id::{UserId, WorkspaceId},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::{Mutex, mpsc},
};

use super::{Upstreams, mount};
use crate::{
    pages::render,
    session::live::Live,
    testing::{Served, TestGateway},
};

/// No wait of a test is longer.
const DEADLINE: Duration = Duration::from_secs(10);
const APP: &str = "app.example.com";

/// What reached the upstream.
#[derive(Debug, Serialize, Deserialize)]
struct Reached {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: usize,
    trailers: usize,
}

impl Reached {
    fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// An app behind a gateway, and somebody who is signed in.
struct House {
    test: TestGateway,
    proxy: Served,
    app: Served,
    _closed: TcpSocket,
    events: mpsc::Sender<&'static str>,
    client: Client<HttpConnector, Body>,
    workspace: WorkspaceId,
    user: UserId,
    live: Arc<Live>,
    cookie: HeaderValue,
}

impl House {
    async fn build() -> Self {
        Self::build_around(Router::new()).await
    }

    /// With an app that has these routes, besides those that each has.
    async fn build_around(routes: Router) -> Self {
        Self::build_with(routes, "", "", SystemClock::shared()).await
    }

    /// With more in `[gateway]` and after the apps, and by another clock.
    async fn build_with(routes: Router, in_gateway: &str, after_apps: &str, clock: SharedClock) -> Self {
        let (events, heard) = mpsc::channel(8);
        let app = Served::start(routes.merge(app(heard))).await;
        let (closed, port) = closed_port();
        let apps = apps(app.address, port);
        let test = TestGateway::start_with(&format!("{in_gateway}\n{apps}\n{after_apps}"), clock).await;
        let workspace = test.workspace("acme").await;
        let user = test.user(&workspace, "anna@acme.example").await;
        let (live, cookie) = test.sign_in(&workspace, &user).await;
        let upstreams = Upstreams::new(&test.runtime.config.outbound).unwrap().with_head_within(Duration::from_secs(1));
        let proxy = test.serve(mount(Router::new(), upstreams).layer(from_fn(render))).await;
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { test, proxy, app, _closed: closed, events, client, workspace, user, live, cookie }
    }

    /// A request to a host of the gateway; to be completed by the test.
    fn to(&self, host: &str, path: &str) -> http::request::Builder {
        http::Request::get(format!("http://{}{path}", self.proxy.address)).header(header::HOST, host)
    }

    /// The same with the session.
    fn signed_in(&self, host: &str, path: &str) -> http::request::Builder {
        self.to(host, path).header(header::COOKIE, &self.cookie)
    }

    async fn send(&self, request: http::Request<Body>) -> http::Response<Incoming> {
        within(self.client.request(request)).await.unwrap()
    }

    async fn get(&self, request: http::request::Builder) -> http::Response<Incoming> {
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// What the upstream reads of a request.
    async fn reached(&self, request: http::request::Builder) -> Reached {
        let response = self.get(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        serde_json::from_slice(&whole(response).await).unwrap()
    }

    /// Sends these bytes and reads to the end of the connection.
    async fn raw(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(self.proxy.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is an end as well.
        let _ = within(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The head of a raw request of the one who is signed in.
    fn raw_head(&self, line: &str) -> String {
        format!("{line} HTTP/1.1\r\nHost: {APP}\r\nCookie: {}\r\n", self.cookie.to_str().unwrap())
    }

    async fn stop(self) {
        drop((self.client, self.events));
        self.proxy.stop().await;
        self.app.stop().await;
        self.test.stop().await;
    }
}

fn apps(app: SocketAddr, closed: u16) -> String {
    format!(
        r#"
        [[apps]]
        hosts = ["app.example.com"]
        upstream = "http://{app}"
        audience = "https://app.example.com"
        [[apps]]
        hosts = ["plain.example.com"]
        upstream = "http://{app}"
        [[apps]]
        hosts = ["base.example.com"]
        upstream = "http://{app}/base"
        [[apps]]
        hosts = ["front.example.com"]
        [[apps]]
        hosts = ["admin.example.com"]
        upstream = "http://{app}"
        roles = ["admin"]
        [[apps]]
        hosts = ["other.example.com"]
        upstream = "http://{app}"
        workspaces = ["other"]
        [[apps]]
        hosts = ["down.example.com"]
        upstream = "http://127.0.0.1:{closed}"
        "#
    )
}

/// A port that is taken and does not listen: nobody else gets it meanwhile.
fn closed_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

fn app(events: mpsc::Receiver<&'static str>) -> Router {
    let events = Arc::new(Mutex::new(Some(events)));
    let own_headers = || async {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("set-cookie", "__Host-lockstep=fixed; Path=/"),
            ("set-cookie", "theme=dark"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("x-kept", "1"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    };
    Router::new()
        .route("/events", any(event_stream))
        .route("/ws", any(websocket))
        .route("/headers", any(own_headers))
        .route("/cached", any(|| async { ([(header::CACHE_CONTROL, "public, max-age=60")], "x") }))
        .fallback(echo)
        .layer(Extension(events))
}

async fn echo(request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().map_or(0, HeaderMap::len);
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    axum::Json(Reached {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: body.to_bytes().len(),
        trailers,
    })
    .into_response()
}

type Events = Arc<Mutex<Option<mpsc::Receiver<&'static str>>>>;

/// Server-sent events, as the test gives them.
async fn event_stream(Extension(events): Extension<Events>) -> Response {
    let events = events.lock().await.take().unwrap();
    let stream = futures_util::stream::unfold(events, |mut events| async move {
        let event = events.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(event.as_bytes())), events))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}

/// Switches to anything that is asked for and sends back what it gets.
async fn websocket(mut request: Request) -> Response {
    let Some(protocol) = request.headers().get(header::UPGRADE).cloned() else {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    };
    let switched = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (mut from, mut to) = tokio::io::split(TokioIo::new(switched.await.unwrap()));
        let _ = tokio::io::copy(&mut from, &mut to).await;
    });
    (StatusCode::SWITCHING_PROTOCOLS, [(header::CONNECTION, HeaderValue::from_static("upgrade")), (header::UPGRADE, protocol)])
        .into_response()
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("nothing happened within the deadline")
}

async fn whole(response: http::Response<Incoming>) -> Bytes {
    within(response.into_body().collect()).await.unwrap().to_bytes()
}
