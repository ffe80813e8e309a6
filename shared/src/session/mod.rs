//! Where sessions live: Redis, or the database where there is none. A record that is missing, a store that does not answer
//! and a session that was revoked are three different things, and only the caller's guard decides what each of them means.

mod redis;
mod sealed;
mod sql;

use async_trait::async_trait;

pub use self::{redis::RedisSessions, sealed::RecordKey, sql::SqlSessions};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId, WorkspaceId},
    model::session::Session,
};

/// Why the session store gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum SessionStoreError {
    /// It cannot be reached, or did not answer in time.
    #[error("the session store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The record does not open or read: altered, or sealed with a key that is gone. It authorises nobody.
    #[error("a session record cannot be read")]
    Unreadable,
    /// Sealing failed.
    #[error(transparent)]
    Secret(#[from] crate::secret::SecretError),
}

/// The store of sessions and of what may be used once.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Keeps a session until its absolute end.
    async fn put(&self, session: &Session) -> Result<(), SessionStoreError>;
    /// Writes a session again if it is still there; one that was deleted stays deleted.
    async fn replace(&self, session: &Session) -> Result<(), SessionStoreError>;
    /// Reads a session; `None` if there is none.
    async fn get(&self, workspace: &WorkspaceId, id: &SessionId) -> Result<Option<Session>, SessionStoreError>;
    /// The sessions of a person.
    async fn of_user(&self, workspace: &WorkspaceId, user: &UserId) -> Result<Vec<Session>, SessionStoreError>;
    /// Deletes a session; one that is not there is fine.
    async fn delete(&self, workspace: &WorkspaceId, id: &SessionId, user: &UserId) -> Result<(), SessionStoreError>;
    /// Marks a text as used until `until`; whether this was the first time.
    async fn use_once(&self, workspace: &WorkspaceId, what: &str, until: Timestamp) -> Result<bool, SessionStoreError>;
}
