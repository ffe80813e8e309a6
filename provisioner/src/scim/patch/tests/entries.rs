//! What is one entry, who a URI names, and what ends at once.

use super::*;

const METADATA_KEY: &str = "urn:ietf:params:scim:schemas:extension:2.0:Metadata:";

fn with_emails(emails: &Value, operation: &Value) -> Value {
    let before = document(json!({"userName": "x", "active": true, "emails": emails}));
    patch_as(Profile::Lenient, &before, &json!([operation])).unwrap().user.document["emails"].clone()
}

#[test]
fn entries_of_one_type_and_value_stay_one() {
    let work = json!([{"value": "a@x", "type": "work"}]);
    let primary = json!([{"value": "a@x", "type": "work", "primary": true}]);
    let two = json!([{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x", "type": "work", "primary": false}]);
    let table = [
        (&work, json!({"op": "Replace", "path": "emails[type eq \"work\" and primary eq true].value", "value": "a@x"}), &primary),
        (&work, json!({"op": "add", "path": "emails", "value": [{"value": "a@x", "type": "work", "primary": true}]}), &primary),
        (
            &primary,
            json!({"op": "add", "path": "emails", "value": {"value": "a@x", "type": "Work", "display": "A"}}),
            &json!([{"value": "a@x", "type": "Work", "display": "A", "primary": true}]),
        ),
        (
            &primary,
            json!({"op": "add", "path": "emails", "value": {"value": "a@x", "type": "work", "primary": false}}),
            &json!([{"value": "a@x", "type": "work", "primary": false}]),
        ),
        (
            &two,
            json!({"op": "add", "path": "emails", "value": {"value": "b@x", "type": "work", "primary": true}}),
            &json!([{"value": "a@x", "type": "work", "primary": false}, {"value": "b@x", "type": "work", "primary": true}]),
        ),
        (
            &two,
            json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": "z@x"}),
            &json!([{"value": "z@x", "type": "work", "primary": true}]),
        ),
        (
            &work,
            json!({"op": "add", "path": "emails", "value": [{"value": "a@x", "type": "home"}]}),
            &json!([{"value": "a@x", "type": "work"}, {"value": "a@x", "type": "home"}]),
        ),
    ];
    for (before, operation, after) in table {
        assert_eq!(&with_emails(before, &operation), after, "{operation} on {before}");
    }
}

#[test]
fn a_manager_is_known_by_the_uri_alone_and_by_one_word_at_a_time() {
    let manager = |operation: Value| {
        let after = lenient(json!([operation]))?;
        Ok(after.user.document[ENTERPRISE_USER].get("manager").map(|manager| manager["value"].clone()))
    };
    let reference = format!("{MANAGER}.$ref");
    for uri in ["https://s.example/scim/v2/acme/Users/m2", "../Users/m2", "/Users/m2"] {
        for op in ["add", "Replace"] {
            let operations = [
                json!({"op": op, "path": MANAGER, "value": {"$ref": uri}}),
                json!({"op": op, "path": "manager", "value": [{"$ref": uri}]}),
                json!({"op": op, "path": reference, "value": uri}),
                json!({"op": op, "value": {ENTERPRISE_USER: {"manager": {"$ref": uri}}}}),
            ];
            for operation in operations {
                assert_eq!(manager(operation.clone()), Ok(Some(json!("m2"))), "{operation}");
            }
        }
    }
    for operation in [
        json!({"op": "replace", "path": MANAGER, "value": {"$ref": "https://elsewhere.example/m2"}}),
        json!({"op": "replace", "path": reference, "value": "m2"}),
    ] {
        assert!(matches!(manager(operation.clone()), Err(ScimError::InvalidValue(_))), "{operation}");
    }
    let both = document(jo_with(json!({ENTERPRISE_USER: {"manager": {"value": "m1", "$ref": "../Users/m1"}}})));
    let after = |operation: Value| patch_as(Profile::Lenient, &both, &json!([operation])).unwrap().user.document;
    let path = format!("{MANAGER}.value");
    let other = after(json!({"op": "replace", "path": path, "value": "m3"}));
    assert_eq!(other[ENTERPRISE_USER]["manager"], json!({"value": "m3"}), "the URI is somebody else's");
    assert_eq!(after(json!({"op": "replace", "path": path, "value": "m1"})), both);
    assert_eq!(after(json!({"op": "remove", "path": path})).get(ENTERPRISE_USER), None);
    assert_eq!(after(json!({"op": "remove", "path": reference}))[ENTERPRISE_USER]["manager"], json!({"value": "m1"}));
}

#[test]
fn a_complex_value_in_a_list_of_one_is_that_value() {
    for op in ["add", "replace"] {
        check(
            json!([{"op": op, "path": "name", "value": [{"givenName": "L"}]}]),
            json!({"name": {"givenName": "L", "familyName": "Moe"}}),
        );
    }
    assert!(matches!(lenient(json!([{"op": "add", "path": "name", "value": [{}, {}]}])), Err(ScimError::InvalidValue(_))));
    assert!(matches!(
        strict(json!([{"op": "add", "path": "name", "value": [{"givenName": "L"}]}])),
        Err(ScimError::InvalidValue(_))
    ));
}

#[test]
fn null_for_an_extension_is_its_removal() {
    for operation in [
        json!({"op": "add", "path": ENTERPRISE_USER, "value": null}),
        json!({"op": "replace", "path": ENTERPRISE_USER, "value": null}),
        json!({"op": "add", "value": {ENTERPRISE_USER: null}}),
        json!({"op": "replace", "value": {ENTERPRISE_USER: null}}),
    ] {
        check(json!([operation]), json!({ENTERPRISE_USER: null}));
    }
    let core = json!({"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:User", "value": null});
    assert!(matches!(lenient(json!([core])), Err(ScimError::InvalidValue(_))));
}

#[test]
fn a_path_that_goes_on_behind_its_end_is_malformed() {
    for path in ["emails[type eq \"work\"].", "emails.value.x", "emails[type eq \"work\"].value.x", "emails.", "name."] {
        for operation in [json!({"op": "replace", "path": path, "value": "v"}), json!({"op": "replace", "value": {path: "v"}})] {
            assert!(matches!(lenient(json!([operation.clone()])), Err(ScimError::InvalidPath(_))), "{operation}");
        }
    }
    let unknown = lenient(json!([{"op": "add", "path": "emails[type eq \"Jo Moe\"].valu", "value": "v"}])).unwrap();
    let noted: Vec<_> = unknown.user.notes.iter().map(|note| (note.kind, note.attribute.as_str())).collect();
    assert_eq!(noted, [(NoteKind::UnknownAttribute, "emails.valu")]);
}

/// 500 names at most are kept, and each name that is sent is held against those: a request that could ask for 10,000 names (the whole
/// budget) is at an end after the 501st, and one that repeats those that are there after 50,000 / (5 + 500 / 50) = 3,333 of them,
/// which is 1.7 million comparisons. 8,000 names took 32 million.
#[test]
fn a4_names_without_end_are_refused_while_they_are_taken_in() {
    let names = |count: usize| -> Map<String, Value> { (0..count).map(|at| (format!("name-{at}"), json!("x"))).collect() };
    let broken = json!({"op": "add", "path": "emails[", "value": "x"});
    for add in
        [json!({"op": "add", "path": METADATA, "value": names(501)}), json!({"op": "add", "value": {METADATA: names(501)}})]
    {
        assert!(matches!(lenient(json!([add, broken])), Err(ScimError::TooLarge(_))), "the next operation is not looked at");
    }
    let full = document(jo_with(json!({METADATA: names(500)})));
    let on_full = |operations: Vec<Value>| patch_as(Profile::Lenient, &full, &operations.into());
    let at = |op: &str, name: &str, value: Value| json!({"op": op, "path": format!("{METADATA_KEY}{name}"), "value": value});
    assert!(matches!(on_full(vec![at("add", "more", json!("x"))]), Err(ScimError::TooLarge(_))));
    for harmless in [at("add", "NAME-7", json!("y")), at("remove", "more", json!(null)), at("add", "more", json!(null))] {
        assert!(on_full(vec![harmless.clone()]).is_ok(), "{harmless}");
    }
    assert!(on_full(vec![at("remove", "name-7", json!(null)), at("add", "more", json!("x"))]).is_ok());

    let spelled = |turn: usize| -> Map<String, Value> {
        let word = |name: String| {
            name.char_indices().map(|(at, c)| if turn >> at & 1 == 1 { c.to_ascii_uppercase() } else { c }).collect()
        };
        names(500).into_iter().map(|(name, value)| (word(name), value)).collect()
    };
    let all = |turns: usize| (0..turns).map(|turn| json!({"op": "add", "value": {METADATA: spelled(turn)}})).collect();
    assert!(on_full(all(6)).is_ok());
    let refused = on_full(all(7));
    assert!(matches!(&refused, Err(ScimError::TooLarge(why)) if why.contains("too much work")), "{refused:?}");
}
