//! The one client by which our own requests go out: to providers, whose URLs a customer's admin may have typed. It follows
//! no redirect, keeps five seconds and one mebibyte, and talks only https and only to public addresses unless the operator
//! said otherwise. Every address is checked where the connection is made, so a name that changes its mind gains nothing.

mod address;
#[cfg(test)]
mod tests;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header::ACCEPT};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::de::DeserializeOwned;
use url::{Host, Url};

use self::address::Reach;
use crate::config::OutboundConfig;

/// How long a request may take, its answer's last byte included.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connecting may take, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an answer's body may be.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// Why a request has no answer. No variant shows more of the URL than its host: paths and queries may carry secrets.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The URL is none that we call.
    #[error("not a URL that can be called")]
    InvalidUrl,
    /// Plain http to a host that is not listed for it.
    #[error("{host} must be called over https (or be listed in outbound.allow_http_hosts)")]
    NotHttps {
        /// The host.
        host: String,
    },
    /// The host has no public address.
    #[error("{host} has no public address (outbound.allow_networks lists exceptions)")]
    NotPublic {
        /// The host.
        host: String,
    },
    /// The host has no address at all.
    #[error("{host} was not found")]
    NotFound {
        /// The host.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// Too slow.
    #[error("no complete answer within {} s", TOTAL_TIMEOUT.as_secs())]
    Timeout,
    /// Too much.
    #[error("the answer is longer than {limit} bytes")]
    TooLarge {
        /// How much would have been read.
        limit: usize,
    },
    /// No connection, TLS included.
    #[error("no connection")]
    Connect(#[source] reqwest::Error),
    /// The connection broke, or what came was not HTTP.
    #[error("the connection broke")]
    Broken(#[source] reqwest::Error),
    /// The answer does not say 200.
    #[error("the answer is {0} and not 200")]
    Status(StatusCode),
    /// The answer is not the JSON that was expected.
    #[error("the answer is not the expected JSON")]
    Json(#[source] serde_json::Error),
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// `outbound.ca_file` cannot be read.
    #[error("cannot read outbound.ca_file {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `outbound.ca_file` has no certificate.
    #[error("outbound.ca_file {} is not a file of PEM certificates", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS for outbound requests")]
    Tls(#[source] reqwest::Error),
}

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    total: Duration,
    connect: Duration,
    body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: TOTAL_TIMEOUT, connect: CONNECT_TIMEOUT, body: BODY_LIMIT }
    }
}

/// The client. Cheap to clone; all clones share their connections.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: reqwest::Client,
    reach: Arc<Reach>,
    body_limit: usize,
}

impl Outbound {
    /// Makes the client. Reads the file of certificate authorities, if there is one.
    pub fn new(config: &OutboundConfig) -> Result<Self, SetupError> {
        Self::with_limits(config, Limits::default())
    }

    fn with_limits(config: &OutboundConfig, limits: Limits) -> Result<Self, SetupError> {
        let reach = Arc::new(Reach::new(config));
        // No proxy of the environment: it would resolve names for us, and the addresses would go unchecked.
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(limits.total)
            .connect_timeout(limits.connect)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(8)
            .user_agent(concat!("lockstep/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Checked(Arc::clone(&reach)));
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path).map_err(|source| SetupError::CaFile { path: path.clone(), source })?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or_else(|| SetupError::NoCertificate { path: path.clone() })?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(SetupError::Tls)?;
        Ok(Self { client, reach, body_limit: limits.body })
    }

    /// Sends a request and reads its whole answer, whatever its status.
    pub async fn send(&self, request: http::Request<Vec<u8>>) -> Result<Response, OutboundError> {
        let request = reqwest::Request::try_from(request).map_err(|_| OutboundError::InvalidUrl)?;
        self.check(request.url())?;
        let mut response = self.client.execute(request).await.map_err(explain)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let body = self.read(response).await?;
        Ok(Response { status, headers, body })
    }

    /// Gets a document of JSON; only 200 is an answer.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &Url) -> Result<T, OutboundError> {
        let request = http::Request::get(url.as_str())
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| OutboundError::InvalidUrl)?;
        let response = self.send(request).await?;
        if response.status != StatusCode::OK {
            return Err(OutboundError::Status(response.status));
        }
        serde_json::from_slice(&response.body).map_err(OutboundError::Json)
    }

    /// Whether this URL may be called, as far as it tells by itself; for a form in which somebody types one. A name that
    /// passes is still checked when it has been resolved.
    pub fn check(&self, url: &Url) -> Result<(), OutboundError> {
        let host = url.host().ok_or(OutboundError::InvalidUrl)?;
        let is_https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(OutboundError::InvalidUrl),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutboundError::InvalidUrl);
        }
        if !is_https && !self.reach.may_use_http(&host) {
            return Err(OutboundError::NotHttps { host: host.to_string() });
        }
        // An address in the URL is connected to without asking any resolver.
        let literal = match host {
            Host::Ipv4(address) => IpAddr::from(address),
            Host::Ipv6(address) => IpAddr::from(address),
            Host::Domain(_) => return Ok(()),
        };
        if self.reach.may_call(literal) { Ok(()) } else { Err(OutboundError::NotPublic { host: host.to_string() }) }
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Bytes, OutboundError> {
        let limit = self.body_limit;
        let announced = response.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |announced| announced > limit) {
            return Err(OutboundError::TooLarge { limit });
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(explain)? {
            if body.len() + chunk.len() > limit {
                return Err(OutboundError::TooLarge { limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// Resolves names and keeps the addresses that may be called, so that the connection is made to what was checked.
struct Checked(Arc<Reach>);

/// What the resolver found is none of our business.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0} has no address that may be called")]
    NotPublic(String),
    #[error("{0} was not found")]
    NotFound(String, #[source] io::Error),
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = Arc::clone(&self.0);
        Box::pin(async move {
            let host = name.as_str();
            let found = tokio::net::lookup_host((host, 0)).await.map_err(|source| Refused::NotFound(host.to_owned(), source))?;
            let allowed: Vec<SocketAddr> = found.filter(|address| reach.may_call(address.ip())).collect();
            if allowed.is_empty() {
                tracing::warn!(host, "refused an outbound request: {host} has no public address");
                return Err(Refused::NotPublic(host.to_owned()).into());
            }
            let addresses: Addrs = Box::new(allowed.into_iter());
            Ok(addresses)
        })
    }
}

/// Finds out what went wrong; the resolver's own words are deep in the chain of sources.
fn explain(error: reqwest::Error) -> OutboundError {
    let error = error.without_url();
    if let Some(refused) = refusal(&error) {
        return refused;
    }
    if error.is_timeout() {
        OutboundError::Timeout
    } else if error.is_connect() {
        OutboundError::Connect(error)
    } else {
        OutboundError::Broken(error)
    }
}

fn refusal(error: &reqwest::Error) -> Option<OutboundError> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        match cause.downcast_ref::<Refused>() {
            Some(Refused::NotPublic(host)) => return Some(OutboundError::NotPublic { host: host.clone() }),
            Some(Refused::NotFound(host, source)) => {
                let source = io::Error::new(source.kind(), source.to_string());
                return Some(OutboundError::NotFound { host: host.clone(), source });
            }
            None => source = cause.source(),
        }
    }
    None
}
