//! The keys by which issuers sign our clients' assertions, kept per client. A key set is asked for when a client that exists shows an
//! assertion, at most every half-minute for a key that is not known; an issuer that does not answer is no reason to believe.

use std::sync::Arc;

use http::{StatusCode, header};
use lockstep_shared::{
    check::chain,
    clock::SharedClock,
    http::outbound::{Outbound, OutboundError},
    id::OAuthClientId,
    jose::{KeySet, KeySetError},
    kept::Kept,
};

/// Why an issuer's keys are not to be had.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum KeysError {
    /// No answer, or not in time.
    #[error("the keys could not be fetched: {0}")]
    Unreachable(String),
    /// The answer is no key set.
    #[error("what was fetched is not usable: {0}")]
    Unusable(#[from] KeySetError),
}

impl From<OutboundError> for KeysError {
    fn from(error: OutboundError) -> Self {
        Self::Unreachable(chain(&error))
    }
}

/// Fetches a key set.
pub(crate) async fn fetch(outbound: &Outbound, url: &str) -> Result<KeySet, KeysError> {
    let request = http::Request::get(url).header(header::ACCEPT, "application/json").body(Vec::new());
    let answer = outbound.send(request.map_err(|_| OutboundError::InvalidUrl)?).await?;
    if answer.status != StatusCode::OK {
        return Err(OutboundError::Status(answer.status).into());
    }
    Ok(KeySet::parse(&answer.body)?)
}

/// The key sets of the clients that there are.
#[derive(Debug)]
pub(super) struct Keys {
    outbound: Outbound,
    kept: Kept<KeySet, KeysError>,
}

impl Keys {
    pub(super) fn new(outbound: Outbound, clock: SharedClock) -> Self {
        Self { outbound, kept: Kept::new(clock, |_| KeysError::Unreachable("no answer in time".to_owned())) }
    }

    /// The keys of a client's issuer.
    pub(super) async fn of(&self, client: &OAuthClientId, jwks_url: &str) -> Result<Arc<KeySet>, KeysError> {
        self.kept.get(client.as_str(), || fetch(&self.outbound, jwks_url)).await
    }

    /// The keys as they are now, where an assertion names one that is not known.
    pub(super) async fn after_rotation(&self, client: &OAuthClientId, jwks_url: &str) -> Option<Arc<KeySet>> {
        self.kept.after_rotation(client.as_str(), || fetch(&self.outbound, jwks_url)).await
    }
}
