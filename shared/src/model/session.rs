//! The session: one person signed in to one workspace. It is alive while nothing in the revocation log that names it is newer
//! than the head that was read before it was made.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    clock::Timestamp,
    id::{ConnectionId, Generation, SessionId, UserId, WorkspaceId},
    model::{
        revocation::{Scope, Seq},
        user::{LoginMethod, Person},
    },
};

/// Which provider's word a session rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderIdentity {
    /// The connection.
    pub connection: ConnectionId,
    /// The issuer.
    pub issuer: String,
    /// The provider's `sub`.
    pub subject: String,
    /// The provider's `sid`, where it sends one.
    pub sid: Option<String>,
}

/// How somebody signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum SignedInBy {
    /// Through the company's provider.
    Sso(ProviderIdentity),
    /// With a password.
    Password,
}

impl SignedInBy {
    /// The login method.
    #[must_use]
    pub fn method(&self) -> LoginMethod {
        match self {
            Self::Sso(_) => LoginMethod::Sso,
            Self::Password => LoginMethod::Password,
        }
    }
}

/// One person signed in to one workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The form of this record.
    pub v: u8,
    /// Its id.
    pub id: SessionId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The person.
    pub user: UserId,
    /// How they signed in.
    pub by: SignedInBy,
    /// The log's incarnation when it was made.
    #[serde(rename = "gen")]
    pub generation: Generation,
    /// The head of the log before the browser was sent to sign in.
    pub mint_seq: Seq,
    /// The head of the log in the snapshot that `person` was read in.
    pub attr_seq: Seq,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends at the latest; fixed when it is made.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_seen_at: Timestamp,
    /// What apps see of the person.
    pub person: Person,
}

impl Session {
    /// The form that this program writes.
    pub const VERSION: u8 = 1;

    /// Every scope that names this session. A watermark on any of them counts.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        let mut scopes = vec![
            Scope::Everyone,
            Scope::Workspace,
            Scope::Method { method: self.by.method() },
            Scope::User { id: self.user.clone() },
            Scope::Session { id: self.id.clone() },
        ];
        if let SignedInBy::Sso(identity) = &self.by {
            let connection = &identity.connection;
            scopes.push(Scope::Connection { id: connection.clone() });
            scopes.push(Scope::Subject { connection: connection.clone(), subject: identity.subject.clone() });
            if let Some(sid) = &identity.sid {
                scopes.push(Scope::ProviderSession { connection: connection.clone(), sid: sid.clone() });
            }
        }
        scopes
    }

    /// Whether it has come to its end, or lain idle for `idle` and longer.
    #[must_use]
    pub fn has_run_out(&self, now: Timestamp, last_seen: Timestamp, idle: Duration) -> bool {
        now >= self.expires_at || now.since(last_seen) >= idle
    }
}
