//! What of a stored document the present schemas have. A workspace's own schemas come, change and go; what was written under them
//! is never thrown away for that: what no definition fits is kept unseen, and is back when one fits again.

use serde_json::{Map, Value};

use super::filter::instant;
use super::normalise::{Notes, Reader, edit_home, is_base64, is_whole};
use super::schema::{Attribute, AttributeType, Schema};
use super::{Document, Profile, ResourceSchema};

/// A stored document, in two.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stored {
    /// What is read, found, compared and changed.
    pub seen: Document,
    /// What no present definition fits.
    unseen: Document,
}

impl Stored {
    /// Looks at a document with these schemas.
    #[must_use]
    pub fn read(document: &Document, schema: &ResourceSchema) -> Self {
        let (mut seen, mut unseen) = (Map::with_capacity(document.len() + 2), Map::new());
        for (name, value) in document {
            match value {
                Value::Object(home) if name.contains(':') => {
                    let extension = schema.extension(name);
                    let (fitting, other) =
                        extension.map_or_else(|| (Map::new(), home.clone()), |extension| told_apart(extension, home));
                    let urn = extension.map_or(name, |extension| &extension.id);
                    seen.extend((!fitting.is_empty()).then(|| (urn.clone(), fitting.into())));
                    unseen.extend((!other.is_empty()).then(|| (name.clone(), other.into())));
                }
                value => {
                    seen.insert(name.clone(), value.clone());
                }
            }
        }
        Self { seen, unseen }
    }

    /// The document again, in the present spelling.
    pub(super) fn whole(&self) -> Document {
        let mut document = self.seen.clone();
        self.keep_unseen(&mut document);
        document
    }

    /// Puts what was not seen beside what was made of the rest, unless something took its place.
    pub(super) fn keep_unseen(&self, document: &mut Document) {
        for (urn, home) in &self.unseen {
            for (name, value) in home.as_object().into_iter().flatten() {
                edit_home(document, Some(urn), |home| {
                    home.entry(name.as_str()).or_insert_with(|| value.clone());
                });
            }
        }
    }
}

fn told_apart(extension: &Schema, home: &Document) -> (Document, Document) {
    let (mut seen, mut unseen) = (Map::with_capacity(home.len()), Map::new());
    for (stored, value) in home {
        let definition = extension.definition(stored);
        match definition.and_then(|definition| Some((definition, fitted(definition, value)?))) {
            Some((definition, value)) if definition.is_free_form() => seen.insert(stored.clone(), value),
            Some((definition, value)) => seen.insert(definition.name.clone(), value),
            None => unseen.insert(stored.clone(), value.clone()),
        };
    }
    (seen, unseen)
}

/// The value as the definition has it today.
fn fitted(definition: &Attribute, value: &Value) -> Option<Value> {
    if fits(definition, value) {
        return Some(value.clone());
    }
    let value = if definition.kind == AttributeType::String { as_text(value) } else { value.clone() };
    let mut notes = Notes::default();
    let mut reader = Reader { profile: Profile::Lenient, notes: &mut notes };
    reader.attribute(&definition.name, definition, value).ok().flatten()
}

fn fits(definition: &Attribute, value: &Value) -> bool {
    match value {
        Value::Array(entries) if definition.multi_valued => entries.iter().all(|entry| fits_one(definition, entry)),
        value => !definition.multi_valued && fits_one(definition, value),
    }
}

fn fits_one(definition: &Attribute, value: &Value) -> bool {
    match definition.kind {
        AttributeType::String | AttributeType::Reference => value.is_string(),
        AttributeType::Boolean => value.is_boolean(),
        AttributeType::Integer => is_whole(value),
        AttributeType::Decimal => value.is_number(),
        AttributeType::DateTime => value.as_str().and_then(instant).is_some(),
        AttributeType::Binary => is_base64(value),
        AttributeType::Complex => value
            .as_object()
            .is_some_and(|parts| parts.iter().all(|(name, part)| definition.sub(name).is_some_and(|sub| fits(sub, part)))),
    }
}

/// Numbers and truths as text, alone or in a list.
fn as_text(value: &Value) -> Value {
    match value {
        Value::Number(_) | Value::Bool(_) => Value::String(value.to_string()),
        Value::Array(entries) => entries.iter().map(as_text).collect(),
        Value::Null | Value::String(_) | Value::Object(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::model::{definitions::Definitions, user};
    use serde_json::json;

    use super::super::schema::{ResourceKind, SchemaSet};
    use super::*;

    const URN: &str = "urn:x:y";

    fn read(attributes: &Value, home: &Value) -> Stored {
        let schema: Schema = serde_json::from_value(json!({"id": URN, "attributes": attributes})).unwrap();
        let set = SchemaSet::standard().with_extension(ResourceKind::User, schema).unwrap();
        let document = Document::from_iter([("userName".to_owned(), json!("jo")), (URN.to_owned(), home.clone())]);
        Stored::read(&document, set.of(ResourceKind::User))
    }

    #[test]
    fn a_value_is_seen_as_its_definition_has_it_today() {
        let table = [
            (json!({"name": "a"}), json!("Blue"), Some(json!("Blue"))),
            (json!({"name": "a", "multiValued": true}), json!("Blue"), Some(json!(["Blue"]))),
            (json!({"name": "a"}), json!(["Blue"]), Some(json!("Blue"))),
            (json!({"name": "a"}), json!(["Blue", "Red"]), None),
            (json!({"name": "a"}), json!(7), Some(json!("7"))),
            (json!({"name": "a", "multiValued": true}), json!([7, true]), Some(json!(["7", "true"]))),
            (json!({"name": "a", "type": "integer"}), json!("7"), Some(json!(7))),
            (json!({"name": "a", "type": "integer"}), json!("seven"), None),
            (json!({"name": "a", "type": "boolean"}), json!("True"), Some(json!(true))),
            (json!({"name": "a", "type": "dateTime"}), json!("Blue"), None),
            (json!({"name": "a", "type": "binary"}), json!("%"), None),
            (
                json!({"name": "a", "type": "complex", "subAttributes": [{"name": "value"}]}),
                json!("7"),
                Some(json!({"value": "7"})),
            ),
            (json!({"name": "a", "type": "complex", "subAttributes": [{"name": "row"}]}), json!("7"), None),
            (json!({"name": "A"}), json!("Blue"), Some(json!("Blue"))),
            (json!({"name": "b"}), json!("Blue"), None),
        ];
        for (definition, stored, seen) in table {
            let name = if definition["name"] == "A" { "A" } else { "a" };
            let shown = read(&json!([definition]), &json!({"a": stored})).seen.get(URN).map(|home| home[name].clone());

            assert_eq!(shown, seen, "{definition} {stored}");
        }
    }

    /// The gateways have a reading of their own of what the definitions show. It may show less than a GET, where a value would have to be
    /// bent, and never anything else.
    #[test]
    fn apps_see_of_a_record_what_a_get_shows_or_less() {
        let kinds = ["string", "boolean", "decimal", "integer", "dateTime", "reference", "binary", "complex"];
        let values = [
            json!("Blue"),
            json!("7"),
            json!("true"),
            json!(""),
            json!(" "),
            json!("2026-01-01"),
            json!("2026-01-01T00:00:00"),
            json!("2026-01-01T00:00:00Z"),
            json!("12026-01-01"),
            json!("QUJD"),
            json!("QUJD==="),
            json!("%"),
            json!(7),
            json!(-7),
            json!(7.5),
            json!(1e300),
            json!(true),
            json!(null),
            json!([]),
            json!(["Blue"]),
            json!(["Blue", "Red"]),
            json!([7, true]),
            json!(["7"]),
            json!([["Blue"]]),
            json!([null]),
            json!({}),
            json!({"value": "Blue"}),
            json!({"VALUE": "Blue"}),
            json!({"value": 7}),
            json!({"other": "Blue"}),
            json!({"value": "Blue", "other": "x"}),
            json!([{"value": "Blue"}]),
        ];
        let mut shown = 0;
        for kind in kinds {
            for is_list in [false, true] {
                let parts = if kind == "complex" { json!([{"name": "value"}]) } else { json!([]) };
                let attribute = json!({"name": "a", "type": kind, "multiValued": is_list, "subAttributes": parts});
                for (names, free_form) in [(json!([attribute]), false), (json!([{"name": "b"}]), false), (json!([]), true)] {
                    let schema = json!({"id": URN, "attributes": names, "freeForm": free_form});
                    let set = SchemaSet::standard()
                        .with_extension(ResourceKind::User, serde_json::from_value(schema.clone()).unwrap())
                        .unwrap();
                    let definitions = Definitions::read(json!({"extensions": [{"resource": "User", "schema": schema}]})).unwrap();
                    for value in &values {
                        let document = Document::from_iter([(URN.to_owned(), json!({"a": value}))]);
                        let by_get = Stored::read(&document, set.of(ResourceKind::User)).seen;
                        let record = user::Profile {
                            user_name: "jo".into(),
                            external_id: None,
                            active: true,
                            attributes: document.clone(),
                        };

                        let by_apps = definitions.seen(record).attributes;

                        assert!(by_apps.is_empty() || by_apps == by_get, "{schema} {value}: {by_apps:?} {by_get:?}");
                        let fits = by_get == document;
                        assert!(!fits || by_apps == by_get, "what fits is shown: {schema} {value}");
                        shown += usize::from(!by_apps.is_empty());
                    }
                }
            }
        }
        assert!(shown > 100, "{shown}");
    }

    #[test]
    fn what_is_not_seen_stays_unless_something_takes_its_place() {
        let stored = read(&json!([{"name": "a", "type": "integer"}]), &json!({"a": "seven", "gone": "x"}));
        assert_eq!(Value::Object(stored.seen.clone()), json!({"userName": "jo"}));

        let mut untouched = stored.seen.clone();
        stored.keep_unseen(&mut untouched);
        let mut rewritten = Document::from_iter([(URN.to_owned(), json!({"a": 8}))]);
        stored.keep_unseen(&mut rewritten);

        assert_eq!(Value::Object(untouched), json!({"userName": "jo", URN: {"a": "seven", "gone": "x"}}));
        assert_eq!(Value::Object(rewritten), json!({URN: {"a": 8, "gone": "x"}}));
    }

    #[test]
    fn a_document_without_its_schema_has_nothing_of_it() {
        let document = Document::from_iter([("userName".to_owned(), json!("jo")), (URN.to_owned(), json!({"a": 1}))]);

        let stored = Stored::read(&document, SchemaSet::standard().of(ResourceKind::User));

        assert_eq!(Value::Object(stored.seen), json!({"userName": "jo"}));
        assert_eq!(Value::Object(stored.unseen), json!({URN: {"a": 1}}));
    }
}
