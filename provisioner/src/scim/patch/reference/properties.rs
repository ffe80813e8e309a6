//! Random instructions in random spellings, and what is held against the model.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::scim::schema::ResourceKind;
use crate::scim::testing::{World, cases};

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

fn uri() -> impl Strategy<Value = Value> {
    proptest::sample::select(&["../Users/a", "https://x.example/scim/v2/acme/Users/b", "/Users/b", "a", "../Users/", ""][..])
        .prop_map(Value::from)
}

/// A value that mostly fits, and sometimes does not.
fn value_for(kind: Kind) -> BoxedStrategy<Value> {
    let odd = prop_oneof![Just(Value::Null), Just(json!(7)), text(), Just(json!([])), Just(json!({})), Just(json!({"shoe": 1}))];
    let fitting = match kind {
        Kind::Name | Kind::Text => text().boxed(),
        Kind::Truth => truth().boxed(),
        Kind::Uri => uri().boxed(),
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
