//! A provider for the tests of this module: it signs what it is told to, and answers what it is told to.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_lc_rs::{
    encoding::AsDer as _,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Transport, TransportError};

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) enum Signer {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    P521(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Signer {
    pub(crate) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn p384() -> Self {
        Self::P384(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn p521() -> Self {
        Self::P521(EcdsaKeyPair::generate(&signature::ECDSA_P521_SHA512_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Box::new(Ed25519KeyPair::generate().unwrap()))
    }

    /// The public key as a JWK with only its required members.
    pub(crate) fn jwk(&self) -> Value {
        let curve = |name: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            json!({"kty": "EC", "crv": name, "x": b64(x), "y": b64(y)})
        };
        match self {
            Self::P256(key) => curve("P-256", key.public_key().as_ref()),
            Self::P384(key) => curve("P-384", key.public_key().as_ref()),
            Self::P521(key) => curve("P-521", key.public_key().as_ref()),
            Self::Rsa(key) => json!({"kty": "RSA", "n": b64(rsa_modulus(key)), "e": "AQAB"}),
            Self::Ed25519(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().as_ref())}),
        }
    }

    /// The public key as the octets that an algorithm confusion attack would use as a shared secret.
    pub(crate) fn public_octets(&self) -> Vec<Vec<u8>> {
        let Self::Rsa(key) = self else { return Vec::new() };
        let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let body = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        vec![pem.into_bytes(), der.as_ref().to_vec(), self.jwk().to_string().into_bytes(), rsa_modulus(key)]
    }

    pub(crate) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(key) | Self::P384(key) | Self::P521(key) => {
                key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Rsa(key) => {
                let encoding: &dyn signature::RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token of this header and payload, both as text, signed whatever they say.
    pub(crate) fn token(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", b64(header), b64(payload));
        let algorithm = serde_json::from_str::<Value>(header).ok().and_then(|header| header["alg"].as_str().map(str::to_owned));
        let signature = self.sign(&algorithm.unwrap_or_default(), input.as_bytes());
        format!("{input}.{}", b64(signature))
    }
}

/// The modulus inside `SEQUENCE { INTEGER n, INTEGER e }` (e = 65537, five octets).
fn rsa_modulus(key: &RsaKeyPair) -> Vec<u8> {
    let der = key.public_key().as_ref();
    let end = der.len() - 5;
    der[end - key.public_modulus_len()..end].to_vec()
}

/// A key set document of these keys.
pub(crate) fn key_set(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

/// A JWK with more members.
pub(crate) fn with(mut jwk: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("not an object") };
    for (name, value) in members {
        jwk[name] = value;
    }
    jwk
}

pub(crate) fn reply(status: u16, body: &str) -> http::Response<Vec<u8>> {
    http::Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap()
}

/// Answers by URL, and remembers what it was asked. A URL without an answer is an unreachable one.
pub(crate) struct StubProvider {
    answers: Mutex<HashMap<String, http::Response<Vec<u8>>>>,
    requests: Mutex<Vec<http::Request<Vec<u8>>>>,
    pub(crate) at_once: AtomicUsize,
    pub(crate) most_at_once: AtomicUsize,
}

impl StubProvider {
    pub(crate) fn new() -> Self {
        Self {
            answers: Mutex::default(),
            requests: Mutex::default(),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
        }
    }

    pub(crate) fn answer(&self, url: &str, reply: http::Response<Vec<u8>>) {
        self.answers.lock().unwrap().insert(url.to_owned(), reply);
    }

    pub(crate) fn go_away(&self) {
        self.answers.lock().unwrap().clear();
    }

    pub(crate) fn requests(&self) -> Vec<http::Request<Vec<u8>>> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn asked(&self, url: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| *request.uri() == *url).count()
    }
}

impl Transport for &StubProvider {
    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, TransportError> {
        (**self).send(request).await
    }
}

impl Transport for StubProvider {
    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, TransportError> {
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        // Others get their turn while this request is "on the wire".
        tokio::task::yield_now().await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let answer = self.answers.lock().unwrap().get(&request.uri().to_string()).cloned();
        self.requests.lock().unwrap().push(request);
        answer.ok_or_else(|| TransportError("connection refused".into()))
    }
}
