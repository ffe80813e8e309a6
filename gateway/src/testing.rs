//! A gateway for tests, of real parts: a database in a temporary folder, a bus within the process, a lease that is kept, and
//! listeners on loopback. Whoever starts one stops it.

use std::{collections::BTreeSet, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, middleware::from_fn_with_state};
use http::HeaderValue;
use lockstep_shared::{
    clock::{SharedClock, SystemClock},
    config::Config,
    http::{
        client_addr::{TrustedProxies, identify},
        health::Readiness,
        layers::{Observation, observe},
        serve::{Drain, ServeOptions, serve},
    },
    id::{ConnectionId, GroupId, UserId, WorkspaceId},
    model::{
        access::{Mapping, Rule},
        audit::Actor,
        group::{Group, GroupProfile, MemberChange},
        revocation::{Draft, Scope},
        session::{ProviderIdentity, SignedInBy},
        user::{LoginMethod, Origin, Profile, User},
        workspace::Plan,
    },
    revoke::Receipt,
    runtime::{Runtime, Schema, open_lease_store},
    store::{FormerIdentity, NewUser, PolicyEdit, Reading, Settlement, SignedIn, Store},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    lease::Moment,
    session::{issue::Mint, live::Live},
    state::Gateway,
};

/// A gateway and what it stands on.
pub(crate) struct TestGateway {
    pub(crate) gateway: Gateway,
    pub(crate) runtime: Runtime,
    drained: CancellationToken,
    _folder: TempDir,
}

impl TestGateway {
    /// Starts a gateway whose configuration has `more` besides what it needs, and waits until it holds its lease.
    pub(crate) async fn start(more: &str) -> Self {
        Self::start_with(more, SystemClock::shared()).await
    }

    /// The same by another clock.
    pub(crate) async fn start_with(more: &str, clock: SharedClock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let toml = format!(
            r#"
            [database]
            url = "sqlite://{}/lockstep.db"
            [keys]
            master_key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
            [gateway]
            public_url = "https://login.example.com"
            trusted_proxies = []
            {more}
            "#,
            folder.path().display()
        );
        let config = Arc::new(Config::from_toml(&toml).unwrap());
        let runtime = Runtime::open(config, clock, Schema::Migrate, CancellationToken::new()).await.unwrap();
        let drained = CancellationToken::new();
        let lease_store = open_lease_store(&runtime).unwrap();
        let gateway = Gateway::build(&runtime, lease_store, Readiness::new(), drained.clone()).await.unwrap();
        let test = Self { gateway, runtime, drained, _folder: folder };
        test.gateway.lease.attempt(Duration::from_secs(10)).await;
        assert!(test.holds_its_lease(), "no lease within 10 s");
        test
    }

    /// Whether it may answer.
    pub(crate) fn holds_its_lease(&self) -> bool {
        self.gateway.lease.term().runs(Moment::now(&*self.gateway.clock))
    }

    /// Gives the lease up for good and waits until it is gone, as at the end of a process.
    pub(crate) async fn give_up_its_lease(&self) {
        self.drained.cancel();
        let gone = async {
            while self.holds_its_lease() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    }

    /// Creates a workspace of the enterprise plan.
    pub(crate) async fn workspace(&self, id: &str) -> WorkspaceId {
        let id = WorkspaceId::parse(id).unwrap();
        self.gateway.store.create_workspace(&id, id.as_str(), Plan::Enterprise, &Actor::operator()).await.unwrap();
        id
    }

    /// Creates an active person who came from the provider; the user name is the e-mail address.
    pub(crate) async fn user(&self, workspace: &WorkspaceId, user_name: &str) -> UserId {
        let profile = Profile {
            user_name: user_name.to_owned(),
            external_id: Some(format!("external-{user_name}")),
            active: true,
            attributes: serde_json::Map::new(),
        };
        let new = NewUser { profile, origin: Origin::Provisioned, login_method: LoginMethod::Sso };
        self.gateway.store.create_user(workspace, new, &Actor::provider(&"test")).await.unwrap().id
    }

    /// Makes a group of these people whose members have this role, and comes back through the barrier.
    pub(crate) async fn grant(&self, workspace: &WorkspaceId, role: &str, people: &[&UserId]) -> GroupId {
        let (store, road) = (&self.gateway.store, &self.gateway.road);
        let profile = GroupProfile { display_name: format!("{role}s"), external_id: None, attributes: serde_json::Map::new() };
        let members = people.iter().map(ToString::to_string).collect();
        let (group, _) = store.create_group(workspace, profile, members, &Actor::operator()).await.unwrap();
        let gives = Rule { group: group.id.clone(), roles: [role.parse().unwrap()].into(), teams: BTreeSet::new() };
        let edit = |mapping: &Mapping| Ok::<_, Infallible>(Mapping { rules: vec![gives.clone()], ..mapping.clone() });
        let (_, settlement) = store.update_mapping(workspace, &Actor::operator(), edit).await.unwrap();
        road.settle(workspace, settlement).await.unwrap();
        group.id
    }

    /// Takes people out of a group and comes back through the barrier.
    pub(crate) async fn take_out(&self, workspace: &WorkspaceId, group: &GroupId, people: &[&UserId]) -> Receipt {
        let steps = vec![MemberChange::Remove(people.iter().map(ToString::to_string).collect())];
        let edit = |group: &Group| Ok::<_, Infallible>((group.profile.clone(), steps));
        let updated = self.gateway.store.update_group(workspace, group, &Actor::operator(), edit).await;
        self.gateway.road.settle(workspace, updated.unwrap().1).await.unwrap()
    }

    /// Gives somebody another attribute, through any store of the database.
    pub(crate) async fn set(
        &self,
        store: &Store,
        workspace: &WorkspaceId,
        user: &UserId,
        name: &str,
        value: Value,
    ) -> Settlement {
        let edit = |user: &User| {
            let mut profile = user.profile.clone();
            profile.attributes.insert(name.to_owned(), value.clone());
            Ok::<_, Infallible>(profile)
        };
        store.update_user(workspace, user, &Actor::operator(), edit).await.unwrap().settlement
    }

    /// Defines a schema of the workspace's own for users, in the notation of RFC 7643, section 7.
    pub(crate) async fn define(&self, workspace: &WorkspaceId, schema: &Value) {
        let edit = |mut document: Value| {
            document["extensions"] = json!([{ "resource": "User", "schema": schema }]);
            Ok::<_, Infallible>(Some(PolicyEdit { document, detail: Value::Null }))
        };
        let edited = self.gateway.store.edit_scim_policy(workspace, &Actor::operator(), "scim.schema_added", edit).await;
        drop(edited.unwrap());
    }

    /// A live session of a person, and the `Cookie` header that carries it.
    pub(crate) async fn sign_in(&self, workspace: &WorkspaceId, user: &UserId) -> (Arc<Live>, HeaderValue) {
        let head = self.gateway.store.head().await.unwrap();
        let read = self.gateway.store.person_signed_in_by(LoginMethod::Sso, workspace, user).await.unwrap().unwrap();
        let Reading { person, profile, fresh } = read;
        let signed_in = SignedIn { user: user.clone(), person, profile, fresh, linked_now: false };
        let identity = ProviderIdentity {
            connection: ConnectionId::parse("test-idp").unwrap(),
            issuer: "https://idp.example".to_owned(),
            subject: user.to_string(),
            sid: None,
        };
        // The first sign-in of somebody links them.
        self.gateway.store.link(workspace, &identity, user, FormerIdentity::Keep, &Actor::operator()).await.unwrap();
        let mint = Mint { generation: head.generation, seq: head.seq };
        let issued = self.gateway.issuer.issue(workspace, signed_in, SignedInBy::Sso(identity), mint).await;
        let (live, set_cookie) = issued.unwrap();
        let pair = set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        (live, HeaderValue::try_from(pair).unwrap())
    }

    /// Ends the sessions of these scopes and comes back through the barrier.
    pub(crate) async fn end(&self, workspace: &WorkspaceId, scopes: Vec<Scope>) -> Receipt {
        let settlement = self.gateway.store.revoke(Draft::end(workspace, scopes, "test.ended")).await.unwrap();
        self.gateway.road.settle(workspace, settlement).await.unwrap()
    }

    /// Serves a router of this gateway with what surrounds every handler.
    pub(crate) async fn serve(&self, router: Router<Gateway>) -> Served {
        let trusted = TrustedProxies::new(&self.gateway.settings.trusted_proxies);
        let router = router.layer(from_fn_with_state(trusted, identify)).with_state(self.gateway.clone());
        Served::start(observe(router, Observation::default())).await
    }

    /// Stops everything, after what is under way.
    pub(crate) async fn stop(self) {
        self.drained.cancel();
        self.runtime.close().await;
    }
}

/// A router that is served on a free port of loopback.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<Drain>,
}

impl Served {
    /// Serves any router.
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let options = ServeOptions { drain: Duration::from_secs(1), ..ServeOptions::default() };
        let serving = tokio::spawn(serve(listener, router, options, shutdown.clone()));
        Self { address, shutdown, serving }
    }

    /// Stops it.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap();
    }
}
