//! Cookies, read so that a malformed, doubled or forged one is exactly like none, and written with one set of attributes. The
//! session cookie is a random secret with a MAC: a forged one is refused without asking any store.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, header};
use lockstep_shared::{
    id::{SessionId, WorkspaceId},
    secret::{self, Key, MacKey, SecretError},
};

/// The session cookie. The prefix keeps other hosts of the domain from setting it.
pub const SESSION: &str = "__Host-lockstep";

/// RFC 6265, section 6.1: what every browser stores, name and attributes included.
pub(crate) const SIZE_LIMIT: usize = 4096;
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// The value of a cookie that came exactly once and is well-formed. Two of one name mean that somebody planted one.
#[must_use]
pub fn read<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut found = pairs(headers).filter(|(own, _)| *own == name.as_bytes()).map(|(_, value)| value);
    let (value, None) = (found.next()?, found.next()) else { return None };
    let value = std::str::from_utf8(value).ok()?;
    (value.len() <= SIZE_LIMIT && value.bytes().all(is_cookie_octet)).then_some(value)
}

/// Names and values as sent. Only space and tab are trimmed: a browser lets `U+2000__Host-x` be set from anywhere, and a reader
/// that trimmed it away would take it for ours.
pub(crate) fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.get_all(header::COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = pair.split_at_checked(equals)?;
        Some((trim(name), trim(value.get(1..)?)))
    })
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// RFC 6265, section 4.1.1; a quoted value is not one of ours.
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

/// A `Set-Cookie` header that keeps `value` for `seconds`, or for the browser's session.
pub(crate) fn set(name: &str, value: &str, seconds: Option<u64>) -> Option<HeaderValue> {
    let max_age = seconds.map_or(String::new(), |seconds| format!("; Max-Age={seconds}"));
    HeaderValue::try_from(format!("{name}={value}; {ATTRIBUTES}{max_age}")).ok()
}

/// A `Set-Cookie` header that takes the cookie away; with the same attributes, or browsers ignore it for this prefix.
#[must_use]
pub fn clear(name: &str) -> Option<HeaderValue> {
    set(name, "", Some(0))
}

/// What a session is known by: 256 random bits. Stores see its digest alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSecret([u8; 32]);

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(…)")
    }
}

impl SessionSecret {
    /// Draws a new secret; every sign-in has its own.
    pub fn new() -> Result<Self, SecretError> {
        secret::random().map(Self)
    }

    /// The identifier of its session.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId::of_secret(&self.0)
    }
}

/// What a request carries: whose session, in which workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The secret.
    pub secret: SessionSecret,
}

impl Presented {
    /// The identifier of the session.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.secret.id()
    }
}

/// The ring of keys behind the session cookie's MAC: signs with the first, verifies with any.
#[derive(Debug, Clone)]
pub struct SessionKeys {
    current: (u8, MacKey),
    older: Vec<(u8, MacKey)>,
}

impl SessionKeys {
    const VERSION: &str = "1";

    /// A ring of one key, known by its number.
    #[must_use]
    pub fn new(number: u8, key: &Key) -> Self {
        Self { current: (number, mac_key(key)), older: Vec::new() }
    }

    /// The ring with an older key that still verifies.
    #[must_use]
    pub fn with_older(mut self, number: u8, key: &Key) -> Self {
        self.older.push((number, mac_key(key)));
        self
    }

    /// The cookie's value for a secret of a workspace.
    #[must_use]
    pub fn write(&self, workspace: &WorkspaceId, secret: &SessionSecret) -> String {
        let (number, key) = &self.current;
        let text = URL_SAFE_NO_PAD.encode(secret.0);
        let mac = key.sign(&[Self::VERSION.as_bytes(), &[*number], workspace.as_str().as_bytes(), text.as_bytes()]);
        format!("{}.{number}.{workspace}.{text}.{mac}", Self::VERSION)
    }

    /// The `Set-Cookie` header for a secret. It has no end of its own: the session's end is ours to keep.
    #[must_use]
    pub fn set_cookie(&self, workspace: &WorkspaceId, secret: &SessionSecret) -> Option<HeaderValue> {
        set(SESSION, &self.write(workspace, secret), None)
    }

    /// What a request carries, if one of these keys made its cookie.
    #[must_use]
    pub fn read(&self, headers: &HeaderMap) -> Option<Presented> {
        self.open(read(headers, SESSION)?)
    }

    fn open(&self, value: &str) -> Option<Presented> {
        let mut parts = value.split('.');
        let (version, number, workspace) = (parts.next()?, parts.next()?, parts.next()?);
        let (text, mac) = (parts.next()?, parts.next()?);
        if version != Self::VERSION || parts.next().is_some() || text.len() != 43 {
            return None;
        }
        let key_number: u8 = number.parse().ok()?;
        let (_, key) = std::iter::once(&self.current).chain(&self.older).find(|(own, _)| *own == key_number)?;
        if number != key_number.to_string()
            || !key.verify(&[version.as_bytes(), &[key_number], workspace.as_bytes(), text.as_bytes()], mac)
        {
            return None;
        }
        let secret = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(SessionSecret)?;
        Some(Presented { workspace: WorkspaceId::parse(workspace).ok()?, secret })
    }
}

fn mac_key(key: &Key) -> MacKey {
    MacKey::derive(key, "lockstep session cookie")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: u8) -> SessionKeys {
        SessionKeys::new(1, &Key::from_bytes([byte; 32]))
    }

    fn acme() -> WorkspaceId {
        WorkspaceId::parse("acme").unwrap()
    }

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        lines.iter().map(|line| (header::COOKIE, HeaderValue::from_bytes(line).unwrap())).collect()
    }

    fn carried(line: &str) -> Option<SessionSecret> {
        keys(1).read(&headers(&[line.as_bytes()])).map(|presented| presented.secret)
    }

    #[test]
    fn a_secret_comes_back_from_its_cookie() {
        let secret = SessionSecret::new().unwrap();
        let value = keys(1).write(&acme(), &secret);

        assert_eq!(carried(&format!("a=b; {SESSION}={value}; theme=dark")), Some(secret.clone()));
        assert_eq!(carried(&format!("\t{SESSION}={value} ")), Some(secret));
        assert!(value.len() < 130);
    }

    #[test]
    fn r60_the_cookie_has_the_host_prefix_and_every_attribute() {
        let header = keys(1).set_cookie(&acme(), &SessionSecret::new().unwrap()).unwrap();

        let (pair, attributes) = header.to_str().unwrap().split_once("; ").unwrap();
        assert!(pair.starts_with("__Host-lockstep=1.1."));
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(clear(SESSION).unwrap(), "__Host-lockstep=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    }

    #[test]
    fn g52_a_truncated_or_altered_cookie_is_none() {
        let value = keys(1).write(&acme(), &SessionSecret::new().unwrap());

        for cut in 0..value.len() {
            assert_eq!(carried(&format!("{SESSION}={}", &value[..cut])), None);
        }
        for at in 0..value.len() {
            for replacement in [b'A', b'B', b'.', b'=', b'-', b'0'] {
                let mut bytes = value.clone().into_bytes();
                if bytes[at] != replacement {
                    bytes[at] = replacement;
                    assert_eq!(carried(&format!("{SESSION}={}", String::from_utf8(bytes).unwrap())), None, "{at}");
                }
            }
        }
        for tail in [".", "=", "A", ".x"] {
            assert_eq!(carried(&format!("{SESSION}={value}{tail}")), None, "{tail}");
        }
    }

    #[test]
    fn g22_a_cookie_does_not_move_to_another_workspace() {
        let value = keys(1).write(&acme(), &SessionSecret::new().unwrap());

        assert!(keys(1).open(&value).is_some());
        assert_eq!(keys(1).open(&value.replacen(".acme.", ".other.", 1)), None);
    }

    #[test]
    fn g52_a_cookie_of_another_key_version_or_number_is_none() {
        let secret = SessionSecret::new().unwrap();
        let value = keys(1).write(&acme(), &secret);

        assert_eq!(keys(2).open(&value), None);
        assert_eq!(keys(1).open(&value.replacen("1.", "2.", 1)), None);
        assert_eq!(keys(1).open(&value.replacen("1.1.", "1.2.", 1)), None);
        assert_eq!(keys(1).open(&value.replacen("1.1.", "1.01.", 1)), None, "one spelling of each cookie");
        assert_eq!(keys(1).open(&value.replacen("1.1.", "1.+1.", 1)), None);
    }

    #[test]
    fn r81_an_older_key_still_verifies_after_a_rotation() {
        let secret = SessionSecret::new().unwrap();
        let before = keys(1).write(&acme(), &secret);
        let ring = SessionKeys::new(2, &Key::from_bytes([2; 32])).with_older(1, &Key::from_bytes([1; 32]));

        assert_eq!(ring.open(&before), Some(Presented { workspace: acme(), secret: secret.clone() }));
        assert!(ring.write(&acme(), &secret).starts_with("1.2."));
        assert_eq!(keys(1).open(&ring.write(&acme(), &secret)), None);
    }

    #[test]
    fn p10_tossed_cookies_are_none() {
        let value = keys(1).write(&acme(), &SessionSecret::new().unwrap());
        let good = format!("{SESSION}={value}");
        let long = format!("{SESSION}={}", "a".repeat(5000));

        for line in [
            format!("{good}; {good}"),
            format!("{good}; {SESSION}=x"),
            format!("{SESSION}=; {good}"),
            format!("{good}; {long}"),
            format!("{SESSION}=\"{value}\""),
            format!("$Version=1; {SESSION}=\"{value}\"; $Path=/"),
            format!("\u{2000}{good}"),
            format!("\u{a0}{good}"),
            format!("__host-lockstep={value}"),
            format!("__Host-lockstep2={value}"),
            format!("a={good}"),
            SESSION.to_owned(),
            format!("={value}"),
            long,
        ] {
            assert_eq!(carried(&line), None, "{line:.80}");
        }
        assert_eq!(keys(1).read(&headers(&[good.as_bytes(), good.as_bytes()])), None, "two lines");
        assert!(carried(&format!("\u{2000}{SESSION}=x; {good}")).is_some(), "another name does no harm");
        assert!(keys(1).read(&headers(&[b"a=\xff\xfe", good.as_bytes()])).is_some());
    }

    #[test]
    fn g52_no_byte_string_is_a_session() {
        // A fixed sequence (SplitMix64), so that a failure repeats.
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z ^ (z >> 31)
        };
        let good = keys(1).write(&acme(), &SessionSecret::new().unwrap()).into_bytes();
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..=next() % 4 {
                let at = usize::try_from(next()).unwrap() % bytes.len();
                match next() % 3 {
                    0 => bytes[at] = u8::try_from(next() % 256).unwrap(),
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, u8::try_from(next() % 256).unwrap()),
                }
            }
            let line = [SESSION.as_bytes(), b"=", &bytes].concat();
            if bytes != good
                && let Ok(value) = HeaderValue::from_bytes(&line)
            {
                let carried = keys(1).read(&[(header::COOKIE, value)].into_iter().collect());
                // White space at the end and further cookies are not part of the value.
                assert!(carried.is_none() || bytes.starts_with(&good), "{line:?}");
            }
        }
    }
}
