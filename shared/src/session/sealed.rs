//! The form in which a session record is kept: sealed for its workspace and id, so that a store that is read or written by
//! somebody else neither tells who is signed in nor lets anybody in.

use super::SessionStoreError;
use crate::{
    id::{SessionId, WorkspaceId},
    model::session::Session,
    secret::{Key, Sealer, SecretError},
};

/// Seals and opens session records.
#[derive(Debug, Clone)]
pub struct RecordKey(Sealer);

impl RecordKey {
    /// Of these keys, the current one first.
    pub fn new(keys: Vec<Key>) -> Result<Self, SecretError> {
        Sealer::new(keys).map(Self)
    }

    pub(super) fn seal(&self, session: &Session) -> Result<String, SessionStoreError> {
        let json = serde_json::to_vec(session).map_err(|_| SessionStoreError::Unreadable)?;
        Ok(self.0.seal(&purpose(&session.workspace, &session.id), &json)?)
    }

    pub(super) fn open(&self, workspace: &WorkspaceId, id: &SessionId, sealed: &str) -> Result<Session, SessionStoreError> {
        let json = self.0.open(&purpose(workspace, id), sealed).map_err(|_| SessionStoreError::Unreadable)?;
        let session: Session = serde_json::from_slice(&json).map_err(|_| SessionStoreError::Unreadable)?;
        if session.v == Session::VERSION && session.workspace == *workspace && session.id == *id {
            Ok(session)
        } else {
            Err(SessionStoreError::Unreadable)
        }
    }
}

fn purpose(workspace: &WorkspaceId, id: &SessionId) -> String {
    format!("session record:{workspace}:{id}")
}
