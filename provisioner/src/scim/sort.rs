//! Sorting (RFC 7644, section 3.4.2.3): by the type of the attribute, and by the primary entry of a list.

use std::cmp::Ordering;

use serde_json::Value;

use super::filter::{AttributeRef, compare_numbers, instant};
use super::schema::{AttributeType, Found, Returned};
use super::text::{for_log, normal_key};
use super::{Profile, ResourceSchema, ScimError};

/// By what, and in which direction, an answer is sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The attribute.
    pub by: AttributeRef,
    /// Whether the order is reversed.
    pub descending: bool,
}

impl Sort {
    /// Reads the two parameters; `None` where the request asks for no order.
    pub fn parse(
        sort_by: Option<&str>,
        sort_order: Option<&str>,
        schema: &ResourceSchema,
        profile: Profile,
    ) -> Result<Option<Self>, ScimError> {
        let descending = match sort_order.map(str::trim) {
            None | Some("") => false,
            Some(order) if order.eq_ignore_ascii_case("ascending") => false,
            Some(order) if order.eq_ignore_ascii_case("descending") => true,
            Some(_) => return Err(ScimError::InvalidValue("sortOrder is ascending or descending".into())),
        };
        let Some(path) = sort_by.map(str::trim).filter(|path| !path.is_empty()) else { return Ok(None) };
        let by = attribute(path, schema, profile)
            .ok_or_else(|| ScimError::InvalidPath(format!("{:?} is not an attribute that can be sorted by", for_log(path))))?;
        Ok(Some(Self { by, descending }))
    }

    /// Orders two whole resources. One without the value comes last, or first if the order is reversed.
    #[must_use]
    pub fn compare(&self, left: &Value, right: &Value) -> Ordering {
        let order = match (self.key(left), self.key(right)) {
            (Some(left), Some(right)) => self.values(left, right),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        if self.descending { order.reverse() } else { order }
    }

    fn key<'v>(&self, resource: &'v Value) -> Option<&'v Value> {
        let home = self.by.extension.as_ref().map_or(Some(resource), |urn| resource.get(urn))?;
        let value = home.get(&self.by.name)?;
        let value = match value.as_array() {
            Some(entries) => {
                entries.iter().find(|entry| entry.get("primary") == Some(&Value::Bool(true))).or_else(|| entries.first())?
            }
            None => value,
        };
        self.by.sub.as_ref().map_or(Some(value), |sub| value.get(sub)).filter(|value| !value.is_null())
    }

    fn values(&self, left: &Value, right: &Value) -> Ordering {
        match (left, right) {
            (Value::String(left), Value::String(right)) if self.by.kind == AttributeType::DateTime => {
                instant(left).cmp(&instant(right))
            }
            (Value::String(left), Value::String(right)) if self.by.case_exact => left.cmp(right),
            (Value::String(left), Value::String(right)) => normal_key(left).cmp(&normal_key(right)),
            (Value::Number(left), Value::Number(right)) => compare_numbers(left, right).unwrap_or(Ordering::Equal),
            (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
            (_, _) => Ordering::Equal,
        }
    }
}

/// A complex attribute is sorted by its `value`.
fn attribute(path: &str, schema: &ResourceSchema, profile: Profile) -> Option<AttributeRef> {
    let Some(Found::Attribute { extension, name, definition, sub }) = schema.find(path, profile) else { return None };
    let sub = sub.or_else(|| definition.sub("value"));
    let sorted = sub.unwrap_or(definition);
    if sorted.is_complex() || sorted.returned == Returned::Never || definition.returned == Returned::Never {
        return None;
    }
    Some(AttributeRef {
        extension: extension.map(|schema| schema.id.clone()),
        name: name.to_owned(),
        sub: sub.map(|sub| sub.name.clone()),
        kind: sorted.kind,
        case_exact: sorted.case_exact,
        multi_valued: definition.multi_valued,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{ResourceKind, SchemaSet};
    use super::*;

    fn sorted(by: &str, order: &str, mut users: Vec<Value>) -> Vec<Value> {
        let set = SchemaSet::standard();
        let sort = Sort::parse(Some(by), Some(order), set.of(ResourceKind::User), Profile::Lenient).unwrap().unwrap();
        users.sort_by(|left, right| sort.compare(left, right));
        users.iter().map(|user| user["id"].clone()).collect()
    }

    #[test]
    fn values_are_ordered_by_their_type() {
        let users = || {
            vec![
                json!({"id": 1, "userName": "bob", "externalId": "a", "active": true, "meta": {"created": "2026-01-01T00:00:00+02:00"},
                "emails": [{"value": "z@x"}, {"value": "a@x", "primary": true}]}),
                json!({"id": 2, "userName": "Álf", "externalId": "B", "active": false, "meta": {"created": "2025-12-31T23:00:00Z"}, "emails": [{"value": "B@x"}]}),
                json!({"id": 3, "userName": "ALICE"}),
            ]
        };
        for (by, ascending) in [
            ("USERNAME", [3, 1, 2]),
            ("externalId", [2, 1, 3]),
            ("active", [2, 1, 3]),
            ("meta.created", [1, 2, 3]),
            ("emails", [1, 2, 3]),
        ] {
            let mut descending = ascending;
            descending.reverse();

            assert_eq!(sorted(by, "ascending", users()), ascending, "{by}");
            assert_eq!(sorted(by, "Descending", users()), descending, "{by}");
        }
    }

    #[test]
    fn what_cannot_be_sorted_by_is_refused() {
        let set = SchemaSet::standard();
        let parse = |by, order| Sort::parse(by, order, set.of(ResourceKind::User), Profile::Lenient);

        for path in ["shoeSize", "password", "name", "addresses"] {
            assert!(matches!(parse(Some(path), None), Err(ScimError::InvalidPath(_))), "{path}");
        }
        assert!(matches!(parse(Some("userName"), Some("up")), Err(ScimError::InvalidValue(_))));
        assert_eq!(parse(None, Some("descending")), Ok(None));
    }
}
