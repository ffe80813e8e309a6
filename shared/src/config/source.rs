//! The two sources of settings, the TOML file and the environment, laid over each other as one tree in which every value
//! still knows where it was written. It knows no key: which keys are valid is said by who reads them.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::{Origin, Problem};

/// What starts the name of each variable.
const PREFIX: &str = "LOCKSTEP_";

/// Variables with our prefix that are no settings: they are read before there is a configuration.
const NOT_SETTINGS: [&str; 2] = ["LOCKSTEP_CONFIG", "LOCKSTEP_LOG"];

/// A value and where it was written.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// A value before anybody has said what it should be.
#[derive(Debug)]
pub(super) enum Value {
    Table(BTreeMap<String, Entry>),
    List(Vec<Entry>),
    /// A number, a truth value or a text of the file, as text; whoever asks for the key parses it.
    Scalar(String),
    /// The text of a variable: a scalar, or a list if one is asked for.
    Variable(String),
}

/// Reads the file's text into a tree.
pub(super) fn parse_file(name: &str, text: &str) -> Result<BTreeMap<String, Entry>, Problem> {
    let name: Arc<str> = name.into();
    let at = |offset: usize| Origin::File { path: Arc::clone(&name), line: line_of(text, offset) };
    match DeTable::parse(text) {
        Ok(table) => Ok(from_table(table.get_ref(), &at)),
        Err(error) => Err(Problem::Syntax {
            origin: at(error.span().map_or(0, |span| span.start)),
            message: error.message().replace('\n', ", "),
        }),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn from_table(table: &DeTable<'_>, at: &dyn Fn(usize) -> Origin) -> BTreeMap<String, Entry> {
    table
        .iter()
        .map(|(key, value)| {
            let entry = Entry { value: from_value(value, at), origin: at(key.span().start) };
            (key.get_ref().to_string(), entry)
        })
        .collect()
}

fn from_value(value: &Spanned<DeValue<'_>>, at: &dyn Fn(usize) -> Origin) -> Value {
    match value.get_ref() {
        DeValue::Table(table) => Value::Table(from_table(table, at)),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|item| Entry { value: from_value(item, at), origin: at(item.span().start) }).collect())
        }
        DeValue::String(text) => Value::Scalar(text.to_string()),
        DeValue::Integer(number) => Value::Scalar(number.as_str().to_owned()),
        DeValue::Float(number) => Value::Scalar(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Value::Scalar(truth.to_string()),
        DeValue::Datetime(moment) => Value::Scalar(moment.to_string()),
    }
}

/// Lays the environment over the tree: `LOCKSTEP_GATEWAY__SESSIONS__IDLE` is `gateway.sessions.idle`.
pub(super) fn overlay(
    root: &mut BTreeMap<String, Entry>,
    environment: impl Iterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) {
    // Sorted, so that list indices arrive in order and errors do not depend on the environment's.
    let variables: BTreeMap<String, String> = environment.filter(|(name, _)| is_setting(name)).collect();
    for (name, text) in variables {
        let path = name.get(PREFIX.len()..).unwrap_or_default().to_ascii_lowercase();
        let segments: Vec<&str> = path.split("__").collect();
        let origin = Origin::Variable(name.clone());
        if segments.len() < 2 || segments.iter().any(|segment| segment.is_empty()) {
            problems.push(Problem::Unknown { key: path, origin, nearest: Some(format!("{PREFIX}SECTION__KEY")) });
        } else if !set(root, &segments, Entry { value: Value::Variable(text), origin: origin.clone() }) {
            let reason = "does not fit the file: a list's items are numbered from 0 without a gap, and a plain value has no \
                          keys below it";
            problems.push(Problem::Invalid { key: segments.join("."), origin, reason: reason.to_owned() });
        }
    }
}

fn is_setting(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| !NOT_SETTINGS.contains(&name) && !is_service_link(rest))
}

/// Whether Kubernetes made this variable: for a Service called `lockstep-…` it sets `LOCKSTEP_…_SERVICE_HOST`, `…_PORT` and
/// `…_PORT_8080_TCP_ADDR` in every pod of the namespace. A setting has `__`, these never do.
fn is_service_link(rest: &str) -> bool {
    let words: Vec<&str> = rest.split('_').collect();
    !words.contains(&"")
        && (words.ends_with(&["SERVICE", "HOST"])
            || words.windows(2).any(|pair| pair == ["SERVICE", "PORT"])
            || words.ends_with(&["PORT"])
            || words.windows(3).any(
                |three| matches!(three, ["PORT", number, "TCP" | "UDP" | "SCTP"] if number.bytes().all(|b| b.is_ascii_digit())),
            ))
}

/// Puts `entry` at `path`, making tables and list items on the way; `false` where the tree has another shape.
fn set(table: &mut BTreeMap<String, Entry>, path: &[&str], entry: Entry) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    let Some(next) = rest.first() else {
        table.insert((*first).to_owned(), entry);
        return true;
    };
    let is_list = next.parse::<usize>().is_ok();
    let child = table.entry((*first).to_owned()).or_insert_with(|| Entry {
        value: if is_list { Value::List(Vec::new()) } else { Value::Table(BTreeMap::new()) },
        origin: entry.origin.clone(),
    });
    match &mut child.value {
        Value::Table(inner) => set(inner, rest, entry),
        Value::List(items) => set_item(items, rest, entry),
        Value::Scalar(_) | Value::Variable(_) => false,
    }
}

fn set_item(items: &mut Vec<Entry>, path: &[&str], entry: Entry) -> bool {
    let Some((Ok(index), rest)) = path.split_first().map(|(first, rest)| (first.parse::<usize>(), rest)) else {
        return false;
    };
    if index == items.len() {
        let value = if rest.is_empty() { Value::Scalar(String::new()) } else { Value::Table(BTreeMap::new()) };
        items.push(Entry { value, origin: entry.origin.clone() });
    }
    match (items.get_mut(index), rest) {
        (Some(slot), []) => {
            *slot = entry;
            true
        }
        (Some(Entry { value: Value::Table(inner), .. }), rest) => set(inner, rest, entry),
        (_, _) => false,
    }
}

/// The items of a list given in a variable: `["a", "b"]` as in TOML, or `a, b`; empty is the empty list.
pub(super) fn split_list(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    if text.starts_with('[') {
        let DeValue::Array(items) = DeValue::parse(text).ok()?.into_inner() else { return None };
        return items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
    }
    if text.is_empty() {
        return Some(Vec::new());
    }
    Some(text.split(',').map(|item| item.trim().to_owned()).collect())
}

/// How messages call a file.
pub(super) fn display_name(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_kubernetes_makes_for_a_service_are_no_settings() {
        for name in [
            "LOCKSTEP_SERVICE_HOST",
            "LOCKSTEP_SERVICE_PORT",
            "LOCKSTEP_GATEWAY_SERVICE_PORT_HTTP",
            "LOCKSTEP_GATEWAY_PORT",
            "LOCKSTEP_GATEWAY_PORT_8080_TCP",
            "LOCKSTEP_GATEWAY_PORT_8080_TCP_ADDR",
        ] {
            assert!(!is_setting(name), "{name}");
        }
        for name in ["LOCKSTEP_GATEWAY__PORT", "LOCKSTEP_GATEWAY_LISTEN", "LOCKSTEP_DATABASE_URL"] {
            assert!(is_setting(name), "{name}");
        }
    }

    #[test]
    fn a_list_in_a_variable_is_toml_or_separated_by_commas() {
        let list = |items: &[&str]| Some(items.iter().map(ToString::to_string).collect::<Vec<_>>());

        assert_eq!(split_list(""), list(&[]));
        assert_eq!(split_list("[]"), list(&[]));
        assert_eq!(split_list("10.0.0.0/8, ::1"), list(&["10.0.0.0/8", "::1"]));
        assert_eq!(split_list(r#"["10.0.0.0/8", "::1"]"#), list(&["10.0.0.0/8", "::1"]));
        assert_eq!(split_list("[1"), None);
        assert_eq!(split_list("[1]"), None);
    }
}
