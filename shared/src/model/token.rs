//! The record of a secret by which an identity provider provisions: everything about it but the secret.

use crate::{
    clock::Timestamp,
    id::{OAuthClientId, TokenId, WorkspaceId},
};

/// How a secret is presented. One that is good in one way is nothing in another.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum TokenKind {
    /// As a bearer token that an operator issued.
    Bearer,
    /// As the password of HTTP Basic.
    Basic {
        /// The user name that goes with it.
        user_name: String,
    },
    /// As a bearer token that the token endpoint granted.
    OAuth {
        /// The client that it was granted to.
        client: OAuthClientId,
    },
}

impl TokenKind {
    /// The word that is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic { .. } => "basic",
            Self::OAuth { .. } => "oauth",
        }
    }
}

/// The record of a secret.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Token {
    /// The one workspace that it opens.
    pub workspace: WorkspaceId,
    /// Its name.
    pub id: TokenId,
    /// How it is presented.
    #[serde(flatten)]
    pub kind: TokenKind,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// Whether it opens its workspace at this moment.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}
