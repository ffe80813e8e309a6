//! An OAuth client: what an identity provider shows at our token endpoint to be given a token for an hour or a few.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    id::{OAuthClientId, WorkspaceId},
};

/// How a client proves that it is the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientProof {
    /// By a secret of ours.
    Secret {
        /// The secret's digest.
        digest: String,
    },
    /// By an assertion that somebody else signs (RFC 7523, section 2.2).
    Assertion(AssertionTrust),
}

impl ClientProof {
    /// The word that is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "secret",
            Self::Assertion(_) => "assertion",
        }
    }
}

/// Which assertions are a client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionTrust {
    /// Who makes them; its `iss`, octet by octet.
    pub issuer: String,
    /// Where the issuer publishes its keys.
    pub jwks_url: String,
    /// Of whom they speak; their `sub`.
    pub subject: String,
    /// For whom they are; their `aud`. Without one: our own issuer identifier or token endpoint.
    pub audience: Option<String>,
}

/// An OAuth client of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthClient {
    /// The one workspace that its tokens open.
    pub workspace: WorkspaceId,
    /// Its name.
    pub id: OAuthClientId,
    /// How it proves that it is the one.
    pub proof: ClientProof,
    /// How long its tokens work.
    pub token_lifetime: Duration,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last given a token.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}
