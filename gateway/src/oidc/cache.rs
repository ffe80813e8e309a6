//! What is known of each provider: metadata and keys, kept as `lockstep_shared::kept` keeps what others publish. A token that names
//! an unknown key has them asked for again.

use std::sync::Arc;

use lockstep_shared::{clock::SharedClock, kept::Kept};

use super::{Claims, Expected, KeySet, Metadata, ProviderError, Refusal, Transport, transport::get, verify};

/// What one provider published.
#[derive(Debug)]
pub struct Provider {
    /// Its metadata.
    pub metadata: Metadata,
    /// Its keys.
    pub keys: KeySet,
}

/// The providers of all connections, by issuer.
#[derive(Debug)]
pub struct Providers<T> {
    transport: T,
    kept: Kept<Provider, ProviderError>,
}

impl<T: Transport> Providers<T> {
    /// An empty cache that asks over `transport`.
    pub fn new(transport: T, clock: SharedClock) -> Self {
        Self { transport, kept: Kept::new(clock, too_slow) }
    }

    /// The way out, for the token request.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// What is known of a configured issuer: fresh, or the last good one of at most a day.
    pub async fn get(&self, issuer: &str) -> Result<Arc<Provider>, ProviderError> {
        self.kept.get(issuer, || self.fetch(issuer)).await
    }

    /// Verifies an ID token, asking the provider for its keys again where the token names one that is not known.
    pub async fn verify(&self, token: &str, expected: &Expected<'_>) -> Result<Result<Claims, Refusal>, ProviderError> {
        let provider = self.get(expected.issuer).await?;
        match verify(token, &provider.keys, expected) {
            Err(Refusal::KeyUnknown) => {}
            settled => return Ok(settled),
        }
        match self.kept.after_rotation(expected.issuer, || self.fetch(expected.issuer)).await {
            Some(rotated) => Ok(verify(token, &rotated.keys, expected)),
            None => Ok(Err(Refusal::KeyUnknown)),
        }
    }

    async fn fetch(&self, issuer: &str) -> Result<Provider, ProviderError> {
        let location = Metadata::location(issuer)?;
        let metadata = Metadata::parse(issuer, &get(&self.transport, location.as_str()).await?)?;
        let keys = KeySet::parse(&get(&self.transport, metadata.jwks_uri.as_str()).await?)?;
        Ok(Provider { metadata, keys })
    }
}

fn too_slow(issuer: &str) -> ProviderError {
    ProviderError::Unreachable { url: issuer.to_owned(), reason: "it did not answer in time".to_owned() }
}

#[cfg(test)]
mod tests;
