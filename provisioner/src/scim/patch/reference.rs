//! PATCH once more, slow and obvious: RFC 7644, section 3.5.2, with the lenient column of the decision table, written down from
//! those alone. It shares no code with what it is held against: it has a schema, a reader of values and a filter of its own.

mod properties;

use serde_json::{Map, json};

use super::*;
use crate::scim::schema::ENTERPRISE_USER;
use crate::scim::testing::document;
use crate::scim::{Document, text::normal_key};

/// The `scimType` of a refusal.
type Refused = &'static str;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Text that no number stands for.
    Name,
    Text,
    Truth,
    /// Where a user is.
    Uri,
    Parts(&'static [(&'static str, Kind)]),
}

#[derive(Clone, Copy)]
struct Definition {
    name: &'static str,
    kind: Kind,
    many: bool,
    required: bool,
    extension: bool,
}

const PLURAL: Kind =
    Kind::Parts(&[("value", Kind::Text), ("type", Kind::Text), ("display", Kind::Text), ("primary", Kind::Truth)]);
const ADDRESS: Kind =
    Kind::Parts(&[("locality", Kind::Text), ("country", Kind::Text), ("type", Kind::Text), ("primary", Kind::Truth)]);
const NAME: Kind = Kind::Parts(&[("givenName", Kind::Text), ("familyName", Kind::Text), ("formatted", Kind::Text)]);
const MANAGER: Kind = Kind::Parts(&[("value", Kind::Text), ("$ref", Kind::Uri)]);

const fn single(name: &'static str, kind: Kind) -> Definition {
    Definition { name, kind, many: false, required: false, extension: false }
}

const SCHEMA: [Definition; 10] = [
    Definition { required: true, ..single("userName", Kind::Name) },
    Definition { required: true, ..single("active", Kind::Truth) },
    single("title", Kind::Text),
    single("nickName", Kind::Text),
    single("name", NAME),
    Definition { many: true, ..single("emails", PLURAL) },
    Definition { many: true, ..single("phoneNumbers", PLURAL) },
    Definition { many: true, ..single("addresses", ADDRESS) },
    Definition { extension: true, ..single("department", Kind::Text) },
    Definition { extension: true, ..single("manager", MANAGER) },
];

/// What an entry has to have, all of it: a part, and its text or truth.
type Condition = Vec<(&'static str, Value)>;

/// A path, before it is spelled.
#[derive(Clone, Debug)]
struct Place {
    attribute: usize,
    condition: Option<Condition>,
    part: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum Target {
    At(Place),
    /// A name that only the server writes, that is never kept, or that nobody knows.
    Foreign(&'static str),
}

#[derive(Clone, Debug)]
struct Instruction {
    op: Op,
    target: Target,
    value: Option<Value>,
    /// Whether it stands as a name in the value of an operation without a path.
    pathless: bool,
    spelling: u8,
}

fn parts_of(kind: Kind) -> &'static [(&'static str, Kind)] {
    match kind {
        Kind::Parts(parts) => parts,
        Kind::Name | Kind::Text | Kind::Truth | Kind::Uri => &[],
    }
}

fn part_of(kind: Kind, name: &str) -> Option<Kind> {
    parts_of(kind).iter().find(|(part, _)| part.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
}

/// One value; null is none.
fn read_one(kind: Kind, value: &Value) -> Result<Value, Refused> {
    match (kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Kind::Parts(parts), Value::Object(sent)) => {
            let mut read = Map::new();
            for (name, kind) in parts {
                if let Some((_, value)) = sent.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
                    let value = read_one(*kind, &unwrapped(value))?;
                    if !value.is_null() {
                        read.insert((*name).to_owned(), value);
                    }
                }
            }
            let read = found(read)?;
            Ok(if read.is_empty() { Value::Null } else { read.into() })
        }
        (_, Value::String(text)) if text.trim().is_empty() => Ok(Value::Null),
        (Kind::Parts(parts), Value::String(text)) if parts[0].0 == "value" => Ok(json!({ "value": text.trim() })),
        (Kind::Text | Kind::Uri, Value::Number(number)) => Ok(number.to_string().into()),
        (Kind::Name | Kind::Text | Kind::Uri, Value::String(_)) | (Kind::Truth, Value::Bool(_)) => Ok(value.clone()),
        (Kind::Truth, Value::String(text)) if ["true", "True"].contains(&text.as_str()) => Ok(json!(true)),
        (Kind::Truth, Value::String(text)) if ["false", "False"].contains(&text.as_str()) => Ok(json!(false)),
        _ => Err("invalidValue"),
    }
}

/// A manager who is named by the URI alone.
fn found(mut manager: Map<String, Value>) -> Result<Map<String, Value>, Refused> {
    if let (Some(uri), None) = (manager.get("$ref").cloned(), manager.get("value")) {
        let (_, id) = uri.as_str().unwrap().split_once("/Users/").filter(|(_, id)| !id.is_empty()).ok_or("invalidValue")?;
        manager.insert("value".to_owned(), id.into());
    }
    Ok(manager)
}

/// A manager of whom one part was set: the other one stays if it says the same.
fn agreeing(manager: &Value, set: &str) -> Result<Value, Refused> {
    let mut manager = document(manager.clone());
    let (value, uri) = (manager.get("value").cloned(), manager.get("$ref").cloned());
    if let (Some(Value::String(value)), Some(Value::String(uri))) = (&value, &uri)
        && uri.ends_with(&format!("/Users/{value}"))
    {
        return Ok(manager.into());
    }
    if set == "value" {
        manager.remove("$ref");
    } else if uri.is_some() {
        manager.remove("value");
    }
    found(manager).map(Value::from)
}

/// A list of one, or of none, where one value is asked for.
fn unwrapped(value: &Value) -> Value {
    match value.as_array() {
        Some(items) if items.len() < 2 => items.first().cloned().unwrap_or_default(),
        _ => value.clone(),
    }
}

fn read(definition: &Definition, value: &Value) -> Result<Value, Refused> {
    if !definition.many {
        return read_one(definition.kind, &unwrapped(value));
    }
    let items = match value {
        Value::Null => return Ok(Value::Null),
        Value::Array(items) => items.clone(),
        one => vec![one.clone()],
    };
    let read = items.iter().map(|item| read_one(definition.kind, item)).collect::<Result<Vec<_>, _>>()?;
    Ok(tidy(read))
}

/// RFC 7643, section 2.4: the same type and value are not there twice.
fn are_one(known: &Value, entry: &Value) -> bool {
    let kind = |entry: &Value| entry.get("type").map(|kind| normal_key(kind.as_str().unwrap()));
    known.get("value").is_some() && known.get("value") == entry.get("value") && kind(known) == kind(entry)
}

/// What a list may hold: nothing empty, nothing twice, one primary entry at most. An empty one is none.
fn tidy(sent: Vec<Value>) -> Value {
    let is_empty =
        |entry: &Value| entry.as_object().is_none_or(|parts| parts.keys().all(|key| key == "type" || key == "primary"));
    let once = |list: Vec<Value>| {
        let mut kept: Vec<Value> = Vec::new();
        for entry in list {
            if !kept.contains(&entry) {
                kept.push(entry);
            }
        }
        kept
    };
    let mut list: Vec<Value> = Vec::new();
    for entry in once(sent.into_iter().filter(|entry| !is_empty(entry)).collect()) {
        let Some(known) = list.iter_mut().find(|known| are_one(known, &entry)) else {
            list.push(entry);
            continue;
        };
        let was_primary = known.get("primary") == Some(&json!(true));
        known.as_object_mut().unwrap().extend(document(entry));
        if was_primary {
            known["primary"] = json!(true);
        }
    }
    let mut had_primary = false;
    for entry in &mut list {
        if entry["primary"] == json!(true) {
            if had_primary {
                entry["primary"] = json!(false);
            }
            had_primary = true;
        }
    }
    let list = once(list);
    if list.is_empty() { Value::Null } else { list.into() }
}

fn demote(entry: &mut Value) {
    if entry.get("primary").is_some() {
        entry["primary"] = json!(false);
    }
}

fn added(mut list: Vec<Value>, more: &[Value]) -> Vec<Value> {
    let before = list.clone();
    for entry in more.iter().filter(|entry| !before.contains(entry)) {
        if entry["primary"] == json!(true) {
            list.iter_mut().for_each(demote);
        }
        match list.iter_mut().find(|known| are_one(known, entry)) {
            Some(known) => known.as_object_mut().unwrap().extend(document(entry.clone())),
            None => list.push(entry.clone()),
        }
    }
    list
}

fn satisfies(entry: &Value, condition: &Condition) -> bool {
    condition.iter().all(|(part, wanted)| match (entry.get(part), wanted) {
        (Some(Value::String(found)), Value::String(wanted)) => normal_key(found) == normal_key(wanted),
        (Some(found), wanted) => found == wanted,
        // Who does not say that they are the primary one is not.
        (None, wanted) => *part == "primary" && *wanted == json!(false),
    })
}

fn completed(mut entry: Value, condition: &Condition) -> Value {
    for (part, wanted) in condition {
        if entry.get(part).is_none() {
            entry[*part] = wanted.clone();
        }
    }
    entry
}

fn put(entry: &mut Value, part: &str, value: &Value) {
    let parts = entry.as_object_mut().unwrap();
    if value.is_null() {
        parts.remove(part);
    } else {
        parts.insert(part.to_owned(), value.clone());
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// What the attribute is afterwards; null is none.
fn changed(instruction: &Instruction, place: &Place, before: &Value) -> Result<Value, Refused> {
    let (definition, op) = (&SCHEMA[place.attribute], instruction.op);
    let Some(value) = instruction.value.clone().or((op == Op::Remove).then_some(Value::Null)) else { return Err("invalidValue") };
    let part = |part: &str| match op {
        Op::Remove => Ok(Value::Null),
        Op::Add | Op::Replace => read_one(part_of(definition.kind, part).unwrap(), &unwrapped(&value)),
    };
    match (&place.condition, place.part) {
        (None, None) if op == Op::Remove => Ok(removed(definition, before, read_listed(definition, &value)?.as_deref())),
        (None, None) => whole(definition, op, before, &value),
        (None, Some(name)) if definition.many => {
            let (new, mut all) = (part(name)?, list(before));
            if all.is_empty() && !new.is_null() {
                all.push(json!({}));
            }
            for entry in &mut all {
                put(entry, name, &new);
            }
            Ok(tidy(all))
        }
        (None, Some(name)) => {
            let new = part(name)?;
            let mut parts = if before.is_null() { json!({}) } else { before.clone() };
            put(&mut parts, name, &new);
            if definition.name == "manager" {
                parts = agreeing(&parts, name)?;
            }
            Ok(if parts == json!({}) { Value::Null } else { parts })
        }
        (Some(condition), name) => {
            let all = list(before);
            if !all.iter().any(|entry| satisfies(entry, condition)) {
                return if op == Op::Remove { Ok(before.clone()) } else { made(definition, condition, name, &value, all) };
            }
            let mut afterwards = Vec::new();
            let mut has_primary = false;
            for entry in all {
                if !satisfies(&entry, condition) {
                    afterwards.push((entry, false));
                    continue;
                }
                let after = match (op, name) {
                    (Op::Remove, None) => Value::Null,
                    (_, Some(name)) => {
                        let mut entry = entry;
                        put(&mut entry, name, &part(name)?);
                        entry
                    }
                    (_, None) => match (read_one(definition.kind, &unwrapped(&value))?, op) {
                        (Value::Null, _) => Value::Null,
                        (new, Op::Replace) => completed(new, condition),
                        (new, _) => {
                            let mut entry = entry;
                            entry.as_object_mut().unwrap().extend(document(new));
                            entry
                        }
                    },
                };
                has_primary |= after["primary"] == json!(true);
                afterwards.push((after, true));
            }
            if has_primary {
                afterwards.iter_mut().filter(|(_, selected)| !selected).for_each(|(entry, _)| demote(entry));
            }
            Ok(tidy(afterwards.into_iter().map(|(entry, _)| entry).filter(|entry| !entry.is_null()).collect()))
        }
    }
}

/// Entra says in the value what is to go; without one, all of it goes.
fn read_listed(definition: &Definition, value: &Value) -> Result<Option<Vec<Value>>, Refused> {
    if value.is_null() || !definition.many {
        return Ok(None);
    }
    Ok(Some(list(&read(definition, value)?)))
}

fn removed(definition: &Definition, before: &Value, listed: Option<&[Value]>) -> Value {
    let Some(listed) = listed else { return Value::Null };
    let same = |entry: &Value, gone: &Value| match (entry["value"].as_str(), gone["value"].as_str()) {
        (Some(entry), Some(gone)) => normal_key(entry) == normal_key(gone),
        (None, None) => entry == gone,
        _ => false,
    };
    assert!(definition.many);
    let kept: Vec<Value> = list(before).into_iter().filter(|entry| !listed.iter().any(|gone| same(entry, gone))).collect();
    if kept.is_empty() { Value::Null } else { kept.into() }
}

fn whole(definition: &Definition, op: Op, before: &Value, value: &Value) -> Result<Value, Refused> {
    let has_value = parts_of(definition.kind).first().is_some_and(|(part, _)| *part == "value");
    if let (Kind::Parts(parts), false, false, Value::Object(sent)) =
        (definition.kind, definition.many, has_value, &unwrapped(value))
    {
        let mut merged = if before.is_null() { json!({}) } else { before.clone() };
        for (name, kind) in parts {
            if let Some((_, value)) = sent.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
                put(&mut merged, name, &read_one(*kind, &unwrapped(value))?);
            }
        }
        return Ok(if merged == json!({}) { Value::Null } else { merged });
    }
    let new = read(definition, value)?;
    Ok(match op {
        Op::Add if definition.many && new.is_null() => before.clone(),
        Op::Add if definition.many => tidy(added(list(before), &list(&new))),
        _ => new,
    })
}

/// Entra expects the entry that its filter would have selected.
fn made(
    definition: &Definition,
    condition: &Condition,
    part: Option<&'static str>,
    value: &Value,
    all: Vec<Value>,
) -> Result<Value, Refused> {
    let entry = match part {
        Some(part) => {
            let new = read_one(part_of(definition.kind, part).unwrap(), &unwrapped(value))?;
            if new.is_null() { Value::Null } else { json!({ part: new }) }
        }
        None => read_one(definition.kind, &unwrapped(value))?,
    };
    if entry.is_null() {
        return Ok(tidy(all));
    }
    let entry = completed(entry, condition);
    if !satisfies(&entry, condition) {
        return Err("noTarget");
    }
    Ok(tidy(added(all, &[entry])))
}

fn apply(person: &mut Document, instruction: &Instruction) -> Result<(), Refused> {
    let place = match &instruction.target {
        Target::At(place) => place,
        // The server's own names are refused by path; in an object the resource's own are what Okta always sends.
        Target::Foreign("groups") if !instruction.pathless => return Err("mutability"),
        Target::Foreign(_) => return Ok(()),
    };
    let definition = &SCHEMA[place.attribute];
    let mut whole = Value::Object(person.clone());
    let home = if definition.extension { &mut whole[ENTERPRISE_USER] } else { &mut whole };
    let after = changed(instruction, place, &home[definition.name])?;
    if after.is_null() && definition.required {
        return Err(if instruction.op == Op::Remove { "mutability" } else { "invalidValue" });
    }
    home[definition.name] = after;
    *person = without_nulls(document(whole));
    Ok(())
}

fn without_nulls(person: Document) -> Document {
    let mut kept = Map::new();
    for (name, value) in person {
        let value = if name == ENTERPRISE_USER && value.is_object() {
            let home = without_nulls(document(value));
            if home.is_empty() { Value::Null } else { home.into() }
        } else {
            value
        };
        if !value.is_null() {
            kept.insert(name, value);
        }
    }
    kept
}
