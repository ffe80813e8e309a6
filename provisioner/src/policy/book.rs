//! The policies that this process has compiled, each at the version that the workspace's own row names.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use lockstep_shared::{
    id::WorkspaceId,
    model::workspace::Workspace,
    store::{Store, StoreError},
};

use super::{Policy, PolicyError};

/// More policies than this are not kept; a workspace that fell out is read again.
const KEPT: usize = 1_000;

/// Why a workspace's policy is not known.
#[derive(Debug, thiserror::Error)]
pub enum UnknownPolicy {
    /// The database does not say.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What it says is no policy.
    #[error("the SCIM policy of the workspace is damaged")]
    Damaged(#[from] PolicyError),
}

/// Compiled policies. Clones share them.
#[derive(Debug, Clone)]
pub struct PolicyBook {
    store: Store,
    standard: Arc<Policy>,
    known: Arc<Mutex<HashMap<WorkspaceId, Compiled>>>,
}

/// The version that was compiled, and what came out.
type Compiled = (i64, Arc<Policy>);

impl PolicyBook {
    /// A book over a database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, standard: Arc::default(), known: Arc::default() }
    }

    /// The policy of a workspace whose row was just read: no older than that row.
    pub async fn of(&self, workspace: &Workspace) -> Result<Arc<Policy>, UnknownPolicy> {
        if workspace.scim_version == 0 {
            return Ok(self.standard.clone());
        }
        if let Some(policy) = self.known(workspace) {
            return Ok(policy);
        }
        let (version, stored) = self.store.scim_policy(&workspace.id).await?.ok_or(StoreError::NotFound("workspace"))?;
        let policy = Arc::new(Policy::read(stored)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(workspace.id.clone(), (version, policy.clone()));
        Ok(policy)
    }

    fn known(&self, workspace: &Workspace) -> Option<Arc<Policy>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&workspace.id).filter(|(version, _)| *version >= workspace.scim_version).map(|(_, policy)| policy.clone())
    }
}
