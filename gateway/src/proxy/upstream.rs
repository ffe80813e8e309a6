//! The client by which requests reach the apps: HTTP/1.1 over connections that are kept, with or without TLS. It resolves and
//! connects to whatever the operator named as an upstream, and to nothing else: no proxy of the environment, no redirect.

use std::{
    error::Error,
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{StatusCode, Uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use lockstep_shared::config::OutboundConfig;
use rustls::{
    ClientConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem, pem::PemObject as _},
};
use rustls_platform_verifier::Verifier;
use tower::Service;

use super::body::{BrokeOff, Progress, Upload};

/// How long connecting to an upstream may take: its name, the connection and TLS.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long an upstream may take for the head of its answer, from the last piece of the request that it has taken.
const HEAD_WITHIN: Duration = Duration::from_mins(1);
/// How long an idle connection is kept. Node closes its own after 5 s: we have to be first, or a request meets a closing one.
const IDLE_FOR: Duration = Duration::from_secs(4);
/// How many idle connections are kept for one upstream.
const IDLE_CONNECTIONS: usize = 128;

type BoxError = Box<dyn Error + Send + Sync>;

/// Why there is no client for upstreams.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamsError {
    /// `outbound.ca_file` cannot be read as certificates.
    #[error("cannot read certificates from outbound.ca_file {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: pem::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS for upstreams")]
    Tls(#[from] rustls::Error),
}

/// Why an upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// No connection, or it broke, or what came was not HTTP.
    #[error("the upstream gave no answer")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// The client did not send its request to the end.
    #[error("the client's request broke off")]
    ClientGone(#[source] hyper_util::client::legacy::Error),
    /// It took too long.
    #[error("the upstream took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
    /// It switched protocols though nobody had asked.
    #[error("the upstream switched protocols unasked")]
    SwitchedUnasked,
}

impl Failure {
    /// The status that says it.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Unreachable(_) | Self::SwitchedUnasked => StatusCode::BAD_GATEWAY,
            Self::ClientGone(_) => StatusCode::BAD_REQUEST,
            Self::TooSlow(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// One word for it.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "upstream_unreachable",
            Self::SwitchedUnasked => "upstream_confused",
            Self::ClientGone(_) => "request_broke_off",
            Self::TooSlow(_) => "upstream_too_slow",
        }
    }
}

/// The connections to every upstream. Clones share them.
#[derive(Clone)]
pub struct Upstreams {
    client: Client<Within<HttpsConnector<HttpConnector>>, Upload>,
    head_within: Duration,
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upstreams(…)")
    }
}

impl Upstreams {
    /// Makes the client. Upstreams with TLS are held to the system's certificate authorities and those of `outbound.ca_file`.
    pub fn new(outbound: &OutboundConfig) -> Result<Self, UpstreamsError> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_mins(1)));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls(outbound)?).https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(Within { inner: connector, limit: CONNECT_WITHIN });
        Ok(Self { client, head_within: HEAD_WITHIN })
    }

    /// The client with another limit for the head of an answer.
    #[cfg(test)]
    pub(super) fn with_head_within(mut self, head_within: Duration) -> Self {
        self.head_within = head_within;
        self
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &self,
        request: http::Request<Upload>,
        progress: Progress,
    ) -> Result<http::Response<Incoming>, Failure> {
        let mut answer = std::pin::pin!(self.client.request(request));
        loop {
            tokio::select! {
                answer = &mut answer => return answer.map_err(explain),
                // A long upload is not slow as long as it goes on.
                () = progress.made() => {}
                () = tokio::time::sleep(self.head_within) => return Err(Failure::TooSlow(self.head_within)),
            }
        }
    }
}

fn explain(error: hyper_util::client::legacy::Error) -> Failure {
    let mut source = error.source();
    while let Some(cause) = source {
        if matches!(cause.downcast_ref(), Some(BrokeOff::Client(_))) {
            return Failure::ClientGone(error);
        }
        source = cause.source();
    }
    Failure::Unreachable(error)
}

fn tls(outbound: &OutboundConfig) -> Result<ClientConfig, UpstreamsError> {
    let more = match &outbound.ca_file {
        Some(path) => CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| UpstreamsError::CaFile { path: path.clone(), source })?,
        None => Vec::new(),
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Verifier::new_with_extra_roots(more, provider.clone())?);
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// A connector that gives up.
#[derive(Clone)]
struct Within<C> {
    inner: C,
    limit: Duration,
}

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.limit, self.inner.call(uri));
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}
