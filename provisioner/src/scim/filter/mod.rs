//! Filters (RFC 7644, section 3.4.2.2): text in, a typed tree out, checked against a schema.
//!
//! Names in the tree are canonical and literals have the attribute's type, so that the store can translate parts of it
//! into SQL without looking anything up; [`Filter::matches`] is what every translation must agree with.

mod entries;
mod evaluate;
mod lexer;
mod literal;
mod parser;
mod print;
#[cfg(test)]
mod tests;

pub use entries::Questions;
pub(super) use evaluate::compare_numbers;
pub(super) use lexer::{ends_value, marks_like};
pub(super) use literal::{boolean, exact_instant, instant};
pub use print::Shape;

use chrono::{DateTime, Utc};
use serde_json::{Map, Number, Value};

use super::schema::{Attribute, AttributeType, Names};
use super::{Profile, ScimError};

/// The longest filter, in bytes.
pub const MAX_LENGTH: usize = 16_384;

/// The deepest nesting of parentheses, `not` and brackets.
pub const MAX_DEPTH: usize = 32;

/// A condition on one resource, or on one element of a list.
///
/// `and` and `or` hold two or more parts side by side, so that only nesting makes the tree deep, and nesting is bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Every part holds.
    And(Vec<Filter>),
    /// Some part holds.
    Or(Vec<Filter>),
    /// The part does not hold.
    Not(Box<Filter>),
    /// The attribute has a value that is not empty.
    Present(AttributeRef),
    /// Some value of the attribute compares so. `ne` holds where no value is equal, so also where there is none.
    Compare {
        /// The attribute.
        attribute: AttributeRef,
        /// How to compare.
        op: CompareOp,
        /// The literal, in the attribute's type.
        value: Literal,
    },
    /// One and the same element of the list satisfies the inner filter, whose names are relative to the element.
    Element {
        /// The list.
        list: AttributeRef,
        /// The condition on the element.
        filter: Box<Filter>,
    },
}

/// An attribute as a filter refers to it, with what is to be known to compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeRef {
    /// The extension's URN, or `None` for the core and the common attributes.
    pub extension: Option<String>,
    /// The attribute, canonically spelled.
    pub name: String,
    /// The sub-attribute, canonically spelled.
    pub sub: Option<String>,
    /// The type of what is compared.
    pub kind: AttributeType,
    /// Whether text is compared exactly, or by [`normal_key`](super::text::normal_key).
    pub case_exact: bool,
    /// Whether the attribute is a list.
    pub multi_valued: bool,
    /// Whether an entry without it compares as one that has false.
    pub false_when_absent: bool,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Ge,
    /// Less than.
    Lt,
    /// Less than or equal.
    Le,
}

impl CompareOp {
    const ALL: [Self; 9] = [Self::Eq, Self::Ne, Self::Co, Self::Sw, Self::Ew, Self::Gt, Self::Ge, Self::Lt, Self::Le];

    /// The operator's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.word().eq_ignore_ascii_case(word))
    }
}

/// A literal in the type of the attribute that it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// Text, also of references and binaries.
    Text(String),
    /// A truth value.
    Boolean(bool),
    /// A number.
    Number(Number),
    /// An instant.
    Instant(DateTime<Utc>),
}

impl Literal {
    /// The literal as it would stand in a resource.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Boolean(truth) => Value::Bool(*truth),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Instant(_) => Value::String(self.to_string()),
        }
    }
}

impl Filter {
    /// Reads a filter over resources of a type.
    pub fn parse<'s>(text: &str, names: impl Into<Names<'s>>, profile: Profile) -> Result<Self, ScimError> {
        parser::resource(text, names.into(), profile)
    }

    /// Reads a filter over the elements of a list, as it stands between brackets.
    pub fn parse_element(text: &str, list: &Attribute, profile: Profile) -> Result<Self, ScimError> {
        parser::element(text, list, profile)
    }

    /// Tells whether the resource, or the list's element, satisfies the filter.
    ///
    /// A resource is given whole, with `schemas`, `id`, `meta` and what the store adds.
    #[must_use]
    pub fn matches(&self, resource: &Value) -> bool {
        evaluate::matches(self, resource)
    }

    /// The parts that must all hold: those of an `and`, or the filter itself.
    #[must_use]
    pub fn conjuncts(&self) -> &[Filter] {
        match self {
            Self::And(parts) => parts,
            Self::Or(_) | Self::Not(_) | Self::Present(_) | Self::Compare { .. } | Self::Element { .. } => {
                std::slice::from_ref(self)
            }
        }
    }

    /// How many comparisons it makes.
    #[must_use]
    pub fn comparisons(&self) -> usize {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::comparisons).sum(),
            Self::Not(part) | Self::Element { filter: part, .. } => part.comparisons(),
            Self::Present(_) | Self::Compare { .. } => 1,
        }
    }

    /// The attribute and the value, where the filter is one equality.
    #[must_use]
    pub fn as_equality(&self) -> Option<(&AttributeRef, &Literal)> {
        match self {
            Self::Compare { attribute, op: CompareOp::Eq, value } => Some((attribute, value)),
            Self::Compare { .. } | Self::And(_) | Self::Or(_) | Self::Not(_) | Self::Present(_) | Self::Element { .. } => None,
        }
    }

    /// What an element must hold to satisfy the equalities of this filter: the seed of an element that is to be created.
    #[must_use]
    pub fn equalities(&self) -> Map<String, Value> {
        let equal = self.conjuncts().iter().filter_map(Self::as_equality);
        equal.map(|(attribute, value)| (attribute.name.clone(), value.to_value())).collect()
    }

    /// The texts, where the filter says no more than that `name` is one of them.
    #[must_use]
    pub fn as_one_of(&self, name: &str) -> Option<Vec<&str>> {
        if let Self::Or(parts) = self {
            let each: Option<Vec<Vec<&str>>> = parts.iter().map(|part| part.as_one_of(name)).collect();
            return each.map(|lists| lists.concat());
        }
        match self.as_equality() {
            Some((attribute, Literal::Text(text))) if attribute.name == name && attribute.sub.is_none() => Some(vec![text]),
            Some(_) | None => None,
        }
    }
}
