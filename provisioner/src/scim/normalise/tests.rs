//! Bodies as providers really send them, and what becomes of them.

mod entries;
mod rules;
mod strict;

use serde_json::{Map, json};

use super::*;
use crate::scim::ResourceKind;
use crate::scim::schema::{ENTERPRISE_USER, GROUP, USER};
use crate::scim::testing::{FOLDERS, METADATA, World, document, jo};

fn post(body: Value) -> Result<User, ScimError> {
    let world = World::new(Profile::Lenient);
    user(body, &world.context(ResourceKind::User), None)
}

fn strict_post(body: Value) -> Result<User, ScimError> {
    let world = World::new(Profile::Strict);
    user(body, &world.context(ResourceKind::User), None)
}

fn put(body: Value) -> Result<User, ScimError> {
    let (world, jo) = (World::new(Profile::Lenient), jo());
    user(body, &world.context(ResourceKind::User), Some(Current { id: "u1", document: &jo }))
}

fn post_group(body: Value) -> Result<Group, ScimError> {
    let world = World::new(Profile::Lenient);
    group(body, &world.context(ResourceKind::Group), None)
}

fn remarks(notes: &Notes) -> Vec<(NoteKind, &str)> {
    notes.iter().map(|note| (note.kind, note.attribute.as_str())).collect()
}

#[test]
fn entra_creates_a_user_with_nulls_a_mistyped_urn_and_a_manager_as_text() {
    let user = post(json!({
        "schemas": [USER, "urn:ietf:params:scim:schemas:extension:enterprise:2.0User"],
        "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", "userName": "Test_User_00AA", "active": true,
        "addresses": null, "phoneNumbers": null, "title": null, "displayName": "Lee",
        "emails": [{"primary": true, "type": "work", "value": "x@testuser.com"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
        "roles": [],
        ENTERPRISE_USER: {"department": null, "manager": "123456"},
        FOLDERS: {"folders": ["Blue"]},
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0User": {"department": "x"},
    }))
    .unwrap();

    assert_eq!((user.user_name.as_str(), user.user_name_key.as_str()), ("Test_User_00AA", "test_user_00aa"));
    assert_eq!((user.external_id.as_deref(), user.active), (Some("0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef"), true));
    assert_eq!(
        Value::Object(user.document),
        json!({
            "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", "userName": "Test_User_00AA", "active": true, "displayName": "Lee",
            "emails": [{"primary": true, "type": "work", "value": "x@testuser.com"}],
            "name": {"formatted": "givenName familyName", "familyName": "familyName", "givenName": "givenName"},
            ENTERPRISE_USER: {"manager": {"value": "123456"}, "department": "x"},
            FOLDERS: {"folders": ["Blue"]},
        })
    );
    assert_eq!(remarks(&user.notes), []);
}

#[test]
fn of_two_spellings_of_a_urn_the_one_with_a_value_counts_and_two_values_are_refused() {
    let typo = "urn:ietf:params:scim:schemas:extension:enterprise:2.0User";
    let table = [
        (json!("Sales"), json!(null), true),
        (json!(null), json!("Sales"), true),
        (json!("Sales"), json!("Sales"), false),
        (json!("Sales"), json!("Support"), false),
    ];
    for (proper, mistyped, is_taken) in table {
        let body = json!({"userName": "x", ENTERPRISE_USER: {"department": proper}, typo: {"department": mistyped}});

        let department = post(body).map(|user| user.document[ENTERPRISE_USER]["department"].clone());

        assert_eq!(department.ok(), is_taken.then(|| json!("Sales")), "{proper} {mistyped}");
    }
    assert!(post(json!({"userName": "x", METADATA: {"a": "1", "A": "2"}})).is_err());
}

#[test]
fn okta_creates_a_user_with_a_password_that_is_nowhere_afterwards() {
    let user = post(json!({
        "schemas": [USER], "userName": "test.user@okta.local", "name": {"givenName": "Test", "familyName": "User"},
        "emails": [{"primary": true, "value": "test.user@okta.local", "type": "work"}], "displayName": "Test User", "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7", "groups": [], "password": "1mz050nq", "active": true,
    }))
    .unwrap();

    assert_eq!(remarks(&user.notes), [(NoteKind::NotKept, "password")]);
    assert!(!serde_json::to_string(&user.document).unwrap().contains("1mz050nq"));
    assert!(!serde_json::to_string(&user.notes).unwrap().contains("1mz050nq"));
    assert!(!user.document.contains_key("groups"));
}

#[test]
fn onelogin_sends_unset_macros_and_scim_1() {
    let user = post(json!({
        "schemas": ["urn:scim:schemas:core:1.0"], "id": null, "userName": "one@login.example", "active": "True", "title": "",
        ENTERPRISE_USER: {"manager": {"managerId": " ", "displayName": ""}, "department": " "},
    }))
    .unwrap();

    assert_eq!(Value::Object(user.document), json!({"userName": "one@login.example", "active": true}));
    let managed =
        post(json!({"userName": "x", ENTERPRISE_USER: {"manager": {"managerId": "m9", "displayName": "Boss"}}})).unwrap();
    assert_eq!(managed.document[ENTERPRISE_USER], json!({"manager": {"value": "m9"}}));
}

#[test]
fn jumpcloud_replaces_with_nulls_and_nobody_loses_what_they_are_found_by() {
    let user = put(json!({"active": true, "emails": null, "id": "u1", "name": {"familyName": "Moe"}, "schemas": [USER], "userName": "jo@acme.example"})).unwrap();

    assert_eq!(user.document["emails"], jo()["emails"]);
    assert_eq!(user.external_id.as_deref(), Some("ext-1"));
    assert_eq!(remarks(&user.notes), [(NoteKind::Retained, "externalId"), (NoteKind::Retained, "emails")]);
    assert!(!user.document.contains_key("title") && !user.document.contains_key(ENTERPRISE_USER), "the rest is replaced");
    let emptied = put(json!({"userName": "jo", "emails": [], "externalId": null})).unwrap();
    assert!(!emptied.document.contains_key("emails") && emptied.external_id.is_none(), "what is said is done");
}

#[test]
fn a_put_without_active_neither_lets_anybody_in_nor_puts_anybody_out() {
    let world = World::new(Profile::Lenient);
    let context = world.context(ResourceKind::User);
    for active in [true, false] {
        let mut before = jo();
        before.insert("active".into(), active.into());
        for body in
            [json!({"userName": "jo"}), json!({"userName": "jo", "active": null}), json!({"userName": "jo", "active": ""})]
        {
            let after = user(body, &context, Some(Current { id: "u1", document: &before })).unwrap();

            assert_eq!((after.active, &after.document["active"]), (active, &json!(active)));
        }
    }
    assert!(post(json!({"userName": "new"})).unwrap().active);
}

#[test]
fn active_is_read_in_four_spellings_and_no_other() {
    for (sent, active) in
        [(json!("True"), true), (json!("true"), true), (json!("False"), false), (json!("false"), false), (json!(false), false)]
    {
        assert_eq!(post(json!({"userName": "x", "active": sent})).unwrap().active, active, "{sent}");
    }
    for sent in [json!(0), json!(1), json!("0"), json!("yes"), json!("FALSE"), json!({}), json!([true, false])] {
        assert!(
            matches!(post(json!({"userName": "x", "active": sent})), Err(ScimError::InvalidValue(detail)) if detail.contains("active")),
            "{sent}"
        );
    }
    assert!(strict_post(json!({"schemas": [USER], "userName": "x", "active": "False"})).is_err());
}

#[test]
fn entra_puts_a_role_as_json_into_the_value_of_a_role() {
    let roles = json!([{"primary": "True", "value": "{\"id\":\"06b0\",\"value\":\"Admin\",\"displayName\":\"Administrators\"}"}, "Plain", {"value": "{not json"}]);

    assert_eq!(
        post(json!({"userName": "x", "roles": roles})).unwrap().document["roles"],
        json!([{"primary": true, "value": "Admin", "display": "Administrators"}, {"value": "Plain"}, {"value": "{not json"}])
    );
}

#[test]
fn names_are_found_in_any_case_and_unknown_ones_are_noted() {
    let user = post(json!({
        "UserName": "UserName222", "emails": [{"Primary": true, "TYPE": "work", "value": "a@x.example", "shoe": 1}], "adreses": [{}], "__proto__": {"isAdmin": true},
        "isAdmin": true, "department": "bob", "URN:ietf:params:scim:schemas:extension:enterprise:2.0:USER": {"CostCenter": "9", "Nope": 1},
        "name.givenName": "Bob", "name": {"familyName": "Moe"},
        "urn:ietf:params:scim:schemas:extension:2.0:Metadata:tier": 3, METADATA: {"gold": true, "list": [1], "none": null, "blank": " "},
    }))
    .unwrap();

    assert_eq!(
        Value::Object(user.document),
        json!({
            "userName": "UserName222", "active": true, "emails": [{"primary": true, "type": "work", "value": "a@x.example"}],
            "name": {"givenName": "Bob", "familyName": "Moe"}, ENTERPRISE_USER: {"department": "bob", "costCenter": "9"},
            METADATA: {"tier": "3", "gold": "true", "list": "[1]"},
        })
    );
    let mut noted: Vec<String> = user.notes.iter().map(ToString::to_string).collect();
    noted.sort();
    assert_eq!(
        noted,
        [
            "__proto__ was ignored: no schema of this workspace has it",
            "adreses was ignored: no schema of this workspace has it",
            "department was taken for an extension's attribute: the mapping lacks its URN",
            "emails.shoe was ignored: no schema of this workspace has it",
            "isAdmin was ignored: no schema of this workspace has it",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:Nope was ignored: this workspace has no such schema",
        ]
    );
}

#[test]
fn a_wrong_type_is_refused_by_name() {
    let table = [
        (json!({"userName": 7}), "userName must be text"),
        (json!({"userName": {"value": "x"}}), "userName must be text"),
        (json!({"userName": ["a", "b"]}), "userName must be text"),
        (json!({"userName": "x", "emails": [7]}), "emails must be an object"),
        (json!({"userName": "x", "emails": [{"value": {}}]}), "emails.value must be text"),
        (json!({"userName": "x", "emails": [{"value": "a", "primary": "no"}]}), "emails.primary must be true or false"),
        (json!({"userName": "x", "name": "Jo Moe"}), "name must be an object"),
        (json!({"userName": "x", "x509Certificates": [{"value": "%%"}]}), "x509Certificates.value must be base64 text"),
        (json!({"userName": "x", FOLDERS: {"badge": 1.5}}), "badge must be a whole number"),
        (json!({"userName": "x", FOLDERS: {"hired": "soon"}}), "hired must be a date and time"),
        (json!({"userName": "x", FOLDERS: {"score": "much"}}), "score must be a number"),
        (
            json!({"userName": "x", FOLDERS: ["Blue"]}),
            "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName must be an object",
        ),
        (json!({"displayName": "nobody"}), "userName is required"),
        (json!({"userName": ""}), "userName is required"),
        (json!({"userName": " jo"}), "userName begins or ends with a space"),
        (json!({"userName": "a\nb"}), "userName contains a control character"),
        (json!({"userName": "a\u{200b}b"}), "userName contains a character that cannot be seen"),
        (json!({"userName": "\u{202e}abc"}), "userName contains a character that cannot be seen"),
        (json!({"userName": "n".repeat(600)}), "userName is longer than 512 characters"),
        (json!({"userName": "x", "externalId": "e".repeat(600)}), "externalId is longer than 512 characters"),
        (json!({"userName": "x", "emails": [{"value": "e".repeat(600)}]}), "emails.value is longer than 512 characters"),
    ];
    for (body, expected) in table {
        assert_eq!(post(body.clone()), Err(ScimError::InvalidValue(expected.into())), "{body}");
    }
    assert!(matches!(post(json!([])), Err(ScimError::InvalidSyntax(_))));
    assert!(
        matches!(post(json!({"userName": "a", "USERNAME": "b"})), Err(ScimError::InvalidSyntax(_))),
        "two readers would disagree"
    );
    let names = |count: usize| Value::Object((0..count).map(|at| (at.to_string(), json!(1))).collect());
    assert!(matches!(post(names(501)), Err(ScimError::TooLarge(_))));
    assert!(matches!(post(json!({"userName": "a", METADATA: names(501)})), Err(ScimError::TooLarge(_))));
    assert!(matches!(post(json!({"userName": "a", "emails": vec![json!({"value": "x"}); 501]})), Err(ScimError::TooLarge(_))));
}

#[test]
fn s21_a_name_that_is_stored_stays_whatever_is_in_it_and_no_new_one_has_what_cannot_be_seen() {
    let world = World::new(Profile::Lenient);
    let (users, groups) = (world.context(ResourceKind::User), world.context(ResourceKind::Group));
    let stored = document(json!({"userName": "a\u{200b}b", "active": true, "displayName": "a\u{200b}b"}));
    let current = || Some(Current { id: "u1", document: &stored });

    let out = user(json!({"userName": "a\u{200b}b", "active": false}), &users, current()).unwrap();
    assert!(!out.active, "nobody is kept in by their name");
    assert!(user(json!({"userName": "c\u{200b}b"}), &users, current()).is_err());
    assert!(group(json!({"displayName": "a\u{200b}b"}), &groups, current()).is_ok());
    for current in [current(), None] {
        let refused = group(json!({"displayName": "Admins\u{202e}"}), &groups, current);
        assert_eq!(refused, Err(ScimError::InvalidValue("displayName contains a character that cannot be seen".into())));
    }
    assert!(group(json!({"displayName": "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} Family"}), &groups, None).is_ok());
}

#[test]
fn s25_an_identifier_is_the_servers_to_give() {
    assert_eq!(post(json!({"userName": "x", "id": "admin"})).unwrap().document.get("id"), None);
    assert!(put(json!({"userName": "x", "id": "u1"})).is_ok());
    assert!(matches!(put(json!({"userName": "x", "id": "u2"})), Err(ScimError::Mutability(_))));
    assert!(matches!(put(json!({"externalId": "no name"})), Err(ScimError::InvalidValue(_))));
    for external in ["1", "0", "admin", "-1", "u1"] {
        assert_eq!(
            post(json!({"userName": "x", "externalId": external})).unwrap().external_id.as_deref(),
            Some(external),
            "opaque text"
        );
    }
}

#[test]
fn s26_the_strict_profile_wants_the_schemas_and_nothing_unknown() {
    let good = json!({"schemas": [USER], "userName": "x", "emails": [{"value": "a", "primary": true}]});
    assert!(strict_post(good.clone()).is_ok());
    let with = |name: &str, value: Value| {
        let mut body = document(good.clone());
        body.insert(name.into(), value);
        strict_post(Value::Object(body))
    };
    for (name, value) in [
        ("schemas", json!([])),
        ("schemas", json!([USER, "urn:x:y"])),
        ("shoe", json!(1)),
        ("urn:x:y", json!({})),
        ("department", json!("x")),
        ("name.givenName", json!("x")),
        ("name", json!({"shoe": 1})),
        ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", json!("x")),
    ] {
        assert!(matches!(with(name, value.clone()), Err(ScimError::InvalidSyntax(_))), "{name} {value}");
    }
    for (name, value) in [
        ("active", json!("True")),
        ("emails", json!({"value": "a"})),
        ("emails", json!([null])),
        ("roles", json!(["Admin"])),
        ("emails", json!([{"value": "a", "primary": true}, {"value": "b", "primary": true}])),
    ] {
        assert!(matches!(with(name, value.clone()), Err(ScimError::InvalidValue(_))), "{name} {value}");
    }
    let listed = json!({"schemas": [USER, ENTERPRISE_USER], "userName": "x", ENTERPRISE_USER: {"manager": "m1"}});
    assert!(matches!(strict_post(listed), Err(ScimError::InvalidValue(_))));
    for (name, value) in [("id", json!("x")), ("meta", json!({})), ("groups", json!([]))] {
        assert!(matches!(with(name, value.clone()), Err(ScimError::Mutability(_))), "{name}");
    }
    let strict = World::new(Profile::Strict);
    let whole = Value::Object(Map::from_iter([("userName".to_owned(), json!("x"))]));
    assert!(user(whole, &strict.context(ResourceKind::User), None).is_err(), "schemas are missing");
}

#[test]
fn lists_have_one_primary_and_no_repetition_and_nothing_empty() {
    let user = post(json!({"userName": "x", "emails": [
        {"value": "a", "primary": true}, {"value": "b", "primary": true}, {"primary": true, "value": "a"}, null, {}, {"type": "work", "value": null}, "",
    ]}))
    .unwrap();

    assert_eq!(user.document["emails"], json!([{"value": "a", "primary": true}, {"value": "b", "primary": false}]));
    assert_eq!(remarks(&user.notes), [(NoteKind::EmptyEntry, "emails"), (NoteKind::SecondPrimary, "emails")]);
    let alike = json!([{"value": "a", "primary": false}, {"value": "b", "primary": true}, {"value": "a", "primary": true}]);
    let settled = post(json!({"userName": "x", "emails": alike})).unwrap();
    assert_eq!(settled.document["emails"], json!([{"value": "a", "primary": true}, {"value": "b", "primary": false}]));
}

#[test]
fn an_immutable_attribute_is_set_once() {
    let mut before = jo();
    before.insert(FOLDERS.into(), json!({"badge": 7}));
    let world = World::new(Profile::Lenient);
    let put = |body: Value| user(body, &world.context(ResourceKind::User), Some(Current { id: "u1", document: &before }));

    assert_eq!(put(json!({"userName": "x", FOLDERS: {"badge": 7}})).unwrap().document[FOLDERS], json!({"badge": 7}));
    assert_eq!(
        put(json!({"userName": "x"})).unwrap().document[FOLDERS],
        json!({"badge": 7}),
        "leaving it out does not remove it"
    );
    assert!(matches!(put(json!({"userName": "x", FOLDERS: {"badge": 8}})), Err(ScimError::Mutability(_))));
    assert_eq!(post(json!({"userName": "x", FOLDERS: {"badge": "8"}})).unwrap().document[FOLDERS], json!({"badge": 8}));
}

#[test]
fn s23_members_are_read_in_every_spelling_and_each_once() {
    let group = post_group(json!({
        "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"], "externalId": "8aa1a0c0", "displayName": "Sales ",
        "meta": {"resourceType": "Group"},
        "members": [null, {"$ref": null, "value": "u1"}, {"Value": "u2", "display": "Two", "type": "User"}, {"value": "u1"}, "u3",
            {"$ref": "https://x/scim/v2/acme/Groups/g9"}, {"displayName": "new User", "value": " u4 "}],
    }))
    .unwrap();

    let member =
        |value: &str, display: Option<&str>, kind| MemberRef { value: value.into(), display: display.map(Into::into), kind };
    assert_eq!(
        group.members.unwrap(),
        [
            member("u1", None, None),
            member("u2", Some("Two"), Some(ResourceKind::User)),
            member("u3", None, None),
            member("g9", None, Some(ResourceKind::Group)),
            member("u4", Some("new User"), None),
        ]
    );
    assert_eq!((group.display_name.as_str(), group.external_id.as_deref()), ("Sales ", Some("8aa1a0c0")));
    assert_eq!(Value::Object(group.document), json!({"externalId": "8aa1a0c0", "displayName": "Sales "}), "members are rows");
}

#[test]
fn a_group_that_does_not_speak_of_members_keeps_them() {
    assert_eq!(post_group(json!({"displayName": "x"})).unwrap().members, None);
    assert_eq!(post_group(json!({"displayName": "x", "members": null})).unwrap().members, None);
    assert_eq!(post_group(json!({"displayName": "x", "members": []})).unwrap().members, Some(Vec::new()));
    for bad in [json!([{}]), json!([7]), json!([{"value": ""}]), json!([{"value": "a\u{7}"}])] {
        assert!(matches!(post_group(json!({"displayName": "x", "members": bad})), Err(ScimError::InvalidValue(_))), "{bad}");
    }
    let many: Vec<Value> = (0..10_001).map(|at| json!({"value": at.to_string()})).collect();
    assert!(matches!(post_group(json!({"displayName": "x", "members": many})), Err(ScimError::TooLarge(_))));
    assert!(matches!(post_group(json!({"externalId": "x"})), Err(ScimError::InvalidValue(_))), "a group has a name");
}

#[test]
fn a_number_is_the_text_that_it_is_written_as_but_for_the_user_name() {
    let body = json!({"schemas": [USER], "userName": "x", "externalId": 55, "phoneNumbers": [{"value": 12345}],
        ENTERPRISE_USER: {"employeeNumber": 701_984}});

    let user = post(body.clone()).unwrap();

    assert_eq!(user.external_id.as_deref(), Some("55"));
    assert_eq!(user.document["phoneNumbers"], json!([{"value": "12345"}]));
    assert_eq!(user.document[ENTERPRISE_USER], json!({"employeeNumber": "701984"}));
    let names = ["externalId", "phoneNumbers.value", "employeeNumber"];
    assert_eq!(remarks(&user.notes), names.map(|name| (NoteKind::NumberAsText, name)));
    assert_eq!(strict_post(body), Err(ScimError::InvalidValue("externalId must be text".into())));
}

#[test]
fn a_name_with_a_filter_means_in_a_body_what_it_means_in_a_patch() {
    let user = post(json!({
        "userName": "x", "emails[type eq \"work\"].value": "w@x.example", "emails": [{"type": "home", "value": "h@x.example"}],
        "emails[type eq \"home\"].primary": true, "phoneNumbers[type eq \"work\"].value": null, "shoes[type eq \"left\"].size": 7,
    }))
    .unwrap();

    assert_eq!(
        user.document["emails"],
        json!([{"type": "home", "value": "h@x.example", "primary": true}, {"value": "w@x.example", "type": "work"}])
    );
    assert_eq!(user.document.get("phoneNumbers"), None);
    assert_eq!(remarks(&user.notes), [(NoteKind::UnknownAttribute, "shoes.size")]);
    let group = post_group(json!({"displayName": "x", "members[value eq \"u1\"].display": "y"})).unwrap();
    assert_eq!((group.members, group.document.get("members")), (None, None));
}

#[test]
fn what_is_given_twice_is_named_with_its_urn() {
    let key = format!("{FOLDERS}:folders");
    let body = json!({"userName": "x", FOLDERS: {"folders": ["a"]}, key.clone(): ["b"]});

    assert_eq!(post(body), Err(ScimError::InvalidSyntax(format!("{key} is given twice"))));
}

#[test]
fn what_stands_beside_a_role_in_a_text_counts() {
    let packed = "{\"value\":\"Admin\",\"displayName\":\"Inside\",\"type\":\"WindowsAzureActiveDirectoryRole\"}";
    for outside in ["display", "displayName", "DISPLAY"] {
        let user = post(json!({"userName": "x", "roles": [{"value": packed, outside: "Outside"}]})).unwrap();

        let role = json!({"value": "Admin", "display": "Outside", "type": "WindowsAzureActiveDirectoryRole"});
        assert_eq!(user.document["roles"], json!([role]), "{outside}");
    }
}

#[test]
fn a_name_that_cannot_be_one_is_told_so() {
    let keys = ["with space", "Über", "a[b]"];
    let metadata = Value::Object(keys.iter().map(|key| ((*key).to_owned(), json!("v"))).collect());

    let user = post(json!({"userName": "x", METADATA: metadata})).unwrap();

    let texts: Vec<String> = user.notes.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), keys.len());
    assert!(texts.iter().all(|text| text.ends_with("was ignored: the name cannot be a SCIM attribute name")), "{texts:?}");
    assert_eq!(user.document.get(METADATA), None);
}
