//! The canonical text of a filter, which reads back as the same tree.

use std::fmt;

use chrono::SecondsFormat;
use serde_json::Value;

use super::{AttributeRef, Filter, Literal};

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => joined(f, parts, " and "),
            Self::Or(parts) => joined(f, parts, " or "),
            Self::Not(part) => write!(f, "not ({part})"),
            Self::Present(attribute) => write!(f, "{attribute} pr"),
            Self::Compare { attribute, op, value } => write!(f, "{attribute} {} {}", op.word(), Source(value)),
            Self::Element { list, filter } => write!(f, "{list}[{filter}]"),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, parts: &[Filter], word: &str) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(word)?;
        }
        match part {
            Filter::And(_) | Filter::Or(_) => write!(f, "({part})")?,
            Filter::Not(_) | Filter::Present(_) | Filter::Compare { .. } | Filter::Element { .. } => write!(f, "{part}")?,
        }
    }
    Ok(())
}

impl fmt::Display for AttributeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = &self.extension {
            write!(f, "{urn}:")?;
        }
        f.write_str(&self.name)?;
        self.sub.as_ref().map_or(Ok(()), |sub| write!(f, ".{sub}"))
    }
}

impl fmt::Display for Literal {
    /// The plain value, without quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Instant(instant) => f.write_str(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        }
    }
}

/// A literal as the grammar writes it.
struct Source<'l>(&'l Literal);

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Literal::Text(text) => write!(f, "{}", Value::from(text.as_str())),
            Literal::Instant(_) => write!(f, "\"{}\"", self.0),
            Literal::Boolean(_) | Literal::Number(_) => write!(f, "{}", self.0),
        }
    }
}

/// A filter without what it compares with, for logs.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'f>(pub &'f Filter);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Filter::And(parts) => shapes(f, parts, " and "),
            Filter::Or(parts) => shapes(f, parts, " or "),
            Filter::Not(part) => write!(f, "not ({})", Shape(part)),
            Filter::Present(attribute) => write!(f, "{attribute} pr"),
            Filter::Compare { attribute, op, .. } => write!(f, "{attribute} {} …", op.word()),
            Filter::Element { list, filter } => write!(f, "{list}[{}]", Shape(filter)),
        }
    }
}

fn shapes(f: &mut fmt::Formatter<'_>, parts: &[Filter], word: &str) -> fmt::Result {
    f.write_str("(")?;
    for (at, part) in parts.iter().enumerate() {
        write!(f, "{}{}", if at > 0 { word } else { "" }, Shape(part))?;
    }
    f.write_str(")")
}
