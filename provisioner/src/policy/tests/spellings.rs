//! `urn:…:CustomExtensionName:folders`: is `folders` the last part of the schema's URN, or an attribute of the schema before it? Only
//! the workspace's definition says; whatever a provider sends means the same under both.

use super::*;

/// The same list, under two definitions: the schema, and where the list is kept.
fn readings() -> [(Policy, &'static str); 2] {
    let outer = json!({ "id": FOLDERS, "attributes": [{ "name": "folders", "multiValued": true }] });
    let inner = json!({ "id": format!("{FOLDERS}:folders"), "attributes": [{ "name": "names", "multiValued": true }] });
    [
        (with_schemas(&[outer]), "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName/folders"),
        (with_schemas(&[inner]), "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName:folders/names"),
    ]
}

fn folders(document: &Document, place: &str) -> Option<Value> {
    let (urn, name) = place.split_once('/').unwrap();
    document.get(urn).map(|home| home[name].clone())
}

#[test]
fn a_body_means_the_same_under_both_readings() {
    let urn = format!("{FOLDERS}:folders");
    let bodies = [
        json!({ FOLDERS: { "folders": ["Blue", "Red"] } }),
        json!({ &urn: ["Blue", "Red"] }),
        json!({ &urn: [{ "value": "Blue" }, { "value": "Red" }] }),
        json!({ "schemas": [USER, FOLDERS], FOLDERS: { "FOLDERS": ["Blue", null, "Red", "Blue"] } }),
        json!({ "schemas": [USER, &urn], urn.to_uppercase(): ["Blue", "Red"] }),
    ];
    for (policy, place) in readings() {
        for mut body in bodies.clone() {
            body["userName"] = json!("jo");
            let user = create(&policy, body.clone()).unwrap();

            assert_eq!(folders(&user.document, place), Some(json!(["Blue", "Red"])), "{place} {body}");
            let unknown = user.notes.iter().filter(|note| note.kind.code().starts_with("unknown"));
            assert_eq!(unknown.count(), 0, "{place} {body}");
        }
        let one = create(&policy, json!({ "userName": "jo", &urn: "Blue" })).unwrap();
        assert_eq!(folders(&one.document, place), Some(json!(["Blue"])));
    }
    let [(_, _), (inner, place)] = readings();
    let own = create(&inner, json!({ "userName": "jo", &urn: { "names": ["Blue"] } })).unwrap();
    assert_eq!(folders(&own.document, place), Some(json!(["Blue"])));
}

#[test]
fn a_patch_means_the_same_under_both_readings() {
    let urn = format!("{FOLDERS}:folders");
    let steps = [
        (json!([{ "op": "Add", "path": &urn, "value": "Blue" }]), Some(json!(["Blue"]))),
        (json!([{ "op": "Add", "path": &urn, "value": [{ "value": "Red" }] }]), Some(json!(["Blue", "Red"]))),
        (
            json!([{ "op": "add", "path": format!("\n{urn}\n"), "value": ["Red", "Green"] }]),
            Some(json!(["Blue", "Red", "Green"])),
        ),
        (json!([{ "op": "Remove", "path": &urn, "value": [{ "value": "Red" }] }]), Some(json!(["Blue", "Green"]))),
        (json!([{ "op": "remove", "path": format!("{urn}[value eq \"Blue\"]") }]), Some(json!(["Green"]))),
        (json!([{ "op": "replace", "value": { &urn: ["A", "B"] } }]), Some(json!(["A", "B"]))),
        (json!([{ "op": "replace", "value": { FOLDERS: { "folders": ["C"] } } }]), Some(json!(["C"]))),
        (json!([{ "op": "replace", "path": format!("{urn}[value eq \"C\"]"), "value": "D" }]), Some(json!(["D"]))),
        (json!([{ "op": "Replace", "path": &urn, "value": "" }]), None),
        (json!([{ "op": "Add", "path": &urn, "value": ["E"] }, { "op": "remove", "path": &urn }]), None),
    ];
    for (policy, place) in readings() {
        let mut stored = create(&policy, json!({ "userName": "jo" })).unwrap().document;
        for (operations, expected) in steps.clone() {
            stored = change(&policy, &stored, operations.clone()).unwrap();

            assert_eq!(folders(&stored, place), expected, "{place} {operations}");
        }
    }
}

#[test]
fn filters_order_and_projection_mean_the_same_under_both_readings() {
    let urn = format!("{FOLDERS}:folders");
    for (policy, place) in readings() {
        let stored = create(&policy, json!({ "userName": "jo", &urn: ["Blue", "Red"] })).unwrap().document;
        for (filter, is_found) in [
            (format!("{urn} eq \"blue\""), true),
            (format!("{urn} eq \"Green\""), false),
            (format!("{urn}[value sw \"R\"]"), true),
            (format!("{urn} pr"), true),
            (format!("not ({urn} co \"lu\")"), false),
        ] {
            assert_eq!(finds(&policy, &stored, &filter), Ok(is_found), "{place} {filter}");
        }
        let shown = answered(&policy, &stored, Some(&urn));
        assert_eq!(folders(&object(shown.clone()), place), Some(json!(["Blue", "Red"])), "{place} {shown}");
        assert!(shown.get("userName").is_none());
        let sort = crate::scim::sort::Sort::parse(Some(&urn), None, policy.schemas().of(ResourceKind::User), policy.profile());
        assert!(sort.unwrap().is_some(), "{place}");
        assert!(matches!(finds(&policy, &stored, "urn:x:y:folders eq \"Blue\""), Err(ScimError::InvalidFilter(_))));
    }
}

#[test]
fn the_strict_profile_has_one_reading() {
    let mut documents = readings().map(|(policy, place)| (policy.document().clone(), place));
    for (document, _) in &mut documents {
        document.profile = Profile::Strict;
    }
    let [(outer, _), (inner, _)] = documents.map(|(document, place)| (Policy::compile(document).unwrap(), place));
    let urn = format!("{FOLDERS}:folders");
    let whole = |home: &str, value: Value| json!({ "schemas": [USER, home], "userName": "jo", home: value });

    assert!(create(&outer, whole(FOLDERS, json!({ "folders": ["Blue"] }))).is_ok());
    assert!(create(&inner, whole(&urn, json!({ "names": ["Blue"] }))).is_ok());
    assert!(create(&inner, whole(&urn, json!(["Blue"]))).is_err());
    assert!(create(&inner, whole(FOLDERS, json!({ "folders": ["Blue"] }))).is_err());
    assert!(create(&outer, whole(FOLDERS, json!({ "folders": [{ "value": "Blue" }] }))).is_err());
}

#[test]
fn metadata_takes_any_name_in_any_case_and_keeps_text() {
    let policy = with_schemas(&[json!({ "id": METADATA, "freeForm": true })]);
    let body = json!({
        "userName": "jo", METADATA: { "tier": 3, "gold": true, "ratio": 1.5, "cost.centre": "42", "blank": " ", "none": null, "bad key": "x",
            "schemas": [METADATA] },
    });
    let user = create(&policy, body).unwrap();
    assert_eq!(user.document[METADATA], json!({ "tier": "3", "gold": "true", "ratio": "1.5", "cost.centre": "42" }));
    assert!(user.notes.iter().any(|note| note.attribute.ends_with("bad key")));

    let path = |key: &str| format!("{METADATA}:{key}");
    let changed = change(
        &policy,
        &user.document,
        json!([
            { "op": "Replace", "path": path("TIER"), "value": 4 },
            { "op": "Add", "path": path("region"), "value": "north" },
            { "op": "Remove", "path": path("gold") },
            { "op": "replace", "value": { path("Ratio"): 2, METADATA: { "cost.CENTRE": false } } },
        ]),
    );

    let changed = changed.unwrap();
    assert_eq!(changed[METADATA], json!({ "tier": "4", "region": "north", "ratio": "2", "cost.centre": "false" }));
    assert_eq!(finds(&policy, &changed, &format!("{} eq \"4\"", path("Tier"))), Ok(true));
    assert_eq!(finds(&policy, &changed, &format!("{} eq \"FALSE\"", path("cost.centre"))), Ok(false), "its text is exact");
    assert_eq!(finds(&policy, &changed, &format!("{} pr", path("gold"))), Ok(false));
    assert_eq!(answered(&policy, &changed, Some(&path("REGION")))[METADATA], json!({ "region": "north" }));
    let twice = create(&policy, json!({ "userName": "jo", METADATA: { "tier": 1, "Tier": 2 } }));
    assert!(matches!(twice, Err(ScimError::InvalidSyntax(_))), "{twice:?}");
}

#[test]
fn a_schema_that_goes_takes_nothing_with_it() {
    let outer = |kind: &str| json!({ "id": FOLDERS, "attributes": [{ "name": "size", "type": kind }, { "name": "note" }] });
    let before = with_schemas(&[outer("integer"), json!({ "id": METADATA, "freeForm": true })]);
    let body = json!({ "userName": "jo", FOLDERS: { "size": 7, "note": "x" }, METADATA: { "tier": 3 } });
    let stored = create(&before, body).unwrap().document;

    let gone = policy(json!({}));
    let shown = answered(&gone, &stored, None);
    let replaced = replace(&gone, &stored, json!({ "userName": "jo", "title": "Captain" })).unwrap();
    let patched = change(&gone, &stored, json!([{ "op": "replace", "path": "title", "value": "Captain" }])).unwrap();

    assert_eq!((shown.get(FOLDERS), shown["schemas"].as_array().unwrap().len()), (None, 1));
    assert!(matches!(finds(&gone, &stored, &format!("{FOLDERS}:size eq 7")), Err(ScimError::InvalidFilter(_))));
    for kept in [replaced, patched] {
        assert_eq!(answered(&before, &kept, Some(FOLDERS))[FOLDERS], json!({ "size": 7, "note": "x" }), "back with the schema");
        assert_eq!(kept[METADATA], json!({ "tier": "3" }));
    }
    let text = with_schemas(&[outer("string")]);
    assert_eq!(answered(&text, &stored, None)[FOLDERS], json!({ "size": "7", "note": "x" }));
    let truth = with_schemas(&[outer("boolean")]);
    assert_eq!(answered(&truth, &stored, None)[FOLDERS], json!({ "note": "x" }), "what does not fit is not shown");
    let noted = change(&truth, &stored, json!([{ "op": "replace", "path": format!("{FOLDERS}:note"), "value": "y" }])).unwrap();
    assert_eq!(noted[FOLDERS], json!({ "note": "y", "size": 7 }), "and not lost");
}
