//! Policies as they are stored, edited, announced and applied.

mod edits;
mod random;
mod roles;
mod rules;
mod spellings;

use serde_json::json;

use super::*;
use crate::scim::{
    Document, Filter, PatchRequest, ScimError, discovery,
    normalise::{self, Current, User},
    patch,
    project::{Envelope, Projection, assemble},
};

const FOLDERS: &str = "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName";
const METADATA: &str = "urn:ietf:params:scim:schemas:extension:2.0:Metadata";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const BASE: &str = "https://s.example/scim/v2/acme";

fn policy(document: Value) -> Policy {
    Policy::read(document).unwrap()
}

/// A policy whose users have these schemas.
fn with_schemas(schemas: &[Value]) -> Policy {
    policy(
        json!({ "extensions": schemas.iter().map(|schema| json!({ "resource": "User", "schema": schema })).collect::<Vec<_>>() }),
    )
}

/// A policy whose users are under these rules.
fn with_rules(rules: &Value) -> Policy {
    policy(json!({ "users": rules }))
}

fn object(value: Value) -> Document {
    serde_json::from_value(value).unwrap()
}

fn create(policy: &Policy, body: Value) -> Result<User, ScimError> {
    normalise::user(body, &policy.context(ResourceKind::User), None)
}

fn replace(policy: &Policy, stored: &Document, body: Value) -> Result<Document, ScimError> {
    let current = Current { id: "u1", document: stored };
    normalise::user(body, &policy.context(ResourceKind::User), Some(current)).map(|user| user.document)
}

fn change(policy: &Policy, stored: &Document, operations: impl Into<Value>) -> Result<Document, ScimError> {
    let request = PatchRequest::parse(json!({ "schemas": [PATCH], "Operations": operations.into() }), policy.profile())?;
    let current = Current { id: "u1", document: stored };
    patch::user(request, &policy.context(ResourceKind::User), current).map(|patched| patched.user.document)
}

/// The resource as it is answered.
fn answered(policy: &Policy, stored: &Document, attributes: Option<&str>) -> Value {
    let schema = policy.schemas().of(ResourceKind::User);
    let at = chrono::DateTime::UNIX_EPOCH;
    let envelope = Envelope { id: "u1", created: at, last_modified: at, version: 1, base_url: BASE };
    let whole = assemble(schema, stored, &envelope, None);
    Value::Object(Projection::parse(attributes, None, schema).apply(whole, schema))
}

fn finds(policy: &Policy, stored: &Document, filter: &str) -> Result<bool, ScimError> {
    let schema = policy.schemas().of(ResourceKind::User);
    Ok(Filter::parse(filter, schema, policy.profile())?.matches(&answered(policy, stored, None)))
}

fn announced_schema(policy: &Policy, urn: &str) -> Value {
    discovery::schema(policy.announced(), urn, BASE).unwrap()
}

#[test]
fn an_empty_document_asks_for_nothing() {
    let policy = policy(json!({}));

    assert_eq!(policy.document(), &PolicyDocument::default());
    assert_eq!((policy.schemas(), policy.announced()), (&SchemaSet::standard(), &SchemaSet::standard()));
    assert!(policy.profile().is_lenient());
}

#[test]
fn a_rule_on_an_attribute_that_no_schema_has_is_no_policy() {
    let refused = Policy::read(json!({ "users": { "attributes": [{ "path": "shoeSize", "required": true }] } }));

    assert!(matches!(refused, Err(PolicyError::Rule(RuleError::Unknown(path))) if path == "shoeSize"));
}

#[test]
fn an_older_program_reads_what_a_newer_one_wrote_and_the_other_way_round() {
    let newer = json!({
        "profile": "strict", "weather": "fine", "users": {
            "attributes": [{ "path": "userType", "required": true, "colour": "blue" }], "nobody_is_called_bob": true,
        },
    });
    let older = json!({ "extensions": [{ "resource": "User", "schema": { "id": "urn:x:y", "attributes": [{ "name": "a" }] } }] });

    let (newer, older) = (policy(newer), policy(older));

    assert!(newer.document().users.attributes[0].required && !newer.profile().is_lenient());
    assert_eq!(older.document().extensions[0].schema.attributes[0].name, "a");
    let again = Policy::read(serde_json::to_value(older.document()).unwrap()).unwrap();
    assert_eq!(again, older);
}
