//! How large a record may become. A body is bounded, but what many bodies add up to is read with every list that shows it.
//!
//! The bound never keeps anybody in: a write that takes nothing more room than there was passes, and of one that would, and that
//! switches a person off, the switch is taken over.

use std::io;

use crate::scim::stored::Stored;
use crate::scim::{Document, ScimError};

/// The most that a record takes as JSON, a group's without its members. A user with all its extensions needs a few kilobytes.
pub(super) const MAX_RECORD: usize = 64 * 1024;

/// Refuses a record that is too large and takes more room than what was `stored` did.
pub(super) fn check(document: &Document, stored: Option<&Stored>) -> Result<(), ScimError> {
    let taken = size(document);
    if taken <= MAX_RECORD || stored.is_some_and(|stored| taken <= size(&stored.whole())) {
        return Ok(());
    }
    Err(ScimError::TooLarge(format!(
        "the record would take {taken} bytes and may take {MAX_RECORD}: map fewer or shorter attributes at your identity provider"
    )))
}

fn size(document: &Document) -> usize {
    let mut counted = Counted(0);
    // What cannot be written has no size that would fit.
    if serde_json::to_writer(&mut counted, document).is_ok() { counted.0 } else { usize::MAX }
}

struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::scim::normalise::{self, AttributeRules, Context, Current, NoteKind};
    use crate::scim::patch::{self, PatchRequest};
    use crate::scim::{Profile, ResourceKind, SchemaSet};

    const TITLES: &str = "urn:x:titles";

    fn document(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    /// A user whose record takes exactly so many bytes.
    fn person(bytes: usize, active: bool) -> Document {
        let with = |title: String| document(json!({"userName": "jo", "title": title, "active": active}));
        let person = with("x".repeat(bytes - size(&with(String::new()))));
        assert_eq!(size(&person), bytes);
        person
    }

    /// With the schemas of a company that has a free-form extension.
    fn with_user<T>(run: impl FnOnce(&Context<'_>) -> T) -> T {
        let free = serde_json::from_value(json!({"id": TITLES, "freeForm": true})).unwrap();
        let set = SchemaSet::standard().with_extension(ResourceKind::User, free).unwrap();
        let rules = AttributeRules::default();
        run(&Context { schema: set.of(ResourceKind::User), profile: Profile::Lenient, rules: &rules })
    }

    fn post(body: Document) -> Result<normalise::User, ScimError> {
        with_user(|context| normalise::user(Value::Object(body), context, None))
    }

    fn put(current: &Document, body: Document) -> Result<normalise::User, ScimError> {
        with_user(|context| normalise::user(Value::Object(body), context, Some(Current { id: "u1", document: current })))
    }

    fn patched(current: &Document, operations: &Value) -> Result<normalise::User, ScimError> {
        let request = PatchRequest::parse(json!({"Operations": operations}), Profile::Lenient).unwrap();
        with_user(|context| patch::user(request, context, Current { id: "u1", document: current })).map(|patched| patched.user)
    }

    fn is_full<T>(outcome: Result<T, ScimError>) -> bool {
        matches!(outcome, Err(ScimError::TooLarge(why)) if why.contains("may take 65536: map fewer or shorter"))
    }

    #[test]
    fn a4_a_record_has_a_size_whichever_way_it_grows() {
        assert!(post(person(MAX_RECORD, true)).is_ok());
        assert!(is_full(post(person(MAX_RECORD + 1, true))));
        assert!(is_full(post(person(MAX_RECORD + 1, false))), "who was never in is not switched off");

        let small = person(100, true);
        assert!(put(&small, person(MAX_RECORD, true)).is_ok());
        assert!(is_full(put(&small, person(MAX_RECORD + 1, true))));

        let mut grown = person(40_000, true);
        let more = |key: &str| json!([{"op": "add", "path": format!("{TITLES}:{key}"), "value": "y".repeat(20_000)}]);
        grown = patched(&grown, &more("a")).unwrap().document;
        assert!(is_full(patched(&grown, &more("b"))), "what many requests add up to");
    }

    #[test]
    fn a4_a_group_has_a_size_without_its_members() {
        let free = serde_json::from_value(json!({"id": TITLES, "freeForm": true})).unwrap();
        let set = SchemaSet::standard().with_extension(ResourceKind::Group, free).unwrap();
        let rules = AttributeRules::default();
        let context = Context { schema: set.of(ResourceKind::Group), profile: Profile::Lenient, rules: &rules };
        let members: Vec<Value> = (0..5_000).map(|n| json!({"value": format!("00000000-0000-0000-0000-{n:012}")})).collect();

        let crowd = normalise::group(json!({"displayName": "Sales", "members": members}), &context, None).unwrap();

        assert_eq!(crowd.members.map(|members| members.len()), Some(5_000));
        let stored = document(json!({"displayName": "Sales", TITLES: {"a": "x".repeat(MAX_RECORD)}}));
        let edit = |operations: Value| {
            let request = PatchRequest::parse(json!({"Operations": operations}), Profile::Lenient).unwrap();
            patch::group(request, &context, Current { id: "g1", document: &stored })
        };
        assert!(is_full(edit(json!([{"op": "replace", "path": "displayName", "value": "Sales 2"}]))));
        assert!(edit(json!([{"op": "remove", "path": r#"members[value eq "u1"]"#}])).is_ok(), "somebody loses their access");
    }

    #[test]
    fn a_record_that_is_too_large_already_may_shrink_and_stay_and_not_grow() {
        let large = person(2 * MAX_RECORD, true);

        assert!(put(&large, person(2 * MAX_RECORD, true)).is_ok());
        assert!(put(&large, person(2 * MAX_RECORD - 1, true)).is_ok());
        assert!(is_full(put(&large, person(2 * MAX_RECORD + 1, true))));
        let unseen = document(json!({"userName": "jo", "active": true, "urn:gone:x": {"a": "z".repeat(MAX_RECORD)}}));
        assert!(put(&unseen, document(json!({"userName": "jo"}))).is_ok(), "what no schema shows counts on both sides");
        assert!(is_full(put(&unseen, document(json!({"userName": "jo", "title": "x"})))));
    }

    #[test]
    fn whoever_is_switched_off_is_out_and_the_record_does_not_grow() {
        let large = person(2 * MAX_RECORD, true);
        let out = patched(&large, &json!([{"op": "replace", "path": "active", "value": false}])).unwrap();
        assert!(!out.active);
        assert_eq!(size(&out.document), 2 * MAX_RECORD + 1, "one letter more in false than in true");

        for current in [large, person(100, true)] {
            let out = put(&current, person(3 * MAX_RECORD, false)).unwrap();

            assert_eq!((out.active, out.document["active"].clone(), out.user_name.as_str()), (false, json!(false), "jo"));
            assert_eq!(out.document["title"], current["title"]);
            assert!(out.notes.iter().any(|note| note.kind == NoteKind::NoRoom));
            assert!(is_full(put(&out.document, person(3 * MAX_RECORD, false))), "out already");
        }
    }
}
