//! The compact serialisation of a signed token (RFC 7515): its shape and its header, before anything in it is believed.
//! Encrypted, nested, unencoded and JSON-serialised tokens are refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{
    Algorithm, Excerpt, KeySet, TokenError, VerificationKey,
    json::{self, JsonError},
};

/// A token of an honest provider with hundreds of groups stays far below.
const TOKEN_LIMIT: usize = 64 * 1024;
const KEY_ID_LIMIT: usize = 256;

/// A signed token that has the right shape; nothing in it is verified.
#[derive(Debug)]
pub struct Jws<'a> {
    /// The algorithm that the header claims.
    pub algorithm: Algorithm,
    /// The key that the header names.
    pub key_id: Option<String>,
    /// The header's `typ`.
    pub typ: Option<String>,
    signing_input: &'a [u8],
    signature: Vec<u8>,
    payload: &'a str,
}

impl<'a> Jws<'a> {
    /// Reads the shape and the header of a token.
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_LIMIT {
            return Err(TokenError::TooLarge);
        }
        let (header, payload, signature) = split(token)?;
        let header = members(header)?;
        // `jku`, `x5u`, `jwk` and `x5c` are never read: a key comes from the provider's own key set or not at all.
        let algorithm = algorithm(&header)?;
        if ["crit", "b64", "zip", "cty"].iter().any(|name| header.contains_key(*name)) {
            return Err(TokenError::CriticalHeader);
        }
        let signing_input = token.rsplit_once('.').map_or("", |(input, _)| input).as_bytes();
        Ok(Self {
            algorithm,
            key_id: key_id(&header)?,
            typ: typ(&header)?,
            signing_input,
            signature: decode(signature)?,
            payload,
        })
    }

    /// Checks the signature by the one key of the set that the header names; returns that key.
    pub fn check<'k>(&self, keys: &'k KeySet) -> Result<&'k VerificationKey, TokenError> {
        let key = keys.find(self.key_id.as_deref(), self.algorithm)?;
        key.verify(self.algorithm, self.signing_input, &self.signature)?;
        Ok(key)
    }

    /// The payload's claims; to be believed only when the signature was checked.
    pub fn claims(&self) -> Result<Map<String, Value>, TokenError> {
        members(self.payload)
    }
}

fn split(token: &str) -> Result<(&str, &str, &str), TokenError> {
    let mut parts = token.splitn(6, '.');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(payload), Some(signature), None, ..) => Ok((header, payload, signature)),
        (.., Some(_), None) => Err(TokenError::Encrypted),
        _ => Err(TokenError::Malformed("it does not have three parts")),
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed("a part is not base64url"))
}

fn members(part: &str) -> Result<Map<String, Value>, TokenError> {
    json::object(&decode(part)?).map_err(|error| match error {
        JsonError::Malformed => TokenError::Malformed("a part is not a JSON object"),
        JsonError::DuplicateMember(name) => TokenError::DuplicateMember(name),
    })
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, TokenError> {
    let Some(Value::String(name)) = header.get("alg") else {
        return Err(TokenError::Malformed("its header has no alg"));
    };
    if name.trim().is_empty() || name.trim().eq_ignore_ascii_case("none") {
        return Err(TokenError::Unsigned);
    }
    Algorithm::parse(name).ok_or_else(|| TokenError::AlgorithmNotAllowed(Excerpt::of(name)))
}

fn key_id(header: &Map<String, Value>) -> Result<Option<String>, TokenError> {
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(id)) if id.len() <= KEY_ID_LIMIT => Ok(Some(id.clone())),
        Some(_) => Err(TokenError::KeyIdMalformed),
    }
}

fn typ(header: &Map<String, Value>) -> Result<Option<String>, TokenError> {
    match header.get("typ") {
        None => Ok(None),
        Some(Value::String(typ)) => Ok(Some(typ.clone())),
        Some(_) => Err(TokenError::Malformed("its header's typ is not a text")),
    }
}
