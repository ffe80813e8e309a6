//! One connection: the socket that notes what happens on it, the service that hands requests to the router, and the
//! supervisor that ends it when its time has come.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{Router, extract::ConnectInfo};
use http::{Request, Response, StatusCode, Version};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::TokioIo,
    server::conn::auto::{Builder, UpgradeableConnection},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::Service as _;

use super::{
    ServeOptions,
    activity::{Activity, Deadline},
    body::{Answer, incoming},
};

/// When a connection has to end although its client might go on.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    /// Take no further request.
    pub(super) drain: CancellationToken,
    /// End at once.
    pub(super) cut: CancellationToken,
}

/// Runs what hyper spawns for the streams of HTTP/2 where the drain can wait for it and cut it.
#[derive(Debug, Clone)]
pub(super) struct Tracked {
    streams: TaskTracker,
    cut: CancellationToken,
}

impl Tracked {
    pub(super) fn new(streams: TaskTracker, cut: CancellationToken) -> Self {
        Self { streams, cut }
    }
}

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, stream: F) {
        self.streams.spawn(self.cut.clone().run_until_cancelled_owned(stream));
    }
}

/// Serves one connection to its end.
pub(super) async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    router: Router,
    builder: Arc<Builder<Tracked>>,
    options: Arc<ServeOptions>,
    stop: Stop,
) {
    let activity = Activity::new();
    let socket = Socket { stream, activity: Arc::clone(&activity), _permit: permit };
    let service = service_fn(|request| {
        let running = activity.begin(request.version() == Version::HTTP_2);
        let answer = answer(router.clone(), request, peer, &options);
        async move {
            let response = answer.await;
            Ok::<_, Infallible>(response.map(|body| Answer::new(body, running)))
        }
    });
    let connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(socket), service));
    supervise(connection, &activity, &options, &stop).await;
}

fn answer(
    mut router: Router,
    mut request: Request<Incoming>,
    peer: SocketAddr,
    options: &ServeOptions,
) -> impl Future<Output = axum::response::Response> + Send + use<> {
    let is_too_long = request.uri().path_and_query().is_some_and(|path| path.as_str().len() > options.max_uri_bytes);
    let (window, minimum) = (options.body_window, options.body_minimum);
    async move {
        if is_too_long {
            let mut response = Response::new(axum::body::Body::empty());
            *response.status_mut() = StatusCode::URI_TOO_LONG;
            return response;
        }
        request.extensions_mut().insert(ConnectInfo(peer));
        let Ok(response) = router.call(request.map(|body| incoming(body, window, minimum))).await;
        response
    }
}

/// Drives the connection until it ends, is overdue, idle for too long, drained or cut.
async fn supervise<S, B, F>(
    mut connection: Pin<&mut UpgradeableConnection<'_, TokioIo<Socket>, S, Tracked>>,
    activity: &Activity,
    options: &ServeOptions,
    stop: &Stop,
) where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future = F>,
    F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut drain = pin!(stop.drain.cancelled());
    let mut cut = pin!(stop.cut.cancelled());
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut drains_since: Option<Instant> = None;
    let mut closes_by: Option<Instant> = None;
    poll_fn(|cx| {
        activity.watch(cx.waker());
        loop {
            // First, always: what the client has already sent must be seen before anything is closed.
            if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                if let Err(error) = end {
                    tracing::debug!(error = %error, "a connection ended with an error");
                }
                return Poll::Ready(());
            }
            if cut.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if drains_since.is_none() && drain.as_mut().poll(cx).is_ready() {
                drains_since = Some(Instant::now());
            }
            if drains_since.is_some() && closes_by.is_none() && activity.may_close() {
                connection.as_mut().graceful_shutdown();
                closes_by = Some(Instant::now() + options.head);
                continue;
            }
            let at = match (activity.deadline(options, drains_since), closes_by) {
                (None, _) => return Poll::Pending,
                (Some(Deadline::Idle(_)), Some(at)) | (Some(Deadline::Overdue(at) | Deadline::Idle(at)), _) => at,
            };
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
            if closes_by.is_some() || matches!(activity.deadline(options, drains_since), Some(Deadline::Overdue(_))) {
                return Poll::Ready(());
            }
            connection.as_mut().graceful_shutdown();
            closes_by = Some(Instant::now() + options.head);
        }
    })
    .await;
}

/// The client's socket. It keeps the listener's permit as long as it lives, an upgrade included.
struct Socket {
    stream: TcpStream,
    activity: Arc<Activity>,
    _permit: OwnedSemaphorePermit,
}

impl Socket {
    fn note<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(_) => self.activity.written(),
            Poll::Pending => self.activity.unwritten(),
        }
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
