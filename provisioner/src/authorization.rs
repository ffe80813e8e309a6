//! The `Authorization` header, read and not yet believed: its one line, and the name and secret of HTTP Basic.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, header};

/// Some clients leave the padding out.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The scheme, and what follows it, of the one header; two of them are nobody's.
pub(crate) fn only(headers: &HeaderMap) -> Option<(&str, &str)> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    let (scheme, rest) = line.to_str().ok()?.split_once(' ')?;
    Some((scheme, rest.trim_start_matches(' ')))
}

/// The name and the secret of HTTP Basic (RFC 7617).
pub(crate) fn basic(rest: &str) -> Option<(String, String)> {
    let plain = String::from_utf8(BASE64.decode(rest).ok()?).ok()?;
    let (name, secret) = plain.split_once(':')?;
    Some((name.to_owned(), secret.to_owned()))
}
