//! The audit trail: who did what to whom, kept when the person is gone.

use serde::Serialize;
use serde_json::Value;

use super::words;
use crate::{
    clock::Timestamp,
    id::{AuditId, WorkspaceId},
};

words! {
    /// What kind of actor it was.
    ActorKind, "actor kind" {
        /// The identity provider, by a SCIM credential.
        Provider = "provider",
        /// An operator of the deployment, by command line.
        Operator = "operator",
        /// A person of the workspace.
        User = "user",
        /// Lockstep itself.
        System = "system",
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// What kind of actor.
    pub kind: ActorKind,
    /// The token's, user's or replica's id; empty for an operator.
    pub id: String,
}

impl Actor {
    /// An operator at the command line.
    #[must_use]
    pub fn operator() -> Self {
        Self { kind: ActorKind::Operator, id: String::new() }
    }

    /// The identity provider behind a credential.
    #[must_use]
    pub fn provider(credential: &impl ToString) -> Self {
        Self { kind: ActorKind::Provider, id: credential.to_string() }
    }

    /// A person of the workspace.
    #[must_use]
    pub fn user(id: &(impl ToString + ?Sized)) -> Self {
        Self { kind: ActorKind::User, id: id.to_string() }
    }

    /// Lockstep itself.
    #[must_use]
    pub fn system() -> Self {
        Self { kind: ActorKind::System, id: String::new() }
    }
}

/// A record of the audit trail. `detail` holds no secret and no more personal data than the change needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditRecord {
    /// Its name; sorts by time.
    pub id: AuditId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What, as `noun.verb`.
    pub action: String,
    /// To whom or what: the record's id.
    pub target: String,
    /// What else there is to say.
    pub detail: Value,
}
