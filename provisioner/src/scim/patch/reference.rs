//! PATCH once more, slow and obvious: RFC 7644, section 3.5.2, with the lenient column of the decision table, written down from
//! those alone. It shares no code with what it is held against: it has a schema, a reader of values and a filter of its own.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::scim::schema::{ENTERPRISE_USER, ResourceKind};
use crate::scim::testing::{World, cases, document};
use crate::scim::{Document, text::normal_key};

/// The `scimType` of a refusal.
type Refused = &'static str;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Text that no number stands for.
    Name,
    Text,
    Truth,
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
const MANAGER: Kind = Kind::Parts(&[("value", Kind::Text), ("$ref", Kind::Text)]);

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
        Kind::Name | Kind::Text | Kind::Truth => &[],
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
            Ok(if read.is_empty() { Value::Null } else { read.into() })
        }
        (_, Value::String(text)) if text.trim().is_empty() => Ok(Value::Null),
        (Kind::Parts(parts), Value::String(text)) if parts[0].0 == "value" => Ok(json!({ "value": text.trim() })),
        (Kind::Text, Value::Number(number)) => Ok(number.to_string().into()),
        (Kind::Name | Kind::Text, Value::String(_)) | (Kind::Truth, Value::Bool(_)) => Ok(value.clone()),
        (Kind::Truth, Value::String(text)) if ["true", "True"].contains(&text.as_str()) => Ok(json!(true)),
        (Kind::Truth, Value::String(text)) if ["false", "False"].contains(&text.as_str()) => Ok(json!(false)),
        _ => Err("invalidValue"),
    }
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

/// What a list may hold: nothing empty, nothing twice, one primary entry at most. An empty one is none.
fn tidy(list: Vec<Value>) -> Value {
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
    let mut list = once(list.into_iter().filter(|entry| !is_empty(entry)).collect());
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
        list.push(entry.clone());
    }
    list
}

fn satisfies(entry: &Value, condition: &Condition) -> bool {
    condition.iter().all(|(part, wanted)| match (entry.get(part), wanted) {
        (Some(Value::String(found)), Value::String(wanted)) => normal_key(found) == normal_key(wanted),
        (Some(found), wanted) => found == wanted,
        (None, _) => false,
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
    if let (Kind::Parts(parts), false, false, Value::Object(sent)) = (definition.kind, definition.many, has_value, value) {
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

// Spelling

fn spelled(place: &Place, spelling: u8) -> String {
    let definition = &SCHEMA[place.attribute];
    let name = match (definition.extension, spelling % 4) {
        (true, _) => format!("{ENTERPRISE_USER}:{}", definition.name),
        (false, 0) => definition.name.to_uppercase(),
        (false, 1) => format!("urn:ietf:params:scim:schemas:core:2.0:User:{}", definition.name),
        (false, _) => definition.name.to_owned(),
    };
    let literal = |value: &Value| match (value, spelling % 3) {
        (Value::Bool(truth), 0) => format!("\"{}\"", if *truth { "True" } else { "False" }),
        (value, _) => value.to_string(),
    };
    let condition = place.condition.as_ref().map(|condition| {
        let all: Vec<String> = condition.iter().map(|(part, value)| format!("{part} eq {}", literal(value))).collect();
        format!("[{}]", all.join(" and "))
    });
    let part = place.part.map(|part| format!(".{part}"));
    format!("{name}{}{}", condition.unwrap_or_default(), part.unwrap_or_default())
}

fn operation(instruction: &Instruction) -> Value {
    let word = instruction.op.word();
    let word = if instruction.spelling.is_multiple_of(2) { word.to_owned() } else { word[..1].to_uppercase() + &word[1..] };
    let path = match &instruction.target {
        Target::At(place) => spelled(place, instruction.spelling),
        Target::Foreign(name) => (*name).to_owned(),
    };
    match (&instruction.value, instruction.pathless) {
        (Some(value), true) => json!({"op": word, "value": {path: value}}),
        (Some(value), false) => json!({"op": word, "path": path, "value": value}),
        (None, _) => json!({"op": word, "path": path}),
    }
}

// Generators

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![8 => proptest::sample::select(&["a", "b", "A", "work", "home"][..]).prop_map(Value::from), 1 => Just(json!("")), 1 => Just(json!(" "))]
}

fn truth() -> impl Strategy<Value = Value> {
    prop_oneof![any::<bool>().prop_map(Value::from), Just(json!("True")), Just(json!("False")), Just(json!("false"))]
}

/// A value that mostly fits, and sometimes does not.
fn value_for(kind: Kind) -> BoxedStrategy<Value> {
    let odd = prop_oneof![Just(Value::Null), Just(json!(7)), text(), Just(json!([])), Just(json!({})), Just(json!({"shoe": 1}))];
    let fitting = match kind {
        Kind::Name | Kind::Text => text().boxed(),
        Kind::Truth => truth().boxed(),
        Kind::Parts(parts) => {
            let parts: Vec<_> = parts
                .iter()
                .map(|(name, kind)| proptest::option::of(value_for(*kind)).prop_map(move |value| (*name, value)))
                .collect();
            parts
                .prop_map(|parts| parts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
                .boxed()
        }
    };
    prop_oneof![12 => fitting, 1 => odd].boxed()
}

fn value_of(place: &Place) -> BoxedStrategy<Value> {
    let definition = SCHEMA[place.attribute];
    let kind = place.part.and_then(|part| part_of(definition.kind, part)).unwrap_or(definition.kind);
    let is_list = definition.many && place.part.is_none() && place.condition.is_none();
    if is_list {
        return prop_oneof![proptest::collection::vec(value_for(kind), 0..4).prop_map(Value::from), value_for(kind)].boxed();
    }
    prop_oneof![9 => value_for(kind), 1 => value_for(kind).prop_map(|value| json!([value]))].boxed()
}

fn condition(kind: Kind) -> BoxedStrategy<Condition> {
    let parts = parts_of(kind);
    let text_part =
        proptest::sample::select(parts.iter().filter(|(_, kind)| *kind == Kind::Text).map(|(part, _)| *part).collect::<Vec<_>>());
    let word = proptest::sample::select(&["a", "b", "work", "home"][..]).prop_map(Value::from);
    let one = prop_oneof![3 => Just("type"), 1 => text_part];
    let simple = (one, word.clone()).prop_map(|(part, word)| vec![(part, word)]);
    let primary = any::<bool>().prop_map(|truth| vec![("primary", json!(truth))]);
    let both = (word, any::<bool>()).prop_map(|(word, truth)| vec![("type", word), ("primary", json!(truth))]);
    prop_oneof![4 => simple, 1 => primary, 1 => both].boxed()
}

fn place() -> impl Strategy<Value = Place> {
    // Lists are where it is easy to be wrong.
    prop_oneof![0..SCHEMA.len(), 5..8_usize].prop_flat_map(|attribute| {
        let definition = SCHEMA[attribute];
        let parts: Vec<Option<&'static str>> =
            std::iter::once(None).chain(parts_of(definition.kind).iter().map(|(part, _)| Some(*part))).collect();
        let filter = if definition.many { proptest::option::of(condition(definition.kind)).boxed() } else { Just(None).boxed() };
        (filter, proptest::sample::select(parts)).prop_map(move |(condition, part)| Place { attribute, condition, part })
    })
}

fn instruction() -> impl Strategy<Value = Instruction> {
    let target = prop_oneof![
        20 => place().prop_map(Target::At),
        1 => proptest::sample::select(&["groups", "password", "shoeSize", "urn:x:y:z"][..]).prop_map(Target::Foreign),
    ];
    let op = prop_oneof![Just(Op::Add), Just(Op::Replace), Just(Op::Remove)];
    (target, op, any::<bool>(), any::<bool>(), any::<u8>()).prop_flat_map(|(target, op, pathless, listed, spelling)| {
        let is_listed = listed && matches!(&target, Target::At(place) if place.condition.is_none() && place.part.is_none());
        let value = match &target {
            _ if op == Op::Remove && !is_listed => Just(None).boxed(),
            Target::At(place) => value_of(place).prop_map(Some).boxed(),
            Target::Foreign(_) => text().prop_map(Some).boxed(),
        };
        let pathless = pathless && op != Op::Remove;
        value.prop_map(move |value| Instruction { op, target: target.clone(), value, pathless, spelling })
    })
}

/// Nobody much, or somebody with a little of everything.
fn someone() -> impl Strategy<Value = Document> {
    let bare = json!({"userName": "someone", "active": true});
    let rich = json!({
        "userName": "someone", "active": true, "title": "a", "name": {"givenName": "a", "familyName": "b"},
        "emails": [
            {"value": "a", "type": "work", "primary": true},
            {"value": "b", "type": "home", "primary": false},
            {"value": "a", "type": "home"},
        ],
        "phoneNumbers": [{"value": "a", "type": "work"}, {"value": "b", "type": "work", "primary": true}],
        "addresses": [{"locality": "a", "type": "work"}, {"locality": "a", "type": "home", "primary": true}],
        ENTERPRISE_USER: {"department": "a", "manager": {"value": "a", "$ref": "b"}},
    });
    proptest::sample::select(vec![bare, rich]).prop_map(document)
}

fn sent(before: &Document, instructions: &[Instruction]) -> Result<PatchedUser, Option<Refused>> {
    let world = World::new(Profile::Lenient);
    let operations: Vec<Value> = instructions.iter().map(operation).collect();
    PatchRequest::parse(json!({"schemas": [PATCH_SCHEMA], "Operations": operations}), Profile::Lenient)
        .and_then(|request| user(request, &world.context(ResourceKind::User), Current { id: "u1", document: before }))
        .map_err(|error| error.parts().1)
}

proptest! {
    #![proptest_config(cases(2_000))]

    /// Operation by operation, and then all of them that were good in one request.
    #[test]
    fn patch_does_what_the_reference_does(someone in someone(), instructions in proptest::collection::vec(instruction(), 1..10)) {
        let (mut expected, mut good) = (someone.clone(), Vec::new());
        for instruction in &instructions {
            let mut next = expected.clone();
            let told = apply(&mut next, instruction).map_err(Some);
            let done = sent(&expected, std::slice::from_ref(instruction));

            if let Err(refused) = told {
                prop_assert_eq!(done.map(|done| done.user.document), Err(refused), "{}", operation(instruction));
                continue;
            }
            let done = done.map_err(|error| TestCaseError::fail(format!("{error:?} {}", operation(instruction))))?;
            prop_assert_eq!(&Value::Object(done.user.document), &Value::Object(next.clone()), "{} on {}", operation(instruction), json!(expected));
            prop_assert_eq!(done.changed, next != expected);
            expected = next;
            good.push(instruction.clone());
        }
        if !good.is_empty() {
            let at_once = sent(&someone, &good).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
            prop_assert_eq!(Value::Object(at_once.user.document), Value::Object(expected.clone()));
        }
    }

    /// A request with one operation that is refused is refused whole, for the reason of the first one.
    #[test]
    fn a_request_is_refused_for_its_first_bad_operation(someone in someone(), instructions in proptest::collection::vec(instruction(), 2..8)) {
        let mut expected = someone.clone();
        let told = instructions.iter().try_for_each(|instruction| apply(&mut expected, instruction)).map_err(Some);

        prop_assert_eq!(sent(&someone, &instructions).map(|done| Value::Object(done.user.document)), told.map(|()| expected.into()));
    }
}
