//! Rules on what comes in.

use super::*;

fn fault(outcome: Result<Document, ScimError>) -> String {
    match outcome {
        Err(ScimError::InvalidValue(sentence)) => sentence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_user_name_that_is_an_email_address_is_the_persons_first_one() {
    let policy = with_rules(&json!({ "user_name_is_email": true }));
    let with =
        |emails: Value| create(&policy, json!({ "userName": "Jo@acme.example", "emails": emails })).map(|user| user.document);
    let good = [
        json!(null),
        json!([{ "value": "jo@ACME.example" }]),
        json!([{ "value": "home@x.example", "type": "home" }, { "value": "jo@acme.example", "type": "work" }]),
        json!([{ "value": "work@x.example", "type": "work" }, { "value": "jo@acme.example", "primary": true }]),
    ];
    let bad = [
        json!([{ "value": "other@acme.example" }]),
        json!([{ "value": "jo@acme.example", "type": "home" }, { "value": "work@x.example", "type": "work" }]),
        json!([{ "value": "jo@acme.example" }, { "value": "other@x.example", "primary": true }]),
    ];
    for emails in good {
        assert!(with(emails.clone()).is_ok(), "{emails}");
    }
    for emails in bad {
        assert!(fault(with(emails.clone())).contains("must be the same"), "{emails}");
    }
    assert!(fault(create(&policy, json!({ "userName": "jo" })).map(|user| user.document)).contains("must be an e-mail address"));

    let stored = with(json!([{ "value": "jo@acme.example", "type": "work" }])).unwrap();
    let renamed = json!([{ "op": "Replace", "path": "userName", "value": "new@acme.example" }]);
    assert!(fault(change(&policy, &stored, renamed)).contains("must be the same"));
    let both = json!([
        { "op": "Replace", "path": "userName", "value": "new@acme.example" },
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@acme.example" },
    ]);
    assert!(change(&policy, &stored, both).is_ok(), "they are judged together");
}

#[test]
fn a_rule_that_comes_later_breaks_nobody() {
    let rules = json!({ "user_name_is_email": true, "attributes": [
        { "path": "roles", "allowed": ["User", "Admin"] },
        { "path": "name.givenName", "required": true },
        { "path": "userType", "allowed": ["Premium", "Standard"], "default": "Standard" },
    ] });
    let policy = with_rules(&rules);
    let stored = object(json!({ "userName": "jo", "active": true, "roles": [{ "value": "Legacy" }] }));
    let patched = |operations: Value| change(&policy, &stored, operations);

    assert_eq!(answered(&policy, &stored, None)["userName"], "jo", "reads go on");
    let titled = patched(json!([{ "op": "replace", "path": "title", "value": "x" }])).unwrap();
    assert_eq!(titled["userType"], "Standard", "a default comes with the next write");
    let added = patched(json!([{ "op": "add", "path": "roles", "value": [{ "value": "Admin" }] }])).unwrap();
    assert_eq!(added["roles"], json!([{ "value": "Legacy" }, { "value": "Admin" }]), "what was there is not what comes in");
    assert!(
        fault(patched(json!([{ "op": "add", "path": "roles", "value": ["Root"] }])))
            .contains("\"Root\"; allowed here are User, Admin")
    );
    assert!(fault(patched(json!([{ "op": "replace", "path": "userName", "value": "moe" }]))).contains("e-mail"));
    let out = patched(
        json!([{ "op": "replace", "path": "active", "value": "False" }, { "op": "add", "path": "roles", "value": ["Root"] }]),
    );
    assert_eq!(out.unwrap()["active"], false, "nobody is kept in by a rule");

    let broken: Vec<String> = policy
        .document()
        .users
        .violations(&stored, policy.schemas().of(ResourceKind::User))
        .into_iter()
        .map(|broken| broken.path)
        .collect();
    assert_eq!(broken, ["roles", "name.givenName", "userName"], "a default is no violation");
}

#[test]
fn nulls_and_blanks_get_the_default() {
    let rules = json!({ "attributes": [{ "path": "userType", "allowed": ["Premium", "Standard"], "default": "Standard", "required": true }] });
    let policy = with_rules(&rules);
    for sent in [json!(null), json!(""), json!(" "), json!([])] {
        assert_eq!(
            create(&policy, json!({ "userName": "jo", "userType": sent })).unwrap().document["userType"],
            "Standard",
            "{sent}"
        );
    }
    let stored = create(&policy, json!({ "userName": "jo", "userType": "Premium" })).unwrap().document;
    for operations in [
        json!([{ "op": "remove", "path": "userType" }]),
        json!([{ "op": "Replace", "path": "userType", "value": "" }]),
        json!([{ "op": "replace", "value": { "userType": null } }]),
    ] {
        assert_eq!(change(&policy, &stored, operations.clone()).unwrap()["userType"], "Standard", "{operations}");
    }
    assert_eq!(replace(&policy, &stored, json!({ "userName": "jo" })).unwrap()["userType"], "Standard");
    for sent in ["premium", "PREMIUM", "Premium ", "Gold"] {
        let sentence = fault(create(&policy, json!({ "userName": "jo", "userType": sent })).map(|user| user.document));
        assert_eq!(
            sentence,
            format!("userType is {sent:?}; allowed here are Premium, Standard: change the mapping at your identity provider")
        );
    }
}

#[test]
fn what_a_schema_requires_is_required_of_whoever_uses_it() {
    let badge = json!({ "id": "urn:x:badge", "attributes": [
        { "name": "number", "type": "integer", "required": true },
        { "name": "doors", "type": "complex", "multiValued": true, "subAttributes": [{ "name": "value", "required": true }, { "name": "floor" }] },
    ] });
    let policy = with_schemas(&[badge]);
    let with = |home: Value| create(&policy, json!({ "userName": "jo", "urn:x:badge": home })).map(|user| user.document);

    assert!(create(&policy, json!({ "userName": "jo" })).is_ok(), "who has no badge needs no number");
    assert!(with(json!({ "number": 7, "doors": [{ "value": "A" }] })).is_ok());
    assert!(fault(with(json!({ "doors": [{ "value": "A" }] }))).starts_with("urn:x:badge:number is required"));
    assert!(fault(with(json!({ "number": 7, "doors": [{ "floor": "1" }] }))).starts_with("urn:x:badge:doors.value is required"));

    let stored = with(json!({ "number": 7, "doors": ["A"] })).unwrap();
    let without = json!({ "op": "remove", "path": "urn:x:badge:number" });
    assert!(fault(change(&policy, &stored, json!([without]))).contains("number is required"));
    let leaving = json!([without, { "op": "replace", "path": "active", "value": false }]);
    assert_eq!(change(&policy, &stored, leaving).unwrap()["active"], false);
    assert!(change(&policy, &stored, json!([{ "op": "remove", "path": "urn:x:badge" }])).is_ok());
}

#[test]
fn a_rule_holds_for_metadata_in_any_case() {
    let rules = json!({ "attributes": [{ "path": format!("{METADATA}:tier"), "allowed": ["gold"], "default": "gold" }] });
    let extension = json!({ "resource": "User", "schema": { "id": METADATA, "freeForm": true } });
    let policy = policy(json!({ "extensions": [extension], "users": rules }));

    assert_eq!(create(&policy, json!({ "userName": "jo" })).unwrap().document[METADATA], json!({ "tier": "gold" }));
    assert_eq!(
        create(&policy, json!({ "userName": "jo", METADATA: { "Tier": "gold" } })).unwrap().document[METADATA],
        json!({ "Tier": "gold" })
    );
    assert!(create(&policy, json!({ "userName": "jo", METADATA: { "TIER": "lead" } })).is_err());
}
