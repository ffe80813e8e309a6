//! Why a token is not one that a provider signed, and how a piece of a stranger's text may stand in a log line.

use std::fmt;

/// A piece of a provider's text that may stand in a log line: printable, short, and marked where it was cut.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    const LIMIT: usize = 120;

    /// Takes what can be shown of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let mut shown: String = text.chars().take(Self::LIMIT).flat_map(char::escape_debug).collect();
        if text.chars().nth(Self::LIMIT).is_some() {
            shown.push('…');
        }
        Self(shown)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a token is not one that a provider signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Over the size that any honest token has.
    #[error("it is larger than 64 KiB")]
    TooLarge,
    /// Not a compact JWS of three base64url parts with JSON objects inside.
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    /// A JSON member appears twice: two readers would see two different tokens.
    #[error("it has the member {0} twice")]
    DuplicateMember(Excerpt),
    /// A JWE.
    #[error("it is encrypted, which is not supported")]
    Encrypted,
    /// `alg` is `none` in any spelling.
    #[error("it is not signed (alg is none)")]
    Unsigned,
    /// An algorithm that is symmetric or unknown.
    #[error("it is signed with {0}, which is not an asymmetric algorithm that is accepted")]
    AlgorithmNotAllowed(Excerpt),
    /// RFC 7515, section 4.1.11, and RFC 7797.
    #[error("its header asks for an extension (crit, b64, zip or cty) that is not supported")]
    CriticalHeader,
    /// A key identifier that is no short text.
    #[error("its kid is not a text of at most 256 characters")]
    KeyIdMalformed,
    /// No key of the set has this `kid`; it may have rotated.
    #[error("no usable key of the key set matches it")]
    KeyUnknown,
    /// The named key is not for this algorithm.
    #[error("the key that it names is not for the algorithm that it is signed with")]
    KeyMismatch,
    /// Several keys fit.
    #[error("several keys of the key set fit: it needs a kid, and each key its own")]
    KeyAmbiguous,
    /// The signature does not verify.
    #[error("its signature is not valid")]
    Signature,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_short_printable_line() {
        let hostile = format!("a\r\nlevel=error \u{1b}[31m \u{200b}\"{}", "x".repeat(10_000));

        let shown = Excerpt::of(&hostile).to_string();

        assert!(shown.chars().all(|c| !c.is_control() && c != '\u{200b}'), "{shown}");
        assert!(shown.len() < 200, "{shown}");
        assert!(shown.contains('…'));
    }
}
