//! The store keeps its promises on SQLite and on PostgreSQL alike: every behaviour below runs on both.

mod access;
mod adoption;
mod gateways;
mod groups;
mod guard;
mod keys;
mod log;
mod newcomers;
mod notices;
mod open;
mod passwords;
mod people;
mod plans;
mod pool;
mod provisioning_log;
mod quiet;
mod round_trips;
mod tenancy;
mod tokens;
mod users;
mod workspaces;

use std::{convert::Infallible, sync::Arc, time::Duration};

use lockstep_shared::{
    clock::{SharedClock, TestClock},
    id::{ConnectionId, GroupId, UserId, WorkspaceId},
    model::{
        audit::Actor,
        group::{Group, GroupProfile, MemberChange},
        revocation::{Revocation, Seq},
        session::ProviderIdentity,
        user::{LoginMethod, Origin, Profile, User},
        workspace::Plan,
    },
    secret::{Key, Sealer},
    store::{EditError, FormerIdentity, NewUser, Settlement, Store, StoreError, StoreOptions},
};
use lockstep_tests::harness::{Scratch, postgres::Postgres};
use serde_json::{Map, Value, json};
use sqlx::{AnyConnection, Connection as _};

/// Makes one test of each engine out of one behaviour.
macro_rules! on_each_engine {
    ($($(#[$meta:meta])* async fn $name:ident($db:ident: &Db) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn behaviour($db: &Db) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                behaviour(&Db::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                behaviour(&Db::postgres().await).await;
            }
        }
    )+};
}
pub(crate) use on_each_engine;

/// A migrated database of its own, with the workspace `acme` in it.
pub(crate) struct Db {
    pub(crate) store: Store,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) acme: WorkspaceId,
    url: String,
    _folder: Option<Scratch>,
}

impl Db {
    pub(crate) async fn sqlite() -> Self {
        let folder = Scratch::new("sqlite").unwrap();
        let url = format!("sqlite://{}/lockstep.db", folder.path().display());
        Self::fresh(url, Some(folder)).await
    }

    pub(crate) async fn postgres() -> Self {
        let database = Postgres::shared().await.unwrap().database().await.unwrap();
        Self::fresh(database.url().to_owned(), None).await
    }

    async fn fresh(url: String, folder: Option<Scratch>) -> Self {
        let clock = TestClock::new();
        let store = open(&url, clock.clone());
        store.migrate().await.unwrap();
        let db = Self { store, clock, acme: workspace("acme"), url, _folder: folder };
        db.workspace("acme").await;
        db
    }

    /// The same database, as another process would open it.
    pub(crate) fn opened_again(&self, clock: SharedClock) -> Store {
        open(&self.url, clock)
    }

    /// A connection beside the store, for what the store does not tell.
    pub(crate) async fn connection(&self) -> AnyConnection {
        AnyConnection::connect(&self.url).await.unwrap()
    }

    pub(crate) async fn workspace(&self, id: &str) -> WorkspaceId {
        let id = workspace(id);
        self.store.create_workspace(&id, "A company", Plan::Enterprise, &Actor::operator()).await.unwrap();
        id
    }

    pub(crate) async fn user(&self, name: &str) -> User {
        self.user_in(&self.acme, name).await
    }

    pub(crate) async fn user_in(&self, workspace: &WorkspaceId, name: &str) -> User {
        self.store.create_user(workspace, provisioned(name), &idp()).await.unwrap()
    }

    pub(crate) async fn set_active(&self, id: &UserId, active: bool) -> Settlement {
        set_active(&self.store, &self.acme, id, active).await.unwrap()
    }

    pub(crate) async fn group(&self, name: &str, members: &[String]) -> Group {
        self.store.create_group(&self.acme, named(name), members.to_vec(), &idp()).await.unwrap().0
    }

    /// Changes nothing of a group but its members.
    pub(crate) async fn change(&self, id: &GroupId, step: MemberChange) -> (Group, Settlement) {
        let edit = |group: &Group| Ok::<_, Infallible>((group.profile.clone(), vec![step]));
        self.store.update_group(&self.acme, id, &idp(), edit).await.unwrap()
    }

    /// Links somebody as their first sign-in does: from then on they may have sessions.
    pub(crate) async fn has_signed_in(&self, user: &User) {
        signed_in(&self.store, &self.acme, &user.id).await;
    }

    /// Every member's id.
    pub(crate) async fn member_ids(&self, id: &GroupId) -> Vec<String> {
        self.store.members(&self.acme, id).await.unwrap().into_iter().map(|member| member.id).collect()
    }

    /// The whole log.
    pub(crate) async fn log(&self) -> Vec<Revocation> {
        let generation = self.store.head().await.unwrap().generation;
        let mut records: Vec<Revocation> = Vec::new();
        loop {
            let after = records.last().map_or(Seq(0), |record| record.seq);
            let rows = self.store.revocations_after(&generation, after).await.unwrap();
            records.extend(rows.records);
            if !rows.more {
                return records;
            }
        }
    }

    pub(crate) async fn head(&self) -> Seq {
        self.store.head().await.unwrap().seq
    }

    /// What the audit trail says was done, newest first.
    pub(crate) async fn actions(&self) -> Vec<String> {
        let trail = self.store.audit_trail(&self.acme, None, 100).await.unwrap();
        trail.into_iter().map(|record| record.action).collect()
    }
}

/// Links somebody as their first sign-in does.
pub(crate) async fn signed_in(store: &Store, workspace: &WorkspaceId, user: &UserId) {
    let identity = ProviderIdentity {
        connection: ConnectionId::parse("acme-idp").unwrap(),
        issuer: "https://idp.example".into(),
        subject: format!("sub-{user}"),
        sid: None,
    };
    store.link(workspace, &identity, user, FormerIdentity::Keep, &idp()).await.unwrap();
}

pub(crate) fn open(url: &str, clock: SharedClock) -> Store {
    Store::open(&StoreOptions::new(url), clock, sealer()).unwrap()
}

pub(crate) fn sealer() -> Sealer {
    Sealer::new(vec![Key::from_bytes([7; 32])]).unwrap()
}

pub(crate) fn workspace(id: &str) -> WorkspaceId {
    WorkspaceId::parse(id).unwrap()
}

/// The identity provider behind a credential.
pub(crate) fn idp() -> Actor {
    Actor::provider(&"a credential")
}

pub(crate) fn profile(name: &str, attributes: &Value) -> Profile {
    Profile {
        user_name: name.to_owned(),
        external_id: Some(format!("external-{name}")),
        active: true,
        attributes: attributes.as_object().unwrap().clone(),
    }
}

/// A person of the directory, with an address and a name.
pub(crate) fn provisioned(name: &str) -> NewUser {
    let attributes = json!({ "displayName": name, "emails": [{ "value": format!("{name}@acme.com"), "primary": true }] });
    NewUser { profile: profile(name, &attributes), origin: Origin::Provisioned, login_method: LoginMethod::Sso }
}

pub(crate) fn named(display_name: &str) -> GroupProfile {
    GroupProfile { display_name: display_name.to_owned(), external_id: None, attributes: Map::new() }
}

pub(crate) async fn set_active(
    store: &Store,
    workspace: &WorkspaceId,
    id: &UserId,
    active: bool,
) -> Result<Settlement, StoreError> {
    edit(store, workspace, id, |profile| profile.active = active).await.map(|(_, settlement)| settlement)
}

/// Changes a user's profile in place.
pub(crate) async fn edit(
    store: &Store,
    workspace: &WorkspaceId,
    id: &UserId,
    change: impl Fn(&mut Profile),
) -> Result<(User, Settlement), StoreError> {
    let edit = |user: &User| {
        let mut profile = user.profile.clone();
        change(&mut profile);
        Ok::<_, Infallible>(profile)
    };
    let changed = store.update_user(workspace, id, &idp(), edit).await.map_err(EditError::unrefused)?;
    Ok((Arc::unwrap_or_clone(changed.user), changed.settlement))
}

/// Ids that name nobody yet, in the order of their texts.
pub(crate) fn strangers(count: usize) -> Vec<String> {
    let mut ids: Vec<String> = (0..count).map(|_| UserId::new().to_string()).collect();
    ids.sort();
    ids
}

pub(crate) const DAY: Duration = Duration::from_hours(24);
