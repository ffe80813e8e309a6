//! A SCIM bearer token's record: everything about the token but the token.

use crate::{
    clock::Timestamp,
    id::{TokenId, WorkspaceId},
};

/// A SCIM bearer token's record.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Token {
    /// The one workspace that it opens.
    pub workspace: WorkspaceId,
    /// Its name.
    pub id: TokenId,
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
