use std::time::Instant;

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    routing::{get, post},
};
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Notify, mpsc},
    task::JoinHandle,
};

use super::*;

/// Longer than anything here takes unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// The shortened deadlines.
const SHORT: Duration = Duration::from_millis(200);

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    end: JoinHandle<Drain>,
}

async fn start(router: Router, options: ServeOptions) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
    let end = tokio::spawn(serve(listener, router, options, shutdown.clone()));
    Running { address, shutdown, end }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream
    }

    async fn stop(self) -> Drain {
        self.shutdown.cancel();
        timeout(PATIENCE, self.end).await.expect("the server stops").unwrap()
    }
}

/// What the server sends until it closes.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well: the server may close with bytes of ours unread.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the server closes");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One answer with a Content-Length on a connection that stays open.
async fn one_answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    timeout(PATIENCE, async {
        loop {
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
                if body.len() >= length.parse::<usize>().unwrap() {
                    return;
                }
            }
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "closed after {text:?}");
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    })
    .await
    .expect("an answer comes");
    text
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" })).route("/echo", post(|body: Bytes| async move { body }))
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const GET_AND_CLOSE: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_carries_its_peers_address() {
    let handler = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() };
    let server = start(Router::new().route("/", get(handler)), ServeOptions::default()).await;

    let stream = server.send(GET_AND_CLOSE).await;
    let ours = stream.local_addr().unwrap().to_string();

    assert!(rest(stream).await.ends_with(&ours));
    assert_eq!(server.stop().await, Drain::Complete);
}

#[tokio::test]
async fn a1_clients_that_send_nothing_or_half_a_head_are_closed() {
    let server = start(hello(), ServeOptions { first_byte: SHORT, head: SHORT, ..Default::default() }).await;

    for sent in [b"".as_slice(), b"G", b"PRI * HTTP", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\nhost: a\r\nx: "] {
        let started = Instant::now();
        let stream = server.send(sent).await;
        rest(stream).await;
        assert!(started.elapsed() >= SHORT, "{sent:?} was closed at once");
    }
    assert_eq!(server.stop().await, Drain::Complete);
}

#[tokio::test]
async fn a1_half_a_head_after_a_request_is_closed_as_well() {
    let server = start(hello(), ServeOptions { head: SHORT, idle: PATIENCE * 2, ..Default::default() }).await;

    let mut stream = server.send(GET).await;
    assert!(one_answer(&mut stream).await.ends_with("hello"));
    stream.write_all(b"GET / HT").await.unwrap();

    assert_eq!(rest(stream).await, "");
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_outlives_the_deadline_of_a_head() {
    let server = start(hello(), ServeOptions { first_byte: SHORT, head: SHORT, idle: SHORT * 5, ..Default::default() }).await;
    let started = Instant::now();

    let mut stream = server.send(GET).await;
    one_answer(&mut stream).await;

    assert_eq!(rest(stream).await, "");
    assert!(started.elapsed() >= SHORT * 5, "closed after {:?}", started.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn a1_a_body_that_drips_is_given_up() {
    let options = ServeOptions { body_window: SHORT, body_minimum: 1024, ..Default::default() };
    let server = start(hello(), options).await;
    let mut stream = server.send(b"POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 100000\r\n\r\n").await;

    // One byte each fifth of a window: never silent, never enough.
    let (mut reader, mut writer) = stream.split();
    let drip = async {
        let mut tick = tokio::time::interval(SHORT / 5);
        loop {
            tick.tick().await;
            if writer.write_all(b"x").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut answer = [0; 12];
    let read = async { reader.read_exact(&mut answer).await };

    tokio::select! {
        result = timeout(PATIENCE, read) => { result.expect("an answer comes").unwrap(); }
        () = drip => unreachable!("it drips for ever"),
    }
    assert_eq!(&answer, b"HTTP/1.1 400");
    server.stop().await;
}

#[tokio::test]
async fn a_slow_handler_is_not_taken_for_a_slow_client() {
    let go = Arc::new(Notify::new());
    let (entered, mut waiting) = mpsc::channel::<()>(1);
    let handler = |State(go): State<Arc<Notify>>, Extension(entered): Extension<mpsc::Sender<()>>, request: Request| async move {
        entered.send(()).await.unwrap();
        go.notified().await;
        axum::body::to_bytes(request.into_body(), usize::MAX)
            .await
            .map(|body| body.len().to_string())
            .map_err(|_| StatusCode::BAD_REQUEST)
    };
    let router = Router::new().route("/", post(handler)).layer(Extension(entered)).with_state(Arc::clone(&go));
    let server = start(router, ServeOptions { body_window: SHORT, body_minimum: 1024, head: SHORT, ..Default::default() }).await;

    let mut stream = server.send(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\nabcd").await;
    waiting.recv().await.unwrap();
    let early = timeout(SHORT * 3, stream.read_u8()).await;
    go.notify_one();

    assert!(early.is_err(), "nothing is answered before the handler does");
    assert!(rest(stream).await.ends_with('4'));
    server.stop().await;
}

/// Tells when it is dropped.
struct Told(mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.try_send(()).unwrap();
    }
}

#[tokio::test]
async fn a1_a_client_that_reads_nothing_is_given_up() {
    let (sender, mut dropped) = mpsc::channel::<()>(1);
    let handler = |Extension(sender): Extension<mpsc::Sender<()>>| async move {
        let told = Told(sender);
        let endless = move || {
            let _held = &told;
            Ok::<_, io::Error>(Bytes::from_static(&[0; 8192]))
        };
        Body::from_stream(futures_util::stream::repeat_with(endless))
    };
    let router = Router::new().route("/", get(handler)).layer(Extension(sender));
    let server = start(router, ServeOptions { write_stall: SHORT, ..Default::default() }).await;

    let stream = server.send(GET).await;

    timeout(PATIENCE, dropped.recv()).await.expect("the answer is given up").unwrap();
    drop(stream);
    assert_eq!(server.stop().await, Drain::Complete);
}

#[tokio::test]
async fn a3_heads_that_are_too_long_are_refused() {
    let server = start(hello(), ServeOptions::default()).await;
    let many = "x: y\r\n".repeat(1000);
    let cases = [
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(64 * 1024)), "431"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\ncookie: {}\r\n\r\n", "a".repeat(1024 * 1024)), "431"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n"), "431"),
        (format!("GET /{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "a".repeat(10 * 1024)), "414"),
    ];
    for (head, expected) in cases {
        let mut stream = server.connect().await;
        // The server may answer and close before it has taken everything.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = [0; 12];
        timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(status(std::str::from_utf8(&answer).unwrap()), expected, "{head:.60}");
    }
    server.stop().await;
}

#[tokio::test]
async fn no_more_connections_than_the_limit_are_served_at_a_time() {
    let server = start(hello(), ServeOptions { max_connections: 1, ..Default::default() }).await;
    let mut first = server.send(GET).await;
    one_answer(&mut first).await;

    let mut second = server.send(GET).await;
    let early = timeout(SHORT, second.read_u8()).await;
    drop(first);

    assert!(early.is_err(), "the second was answered beside the first");
    assert!(one_answer(&mut second).await.ends_with("hello"));
    drop(second);
    server.stop().await;
}

/// A handler that tells when it has begun and ends when it is told.
fn held() -> (Router, mpsc::Receiver<()>, Arc<Notify>) {
    let (entered, waiting) = mpsc::channel(8);
    let go = Arc::new(Notify::new());
    let handler = |State((entered, go)): State<(mpsc::Sender<()>, Arc<Notify>)>| async move {
        entered.send(()).await.unwrap();
        go.notified().await;
        "done"
    };
    (Router::new().route("/", get(handler)).with_state((entered, Arc::clone(&go))), waiting, go)
}

#[tokio::test]
async fn a_drain_lets_what_has_begun_come_to_its_end_and_closes_what_idles() {
    let (router, mut entered, go) = held();
    let server = start(router.merge(Router::new().route("/quick", get(|| async { "quick" }))), ServeOptions::default()).await;
    let running = server.send(GET).await;
    entered.recv().await.unwrap();
    let mut idle = server.send(b"GET /quick HTTP/1.1\r\nhost: a\r\n\r\n").await;
    one_answer(&mut idle).await;
    let silent = server.connect().await;

    server.shutdown.cancel();
    assert_eq!((rest(idle).await, rest(silent).await), (String::new(), String::new()));
    assert!(!server.end.is_finished());
    go.notify_one();

    assert!(rest(running).await.ends_with("done"));
    assert_eq!(server.stop().await, Drain::Complete);
}

#[tokio::test]
async fn a_drain_serves_a_request_whose_head_is_still_arriving() {
    let server = start(hello(), ServeOptions::default()).await;
    let mut stream = server.send(GET).await;
    one_answer(&mut stream).await;
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    // Another connection's answer, and then its end, prove that the server has had time to see the half head and the drain.
    let mut other = server.send(GET).await;
    one_answer(&mut other).await;

    server.shutdown.cancel();
    assert_eq!(rest(other).await, "");
    stream.write_all(b"host: a\r\n\r\n").await.unwrap();

    assert!(rest(stream).await.ends_with("hello"));
    assert_eq!(server.stop().await, Drain::Complete);
}

#[tokio::test]
async fn a_drain_serves_what_waits_in_the_kernels_queue() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    stream.write_all(GET).await.unwrap();
    let shutdown = CancellationToken::new();
    shutdown.cancel();

    let drain = timeout(PATIENCE, serve(listener, hello(), ServeOptions::default(), shutdown)).await.unwrap();

    assert_eq!(drain, Drain::Complete);
    assert!(rest(stream).await.ends_with("hello"));
}

#[tokio::test]
async fn a_drain_serves_what_came_while_nobody_looked() {
    let server = start(hello(), ServeOptions::default()).await;
    // The server now waits for the reactor to tell it of connections, and the reactor sees nothing before this test yields.
    rest(server.send(GET_AND_CLOSE).await).await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        std::io::Write::write_all(&mut stream, GET_AND_CLOSE).unwrap();
        stream.set_nonblocking(true).unwrap();
        waiting.push(stream);
    }

    assert_eq!(server.stop().await, Drain::Complete);

    for stream in waiting {
        assert_eq!(status(&rest(TcpStream::from_std(stream).unwrap()).await), "200");
    }
}

#[tokio::test]
async fn a_drain_has_a_deadline_and_says_what_it_cut() {
    let (router, mut entered, _go) = held();
    let server = start(router, ServeOptions { drain: SHORT, ..Default::default() }).await;
    let stream = server.send(GET).await;
    entered.recv().await.unwrap();

    assert_eq!(server.stop().await, Drain::CutOff { connections: 1 });
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn http_2_is_served_and_drained() {
    let (router, mut entered, go) = held();
    let server = start(router, ServeOptions::default()).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
    let url = format!("http://{}/", server.address);

    let request = tokio::spawn(async move {
        let response = client.get(url).send().await.unwrap();
        (response.version(), response.text().await.unwrap())
    });
    entered.recv().await.unwrap();
    server.shutdown.cancel();
    go.notify_one();

    assert_eq!(timeout(PATIENCE, request).await.unwrap().unwrap(), (http::Version::HTTP_2, "done".to_owned()));
    assert_eq!(server.stop().await, Drain::Complete);
}

#[tokio::test]
async fn a_connection_can_be_upgraded_and_keeps_its_place() {
    let handler = |mut request: Request| async move {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
            let mut buffer = [0; 4];
            while io.read_exact(&mut buffer).await.is_ok() {
                io.write_all(&buffer).await.unwrap();
            }
        });
        (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "echo")])
    };
    let options = ServeOptions { idle: SHORT, head: SHORT, first_byte: SHORT, max_connections: 1, ..Default::default() };
    let server = start(Router::new().route("/", get(handler)), options).await;

    let mut stream = server.send(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").await;
    assert_eq!(status(&one_answer(&mut stream).await), "101");
    let mut second = server.send(GET).await;
    let early = timeout(SHORT * 3, second.read_u8()).await;
    stream.write_all(b"ping").await.unwrap();
    let mut echo = [0; 4];
    timeout(PATIENCE, stream.read_exact(&mut echo)).await.unwrap().unwrap();

    assert!(early.is_err(), "the upgraded connection lost its place");
    assert_eq!(&echo, b"ping");
    drop((stream, second));
    server.stop().await;
}
