//! The one client that the provider knows: its secret, and where browsers may be sent back to.

use crate::random::{self, NoRandomness};

/// The relying party's registration.
#[derive(Clone)]
pub struct Client {
    /// The client id.
    pub id: String,
    /// The client secret, for `client_secret_basic` and `client_secret_post`.
    pub secret: String,
    /// Where a code may be sent: compared character by character.
    pub redirect_uris: Vec<String>,
    /// Where a sign-out may end: compared character by character.
    pub post_logout_redirect_uris: Vec<String>,
}

impl Client {
    /// Makes a client with a random secret and no redirect URI yet.
    pub fn new(id: &str) -> Result<Self, NoRandomness> {
        Ok(Self { id: id.to_owned(), secret: random::token()?, redirect_uris: Vec::new(), post_logout_redirect_uris: Vec::new() })
    }

    pub(super) fn is_authentic(&self, id: &str, secret: &str) -> bool {
        let is_known = random::same(&self.id, id);
        random::same(&self.secret, secret) && is_known
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("id", &self.id).field("redirect_uris", &self.redirect_uris).finish_non_exhaustive()
    }
}
