//! One bounded HTTP request to the SCIM server: 60 seconds at most, no redirects, no more of the answer than is needed.

use std::time::{Duration, Instant};

use reqwest::{Method, header};
use serde_json::Value;

use super::link::Target;

const MOST_BYTES: usize = 1 << 20;
const SCIM_JSON: &str = "application/scim+json";

/// What came back, if anything did.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: Option<u16>,
    pub(super) ms: f64,
    pub(super) body: Value,
    pub(super) failure: Option<String>,
}

#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    limit: Duration,
}

impl Client {
    pub(super) fn new(limit: Duration) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(limit)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("lockstep-demo-idp/", env!("CARGO_PKG_VERSION")))
            // Plain HTTP to a neighbour alone, so that a machine without certificates can run the demo.
            .tls_certs_only([])
            .build()?;
        Ok(Self { http, limit })
    }

    pub(super) async fn send(&self, target: &Target, method: &Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", target.base()))
            .bearer_auth(target.token())
            .header(header::ACCEPT, SCIM_JSON);
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, format!("{SCIM_JSON}; charset=utf-8")).body(body.to_string());
        }
        let started = Instant::now();
        let outcome = read(request).await;
        let ms = (started.elapsed().as_secs_f64() * 10_000.0).round() / 10.0;
        match outcome {
            Ok((status, body)) => Answer { failure: failure(status, &body), status: Some(status), ms, body },
            Err(error) => Answer { status: None, ms, body: Value::Null, failure: Some(self.reason(&error)) },
        }
    }

    fn reason(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return format!("no answer within {} s", self.limit.as_secs());
        }
        if error.is_connect() { "nobody answers there".to_owned() } else { "the connection broke".to_owned() }
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<(u16, Value), reqwest::Error> {
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MOST_BYTES {
            bytes.clear();
            break;
        }
    }
    Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
}

fn failure(status: u16, body: &Value) -> Option<String> {
    let detail = || body.get("detail").and_then(Value::as_str).unwrap_or("the server gave no reason");
    (!(200..300).contains(&status)).then(|| detail().chars().take(300).collect())
}
