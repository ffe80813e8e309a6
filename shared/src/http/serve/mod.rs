//! The accept loop of every listener: each wait for a client has a deadline, each size has a limit, and a shutdown lets what
//! has begun come to its end. It terminates no TLS; that is the business of the proxy in front.

mod activity;
mod body;
mod connection;
#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{rt::TokioTimer, server::conn::auto::Builder};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::connection::Tracked;

/// The limits of a listener. The defaults are the ones to run with; tests shorten them.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// How long a new connection may send nothing.
    pub first_byte: Duration,
    /// How long the head of a request may take from its first byte.
    pub head: Duration,
    /// How long a connection may wait for its next request. Longer than the 60 s for which nginx keeps its connections,
    /// so that the proxy closes first and never sends into a closing one.
    pub idle: Duration,
    /// How long a client may take for `body_minimum` bytes of a request's body.
    pub body_window: Duration,
    /// The least that has to arrive in each `body_window`.
    pub body_minimum: u64,
    /// How long a client may leave an answer unread.
    pub write_stall: Duration,
    /// How many connections there may be; more wait in the kernel's queue.
    pub max_connections: usize,
    /// How long the head of a request may be; more is answered 431.
    pub max_head_bytes: usize,
    /// How many header lines a request may have; more is answered 431.
    pub max_headers: usize,
    /// How long path and query may be; more is answered 414.
    pub max_uri_bytes: usize,
    /// How many requests may run at a time on one HTTP/2 connection.
    pub max_streams: u32,
    /// How long a shutdown waits for what has begun.
    pub drain: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body_window: Duration::from_secs(10),
            body_minimum: 1024,
            write_stall: Duration::from_secs(30),
            max_connections: 10_000,
            max_head_bytes: 32 * 1024,
            max_headers: 100,
            max_uri_bytes: 8 * 1024,
            max_streams: 100,
            drain: Duration::from_secs(25),
        }
    }
}

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// Every request came to its end.
    Complete,
    /// Some did not in the time given.
    CutOff {
        /// How many connections were cut.
        connections: usize,
    },
}

/// Serves `router` on `listener` until `shutdown`, then lets the requests that have begun come to their end. Each request
/// carries the peer's address as `axum::extract::ConnectInfo<SocketAddr>`. An upgraded connection is its handler's to end.
pub async fn serve(listener: TcpListener, router: Router, options: ServeOptions, shutdown: CancellationToken) -> Drain {
    let server = Server::new(router, options, shutdown.clone());
    loop {
        // The permit comes first: without one, clients wait in the kernel's queue instead of in our memory.
        let Some(Ok(permit)) = shutdown.run_until_cancelled(Arc::clone(&server.permits).acquire_owned()).await else { break };
        match shutdown.run_until_cancelled(listener.accept()).await {
            None => break,
            Some(Ok((stream, peer))) => server.start(stream, peer, permit),
            Some(Err(error)) if is_of_one_connection(&error) => {}
            Some(Err(error)) => {
                tracing::warn!(error = %error, "cannot accept connections; trying again");
                if timeout(ACCEPT_PAUSE, shutdown.cancelled()).await.is_ok() {
                    break;
                }
            }
        }
    }
    server.accept_waiting(listener);
    server.drain().await
}

/// How long to wait after the system had no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Raises the process's limit of open files to what the system permits: the usual soft limit of 1024 is less than the
/// connections of one listener.
pub fn raise_open_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!(error = %error, "cannot raise the limit of open files");
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

struct Server {
    router: Router,
    options: Arc<ServeOptions>,
    builder: Arc<Builder<Tracked>>,
    permits: Arc<Semaphore>,
    connections: TaskTracker,
    streams: TaskTracker,
    shutdown: CancellationToken,
    cut: CancellationToken,
}

impl Server {
    fn new(router: Router, options: ServeOptions, shutdown: CancellationToken) -> Self {
        let streams = TaskTracker::new();
        let cut = CancellationToken::new();
        Self {
            router,
            builder: Arc::new(builder(&options, Tracked::new(streams.clone(), cut.clone()))),
            permits: Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS))),
            options: Arc::new(options),
            connections: TaskTracker::new(),
            streams,
            shutdown,
            cut,
        }
    }

    fn start(&self, stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        // Answers are small and wanted at once; without this the kernel may hold one back for 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = %error, "the connection was gone before it began");
            return;
        }
        self.connections.spawn(connection::run(
            stream,
            peer,
            permit,
            self.router.clone(),
            Arc::clone(&self.builder),
            Arc::clone(&self.options),
            connection::Stop { drain: self.shutdown.clone(), cut: self.cut.clone() },
        ));
    }

    /// Takes what the kernel has accepted on our behalf, and closes the listener, which would reset these, requests and all. The
    /// kernel itself is asked: what the reactor knows may be a moment old.
    fn accept_waiting(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            match listener.accept() {
                Ok((stream, peer)) => {
                    if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                        self.start(stream, peer, permit);
                    }
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => return,
            }
        }
    }

    async fn drain(self) -> Drain {
        self.connections.close();
        self.streams.close();
        let everything = async {
            self.connections.wait().await;
            self.streams.wait().await;
        };
        if timeout(self.options.drain, everything).await.is_ok() {
            return Drain::Complete;
        }
        let connections = self.connections.len();
        self.cut.cancel();
        self.connections.wait().await;
        self.streams.wait().await;
        tracing::warn!(connections, "shut down before {connections} connections came to their end");
        Drain::CutOff { connections }
    }
}

fn builder(options: &ServeOptions, executor: Tracked) -> Builder<Tracked> {
    let mut builder = Builder::new(executor);
    // The deadline of a head is kept by `Activity`: hyper's would also end idle connections, after the same 10 s.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(options.max_headers)
        .max_buf_size(options.max_head_bytes.max(8192));
    // Rapid reset (CVE-2023-44487) and MadeYouReset (CVE-2025-8671): few resets are kept, more end the connection.
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_streams)
        .max_header_list_size(16 * 1024)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}
