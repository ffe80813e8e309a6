//! Tokens made by hand, so that each can be wrong in exactly one way.

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value, json};

use super::Fault;
use crate::harness::HarnessError;

/// A signing key of the provider.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: String,
    pair: KeyPair,
}

impl Key {
    pub(super) fn new(id: impl Into<String>) -> Result<Self, HarnessError> {
        Ok(Self { id: id.into(), pair: KeyPair::generate(KeySize::Rsa2048)? })
    }

    pub(super) fn jwk(&self, usage: &str) -> Value {
        let public = self.pair.public_key();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kty": "RSA",
            "use": usage,
            "alg": "RS256",
            "kid": self.id,
            "n": number(public.modulus().big_endian_without_leading_zero()),
            "e": number(public.exponent().big_endian_without_leading_zero()),
        })
    }

    fn pem(&self) -> Result<String, HarnessError> {
        let der = self.pair.public_key().as_der()?;
        let body: String = wrapped(&STANDARD.encode(der.as_ref()));
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{body}-----END PUBLIC KEY-----\n"))
    }

    fn sign(&self, input: &str) -> Result<String, HarnessError> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature)?;
        Ok(URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What a token is made of besides its claims.
pub(super) struct Signing<'a> {
    pub(super) key: &'a Key,
    /// A key that the provider does not publish.
    pub(super) stranger: &'a Key,
    pub(super) client_secret: &'a str,
    pub(super) issuer: &'a str,
}

impl Signing<'_> {
    /// A token of these claims, signed as a good provider does.
    pub(super) fn sign(&self, typ: &str, claims: &Map<String, Value>) -> Result<String, HarnessError> {
        let header = json!({ "alg": "RS256", "typ": typ, "kid": self.key.id });
        let input = format!("{}.{}", encode(&header.to_string()), encode(&serde_json::to_string(claims)?));
        Ok(format!("{input}.{}", self.key.sign(&input)?))
    }

    /// An ID token of these claims, with what `fault` does to header and signature.
    pub(super) fn id_token(&self, claims: &str, fault: Option<Fault>) -> Result<String, HarnessError> {
        let header = self.header(fault);
        let input = format!("{}.{}", encode(&header.to_string()), encode(claims));
        let signature = match fault {
            Some(Fault::WrongSignature | Fault::EmbeddedKey | Fault::KeyUrl) => self.stranger.sign(&input)?,
            Some(Fault::EmptySignature | Fault::AlgNone | Fault::AlgNoneMixedCase) => String::new(),
            Some(Fault::HmacWithPublicKey) => keyed(self.key.pem()?.as_bytes(), &input),
            Some(Fault::HmacWithPublicJwk) => keyed(self.key.jwk("sig").to_string().as_bytes(), &input),
            Some(Fault::HmacWithClientSecret) => keyed(self.client_secret.as_bytes(), &input),
            Some(Fault::TwoParts) => return Ok(input),
            Some(Fault::Encrypted) => format!("{0}.{0}.{0}", encode("sealed")),
            _ => self.key.sign(&input)?,
        };
        Ok(format!("{input}.{signature}"))
    }

    fn header(&self, fault: Option<Fault>) -> Value {
        let mut header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key.id });
        let change = match fault {
            Some(Fault::AlgNone | Fault::AlgNoneSigned) => ("alg", json!("none")),
            Some(Fault::AlgNoneMixedCase) => ("alg", json!("nOnE")),
            Some(Fault::HmacWithPublicKey | Fault::HmacWithPublicJwk | Fault::HmacWithClientSecret) => ("alg", json!("HS256")),
            Some(Fault::UnknownKey) => ("kid", json!("nobody")),
            Some(Fault::MissingKeyId) => ("kid", Value::Null),
            Some(Fault::EmbeddedKey) => ("jwk", self.stranger.jwk("sig")),
            Some(Fault::KeyUrl) => ("jku", json!(format!("{}/stranger/jwks", self.issuer))),
            Some(Fault::UnknownCriticalHeader) => ("crit", json!(["b64x"])),
            Some(Fault::AccessTokenType) => ("typ", json!("at+jwt")),
            Some(Fault::LogoutTokenType) => ("typ", json!("logout+jwt")),
            Some(Fault::Encrypted) => ("enc", json!("A128CBC-HS256")),
            _ => return header,
        };
        if let Some(fields) = header.as_object_mut() {
            match change {
                (name, Value::Null) => drop(fields.remove(name)),
                (name, value) => drop(fields.insert(name.to_owned(), value)),
            }
            if fault == Some(Fault::EmbeddedKey) || fault == Some(Fault::KeyUrl) {
                fields.insert("kid".to_owned(), json!(self.stranger.id));
            }
            if fault == Some(Fault::UnknownCriticalHeader) {
                fields.insert("b64x".to_owned(), json!(true));
            }
        }
        header
    }
}

/// The claims of an ID token, as JSON text, with what `fault` does to them.
pub(super) fn claims(good: Map<String, Value>, now: i64, fault: Option<Fault>) -> Result<String, HarnessError> {
    let mut claims = good;
    let client = claims.get("aud").and_then(Value::as_str).unwrap_or_default().to_owned();
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
    let change = match fault {
        Some(Fault::WrongIssuer) => ("iss", json!("https://elsewhere.example")),
        Some(Fault::IssuerWithSlash) => ("iss", json!(format!("{issuer}/"))),
        Some(Fault::MissingIssuer) => ("iss", Value::Null),
        Some(Fault::WrongAudience) => ("aud", json!("another-client")),
        Some(Fault::MissingAudience) => ("aud", Value::Null),
        Some(Fault::AudiencePrefix) => ("aud", json!(format!("{client}-2"))),
        Some(Fault::ExtraAudience | Fault::ExtraAudienceWithAzp) => ("aud", json!([client, "another-client"])),
        Some(Fault::WrongAzp) => ("azp", json!("another-client")),
        Some(Fault::WrongNonce) => ("nonce", json!("another-nonce")),
        Some(Fault::MissingNonce) => ("nonce", Value::Null),
        Some(Fault::MissingSubject) => ("sub", Value::Null),
        Some(Fault::EmptySubject) => ("sub", json!("")),
        Some(Fault::NumericSubject) => ("sub", json!(7)),
        Some(Fault::LongSubject) => ("sub", json!("s".repeat(256))),
        Some(Fault::Expired) => ("exp", json!(now - 3600)),
        Some(Fault::MissingExpiry) => ("exp", Value::Null),
        Some(Fault::TextExpiry) => ("exp", json!((now + 300).to_string())),
        Some(Fault::NegativeExpiry) => ("exp", json!(-1)),
        Some(Fault::NotYetValid) => ("nbf", json!(now + 3600)),
        Some(Fault::IssuedInFuture) => ("iat", json!(now + 3600)),
        Some(Fault::IssuedLongAgo) => ("iat", json!(now - 86_400)),
        Some(Fault::MissingIssuedAt) => ("iat", Value::Null),
        Some(Fault::WrongAccessTokenHash) => ("at_hash", json!(encode("sixteen bytes ok"))),
        _ => ("", Value::Null),
    };
    match change {
        (name, Value::Null) => drop(claims.remove(name)),
        (name, value) => drop(claims.insert(name.to_owned(), value)),
    }
    if fault == Some(Fault::ExtraAudienceWithAzp) {
        claims.insert("azp".to_owned(), json!(client));
    }
    let text = serde_json::to_string(&claims)?;
    if fault == Some(Fault::DuplicateSubject) {
        return Ok(text.replacen('{', r#"{"sub":"somebody-else","#, 1));
    }
    Ok(text)
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn keyed(key: &[u8], input: &str) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), input.as_bytes()))
}

/// Lines of 64 signs, as PEM has them.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    for (position, sign) in text.chars().enumerate() {
        if position > 0 && position % 64 == 0 {
            lines.push('\n');
        }
        lines.push(sign);
    }
    lines.push('\n');
    lines
}
