//! A schema as an operator writes it: JSON in the notation of RFC 7643, section 7, or a few words. A misspelt word is refused
//! here, where somebody can mend it, rather than passed over.

use serde_json::{Map, Value};

use crate::scim::schema::{self, Attribute, AttributeType, Schema};

/// Where the issue's `{key}` stands in a URN: any name is an attribute.
const ANY_KEY: &str = ":{key}";
const OF_SCHEMA: [&str; 7] = ["id", "name", "description", "attributes", "freeForm", "schemas", "meta"];
const OF_ATTRIBUTE: [&str; 12] = [
    "name",
    "type",
    "multiValued",
    "description",
    "required",
    "canonicalValues",
    "caseExact",
    "mutability",
    "returned",
    "uniqueness",
    "referenceTypes",
    "subAttributes",
];

/// Why a text is no schema.
#[derive(Debug, thiserror::Error)]
pub enum NotationError {
    /// It is no JSON, or not of the shape.
    #[error("the file is no schema in the notation of RFC 7643, section 7: {0}")]
    Shape(#[from] serde_json::Error),
    /// A word that the notation does not have.
    #[error("{word:?} is no word of a {of}; it has {}", known.join(", "))]
    Word {
        /// The word.
        word: String,
        /// Where it stands.
        of: &'static str,
        /// What there is.
        known: &'static [&'static str],
    },
    /// There is no schema in it, or none but SCIM's own.
    #[error("the file has no schema but those that every workspace has")]
    Empty,
}

/// Reads the schemas of a file: one, a list of them, or what a server answers to `GET /Schemas`. Such an answer has SCIM's own
/// schemas too, which are here already, whatever the other server makes of them: in a list they are passed over.
pub fn schemas(text: &str) -> Result<Vec<Schema>, NotationError> {
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))?;
    let mut listed = match value {
        Value::Array(listed) => listed,
        Value::Object(mut answer) if !answer.contains_key("id") && answer.contains_key("Resources") => {
            match answer.remove("Resources") {
                Some(Value::Array(listed)) => listed,
                Some(other) => vec![other],
                None => Vec::new(),
            }
        }
        one => return Ok(vec![read(one)?]),
    };
    listed.retain(|value| !value.get("id").and_then(Value::as_str).is_some_and(schema::is_of_scim));
    if listed.is_empty() {
        return Err(NotationError::Empty);
    }
    listed.into_iter().map(read).collect()
}

fn read(value: Value) -> Result<Schema, NotationError> {
    if let Value::Object(members) = &value {
        only(members, "schema", &OF_SCHEMA)?;
        attributes(members.get("attributes"))?;
    }
    let schema: Schema = serde_json::from_value(value)?;
    Ok(any_key(schema))
}

fn attributes(list: Option<&Value>) -> Result<(), NotationError> {
    for members in list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
        only(members, "attribute", &OF_ATTRIBUTE)?;
        attributes(members.get("subAttributes"))?;
    }
    Ok(())
}

fn only(members: &Map<String, Value>, of: &'static str, known: &'static [&'static str]) -> Result<(), NotationError> {
    match members.keys().find(|word| !known.contains(&word.as_str())) {
        Some(word) => Err(NotationError::Word { word: word.clone(), of, known }),
        None => Ok(()),
    }
}

/// A schema of these attributes; its short name is the last part of the URN unless it is given.
#[must_use]
pub fn simple(urn: &str, attributes: Vec<Attribute>, free_form: bool) -> Schema {
    any_key(Schema { id: urn.to_owned(), name: String::new(), description: String::new(), attributes, free_form })
}

/// `urn:…:Metadata:{key}` is the free-form schema `urn:…:Metadata`.
fn any_key(mut schema: Schema) -> Schema {
    if let Some(stem) = schema.id.strip_suffix(ANY_KEY).map(str::to_owned) {
        schema.id = stem;
        schema.free_form = true;
    }
    if schema.name.is_empty() {
        schema.name = schema.id.rsplit(':').next().unwrap_or_default().to_owned();
    }
    schema
}

/// Reads `folders:string[]`: a name, and perhaps a type and brackets for a list.
pub fn attribute(text: &str) -> Result<Attribute, String> {
    let (name, kind) = text.split_once(':').unwrap_or((text, "string"));
    let (kind, multi_valued) = kind.strip_suffix("[]").map_or((kind, false), |kind| (kind, true));
    let kind = match kind {
        "string" => AttributeType::String,
        "boolean" => AttributeType::Boolean,
        "decimal" => AttributeType::Decimal,
        "integer" => AttributeType::Integer,
        "dateTime" => AttributeType::DateTime,
        "reference" => AttributeType::Reference,
        "binary" => AttributeType::Binary,
        "complex" => return Err("a complex attribute has parts: define it in a --file".to_owned()),
        other => {
            return Err(format!(
                "{other:?} is no type: use string, boolean, decimal, integer, dateTime, reference or binary, with [] for a list"
            ));
        }
    };
    let case_exact = matches!(kind, AttributeType::Reference | AttributeType::Binary);
    let bare: Attribute = Attribute::named(name);
    Ok(Attribute { kind, multi_valued, case_exact, ..bare })
}

/// The short form of an attribute, as [`attribute`] reads it.
#[must_use]
pub fn in_short(attribute: &Attribute) -> String {
    let kind = match attribute.kind {
        AttributeType::String => "string",
        AttributeType::Boolean => "boolean",
        AttributeType::Decimal => "decimal",
        AttributeType::Integer => "integer",
        AttributeType::DateTime => "dateTime",
        AttributeType::Reference => "reference",
        AttributeType::Binary => "binary",
        AttributeType::Complex => "complex",
    };
    format!("{}:{kind}{}", attribute.name, if attribute.multi_valued { "[]" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_schema_or_several() {
        let one = r#"{"id":"urn:x:y","attributes":[{"name":"a","type":"complex","subAttributes":[{"name":"b"}]}]}"#;
        for text in [one.to_owned(), format!("\u{feff}[{one}]"), format!(r#"{{"totalResults":1,"Resources":[{one}]}}"#)] {
            let read = schemas(&text).unwrap();

            assert_eq!((read.len(), read[0].id.as_str(), read[0].name.as_str()), (1, "urn:x:y", "y"), "{text}");
        }
        assert_eq!(schemas(&format!("[{one},{one}]")).unwrap().len(), 2);
    }

    #[test]
    fn scims_own_schemas_are_passed_over_in_a_list() {
        let own = r#"{"id":"urn:x:y","attributes":[{"name":"a"}]}"#;
        let core = r#"{"id":"URN:ietf:params:scim:schemas:core:2.0:User","attributes":[{"name":"userName","vendorsWord":1}]}"#;
        let enterprise = r#"{"id":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User","attributes":[]}"#;
        for text in [format!("[{core},{own}]"), format!(r#"{{"totalResults":3,"Resources":[{enterprise},{own},{core}]}}"#)] {
            let read: Vec<String> = schemas(&text).unwrap().into_iter().map(|schema| schema.id).collect();
            assert_eq!(read, ["urn:x:y"], "{text}");
        }

        assert!(matches!(schemas(&format!("[{core},{enterprise}]")), Err(NotationError::Empty)));
        assert_eq!(schemas(enterprise).unwrap().len(), 1, "who names one alone is told that it is defined");
    }

    #[test]
    fn a_misspelt_word_is_refused_by_name() {
        for (text, word) in [
            (r#"{"id":"urn:x:y","attribute":[]}"#, "attribute"),
            (r#"{"id":"urn:x:y","attributes":[{"name":"a","multivalued":true}]}"#, "multivalued"),
            (r#"{"id":"urn:x:y","attributes":[{"name":"a","subAttributes":[{"name":"b","typ":"string"}]}]}"#, "typ"),
        ] {
            assert!(matches!(schemas(text), Err(NotationError::Word { word: found, .. }) if found == word), "{text}");
        }
        for text in [
            "",
            "7",
            "[]",
            r#"{"Resources":[]}"#,
            r#"{"name":"x"}"#,
            r#"{"id":"urn:x:y","attributes":[{"name":"a","type":"text"}]}"#,
        ] {
            assert!(schemas(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_short_form_reads_back_and_has_every_type_but_complex() {
        for text in ["a:string", "a:boolean", "a:decimal[]", "a:integer", "a:dateTime", "a:reference[]", "a:binary"] {
            assert_eq!(in_short(&attribute(text).unwrap()), text);
        }
        assert_eq!(in_short(&attribute("a").unwrap()), "a:string");
        assert!(attribute("a:complex").unwrap_err().contains("--file"));
        assert!(attribute("a:text").unwrap_err().contains("dateTime"));
    }

    #[test]
    fn a_key_in_braces_makes_a_free_form_schema() {
        let schema = simple("urn:ietf:params:scim:schemas:extension:2.0:Metadata:{key}", Vec::new(), false);

        assert_eq!(
            (schema.id.as_str(), schema.name.as_str()),
            ("urn:ietf:params:scim:schemas:extension:2.0:Metadata", "Metadata")
        );
        assert!(schema.free_form);
    }
}
