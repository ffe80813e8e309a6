//! The provider's key set (RFC 7517): which of its keys may verify a signature, and which algorithm each is bound to. A key
//! that is symmetric, weak, private, meant for encryption or not understood is left out.

use std::fmt;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{TokenError, json};

const KEY_LIMIT: usize = 100;

/// A signature algorithm that is ever accepted: asymmetric ones alone (RFC 8725, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// `EdDSA` on Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Every name that is read, the most usual first.
    pub const NAMES: [&str; 11] =
        ["RS256", "ES256", "PS256", "EdDSA", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512", "Ed25519"];

    /// Reads the registered name, in its exact spelling.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }

    /// The hash that `at_hash` is made with (OpenID Connect Core, section 3.1.3.6).
    #[must_use]
    pub fn digest(self) -> &'static aws_lc_rs::digest::Algorithm {
        match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => &aws_lc_rs::digest::SHA256,
            Self::Rs384 | Self::Ps384 | Self::Es384 => &aws_lc_rs::digest::SHA384,
            Self::Rs512 | Self::Ps512 | Self::Es512 | Self::EdDsa => &aws_lc_rs::digest::SHA512,
        }
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::Es512 | Self::EdDsa => None,
        }
    }
}

enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A curve's key, good for one algorithm.
    Curve(Algorithm, ParsedPublicKey),
}

/// One key that may verify signatures.
pub struct VerificationKey {
    id: Option<String>,
    bound_to: Option<Algorithm>,
    issuer: Option<String>,
    material: Material,
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerificationKey({:?})", self.id)
    }
}

impl VerificationKey {
    fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match &self.material {
            Material::Rsa { .. } => algorithm.rsa().is_some(),
            Material::Curve(its_own, _) => *its_own == algorithm,
        };
        kind && self.bound_to.is_none_or(|bound| bound == algorithm)
    }

    /// Verifies a signature; the algorithm was chosen by `KeySet::find`, never by the token alone.
    pub(super) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), TokenError> {
        let outcome = match (&self.material, algorithm.rsa()) {
            (Material::Rsa { n, e }, Some(parameters)) => RsaPublicKeyComponents { n, e }.verify(parameters, message, signature),
            (Material::Curve(its_own, key), None) if *its_own == algorithm => key.verify_sig(message, signature),
            (Material::Rsa { .. } | Material::Curve(..), _) => return Err(TokenError::KeyMismatch),
        };
        outcome.map_err(|_| TokenError::Signature)
    }

    /// Whether the key may sign for `issuer`. Entra writes an `issuer` beside its keys, with `{tenantid}` in the shared ones.
    #[must_use]
    pub fn may_sign_for(&self, issuer: &str) -> bool {
        self.issuer.as_deref().is_none_or(|own| match own.split_once("{tenantid}") {
            None => own == issuer,
            Some((before, after)) => issuer
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|tenant| !tenant.is_empty() && !tenant.contains('/')),
        })
    }
}

/// Why a document is not a key set to work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not a JSON object with an array of keys.
    #[error("it is not a JSON Web Key Set")]
    Malformed,
    /// More keys than a provider has.
    #[error("it has more than {KEY_LIMIT} keys")]
    TooManyKeys,
    /// Nothing that could verify a signature.
    #[error("it has no key that can verify a signature: RSA of 2048 bits or more, P-256, P-384, P-521 or Ed25519")]
    NoUsableKey,
}

/// The keys of one provider.
#[derive(Debug)]
pub struct KeySet(Vec<VerificationKey>);

impl KeySet {
    /// Reads a key set document and keeps its usable keys.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetError> {
        let members = json::object(document).map_err(|_| KeySetError::Malformed)?;
        let Some(Value::Array(keys)) = members.get("keys") else {
            return Err(KeySetError::Malformed);
        };
        if keys.len() > KEY_LIMIT {
            return Err(KeySetError::TooManyKeys);
        }
        let usable: Vec<_> = keys.iter().filter_map(Value::as_object).filter_map(usable).collect();
        if usable.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(Self(usable)) }
    }

    /// The one key that fits what a token's header says.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&VerificationKey, TokenError> {
        let named = || self.0.iter().filter(|key| id.is_none() || key.id.as_deref() == id);
        let mut fitting = named().filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(TokenError::KeyAmbiguous),
            (None, _) if id.is_some() && named().next().is_some() => Err(TokenError::KeyMismatch),
            (None, _) => Err(TokenError::KeyUnknown),
        }
    }
}

fn usable(key: &Map<String, Value>) -> Option<VerificationKey> {
    let text = |name| key.get(name).and_then(Value::as_str);
    let for_signatures = match (key.get("use"), key.get("key_ops")) {
        (Some(purpose), _) if purpose != "sig" => false,
        (_, Some(operations)) => operations.as_array()?.iter().any(|operation| operation == "verify"),
        _ => true,
    };
    // A private or symmetric member in a public document: the key is nobody's secret any more.
    if !for_signatures || ["d", "k", "p", "q"].iter().any(|name| key.contains_key(*name)) {
        return None;
    }
    let bound_to = match key.get("alg") {
        None => None,
        Some(name) => Some(Algorithm::parse(name.as_str()?)?),
    };
    let id = match key.get("kid") {
        None => None,
        Some(id) => Some(id.as_str()?.to_owned()),
    };
    let material = match text("kty")? {
        "RSA" => rsa(text("n")?, text("e")?)?,
        "EC" => elliptic(text("crv")?, text("x")?, text("y")?)?,
        "OKP" if text("crv")? == "Ed25519" => edwards(text("x")?)?,
        _ => return None,
    };
    Some(VerificationKey { id, bound_to, issuer: text("issuer").map(str::to_owned), material })
}

fn rsa(n: &str, e: &str) -> Option<Material> {
    let (n, e) = (unsigned(n)?, unsigned(e)?);
    let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
    let exponent = e.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    let sound = (2048..=8192).contains(&bits) && e.len() <= 5 && exponent >= 3 && exponent % 2 == 1;
    sound.then_some(Material::Rsa { n, e })
}

/// A big-endian number without the leading zeros that some providers send.
fn unsigned(text: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    bytes.get(start..).map(<[u8]>::to_vec)
}

fn elliptic(curve: &str, x: &str, y: &str) -> Option<Material> {
    let (algorithm, verification, size): (_, &'static dyn VerificationAlgorithm, _) = match curve {
        "P-256" => (Algorithm::Es256, &signature::ECDSA_P256_SHA256_FIXED, 32),
        "P-384" => (Algorithm::Es384, &signature::ECDSA_P384_SHA384_FIXED, 48),
        "P-521" => (Algorithm::Es512, &signature::ECDSA_P521_SHA512_FIXED, 66),
        _ => return None,
    };
    let (x, y) = (URL_SAFE_NO_PAD.decode(x).ok()?, URL_SAFE_NO_PAD.decode(y).ok()?);
    if x.len() != size || y.len() != size {
        return None;
    }
    // Parsing checks that the point is on the curve.
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    ParsedPublicKey::new(verification, point).ok().map(|key| Material::Curve(algorithm, key))
}

/// The encodings of the points of small order: a signature "by" one of them verifies for messages that nobody signed.
const SMALL_ORDER: [[u8; 32]; 7] = {
    let zero = [0; 32];
    let mut one = [0; 32];
    one[0] = 1;
    let mut prime = [0xff; 32];
    prime[0] = 0xed;
    prime[31] = 0x7f;
    let mut minus_one = prime;
    minus_one[0] = 0xec;
    let mut prime_plus_one = prime;
    prime_plus_one[0] = 0xee;
    let order_8_a = [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa,
        0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ];
    let order_8_b = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05,
        0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ];
    [zero, one, prime, minus_one, prime_plus_one, order_8_a, order_8_b]
};

fn edwards(x: &str) -> Option<Material> {
    let point: [u8; 32] = URL_SAFE_NO_PAD.decode(x).ok()?.try_into().ok()?;
    let mut unsigned = point;
    *unsigned.last_mut()? &= 0x7f;
    if SMALL_ORDER.contains(&unsigned) {
        return None;
    }
    ParsedPublicKey::new(&signature::ED25519, point).ok().map(|key| Material::Curve(Algorithm::EdDsa, key))
}

#[cfg(test)]
mod tests;
