//! Whatever a workspace defines: what is written reads back, is found, changes and is announced.

use proptest::prelude::*;

use super::*;
use crate::scim::schema::{Attribute, AttributeType, Schema};

const URN: &str = "urn:example:acme:2.0:Extension";

/// Two different values of a type, as they are kept, and the literal by which a filter finds the first.
fn samples(kind: AttributeType) -> (Value, Value, String) {
    match kind {
        AttributeType::String => (json!("Blue"), json!("Red"), "\"Blue\"".into()),
        AttributeType::Boolean => (json!(true), json!(false), "true".into()),
        AttributeType::Decimal => (json!(1.5), json!(-2.25), "1.5".into()),
        AttributeType::Integer => (json!(7), json!(-8), "7".into()),
        AttributeType::DateTime => {
            (json!("2026-01-02T03:04:05Z"), json!("2025-01-02T03:04:05Z"), "\"2026-01-02T03:04:05Z\"".into())
        }
        AttributeType::Reference => {
            (json!("https://x.example/a"), json!("https://x.example/b"), "\"https://x.example/a\"".into())
        }
        AttributeType::Binary => (json!("QUJD"), json!("REVG"), "\"QUJD\"".into()),
        AttributeType::Complex => (json!({ "value": "Blue" }), json!({ "value": "Red" }), "\"Blue\"".into()),
    }
}

fn kind() -> impl Strategy<Value = AttributeType> {
    prop_oneof![
        Just(AttributeType::String),
        Just(AttributeType::Boolean),
        Just(AttributeType::Decimal),
        Just(AttributeType::Integer),
        Just(AttributeType::DateTime),
        Just(AttributeType::Reference),
        Just(AttributeType::Binary),
        Just(AttributeType::Complex),
    ]
}

fn attribute() -> impl Strategy<Value = Attribute> {
    ("[a-zA-Z][a-zA-Z0-9_-]{0,11}", kind(), any::<bool>(), any::<bool>()).prop_map(|(name, kind, multi_valued, case_exact)| {
        let parts = vec![Attribute::named("value"), Attribute::named("note")];
        let sub_attributes = if kind == AttributeType::Complex { parts } else { Vec::new() };
        Attribute { kind, multi_valued, case_exact, sub_attributes, ..Attribute::named(&name) }
    })
}

fn schema() -> impl Strategy<Value = Schema> {
    proptest::collection::vec(attribute(), 1..8).prop_map(|mut attributes| {
        let mut seen = std::collections::HashSet::new();
        attributes.retain(|attribute| seen.insert(attribute.name.to_ascii_lowercase()));
        notation::simple(URN, attributes, false)
    })
}

fn shaped(attribute: &Attribute, value: Value) -> Value {
    if attribute.multi_valued { json!([value]) } else { value }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_schema_works_from_definition_to_filter(schema in schema()) {
        let document = PolicyDocument::default().with_schema(&[ResourceKind::User], &schema, false).unwrap().document;
        let policy = Policy::read(serde_json::to_value(&document).unwrap()).unwrap();
        let body = |sample: fn((Value, Value, String)) -> Value| -> Document {
            schema.attributes.iter().map(|one| (one.name.clone(), shaped(one, sample(samples(one.kind))))).collect()
        };
        let first = body(|(first, _, _)| first);

        let stored = create(&policy, json!({ "schemas": [USER, URN], "userName": "jo", URN: &first })).unwrap().document;
        prop_assert_eq!(&answered(&policy, &stored, None)[URN], &Value::Object(first));
        for one in &schema.attributes {
            let (_, second, literal) = samples(one.kind);
            let (path, filter) = (format!("{URN}:{}", one.name), format!("{URN}:{} eq {literal}", one.name.to_uppercase()));
            prop_assert_eq!(finds(&policy, &stored, &filter), Ok(true), "{}", filter);

            let operations = json!([{ "op": "replace", "path": path, "value": shaped(one, second.clone()) }]);
            let changed = change(&policy, &stored, operations).unwrap();
            prop_assert_eq!(&changed[URN][&one.name], &shaped(one, second), "{}", path);
            prop_assert_eq!(finds(&policy, &changed, &filter), Ok(false), "{}", filter);

            let removed = change(&policy, &changed, json!([{ "op": "remove", "path": path }])).unwrap();
            prop_assert!(removed.get(URN).is_none_or(|home| home.get(&one.name).is_none()));
        }
        let announced = announced_schema(&policy, URN);
        prop_assert_eq!(&announced["attributes"], &serde_json::to_value(&schema.attributes).unwrap());
        let read_back = notation::schemas(&announced.to_string()).unwrap();
        prop_assert_eq!(&read_back, std::slice::from_ref(&schema), "/Schemas is good for schema add --file");
    }

    #[test]
    fn any_change_of_a_definition_leaves_everybody_readable(before in schema(), after in schema()) {
        let with = |schema: &Schema| {
            Policy::compile(PolicyDocument::default().with_schema(&[ResourceKind::User], schema, false).unwrap().document).unwrap()
        };
        let (old, new) = (with(&before), with(&after));
        let home: Document =
            before.attributes.iter().map(|one| (one.name.clone(), shaped(one, samples(one.kind).0))).collect();
        let stored = create(&old, json!({ "userName": "jo", URN: &home })).unwrap().document;

        let shown = answered(&new, &stored, None);
        let titled = change(&new, &stored, json!([{ "op": "replace", "path": "title", "value": "x" }])).unwrap();

        // What is shown could have been written under the new definition.
        let again = create(&new, json!({ "userName": "jo", URN: shown.get(URN).cloned().unwrap_or(json!({})) })).unwrap();
        prop_assert_eq!(again.document.get(URN), shown.get(URN));
        prop_assert!(again.notes.is_empty());
        // What is not shown is still there.
        let hidden = home.iter().filter(|(name, _)| !after.attributes.iter().any(|one| one.name.eq_ignore_ascii_case(name)));
        for (name, value) in hidden {
            prop_assert_eq!(&titled[URN][name], value);
        }
    }
}
