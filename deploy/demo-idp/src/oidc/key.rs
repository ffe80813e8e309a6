//! The signing key, made at the start and never written anywhere: a restart is a key rotation.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{error::StartError, random};

const COORDINATE: usize = 32;

/// An ES256 key pair.
pub(crate) struct Key {
    id: String,
    x: String,
    y: String,
    private: EncodingKey,
    public: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    pub(crate) fn generate() -> Result<Self, StartError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| StartError::Key)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| StartError::Key)?;
        // SEC 1, 2.3.3: an uncompressed point is 4, x, y.
        let point = pair.public_key().as_ref().strip_prefix(&[4]).ok_or(StartError::Key)?;
        let (x, y) = point.split_at_checked(COORDINATE).ok_or(StartError::Key)?;
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        // RFC 7638: the key's id is its thumbprint.
        let id = random::sha256_url(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        let public = DecodingKey::from_ec_components(&x, &y).map_err(|_| StartError::Key)?;
        Ok(Self { id, x, y, private: EncodingKey::from_ec_der(pkcs8.as_ref()), public })
    }

    pub(super) fn jwks(&self) -> Value {
        json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": self.x, "y": self.y}]})
    }

    pub(super) fn sign<T: Serialize>(&self, claims: &T) -> Result<String, jsonwebtoken::errors::Error> {
        let header = Header { kid: Some(self.id.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.private)
    }

    /// Reads an ID token of ours that a client brings back as a hint; OpenID RP-Initiated Logout 1.0, section 4: even an
    /// expired one counts.
    pub(super) fn read_hint<T: DeserializeOwned>(&self, token: &str, issuer: &str, client_id: &str) -> Option<T> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[client_id]);
        jsonwebtoken::decode(token, &self.public, &validation).ok().map(|data| data.claims)
    }
}
