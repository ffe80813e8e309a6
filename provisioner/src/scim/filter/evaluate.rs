//! A filter in memory: the meaning that every translation of it into SQL has to agree with.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::literal::instant;
use super::{AttributeRef, CompareOp, Filter, Literal};
use crate::scim::text::{normal_key, same_folded};

pub(super) fn matches(filter: &Filter, resource: &Value) -> bool {
    match filter {
        Filter::And(parts) => parts.iter().all(|part| matches(part, resource)),
        Filter::Or(parts) => parts.iter().any(|part| matches(part, resource)),
        Filter::Not(part) => !matches(part, resource),
        Filter::Present(attribute) => any(attribute, resource, is_present),
        Filter::Compare { attribute, op: CompareOp::Ne, value } => !some_compares(attribute, CompareOp::Eq, value, resource),
        Filter::Compare { attribute, op, value } => some_compares(attribute, *op, value, resource),
        Filter::Element { list, filter } => any(list, resource, |element| matches(filter, element)),
    }
}

fn some_compares(attribute: &AttributeRef, op: CompareOp, literal: &Literal, resource: &Value) -> bool {
    let absent = Value::Bool(false);
    any(attribute, resource, |found| compares(attribute, op, literal, found))
        || (attribute.false_when_absent && compares(attribute, op, literal, &absent) && is_without(attribute, resource))
}

/// Tells whether some value at the path passes the test; lists are looked through.
fn any(attribute: &AttributeRef, resource: &Value, test: impl Fn(&Value) -> bool) -> bool {
    let Some(value) = attribute.find(resource) else { return false };
    elements(value).iter().filter_map(|element| attribute.sub.as_ref().map_or(Some(element), |sub| part(element, sub))).any(test)
}

/// Tells whether some entry does not have the part. Between brackets the resource is the entry itself.
fn is_without(attribute: &AttributeRef, resource: &Value) -> bool {
    match (attribute.find(resource), &attribute.sub) {
        (Some(list), Some(sub)) => elements(list).iter().any(|entry| part(entry, sub).is_none()),
        (found, sub) => found.is_none() && sub.is_none(),
    }
}

fn elements(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

impl AttributeRef {
    /// What the resource has under the name, all of it.
    pub(in crate::scim) fn find<'v>(&self, resource: &'v Value) -> Option<&'v Value> {
        let Some(urn) = &self.extension else { return part(resource, &self.name) };
        let home = resource.get(urn)?.as_object()?;
        // The names of a free-form extension have no canonical spelling.
        let in_any_case = || home.iter().find(|(name, _)| name.eq_ignore_ascii_case(&self.name)).map(|(_, value)| value);
        home.get(&self.name).or_else(in_any_case)
    }
}

/// A part of an object; a plain value is its own `value`.
fn part<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    if value.is_object() { value.get(name) } else { (name == "value").then_some(value) }
}

/// RFC 7644, table 3: `pr` asks for a value that is not empty.
fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => items.iter().any(is_present),
        Value::Object(members) => members.values().any(is_present),
    }
}

fn compares(attribute: &AttributeRef, op: CompareOp, literal: &Literal, found: &Value) -> bool {
    match (literal, found) {
        (Literal::Text(wanted), Value::String(found)) if attribute.case_exact => text_compares(op, found, wanted),
        (Literal::Text(wanted), Value::String(found)) if op == CompareOp::Eq => same_folded(found, wanted),
        (Literal::Text(wanted), Value::String(found)) => text_compares(op, &normal_key(found), &normal_key(wanted)),
        (Literal::Boolean(wanted), Value::Bool(found)) => ordered(op, found.cmp(wanted)),
        (Literal::Number(wanted), Value::Number(found)) => compare_numbers(found, wanted).is_some_and(|order| ordered(op, order)),
        (Literal::Instant(wanted), Value::String(found)) => instant(found).is_some_and(|found| ordered(op, found.cmp(wanted))),
        (Literal::Text(_) | Literal::Boolean(_) | Literal::Number(_) | Literal::Instant(_), _) => false,
    }
}

fn text_compares(op: CompareOp, found: &str, wanted: &str) -> bool {
    match op {
        CompareOp::Co => found.contains(wanted),
        CompareOp::Sw => found.starts_with(wanted),
        CompareOp::Ew => found.ends_with(wanted),
        CompareOp::Eq | CompareOp::Ne | CompareOp::Gt | CompareOp::Ge | CompareOp::Lt | CompareOp::Le => {
            ordered(op, found.cmp(wanted))
        }
    }
}

fn ordered(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Eq => order.is_eq(),
        CompareOp::Ne => order.is_ne(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        // The type check lets these reach text alone.
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew => false,
    }
}

/// Whole numbers are compared as such: a float would make neighbours above 2^53 equal.
pub(in crate::scim) fn compare_numbers(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (Some(_) | None, _) => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
