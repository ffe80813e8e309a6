//! An OpenID provider that is right in everything but one chosen fault, for what the certified provider refuses to do wrong. It
//! checks its client as a good one does (redirect URI, secret, PKCE, one use of a code), so a success means something.

mod answers;
mod fault;
mod token;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::token::{Key, Signing};
use super::HarnessError;

pub use self::fault::Fault;

const TOKEN_LIFE: i64 = 300;

/// What a provider is asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Endpoint {
    /// The metadata document.
    Discovery,
    /// The key set.
    Keys,
    /// The authorization endpoint.
    Authorization,
    /// The token endpoint.
    Token,
    /// The userinfo endpoint.
    Userinfo,
}

/// A running provider with at most one fault at a time; it signs everybody in at once as the chosen person.
#[derive(Debug)]
pub struct FaultyProvider {
    shared: Arc<Shared>,
    _running: DropGuard,
}

#[derive(Debug)]
struct Shared {
    issuer: String,
    client: Client,
    stranger: Key,
    state: Mutex<State>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Client {
    id: String,
    secret: String,
}

#[derive(Debug)]
struct State {
    fault: Option<Fault>,
    person: Map<String, Value>,
    keys: Vec<Key>,
    redirect_uri: Option<String>,
    grants: HashMap<String, Grant>,
    asked: HashMap<Endpoint, u64>,
}

/// What a code or an access token stands for.
#[derive(Clone, Debug)]
struct Grant {
    redirect_uri: String,
    nonce: Option<String>,
    challenge: String,
    person: Map<String, Value>,
}

impl FaultyProvider {
    /// Starts a provider with one client and one person, and no fault yet.
    pub fn start(client_id: &str, client_secret: &str, person: Value) -> Result<Self, HarnessError> {
        let listener = super::ports::listen()?;
        let issuer = format!("http://{}", listener.local_addr()?);
        let stop = CancellationToken::new();
        let state = State {
            fault: None,
            person: object(person),
            keys: vec![Key::new("key-1")?],
            redirect_uri: None,
            grants: HashMap::new(),
            asked: HashMap::new(),
        };
        let shared = Arc::new(Shared {
            issuer,
            client: Client { id: client_id.to_owned(), secret: client_secret.to_owned() },
            stranger: Key::new("stranger")?,
            state: Mutex::new(state),
            stop: stop.clone(),
        });
        let server = axum::serve(listener, answers::router(Arc::clone(&shared)));
        let end = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                result = server => drop(result),
                () = end.cancelled() => {}
            }
        });
        Ok(Self { shared, _running: stop.drop_guard() })
    }

    /// Its issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.shared.issuer
    }

    /// Misbehaves in one way from now on, or in none.
    pub fn misbehave(&self, fault: Option<Fault>) {
        self.shared.state().fault = fault;
    }

    /// Signs this person in from now on.
    pub fn set_person(&self, person: Value) {
        self.shared.state().person = object(person);
    }

    /// Allows this redirect URI alone; before, any is allowed.
    pub fn set_redirect_uri(&self, redirect_uri: &str) {
        self.shared.state().redirect_uri = Some(redirect_uri.to_owned());
    }

    /// Signs with a new key from now on, and publishes it alone.
    pub fn rotate_key(&self) -> Result<(), HarnessError> {
        let mut state = self.shared.state();
        let next = Key::new(format!("key-{}", state.asked.values().sum::<u64>() + 2))?;
        state.keys = vec![next];
        Ok(())
    }

    /// Publishes a further key, and goes on signing with the old one.
    pub fn publish_another_key(&self) -> Result<(), HarnessError> {
        let mut state = self.shared.state();
        let next = Key::new(format!("further-{}", state.keys.len()))?;
        state.keys.push(next);
        Ok(())
    }

    /// How often it was asked for something.
    #[must_use]
    pub fn asked(&self, endpoint: Endpoint) -> u64 {
        self.shared.state().asked.get(&endpoint).copied().unwrap_or_default()
    }

    /// A token of any claims, signed with the published key; for logout tokens and security events.
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>) -> Result<String, HarnessError> {
        let state = self.shared.state();
        self.shared.signing(&state)?.sign(typ, claims)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request, and says what to do wrong in its answer.
    fn asked(&self, endpoint: Endpoint) -> Option<Fault> {
        let mut state = self.state();
        *state.asked.entry(endpoint).or_default() += 1;
        state.fault
    }

    fn signing<'a>(&'a self, state: &'a State) -> Result<Signing<'a>, HarnessError> {
        let key = state.keys.first().ok_or_else(|| HarnessError::Missing("a signing key".to_owned()))?;
        Ok(Signing { key, stranger: &self.stranger, client_secret: &self.client.secret, issuer: &self.issuer })
    }

    fn id_token(&self, grant: &Grant, access_token: &str) -> Result<String, HarnessError> {
        let now = now();
        let mut claims = grant.person.clone();
        let hash = digest(&SHA256, access_token.as_bytes());
        let half = hash.as_ref().get(..16).unwrap_or_default();
        for (name, value) in [
            ("iss", json!(self.issuer)),
            ("aud", json!(self.client.id)),
            ("iat", json!(now)),
            ("exp", json!(now + TOKEN_LIFE)),
            ("auth_time", json!(now)),
            ("at_hash", json!(URL_SAFE_NO_PAD.encode(half))),
        ] {
            claims.insert(name.to_owned(), value);
        }
        if let Some(nonce) = &grant.nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        let state = self.state();
        let claims = token::claims(claims, now, state.fault)?;
        self.signing(&state)?.id_token(&claims, state.fault)
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn random() -> Result<String, HarnessError> {
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

#[expect(clippy::disallowed_methods, reason = "a provider has a clock of its own: the real one")]
fn now() -> i64 {
    chrono::Utc::now().timestamp()
}
