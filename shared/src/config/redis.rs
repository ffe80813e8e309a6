//! `[redis]`: the doorbell between processes and the store of sessions.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::reader::Section;

/// `[redis]`.
#[derive(Debug, Clone)]
pub struct Redis {
    /// The server; may hold a password.
    pub url: SecretString,
    /// What the names of all keys and channels start with.
    pub prefix: String,
}

impl Redis {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let is_given = section.is_given();
        let url = section.secret("url", "url_file");
        let prefix = section.get_with_origin::<String>("prefix");
        if let Some((prefix, origin)) = &prefix
            && !is_prefix(prefix)
        {
            section.invalid("prefix", origin.clone(), "must be 1 to 64 characters of a-z, A-Z, 0-9, '-', '_' and '.'".to_owned());
        }
        if url.is_none() && is_given && !section.has_problems() {
            section.missing("redis.url", "give the server, such as \"redis://redis.internal:6379\", or leave [redis] out");
        }
        if let Some((url, origin)) = &url
            && let Err(reason) = check(url.expose_secret())
        {
            section.invalid("url", origin.clone(), reason.to_owned());
        }
        section.finish();
        Some(Self { url: url?.0, prefix: prefix.map_or_else(|| "lockstep".to_owned(), |(prefix, _)| prefix) })
    }
}

/// No `:` since it separates, and none of the characters that mean something in patterns (`*?[]{}`).
fn is_prefix(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn check(url: &str) -> Result<(), &'static str> {
    const EXPECTED: &str = "is not a Redis URL; expected \"redis://user:password@host:6379\" or, with TLS, \"rediss://…\"";
    let parsed = Url::parse(url).map_err(|_| EXPECTED)?;
    if matches!(parsed.scheme(), "redis" | "rediss") && parsed.has_host() { Ok(()) } else { Err(EXPECTED) }
}
