//! Who sends a request: the identity provider of exactly one workspace, by a credential of that workspace. This is the one
//! door; what it refuses, it refuses alike, whatever exists behind it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderMap, header};
use lockstep_shared::{
    clock::{SharedClock, Timestamp},
    id::{TokenId, WorkspaceId},
    model::{
        audit::Actor,
        token::Token,
        workspace::{Plan, Workspace, WorkspaceState},
    },
    secret::BearerToken,
    store::{Store, StoreError},
};
use tokio_util::task::TaskTracker;

use super::failure::Failure;
use crate::{
    policy::{Policy, PolicyBook, UnknownPolicy},
    scim::ScimError,
};

/// A token's last use is written down at most this often.
const TOUCH_EVERY: Duration = Duration::from_mins(1);

/// The identity provider of one workspace.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The workspace.
    pub(super) workspace: Workspace,
    /// The credential.
    pub(super) token: TokenId,
    /// What the workspace asks of its provider.
    pub(super) policy: Arc<Policy>,
}

impl Caller {
    /// How the audit trail names the caller.
    pub(super) fn actor(&self) -> Actor {
        Actor::provider(&self.token)
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

    /// Who sends a request with these headers to this workspace.
    pub(super) async fn admit(&self, workspace: &str, headers: &HeaderMap) -> Result<Caller, Failure> {
        let presented = bearer(headers).ok_or(ScimError::Unauthorized)?;
        let workspace = WorkspaceId::parse(workspace).map_err(|_| ScimError::Unauthorized)?;
        let token = self.store.find_token(&workspace, &presented).await?.ok_or(ScimError::Unauthorized)?;
        if !token.is_live(self.clock.now()) {
            tracing::info!(workspace.id = %workspace, token.id = %token.id, "a token that has expired or was revoked was presented");
            return Err(ScimError::Unauthorized.into());
        }
        self.touch(&token);
        let workspace = self.store.workspace(&workspace).await?.ok_or(ScimError::Unauthorized)?;
        may_provision(&workspace)?;
        let policy = self.policies.of(&workspace).await?;
        Ok(Caller { workspace, token: token.id, policy })
    }

    fn touch(&self, token: &Token) {
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

fn may_provision(workspace: &Workspace) -> Result<(), ScimError> {
    let why = if workspace.state == WorkspaceState::Suspended {
        "this workspace is suspended: ask the operator"
    } else if workspace.plan == Plan::Free {
        "SCIM provisioning is part of the enterprise plan"
    } else if !workspace.scim_enabled {
        "SCIM provisioning is switched off for this workspace: enable it under User Provisioning"
    } else {
        return Ok(());
    };
    Err(ScimError::Forbidden(why.to_owned()))
}

/// The token of the one `Authorization` header; two of them are nobody's.
fn bearer(headers: &HeaderMap) -> Option<BearerToken> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| BearerToken::parse(token.trim_start_matches(' '))).flatten()
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn carried(lines: &[&str]) -> bool {
        let headers = lines.iter().map(|line| (header::AUTHORIZATION, HeaderValue::from_str(line).unwrap())).collect();
        bearer(&headers).is_some()
    }

    #[test]
    fn only_one_well_formed_bearer_token_is_carried() {
        let token = BearerToken::new().unwrap();
        let good = format!("Bearer {}", token.expose());

        assert!(carried(&[&good]));
        assert!(carried(&[&good.replacen("Bearer", "bEARER", 1)]));
        let basic = good.replacen("Bearer", "Basic", 1);
        for bad in [
            &["Bearer"][..],
            &["Bearer "],
            &["Bearer  "],
            &[""],
            &["Bearer lks_x"],
            &[token.expose()],
            &[&basic],
            &[&good, &good],
            &[],
        ] {
            assert!(!carried(bad), "{bad:?}");
        }
    }
}
