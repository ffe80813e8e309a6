use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Redirect},
    routing::{get, post},
};
use futures_util::stream;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::*;
use crate::{config::Config, http::serve};

/// A server on loopback that stops with the test.
struct Peer {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Peer {
    async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, stop, tasks) = (listener.local_addr().unwrap(), CancellationToken::new(), TaskTracker::new());
        let options = serve::ServeOptions { drain: Duration::from_millis(50), ..Default::default() };
        tasks.spawn(serve::serve(listener, router, options, stop.clone()));
        tasks.close();
        Self { address, stop, tasks }
    }

    fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

fn config(toml: &str) -> OutboundConfig {
    Config::from_toml(&format!("[outbound]\n{toml}")).unwrap().outbound
}

fn local() -> OutboundConfig {
    config("allow_http_hosts = [\"127.0.0.1\", \"localhost\"]\nallow_networks = [\"127.0.0.0/8\"]")
}

fn get_request(url: &Url) -> http::Request<Vec<u8>> {
    http::Request::get(url.as_str()).body(Vec::new()).unwrap()
}

#[tokio::test]
async fn an_answer_is_read_whole_with_status_headers_and_body() {
    let peer = Peer::start(
        Router::new().route("/echo", post(|body: String| async move { (StatusCode::ACCEPTED, [("x-a", "b")], body) })),
    )
    .await;
    let outbound = Outbound::new(&local()).unwrap();

    let request = http::Request::post(peer.url("/echo").as_str()).body(b"hello".to_vec()).unwrap();
    let response = outbound.send(request).await.unwrap();

    assert_eq!((response.status, response.body.as_ref()), (StatusCode::ACCEPTED, b"hello".as_slice()));
    assert_eq!(response.headers["x-a"], "b");
    peer.stop().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let peer = Peer::start(
        Router::new().route("/", get(|| async { Redirect::temporary("/secret") })).route("/secret", get(|| async { "metadata" })),
    )
    .await;
    let outbound = Outbound::new(&local()).unwrap();

    let response = outbound.send(get_request(&peer.url("/"))).await.unwrap();
    let json = outbound.get_json::<String>(&peer.url("/")).await;

    assert_eq!(response.status, StatusCode::TEMPORARY_REDIRECT);
    assert!(matches!(json, Err(OutboundError::Status(StatusCode::TEMPORARY_REDIRECT))), "{json:?}");
    peer.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_aborted_announced_or_not() {
    let endless = || async {
        Body::from_stream(stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[0; 4096])))).into_response()
    };
    let peer = Peer::start(
        Router::new()
            .route("/announced", get(|| async { vec![0_u8; BODY_LIMIT + 1] }))
            .route("/just", get(|| async { vec![0_u8; BODY_LIMIT] }))
            .route("/endless", get(endless)),
    )
    .await;
    let outbound = Outbound::new(&local()).unwrap();

    for path in ["/announced", "/endless"] {
        let result = outbound.send(get_request(&peer.url(path))).await;
        assert!(matches!(result, Err(OutboundError::TooLarge { limit: BODY_LIMIT })), "{path}: {result:?}");
    }
    assert_eq!(outbound.send(get_request(&peer.url("/just"))).await.unwrap().body.len(), BODY_LIMIT);
    peer.stop().await;
}

#[tokio::test]
async fn an_answer_that_drips_is_given_up_in_time() {
    let drip = || async {
        let head = stream::once(async { Ok::<_, io::Error>(Bytes::from_static(b"[")) });
        Body::from_stream(futures_util::StreamExt::chain(head, stream::pending())).into_response()
    };
    let peer = Peer::start(Router::new().route("/", get(drip)).route("/never", get(std::future::pending::<()>))).await;
    let outbound = Outbound::with_limits(&local(), Limits { total: Duration::from_millis(200), ..Limits::default() }).unwrap();

    for path in ["/", "/never"] {
        let result = tokio::time::timeout(Duration::from_secs(20), outbound.send(get_request(&peer.url(path)))).await;
        assert!(matches!(result, Ok(Err(OutboundError::Timeout))), "{path}: {result:?}");
    }
    peer.stop().await;
}

#[tokio::test]
async fn what_is_not_allowed_is_never_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let default = Outbound::new(&OutboundConfig::default()).unwrap();
    let http_alone = Outbound::new(&config("allow_http_hosts = [\"localhost\", \"127.0.0.1\"]")).unwrap();
    let network_alone = Outbound::new(&config("allow_networks = [\"127.0.0.0/8\"]")).unwrap();

    for host in ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"] {
        for (outbound, scheme) in [(&default, "https"), (&default, "http"), (&http_alone, "http"), (&network_alone, "http")] {
            let url: Url = format!("{scheme}://{host}:{port}/").parse().unwrap();
            let result = outbound.send(get_request(&url)).await;
            let is_refused = matches!(result, Err(OutboundError::NotPublic { .. } | OutboundError::NotHttps { .. }));
            assert!(is_refused, "{url}: {result:?}");
        }
    }
    assert!(futures_util::FutureExt::now_or_never(listener.accept()).is_none(), "somebody connected");
}

#[tokio::test]
async fn a_name_is_refused_by_what_it_resolves_to() {
    let outbound = Outbound::new(&config("allow_http_hosts = [\"localhost\"]")).unwrap();

    let result = outbound.send(get_request(&"http://localhost:1/".parse().unwrap())).await;

    assert!(matches!(&result, Err(OutboundError::NotPublic { host }) if host == "localhost"), "{result:?}");
}

#[tokio::test]
async fn a_name_that_resolves_to_an_allowed_network_is_called() {
    let peer = Peer::start(Router::new().route("/", get(|| async { "[1]" }))).await;
    let outbound = Outbound::new(&local()).unwrap();

    let answer = outbound.get_json::<Vec<u8>>(&format!("http://localhost:{}/", peer.address.port()).parse().unwrap()).await;

    assert_eq!(answer.unwrap(), [1]);
    peer.stop().await;
}

#[tokio::test]
async fn only_plain_http_urls_without_credentials_are_called() {
    let outbound = Outbound::new(&local()).unwrap();

    for url in ["ftp://127.0.0.1/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "https://u@example.com/", "data:,x"] {
        assert!(matches!(outbound.check(&url.parse().unwrap()), Err(OutboundError::InvalidUrl)), "{url}");
    }
    assert!(matches!(outbound.check(&"http://example.com/".parse().unwrap()), Err(OutboundError::NotHttps { .. })));
    assert!(outbound.check(&"https://example.com/".parse().unwrap()).is_ok());
}

#[tokio::test]
async fn nonsense_is_an_error_of_its_own_kind() {
    let peer = Peer::start(Router::new().route("/", get(|| async { "<html>" }))).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outbound = Outbound::new(&local()).unwrap();

    let html = outbound.get_json::<serde_json::Value>(&peer.url("/")).await;
    let refused = outbound.send(get_request(&format!("http://{closed}/?secret=1").parse().unwrap())).await;

    assert!(matches!(html, Err(OutboundError::Json(_))), "{html:?}");
    assert!(matches!(refused, Err(OutboundError::Connect(_))), "{refused:?}");
    assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    peer.stop().await;
}

#[test]
fn a_file_of_authorities_that_has_none_is_named() {
    let missing = Outbound::new(&config("ca_file = \"/nonexistent/ca.pem\"")).unwrap_err().to_string();
    let empty = Outbound::new(&config("ca_file = \"/dev/null\"")).unwrap_err().to_string();

    assert!(missing.contains("cannot read outbound.ca_file /nonexistent/ca.pem"), "{missing}");
    assert!(empty.contains("/dev/null is not a file of PEM certificates"), "{empty}");
}
