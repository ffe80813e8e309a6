//! References by `bulkId` (RFC 7644, section 3.7.2): a whole text, the last part of a URL, or an identifier in the filter of a
//! PATCH path.

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

/// Does the same to every text of a body; names of attributes are no references.
pub(super) fn resolve_all(value: &mut Value, id_of: &mut impl FnMut(&str) -> Option<String>) {
    match value {
        Value::String(text) => {
            if let Some(resolved) = resolve(text, id_of) {
                *text = resolved;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| resolve_all(item, id_of)),
        Value::Object(members) => members.values_mut().for_each(|member| resolve_all(member, id_of)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
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
}
