//! What is bent, and how: the bodies, filters and paths of every provider's conversation, spliced, repeated, cut and salted.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

const CONVERSATIONS: [&str; 10] = [
    include_str!("../../../../tests/suite/scim/conversations/entra.txt"),
    include_str!("../../../../tests/suite/scim/conversations/entra-aadoptscim062020.txt"),
    include_str!("../../../../tests/suite/scim/conversations/okta-custom.txt"),
    include_str!("../../../../tests/suite/scim/conversations/okta-catalogue.txt"),
    include_str!("../../../../tests/suite/scim/conversations/onelogin.txt"),
    include_str!("../../../../tests/suite/scim/conversations/jumpcloud.txt"),
    include_str!("../../../../tests/suite/scim/conversations/google.txt"),
    include_str!("../../../../tests/suite/scim/conversations/authentik.txt"),
    include_str!("../../../../tests/suite/scim/conversations/sailpoint.txt"),
    include_str!("../../../../tests/suite/scim/conversations/defects.txt"),
];

/// Filters that use what no provider's conversation does.
const FILTERS: [&str; 9] = [
    r#"userType eq "Employee" and (emails co "example.com" or not (emails.value sw "x")) or title pr"#,
    r#"emails[type eq "work" and not (value co "@example.com")].primary eq "True""#,
    "meta.Created gt 2015-10-10T14:38:21.8617979-07:00 and meta.lastModified le \"2026-01-02\"",
    "badge ge 9007199254740993 and score lt 1.50001e0 and active ne false",
    r#"urn:ietf:params:scim:schemas:extension:2.0:Metadata:cost.centre eq "77" or title eq null"#,
    r#"displayName eq "Bj\u00f8rn \"B\" \ud83d\ude00 Jensen\\1""#,
    r#"members[value eq "a" or value eq "b"]"#,
    "manager ne null and folders[value eq \"red\"]",
    r#"URN:ietf:params:scim:schemas:core:2.0:user:USERNAME EW ".com""#,
];

/// What means something to one of the readers.
const WORDS: [&str; 44] = [
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\u00e9",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ":",
    ".",
    " ",
    "and",
    "or",
    "not (",
    "pr",
    "eq",
    "co",
    "gt",
    "null",
    "true",
    "\"True\"",
    "1e400",
    "-0",
    "9007199254740993",
    "[]",
    "{}",
    "\u{0}",
    "\u{feff}",
    "\u{130}",
    "\u{1f600}",
    "members",
    "emails[type eq \"work\"]",
    "urn:",
    "schemas",
    "id",
    "active",
    "value",
    "primary",
    "__proto__",
    "$ref",
];

/// The longest body that is read.
const BODY_LIMIT: usize = 1024 * 1024;

/// A small generator of numbers that can be begun again at any point (splitmix64).
#[derive(Clone, Debug)]
pub(in crate::scim) struct Random(pub(in crate::scim) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(in crate::scim) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub(in crate::scim) fn one_of<'l, T>(&mut self, all: &'l [T]) -> &'l T {
        &all[self.below(all.len())]
    }
}

/// What is bent.
pub(in crate::scim) struct Corpus {
    bodies: Vec<Value>,
    patches: Vec<Value>,
    filters: Vec<String>,
    paths: Vec<String>,
}

impl Corpus {
    pub(in crate::scim) fn read() -> Self {
        let (mut bodies, mut patches) = (Vec::new(), Vec::new());
        let mut filters: BTreeSet<String> = FILTERS.map(str::to_owned).into();
        let mut paths = BTreeSet::new();
        for line in CONVERSATIONS.iter().flat_map(|text| text.lines()).filter(|line| line.starts_with("> GET")) {
            let filter = line.split_once("filter=").map(|(_, filter)| filter.split('&').next().unwrap_or_default());
            filters.extend(filter.map(|filter| filter.replace("%20", " ").replace("%22", "\"").replace('+', " ")));
        }
        for body in CONVERSATIONS.iter().flat_map(|text| sent(text)) {
            let Some(operations) = body.get("Operations").and_then(Value::as_array) else {
                bodies.push(body);
                continue;
            };
            for operation in operations {
                paths.extend(operation["path"].as_str().map(str::to_owned));
                paths.extend(operation["value"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
            }
            patches.push(body);
        }
        let (filters, paths): (Vec<_>, Vec<_>) = (filters.into_iter().collect(), paths.into_iter().collect());
        assert!(bodies.len() > 30 && patches.len() > 50 && filters.len() > 20 && paths.len() > 20);
        Self { bodies, patches, filters, paths }
    }

    pub(in crate::scim) fn filter(&self, random: &mut Random) -> String {
        let other = random.one_of(&self.filters).clone();
        bent_text(random, random_of(&self.filters), &other)
    }

    pub(in crate::scim) fn path(&self, random: &mut Random) -> String {
        let other = if random.below(4) == 0 { random.one_of(&self.filters) } else { random.one_of(&self.paths) }.clone();
        bent_text(random, random_of(&self.paths), &other)
    }

    pub(in crate::scim) fn body(&self, random: &mut Random) -> Vec<u8> {
        self.bent_json(random, &self.bodies)
    }

    pub(in crate::scim) fn patch(&self, random: &mut Random) -> Vec<u8> {
        self.bent_json(random, &self.patches)
    }

    /// Mostly still JSON: a reader that stops at the first bracket is soon known.
    fn bent_json(&self, random: &mut Random, from: &[Value]) -> Vec<u8> {
        let mut value = random.one_of(from).clone();
        for _ in 0..random.below(5) {
            let graft = if random.below(2) == 0 { self.graft(random) } else { Value::String(self.path(random)) };
            let places = count(&value);
            let mut at = random.below(places);
            bend(&mut value, &mut at, random, graft);
        }
        let text = value.to_string();
        let bent = if random.below(3) > 0 {
            text
        } else {
            let other = random.one_of(from).to_string();
            bent_text(random, |_| text.clone(), &other)
        };
        // What is longer gets no further than the door.
        if bent.len() <= BODY_LIMIT { bent.into_bytes() } else { Vec::new() }
    }

    fn graft(&self, random: &mut Random) -> Value {
        let from = if random.below(2) == 0 { &self.bodies } else { &self.patches };
        let mut value = random.one_of(from);
        for _ in 0..random.below(4) {
            value = match value {
                Value::Array(items) if !items.is_empty() => random.one_of(items),
                Value::Object(members) if !members.is_empty() => members.values().nth(random.below(members.len())).unwrap(),
                leaf => leaf,
            };
        }
        value.clone()
    }
}

fn random_of(all: &[String]) -> impl Fn(&mut Random) -> String + '_ {
    move |random| random.one_of(all).clone()
}

/// The bodies of a conversation's requests.
fn sent(text: &str) -> Vec<Value> {
    let mut bodies = vec![String::new()];
    let mut is_sent = false;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if ["! ", "@ ", "> ", ">> ", "< ", "= "].iter().any(|mark| line.starts_with(mark)) {
            is_sent = line.starts_with('>');
            bodies.push(String::new());
        } else if is_sent {
            bodies.last_mut().unwrap().push_str(line);
        }
    }
    bodies.iter().filter(|body| !body.is_empty()).map(|body| serde_json::from_str(body).unwrap()).collect()
}

fn bent_text(random: &mut Random, from: impl Fn(&mut Random) -> String, other: &str) -> String {
    let mut text: Vec<char> = from(random).chars().collect();
    for _ in 0..random.below(6) {
        let (from, to) = (random.below(text.len() + 1), random.below(text.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        match random.below(7) {
            0 => drop(text.drain(from..to.min(from + 8))),
            1 => {
                let word: Vec<char> = random.one_of(&WORDS).chars().collect();
                text.splice(from..from, word);
            }
            2 => {
                let word: Vec<char> = random.one_of(&WORDS).chars().collect();
                text.splice(from..to.min(from + 3), word);
            }
            3 => {
                let piece: Vec<char> = text[from..to].to_vec();
                let times = if random.below(20) == 0 { 200 } else { 1 + random.below(3) };
                text.splice(from..from, piece.repeat(times.min(1 + 20_000 / (piece.len() + 1))));
            }
            4 => {
                let (other, cut) = (other.chars().collect::<Vec<_>>(), random.below(other.chars().count() + 1));
                text.truncate(from);
                text.extend(&other[cut..]);
            }
            5 => {
                for c in &mut text[from..to] {
                    *c = if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
                }
            }
            _ => {
                if let Some(c) = text.get_mut(from) {
                    *c = char::from_u32(u32::from(*c) ^ (1 << random.below(7))).unwrap_or('?');
                }
            }
        }
    }
    text.into_iter().collect()
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Bends the value at a place, counted from the root.
fn bend(value: &mut Value, at: &mut usize, random: &mut Random, graft: Value) {
    if *at == 0 {
        *at = usize::MAX;
        return bend_here(value, random, graft);
    }
    *at -= 1;
    let inside: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for item in inside {
        if *at == usize::MAX {
            return;
        }
        bend(item, at, random, graft.clone());
    }
}

fn bend_here(value: &mut Value, random: &mut Random, graft: Value) {
    let choice = random.below(8);
    match (choice, &mut *value) {
        (0, Value::Array(items)) if !items.is_empty() => {
            let item = items[random.below(items.len())].clone();
            items.push(item);
        }
        (1, Value::Array(items)) if !items.is_empty() => drop(items.remove(random.below(items.len()))),
        (0, Value::Object(members)) if !members.is_empty() => {
            let name = members.keys().nth(random.below(members.len())).unwrap().clone();
            let gone = members.remove(&name).unwrap();
            let name = if random.below(2) == 0 { name.to_uppercase() } else { (*random.one_of(&WORDS)).to_owned() };
            members.insert(name, gone);
        }
        (1, Value::Object(members)) if !members.is_empty() => {
            let name = members.keys().nth(random.below(members.len())).unwrap().clone();
            members.remove(&name);
        }
        (2, Value::Object(members)) => drop(members.insert((*random.one_of(&WORDS)).to_owned(), graft)),
        (2, Value::String(text)) => *text += *random.one_of(&WORDS),
        (3, _) => *value = Value::Array(vec![value.take()]),
        (4, _) => *value = Value::Object(Map::from_iter([((*random.one_of(&["value", "name", "x"])).to_owned(), value.take())])),
        (5, _) => {
            let plain = [Value::Null, true.into(), false.into(), 7.into(), "".into(), " ".into(), "False".into()];
            *value = random.one_of(&plain).clone();
        }
        (6, Value::String(text)) if text.len() < 100_000 => *text = text.repeat(1 + random.below(400)),
        _ => *value = graft,
    }
}
