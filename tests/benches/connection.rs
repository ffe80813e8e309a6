//! A provisioning client that takes little of the processor, so that what is measured is the server beside it: one connection that
//! is kept, no pool, and all of them on one thread.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use lockstep_tests::harness::scim::Scim;
use serde_json::Value;
use tokio::net::TcpStream;
use url::Url;

use crate::Failure;

const MEDIA_TYPE: &str = "application/scim+json";

/// Where a provider's requests go, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Host and port.
    authority: String,
    /// What comes before `/Users`.
    prefix: String,
    authorization: String,
}

impl Target {
    /// The same workspace and credential.
    pub(crate) fn of(scim: &Scim) -> Result<Self, Failure> {
        let base: Url = scim.base().parse()?;
        Ok(Self {
            authority: base.authority().to_owned(),
            prefix: base.path().trim_end_matches('/').to_owned(),
            authorization: format!("Bearer {}", scim.token()),
        })
    }
}

/// One connection of a provider.
#[derive(Debug)]
pub(crate) struct Connection {
    target: Target,
    requests: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(target: Target) -> Result<Self, Failure> {
        Ok(Self { requests: connect(&target.authority).await?, target })
    }

    /// Sends a body and reads the whole answer.
    pub(crate) async fn send(&mut self, method: Method, path: &str, body: &Value) -> Result<(StatusCode, Bytes), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.target.prefix))
            .header(header::HOST, &self.target.authority)
            .header(header::AUTHORIZATION, &self.target.authorization)
            .header(header::ACCEPT, MEDIA_TYPE)
            .header(header::CONTENT_TYPE, MEDIA_TYPE)
            .body(Full::from(serde_json::to_vec(body)?))?;
        // A server may end the connection after an answer, and one of those that are measured does.
        if self.requests.ready().await.is_err() {
            self.requests = connect(&self.target.authority).await?;
        }
        let (head, body) = self.requests.send_request(request).await?.into_parts();
        Ok((head.status, body.collect().await?.to_bytes()))
    }
}

async fn connect(authority: &str) -> Result<SendRequest<Full<Bytes>>, Failure> {
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    let (requests, connection) = handshake(TokioIo::new(stream)).await?;
    // Its errors are told by the request that meets them.
    tokio::spawn(connection);
    Ok(requests)
}
