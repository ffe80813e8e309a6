//! What the SCIM server is known to hold: its ids for our people and groups, and the state that it confirmed last.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use tokio::sync::Mutex as Turn;
use url::Url;

use crate::{
    directory::{GroupId, PersonId},
    error::BadUrl,
    provider::lock,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteUser {
    pub(super) id: String,
    pub(super) active: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteGroup {
    pub(super) id: String,
    pub(super) members: BTreeSet<PersonId>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    users: HashMap<PersonId, RemoteUser>,
    groups: HashMap<GroupId, RemoteGroup>,
}

/// One SCIM server with our credential there.
pub(super) struct Target {
    base: String,
    token: String,
    known: Mutex<Known>,
    turns: Mutex<HashMap<String, Arc<Turn<()>>>>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Target {
    pub(super) fn new(base_url: &str, token: &str) -> Result<Self, BadUrl> {
        let bad = || BadUrl { url: base_url.to_owned() };
        let url = Url::parse(base_url).map_err(|_| bad())?;
        if url.scheme() != "http" || url.query().is_some() || url.fragment().is_some() {
            return Err(bad());
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { base, token: token.to_owned(), known: Mutex::default(), turns: Mutex::default() })
    }

    /// Takes over what another credential learned at the same server.
    pub(super) fn knowing(self, old: &Self) -> Self {
        Self { known: Mutex::new(lock(&old.known).clone()), turns: Mutex::new(lock(&old.turns).clone()), ..self }
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// One conversation about one object at a time: whoever waits here reads the directory anew afterwards. It is held
    /// over requests on purpose, and each request has a time limit.
    pub(super) fn turn(&self, object: &str) -> Arc<Turn<()>> {
        Arc::clone(lock(&self.turns).entry(object.to_owned()).or_default())
    }

    pub(super) fn user(&self, id: &PersonId) -> Option<RemoteUser> {
        lock(&self.known).users.get(id).cloned()
    }

    pub(super) fn set_user(&self, id: &PersonId, user: RemoteUser) {
        lock(&self.known).users.insert(id.clone(), user);
    }

    pub(super) fn forget_user(&self, id: &PersonId) {
        let mut known = lock(&self.known);
        known.users.remove(id);
        for group in known.groups.values_mut() {
            group.members.remove(id);
        }
    }

    pub(super) fn group(&self, id: &GroupId) -> Option<RemoteGroup> {
        lock(&self.known).groups.get(id).cloned()
    }

    pub(super) fn set_group(&self, id: &GroupId, group: RemoteGroup) {
        lock(&self.known).groups.insert(id.clone(), group);
    }

    pub(super) fn forget_group(&self, id: &GroupId) {
        lock(&self.known).groups.remove(id);
    }
}
