//! A whole installation with one company in it: database, Redis, OpenID provider, provisioner, gateways, a workspace whose
//! people come by SCIM and sign in by SSO. Tests of behaviour begin here.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::harness::{
    HarnessError,
    http::{Agent, Answer},
    postgres::{Database, Postgres},
    provider::{Account, Client, Provider},
    redis::Redis,
    scim::Scim,
    services::{Service, Site},
};

/// The company's workspace.
pub const WORKSPACE: &str = "acme";
/// Whom the identity JWT of the app behind the proxy is for.
pub const AUDIENCE: &str = "sample-app";
/// As Redis is run in earnest: what it holds is still there after a restart.
const KEEPING: [&str; 2] = ["--appendonly", "yes"];
/// Our client id at the provider.
const CLIENT_ID: &str = "lockstep";
/// Our client secret at the provider.
const CLIENT_SECRET: &str = "the client secret of the whole world";

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many gateways.
    pub gateways: usize,
    /// The lease, as the configuration has it.
    pub lease: &'static str,
    /// Whether SSO is enforced from the start.
    pub enforced: bool,
    /// The port of a proxy in front, which then has the public address; what it protects is the company's own app.
    pub front: Option<u16>,
}

impl Default for Shape {
    fn default() -> Self {
        Self { gateways: 1, lease: "3s", enforced: true, front: None }
    }
}

/// A whole installation with one company in it.
#[derive(Debug)]
pub struct World {
    /// Its configuration and its programs' logs.
    pub site: Site,
    /// Its database.
    pub database: Database,
    /// Its Redis.
    pub redis: Redis,
    /// The company's OpenID provider.
    pub provider: Provider,
    /// The provisioner.
    pub provisioner: Service,
    /// The gateways; the first has the public address.
    pub gateways: Vec<Service>,
    /// The company's SCIM client.
    pub scim: Scim,
    /// The SCIM client's token.
    pub token: String,
    /// The connection's id.
    pub connection: String,
    /// Where people reach the gateway.
    pub public_url: String,
}

/// Somebody of the company.
#[derive(Clone, Debug)]
pub struct Person {
    /// What they type at the provider.
    pub login: String,
    /// Their SCIM id.
    pub id: String,
    /// Their e-mail address and user name.
    pub email: String,
}

impl World {
    /// Builds the world on a fresh database of the shared PostgreSQL.
    pub async fn start(shape: Shape) -> Result<Self, HarnessError> {
        let database = Postgres::shared().await?.database().await?;
        Self::start_on(database, shape).await
    }

    /// Builds the world on this database.
    pub async fn start_on(database: Database, shape: Shape) -> Result<Self, HarnessError> {
        Self::start_with(database, shape, |_| {}).await
    }

    /// Builds the world on this database, with more in its configuration.
    pub async fn start_with(database: Database, shape: Shape, configure: impl FnOnce(&mut Site)) -> Result<Self, HarnessError> {
        let redis = Redis::start_with(&KEEPING).await?;
        let mut site = Site::new(database.url(), Some(&redis.url()))?;
        site.set("revocation.lease", shape.lease);
        let public_url = shape.front.map_or_else(|| site.gateway_url(), |port| format!("http://localhost:{port}"));
        site.set("gateway.public_url", public_url.clone());
        if shape.front.is_some() {
            site.set("apps", vec![app()]);
        }
        configure(&mut site);
        let provisioner = site.provisioner().await?;
        site.command(&["workspace", "create", WORKSPACE, "--name", "Acme", "--plan", "enterprise"]).await?;
        site.command(&["domain", "add", WORKSPACE, "acme.example"]).await?;
        site.command(&["domain", "verify", WORKSPACE, "acme.example", "--by-operator"]).await?;
        site.command(&["scim", "enable", WORKSPACE]).await?;
        let (provider, connection) = connect(&site).await?;
        if shape.enforced {
            site.command(&["sso", "enforce", WORKSPACE]).await?;
        }
        let issued = site.command(&["token", "issue", WORKSPACE]).await?;
        let token = text(&issued, "token");
        let scim = Scim::new(format!("{}/scim/v2/{WORKSPACE}", provisioner.url()), token.clone())?;
        let mut gateways = Vec::new();
        for _ in 0..shape.gateways {
            gateways.push(site.gateway().await?);
        }
        Ok(Self { site, database, redis, provider, provisioner, gateways, scim, token, connection, public_url })
    }

    /// Adds somebody at the provider and provisions them.
    pub async fn person(&self, login: &str) -> Result<Person, HarnessError> {
        let (email, oid) = (format!("{login}@acme.example"), format!("oid-{login}"));
        self.provider.put_account(&Account::new(login, &format!("sub-{login}"), &oid, &email)).await?;
        let body = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "externalId": oid,
            "userName": email,
            "active": true,
            "emails": [{ "primary": true, "type": "work", "value": email }],
            "meta": { "resourceType": "User" },
            "name": { "formatted": login, "familyName": "Example", "givenName": login },
            "displayName": login,
            "roles": [],
        });
        let created: Value = self.scim.post("/Users", &body).await?.expect_status(StatusCode::CREATED)?.json()?;
        Ok(Person { login: login.to_owned(), id: text(&created, "id"), email })
    }

    /// Where people start to sign in.
    #[must_use]
    pub fn sign_on_url(&self) -> String {
        format!("{}/sso/{WORKSPACE}", self.public_url)
    }

    /// Signs somebody in through the provider, and returns the gateway's answer to the provider's.
    pub async fn try_sign_in(&self, agent: &mut Agent, login: &str) -> Result<Answer, HarnessError> {
        let start = agent.get(self.sign_on_url()).await?;
        let callback = self.provider.sign_in(agent, start.redirect()?, login).await?;
        agent.get(callback).await
    }

    /// Signs somebody in with a browser of their own.
    pub async fn sign_in(&self, person: &Person) -> Result<Agent, HarnessError> {
        let mut agent = Agent::new()?;
        self.try_sign_in(&mut agent, &person.login).await?.expect_status(StatusCode::SEE_OTHER)?;
        Ok(agent)
    }

    /// The session cookie of a signed-in browser, as a `Cookie` header.
    pub fn cookie(&self, agent: &Agent) -> Result<String, HarnessError> {
        agent.cookie_header(&self.public_url)
    }

    /// Asks a gateway as a front does, with a `Cookie` header.
    pub async fn ask(&self, gateway: usize, cookie: &str) -> Result<Answer, HarnessError> {
        let gateway = self.gateways.get(gateway).ok_or_else(|| HarnessError::Missing(format!("gateway {gateway}")))?;
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        headers.extend(HeaderValue::from_str(cookie).map(|cookie| (header::COOKIE, cookie)));
        Agent::new()?.get_with(format!("{}/oauth2/auth", gateway.url()), headers).await
    }

    /// Switches somebody off, as Entra does.
    pub async fn deactivate(&self, person: &Person) -> Result<Answer, HarnessError> {
        self.scim.patch(&format!("/Users/{}", person.id), &deactivation()).await
    }
}

/// The PATCH by which Entra switches somebody off.
#[must_use]
pub fn deactivation() -> Value {
    activity("False")
}

/// The PATCH by which Entra switches somebody on.
#[must_use]
pub fn activation() -> Value {
    activity("True")
}

fn activity(value: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "Replace", "path": "active", "value": value }],
    })
}

/// The app behind the proxy: for this company alone, with an identity JWT.
fn app() -> toml::Table {
    [
        ("hosts".to_owned(), vec!["localhost"].into()),
        ("workspaces".to_owned(), vec![WORKSPACE].into()),
        ("audience".to_owned(), AUDIENCE.into()),
    ]
    .into_iter()
    .collect()
}

/// Registers a connection to a new provider, which wants the redirect URI first.
async fn connect(site: &Site) -> Result<(Provider, String), HarnessError> {
    let draft = site.command(&["connection", "add", WORKSPACE, "--preset", "entra"]).await?;
    let (connection, redirect_uri) = (text(&draft, "id"), text(&draft, "redirect_uri"));
    let provider = Provider::start(&[], &[Client::new(CLIENT_ID, CLIENT_SECRET, &redirect_uri)]).await?;
    let secret = site.secret_file("client.secret", CLIENT_SECRET)?;
    site.command(&[
        "connection",
        "set",
        WORKSPACE,
        &connection,
        "--issuer",
        provider.issuer(),
        "--client-id",
        CLIENT_ID,
        "--client-secret-file",
        &secret.display().to_string(),
        "--link",
        "externalId=oid",
    ])
    .await?;
    Ok((provider, connection))
}

/// A text field of a JSON answer; empty if it is not there.
#[must_use]
pub fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}
