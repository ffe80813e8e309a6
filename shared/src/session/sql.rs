//! Sessions in the database.

use async_trait::async_trait;

use super::{RecordKey, SessionStore, SessionStoreError};
use crate::{
    clock::Timestamp,
    id::{SessionId, UserId, WorkspaceId},
    model::session::Session,
    secret::sha256_hex,
    store::{Store, StoreError},
};

/// Sessions in the database.
#[derive(Debug, Clone)]
pub struct SqlSessions {
    store: Store,
    key: RecordKey,
}

impl SqlSessions {
    /// Sessions in this database, sealed by this key.
    #[must_use]
    pub fn new(store: Store, key: RecordKey) -> Self {
        Self { store, key }
    }
}

impl From<StoreError> for SessionStoreError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

#[async_trait]
impl SessionStore for SqlSessions {
    async fn put(&self, session: &Session) -> Result<(), SessionStoreError> {
        let sealed = self.key.seal(session)?;
        Ok(self.store.put_session(&session.workspace, &session.id, &session.user, &sealed, session.expires_at).await?)
    }

    async fn replace(&self, session: &Session) -> Result<(), SessionStoreError> {
        let sealed = self.key.seal(session)?;
        Ok(self.store.replace_session(&session.workspace, &session.id, &sealed).await?)
    }

    async fn get(&self, workspace: &WorkspaceId, id: &SessionId) -> Result<Option<Session>, SessionStoreError> {
        match self.store.get_session(workspace, id).await? {
            Some(sealed) => self.key.open(workspace, id, &sealed).map(Some),
            None => Ok(None),
        }
    }

    async fn of_user(&self, workspace: &WorkspaceId, user: &UserId) -> Result<Vec<Session>, SessionStoreError> {
        let mut sessions = Vec::new();
        for id in self.store.session_ids_of(workspace, user).await? {
            sessions.extend(self.get(workspace, &id).await?);
        }
        Ok(sessions)
    }

    async fn delete(&self, workspace: &WorkspaceId, id: &SessionId, _: &UserId) -> Result<(), SessionStoreError> {
        Ok(self.store.delete_session(workspace, id).await?)
    }

    async fn use_once(&self, workspace: &WorkspaceId, what: &str, until: Timestamp) -> Result<bool, SessionStoreError> {
        Ok(self.store.use_once(workspace, &sha256_hex(what.as_bytes()), until).await?)
    }
}
