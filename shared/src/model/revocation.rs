//! The revocation: a numbered record that ends or changes somebody's access, and the scopes that it names.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::words;
use crate::{
    clock::Timestamp,
    id::{ConnectionId, Generation, SessionId, UserId, WorkspaceId},
    model::user::LoginMethod,
};

/// A place in the revocation log: gap-free and in the order of commits. Zero is the log before its first row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub i64);

impl Seq {
    /// The place after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

words! {
    /// What a revocation does to the sessions that it names.
    RevocationKind, "revocation kind" {
        /// Ends them.
        End = "end",
        /// Makes them read their person again before they answer.
        Changed = "changed",
    }
}

/// Whose sessions a revocation names, within its workspace (`Everyone`: within all of them).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "snake_case")]
pub enum Scope {
    /// Every session of every workspace.
    Everyone,
    /// Every session of the workspace.
    Workspace,
    /// Every session that was made in this way.
    Method {
        /// The way.
        method: LoginMethod,
    },
    /// Every session made through this connection.
    Connection {
        /// The connection.
        id: ConnectionId,
    },
    /// Every session of this subject at this connection.
    Subject {
        /// The connection.
        connection: ConnectionId,
        /// The provider's `sub`.
        subject: String,
    },
    /// The sessions made in this session of the provider.
    ProviderSession {
        /// The connection.
        connection: ConnectionId,
        /// The provider's `sid`.
        sid: String,
    },
    /// Every session of this person.
    User {
        /// The person.
        id: UserId,
    },
    /// One session.
    Session {
        /// The session.
        id: SessionId,
    },
}

/// A revocation that has not been numbered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its workspace; `None` for everyone.
    pub workspace: Option<WorkspaceId>,
    /// What it does.
    pub kind: RevocationKind,
    /// To whom.
    pub scopes: Vec<Scope>,
    /// Why, as `noun.verb`; the same word as in the audit trail.
    pub reason: &'static str,
}

impl Draft {
    /// Ends the sessions of these scopes.
    #[must_use]
    pub fn end(workspace: &WorkspaceId, scopes: Vec<Scope>, reason: &'static str) -> Self {
        Self { workspace: Some(workspace.clone()), kind: RevocationKind::End, scopes, reason }
    }

    /// Makes the sessions of these scopes read their person again.
    #[must_use]
    pub fn changed(workspace: &WorkspaceId, scopes: Vec<Scope>, reason: &'static str) -> Self {
        Self { workspace: Some(workspace.clone()), kind: RevocationKind::Changed, scopes, reason }
    }
}

/// A row of the revocation log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The log's incarnation.
    #[serde(rename = "gen")]
    pub generation: Generation,
    /// Its place.
    pub seq: Seq,
    /// Random: tells two rows at one place of two histories apart.
    pub tag: String,
    /// Its workspace; `None` for everyone.
    pub workspace: Option<WorkspaceId>,
    /// What it does.
    pub kind: RevocationKind,
    /// To whom.
    pub scopes: Vec<Scope>,
    /// Why.
    pub reason: String,
    /// When, on the wall clock of whoever wrote it; for people alone.
    pub at: Timestamp,
}

/// Where the log ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The log's incarnation.
    pub generation: Generation,
    /// The last row's place.
    pub seq: Seq,
    /// The last row's tag.
    pub tag: String,
    /// Rows up to here were pruned: a session minted before it is dead.
    pub floor: Seq,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_reads_back_from_its_documented_json() {
        let scope = Scope::Subject { connection: ConnectionId::parse("acme-entra").unwrap(), subject: "s1".into() };

        let json = serde_json::to_string(&scope).unwrap();

        assert_eq!(json, r#"{"scope":"subject","connection":"acme-entra","subject":"s1"}"#);
        assert_eq!(serde_json::from_str::<Scope>(&json).unwrap(), scope);
    }
}
