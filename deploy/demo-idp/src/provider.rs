//! Puts the parts together: starts the provider, and changes the directory in one place for the page, the control API and
//! Rust callers alike.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    directory::{Directory, Group, GroupId, NewPerson, Person, PersonId},
    error::{BadUrl, DirectoryError, StartError},
    oidc::{Client, Grants, Key, Sessions},
    sample,
    scim::{Exchange, Journal, Provisioning, SyncReport},
    serve::{self, Server},
    web,
};

/// Entra and Okta give up after as long.
const SCIM_LIMIT: Duration = Duration::from_mins(1);

/// Takes a lock whose holder may have panicked: each change under it is complete or not begun.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stand-in for a foreign system has its own clock; what judges time takes it as a value"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Where the directory is to be sent.
#[derive(Clone)]
pub struct ScimSettings {
    /// The workspace's SCIM base, such as `http://127.0.0.1:8090/scim/v2/acme`.
    pub base_url: String,
    /// The bearer token.
    pub token: String,
}

impl std::fmt::Debug for ScimSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScimSettings").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// How to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The issuer, as browsers and the relying party reach it; `http://ADDRESS` where it is `None`.
    pub issuer: Option<String>,
    /// The relying party; `lockstep` with a random secret where it is `None`.
    pub client: Option<Client>,
    /// The company.
    pub directory: Directory,
    /// The SCIM server, if it is known already: then everything is sent at the start.
    pub scim: Option<ScimSettings>,
    /// How long one SCIM request may take.
    pub scim_limit: Duration,
    /// The protected app, which the directory page links to.
    pub app_url: Option<String>,
    /// Stops the provider.
    pub shutdown: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            issuer: None,
            client: None,
            directory: sample::acme(),
            scim: None,
            scim_limit: SCIM_LIMIT,
            app_url: None,
            shutdown: CancellationToken::new(),
        }
    }
}

/// What all handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) issuer: String,
    pub(crate) key: Key,
    pub(crate) directory: Arc<Mutex<Directory>>,
    pub(crate) sessions: Mutex<Sessions>,
    pub(crate) grants: Mutex<Grants>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) provisioning: Arc<Provisioning>,
    pub(crate) protected_url: Option<String>,
    pub(crate) shutdown: CancellationToken,
    client: RwLock<Client>,
}

impl App {
    pub(crate) fn client(&self) -> Client {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn company(&self) -> String {
        lock(&self.directory).company().to_owned()
    }

    /// Switches a person on or off here first, so that no new sign-in begins, and then at the SCIM server.
    pub(crate) async fn set_active(&self, id: &PersonId, active: bool) -> Result<SyncReport, DirectoryError> {
        lock(&self.directory).set_active(id, active)?;
        if !active {
            lock(&self.sessions).end(id);
            lock(&self.grants).end(id);
        }
        self.journal.changed();
        Ok(self.provisioning.sync(vec![id.clone()], Vec::new()).await)
    }

    pub(crate) async fn set_groups(&self, id: &PersonId, groups: &[String]) -> Result<SyncReport, DirectoryError> {
        let changed = lock(&self.directory).set_groups(id, groups)?;
        self.journal.changed();
        Ok(self.provisioning.sync(vec![id.clone()], changed).await)
    }

    pub(crate) async fn add(&self, new: &NewPerson) -> Result<(PersonId, SyncReport), DirectoryError> {
        let (id, groups) = {
            let mut directory = lock(&self.directory);
            let id = directory.add(new)?;
            let groups: Vec<GroupId> = directory.groups_of(&id).map(|group| group.id.clone()).collect();
            (id, groups)
        };
        self.journal.changed();
        let report = self.provisioning.sync(vec![id.clone()], groups).await;
        Ok((id, report))
    }
}

/// The provider, before it runs.
#[derive(Debug)]
pub struct DemoProvider;

impl DemoProvider {
    /// Starts the provider, and with known SCIM settings the first sync beside it.
    pub async fn start(options: Options) -> Result<Running, StartError> {
        let bound = serve::bind(options.listen).await?;
        let directory = Arc::new(Mutex::new(options.directory));
        let journal = Arc::new(Journal::new());
        let (tasks, shutdown) = (TaskTracker::new(), options.shutdown);
        let provisioning =
            Provisioning::new(Arc::clone(&directory), Arc::clone(&journal), options.scim_limit, tasks.clone(), shutdown.clone());
        let provisioning = Arc::new(provisioning.map_err(StartError::Http)?);
        let client = options.client.map_or_else(|| Client::new("lockstep"), Ok)?;
        let app = Arc::new(App {
            issuer: issuer(options.issuer, bound.address)?,
            key: Key::generate()?,
            directory,
            sessions: Mutex::default(),
            grants: Mutex::default(),
            journal,
            provisioning,
            protected_url: options.app_url,
            shutdown: shutdown.clone(),
            client: RwLock::new(client),
        });
        if let Some(scim) = &options.scim {
            app.provisioning.configure(&scim.base_url, &scim.token)?;
        }
        let server = bound.serve(web::router(Arc::clone(&app)), tasks, shutdown);
        let running = Running { app, server };
        if options.scim.is_some() {
            running.sync_beside();
        }
        Ok(running)
    }
}

/// A provider that runs, until its token is cancelled or `stop` is called.
#[derive(Debug, Clone)]
pub struct Running {
    app: Arc<App>,
    server: Server,
}

impl Running {
    /// Reads the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Reads the issuer, which is also the address of the directory page.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.app.issuer
    }

    /// Reads the relying party's registration, secret included.
    #[must_use]
    pub fn client(&self) -> Client {
        self.app.client()
    }

    /// Replaces where codes may be sent.
    pub fn set_redirect_uris(&self, uris: Vec<String>) {
        self.app.client.write().unwrap_or_else(PoisonError::into_inner).redirect_uris = uris;
    }

    /// Replaces where sign-outs may end.
    pub fn set_post_logout_redirect_uris(&self, uris: Vec<String>) {
        self.app.client.write().unwrap_or_else(PoisonError::into_inner).post_logout_redirect_uris = uris;
    }

    /// Sets the SCIM server and the token. Nothing is sent until the next change or `sync`.
    pub fn configure_scim(&self, base_url: &str, token: &str) -> Result<(), BadUrl> {
        self.app.provisioning.configure(base_url, token)
    }

    /// Sends whatever the SCIM server has not confirmed yet: at first, everything.
    pub async fn sync(&self) -> SyncReport {
        self.app.provisioning.sync_all().await
    }

    /// Reads all people.
    #[must_use]
    pub fn people(&self) -> Vec<Person> {
        lock(&self.app.directory).people().to_vec()
    }

    /// Reads all groups.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        lock(&self.app.directory).groups().to_vec()
    }

    /// Finds a person by object id, user name or e-mail address.
    pub fn find(&self, key: &str) -> Result<Person, DirectoryError> {
        lock(&self.app.directory).find(key).cloned()
    }

    /// Switches a person off, and returns when the SCIM server has answered.
    pub async fn deactivate(&self, person: &PersonId) -> Result<SyncReport, DirectoryError> {
        self.app.set_active(person, false).await
    }

    /// Switches a person on, and returns when the SCIM server has answered.
    pub async fn activate(&self, person: &PersonId) -> Result<SyncReport, DirectoryError> {
        self.app.set_active(person, true).await
    }

    /// Puts a person into exactly these groups, by name or object id.
    pub async fn set_groups(&self, person: &PersonId, groups: &[String]) -> Result<SyncReport, DirectoryError> {
        self.app.set_groups(person, groups).await
    }

    /// Adds a person.
    pub async fn add(&self, person: &NewPerson) -> Result<(PersonId, SyncReport), DirectoryError> {
        self.app.add(person).await
    }

    /// Reads what was sent lately, newest first.
    #[must_use]
    pub fn sent(&self) -> Vec<Exchange> {
        self.app.journal.recent()
    }

    /// Stops the provider, and returns when it no longer listens.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    fn sync_beside(&self) {
        let provisioning = Arc::clone(&self.app.provisioning);
        self.server.tasks.spawn(async move {
            let report = provisioning.sync_all().await;
            tracing::info!(scim.requests = report.requests.len(), "the first sync is over");
        });
    }
}

fn issuer(given: Option<String>, address: SocketAddr) -> Result<String, BadUrl> {
    let issuer = given.unwrap_or_else(|| format!("http://{address}"));
    let is_good = Url::parse(&issuer)
        .is_ok_and(|url| url.has_host() && url.query().is_none() && url.fragment().is_none() && url.path() == "/");
    if is_good { Ok(issuer.trim_end_matches('/').to_owned()) } else { Err(BadUrl { url: issuer }) }
}
