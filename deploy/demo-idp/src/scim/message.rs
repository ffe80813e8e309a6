//! The bodies and queries of Microsoft Entra ID's default provisioning job, byte for byte in its order of members. Pure.

use serde_json::{Value, json};

use crate::directory::{Group, Person};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// Entra lists it on every group that it creates; it names no attribute.
const ENTRA_GROUP: &str = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

pub(super) fn user(person: &Person) -> Value {
    let mut body = json!({
        "schemas": [USER, ENTERPRISE_USER],
        "externalId": person.id,
        "userName": person.user_name,
        "active": true,
        "displayName": person.name(),
        "emails": [{"primary": true, "type": "work", "value": person.email}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": person.name(), "familyName": person.family_name, "givenName": person.given_name},
        "roles": [],
    });
    if let (Some(members), false) = (body.as_object_mut(), person.title.is_empty()) {
        members.insert("title".to_owned(), Value::String(person.title.clone()));
    }
    body
}

/// The value is text, `"True"` or `"False"`: Entra's default job has always sent it so.
pub(super) fn active(active: bool) -> Value {
    let value = if active { "True" } else { "False" };
    json!({"schemas": [PATCH_OP], "Operations": [{"op": "Replace", "path": "active", "value": value}]})
}

pub(super) fn group(group: &Group) -> Value {
    json!({
        "schemas": [GROUP, ENTRA_GROUP],
        "externalId": group.id,
        "displayName": group.name,
        "meta": {"resourceType": "Group"},
    })
}

pub(super) fn add_members(ids: &[String]) -> Value {
    members("Add", ids)
}

/// Removes the listed members alone, although RFC 7644 would have it as a filter in the path.
pub(super) fn remove_members(ids: &[String]) -> Value {
    members("Remove", ids)
}

pub(super) fn find_user(user_name: &str) -> String {
    format!("/Users?filter={}", equals("userName", user_name))
}

pub(super) fn find_group(name: &str) -> String {
    format!("/Groups?excludedAttributes=members&filter={}", equals("displayName", name))
}

fn members(op: &str, ids: &[String]) -> Value {
    let values: Vec<Value> = ids.iter().map(|id| json!({"$ref": null, "value": id})).collect();
    json!({"schemas": [PATCH_OP], "Operations": [{"op": op, "path": "members", "value": values}]})
}

fn equals(attribute: &str, value: &str) -> String {
    let literal = Value::String(value.to_owned());
    let filter = format!("{attribute} eq {literal}");
    url::form_urlencoded::byte_serialize(filter.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_leave_its_filter() {
        assert_eq!(find_user("a b+c"), "/Users?filter=userName%20eq%20%22a%20b%2Bc%22");
        assert_eq!(
            find_group("x\" or id pr&"),
            "/Groups?excludedAttributes=members&filter=displayName%20eq%20%22x%5C%22%20or%20id%20pr%26%22"
        );
    }
}
