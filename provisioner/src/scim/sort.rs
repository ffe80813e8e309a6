//! Sorting (RFC 7644, section 3.4.2.3): by the type of the attribute, and by the primary entry of a list.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::filter::{AttributeRef, compare_numbers, instant};
use super::schema::{AttributeType, Found, Names, Returned};
use super::text::{for_log, normal_key};
use super::{Profile, ScimError};

/// Of longer text the beginning counts: what is put in order is held in memory, and stands in cursors.
const COMPARED: usize = 256;

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
    pub fn parse<'s>(
        sort_by: Option<&str>,
        sort_order: Option<&str>,
        names: impl Into<Names<'s>>,
        profile: Profile,
    ) -> Result<Option<Self>, ScimError> {
        let descending = match sort_order.map(str::trim) {
            None | Some("") => false,
            Some(order) if order.eq_ignore_ascii_case("ascending") => false,
            Some(order) if order.eq_ignore_ascii_case("descending") => true,
            Some(_) => return Err(ScimError::InvalidValue("sortOrder is ascending or descending".into())),
        };
        let Some(path) = sort_by.map(str::trim).filter(|path| !path.is_empty()) else { return Ok(None) };
        let by = attribute(path, names.into(), profile)
            .ok_or_else(|| ScimError::InvalidPath(format!("{:?} is not an attribute that can be sorted by", for_log(path))))?;
        Ok(Some(Self { by, descending }))
    }

    /// Orders two resources by their keys. One without the value comes last, or first if the order is reversed.
    #[must_use]
    pub fn compare(&self, left: Option<&SortKey>, right: Option<&SortKey>) -> Ordering {
        let order = match (left, right) {
            (Some(left), Some(right)) => left.compare(right),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        if self.descending { order.reverse() } else { order }
    }

    /// What a whole resource is ordered by, or `None` where it has no such value.
    #[must_use]
    pub fn key(&self, resource: &Value) -> Option<SortKey> {
        let home = self.by.extension.as_ref().map_or(Some(resource), |urn| resource.get(urn))?;
        let value = home.get(&self.by.name)?;
        let value = match value.as_array() {
            Some(entries) => {
                entries.iter().find(|entry| entry.get("primary") == Some(&Value::Bool(true))).or_else(|| entries.first())?
            }
            None => value,
        };
        let no = Value::Bool(false);
        let part = self.by.sub.as_ref().map_or(Some(value), |sub| value.get(sub));
        match part.or(self.by.false_when_absent.then_some(&no))? {
            Value::String(text) if self.by.kind == AttributeType::DateTime => instant(text).map(SortKey::Instant),
            Value::String(text) if self.by.case_exact => Some(SortKey::Text(beginning(text.clone()))),
            Value::String(text) => Some(SortKey::Text(beginning(normal_key(text)))),
            Value::Number(number) => Some(SortKey::Number(number.clone())),
            Value::Bool(truth) => Some(SortKey::Boolean(*truth)),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// What one resource is ordered by, made once and compared often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SortKey {
    /// Text, folded where its case does not count.
    Text(String),
    /// A moment.
    Instant(DateTime<Utc>),
    /// A number.
    Number(Number),
    /// A truth value: false comes first.
    Boolean(bool),
}

impl SortKey {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Instant(left), Self::Instant(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => compare_numbers(left, right).unwrap_or(Ordering::Equal),
            (Self::Boolean(left), Self::Boolean(right)) => left.cmp(right),
            // Two resource types may have one name for values of two kinds.
            (Self::Text(_) | Self::Instant(_) | Self::Number(_) | Self::Boolean(_), _) => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Text(_) => 0,
            Self::Instant(_) => 1,
            Self::Number(_) => 2,
            Self::Boolean(_) => 3,
        }
    }
}

fn beginning(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(COMPARED) {
        text.truncate(at);
        text.shrink_to_fit();
    }
    text
}

/// A complex attribute is sorted by its `value`.
fn attribute(path: &str, names: Names<'_>, profile: Profile) -> Option<AttributeRef> {
    let Some(Found::Attribute { extension, name, definition, sub }) = names.find_attribute(path, profile) else { return None };
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
        false_when_absent: sub.is_some_and(|sub| definition.has_false_for(sub)),
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
        users.sort_by(|left, right| sort.compare(sort.key(left).as_ref(), sort.key(right).as_ref()));
        users.iter().map(|user| user["id"].clone()).collect()
    }

    #[test]
    fn values_are_ordered_by_their_type() {
        let users = || {
            vec![
                json!({"id": 1, "userName": "bob", "externalId": "a", "active": true, "meta": {"created": "2026-01-01T00:00:00+02:00"},
                "emails": [{"value": "z@x"}, {"value": "a@x", "primary": true}], "roles": [{"value": "r", "primary": true}]}),
                json!({"id": 2, "userName": "Álf", "externalId": "B", "active": false, "meta": {"created": "2025-12-31T23:00:00Z"}, "emails": [{"value": "B@x"}], "roles": [{"value": "r"}]}),
                json!({"id": 3, "userName": "ALICE"}),
            ]
        };
        for (by, ascending) in [
            ("USERNAME", [3, 1, 2]),
            ("externalId", [2, 1, 3]),
            ("active", [2, 1, 3]),
            ("meta.created", [1, 2, 3]),
            ("emails", [1, 2, 3]),
            ("roles.primary", [2, 1, 3]),
        ] {
            let mut descending = ascending;
            descending.reverse();

            assert_eq!(sorted(by, "ascending", users()), ascending, "{by}");
            assert_eq!(sorted(by, "Descending", users()), descending, "{by}");
        }
    }

    #[test]
    fn of_long_text_the_beginning_counts() {
        let user = |id: u8, ends: &str| json!({"id": id, "title": format!("{}{ends}", "é".repeat(COMPARED - 1))});

        assert_eq!(sorted("title", "ascending", vec![user(1, "b"), user(2, "az"), user(3, "ay")]), [2, 3, 1]);
    }

    #[test]
    fn values_of_two_kinds_have_an_order_all_the_same() {
        let keys = [
            SortKey::Text("b".into()),
            SortKey::Instant(DateTime::UNIX_EPOCH),
            SortKey::Number(1.into()),
            SortKey::Boolean(false),
        ];
        for (at, left) in keys.iter().enumerate() {
            for (beside, right) in keys.iter().enumerate() {
                assert_eq!(left.compare(right), at.cmp(&beside), "{left:?} {right:?}");
            }
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
