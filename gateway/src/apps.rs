//! What is protected: which app a host belongs to, and who may use it. A host that belongs to none is nobody's.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use http::uri::Authority;
use lockstep_shared::{
    config::{self, Claim, PublicUrl},
    id::WorkspaceId,
    model::{
        attribute::AttributePath,
        session::Session,
        user::{LoginMethod, Person},
    },
};
use serde_json::{Map, Value};
use url::{Host, Url};

/// One protected app.
#[derive(Debug)]
pub struct App {
    /// Where requests go; `None` where a proxy in front forwards them and only asks.
    pub upstream: Option<Url>,
    /// What the identity JWT says to whom; without an audience the app gets none.
    pub told: Option<Arc<Told>>,
    workspaces: Option<Vec<WorkspaceId>>,
    roles: Vec<String>,
}

/// What an app is told of a person in the identity JWT.
#[derive(Debug)]
pub struct Told {
    /// The audience.
    pub audience: String,
    /// The attributes that it asks for.
    pub claims: Vec<Claim>,
}

impl Told {
    /// The claims of a person; what they do not have is left out.
    #[must_use]
    pub fn claims_of(&self, person: &Person) -> Map<String, Value> {
        let claim = |claim: &Claim| {
            let value = person.claims.get(claim.path.as_str()).filter(|value| !value.is_null())?;
            Some((claim.name.clone(), value.clone()))
        };
        self.claims.iter().filter_map(claim).collect()
    }
}

/// Why a live session does not open an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The session is of a workspace that the app is not for. Whether it exists is not for the asker to know.
    #[error("the session is of another workspace")]
    OtherWorkspace,
    /// The person has none of the roles that the app asks for.
    #[error("the person has none of the roles that the app asks for")]
    RoleMissing,
}

impl App {
    /// The only workspace whose people may use the app, if there is exactly one.
    #[must_use]
    pub fn only_workspace(&self) -> Option<&WorkspaceId> {
        match self.workspaces.as_deref() {
            Some([only]) => Some(only),
            Some(_) | None => None,
        }
    }

    /// Whether people of this workspace may use the app.
    #[must_use]
    pub fn is_for(&self, workspace: &WorkspaceId) -> bool {
        self.workspaces.as_ref().is_none_or(|allowed| allowed.contains(workspace))
    }

    /// Whether a change of the person can close the app to this session: they may lose the role that it asks for, or be brought among
    /// those who may not use a password.
    #[must_use]
    pub fn rests_on_person(&self, session: &Session) -> bool {
        !self.roles.is_empty() || session.by.method() == LoginMethod::Password
    }

    /// Whether a live session opens the app.
    pub fn admits(&self, session: &Session) -> Result<(), Closed> {
        if !self.is_for(&session.workspace) {
            return Err(Closed::OtherWorkspace);
        }
        if !self.roles.is_empty() && !self.roles.iter().any(|role| session.person.roles.contains(role)) {
            return Err(Closed::RoleMissing);
        }
        Ok(())
    }
}

/// Every app, by its hosts.
#[derive(Debug, Clone)]
pub struct Apps(Arc<HashMap<String, Arc<App>>>);

impl Apps {
    /// The apps of a configuration. Without any, the gateway's own host is one app for all workspaces, asked about by a proxy.
    #[must_use]
    pub fn new(configured: &[config::App], public_url: &PublicUrl) -> Self {
        let mut hosts = HashMap::new();
        if configured.is_empty() {
            let app = App { upstream: None, told: None, workspaces: None, roles: Vec::new() };
            hosts.insert(plain(public_url.host()), Arc::new(app));
        }
        for app in configured {
            let shared = Arc::new(App {
                upstream: app.upstream.clone(),
                told: app.audience.clone().map(|audience| Arc::new(Told { audience, claims: app.claims.clone() })),
                workspaces: app.workspaces.clone(),
                roles: app.roles.clone(),
            });
            hosts.extend(app.hosts.iter().map(|host| (host.as_str().to_owned(), shared.clone())));
        }
        Self(Arc::new(hosts))
    }

    /// The app that a host belongs to, whatever the port.
    #[must_use]
    pub fn of(&self, host: &Authority) -> Option<&Arc<App>> {
        // Most come as we write them, and need no reading.
        if let Some(app) = self.0.get(host.host()) {
            return Some(app);
        }
        match Host::parse(host.host()) {
            Ok(Host::Domain(name)) => self.0.get(name.trim_end_matches('.')),
            Ok(Host::Ipv4(address)) => self.0.get(&address.to_string()),
            Ok(Host::Ipv6(address)) => self.0.get(&address.to_string()),
            Err(_) => None,
        }
    }
}

/// The attributes that any app is told, each once.
#[must_use]
pub fn told_by_any(configured: &[config::App]) -> Arc<[AttributePath]> {
    let told = configured.iter().filter(|app| app.audience.is_some()).flat_map(|app| &app.claims);
    let by_name: BTreeMap<&str, &AttributePath> = told.map(|claim| (claim.path.as_str(), &claim.path)).collect();
    by_name.into_values().cloned().collect()
}

fn plain(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(toml: &str) -> Apps {
        let config = config::Config::from_toml(toml).unwrap();
        Apps::new(&config.apps, &PublicUrl::parse("https://login.example.com").unwrap())
    }

    fn at(apps: &Apps, host: &str) -> bool {
        apps.of(&host.parse().unwrap()).is_some()
    }

    #[test]
    fn g21_a_host_that_belongs_to_no_app_is_nobodys() {
        let apps = apps("[[apps]]\nhosts = [\"app.example.com\"]\n");

        assert!(at(&apps, "app.example.com"));
        assert!(at(&apps, "APP.example.com:8443"));
        for host in ["login.example.com", "app.example.com.evil.com", "fooapp.example.com", "example.com", "127.0.0.1"] {
            assert!(!at(&apps, host), "{host}");
        }
    }

    #[test]
    fn without_apps_the_gateways_own_host_is_one() {
        let apps = apps("");

        assert!(at(&apps, "login.example.com:443"));
        assert!(!at(&apps, "other.example.com"));
    }
}
