//! Which entries of a list a filter depends on. Whatever a filter asks of a list is whether some entry is such: so one entry for
//! each question decides as well as all of them, and none of the others has to be kept.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{AttributeRef, CompareOp, Filter, Literal};

/// What filters ask of the entries of one list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Questions {
    list: String,
    /// Each asks whether there is some entry, and no two ask the same.
    open: Vec<Filter>,
}

impl Filter {
    /// What the filter asks of a core list, or `None` where it does not look at it.
    #[must_use]
    pub fn questions(&self, list: &str) -> Option<Questions> {
        let mut open = Vec::new();
        self.ask(list, &mut open);
        (!open.is_empty()).then(|| Questions { list: list.to_owned(), open })
    }

    fn ask(&self, list: &str, open: &mut Vec<Filter>) {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.ask(list, open)),
            Self::Not(part) => part.ask(list, open),
            Self::Present(attribute) | Self::Compare { attribute, .. } | Self::Element { list: attribute, .. }
                if attribute.extension.is_some() || attribute.name != list => {}
            // `ne` holds where no entry is equal.
            Self::Compare { attribute, op: CompareOp::Ne, value } => {
                let question = Self::Compare { attribute: attribute.clone(), op: CompareOp::Eq, value: value.clone() };
                open.extend((!open.contains(&question)).then_some(question));
            }
            Self::Present(_) | Self::Compare { .. } | Self::Element { .. } => {
                open.extend((!open.contains(self)).then(|| self.clone()));
            }
        }
    }
}

impl Questions {
    /// The only values that an entry can have which answers any of them, if they say so: each once.
    #[must_use]
    pub fn values(&self) -> Option<Vec<&str>> {
        let values: Option<Vec<Vec<&str>>> = self.open.iter().map(values).collect();
        let mut known = HashSet::new();
        values.map(|values| values.into_iter().flatten().filter(|value| known.insert(*value)).collect())
    }

    /// Those of the entries that answer a question first.
    #[must_use]
    pub fn deciding(&self, entries: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let (mut open, mut deciding): (Vec<&Filter>, _) = (self.open.iter().collect(), Vec::new());
        for entry in entries {
            if open.is_empty() {
                break;
            }
            let alone = Value::Object(Map::from_iter([(self.list.clone(), Value::Array(vec![entry]))]));
            let before = open.len();
            open.retain(|question| !question.matches(&alone));
            if open.len() < before
                && let Value::Object(alone) = alone
            {
                deciding.extend(alone.into_iter().filter_map(|(_, entries)| entries.as_array()?.first().cloned()));
            }
        }
        deciding
    }
}

/// The only values of an entry that answers the question, if it says so.
fn values(question: &Filter) -> Option<Vec<&str>> {
    match question {
        Filter::Compare { .. } => one_of(question, &|attribute| attribute.sub.as_deref() == Some("value")),
        Filter::Element { filter, .. } => one_of(filter, &|attribute| attribute.name == "value"),
        Filter::Present(_) | Filter::And(_) | Filter::Or(_) | Filter::Not(_) => None,
    }
}

fn one_of<'f>(filter: &'f Filter, is_value: &dyn Fn(&AttributeRef) -> bool) -> Option<Vec<&'f str>> {
    match filter {
        Filter::And(parts) => parts.iter().find_map(|part| one_of(part, is_value)),
        Filter::Or(parts) => {
            let each: Option<Vec<Vec<&str>>> = parts.iter().map(|part| one_of(part, is_value)).collect();
            each.map(|lists| lists.concat())
        }
        Filter::Compare { attribute, op: CompareOp::Eq, value: Literal::Text(text) }
            if attribute.case_exact && is_value(attribute) =>
        {
            Some(vec![text])
        }
        Filter::Compare { .. } | Filter::Not(_) | Filter::Present(_) | Filter::Element { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::scim::{Profile, ResourceKind, SchemaSet, testing::cases};

    fn parse(text: &str) -> Filter {
        Filter::parse(text, SchemaSet::standard().of(ResourceKind::Group), Profile::Lenient).unwrap()
    }

    fn part() -> impl Strategy<Value = String> {
        let word = || prop_oneof![Just("a"), Just("B"), Just("ab"), Just("User"), Just("")];
        let path = prop_oneof![Just("value"), Just("display"), Just("type"), Just("$ref")];
        let op = prop_oneof![Just("eq"), Just("ne"), Just("co"), Just("sw"), Just("gt"), Just("le")];
        (path, op, word()).prop_map(|(path, op, word)| format!("{path} {op} \"{word}\""))
    }

    fn filter() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            part().prop_map(|part| format!("members.{part}")),
            (part(), part(), "and|or").prop_map(|(one, other, op)| format!("members[{one} {op} {other}]")),
            (part(), part()).prop_map(|(one, other)| format!("members[not ({one}) and {other}]")),
            part().prop_map(|part| format!("members[{part}].value pr")),
            Just("members pr".to_owned()),
            Just("members eq null".to_owned()),
            Just("displayName sw \"x\"".to_owned()),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" and "))),
                proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
                inner.prop_map(|part| format!("not ({part})")),
            ]
        })
    }

    fn member() -> impl Strategy<Value = Value> {
        let word = || "[abAB]{0,2}";
        (word(), proptest::option::of(word()), any::<bool>()).prop_map(|(value, display, is_group)| {
            let mut member =
                json!({"value": value, "type": if is_group { "Group" } else { "User" }, "$ref": format!("x/{value}")});
            if let Some(display) = display {
                member["display"] = display.into();
            }
            member
        })
    }

    fn with(members: &[Value]) -> Value {
        json!({"displayName": "x1", "members": members})
    }

    proptest! {
        #![proptest_config(cases(2_000))]

        #[test]
        fn the_deciding_entries_decide_as_well_as_all(text in filter(), members in proptest::collection::vec(member(), 0..12)) {
            let filter = parse(&text);
            let Some(questions) = filter.questions("members") else {
                prop_assert_eq!(filter.matches(&with(&members)), filter.matches(&with(&[])));
                return Ok(());
            };
            let decision = filter.matches(&with(&members));

            let deciding = questions.deciding(members.clone());
            prop_assert_eq!(filter.matches(&with(&deciding)), decision, "{} by {:?}", text, deciding);
            prop_assert!(deciding.len() <= filter.comparisons());
            if let Some(values) = questions.values() {
                let named = members.iter().filter(|member| values.iter().any(|value| member["value"] == *value)).cloned();
                let deciding = questions.deciding(named);
                prop_assert_eq!(filter.matches(&with(&deciding)), decision, "{} by {:?} named", text, deciding);
            }
        }
    }

    #[test]
    fn nobody_is_looked_at_after_the_last_question_is_answered() {
        let questions = parse(r#"members.value eq "b" or members[type eq "Group"]"#).questions("members").unwrap();
        let mut looks = 0;
        let members =
            ["a", "b", "c", "d"].map(|value| json!({"value": value, "type": if value == "c" { "Group" } else { "User" }}));

        let deciding = questions.deciding(members.clone().into_iter().inspect(|_| looks += 1));

        assert_eq!(deciding, members[1..3]);
        assert_eq!(looks, 4, "the one behind is fetched and left");
    }

    #[test]
    fn the_values_are_known_where_every_question_names_them() {
        for (text, expected) in [
            (r#"id eq "g" and members eq "a""#, Some(vec!["a"])),
            (r#"members.value eq "a" or not (members.value ne "b")"#, Some(vec!["a", "b"])),
            (r#"members[value eq "a" and type eq "User"]"#, Some(vec!["a"])),
            (r#"members[value eq "a" or value eq "b"]"#, Some(vec!["a", "b"])),
            (r#"members eq "a" or members.value eq "a" or members.value eq "a""#, Some(vec!["a"])),
            (r#"members[value eq "b" or value eq "a" or value eq "b"] and members eq "a""#, Some(vec!["b", "a"])),
            (r#"members[value eq "a" or type eq "User"]"#, None),
            (r#"members[not (value eq "a")]"#, None),
            (r#"members.value co "a""#, None),
            (r#"members eq "a" and members.display eq "b""#, None),
            (r#"members eq "a" and members pr"#, None),
        ] {
            assert_eq!(parse(text).questions("members").unwrap().values(), expected, "{text}");
        }
        assert_eq!(parse(r#"displayName eq "x""#).questions("members"), None);
    }
}
