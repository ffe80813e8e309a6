//! A provisioning client: one workspace's base URL, one credential, one request at a time.

use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::Value;

use super::{
    HarnessError,
    http::{Answer, client, send},
};

const MEDIA_TYPE: &str = "application/scim+json";

/// A provisioning client of one workspace.
#[derive(Clone, Debug)]
pub struct Scim {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Scim {
    /// A client for `base`, such as `http://localhost:8090/scim/v2/acme`, with a bearer token.
    pub fn new(base: impl Into<String>, token: impl Into<String>) -> Result<Self, HarnessError> {
        let base = base.into().trim_end_matches('/').to_owned();
        Ok(Self { client: client()?, base, token: token.into() })
    }

    /// The base URL of its workspace.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Its token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The same client with another token.
    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    /// Reads, for instance `/Users?filter=…` (percent-encoded by the caller) or `/Users/{id}`.
    pub async fn get(&self, path: &str) -> Result<Answer, HarnessError> {
        self.send(Method::GET, path, HeaderMap::new(), None).await
    }

    /// Reads a list with a filter, which this encodes.
    pub async fn find(&self, resources: &str, filter: &str) -> Result<Answer, HarnessError> {
        let filter: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
        self.get(&format!("{resources}?filter={filter}")).await
    }

    /// Creates.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, HarnessError> {
        self.send(Method::POST, path, HeaderMap::new(), Some(body)).await
    }

    /// Replaces.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer, HarnessError> {
        self.send(Method::PUT, path, HeaderMap::new(), Some(body)).await
    }

    /// Changes.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Answer, HarnessError> {
        self.send(Method::PATCH, path, HeaderMap::new(), Some(body)).await
    }

    /// Deletes.
    pub async fn delete(&self, path: &str) -> Result<Answer, HarnessError> {
        self.send(Method::DELETE, path, HeaderMap::new(), None).await
    }

    /// Any request; a header given here replaces the usual one of that name.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<&Value>,
    ) -> Result<Answer, HarnessError> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.token)
            .header(header::ACCEPT, MEDIA_TYPE);
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)).body(serde_json::to_vec(body)?);
        }
        send(request.headers(headers)).await
    }
}
