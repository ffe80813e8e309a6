//! People as they were read a moment ago. A provider looks somebody up and changes them next: the change is worked out from what the
//! look-up has read, and the database is asked once instead of twice. What is remembered here is never an answer: the write carries
//! the version and the mapping, and changes nothing if either is another by now.

use std::{fmt, sync::Arc, time::Duration};

use moka::sync::Cache;
use serde_json::Value;

use crate::{
    id::{UserId, WorkspaceId},
    model::{access::Mapping, user::User},
};

/// How long a record is remembered, and how many bytes of records, about.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
const REMEMBERED: u64 = 8 * 1024 * 1024;
/// How many workspaces' mappings are.
const MAPPINGS: u64 = 1_024;
/// What a record takes besides the text in its attributes, about.
const ENVELOPE: usize = 512;

/// The mapping of a workspace, and its text in the database.
#[derive(Debug)]
pub(super) struct StoredMapping {
    pub(super) mapping: Mapping,
    pub(super) text: String,
}

/// What was read a moment ago. Clones share it.
#[derive(Clone)]
pub(super) struct Recent {
    people: Cache<(WorkspaceId, UserId), Arc<User>>,
    mappings: Cache<WorkspaceId, Arc<StoredMapping>>,
}

/// Who is remembered is nobody's to read in a log.
impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

impl Recent {
    pub(super) fn new() -> Self {
        let weigh = |_: &(WorkspaceId, UserId), user: &Arc<User>| {
            let attributes: usize = user.profile.attributes.iter().map(|(name, value)| name.len() + size(value)).sum();
            u32::try_from(ENVELOPE + attributes).unwrap_or(u32::MAX)
        };
        let people = Cache::builder().max_capacity(REMEMBERED).weigher(weigh).time_to_live(REMEMBERED_FOR).build();
        Self { people, mappings: Cache::builder().max_capacity(MAPPINGS).time_to_live(REMEMBERED_FOR).build() }
    }

    /// Remembers somebody who has never signed in: of everybody else a change has to be told.
    pub(super) fn remember(&self, user: &User) {
        if !user.may_have_sessions {
            self.share(&Arc::new(user.clone()));
        }
    }

    /// The same for a record that others hold as well.
    pub(super) fn share(&self, user: &Arc<User>) {
        if !user.may_have_sessions {
            self.people.insert((user.workspace.clone(), user.id.clone()), user.clone());
        }
    }

    pub(super) fn remember_mapping(&self, workspace: &WorkspaceId, mapping: Arc<StoredMapping>) {
        self.mappings.insert(workspace.clone(), mapping);
    }

    /// Somebody, and the mapping of their workspace.
    pub(super) fn of(&self, workspace: &WorkspaceId, id: &UserId) -> Option<(Arc<User>, Arc<StoredMapping>)> {
        Some((self.people.get(&(workspace.clone(), id.clone()))?, self.mappings.get(workspace)?))
    }

    /// Forgets somebody who has turned out to be another by now.
    pub(super) fn forget(&self, workspace: &WorkspaceId, id: &UserId) {
        self.people.invalidate(&(workspace.clone(), id.clone()));
    }
}

/// What a value takes, in bytes, about.
fn size(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + size(value)).sum(),
    };
    inside + size_of::<Value>()
}
