//! Randomness, digests, sealing and MACs: the few cryptographic operations of the project, each with its purpose bound in,
//! so that what was made for one purpose is never accepted for another.

use aws_lc_rs::{aead, constant_time, digest, hmac, rand};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Why something could not be made or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The system has no randomness to give.
    #[error("the system's random number generator failed")]
    NoRandomness,
    /// Altered, truncated, made for another purpose, or sealed by a key that is not in the ring.
    #[error("a sealed value could not be opened: wrong key, wrong purpose or altered")]
    CannotOpen,
    /// The master key is not 32 bytes of base64.
    #[error(
        "a master key must be 32 bytes in base64, one per line, the current one first; make one with `openssl rand -base64 32`"
    )]
    BadMasterKey,
}

/// `N` random bytes from the system.
pub fn random<const N: usize>() -> Result<[u8; N], SecretError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| SecretError::NoRandomness)?;
    Ok(bytes)
}

/// A new 256-bit secret as 43 characters of base64url.
pub fn random_text() -> Result<String, SecretError> {
    Ok(URL_SAFE_NO_PAD.encode(random::<32>()?))
}

/// SHA-256 in lower-case hexadecimal; how a token is stored.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// Whether two texts are the same; takes the same time whatever it finds, texts of another length aside.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

fn hex(bytes: &[u8]) -> String {
    // Every request's session is found by such a text: `write!` takes a microsecond for it.
    let digit = |number: u8| char::from(if number < 10 { b'0' + number } else { b'a' + number - 10 });
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A secret by which an identity provider provisions (a token, a password, a client secret): `lks_`, 43 random characters of base62 (256 bits) and a checksum of 6, so that leak scanners find it
/// without false alarms and a mistyped one costs no look-up.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

impl BearerToken {
    const PREFIX: &str = "lks_";

    /// Makes a new token.
    pub fn new() -> Result<Self, SecretError> {
        let mut body = String::with_capacity(43);
        while body.len() < 43 {
            // 248 is the largest multiple of 62 in a byte: what lies above would favour some characters.
            let drawn = random::<64>()?;
            let fresh = drawn.iter().filter(|byte| **byte < 248).filter_map(|byte| BASE62.get(usize::from(byte % 62)));
            body.extend(fresh.take(43 - body.len()).map(|byte| char::from(*byte)));
        }
        let checksum = Self::checksum(&body);
        Ok(Self(format!("{}{body}{checksum}", Self::PREFIX)))
    }

    /// Reads a presented token; `None` where prefix, length or checksum say that we never made it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(Self::PREFIX)?;
        if rest.len() != 49 || !rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        let (body, checksum) = rest.split_at(43);
        (Self::checksum(body) == checksum).then(|| Self(text.to_owned()))
    }

    /// The token as the client sends it. To be shown once, never logged.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored in place of the token.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256_hex(self.0.as_bytes())
    }

    fn checksum(body: &str) -> String {
        let hash = digest::digest(&digest::SHA256, body.as_bytes());
        let mut number = hash.as_ref().iter().take(5).fold(0_u64, |n, byte| (n << 8) | u64::from(*byte));
        let mut text = String::with_capacity(6);
        for _ in 0..6 {
            let index = usize::try_from(number % 62).unwrap_or(0);
            text.push(BASE62.get(index).map_or('0', |byte| char::from(*byte)));
            number /= 62;
        }
        text
    }
}

/// 256 bits of key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// A key of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A new, random key.
    pub fn random() -> Result<Self, SecretError> {
        random().map(Self)
    }

    /// The key's bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A short public name of the key, so that a ring finds the right one.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let input = [b"lockstep key fingerprint".as_slice(), &self.0].concat();
        sha256_hex(&input).chars().take(8).collect()
    }
}

/// Seals with the first of its keys and opens with any: AES-256-GCM, the purpose as associated data.
#[derive(Debug, Clone)]
pub struct Sealer {
    keys: Vec<Key>,
}

impl Sealer {
    /// A sealer of these keys, the current one first; at least one.
    pub fn new(keys: Vec<Key>) -> Result<Self, SecretError> {
        if keys.is_empty() { Err(SecretError::BadMasterKey) } else { Ok(Self { keys }) }
    }

    /// Reads a master key file: 32 bytes of base64 per line, the current one first, empty lines and `#` comments aside.
    pub fn from_master_key(text: &str) -> Result<Self, SecretError> {
        let keys = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let bytes = base64::engine::general_purpose::STANDARD
                    .decode(line)
                    .or_else(|_| URL_SAFE_NO_PAD.decode(line))
                    .map_err(|_| SecretError::BadMasterKey)?;
                bytes.try_into().map(Key).map_err(|_| SecretError::BadMasterKey)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::new(keys)
    }

    /// Seals `plain` for `purpose`; the answer is text: `v1.{key}.{nonce and ciphertext}`.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<String, SecretError> {
        let key = self.keys.first().ok_or(SecretError::BadMasterKey)?;
        let nonce: [u8; 12] = random()?;
        let mut sealed = plain.to_vec();
        cipher(key)?
            .seal_in_place_append_tag(aead::Nonce::assume_unique_for_key(nonce), aead::Aad::from(purpose.as_bytes()), &mut sealed)
            .map_err(|_| SecretError::CannotOpen)?;
        let body = [nonce.as_slice(), &sealed].concat();
        Ok(format!("v1.{}.{}", key.fingerprint(), URL_SAFE_NO_PAD.encode(body)))
    }

    /// Opens what `seal` made for the same purpose.
    pub fn open(&self, purpose: &str, text: &str) -> Result<Vec<u8>, SecretError> {
        let mut parts = text.split('.');
        let (Some("v1"), Some(name), Some(body), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(SecretError::CannotOpen);
        };
        let key = self.keys.iter().find(|key| key.fingerprint() == name).ok_or(SecretError::CannotOpen)?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| SecretError::CannotOpen)?;
        let (nonce, sealed) = body.split_at_checked(12).ok_or(SecretError::CannotOpen)?;
        let nonce = aead::Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretError::CannotOpen)?;
        let mut sealed = sealed.to_vec();
        let plain = cipher(key)?
            .open_in_place(nonce, aead::Aad::from(purpose.as_bytes()), &mut sealed)
            .map_err(|_| SecretError::CannotOpen)?;
        Ok(plain.to_vec())
    }
}

fn cipher(key: &Key) -> Result<aead::LessSafeKey, SecretError> {
    aead::UnboundKey::new(&aead::AES_256_GCM, &key.0).map(aead::LessSafeKey::new).map_err(|_| SecretError::CannotOpen)
}

/// HMAC-SHA256 over a list of fields, each with its length, so that no byte can move from one field to another.
#[derive(Clone)]
pub struct MacKey(hmac::Key);

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacKey(…)")
    }
}

impl MacKey {
    /// The MAC key for one purpose, derived from `key`.
    #[must_use]
    pub fn derive(key: &Key, purpose: &str) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, &key.0);
        Self(hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, purpose.as_bytes()).as_ref()))
    }

    /// The MAC of these fields, in base64url.
    #[must_use]
    pub fn sign(&self, fields: &[&[u8]]) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, &framed(fields)))
    }

    /// Whether `mac` is the MAC of these fields; takes the same time whatever it finds.
    #[must_use]
    pub fn verify(&self, fields: &[&[u8]], mac: &str) -> bool {
        URL_SAFE_NO_PAD.decode(mac).is_ok_and(|tag| hmac::verify(&self.0, &framed(fields), &tag).is_ok())
    }
}

fn framed(fields: &[&[u8]]) -> Vec<u8> {
    let mut message = Vec::with_capacity(fields.iter().map(|field| field.len() + 8).sum());
    for field in fields {
        message.extend_from_slice(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        message.extend_from_slice(field);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        Sealer::new(vec![Key::from_bytes([byte; 32])]).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_alone() {
        let sealed = sealer(1).seal("client secret", b"hush").unwrap();

        assert_eq!(sealer(1).open("client secret", &sealed).unwrap(), b"hush");
        assert_eq!(sealer(1).open("cookie", &sealed), Err(SecretError::CannotOpen));
        assert_eq!(sealer(2).open("client secret", &sealed), Err(SecretError::CannotOpen));
    }

    #[test]
    fn an_altered_or_truncated_seal_does_not_open() {
        let sealed = sealer(1).seal("p", b"hush").unwrap();

        for cut in 0..sealed.len() {
            assert!(sealer(1).open("p", &sealed[..cut]).is_err());
        }
        let mut altered = sealed.into_bytes();
        let at = altered.len() - 5;
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        assert!(sealer(1).open("p", std::str::from_utf8(&altered).unwrap()).is_err());
    }

    #[test]
    fn an_older_key_of_the_ring_still_opens() {
        let sealed = sealer(1).seal("p", b"hush").unwrap();
        let ring = Sealer::new(vec![Key::from_bytes([2; 32]), Key::from_bytes([1; 32])]).unwrap();

        assert_eq!(ring.open("p", &sealed).unwrap(), b"hush");
    }

    #[test]
    fn a_master_key_file_has_one_key_a_line() {
        let line = base64::engine::general_purpose::STANDARD.encode([9; 32]);

        assert!(Sealer::from_master_key(&format!("# current\n{line}\n\n")).is_ok());
        assert_eq!(Sealer::from_master_key("").err(), Some(SecretError::BadMasterKey));
        assert_eq!(Sealer::from_master_key("c2hvcnQ=").err(), Some(SecretError::BadMasterKey));
    }

    #[test]
    fn bytes_moved_between_fields_change_the_mac() {
        let key = MacKey::derive(&Key::from_bytes([3; 32]), "test");

        let mac = key.sign(&[b"ab", b"c"]);

        assert!(key.verify(&[b"ab", b"c"], &mac));
        assert!(!key.verify(&[b"a", b"bc"], &mac));
        assert!(!MacKey::derive(&Key::from_bytes([3; 32]), "other").verify(&[b"ab", b"c"], &mac));
    }

    #[test]
    fn texts_are_the_same_when_every_byte_is() {
        assert!(is_same("", "") && is_same("scim-1", "scim-1"));
        for other in ["", "scim-", "scim-2", "Scim-1", "scim-11"] {
            assert!(!is_same("scim-1", other), "{other}");
        }
    }

    #[test]
    fn a_bearer_token_parses_and_a_mistyped_one_does_not() {
        let token = BearerToken::new().unwrap();
        let text = token.expose().to_owned();

        assert_eq!(text.len(), 53);
        assert!(BearerToken::parse(&text) == Some(token));
        let last = text.chars().last().unwrap();
        let mistyped = format!("{}{}", &text[..52], if last == 'x' { 'y' } else { 'x' });
        for bad in ["", "lks_", &mistyped, &text[1..], &format!("{text} ")] {
            assert!(BearerToken::parse(bad).is_none(), "{bad}");
        }
    }
}
