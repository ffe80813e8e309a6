//! References by `bulkId` (RFC 7644, section 3.7.2): a whole text, the last part of a URL, or an identifier in the filter of a
//! PATCH path; and only where a resource names another. Elsewhere such a text says what it says.

use serde_json::Value;

const MARK: &str = "bulkId:";

/// What stands before a reference that is only a part of its text.
const OPENING: [char; 2] = ['/', '"'];
/// What ends one.
const CLOSING: [char; 4] = ['/', '"', '?', '#'];

/// The text with identifiers in place of its references, or `None` where nothing is replaced. `id_of` may know no identifier.
pub(super) fn resolve(text: &str, id_of: &mut impl FnMut(&str) -> Option<String>) -> Option<String> {
    if let Some(name) = text.strip_prefix(MARK) {
        return id_of(name);
    }
    let (mut resolved, mut rest, mut changed) = (String::new(), text, false);
    while let Some((before, behind)) = rest.split_once(MARK) {
        resolved.push_str(before);
        let name = behind.split(CLOSING).next().unwrap_or_default();
        let id = if before.ends_with(OPENING) { id_of(name) } else { None };
        if let Some(id) = id {
            resolved.push_str(&id);
            changed = true;
            rest = behind.strip_prefix(name).unwrap_or_default();
        } else {
            resolved.push_str(MARK);
            rest = behind;
        }
    }
    resolved.push_str(rest);
    changed.then_some(resolved)
}

/// Does the same to the body of a resource, where it can refer to another one; whatever else a text says is not looked at.
pub(super) fn resolve_resource(resource: &mut Value, id_of: &mut impl FnMut(&str) -> Option<String>) {
    resolve_at(resource, false, id_of);
}

/// Does the same to the body of a PATCH: each path, and the value that is set there.
pub(super) fn resolve_patch(body: &mut Value, id_of: &mut impl FnMut(&str) -> Option<String>) {
    let operations = body.as_object_mut().into_iter().flatten().filter(|(name, _)| name.eq_ignore_ascii_case("Operations"));
    for operation in operations.filter_map(|(_, list)| list.as_array_mut()).flatten().filter_map(Value::as_object_mut) {
        let path = operation.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("path"));
        let mut refers = false;
        if let Some((_, Value::String(path))) = path {
            refers = is_reference(path);
            replace(path, id_of);
        }
        for (_, value) in operation.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("value")) {
            resolve_at(value, refers, id_of);
        }
    }
}

/// `refers`: whether a text that stands here by itself refers to something.
fn resolve_at(value: &mut Value, refers: bool, id_of: &mut impl FnMut(&str) -> Option<String>) {
    match value {
        Value::String(text) if refers => replace(text, id_of),
        Value::Array(items) => items.iter_mut().for_each(|item| resolve_at(item, refers, id_of)),
        Value::Object(members) => {
            members.iter_mut().for_each(|(name, member)| resolve_at(member, is_reference(name), id_of));
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn replace(text: &mut String, id_of: &mut impl FnMut(&str) -> Option<String>) {
    if let Some(resolved) = resolve(text, id_of) {
        *text = resolved;
    }
}

/// Whether what an attribute, or a path, has for its value names another resource (RFC 7644, section 3.7.2); some clients write
/// members and a manager as bare identifiers.
fn is_reference(name: &str) -> bool {
    let behind = name.rsplit_once(']').map(|(_, behind)| behind).filter(|behind| !behind.is_empty());
    let name = behind.unwrap_or_else(|| name.split('[').next().unwrap_or_default());
    let last = name.rsplit([':', '.']).next().unwrap_or_default();
    ["value", "$ref", "manager", "members"].iter().any(|known| known.eq_ignore_ascii_case(last))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_is_a_whole_text_or_a_part_that_is_set_off() {
        let known = |name: &str| (name == "u" || name == "a/b").then(|| "7".to_owned());
        for (text, expected) in [
            ("bulkId:u", Some("7")),
            ("bulkId:a/b", Some("7")),
            ("bulkId:x", None),
            ("/Users/bulkId:u", Some("/Users/7")),
            ("https://s.example/Users/bulkId:u?x=/bulkId:u", Some("https://s.example/Users/7?x=/7")),
            ("members[value eq \"bulkId:u\" or value eq \"bulkId:x\"]", Some("members[value eq \"7\" or value eq \"bulkId:x\"]")),
            ("see bulkId:u", None),
            ("no reference", None),
            ("", None),
        ] {
            assert_eq!(resolve(text, &mut |name| known(name)).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn only_what_can_refer_to_a_resource_is_a_reference() {
        let known = |name: &str| (name == "u").then(|| "7".to_owned());
        let mut resource = json!({
            "displayName": "bulkId:u", "externalId": "bulkId:u", "name": { "formatted": "bulkId:u" }, "path": "bulkId:u",
            "emails": [{ "display": "bulkId:u" }],
            "members": [{ "value": "bulkId:u", "display": "bulkId:u" }, { "$ref": "../Users/bulkId:u" }, "bulkId:u"],
            "urn:x:User": { "manager": { "value": "bulkId:u", "displayName": "bulkId:u" } }, "urn:x:User:manager": "bulkId:u",
        });
        resolve_resource(&mut resource, &mut |name| known(name));
        assert_eq!(
            resource,
            json!({
                "displayName": "bulkId:u", "externalId": "bulkId:u", "name": { "formatted": "bulkId:u" }, "path": "bulkId:u",
                "emails": [{ "display": "bulkId:u" }],
                "members": [{ "value": "7", "display": "bulkId:u" }, { "$ref": "../Users/7" }, "7"],
                "urn:x:User": { "manager": { "value": "7", "displayName": "bulkId:u" } }, "urn:x:User:manager": "7",
            })
        );
        for (path, value, expected) in [
            (json!("displayName"), json!("bulkId:u"), json!("bulkId:u")),
            (json!("name"), json!({ "formatted": "bulkId:u" }), json!({ "formatted": "bulkId:u" })),
            (json!("urn:x:User:manager"), json!("bulkId:u"), json!("7")),
            (json!("urn:x:User:manager.value"), json!("bulkId:u"), json!("7")),
            (json!("members[value eq \"bulkId:u\"].value"), json!("bulkId:u"), json!("7")),
            (json!("emails[value eq \"bulkId:u\"].display"), json!("bulkId:u"), json!("bulkId:u")),
            (json!("members"), json!([{ "value": "bulkId:u" }, "bulkId:u"]), json!([{ "value": "7" }, "7"])),
            (Value::Null, json!({ "title": "bulkId:u", "manager": "bulkId:u" }), json!({ "title": "bulkId:u", "manager": "7" })),
        ] {
            let mut body = json!({ "operations": [{ "op": "replace", "Path": path, "value": value }] });
            resolve_patch(&mut body, &mut |name| known(name));
            assert_eq!(body["operations"][0]["value"], expected, "{path}");
        }
    }
}
