//! What the operators' commands make of a document.

use lockstep_shared::{config::Program, id::WorkspaceId};

use super::*;
use crate::scim::schema::{ENTERPRISE_USER, Schema, SchemaError};

fn schema(value: Value) -> Schema {
    serde_json::from_value(value).unwrap()
}

fn ruled(path: &str, change: &RuleChange) -> Result<Edited, EditRefusal> {
    PolicyDocument::default().with_rule(ResourceKind::User, path, change)
}

fn required() -> RuleChange {
    RuleChange { required: Some(true), ..RuleChange::default() }
}

#[test]
fn every_spelling_of_an_attribute_makes_one_rule() {
    let table = [
        ("USERTYPE", "userType"),
        ("roles.value", "roles"),
        ("roles", "roles"),
        ("name.GivenName", "name.givenName"),
        ("urn:ietf:params:scim:schemas:core:2.0:User:name.givenName", "name.givenName"),
        ("manager", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"),
        (
            "urn:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:User:department",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
        ),
    ];
    for (path, kept) in table {
        assert_eq!(ruled(path, &required()).unwrap().document.users.attributes[0].path, kept);
    }
    for path in ["shoeSize", "emails[type eq \"work\"].value", "", "urn:x:y:z"] {
        assert_eq!(ruled(path, &required()).unwrap_err().code(), "attribute_not_found", "{path}");
    }
    assert_eq!(ruled("meta.version", &required()).unwrap_err().code(), "rule_invalid");
}

#[test]
fn a_rule_is_changed_in_part_and_goes_when_it_asks_for_nothing() {
    let allowed = RuleChange {
        allowed: Some(vec!["Premium".into(), "Standard".into()]),
        default: Some(Some("Standard".into())),
        ..RuleChange::default()
    };
    let first = ruled("userType", &allowed).unwrap();
    let second = first.document.clone().with_rule(ResourceKind::User, "usertype", &required()).unwrap();
    let off = RuleChange { required: Some(false), allowed: Some(Vec::new()), default: Some(None) };
    let third = second.document.clone().with_rule(ResourceKind::User, "userType", &off).unwrap();

    assert_eq!(first.before, Value::Null);
    assert_eq!(second.before, first.after, "the audit trail has old and new");
    assert_eq!(
        second.after,
        json!({ "path": "userType", "required": true, "allowed": ["Premium", "Standard"], "default": "Standard" })
    );
    assert_eq!((third.document, third.after), (PolicyDocument::default(), Value::Null));
    let narrow = RuleChange { allowed: Some(vec!["Premium".into()]), ..RuleChange::default() };
    let refused = second.document.with_rule(ResourceKind::User, "userType", &narrow).unwrap_err();
    assert!(refused.to_string().contains("default"), "{refused}");
}

#[test]
fn nobody_gets_by_default_what_people_are_known_by() {
    let default = || RuleChange { default: Some(Some("1".to_owned())), ..RuleChange::default() };
    let allowed = || RuleChange { allowed: Some(vec!["1".to_owned()]), ..RuleChange::default() };
    let ruled = |kind, path, change: &RuleChange| PolicyDocument::default().with_rule(kind, path, change);
    let (user, group) = (ResourceKind::User, ResourceKind::Group);
    let identifiers = [
        (user, "userName"),
        (user, "USERNAME"),
        (user, "externalId"),
        (user, "emails"),
        (user, "emails.value"),
        (user, "urn:ietf:params:scim:schemas:core:2.0:User:emails"),
        (group, "externalId"),
        (group, "displayName"),
    ];
    for (kind, path) in identifiers {
        assert!(ruled(kind, path, &required()).is_ok(), "{path}");
        let refused = ruled(kind, path, &default()).unwrap_err();
        assert!(matches!(refused, EditRefusal::Policy(PolicyError::Rule(RuleError::Identifies(_)))), "{path}: {refused}");
        assert_eq!(ruled(kind, path, &allowed()).is_ok(), path == "displayName", "{path}");
    }
    for (kind, path) in [(group, "members"), (group, "members.type"), (user, "schemas"), (group, "schemas")] {
        let refused = ruled(kind, path, &required()).unwrap_err();
        assert!(matches!(refused, EditRefusal::Policy(PolicyError::Rule(RuleError::NotSeen(_)))), "{path}: {refused}");
    }
    for path in ["emails.primary", "phoneNumbers.primary"] {
        assert_eq!(ruled(user, path, &default()).unwrap_err().code(), "rule_invalid", "{path}");
    }
    for path in ["roles", "displayName", "userType", "name.givenName", "emails.type", "preferredLanguage"] {
        assert!(ruled(user, path, &default()).is_ok() && ruled(user, path, &allowed()).is_ok(), "{path}");
    }
}

#[test]
fn a_default_of_an_older_release_for_what_people_are_known_by_gives_nobody_anything_and_can_be_unset() {
    let rules =
        json!({ "attributes": [{ "path": "externalId", "default": "1" }, { "path": "emails", "default": "x@acme.example" }] });
    let policy = with_rules(&rules);

    let user = create(&policy, json!({ "userName": "jo" })).unwrap();

    assert_eq!((user.external_id, user.document.get("emails")), (None, None));
    let off = RuleChange { required: Some(false), allowed: Some(Vec::new()), default: Some(None) };
    assert!(policy.document().clone().with_rule(ResourceKind::User, "externalId", &off).is_ok());
}

#[test]
fn who_names_what_lockstep_writes_is_not_told_to_leave_out_what_they_did_not_say() {
    for path in ["id", "meta.version", "groups", "password", "schemas"] {
        let refused = ruled(path, &required()).unwrap_err();

        let fix = refused.fix(Program::Provisioner, &WorkspaceId::parse("acme").unwrap());
        assert!(!fix.contains("--allow") && fix.contains("another attribute"), "{path}: {fix}");
    }
}

#[test]
fn a_schema_that_is_an_attribute_already_names_the_one_that_is_in_its_way() {
    let users = [ResourceKind::User];
    let outer = schema(json!({ "id": "urn:x:custom", "attributes": [{ "name": "folders" }] }));
    let inner = schema(json!({ "id": "urn:x:custom:folders", "attributes": [{ "name": "names", "multiValued": true }] }));
    let document = PolicyDocument::default().with_schema(&users, &outer, false).unwrap().document;

    let refused = document.with_schema(&users, &inner, false).unwrap_err();

    assert_eq!(
        refused.to_string(),
        "urn:x:custom:folders is the attribute folders of urn:x:custom: no path could tell them apart"
    );
    let fix = refused.fix(Program::Provisioner, &WorkspaceId::parse("acme").unwrap());
    assert!(fix.contains("schema remove acme urn:x:custom`"), "{fix}");
    let department = schema(json!({ "id": format!("{ENTERPRISE_USER}:department"), "attributes": [{ "name": "a" }] }));
    let refused = PolicyDocument::default().with_schema(&users, &department, false).unwrap_err();
    assert!(refused.to_string().contains("is the attribute department of"), "{refused}");
    assert_eq!(refused.fix(Program::Provisioner, &WorkspaceId::parse("acme").unwrap()), "choose another URN");
}

#[test]
fn a_schema_changes_only_where_somebody_said_so() {
    let users = [ResourceKind::User];
    let text = schema(json!({ "id": "urn:x:y", "attributes": [{ "name": "a" }] }));
    let number = schema(json!({ "id": "URN:x:y", "attributes": [{ "name": "a", "type": "integer" }] }));
    let added = PolicyDocument::default().with_schema(&users, &text, false).unwrap();

    let again = added.document.clone().with_schema(&users, &text, false).unwrap();
    let refused = added.document.clone().with_schema(&users, &number, false).unwrap_err();
    let replaced = added.document.clone().with_schema(&users, &number, true).unwrap();

    assert_eq!(again.document, added.document);
    assert_eq!(refused.code(), "schema_exists");
    assert_eq!((replaced.before, replaced.document.extensions.len()), (json!(text), 1));
}

#[test]
fn one_schema_may_extend_users_and_groups_and_changes_for_both() {
    let both = [ResourceKind::User, ResourceKind::Group];
    let text = schema(json!({ "id": "urn:x:y", "attributes": [{ "name": "a" }] }));
    let number = schema(json!({ "id": "urn:x:y", "attributes": [{ "name": "a", "type": "integer" }] }));
    let added = PolicyDocument::default().with_schema(&both, &text, false).unwrap().document;

    let alone = added.clone().with_schema(&both[..1], &number, true);
    let together = added.with_schema(&both, &number, true).unwrap().document;

    assert!(matches!(alone, Err(EditRefusal::Policy(PolicyError::Schema(SchemaError::Differs(_))))));
    assert_eq!(together.extensions.len(), 2);
    let one = together.without_schema(ResourceKind::User, "URN:X:Y").unwrap().document;
    assert_eq!(one.extensions[0].resource, ResourceKind::Group);
}

#[test]
fn a_schema_that_a_rule_needs_stays() {
    let text = schema(json!({ "id": "urn:x:y", "attributes": [{ "name": "a" }, { "name": "b" }] }));
    let document = PolicyDocument::default().with_schema(&[ResourceKind::User], &text, false).unwrap().document;
    let document = document.with_rule(ResourceKind::User, "urn:x:y:a", &required()).unwrap().document;

    let removed = document.clone().without_schema(ResourceKind::User, "urn:x:y").unwrap_err();
    let narrower = schema(json!({ "id": "urn:x:y", "attributes": [{ "name": "b" }] }));
    let replaced = document.clone().with_schema(&[ResourceKind::User], &narrower, true).unwrap_err();

    assert!(matches!(removed, EditRefusal::Ruled { rule, .. } if rule == "urn:x:y:a"));
    assert_eq!(replaced.code(), "attribute_not_found");
    assert_eq!(document.without_schema(ResourceKind::Group, "urn:x:y").unwrap_err().code(), "schema_not_found");
}

#[test]
fn there_is_an_end_to_schemas_rules_and_values() {
    let mut document = PolicyDocument::default();
    for at in 0..50 {
        let one = schema(json!({ "id": format!("urn:x:s{at}"), "attributes": [{ "name": "a" }] }));
        document = document.with_schema(&[ResourceKind::User], &one, false).unwrap().document;
    }
    let one_more = schema(json!({ "id": "urn:x:more", "attributes": [{ "name": "a" }] }));

    assert_eq!(document.with_schema(&[ResourceKind::User], &one_more, false).unwrap_err().code(), "policy_too_large");
    let values =
        |count: usize, length: usize| RuleChange { allowed: Some(vec!["v".repeat(length); count]), ..RuleChange::default() };
    assert_eq!(ruled("userType", &values(201, 1)).unwrap_err().code(), "policy_too_large");
    assert_eq!(ruled("userType", &values(1, 257)).unwrap_err().code(), "policy_too_large");
    assert!(ruled("userType", &values(1, 256)).is_ok());
}

#[test]
fn discovery_announces_what_the_rules_ask() {
    let rules = json!({ "attributes": [
        { "path": "userType", "allowed": ["Premium", "Standard"], "default": "Standard", "required": true },
        { "path": "name.givenName", "required": true },
        { "path": "roles", "required": true, "allowed": ["ReadOnly", "User", "Admin", "EnterpriseAdmin"] },
        { "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "required": true },
    ] });
    let policy = with_rules(&rules);
    let user = announced_schema(&policy, USER);
    let of = |name: &str| user["attributes"].as_array().unwrap().iter().find(|found| found["name"] == name).unwrap().clone();
    let part = |whole: &Value, name: &str| {
        whole["subAttributes"].as_array().unwrap().iter().find(|found| found["name"] == name).unwrap().clone()
    };

    assert_eq!(of("userType")["canonicalValues"], json!(["Premium", "Standard"]));
    assert_eq!(of("userType")["required"], false, "who sends none gets the default");
    assert_eq!((&of("name")["required"], &part(&of("name"), "givenName")["required"]), (&json!(true), &json!(true)));
    assert_eq!(part(&of("name"), "familyName")["required"], false);
    assert_eq!(of("roles")["required"], true);
    assert_eq!(part(&of("roles"), "value")["canonicalValues"], json!(["ReadOnly", "User", "Admin", "EnterpriseAdmin"]));
    let kind = discovery::resource_type(policy.announced(), "User", BASE).unwrap();
    assert_eq!(kind["schemaExtensions"][0]["required"], true);
    assert_eq!(policy.schemas(), &SchemaSet::standard(), "what is read stays as it is");
}
