//! The identity JWT: what an app with an audience of its own gets to verify by itself. ES256, at most a minute long, of a type
//! that no other token of ours has. The key is parsed once; signing is the dear part, so callers keep what they signed.

use std::fmt;

use aws_lc_rs::{
    digest,
    encoding::{AsBigEndian as _, EcPublicKeyUncompressedBin},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use lockstep_shared::{
    clock::Timestamp,
    id::{SessionId, UserId, WorkspaceId},
    model::user::Person,
};
use serde_json::{Map, Value, json};

const TYPE: &str = "lockstep-identity+jwt";
const LIFETIME_SECONDS: i64 = 60;
/// What an app's own claims may never replace.
const RESERVED: [&str; 12] = ["iss", "aud", "sub", "workspace", "sid", "roles", "teams", "exp", "iat", "nbf", "jti", "nonce"];

/// Why there is no JWT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The bytes are no P-256 key in PKCS #8.
    #[error("the identity signing key is not a P-256 key in PKCS #8")]
    Key,
    /// The library refused.
    #[error("the identity JWT could not be signed")]
    Signing,
}

/// What the JWT says of whom, to whom.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// The gateway's public URL.
    pub issuer: &'a str,
    /// The app.
    pub audience: &'a str,
    /// The workspace.
    pub workspace: &'a WorkspaceId,
    /// The person.
    pub user: &'a UserId,
    /// The session.
    pub session: &'a SessionId,
    /// The person's roles and teams.
    pub person: &'a Person,
    /// The app's own claims; those that would replace one of ours are left out.
    pub claims: &'a Map<String, Value>,
    /// When the session ends: the JWT never outlives it.
    pub session_ends: Timestamp,
    /// The wall clock.
    pub now: Timestamp,
}

/// Signs identity JWTs.
pub struct Signer {
    key: EcdsaKeyPair,
    key_id: String,
    header: String,
    random: SystemRandom,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.key_id)
    }
}

impl Signer {
    /// Makes a new key, as PKCS #8, to be sealed and stored.
    pub fn generate() -> Result<Vec<u8>, SigningError> {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| SigningError::Key)?;
        Ok(key.as_ref().to_vec())
    }

    /// Parses a key. It is known by its RFC 7638 thumbprint, so that every replica names it alike.
    pub fn from_pkcs8(bytes: &[u8]) -> Result<Self, SigningError> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes).map_err(|_| SigningError::Key)?;
        let (x, y) = coordinates(&key)?;
        // RFC 7638, section 3: the required members in this order, without white space.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let key_id = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": "ES256", "typ": TYPE, "kid": key_id}).to_string());
        Ok(Self { key, key_id, header, random: SystemRandom::new() })
    }

    /// The public key, for the JWKS document.
    pub fn public_jwk(&self) -> Result<Value, SigningError> {
        let (x, y) = coordinates(&self.key)?;
        Ok(json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.key_id, "x": x, "y": y}))
    }

    /// Signs an assertion as the value of its header.
    pub fn sign(&self, assertion: &Assertion<'_>) -> Result<HeaderValue, SigningError> {
        let payload = URL_SAFE_NO_PAD.encode(Value::Object(claims(assertion)).to_string());
        let input = format!("{}.{payload}", self.header);
        let signature = self.key.sign(&self.random, input.as_bytes()).map_err(|_| SigningError::Signing)?;
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        let mut value = HeaderValue::try_from(token).map_err(|_| SigningError::Signing)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn claims(assertion: &Assertion<'_>) -> Map<String, Value> {
    let now = assertion.now.seconds();
    let ends = now.saturating_add(LIFETIME_SECONDS).min(assertion.session_ends.seconds());
    let own = json!({
        "iss": assertion.issuer,
        "aud": assertion.audience,
        "sub": assertion.user.as_str(),
        "workspace": assertion.workspace.as_str(),
        "sid": assertion.session.as_str(),
        "roles": assertion.person.roles,
        "teams": assertion.person.teams,
        "iat": now,
        "exp": ends,
    });
    let Value::Object(mut all) = own else { return Map::new() };
    for (name, value) in assertion.claims.iter().filter(|(name, _)| !RESERVED.contains(&name.as_str())) {
        all.insert(name.clone(), value.clone());
    }
    all
}

/// The JWKS document of the current key and of those that may still be in use.
pub fn key_set<'s>(signers: impl IntoIterator<Item = &'s Signer>) -> Result<Value, SigningError> {
    let keys = signers.into_iter().map(Signer::public_jwk).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "keys": keys }))
}

fn coordinates(key: &EcdsaKeyPair) -> Result<(String, String), SigningError> {
    let point: EcPublicKeyUncompressedBin<'_> = key.public_key().as_be_bytes().map_err(|_| SigningError::Key)?;
    let (x, y) = point.as_ref().split_at_checked(33).ok_or(SigningError::Key)?;
    let x = x.get(1..).ok_or(SigningError::Key)?;
    Ok((URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;
    use crate::oidc::{Algorithm, Expected, KeySet, Occasion, verify};

    const NOW: Timestamp = Timestamp(1_767_225_600_999);

    fn signer() -> Signer {
        Signer::from_pkcs8(&Signer::generate().unwrap()).unwrap()
    }

    fn sign(signer: &Signer, claims: &Value, session_ends: Timestamp) -> String {
        let person = Person { roles: vec!["admin".into()], teams: vec!["a".into(), "b".into()], ..Person::default() };
        let assertion = Assertion {
            issuer: "https://gate.example",
            audience: "app",
            workspace: &WorkspaceId::parse("acme").unwrap(),
            user: &UserId::parse("01890000-0000-7000-8000-000000000001").unwrap(),
            session: &SessionId::of_secret(&[7; 32]),
            person: &person,
            claims: claims.as_object().unwrap(),
            session_ends,
            now: NOW,
        };
        signer.sign(&assertion).unwrap().to_str().unwrap().to_owned()
    }

    fn part(token: &str, n: usize) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_jwt_says_who_where_and_for_whom() {
        let signer = signer();

        let token = sign(&signer, &json!({"userType": "employee"}), Timestamp(i64::MAX));

        assert_eq!(part(&token, 0), json!({"alg": "ES256", "typ": "lockstep-identity+jwt", "kid": signer.key_id}));
        assert_eq!(
            part(&token, 1),
            json!({
                "iss": "https://gate.example", "aud": "app", "sub": "01890000-0000-7000-8000-000000000001", "workspace": "acme",
                "sid": SessionId::of_secret(&[7; 32]).as_str(), "roles": ["admin"], "teams": ["a", "b"],
                "iat": 1_767_225_600, "exp": 1_767_225_660, "userType": "employee",
            })
        );
    }

    #[test]
    fn a_jwt_never_outlives_its_session() {
        let token = sign(&signer(), &json!({}), Timestamp(NOW.0 + 5_000));

        assert_eq!(part(&token, 1)["exp"], 1_767_225_605);
    }

    #[test]
    fn an_apps_own_claims_replace_none_of_ours() {
        let forged: Map<String, Value> = RESERVED.iter().map(|name| ((*name).to_owned(), json!("forged"))).collect();

        let token = sign(&signer(), &Value::Object(forged), Timestamp(i64::MAX));

        assert!(!part(&token, 1).to_string().contains("forged"));
    }

    #[test]
    fn the_published_key_verifies_and_no_other() {
        let (signer, other) = (signer(), signer());
        let token = sign(&signer, &json!({}), Timestamp(i64::MAX));
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let document = key_set([&signer, &other]).unwrap();

        let verifies = |key: &Value| {
            let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
            let point = [vec![4], coordinate("x"), coordinate("y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(input.as_bytes(), &signature).is_ok()
        };

        assert!(verifies(&document["keys"][0]));
        assert!(!verifies(&document["keys"][1]));
        assert!(!document.to_string().contains("\"d\""));
        assert_eq!(document["keys"][0]["kid"], part(&token, 0)["kid"]);
    }

    #[test]
    fn a_key_keeps_its_name_across_replicas() {
        let bytes = Signer::generate().unwrap();

        assert_eq!(Signer::from_pkcs8(&bytes).unwrap().key_id, Signer::from_pkcs8(&bytes).unwrap().key_id);
        assert_eq!(Signer::from_pkcs8(b"nonsense").err(), Some(SigningError::Key));
    }

    #[test]
    fn g71_an_identity_jwt_is_no_id_token() {
        let signer = signer();
        let token = sign(&signer, &json!({}), Timestamp(i64::MAX));
        let keys = KeySet::parse(key_set([&signer]).unwrap().to_string().as_bytes()).unwrap();
        let expected = Expected {
            issuer: "https://gate.example",
            client_id: "app",
            trusted_audiences: &[],
            algorithms: &[Algorithm::Es256],
            occasion: Occasion::Refresh { subject: "01890000-0000-7000-8000-000000000001" },
            max_age: None,
            access_token: None,
            now: NOW,
        };

        assert_eq!(verify(&token, &keys, &expected).unwrap_err().code(), "token_class");
    }
}
