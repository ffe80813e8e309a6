//! Each real part starts, works and ends.

mod browser;
mod faulty_provider;
mod nginx;
mod postgres;
mod process;
mod provider;
mod redis;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use url::Url;

const REDIRECT_URI: &str = "http://localhost:9/callback/acme";
const CLIENT_ID: &str = "lockstep";
const CLIENT_SECRET: &str = "a secret with a space & more";
const VERIFIER: &str = "a-verifier-that-is-long-enough-for-rfc-7636-section-4.1";

/// An authorization request as a careful relying party makes it.
fn authorization_url(endpoint: &str) -> Url {
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
    let mut url = Url::parse(endpoint).unwrap();
    url.query_pairs_mut().extend_pairs([
        ("client_id", CLIENT_ID),
        ("redirect_uri", REDIRECT_URI),
        ("response_type", "code"),
        ("scope", "openid email profile"),
        ("state", "the-state"),
        ("nonce", "the-nonce"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    url
}

/// A parameter of the answer that the browser carries back.
fn parameter(callback: &Url, name: &str) -> Option<String> {
    callback.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Redeems a code with the secret in the form; returns the status and the answer.
async fn redeem(endpoint: &str, code: &str, verifier: &str) -> (u16, Value) {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", verifier),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
    ];
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.post(endpoint).form(&fields).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// One part of a token, unverified.
fn part(token: &str, index: usize) -> Value {
    let text = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
}
