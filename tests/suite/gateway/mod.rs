//! The gateway's ways in and out, over HTTP: a gateway in this process on a database of its own, before a provider that does
//! wrong what it is told to.

mod by_password;
mod faults;
mod in_doubt;
mod leaving;
mod only_by_sso;
mod paths;
mod race;
mod sign_on;
mod states;

use std::{convert::Infallible, net::Ipv4Addr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lockstep_gateway::{proxy::Upstreams, routes, state::Gateway};
use lockstep_shared::{
    clock::{Clock as _, SystemClock, TestClock},
    config::Config,
    http::{
        health::Readiness,
        serve::{ServeOptions, serve},
    },
    id::{ConnectionId, UserId, WorkspaceId},
    model::{
        audit::{Actor, AuditRecord},
        connection::{Link, Preset},
        group::GroupProfile,
        user::{LoginMethod, Origin, Profile, User},
        workspace::Plan,
    },
    runtime::{Runtime, Schema, open_lease_store},
    store::{ConnectionDetails, NewConnection, NewUser, Store, UserMatch},
};
use lockstep_tests::harness::{
    Scratch,
    faulty_provider::FaultyProvider,
    http::{Agent, Answer},
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

const CLIENT_ID: &str = "lockstep";
const CLIENT_SECRET: &str = "a client secret";
/// The session cookie.
const SESSION: &str = "__Host-lockstep";
const WITHIN: Duration = Duration::from_secs(10);

/// A gateway with one company, `acme`, whose people sign in at one provider.
struct Gate {
    url: String,
    runtime: Runtime,
    clock: Arc<TestClock>,
    provider: FaultyProvider,
    acme: WorkspaceId,
    shutdown: CancellationToken,
    drained: CancellationToken,
    _folder: Scratch,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.drained.cancel();
        self.runtime.stop.cancel();
    }
}

impl Gate {
    async fn open() -> Self {
        Self::open_before("").await
    }

    /// Opens it before what this part of the configuration says.
    async fn open_before(apps: &str) -> Self {
        let folder = Scratch::new("gate").unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = format!(
            r#"
            [database]
            url = "sqlite://{}/lockstep.db"
            [keys]
            master_key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
            [gateway]
            public_url = "{url}"
            trusted_proxies = []
            [outbound]
            allow_http_hosts = ["127.0.0.1"]
            allow_networks = ["127.0.0.0/8"]
            {apps}
            "#,
            folder.path().display()
        );
        let config = Arc::new(Config::from_toml(&config).unwrap());
        // The provider lives in the real time; this clock stands still there until a test moves it.
        let clock = TestClock::new();
        clock.step_wall(SystemClock.now().0 - clock.now().0);
        let runtime = Runtime::open(config, clock.clone(), Schema::Migrate, CancellationToken::new()).await.unwrap();
        let (shutdown, drained) = (CancellationToken::new(), CancellationToken::new());
        let lease_store = open_lease_store(&runtime).unwrap();
        let gateway = Gateway::build(&runtime, lease_store, Readiness::new(), drained.clone()).await.unwrap();
        let router = routes::router(&gateway, Upstreams::new(&runtime.config.outbound).unwrap());
        tokio::spawn(serve(listener, router, ServeOptions::default(), shutdown.clone()));
        let provider = FaultyProvider::start(CLIENT_ID, CLIENT_SECRET, person("ada")).unwrap();
        let acme = WorkspaceId::parse("acme").unwrap();
        let gate = Self { url, runtime, clock, provider, acme, shutdown, drained, _folder: folder };
        gate.workspace("acme").await;
        gate.connect(&gate.acme, "acme-idp", gate.provider.issuer()).await;
        gate
    }

    fn store(&self) -> &Store {
        &self.runtime.store
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn workspace(&self, id: &str) -> WorkspaceId {
        let id = WorkspaceId::parse(id).unwrap();
        let name = format!("The {id} company");
        self.store().create_workspace(&id, &name, Plan::Enterprise, &Actor::operator()).await.unwrap();
        id
    }

    /// Puts a connection in use by which people link with `externalId=sub`.
    async fn connect(&self, workspace: &WorkspaceId, id: &str, issuer: &str) -> ConnectionId {
        self.connect_by(workspace, id, issuer, Link::ExternalId { claim: "sub".to_owned() }).await
    }

    async fn connect_by(&self, workspace: &WorkspaceId, id: &str, issuer: &str, link: Link) -> ConnectionId {
        let id = ConnectionId::parse(id).unwrap();
        let details = ConnectionDetails {
            issuer: Some(issuer.to_owned()),
            client_id: Some(CLIENT_ID.to_owned()),
            client_secret: Some(CLIENT_SECRET.to_owned()),
            link: Some(link),
        };
        let new = NewConnection { id: id.clone(), preset: Preset::Generic, details };
        self.store().add_connection(workspace, new, &Actor::operator()).await.unwrap();
        id
    }

    async fn prove_domain(&self, workspace: &WorkspaceId, domain: &str) {
        self.store().add_domain(workspace, domain, &Actor::operator()).await.unwrap();
        self.store().verify_domain(workspace, domain, &Actor::operator()).await.unwrap();
    }

    /// Provisions somebody whom the provider knows as `sub-{name}`.
    async fn provision(&self, name: &str) -> User {
        self.provision_in(&self.acme, name).await
    }

    async fn provision_in(&self, workspace: &WorkspaceId, name: &str) -> User {
        let attributes = json!({ "displayName": name, "emails": [{ "value": email(name), "primary": true }] });
        let profile = Profile {
            user_name: email(name),
            external_id: Some(format!("sub-{name}")),
            active: true,
            attributes: attributes.as_object().unwrap().clone(),
        };
        let new = NewUser { profile, origin: Origin::Provisioned, login_method: LoginMethod::Sso };
        self.store().create_user(workspace, new, &Actor::provider(&"a token")).await.unwrap()
    }

    /// Switches somebody on or off, guests as well: when it returns, they are out, as after a request to the provisioner.
    async fn set_active(&self, id: &UserId, active: bool) {
        let edit = |user: &User| Ok::<_, Infallible>(Profile { active, ..user.profile.clone() });
        let changed = self.store().update_user(&self.acme, id, &Actor::operator(), edit).await.unwrap();
        self.runtime.road.settle(&self.acme, changed.settlement).await.unwrap();
    }

    /// Invites somebody and has them set a password; they are signed in afterwards.
    async fn with_password(&self, email: &str, password: &str) -> Agent {
        let mut agent = Agent::new().unwrap();
        let link = self.invite(email).await;
        let answer = post(&mut agent, &link, &[("password", password), ("repeat", password)]).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/"), "{}", answer.text());
        agent
    }

    /// Makes a group with somebody in it, and waits until every gateway knows.
    async fn bring_into(&self, group: &str, user_name: &str) {
        let found = self.store().users_matching(&self.acme, &UserMatch::UserName(user_name.to_owned())).await.unwrap();
        let members = found.iter().map(|user| user.id.to_string()).collect();
        let profile = GroupProfile { display_name: group.to_owned(), external_id: None, attributes: serde_json::Map::new() };
        let (_, settlement) = self.store().create_group(&self.acme, profile, members, &Actor::operator()).await.unwrap();
        self.runtime.road.settle(&self.acme, settlement).await.unwrap();
    }

    async fn invite(&self, email: &str) -> String {
        let lifetime = Duration::from_hours(24);
        let (_, token) = self.store().invite(&self.acme, email, lifetime, &Actor::operator()).await.unwrap();
        self.at(&format!("/invite/acme/{token}"))
    }

    /// Goes to the Sign-On Link and to the provider, and returns where the provider sends the browser: the callback, not yet
    /// asked for.
    async fn to_callback(&self, agent: &mut Agent, path: &str) -> Url {
        let start = agent.get(self.at(path)).await.unwrap();
        assert_eq!(start.status, StatusCode::SEE_OTHER, "{path}: {}", start.text());
        let at_provider = agent.get(start.redirect().unwrap()).await.unwrap();
        at_provider.redirect().unwrap()
    }

    /// The same, and asks for the callback.
    async fn sign_in_by(&self, agent: &mut Agent, path: &str) -> Answer {
        let callback = self.to_callback(agent, path).await;
        agent.get(callback).await.unwrap()
    }

    /// Signs whoever the provider has in, with a browser of their own.
    async fn sign_in(&self) -> Agent {
        let mut agent = Agent::new().unwrap();
        let answer = self.sign_in_by(&mut agent, "/sso/acme").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        agent
    }

    /// What a front hears about this browser.
    async fn asked(&self, agent: &mut Agent) -> StatusCode {
        agent.get(self.at("/oauth2/auth")).await.unwrap().status
    }

    /// The records of sign-ins that came to nothing, newest first.
    async fn refusals(&self) -> Vec<AuditRecord> {
        let trail = self.store().audit_trail(&self.acme, None, 200).await.unwrap();
        trail.into_iter().filter(|record| record.action == "session.refused").collect()
    }

    async fn actions(&self) -> Vec<String> {
        let trail = self.store().audit_trail(&self.acme, None, 200).await.unwrap();
        trail.into_iter().map(|record| record.action).collect()
    }
}

fn email(name: &str) -> String {
    format!("{name}@acme.example")
}

/// Somebody as the provider speaks of them.
fn person(name: &str) -> serde_json::Value {
    json!({ "sub": format!("sub-{name}"), "email": email(name), "email_verified": true, "name": name })
}

/// Sends a form as a page of ours does in a browser of today.
async fn post(agent: &mut Agent, url: &str, fields: &[(&str, &str)]) -> Answer {
    agent.post_form_with(url, fields, headers(&[("sec-fetch-site", "same-origin")])).await.unwrap()
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

/// The title of a page.
fn title(answer: &Answer) -> String {
    let text = answer.text();
    text.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap_or_default().to_owned()
}

/// Whether the browser has a session cookie of ours, dead or alive.
fn has_session_cookie(agent: &Agent) -> bool {
    agent.cookie("127.0.0.1", SESSION).is_some()
}

fn set_cookies(answer: &Answer) -> Vec<String> {
    answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap().to_owned()).collect()
}
