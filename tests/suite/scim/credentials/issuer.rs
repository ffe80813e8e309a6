//! An issuer of assertions, such as a workload identity provider: it publishes keys on loopback and signs what it is told to.

use std::sync::{Arc, Mutex};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use axum::{Router, extract::State, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{StatusCode, header};
use lockstep_shared::clock::SystemClock;
use lockstep_tests::harness::ports;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

pub(super) const SUBJECT: &str = "sync-fabric";
pub(super) const AUDIENCE: &str = "api://wif";

/// A key and its name.
pub(super) struct Key {
    pub(super) kid: String,
    pair: KeyPair,
}

impl Key {
    pub(super) fn new(kid: &str) -> Self {
        Self { kid: kid.to_owned(), pair: KeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    pub(super) fn jwk(&self) -> Value {
        let public = self.pair.public_key();
        json!({
            "kty": "RSA", "use": "sig", "kid": self.kid,
            "n": b64(public.modulus().big_endian_without_leading_zero()),
            "e": b64(public.exponent().big_endian_without_leading_zero()),
        })
    }

    /// A token of this header and these claims, signed whatever they say.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let input = input(header, claims);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
        format!("{input}.{}", b64(signature))
    }
}

/// What the key set's address answers.
struct Published {
    status: StatusCode,
    body: String,
    asked: usize,
}

/// A running issuer with one key.
pub(super) struct Issuer {
    pub(super) url: String,
    pub(super) key: Key,
    published: Arc<Mutex<Published>>,
    _running: DropGuard,
}

impl Issuer {
    pub(super) fn start() -> Self {
        let listener = ports::listen().unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = Key::new("key-1");
        let published = Published { status: StatusCode::OK, body: key_set(&[&key]), asked: 0 };
        let published = Arc::new(Mutex::new(published));
        let router = Router::new().route("/keys", get(keys)).with_state(Arc::clone(&published));
        let stop = CancellationToken::new();
        let (server, end) = (axum::serve(listener, router), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                result = server => drop(result),
                () = end.cancelled() => {}
            }
        });
        Self { url, key, published, _running: stop.drop_guard() }
    }

    pub(super) fn jwks_url(&self) -> String {
        format!("{}/keys", self.url)
    }

    /// How often the keys were asked for.
    pub(super) fn asked(&self) -> usize {
        self.published.lock().unwrap().asked
    }

    pub(super) fn answer(&self, status: StatusCode, body: impl Into<String>) {
        let mut published = self.published.lock().unwrap();
        (published.status, published.body) = (status, body.into());
    }

    /// Signs with a new key from now on.
    pub(super) fn rotate(&mut self, kid: &str) {
        self.key = Key::new(kid);
        self.answer(StatusCode::OK, key_set(&[&self.key]));
    }

    /// What Entra's workload identity would say now.
    pub(super) fn claims(&self) -> Value {
        let now = now();
        json!({
            "iss": self.url, "sub": SUBJECT, "aud": AUDIENCE, "oid": SUBJECT, "tid": "t", "appid": "a", "ver": "2.0",
            "iat": now - 300, "nbf": now - 300, "exp": now + 3_600,
        })
    }

    pub(super) fn sign(&self, claims: &Value) -> String {
        self.key.sign(&json!({ "alg": "RS256", "typ": "JWT", "kid": self.key.kid }), claims)
    }

    /// A good assertion with these claims changed; null takes one away.
    pub(super) fn assertion(&self, change: &Value) -> String {
        self.sign(&with(self.claims(), change))
    }
}

async fn keys(State(published): State<Arc<Mutex<Published>>>) -> impl axum::response::IntoResponse {
    let mut published = published.lock().unwrap();
    published.asked += 1;
    // Where a redirect would lead; nobody who is careful follows it.
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::LOCATION, "/keys")];
    (published.status, headers, published.body.clone())
}

pub(super) fn now() -> i64 {
    SystemClock::shared().now().seconds()
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The octets under a signature.
pub(super) fn input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", b64(header.to_string()), b64(claims.to_string()))
}

pub(super) fn key_set(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

pub(super) fn with(mut object: Value, change: &Value) -> Value {
    let members = object.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    object
}
