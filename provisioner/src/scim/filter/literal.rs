//! Gives a literal the type of the attribute that it is compared with, or says why it has none.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use serde_json::Number;

use super::lexer::Token;
use super::{AttributeRef, CompareOp, Literal};
use crate::scim::schema::AttributeType;
use crate::scim::{Profile, ScimError};

/// A literal as it was written.
pub(super) enum Written<'t> {
    Text(String),
    Word(&'t str),
}

impl<'t> Written<'t> {
    pub(super) fn from_token(token: Option<Token<'t>>) -> Result<Self, ScimError> {
        match token {
            Some(Token::Text(text)) => Ok(Self::Text(text)),
            Some(Token::Word(word)) => Ok(Self::Word(word)),
            Some(Token::Open | Token::Close | Token::OpenBracket | Token::CloseBracket) | None => {
                Err(ScimError::InvalidFilter("an operator has no value after it".into()))
            }
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Word("null"))
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Word(word) => word,
        }
    }

    /// Only the lenient profile takes a word for text, and text for what is not text.
    fn is_proper(&self, wants_text: bool) -> bool {
        matches!(self, Self::Text(_)) == wants_text
    }
}

pub(super) fn typed(
    attribute: &AttributeRef,
    op: CompareOp,
    written: &Written<'_>,
    profile: Profile,
) -> Result<Literal, ScimError> {
    let wants_text = !matches!(attribute.kind, AttributeType::Boolean | AttributeType::Integer | AttributeType::Decimal);
    if !profile.is_lenient() && !written.is_proper(wants_text) {
        return Err(mismatch(attribute, if wants_text { "text in double quotes" } else { "a literal without quotes" }));
    }
    if !suits(attribute.kind, op) {
        return Err(ScimError::InvalidFilter(format!("{attribute} cannot be compared with {}", op.word())));
    }
    match attribute.kind {
        AttributeType::String | AttributeType::Reference | AttributeType::Binary => text(written),
        AttributeType::Boolean => truth(written)
            .filter(|truth| profile.is_lenient() || written.as_str() == if *truth { "true" } else { "false" })
            .map(Literal::Boolean)
            .ok_or_else(|| mismatch(attribute, "true or false")),
        AttributeType::Integer | AttributeType::Decimal => {
            written.as_str().parse::<Number>().map(Literal::Number).map_err(|_| mismatch(attribute, "a number"))
        }
        AttributeType::DateTime => {
            let read = if profile.is_lenient() { instant } else { exact_instant };
            read(written.as_str()).map(Literal::Instant).ok_or_else(|| mismatch(attribute, "a date and time"))
        }
        AttributeType::Complex => Err(ScimError::InvalidFilter(format!("{attribute} has parts: name one of them"))),
    }
}

/// RFC 7644, table 3: boolean and binary have no order, and only text has a beginning and an end.
fn suits(kind: AttributeType, op: CompareOp) -> bool {
    match op {
        CompareOp::Eq | CompareOp::Ne => true,
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew => matches!(kind, AttributeType::String | AttributeType::Reference),
        CompareOp::Gt | CompareOp::Ge | CompareOp::Lt | CompareOp::Le => {
            !matches!(kind, AttributeType::Boolean | AttributeType::Binary)
        }
    }
}

fn text(written: &Written<'_>) -> Result<Literal, ScimError> {
    match written.as_str() {
        word if word.contains('\0') => Err(ScimError::InvalidFilter("a value contains a NUL character".into())),
        word => Ok(Literal::Text(word.to_owned())),
    }
}

/// A word is what somebody typed, in whatever case.
fn truth(written: &Written<'_>) -> Option<bool> {
    match written {
        Written::Text(text) => boolean(text),
        Written::Word(word) => boolean(&word.to_ascii_lowercase()),
    }
}

/// Exactly the spellings of JSON and of Entra.
pub(in crate::scim) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" => Some(true),
        "false" | "False" => Some(false),
        _ => None,
    }
}

/// RFC 3339, or XML Schema's forms without a zone, which are taken as UTC.
pub(in crate::scim) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.with_timezone(&Utc));
    // Other years could not be written down again in either form.
    zoned.or_else(|| without_zone(text)).filter(|instant| (0..=9999).contains(&instant.year()))
}

/// The form of RFC 3339 and no other: RFC 7643, section 2.3.5, wants both a date and a time, and without a zone it would be no instant.
pub(in crate::scim) fn exact_instant(text: &str) -> Option<DateTime<Utc>> {
    let is_zoned = DateTime::parse_from_rfc3339(text).is_ok() && text.as_bytes().get(10) == Some(&b'T');
    instant(text).filter(|_| is_zoned)
}

fn without_zone(text: &str) -> Option<DateTime<Utc>> {
    let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
        .or_else(|_| NaiveDate::parse_from_str(text, "%Y-%m-%d").map(|day| day.and_time(NaiveTime::MIN)));
    naive.ok().map(|naive| naive.and_utc())
}

fn mismatch(attribute: &AttributeRef, wanted: &str) -> ScimError {
    ScimError::InvalidFilter(format!("{attribute} is compared with {wanted}"))
}
