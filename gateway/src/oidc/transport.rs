//! The way out to a provider, as a parameter: the pure parts never see a socket, and tests bring a provider of their own.

use std::future::Future;

use lockstep_shared::http::outbound::Outbound;

use super::{KeySetError, MetadataError};

/// No honest provider's document comes near this; the outbound client stops reading there too.
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;

/// A request that had no answer.
#[derive(Debug, thiserror::Error)]
#[error("the request to the provider failed")]
pub struct TransportError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Sends one request and returns its answer. An implementation follows no redirect, and bounds time, size and addresses.
pub trait Transport: Send + Sync {
    /// Sends one request.
    fn send(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> impl Future<Output = Result<http::Response<Vec<u8>>, TransportError>> + Send;
}

impl Transport for Outbound {
    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, TransportError> {
        let answer = Self::send(self, request).await.map_err(|error| TransportError(Box::new(error)))?;
        let mut response = http::Response::new(answer.body.into());
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}

/// Why nothing usable could be had from a provider: 502, never a reason to believe anything.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProviderError {
    /// No answer, or not in time.
    #[error("the provider could not be reached at {url}: {reason}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What happened.
        reason: String,
    },
    /// An answer other than 200.
    #[error("the provider answered {status} at {url}")]
    Status {
        /// What was asked.
        url: String,
        /// What was answered.
        status: u16,
    },
    /// A body over a megabyte.
    #[error("the provider's answer at {url} is larger than a megabyte")]
    TooLarge {
        /// What was asked.
        url: String,
    },
    /// The discovery document will not do.
    #[error("the provider's metadata is not usable: {0}")]
    Metadata(#[from] MetadataError),
    /// The key set will not do.
    #[error("the provider's key set is not usable: {0}")]
    Keys(#[from] KeySetError),
}

/// Asks for a document and returns its body.
pub(crate) async fn get(transport: &impl Transport, url: &str) -> Result<Vec<u8>, ProviderError> {
    let unreachable = |reason: String| ProviderError::Unreachable { url: url.to_owned(), reason };
    let request = http::Request::get(url)
        .header(http::header::ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(|error| unreachable(error.to_string()))?;
    let answer = transport.send(request).await.map_err(|error| unreachable(chain(&error)))?;
    if answer.status() != http::StatusCode::OK {
        return Err(ProviderError::Status { url: url.to_owned(), status: answer.status().as_u16() });
    }
    if answer.body().len() > BODY_LIMIT {
        return Err(ProviderError::TooLarge { url: url.to_owned() });
    }
    Ok(answer.into_body())
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
