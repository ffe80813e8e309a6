//! What a value's text must be like beyond its type. Only the strict profile asks; what is stored is never looked at again.

use serde_json::Value;

use crate::scim::filter::exact_instant;
use crate::scim::schema::{Attribute, AttributeType};

/// What the value should have been, if it is not.
pub(super) fn fault(definition: &Attribute, value: &Value) -> Option<&'static str> {
    let text = value.as_str()?;
    match definition.kind {
        AttributeType::DateTime if exact_instant(text).is_none() => Some("a date and time such as 2011-05-13T04:42:34Z"),
        AttributeType::Binary if !is_whole_base64(text) => Some("whole base64 text"),
        AttributeType::Reference if is_url(definition) && !is_absolute(text) => Some("a URL"),
        AttributeType::Reference if !is_uri(text) => Some("a URI"),
        AttributeType::String
        | AttributeType::Boolean
        | AttributeType::Decimal
        | AttributeType::Integer
        | AttributeType::DateTime
        | AttributeType::Reference
        | AttributeType::Binary
        | AttributeType::Complex => None,
    }
}

/// RFC 4648, sections 4 and 5: one alphabet, no lonely digit at the end, and padding that fills the last four or is left out.
fn is_whole_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    let of = |more: &[u8]| digits.bytes().all(|c| c.is_ascii_alphanumeric() || more.contains(&c));
    let is_filled = digits.len() == text.len() || text.len().is_multiple_of(4);
    (of(b"+/") || of(b"-_")) && digits.len() % 4 != 1 && text.len() - digits.len() <= 2 && is_filled
}

/// RFC 7643, section 7: what is `external` alone is no resource of ours, to which a relative reference could lead.
fn is_url(definition: &Attribute) -> bool {
    !definition.reference_types.is_empty() && definition.reference_types.iter().all(|target| target == "external")
}

fn is_absolute(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !rest.is_empty()
        && is_uri(text)
}

/// RFC 3986, section 2: the characters of an absolute or a relative reference; a percent sign has two digits after it.
fn is_uri(text: &str) -> bool {
    let is_legal = |c: u8| c.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&c);
    let is_escape = |after: &str| after.len() >= 2 && after.bytes().take(2).all(|c| c.is_ascii_hexdigit());
    !text.is_empty() && text.bytes().all(is_legal) && text.split('%').skip(1).all(is_escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_whole() {
        for text in ["", "QQ==", "QQ", "QUI=", "QUI", "QUJD", "-_-_", "+/+/"] {
            assert!(is_whole_base64(text), "{text}");
        }
        for text in ["A", "QUJDQ", "QQ=", "QUJD=", "Q===", "====", "+_+_", "Q Q=", "QQ==QQ==", "é"] {
            assert!(!is_whole_base64(text), "{text}");
        }
    }

    #[test]
    fn a_reference_is_a_uri_and_an_external_one_a_url() {
        for text in ["https://a.example/b?c=%20#d", "urn:x:y", "mailto:a@b.example", "http://[::1]/"] {
            assert!(is_absolute(text), "{text}");
        }
        for text in ["../Users/7", "/Users/7", "7", "a:b"] {
            assert!(is_uri(text), "{text}");
        }
        for text in ["", "not a url at all", "a%2", "%zz", "a\"b", "https://é.example", "a\nb"] {
            assert!(!is_uri(text) && !is_absolute(text), "{text}");
        }
        for text in ["../Users/7", "www.a.example/b", "://x", "7:x", "https:", "a b:c"] {
            assert!(!is_absolute(text), "{text}");
        }
    }
}
