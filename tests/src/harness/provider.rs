//! The certified OpenID provider `oidc-provider`, run by Node as a process of its own. It behaves; for one that does not, see
//! `faulty_provider`.

use std::{path::Path, time::Duration};

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    HarnessError, Scratch,
    http::{Agent, Answer, client, send},
    ports,
    process::{Launch, Process, find},
};

const START: Duration = Duration::from_secs(30);

/// A person at the provider.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// What is typed into the sign-in form.
    pub login: String,
    /// What the provider says of the person; `sub` is always there.
    pub claims: Map<String, Value>,
}

impl Account {
    /// A person with a subject, a directory object id as Entra has, and a verified e-mail address.
    #[must_use]
    pub fn new(login: &str, sub: &str, oid: &str, email: &str) -> Self {
        let claims = [
            ("sub", json!(sub)),
            ("oid", json!(oid)),
            ("email", json!(email)),
            ("email_verified", json!(true)),
            ("name", json!(login)),
            ("preferred_username", json!(email)),
        ];
        Self { login: login.to_owned(), claims: claims.map(|(name, value)| (name.to_owned(), value)).into_iter().collect() }
    }

    /// Sets or replaces one claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }
}

/// A relying party as the provider knows it.
#[derive(Clone, Debug, Serialize)]
pub struct Client {
    /// Its name at the provider.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Where it may be answered, exactly.
    pub redirect_uris: Vec<String>,
    /// Everything else of client metadata, as in OpenID Dynamic Client Registration.
    #[serde(flatten)]
    pub metadata: Map<String, Value>,
}

impl Client {
    /// A confidential client with one redirect URI and the code flow.
    #[must_use]
    pub fn new(client_id: &str, client_secret: &str, redirect_uri: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            redirect_uris: vec![redirect_uri.to_owned()],
            metadata: Map::new(),
        }
    }

    /// Sets one further field of metadata.
    #[must_use]
    pub fn metadata(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(name.to_owned(), value.into());
        self
    }
}

/// A running provider.
#[derive(Debug)]
pub struct Provider {
    process: Process,
    launch: Launch,
    issuer: Url,
    client: reqwest::Client,
    _folder: Scratch,
}

impl Provider {
    /// Starts a provider that requires PKCE of every client.
    pub async fn start(accounts: &[Account], clients: &[Client]) -> Result<Self, HarnessError> {
        let folder = Scratch::new("provider")?;
        let port = ports::free()?;
        let settings = json!({ "port": port, "accounts": accounts, "clients": clients, "require_pkce": true });
        let settings = folder.write("settings.json", serde_json::to_vec(&settings)?)?;
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        if !peers.join("node_modules/oidc-provider").is_dir() {
            return Err(HarnessError::Missing("oidc-provider (npm)".to_owned()));
        }
        let launch = Launch::new("oidc-provider", find("node", &[])?, folder.path().join("log"))
            .args([peers.join("provider.mjs"), settings])
            .env("NODE_ENV", "production");
        let process = Process::start(&launch)?;
        let issuer = Url::parse(&format!("http://127.0.0.1:{port}"))?;
        let mut provider = Self { process, launch, issuer, client: client()?, _folder: folder };
        provider.ready().await?;
        Ok(provider)
    }

    /// Its issuer identifier, exactly as it stands in its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.issuer.as_str().trim_end_matches('/')
    }

    /// Its metadata document.
    pub async fn metadata(&self) -> Result<Value, HarnessError> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer());
        send(self.client.get(url)).await?.expect_status(StatusCode::OK)?.json()
    }

    /// Registers a client, or changes one.
    pub async fn put_client(&self, client: &Client) -> Result<(), HarnessError> {
        self.put("clients", &client.client_id, serde_json::to_value(client)?).await
    }

    /// Adds a person, or changes one.
    pub async fn put_account(&self, account: &Account) -> Result<(), HarnessError> {
        self.put("accounts", &account.login, serde_json::to_value(account)?).await
    }

    /// Goes from a client's authorization request to the answer for its redirect URI as `login`, without a browser. The answer
    /// is returned unasked.
    pub async fn sign_in(&self, agent: &mut Agent, authorization: impl AsRef<str>, login: &str) -> Result<Url, HarnessError> {
        let first = agent.get(authorization).await?;
        let page = self.follow(agent, first).await?;
        if let Some(redirect) = page.location() {
            return Ok(redirect);
        }
        if !page.url.path().starts_with("/interaction/") {
            return Err(page.unlike("the sign-in form"));
        }
        let submitted = agent.post_form(&page.url, &[("login", login)]).await?;
        self.follow(agent, submitted).await?.redirect()
    }

    /// Stands still until `resume`.
    pub async fn pause(&mut self) -> Result<(), HarnessError> {
        self.process.pause().await
    }

    /// Goes on after `pause`.
    pub fn resume(&mut self) -> Result<(), HarnessError> {
        self.process.resume()
    }

    /// Ends; connections to its port are refused.
    pub async fn stop(&mut self) -> Result<(), HarnessError> {
        self.process.stop().await.map(drop)
    }

    /// Comes back on the same port with the accounts and clients that it was started with; everybody is signed out there.
    pub async fn restart(&mut self) -> Result<(), HarnessError> {
        self.process.stop().await?;
        self.process = Process::start(&self.launch)?;
        self.ready().await
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Follows redirects as long as they stay at the provider.
    async fn follow(&self, agent: &mut Agent, from: Answer) -> Result<Answer, HarnessError> {
        let here = self.issuer.origin();
        agent.follow(from, |next| next.origin() != here).await
    }

    async fn put(&self, kind: &str, id: &str, value: Value) -> Result<(), HarnessError> {
        let mut url = self.issuer.join("/harness/")?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([kind, id]);
        }
        send(self.client.put(url).json(&value)).await?.expect_status(StatusCode::NO_CONTENT).map(drop)
    }

    async fn ready(&mut self) -> Result<(), HarnessError> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer());
        let client = &self.client;
        self.process
            .ready(START, async || {
                let answer = send(client.get(&url)).await.ok()?;
                (answer.status == StatusCode::OK).then_some(())
            })
            .await
    }
}
