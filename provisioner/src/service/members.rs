//! A group's members as they are answered. What is kept of each is little; what is shown of it is made when it is written, or
//! looked at.

use std::borrow::Cow;

use lockstep_shared::model::{
    group::Member,
    members::{Members, Unpacked},
};
use serde_json::Value;

use crate::scim::{ResourceSchema, project::Projection, write::Entries};

/// What of a member is shown, in this order.
const PARTS: [&str; 4] = ["value", "$ref", "type", "display"];

/// A member with all its parts.
pub(super) fn show_member(member: &Member, base_url: &str) -> Value {
    let parts = PARTS.into_iter().zip(texts(member, base_url));
    Value::Object(parts.filter_map(|(part, text)| Some((part.to_owned(), Value::from(text?)))).collect())
}

fn texts<'m>(member: &'m Member, base_url: &str) -> [Option<Cow<'m, str>>; 4] {
    let (kind, endpoint) = if member.is_group { ("Group", "Groups") } else { ("User", "Users") };
    // Of an id that names nobody it cannot be said where it leads, nor to what.
    let is_known = !member.is_pending;
    [
        Some(member.id.as_str().into()),
        is_known.then(|| format!("{base_url}/{endpoint}/{}", member.id).into()),
        is_known.then_some(kind.into()),
        member.display.as_deref().map(Cow::from),
    ]
}

/// Members to be written one by one, each with the parts that are asked for.
#[derive(Debug)]
pub(super) struct MembersToWrite {
    members: Unpacked,
    base_url: String,
    wanted: [bool; 4],
}

impl MembersToWrite {
    pub(super) fn new(members: Members, list: &str, projection: &Projection, schema: &ResourceSchema, base_url: String) -> Self {
        let wanted = PARTS.map(|part| projection.wants_part(list, part, schema));
        Self { members: members.into_iter(), base_url, wanted }
    }
}

impl Entries for MembersToWrite {
    fn write(&mut self, text: &mut Vec<u8>) -> Result<bool, serde_json::Error> {
        for member in self.members.by_ref() {
            let parts = PARTS.into_iter().zip(texts(&member, &self.base_url)).zip(self.wanted);
            let mut between = b'{';
            for (part, shown) in parts.filter_map(|((part, text), is_wanted)| Some((part, text.filter(|_| is_wanted)?))) {
                text.push(between);
                serde_json::to_writer(&mut *text, part)?;
                text.push(b':');
                serde_json::to_writer(&mut *text, &shown)?;
                between = b',';
            }
            // Where nothing is left of a member, there is no entry.
            if between == b',' {
                text.push(b'}');
                return Ok(true);
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::scim::{
        ResourceKind, SchemaSet,
        testing::cases,
        write::{Shown, Text},
    };

    const BASE: &str = "https://s.example/scim/v2/acme";

    fn member() -> impl Strategy<Value = Member> {
        let id = prop_oneof![
            any::<u32>().prop_map(|number| format!("01900000-0000-7000-8000-{number:012x}")),
            "[A-Za-z\"\\\\=,\u{e9} ]{1,12}",
        ];
        (id, proptest::option::of("\\PC{0,12}"), 0_u8..3).prop_map(|(id, display, what)| Member {
            id,
            display,
            is_group: what == 1,
            is_pending: what == 2,
        })
    }

    fn names() -> impl Strategy<Value = Option<String>> {
        let name = prop_oneof![
            Just("members"),
            Just("members.value"),
            Just("members.$ref"),
            Just("MEMBERS.type"),
            Just("members.display"),
            Just("displayName"),
            Just("meta"),
            Just("id"),
            Just("urn:ietf:params:scim:schemas:core:2.0:Group:members.display"),
            Just("urn:ietf:params:scim:schemas:core:2.0:Group"),
            Just("unknown"),
        ];
        proptest::option::of(proptest::collection::vec(name, 0..4).prop_map(|names| names.join(",")))
    }

    proptest! {
        #![proptest_config(cases(1_000))]

        #[test]
        fn a_group_is_written_as_the_whole_resource_would_be(
            members in proptest::collection::vec(member(), 0..600),
            attributes in names(),
            excluded in names(),
        ) {
            let set = SchemaSet::standard();
            let schema = set.of(ResourceKind::Group);
            let projection = Projection::parse(attributes.as_deref(), excluded.as_deref(), schema);
            let resource = |members: Value| {
                let resource = json!({"schemas": [schema.core().id], "id": "g1", "displayName": "G", "members": members, "meta": {"version": "1"}});
                projection.apply(resource.as_object().unwrap().clone(), schema)
            };
            let whole = resource(members.iter().map(|member| show_member(member, BASE)).collect());

            let entries = MembersToWrite::new(members.into_iter().collect(), "members", &projection, schema, BASE.to_owned());
            let written = Text::from(Shown::with_rows(resource(json!([])), "members", entries));

            let text = written.collect::<Result<Vec<_>, _>>().unwrap().concat();
            prop_assert_eq!(String::from_utf8(text).unwrap(), Value::Object(whole).to_string());
        }
    }

    #[test]
    fn a_member_who_is_nobody_yet_is_an_id_alone() {
        let member = Member { id: "x1".into(), display: Some("Ada".into()), is_group: false, is_pending: true };

        assert_eq!(show_member(&member, "https://x"), json!({ "value": "x1", "display": "Ada" }));
        assert_eq!(
            show_member(&Member { is_pending: false, ..member }, "https://x"),
            json!({ "value": "x1", "$ref": "https://x/Users/x1", "type": "User", "display": "Ada" })
        );
    }
}
