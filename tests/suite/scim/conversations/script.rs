//! A conversation as it is written down. Each line that begins with one of these marks begins a part; JSON may follow it:
//!
//! ```text
//! # A remark.
//! @ 1 2: what follows   the numbers of the cases that follow, and what they are about
//! ! Name: value          a header of every request; `Query` stands in every request's query instead
//! > METHOD /path         one request, with its body below it
//! >> METHOD /path        the same, sent together with the other `>>` that it stands beside
//! < STATUS               the answer to it, with what its body has to have below it
//! = /path                the whole directory of a kind, at this point
//! ```
//!
//! `<name>` as a value of an answer is whatever stands there, and from then on that value wherever `<name>` stands. What is
//! expected of an object is a part of it, and null is what must not be there; a list is expected whole.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value};

/// A conversation.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) headers: HeaderMap,
    pub(super) query: Option<String>,
    pub(super) steps: Vec<Step>,
}

/// A part of a conversation.
#[derive(Debug)]
pub(super) enum Step {
    /// Requests that are sent at once; mostly one.
    Exchange(Vec<Exchange>),
    /// What the directory is afterwards.
    Directory { resources: String, expected: Value },
    /// What the steps behind it are about.
    About(String),
}

/// A request and its answer.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) status: StatusCode,
    pub(super) expected: Value,
}

impl Script {
    /// Reads a conversation; a mistake in it is the test's.
    pub(super) fn read(text: &str) -> Self {
        let (mut script, mut asked, mut was_beside) = (Self::default(), None, false);
        for (mark, rest, json) in parts(text) {
            match mark {
                "!" => script.setting(rest),
                "@" => script.steps.push(Step::About(rest.to_owned())),
                ">" | ">>" => asked = Some((mark == ">>", rest.split_once(' ').unwrap(), json)),
                "<" => {
                    let (is_beside, (method, path), body) = asked.take().unwrap_or_else(|| panic!("no request before < {rest}"));
                    let exchange = Exchange {
                        method: method.parse().unwrap(),
                        path: path.to_owned(),
                        body,
                        status: rest.parse().unwrap(),
                        expected: json.unwrap_or(Value::Object(Map::new())),
                    };
                    match script.steps.last_mut() {
                        Some(Step::Exchange(together)) if is_beside && was_beside => together.push(exchange),
                        _ => script.steps.push(Step::Exchange(vec![exchange])),
                    }
                    was_beside = is_beside;
                }
                other => {
                    assert_eq!(other, "=");
                    script.steps.push(Step::Directory { resources: rest.to_owned(), expected: json.unwrap() });
                    was_beside = false;
                }
            }
        }
        assert!(asked.is_none(), "a request has no answer");
        script
    }

    /// The numbers of the cases in it.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let about = self.steps.iter().filter_map(|step| match step {
            Step::About(about) => about.split_once(':'),
            Step::Exchange(_) | Step::Directory { .. } => None,
        });
        about.flat_map(|(numbers, _)| numbers.split(' ').map(|number| number.parse().unwrap())).collect()
    }

    fn setting(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.trim();
        if name == "Query" {
            self.query = Some(value.to_owned());
        } else {
            let name: HeaderName = name.parse().unwrap();
            self.headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
    }
}

/// Each mark with the rest of its line and the JSON below it.
fn parts(text: &str) -> Vec<(&str, &str, Option<Value>)> {
    let mut parts: Vec<(&str, &str, String)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match line.split_once(' ') {
            Some((mark @ ("!" | "@" | ">" | ">>" | "<" | "="), rest)) => parts.push((mark, rest.trim(), String::new())),
            _ => parts.last_mut().unwrap().2.push_str(line),
        }
    }
    let json = |text: String| {
        (!text.is_empty()).then(|| serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}")))
    };
    parts.into_iter().map(|(mark, rest, text)| (mark, rest, json(text))).collect()
}

/// What the names of a conversation stand for.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, String>);

impl Names {
    /// The text with what is known of its names.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, value) in &self.0 {
            filled = filled.replace(name, value);
        }
        filled
    }

    /// The value with what is known of its names.
    pub(super) fn fill_in(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.fill(text).into(),
            Value::Array(items) => items.iter().map(|item| self.fill_in(item)).collect(),
            Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), self.fill_in(value))).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// Whether the value has what is expected of it; learns names that are new. Says where it differs.
    pub(super) fn compare(&mut self, expected: &Value, found: &Value) -> Result<(), String> {
        match (expected, found) {
            (Value::Object(expected), Value::Object(found)) => {
                for (key, expected) in expected {
                    match (expected, found.get(key)) {
                        (Value::Null, None) => {}
                        (expected, Some(found)) => self.compare(expected, found).map_err(|why| format!("{key}: {why}"))?,
                        (_, None) => return Err(format!("{key} is missing")),
                    }
                }
                Ok(())
            }
            (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
                expected.iter().zip(found).try_for_each(|(expected, found)| self.compare(expected, found))
            }
            (Value::String(name), Value::String(found)) if is_name(name) && !self.0.contains_key(name) => {
                self.0.insert(name.clone(), found.clone());
                Ok(())
            }
            (expected, found) if self.fill_in(expected) == *found => Ok(()),
            (expected, found) => Err(format!("{found} is not {}", self.fill_in(expected))),
        }
    }
}

fn is_name(text: &str) -> bool {
    text.strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()))
}

/// Whether a name stands in the text that nothing has explained.
pub(super) fn has_name(text: &str) -> bool {
    text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).any(|(name, _)| is_name(&format!("<{name}>")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_script_is_read_part_by_part() {
        let script = Script::read(
            "# remark\n! User-Agent: x\n! Query: flag\n> POST /Users\n{\"a\":\n 1}\n< 201\n{\"id\": \"<a>\"}\n>> GET /x\n< 200\n>> GET /y\n< 200\n= /Users\n[]\n",
        );

        assert_eq!((script.query.as_deref(), script.headers["user-agent"].to_str().unwrap()), (Some("flag"), "x"));
        let [Step::Exchange(one), Step::Exchange(two), Step::Directory { .. }] = script.steps.as_slice() else {
            panic!("{:?}", script.steps)
        };
        assert_eq!((one.len(), one[0].body.clone(), two.len()), (1, Some(json!({ "a": 1 })), 2));
    }

    #[test]
    fn a_part_is_compared_and_a_name_is_learned_once() {
        let mut names = Names::default();

        assert_eq!(names.compare(&json!({ "id": "<a>", "gone": null }), &json!({ "id": "7", "more": 1 })), Ok(()));
        assert_eq!(names.fill("/Users/<a>"), "/Users/7");
        for (expected, found) in [
            (json!({ "id": "<a>" }), json!({ "id": "8" })),
            (json!({ "gone": null }), json!({ "gone": "here" })),
            (json!({ "gone": null }), json!({ "gone": {} })),
            (json!({ "here": 1 }), json!({})),
            (json!([1]), json!([1, 2])),
            (json!([1, 2]), json!([2, 1])),
            (json!("x"), json!("y")),
        ] {
            assert!(names.compare(&expected, &found).is_err(), "{expected} {found}");
        }
    }
}
