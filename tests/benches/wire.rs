//! A provisioning client that takes little of the processor, so that what is measured is the server beside it: one connection that
//! is kept, requests written as they are.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use lockstep_tests::harness::scim::Scim;
use serde_json::Value;

use crate::Failure;

const MEDIA_TYPE: &str = "application/scim+json";

/// One connection of a provider.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    client: Client<HttpConnector, Full<Bytes>>,
    base: String,
    authorization: String,
}

impl Wire {
    /// The same provider on a connection of its own.
    pub(crate) fn like(scim: &Scim) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(connector);
        Self { client, base: scim.base().to_owned(), authorization: format!("Bearer {}", scim.token()) }
    }

    /// Sends a body and reads the whole answer.
    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Result<(StatusCode, Bytes), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::ACCEPT, MEDIA_TYPE)
            .header(header::CONTENT_TYPE, MEDIA_TYPE)
            .body(Full::from(serde_json::to_vec(body)?))?;
        let (head, body) = self.client.request(request).await?.into_parts();
        Ok((head.status, body.collect().await?.to_bytes()))
    }
}
