//! How names are compared: one folding for user names, e-mail addresses and display names, used for uniqueness, for look-ups
//! and for filters alike, so that no two places disagree about who is who.

use unicode_normalization::UnicodeNormalization as _;

/// The key under which text that is not case-exact is unique and found: NFC, then each character's Unicode lower-case mapping
/// without context or language, then NFC again. So NFC and NFD spellings meet, `İ` does not become a plain `i`, `ß` and `ẞ` meet
/// but stay apart from `ss`, and both small sigmas are one.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfc().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).nfc().collect()
}

/// An e-mail address that was read strictly: exactly one `@`, no space, control, quote or invisible character.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    folded: String,
    at: usize,
}

impl EmailAddress {
    /// Reads an address; `None` for anything that two systems could read differently.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let folded = fold(text);
        let (local, domain) = folded.split_once('@')?;
        let odd = |c: char| {
            c.is_control()
                || c.is_whitespace()
                || is_invisible(c)
                || matches!(c, '"' | '\\' | '<' | '>' | '(' | ')' | ',' | ';' | ':' | '@' | '%')
        };
        if local.is_empty() || local.len() > 64 || folded.chars().filter(|c| *c == '@').count() != 1 {
            return None;
        }
        if local.chars().any(odd) || !is_domain(domain) {
            return None;
        }
        let at = local.len();
        Some(Self { folded, at })
    }

    /// The folded address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.folded
    }

    /// The part behind the `@`, folded.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.folded.get(self.at + 1..).unwrap_or_default()
    }
}

/// Whether this is a domain name in lower case with at least two labels; IDNs in their `xn--` form.
#[must_use]
pub fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s21_two_spellings_of_one_name_have_one_key() {
        for (a, b) in [("Jos\u{e9}", "jose\u{301}"), ("BABS@Acme.com", "babs@acme.COM"), ("ÅSA", "a\u{30a}sa")] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        for (a, b) in [("straße", "strasse"), ("ı", "i"), ("a", "а")] {
            assert_ne!(fold(a), fold(b), "{a} {b}");
        }
    }

    #[test]
    fn g40_an_address_that_two_systems_could_read_differently_is_none() {
        for bad in [
            "attacker@evil.com@company.com",
            "\"a@company.com\"@evil.com",
            "a@company.com.",
            "a@company.com%00@evil.com",
            "a%00@company.com",
            "a@company.com ",
            "a\u{200b}@company.com",
            "@company.com",
            "a@",
            "a@localhost",
            "a b@company.com",
            "a@comp\u{e4}ny.com",
        ] {
            assert!(EmailAddress::parse(bad).is_none(), "{bad:?}");
        }
        let good = EmailAddress::parse("A.b+c@COMPANY.com").unwrap();
        assert_eq!((good.as_str(), good.domain()), ("a.b+c@company.com", "company.com"));
        assert_eq!(EmailAddress::parse("a@xn--bcher-kva.example").unwrap().domain(), "xn--bcher-kva.example");
    }
}
