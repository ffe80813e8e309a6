//! What is one entry, who a URI names, and names that are no paths.

use super::*;

fn emails(body: &Value) -> Value {
    post(json!({"userName": "x", "emails": body})).unwrap().document["emails"].clone()
}

#[test]
fn entries_of_one_type_and_value_are_one() {
    let table = [
        (
            json!([{"value": "a@x", "type": "work"}, {"value": "b@x"}, {"value": "a@x", "type": "Work", "primary": true}]),
            json!([{"value": "a@x", "type": "Work", "primary": true}, {"value": "b@x"}]),
        ),
        (
            json!([{"value": "a@x", "display": "A", "primary": true}, {"value": "a@x", "display": "B", "primary": false}]),
            json!([{"value": "a@x", "display": "B", "primary": true}]),
        ),
        (
            json!([{"value": "a@x", "type": "work", "primary": true}, {"value": "b@x", "primary": true}, {"value": "a@x", "type": "work", "primary": true, "display": "A"}]),
            json!([{"value": "a@x", "type": "work", "primary": true, "display": "A"}, {"value": "b@x", "primary": false}]),
        ),
        (
            json!([{"value": "a@x", "type": "work"}, {"value": "a@x", "type": "home"}, {"value": "a@x"}, {"value": "b@x", "type": "work"}]),
            json!([{"value": "a@x", "type": "work"}, {"value": "a@x", "type": "home"}, {"value": "a@x"}, {"value": "b@x", "type": "work"}]),
        ),
    ];
    for (sent, expected) in table {
        assert_eq!(emails(&sent), expected, "{sent}");
        assert_eq!(put(json!({"userName": "x", "emails": sent})).unwrap().document["emails"], expected, "{sent}");
    }
    let twice = json!([{"value": "a@x", "type": "work", "primary": true}, {"value": "a@x", "type": "WORK", "primary": true, "display": "A"}]);
    let strict = strict_post(json!({"schemas": [USER], "userName": "x", "emails": twice})).unwrap();
    assert_eq!(strict.document["emails"], json!([{"value": "a@x", "type": "WORK", "primary": true, "display": "A"}]));
    let roles = json!([{"value": "Admin", "type": "t"}, {"value": "Admin", "display": "Administrator", "primary": "True"}]);
    let user = post(json!({"userName": "x", "roles": roles})).unwrap();
    assert_eq!(user.document["roles"], json!([{"value": "Admin", "type": "t", "display": "Administrator", "primary": true}]));
}

#[test]
fn a_manager_is_known_by_the_uri_alone() {
    let manager = |sent: Value| {
        let user = post(json!({"schemas": [USER, ENTERPRISE_USER], "userName": "x", ENTERPRISE_USER: {"manager": sent}}))?;
        Ok(user.document.get(ENTERPRISE_USER).map(|home| home["manager"]["value"].clone()))
    };
    for uri in [
        "https://s.example/scim/v2/acme/Users/m2",
        "https://s.example/scim/v2/acme/Users/m2/?attributes=id#x",
        "../Users/m2",
        "/Users/m2",
        "Users/m2",
    ] {
        assert_eq!(manager(json!({"$ref": uri})), Ok(Some(json!("m2"))), "{uri}");
        assert_eq!(manager(json!({"$ref": uri, "value": "m1"})), Ok(Some(json!("m1"))), "{uri}");
        assert_eq!(manager(json!({"$ref": uri, "value": null})), Ok(Some(json!("m2"))), "{uri}");
    }
    for uri in ["m2", "../Users/", "/Groups/m2", "https://s.example/m2", "urn:uuid:m2", "../Users/ "] {
        let refused = manager(json!({"$ref": uri}));
        assert!(matches!(&refused, Err(ScimError::InvalidValue(why)) if why.starts_with("manager.$ref")), "{uri}: {refused:?}");
    }
    assert_eq!(manager(json!({"$ref": null})), Ok(None));
    for order in [["$ref", "value"], ["value", "$ref"]] {
        let parts = order
            .map(|part| (format!("{ENTERPRISE_USER}:manager.{part}"), json!(if part == "value" { "m1" } else { "../Users/m2" })));
        let body: Map<String, Value> = [("userName".to_owned(), json!("x"))].into_iter().chain(parts).collect();
        assert_eq!(post(body.into()).unwrap().document[ENTERPRISE_USER]["manager"]["value"], "m1", "{order:?}");
    }
    let strict =
        json!({"schemas": [USER, ENTERPRISE_USER], "userName": "x", ENTERPRISE_USER: {"manager": {"$ref": "../Users/m2"}}});
    assert_eq!(strict_post(strict).unwrap().document[ENTERPRISE_USER]["manager"]["value"], "m2");
}

#[test]
fn a_name_that_is_no_path_is_ignored_and_told_without_what_is_in_brackets() {
    let table = [
        ("foo[bar", NoteKind::UnknownAttribute, "foo"),
        ("tags[]", NoteKind::UnknownAttribute, "tags"),
        ("x y", NoteKind::UnknownAttribute, "x y"),
        ("emails[type eq \"Jo Moe\"].valu", NoteKind::UnknownAttribute, "emails.valu"),
        ("emails[type eq \"Jo Moe", NoteKind::NoName, "emails"),
        ("emails[type eq \"].Jo", NoteKind::NoName, "emails"),
        ("emails[type is \"Jo Moe\"].value", NoteKind::NoName, "emails.value"),
        ("emails[type eq \"work\"].value[Jo]", NoteKind::NoName, "emails"),
        ("title[value eq \"Jo\"]", NoteKind::NoName, "title"),
    ];
    for (key, kind, name) in table {
        for user in [post(json!({"userName": "x", key: 1})), put(json!({"userName": "x", "externalId": "e", key: 1}))] {
            assert_eq!(remarks(&user.unwrap().notes), [(kind, name)], "{key}");
        }
        assert!(strict_post(json!({"schemas": [USER], "userName": "x", key: 1})).is_err(), "{key}");
    }
}

#[test]
fn a_schema_whose_urn_is_written_in_many_ways_is_one() {
    let names = |from: usize| Value::Object((from..from + 300).map(|at| (at.to_string(), json!("x"))).collect());
    let body = json!({"userName": "x", METADATA: names(0), METADATA.to_uppercase(): names(300), "name": "no object"});

    assert!(matches!(post(body), Err(ScimError::TooLarge(_))), "before anything else is looked at");
}
