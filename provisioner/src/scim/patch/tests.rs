//! PATCH bodies as providers really send them, and what becomes of the resource.

mod entries;
mod groups;

use serde_json::json;

use super::*;
use crate::scim::ResourceKind;
use crate::scim::normalise::{MemberRef, NoteKind};
use crate::scim::schema::ENTERPRISE_USER;
use crate::scim::testing::{FOLDERS, METADATA, World, document, jo, on_a_small_stack};
use crate::scim::{Document, Filter};

const MANAGER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";

fn patch_as(profile: Profile, before: &Document, operations: &Value) -> Result<PatchedUser, ScimError> {
    let world = World::new(profile);
    let request = PatchRequest::parse(json!({"schemas": [PATCH_SCHEMA], "Operations": operations}), profile)?;
    user(request, &world.context(ResourceKind::User), Current { id: "u1", document: before })
}

#[expect(clippy::needless_pass_by_value, reason = "the tests read better")]
fn lenient(operations: Value) -> Result<PatchedUser, ScimError> {
    patch_as(Profile::Lenient, &jo(), &operations)
}

#[expect(clippy::needless_pass_by_value, reason = "the tests read better")]
fn strict(operations: Value) -> Result<PatchedUser, ScimError> {
    patch_as(Profile::Strict, &jo(), &operations)
}

/// The person above with some attributes different; null is for those that are gone.
fn jo_with(changes: Value) -> Value {
    let mut jo = jo();
    for (name, value) in document(changes) {
        if value.is_null() {
            jo.shift_remove(&name);
        } else {
            jo.insert(name, value);
        }
    }
    Value::Object(jo)
}

fn check(operations: Value, changes: Value) {
    let shown = operations.to_string();
    let after = lenient(operations).unwrap_or_else(|error| panic!("{shown}: {error}"));

    assert_eq!(Value::Object(after.user.document), jo_with(changes), "{shown}");
}

#[test]
fn entra_updates_by_path() {
    check(
        json!([
            {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "u@ms.com"},
            {"op": "Replace", "path": "name.familyName", "value": "F"},
            {"op": "Replace", "path": "userName", "value": "new@x"},
            {"op": "Add", "path": "nickName", "value": "Babs"},
            {"op": "Replace", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber", "value": "E1"},
        ]),
        json!({
            "emails": [{"value": "u@ms.com", "type": "work", "primary": true}, {"value": "jo@home.example", "type": "home", "primary": false}],
            "name": {"givenName": "Jo", "familyName": "F"}, "userName": "new@x", "nickName": "Babs",
            ENTERPRISE_USER: {"department": "Sales", "manager": {"value": "m1"}, "employeeNumber": "E1"},
        }),
    );
}

#[test]
fn entra_with_the_flag_updates_by_an_object_of_paths() {
    check(
        json!([{"op": "replace", "value": {
            "displayName": "Bjfe", "name.givenName": "Kkom", "name.familyName": "Unua", "emails[type eq \"work\"].value": "a@b",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber": "Aklq",
        }}]),
        json!({
            "displayName": "Bjfe", "name": {"givenName": "Kkom", "familyName": "Unua"},
            "emails": [{"value": "a@b", "type": "work", "primary": true}, {"value": "jo@home.example", "type": "home", "primary": false}],
            ENTERPRISE_USER: {"department": "Sales", "manager": {"value": "m1"}, "employeeNumber": "Aklq"},
        }),
    );
}

#[test]
fn a_person_is_disabled_in_every_spelling() {
    let spellings = [
        json!([{"op": "Replace", "path": "active", "value": "False"}]),
        json!([{"op": "replace", "path": "active", "value": false}]),
        json!([{"op": "Replace", "path": "active", "value": [false]}]),
        json!([{"op": "replace", "value": {"active": false}}]),
        json!([{"op": "Add", "value": {"active": "false"}}]),
        json!([{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": "False"}]),
        json!([{"op": "replace", "value": {"urn:ietf:params:scim:schemas:core:2.0:User": {"Active": false}}}]),
    ];
    for operations in spellings {
        let after = lenient(operations.clone()).unwrap();

        assert!(!after.user.active && after.changed, "{operations}");
        assert_eq!(Value::Object(after.user.document), jo_with(json!({"active": false})), "{operations}");
    }
    assert!(matches!(lenient(json!([{"op": "replace", "path": "active", "value": "no"}])), Err(ScimError::InvalidValue(_))));
    for unclear in [json!({"op": "remove", "path": "active"}), json!({"op": "replace", "value": {"active": null}})] {
        assert!(lenient(json!([unclear])).is_err(), "neither in nor out: {unclear}");
    }
}

#[test]
fn a_manager_is_set_and_removed_in_every_spelling() {
    let with = |manager: Value| json!({ENTERPRISE_USER: {"department": "Sales", "manager": manager}});
    let without = json!({ENTERPRISE_USER: {"department": "Sales"}});
    for (path, value) in [
        (MANAGER, json!("271")),
        ("manager", json!([{"value": "271"}])),
        (MANAGER, json!({"value": "271", "displayName": "Boss"})),
    ] {
        for op in ["Add", "replace"] {
            check(json!([{"op": op, "path": path, "value": value}]), with(json!({"value": "271"})));
        }
    }
    check(
        json!([{"op": "Add", "path": "manager", "value": [{"$ref": "http://x/Users/X", "value": "X"}]}]),
        with(json!({"$ref": "http://x/Users/X", "value": "X"})),
    );
    check(
        json!([{"op": "add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "value": {"manager": "9"}}]),
        with(json!({"value": "9"})),
    );
    for value in [json!(""), json!(null), json!({"value": ""}), json!([]), json!(" ")] {
        check(json!([{"op": "Replace", "path": MANAGER, "value": value}]), without.clone());
    }
    check(json!([{"op": "remove", "path": MANAGER}]), without.clone());
    check(json!([{"op": "remove", "path": "manager.value"}]), without);
    check(
        json!([{"op": "remove", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"}]),
        json!({ENTERPRISE_USER: null}),
    );
}

#[test]
fn entra_roles_come_packed_in_text_and_by_their_primary_flag() {
    check(
        json!([{"op": "Add", "path": "roles", "value": [{"value": "{\"id\":\"06b0\",\"value\":\"Admin\",\"displayName\":\"Admin\"}"}]}]),
        json!({"roles": [{"value": "Admin", "display": "Admin"}]}),
    );
    check(
        json!([{"op": "Add", "path": "roles[primary eq \"True\"].value", "value": "Admin"}, {"op": "Replace", "path": "roles[primary eq \"True\"].value", "value": "User"}]),
        json!({"roles": [{"value": "User", "primary": true}]}),
    );
    check(
        json!([{"op": "replace", "path": "roles", "value": [{"value": "A", "display": "A", "primary": "False"}, {"value": "B"}]}]),
        json!({"roles": [{"value": "A", "display": "A", "primary": false}, {"value": "B"}]}),
    );
}

#[test]
fn an_entry_that_the_filter_does_not_find_is_made() {
    let phone = json!([{"type": "work", "value": "1"}]);
    for op in ["add", "replace"] {
        check(json!([{"op": op, "path": "phoneNumbers[type eq \"work\"].value", "value": "1"}]), json!({"phoneNumbers": phone}));
        check(
            json!([{"op": op, "path": "phoneNumbers[type eq \"work\"]", "value": {"value": "1"}}]),
            json!({"phoneNumbers": phone}),
        );
        check(json!([{"op": op, "path": "phoneNumbers[type eq \"work\"]", "value": "1"}]), json!({"phoneNumbers": phone}));
        check(json!([{"op": op, "path": "phoneNumbers[type eq \"work\"].value", "value": ""}]), json!({}));
        for path in [
            "phoneNumbers[value co \"1\"].type",
            "phoneNumbers[type eq \"a\" or type eq \"b\"].value",
            "phoneNumbers[value eq \"2\"].value",
        ] {
            assert!(matches!(lenient(json!([{"op": op, "path": path, "value": "9"}])), Err(ScimError::NoTarget(_))), "{path}");
        }
    }
    assert!(matches!(
        strict(json!([{"op": "replace", "path": "phoneNumbers[type eq \"work\"].value", "value": "1"}])),
        Err(ScimError::NoTarget(_))
    ));
    assert!(strict(json!([{"op": "add", "path": "phoneNumbers[type eq \"work\"].value", "value": "1"}])).is_ok());
}

#[test]
fn s22_entries_are_replaced_whole_and_all_that_match_are_meant() {
    let home = json!({"value": "jo@home.example", "type": "home", "primary": false});
    for value in [json!({"value": "n@x"}), json!({"value": "n@x", "type": "work"}), json!("n@x"), json!([{"value": "n@x"}])] {
        check(
            json!([{"op": "replace", "path": "emails[type eq \"work\"]", "value": value}]),
            json!({"emails": [{"value": "n@x", "type": "work"}, home]}),
        );
    }
    check(
        json!([{"op": "add", "path": "emails[type eq \"work\"]", "value": {"display": "J"}}]),
        json!({"emails": [{"value": "jo@acme.example", "type": "work", "primary": true, "display": "J"}, home]}),
    );
    check(
        json!([{"op": "replace", "path": "emails[value co \"@\"].display", "value": "J"}]),
        json!({"emails": [
            {"value": "jo@acme.example", "type": "work", "primary": true, "display": "J"},
            {"value": "jo@home.example", "type": "home", "primary": false, "display": "J"},
        ]}),
    );
    check(
        json!([{"op": "replace", "path": "emails[value co \"@\"]", "value": {"value": "one@x"}}]),
        json!({"emails": [{"value": "one@x"}]}),
    );
    check(
        json!([{"op": "remove", "path": "emails[type eq \"home\"]"}]),
        json!({"emails": [{"value": "jo@acme.example", "type": "work", "primary": true}]}),
    );
    check(json!([{"op": "remove", "path": "emails[value eq \"JO@home.example\" or type eq \"work\"]"}]), json!({"emails": null}));
    check(
        json!([{"op": "remove", "path": "emails[type eq \"home\"].value"}]),
        json!({"emails": [{"value": "jo@acme.example", "type": "work", "primary": true}]}),
    );
    check(json!([{"op": "remove", "path": "emails[type eq \"fax\"].value"}]), json!({}));
    assert!(matches!(strict(json!([{"op": "remove", "path": "emails[type eq \"fax\"]"}])), Err(ScimError::NoTarget(_))));
}

#[test]
fn one_entry_is_primary_and_it_is_the_last_that_was_said_to_be() {
    let emails = |work: bool, home: bool| json!([{"value": "jo@acme.example", "type": "work", "primary": work}, {"value": "jo@home.example", "type": "home", "primary": home}]);
    check(
        json!([{"op": "replace", "path": "emails[type eq \"home\"].primary", "value": "True"}]),
        json!({"emails": emails(false, true)}),
    );
    check(
        json!([{"op": "add", "path": "emails", "value": [{"value": "n@x", "primary": true}]}]),
        json!({"emails": [
            emails(false, false)[0], emails(false, false)[1], {"value": "n@x", "primary": true},
        ]}),
    );
    check(json!([{"op": "replace", "path": "emails.primary", "value": true}]), json!({"emails": emails(true, false)}));
}

#[test]
fn adding_twice_is_adding_once() {
    let add = json!({"op": "add", "path": "emails", "value": [{"type": "work", "primary": true, "value": "jo@acme.example"}]});
    let after = lenient(json!([add, add])).unwrap();
    assert!(!after.changed, "it is all there already");
    let folders =
        json!({"op": "add", "path": "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName:folders", "value": "Blue"});
    check(
        json!([folders, folders, {"op": "add", "path": "folders", "value": ["Blue", "Red"]}]),
        json!({FOLDERS: {"folders": ["Blue", "Red"]}}),
    );
    check(json!([folders, {"op": "remove", "path": "folders[value eq \"blue\"]"}]), json!({}));
    check(
        json!([{"op": "add", "path": "urn:ietf:params:scim:schemas:extension:2.0:Metadata:cost.centre", "value": 7}]),
        json!({METADATA: {"cost.centre": "7"}}),
    );
}

#[test]
fn complex_values_merge_and_lists_are_replaced() {
    check(
        json!([{"op": "replace", "path": "name", "value": {"familyName": "X", "givenName": null}}]),
        json!({"name": {"familyName": "X"}}),
    );
    check(
        json!([{"op": "add", "path": "name", "value": {"middleName": "M", "shoe": 1}}]),
        json!({"name": {"givenName": "Jo", "familyName": "Moe", "middleName": "M"}}),
    );
    check(
        json!([{"op": "replace", "value": {"name": {"givenName": "A"}}}]),
        json!({"name": {"givenName": "A", "familyName": "Moe"}}),
    );
    check(json!([{"op": "remove", "path": "name"}]), json!({"name": null}));
    check(
        json!([{"op": "remove", "path": "name.givenName"}, {"op": "remove", "path": "name.familyName"}]),
        json!({"name": null}),
    );
    check(json!([{"op": "replace", "path": "emails", "value": [{"value": "only@x"}]}]), json!({"emails": [{"value": "only@x"}]}));
    check(json!([{"op": "replace", "path": "emails", "value": []}]), json!({"emails": null}));
    check(json!([{"op": "add", "path": "emails", "value": []}]), json!({}));
    check(json!([{"op": "add", "path": "phoneNumbers.value", "value": "1"}]), json!({"phoneNumbers": [{"value": "1"}]}));
    let replaced = strict(json!([{"op": "replace", "path": "name", "value": {"familyName": "X"}}])).unwrap();
    assert_eq!(replaced.user.document["name"], json!({"familyName": "X"}), "the profile replaces the whole");
}

#[test]
fn removal_with_a_list_removes_what_is_listed() {
    check(
        json!([{"op": "Remove", "path": "emails", "value": [{"value": "JO@home.example"}]}]),
        json!({"emails": [{"value": "jo@acme.example", "type": "work", "primary": true}]}),
    );
    check(json!([{"op": "Remove", "path": "emails", "value": []}]), json!({}));
    check(json!([{"op": "Remove", "path": "emails"}]), json!({"emails": null}));
    assert!(matches!(
        strict(json!([{"op": "remove", "path": "emails", "value": [{"value": "x"}]}])),
        Err(ScimError::InvalidSyntax(_))
    ));
}

#[test]
fn null_and_empty_text_unassign() {
    for value in [json!(null), json!("")] {
        check(json!([{"op": "Replace", "path": "title", "value": value}]), json!({"title": null}));
        check(json!([{"op": "Replace", "value": {"title": value}}]), json!({"title": null}));
    }
}

#[test]
fn what_is_unknown_is_noted_and_the_rest_is_done() {
    let after = lenient(json!([
        {"op": "add", "path": "shoeSize", "value": 9},
        {"op": "add", "path": "urn:x:y:z", "value": 9},
        {"op": "replace", "value": {"isAdmin": true, "__proto__": {}, "password": "p", "groups": [], "id": "u1", "schemas": [], "meta": {}, "title": "T"}},
        {"op": "replace", "path": "password", "value": "secret"},
        {"op": "remove", "path": "emails[type eq \"fax\"]"},
    ]))
    .unwrap();

    assert_eq!(Value::Object(after.user.document), jo_with(json!({"title": "T"})));
    let noted: Vec<_> = after.user.notes.iter().map(|note| (note.kind, note.attribute.as_str())).collect();
    assert_eq!(
        noted,
        [
            (NoteKind::UnknownAttribute, "shoeSize"),
            (NoteKind::UnknownSchema, "urn:x:y:z"),
            (NoteKind::UnknownAttribute, "isAdmin"),
            (NoteKind::UnknownAttribute, "__proto__"),
            (NoteKind::NotKept, "password"),
            (NoteKind::NoMatch, "emails"),
        ]
    );
}

#[test]
fn every_refusal_has_its_scim_type() {
    let table = [
        (json!([{"op": "move", "path": "title", "value": "x"}]), "invalidSyntax"),
        (json!([{"path": "title", "value": "x"}]), "invalidSyntax"),
        (json!([7]), "invalidSyntax"),
        (json!([]), "invalidSyntax"),
        (json!({}), "invalidSyntax"),
        (json!([{"op": "add", "value": "x"}]), "invalidSyntax"),
        (json!([{"op": "remove"}]), "noTarget"),
        (json!([{"op": "remove", "value": {"title": "x"}}]), "noTarget"),
        (json!([{"op": "add", "path": "title"}]), "invalidValue"),
        (json!([{"op": "add", "path": "title", "value": true}]), "invalidValue"),
        (json!([{"op": "replace", "path": "userName", "value": 7}]), "invalidValue"),
        (json!([{"op": "add", "path": "title", "value": {"a": 1}}]), "invalidValue"),
        (json!([{"op": "add", "path": 7, "value": "x"}]), "invalidPath"),
        (json!([{"op": "add", "path": "emails[", "value": "x"}]), "invalidPath"),
        (json!([{"op": "add", "path": "title[value eq \"x\"]", "value": "x"}]), "invalidPath"),
        (json!([{"op": "add", "path": "emails[type foo \"x\"]", "value": "x"}]), "invalidFilter"),
        (json!([{"op": "replace", "path": "id", "value": "u1"}]), "mutability"),
        (json!([{"op": "replace", "path": "meta.created", "value": "2026-01-01T00:00:00Z"}]), "mutability"),
        (json!([{"op": "add", "path": "groups", "value": [{"value": "g"}]}]), "mutability"),
        (json!([{"op": "replace", "path": "manager.displayName", "value": "x"}]), "mutability"),
        (json!([{"op": "replace", "value": {"id": "u2"}}]), "mutability"),
        (json!([{"op": "remove", "path": "userName"}]), "mutability"),
        (json!([{"op": "remove", "path": "urn:ietf:params:scim:schemas:core:2.0:User"}]), "mutability"),
        (json!([{"op": "replace", "path": "userName", "value": ""}]), "invalidValue"),
        (json!([{"op": "replace", "path": "userName", "value": "a\tb"}]), "invalidValue"),
    ];
    for (operations, expected) in table {
        let error = lenient(operations.clone()).unwrap_err();

        assert_eq!(error.parts().1, Some(expected), "{operations}: {error}");
    }
    let strict_table = [
        (json!([{"op": "add", "value": {"title": "x"}}]), "invalidSyntax"),
        (json!([{"op": "add", "path": "shoeSize", "value": 1}]), "invalidSyntax"),
        (json!([{"op": "add", "path": "manager", "value": {"value": "m"}}]), "invalidSyntax"),
        (json!([{"op": "add", "path": "emails[type eq \"work\"].shoeSize", "value": "x"}]), "invalidSyntax"),
        (json!([{"op": "replace", "path": "password", "value": "1mz050nq"}]), "invalidSyntax"),
        (
            json!([{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User", "value": {"password": "1mz050nq"}}]),
            "invalidSyntax",
        ),
        (json!([{"op": "replace", "path": "emails[", "value": 1}]), "invalidPath"),
        (json!([{"op": "replace", "path": "active", "value": "False"}]), "invalidValue"),
        (json!([{"op": "replace", "path": MANAGER, "value": "m"}]), "invalidValue"),
    ];
    for (operations, expected) in strict_table {
        assert_eq!(strict(operations.clone()).unwrap_err().parts().1, Some(expected), "{operations}");
    }
    let body = json!({"Operations": [{"op": "add", "path": "title", "value": "x"}]});
    assert!(PatchRequest::parse(body.clone(), Profile::Strict).is_err() && PatchRequest::parse(body, Profile::Lenient).is_ok());
}

#[test]
fn s24_a_failing_operation_leaves_nothing_of_the_others() {
    let before = jo();
    let world = World::new(Profile::Lenient);
    let operations =
        json!([{"op": "replace", "path": "title", "value": "gone"}, {"op": "replace", "path": "active", "value": "maybe"}]);
    let request = PatchRequest::parse(json!({"Operations": operations}), Profile::Lenient).unwrap();

    assert!(user(request, &world.context(ResourceKind::User), Current { id: "u1", document: &before }).is_err());
    assert_eq!(before, jo());
    check(
        json!([{"op": "replace", "path": "title", "value": "a"}, {"op": "remove", "path": "title"}, {"op": "add", "path": "title", "value": "b"}]),
        json!({"title": "b"}),
    );
}

#[test]
fn limits_are_limits() {
    let many = |count| json!(vec![json!({"op": "replace", "path": "title", "value": "x"}); count]);
    assert!(lenient(many(1_000)).is_ok());
    assert!(matches!(lenient(many(1_001)), Err(ScimError::TooLarge(_))));
    let entries: Vec<Value> = (0..600).map(|at| json!({"value": at.to_string()})).collect();
    let halves =
        json!([{"op": "add", "path": "roles", "value": entries[..300]}, {"op": "add", "path": "roles", "value": entries[300..]}]);
    assert!(matches!(lenient(halves), Err(ScimError::TooLarge(_))));
    let full = document(jo_with(json!({"roles": (0..500).map(|at| json!({"value": at.to_string()})).collect::<Vec<_>>()})));
    let all = json!({"op": "replace", "path": "roles[value co \"1\" or type eq \"x\"].display", "value": "x"});
    assert!(patch_as(Profile::Lenient, &full, &json!(vec![all.clone(); 40])).is_ok());
    assert!(
        matches!(patch_as(Profile::Lenient, &full, &json!(vec![all; 60])), Err(ScimError::TooLarge(_))),
        "each is allowed, all together are not"
    );
    let keys = |count: usize| json!([{"op": "add", "value": {METADATA: (0..count).map(|at| (at.to_string(), json!("x"))).collect::<Map<_, _>>()}}]);
    assert!(lenient(keys(500)).is_ok());
    assert!(matches!(lenient(keys(501)), Err(ScimError::TooLarge(_))));
    assert!(matches!(lenient(keys(50_000)), Err(ScimError::TooLarge(_))));
    let bomb = json!([{"op": "add", "path": format!("emails[{}type pr{}]", "(".repeat(5_000), ")".repeat(5_000)), "value": "x"}]);
    assert!(matches!(on_a_small_stack(move || lenient(bomb)), Err(ScimError::InvalidFilter(_))));
}

#[test]
fn an_immutable_attribute_is_added_once() {
    let before = document(jo_with(json!({FOLDERS: {"badge": 7}})));
    let patch = |operation: Value| patch_as(Profile::Lenient, &before, &json!([operation]));

    assert!(lenient(json!([{"op": "add", "path": "badge", "value": 7}])).is_ok());
    assert!(!patch(json!({"op": "replace", "path": "badge", "value": 7})).unwrap().changed);
    let badge = format!("{FOLDERS}:badge");
    for refused in [
        json!({"op": "replace", "path": badge, "value": 8}),
        json!({"op": "remove", "path": badge}),
        json!({"op": "replace", "path": badge, "value": null}),
        json!({"op": "remove", "path": FOLDERS}),
    ] {
        for profile in [Profile::Lenient, Profile::Strict] {
            let outcome = patch_as(profile, &before, &json!([refused.clone()]));
            assert!(matches!(outcome, Err(ScimError::Mutability(_))), "{profile:?} {refused}: {outcome:?}");
        }
    }
    assert!(lenient(json!([{"op": "remove", "path": "badge"}])).is_ok(), "there is nothing to lose");
}
