//! PATCH of groups: members come out as instructions, and the store carries them out.

use super::*;

fn patch_group(profile: Profile, operations: &Value) -> Result<PatchedGroup, ScimError> {
    let (world, before) = (World::new(profile), document(json!({"displayName": "Sales", "externalId": "e1"})));
    let request = PatchRequest::parse(json!({"schemas": [PATCH_SCHEMA], "Operations": operations}), profile)?;
    group(request, &world.context(ResourceKind::Group), Current { id: "abf4", document: &before })
}

fn refs(values: &[&str]) -> Vec<MemberRef> {
    values.iter().map(|value| MemberRef { value: (*value).into(), display: None, kind: None }).collect()
}

fn gone(values: &[&str]) -> MemberOp {
    MemberOp::Remove(values.iter().map(ToString::to_string).collect())
}

#[test]
fn members_come_out_as_instructions_in_order() {
    let display = |value: &str, display: &str| MemberRef { value: value.into(), display: Some(display.into()), kind: None };
    let table = [
        // Entra
        (
            json!([{"op": "Add", "path": "members", "value": [{"$ref": null, "value": "f648"}]}]),
            vec![MemberOp::Add(refs(&["f648"]))],
        ),
        (json!([{"op": "Remove", "path": "members", "value": [{"$ref": null, "value": "f648"}]}]), vec![gone(&["f648"])]),
        (json!([{"op": "remove", "path": "members[value eq \"7f4b\"]"}]), vec![gone(&["7f4b"])]),
        (json!([{"op": "add", "path": "members", "value": "string id 1"}]), vec![MemberOp::Add(refs(&["string id 1"]))]),
        // Okta
        (
            json!([{"op": "remove", "path": "members[value eq \"89bb\"]"}, {"op": "add", "path": "members", "value": [{"value": "23a3", "display": "t@okta.local"}]}]),
            vec![gone(&["89bb"]), MemberOp::Add(vec![display("23a3", "t@okta.local")])],
        ),
        (
            json!([{"op": "replace", "path": "members", "value": [{"value": "a"}, {"value": "b"}, {"value": "a"}]}]),
            vec![MemberOp::ReplaceAll(refs(&["a", "b"]))],
        ),
        // Others
        (json!([{"op": "add", "value": {"members": [{"value": "a"}]}}]), vec![MemberOp::Add(refs(&["a"]))]),
        (json!([{"op": "replace", "value": {"members": []}}]), vec![MemberOp::ReplaceAll(Vec::new())]),
        (json!([{"op": "remove", "path": "members[value eq \"a\" or value eq \"b\"]"}]), vec![gone(&["a", "b"])]),
        (json!([{"op": "remove", "path": "members[value eq \"x\"].value"}]), vec![gone(&["x"])]),
        (
            json!([{"op": "replace", "path": "members[value eq \"x\"]", "value": {"value": "y"}}]),
            vec![gone(&["x"]), MemberOp::Add(refs(&["y"]))],
        ),
        (json!([{"op": "remove", "path": "urn:ietf:params:scim:schemas:core:2.0:Group:members"}]), vec![MemberOp::Clear]),
        // What names nobody does nothing.
        (json!([{"op": "Remove", "path": "members", "value": []}]), vec![]),
        (json!([{"op": "Remove", "path": "members", "value": [null]}]), vec![]),
        (json!([{"op": "add", "path": "members", "value": [null]}]), vec![]),
        (json!([{"op": "replace", "path": "members[value eq \"x\"].display", "value": "X"}]), vec![]),
    ];
    for (operations, expected) in table {
        let after = patch_group(Profile::Lenient, &operations).unwrap();

        assert_eq!(after.members, expected, "{operations}");
        assert!(!after.changed, "{operations}");
        assert_eq!(Value::Object(after.group.document), json!({"displayName": "Sales", "externalId": "e1"}), "{operations}");
    }
}

#[test]
fn a_filter_that_is_no_list_of_identifiers_goes_to_the_store() {
    let after =
        patch_group(Profile::Lenient, &json!([{"op": "remove", "path": "members[type eq \"Group\" and value ne \"g1\"]"}]))
            .unwrap();

    let [MemberOp::RemoveWhere(filter)] = after.members.as_slice() else { panic!("{:?}", after.members) };
    assert_eq!(filter.to_string(), "type eq \"Group\" and value ne \"g1\"");
    assert!(
        Filter::matches(filter, &json!({"value": "g2", "type": "Group"}))
            && !filter.matches(&json!({"value": "g1", "type": "Group"}))
    );
}

#[test]
fn a_rename_leaves_the_members_alone() {
    let renames = [
        json!([{"op": "replace", "value": {"id": "abf4", "displayName": "New"}}]),
        json!([{"op": "Replace", "path": "displayName", "value": "New"}]),
        json!([{"op": "replace", "path": "DisplayName", "value": "New"}, {"op": "replace", "path": "urn:okta:custom:group:1.0:description", "value": "x"}]),
    ];
    for operations in renames {
        let after = patch_group(Profile::Lenient, &operations).unwrap();

        assert_eq!(
            (after.group.display_name.as_str(), after.changed, after.members, after.group.members),
            ("New", true, Vec::new(), None)
        );
    }
    let external = patch_group(Profile::Lenient, &json!([{"op": "replace", "path": "externalId", "value": "e2"}])).unwrap();
    assert_eq!((external.group.external_id.as_deref(), external.members.len()), (Some("e2"), 0));
}

#[test]
fn s23_members_that_cannot_be_are_refused() {
    let table = [
        (Profile::Lenient, json!([{"op": "add", "path": "members"}]), "invalidValue"),
        (Profile::Lenient, json!([{"op": "add", "path": "members", "value": [{}]}]), "invalidValue"),
        (Profile::Lenient, json!([{"op": "replace", "path": "members[value eq \"x\"].value", "value": "y"}]), "mutability"),
        (Profile::Lenient, json!([{"op": "replace", "path": "members.type", "value": "y"}]), "mutability"),
        (Profile::Lenient, json!([{"op": "replace", "value": {"id": "other", "displayName": "x"}}]), "mutability"),
        (Profile::Lenient, json!([{"op": "remove", "path": "displayName"}]), "mutability"),
        (Profile::Strict, json!([{"op": "remove", "path": "members", "value": [{"value": "x"}]}]), "invalidSyntax"),
        (Profile::Strict, json!([{"op": "add", "path": "members", "value": ["x"]}]), "invalidValue"),
        (Profile::Strict, json!([{"op": "add", "path": "members", "value": [null]}]), "invalidValue"),
    ];
    for (profile, operations, expected) in table {
        assert_eq!(patch_group(profile, &operations).unwrap_err().parts().1, Some(expected), "{operations}");
    }
    assert_eq!(patch_group(Profile::Strict, &json!([{"op": "remove", "path": "members"}])).unwrap().members, [MemberOp::Clear]);
    let named = |from: usize, to: usize| json!({"op": "add", "path": "members", "value": (from..to).map(|at| json!({"value": at.to_string()})).collect::<Vec<_>>()});
    assert!(patch_group(Profile::Lenient, &json!([named(0, 10_000)])).is_ok());
    assert!(matches!(patch_group(Profile::Lenient, &json!([named(0, 10_001)])), Err(ScimError::TooLarge(_))));
    assert!(matches!(
        patch_group(Profile::Lenient, &json!([named(0, 6_000), named(6_000, 12_000)])),
        Err(ScimError::TooLarge(_))
    ));
}
