//! The relying party: what the gateway asks of an OpenID provider and what it believes of the answer. Authorization code flow
//! with PKCE alone; every refusal names the check that refused.

mod cache;
mod callback;
mod claims;
mod discovery;
mod entra;
mod exchange;
mod refusal;
mod request;
#[cfg(test)]
mod testing;
mod transport;
mod verify;

pub use cache::{Provider, Providers};
pub use callback::{Answer, Callback};
pub use claims::{Claims, Email};
pub use discovery::{ClientAuthMethod, Metadata, MetadataError};
pub use exchange::{Client, ClientAuth, ExchangeError, Grant, Tokens, exchange};
pub use lockstep_shared::jose::{Algorithm, Excerpt, KeySet, KeySetError};
pub use refusal::Refusal;
pub use request::{Authorization, Pkce, Prompt};
pub use transport::{ProviderError, Transport, TransportError};
pub use verify::{Expected, Occasion, verify};
