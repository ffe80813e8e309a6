//! What apps may see of a stored record, by the definitions of the workspace's own schemas: no more than the SCIM service shows. Those
//! come, change and go, and what was written under them stays in the record; what no definition fits today is seen by nobody.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::user::Profile;

/// RFC 7643, section 4.3; it is everybody's, and never changes.
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The resource type whose schemas count.
const USER: &str = "User";

/// The definitions of a workspace's own schemas for users.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definitions(Vec<Schema>);

/// What is read of the document that the provisioner keeps for a workspace.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    extensions: Vec<Extension>,
}

#[derive(Deserialize)]
struct Extension {
    resource: String,
    schema: Schema,
}

/// A schema in the notation of RFC 7643, section 7, as far as it says what is seen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Schema {
    id: String,
    #[serde(default)]
    attributes: Vec<Attribute>,
    #[serde(default)]
    free_form: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attribute {
    name: String,
    #[serde(rename = "type", default)]
    kind: Kind,
    #[serde(default)]
    multi_valued: bool,
    #[serde(default)]
    returned: Returned,
    #[serde(default)]
    sub_attributes: Vec<Attribute>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    #[default]
    String,
    Boolean,
    Decimal,
    Integer,
    DateTime,
    Reference,
    Binary,
    Complex,
}

/// An app's claim names its attribute, so what is returned on request is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Returned {
    #[default]
    Default,
    Always,
    Request,
    Never,
}

/// Whether a record has anything whose sight depends on definitions; most have not.
#[must_use]
pub fn has_own_schemas(attributes: &Map<String, Value>) -> bool {
    attributes.keys().any(|name| is_own(name))
}

fn is_own(name: &str) -> bool {
    name.contains(':') && !name.eq_ignore_ascii_case(ENTERPRISE)
}

impl Definitions {
    /// Reads them out of what the workspace asks of its provider.
    pub fn read(policy: Value) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_value(policy)?;
        let of_users = document.extensions.into_iter().filter(|extension| extension.resource == USER);
        Ok(Self(of_users.map(|extension| extension.schema).collect()))
    }

    /// The record as apps may see it.
    #[must_use]
    pub fn seen(&self, profile: Profile) -> Profile {
        let seen = profile.attributes.into_iter().filter_map(|(name, value)| match value {
            Value::Object(home) if is_own(&name) => {
                let schema = self.0.iter().find(|schema| schema.id.eq_ignore_ascii_case(&name))?;
                let home = schema.seen(home);
                (!home.is_empty()).then(|| (schema.id.clone(), Value::Object(home)))
            }
            value => Some((name, value)),
        });
        Profile { attributes: seen.collect(), ..profile }
    }
}

impl Schema {
    fn seen(&self, home: Map<String, Value>) -> Map<String, Value> {
        let seen = home.into_iter().filter_map(|(name, value)| match named(&self.attributes, &name) {
            Some(attribute) => Some((attribute.name.clone(), attribute.seen(value)?)),
            None if self.attributes.iter().any(|attribute| attribute.name.eq_ignore_ascii_case(&name)) => None,
            None => self.free_form.then_some((name, as_text(value))).filter(|(_, value)| value.is_string()),
        });
        seen.collect()
    }
}

/// The attribute of this name in any case, if anybody may see it.
fn named<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name) && attribute.returned != Returned::Never)
}

impl Attribute {
    /// The value as the definition has it today. What was written under another one is seen where it plainly means the same.
    fn seen(&self, value: Value) -> Option<Value> {
        if self.fits(&value) {
            return Some(value);
        }
        Some(self.bent(value)).filter(|bent| self.kind != Kind::Complex && is_something(bent) && self.fits(bent))
    }

    fn bent(&self, value: Value) -> Value {
        let text = |value: Value| if self.kind == Kind::String { as_text(value) } else { value };
        match value {
            Value::Array(entries) if self.multi_valued => entries.into_iter().map(text).collect(),
            Value::Array(mut entries) if entries.len() == 1 => text(entries.pop().unwrap_or_default()),
            single if self.multi_valued => Value::Array(vec![text(single)]),
            single => text(single),
        }
    }

    fn fits(&self, value: &Value) -> bool {
        match value {
            Value::Array(entries) if self.multi_valued => entries.iter().all(|entry| self.fits_one(entry)),
            value => !self.multi_valued && self.fits_one(value),
        }
    }

    fn fits_one(&self, value: &Value) -> bool {
        match self.kind {
            Kind::String | Kind::Reference => value.is_string(),
            Kind::Boolean => value.is_boolean(),
            Kind::Integer => value.is_i64() || value.is_u64(),
            Kind::Decimal => value.is_number(),
            Kind::DateTime => value.as_str().is_some_and(is_instant),
            Kind::Binary => value.as_str().is_some_and(is_base64),
            Kind::Complex => value.as_object().is_some_and(|parts| {
                parts.iter().all(|(name, part)| named(&self.sub_attributes, name).is_some_and(|sub| sub.fits(part)))
            }),
        }
    }
}

/// Numbers and truths as text.
fn as_text(value: Value) -> Value {
    match value {
        Value::Number(_) | Value::Bool(_) => Value::String(value.to_string()),
        other => other,
    }
}

/// Whether there is a value, and nothing blank in it.
fn is_something(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(entries) => !entries.is_empty() && entries.iter().all(is_something),
        Value::Null => false,
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
    }
}

/// RFC 3339, or XML Schema's forms without a zone.
fn is_instant(text: &str) -> bool {
    DateTime::parse_from_rfc3339(text).is_ok()
        || NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").is_ok()
        || NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// RFC 7643, section 2.3.6: either alphabet, padded or not.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    text.len() - digits.len() <= 2 && digits.chars().all(|c| c.is_ascii_alphanumeric() || "+/-_".contains(c))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const URN: &str = "urn:x:Own:1.0:User";

    fn profile(attributes: &Value) -> Profile {
        let attributes = attributes.as_object().unwrap().clone();
        Profile { user_name: "jo".into(), external_id: None, active: true, attributes }
    }

    fn definitions(extensions: &Value) -> Definitions {
        Definitions::read(json!({ "profile": "lenient", "extensions": extensions, "users": {} })).unwrap()
    }

    fn seen(attributes: &Value, home: &Value) -> Value {
        let schema = json!([{ "resource": "User", "schema": { "id": URN, "attributes": attributes } }]);
        let record = json!({ "title": "CEO", URN: home });
        definitions(&schema).seen(profile(&record)).attributes.get(URN).cloned().unwrap_or_default()
    }

    #[test]
    fn what_is_everybodys_is_seen_and_what_nobody_defines_is_not() {
        let record = json!({ "title": "CEO", ENTERPRISE: { "department": "R" }, URN: { "a": "x" }, "urn:x:gone": { "a": "x" } });
        let of_groups = json!([{ "resource": "Group", "schema": { "id": URN, "attributes": [{ "name": "a" }] } }]);
        let own = json!([{ "resource": "User", "schema": { "id": URN.to_uppercase(), "attributes": [{ "name": "A" }] } }]);

        let without = |extensions: Value| Value::Object(definitions(&extensions).seen(profile(&record)).attributes);

        assert_eq!(without(json!([])), json!({ "title": "CEO", ENTERPRISE: { "department": "R" } }));
        assert_eq!(without(of_groups), without(json!([])));
        assert_eq!(without(own)[URN.to_uppercase()], json!({ "A": "x" }), "in the spelling of the definition");
        assert_eq!(Definitions::read(json!({})).unwrap(), Definitions::default());
        assert!(has_own_schemas(&profile(&record).attributes));
        assert!(!has_own_schemas(&profile(&json!({ "title": "CEO", ENTERPRISE: {} })).attributes));
    }

    #[test]
    fn what_does_not_fit_its_definition_is_not_seen() {
        let complex =
            json!([{ "name": "a", "type": "complex", "subAttributes": [{ "name": "b" }, { "name": "c", "returned": "never" }] }]);
        let table = [
            (json!([{ "name": "b" }]), json!({ "a": "x" }), json!(null)),
            (json!([{ "name": "a" }]), json!({ "a": "x", "gone": "y" }), json!({ "a": "x" })),
            (json!([{ "name": "a", "returned": "never" }]), json!({ "a": "x" }), json!(null)),
            (json!([{ "name": "a", "returned": "request" }]), json!({ "a": "x" }), json!({ "a": "x" })),
            (json!([{ "name": "a", "type": "integer" }]), json!({ "a": "x" }), json!(null)),
            (json!([{ "name": "a" }]), json!({ "a": 7 }), json!({ "a": "7" })),
            (json!([{ "name": "a", "multiValued": true }]), json!({ "a": "x" }), json!({ "a": ["x"] })),
            (json!([{ "name": "a" }]), json!({ "a": ["x"] }), json!({ "a": "x" })),
            (json!([{ "name": "a" }]), json!({ "a": ["x", "y"] }), json!(null)),
            (json!([{ "name": "a", "multiValued": true, "type": "integer" }]), json!({ "a": [1, "x"] }), json!(null)),
            (complex.clone(), json!({ "a": { "b": "x" } }), json!({ "a": { "b": "x" } })),
            (complex.clone(), json!({ "a": { "b": "x", "c": "y" } }), json!(null)),
            (complex, json!({ "a": { "b": "x", "gone": "y" } }), json!(null)),
        ];

        for (attributes, home, expected) in table {
            assert_eq!(seen(&attributes, &home), expected, "{attributes} {home}");
        }
    }

    #[test]
    fn a_free_form_schema_shows_any_name_as_text() {
        let schema = json!([{ "resource": "User", "schema": { "id": URN, "freeForm": true } }]);
        let record = json!({ URN: { "anything": "x", "number": 7, "odd": ["x"] } });

        assert_eq!(definitions(&schema).seen(profile(&record)).attributes[URN], json!({ "anything": "x", "number": "7" }));
    }
}
