//! Who sends a request: the identity provider of exactly one workspace, by a credential of that workspace. This is the one
//! door; what it refuses, it refuses alike, whatever exists behind it.

mod presented;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use lockstep_shared::{
    clock::{SharedClock, Timestamp},
    id::{OAuthClientId, TokenId, WorkspaceId},
    model::{
        audit::Actor,
        token::{Token, TokenKind},
        workspace::{Plan, Workspace, WorkspaceState},
    },
    store::{Store, StoreError},
};
use tokio_util::task::TaskTracker;

use self::presented::Presented;
use super::failure::Failure;
use crate::{
    journal::{Line, Origin},
    policy::{Policy, PolicyBook, UnknownPolicy},
    scim::ScimError,
};

/// A token's last use is written down at most this often.
const TOUCH_EVERY: Duration = Duration::from_mins(1);

/// The credential of a request. What was granted for an hour goes by the name of its client, which stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// A bearer token that an operator issued.
    Bearer(TokenId),
    /// A user name and a password.
    Basic(TokenId),
    /// A token of our token endpoint.
    OAuth(OAuthClientId),
}

impl Credential {
    fn of(token: &Token) -> Self {
        match &token.kind {
            TokenKind::Bearer => Self::Bearer(token.id.clone()),
            TokenKind::Basic { .. } => Self::Basic(token.id.clone()),
            TokenKind::OAuth { client } => Self::OAuth(client.clone()),
        }
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer(id) | Self::Basic(id) => id.fmt(f),
            Self::OAuth(client) => client.fmt(f),
        }
    }
}

/// The identity provider of one workspace.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The workspace.
    pub(super) workspace: Workspace,
    /// By what it is known.
    pub(super) credential: Credential,
    /// What the workspace asks of its provider.
    pub(super) policy: Arc<Policy>,
    /// How the provisioning log names the request.
    pub(super) origin: Arc<Origin>,
    /// What the operation under way tells of itself.
    pub(super) line: Line,
}

impl Caller {
    /// How the audit trail names the caller.
    pub(super) fn actor(&self) -> Actor {
        Actor::provider(&self.credential)
    }
}

/// Knows callers by their credentials.
#[derive(Debug, Clone)]
pub(super) struct Door {
    store: Store,
    clock: SharedClock,
    tasks: TaskTracker,
    policies: PolicyBook,
    touched: Arc<Mutex<HashMap<TokenId, Timestamp>>>,
}

impl Door {
    pub(super) fn new(store: Store, clock: SharedClock, tasks: TaskTracker) -> Self {
        Self { policies: PolicyBook::new(store.clone()), store, clock, tasks, touched: Arc::default() }
    }

    /// Who sends a request with these headers to this workspace. One statement knows the credential and the workspace.
    pub(super) async fn admit(&self, workspace: &str, headers: &HeaderMap) -> Result<Caller, Failure> {
        let presented = Presented::read(headers).ok_or(ScimError::Unauthorized)?;
        let id = WorkspaceId::parse(workspace).map_err(|_| ScimError::Unauthorized)?;
        let (token, workspace) = self.store.find_token(&id, &presented.secret).await?.ok_or(ScimError::Unauthorized)?;
        if !presented.is_presented_as(&token.kind) {
            tracing::info!(workspace.id = %id, token.id = %token.id, "a credential was presented as one of another kind");
            return Err(ScimError::Unauthorized.into());
        }
        if !token.is_live(self.clock.now()) {
            tracing::info!(workspace.id = %id, token.id = %token.id, "a credential that has expired or was revoked was presented");
            return Err(ScimError::Unauthorized.into());
        }
        self.touch(&token);
        may_provision(&workspace).map_err(|why| ScimError::Forbidden(why.to_owned()))?;
        let policy = self.policies.of(&workspace).await?;
        Ok(Caller { workspace, credential: Credential::of(&token), policy, origin: Arc::default(), line: Line::default() })
    }

    fn touch(&self, token: &Token) {
        // A client's last use is its last grant.
        if matches!(token.kind, TokenKind::OAuth { .. }) {
            return;
        }
        let now = self.clock.now();
        let due = {
            let mut touched = self.touched.lock().unwrap_or_else(PoisonError::into_inner);
            let due = touched.get(&token.id).or(token.last_used_at.as_ref()).is_none_or(|last| now.since(*last) >= TOUCH_EVERY);
            if due {
                touched.insert(token.id.clone(), now);
            }
            due
        };
        if due {
            let (store, token) = (self.store.clone(), token.clone());
            self.tasks.spawn(async move {
                if let Err(error) = store.touch_token(&token.workspace, &token.id, now).await {
                    tracing::debug!(error = %error, "a token's last use was not written down");
                }
            });
        }
    }
}

/// Whether the request carries what could be a credential: only then is the database asked.
pub(super) fn may_carry_credential(headers: &HeaderMap) -> bool {
    Presented::read(headers).is_some()
}

/// Whether the identity provider of a workspace may provision, by plan and switches; if not, why.
pub(crate) fn may_provision(workspace: &Workspace) -> Result<(), &'static str> {
    if workspace.state == WorkspaceState::Suspended {
        Err("this workspace is suspended: ask its operator")
    } else if workspace.plan == Plan::Free {
        Err("SCIM is part of the enterprise plan: ask its operator to change the workspace's plan (`workspace set`)")
    } else if !workspace.scim_enabled {
        Err("SCIM is switched off for this workspace: ask its operator to enable it (`scim enable`)")
    } else {
        Ok(())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::of_store(error)
    }
}

impl From<UnknownPolicy> for Failure {
    fn from(error: UnknownPolicy) -> Self {
        match error {
            UnknownPolicy::Store(error) => Self::of_store(error),
            UnknownPolicy::Damaged(_) => Self::Defect(error.into()),
        }
    }
}
