//! The grammar of filters and paths against `scim_v2`, a reader of both that is not ours: what it takes we take with the same
//! meaning, or refuse for a reason that is no matter of grammar.
//!
//! Known differences, none of them by oversight:
//!
//! * It knows no schema: an unknown attribute, an operator that does not suit the type and a literal of another type are fine
//!   to it and `invalidFilter` here. A complex attribute stands for its `value` here.
//! * It nests up to 64 deep and takes any length; here it is 32, and 16,384 bytes.
//! * It wants a space behind `not` and around `and` and `or`, also beside a parenthesis; RFC 7644, figure 1, does not.
//! * It takes a space before and behind the brackets of a path, which the grammar does not have.
//! * It has no name that begins with `$`, so no `$ref`, and no sub-attribute behind the bracket in a filter.
//! * A quoted number or truth is read by the attribute's type here, unless the profile is strict.
//! * A comparison with null is `pr` or its opposite here; instants are compared, and printed, in UTC.

use scim_v2::filter as theirs;

use super::filter::{MAX_LENGTH, instant};
use super::fuzz::mutate::{Corpus, Random};
use super::path::{Path, PathError};
use super::schema::{AttributeType, Found, ResourceKind, USER};
use super::testing::{is_long, random_seed, schemas};
use super::{Filter, Profile, ResourceSchema, ScimError};

/// Why we refuse what is well-formed.
const REASONS: [&str; 10] = [
    "is not an attribute",
    "cannot be compared",
    "cannot be filtered",
    "is compared with",
    "has parts",
    "has no elements",
    "NUL",
    "nested more than",
    "longer than",
    "surrogate",
];

fn inputs() -> (Random, usize) {
    (Random(random_seed()), if is_long() { 600_000 } else { 20_000 })
}

/// One attribute expression of the grammar, of an attribute that we have.
fn expression(random: &mut Random, inside: bool) -> String {
    const TEXTS: [&str; 8] =
        ["userName", "name.familyName", "emails.value", "emails", "externalId", "title", "manager.value", "groups.value"];
    const PARTS: [&str; 3] = ["value", "type", "display"];
    const STRINGS: [&str; 6] = [r#""a""#, r#""A b""#, r#""""#, r#""\"q\" \\ \u00e9 \/""#, r#"" and ""#, "null"];
    let op = |random: &mut Random, ops: &[&str]| {
        let op = *random.one_of(ops);
        if random.below(2) == 0 { op.to_owned() } else { op.to_uppercase() }
    };
    let name = |random: &mut Random, names: &[&str]| {
        let name = *random.one_of(names);
        let name = if random.below(3) == 0 { name.to_lowercase() } else { name.to_owned() };
        if !inside && random.below(4) == 0 { format!("{USER}:{name}") } else { name }
    };
    match random.below(5) {
        0 => format!("{} {}", name(random, if inside { &PARTS } else { &TEXTS[..6] }), op(random, &["pr"])),
        1 => format!(
            "{} {} {}",
            if inside { "primary" } else { "active" },
            op(random, &["eq", "ne"]),
            random.one_of(&["true", "false"])
        ),
        2 if !inside => {
            let when = random.one_of(&["\"2026-01-02T03:04:05Z\"", "\"2026-01-02T03:04:05.5+02:00\""]);
            format!("meta.created {} {when}", op(random, &["eq", "gt", "le"]))
        }
        _ => {
            let (name, text) = (name(random, if inside { &PARTS } else { &TEXTS[..6] }), *random.one_of(&STRINGS));
            let ops: &[&str] =
                if text == "null" { &["eq", "ne"] } else { &["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"] };
            format!("{name} {} {text}", op(random, ops))
        }
    }
}

/// A filter of the grammar.
fn sentence(random: &mut Random, depth: usize, inside: bool) -> String {
    let joined = |random: &mut Random, word: &str| {
        let parts: Vec<String> = (0..2 + random.below(2)).map(|_| sentence(random, depth - 1, inside)).collect();
        parts.join(word)
    };
    match random.below(if depth == 0 { 2 } else { 7 }) {
        2 => joined(random, " and "),
        3 => joined(random, " OR "),
        4 => format!("({})", sentence(random, depth - 1, inside)),
        5 => format!("not ({})", sentence(random, depth - 1, inside)),
        6 if !inside => format!("{}[{}]", random.one_of(&["emails", "phoneNumbers", "Roles"]), sentence(random, depth - 1, true)),
        _ => expression(random, inside),
    }
}

/// A name as we know it: without case, without the core schema's URN, and where it stands for its value, with it.
fn name(path: &theirs::AttrPath, schema: &ResourceSchema, list: Option<&str>) -> String {
    let sub = path.sub_attr.as_ref().map(|sub| format!(".{sub}")).unwrap_or_default();
    let urn = path.uri.as_ref().map(|urn| format!("{urn}:")).unwrap_or_default();
    let whole = format!("{urn}{}{sub}", path.name);
    if list.is_some() {
        return whole.to_lowercase();
    }
    let Some(Found::Attribute { extension, name, definition, sub }) = schema.find(&whole, Profile::Lenient) else { return whole };
    let urn = extension.map(|schema| format!("{}:", schema.id)).unwrap_or_default();
    let stands_for_value = sub.is_none() && definition.kind == AttributeType::Complex && definition.sub("value").is_some();
    let sub = sub.map(|sub| sub.name.as_str()).or(stands_for_value.then_some("value"));
    format!("{urn}{name}{}", sub.map(|sub| format!(".{sub}")).unwrap_or_default()).to_lowercase()
}

/// What an attribute expression means.
fn meaning(expression: &theirs::AttrExp, schema: &ResourceSchema, list: Option<&str>) -> String {
    match expression {
        // Presence is of the whole.
        theirs::AttrExp::Present(path) => format!("{} pr", name(path, schema, list).trim_end_matches(".value")),
        theirs::AttrExp::Comparison(path, theirs::CompareOp::Eq, theirs::CompValue::Null) => {
            format!("not ({} pr)", name(path, schema, list).trim_end_matches(".value"))
        }
        theirs::AttrExp::Comparison(path, theirs::CompareOp::Ne, theirs::CompValue::Null) => {
            format!("{} pr", name(path, schema, list).trim_end_matches(".value"))
        }
        theirs::AttrExp::Comparison(path, op, value) => {
            let value = match value {
                // The lenient profile reads a quoted number or truth by the attribute's type.
                theirs::CompValue::Str(text) if ["True", "False"].contains(&text.as_str()) => text.to_lowercase(),
                theirs::CompValue::Str(text) => match (instant(text), text.trim().parse::<f64>()) {
                    (Some(instant), _) => instant.to_rfc3339(),
                    (None, Ok(number)) => number.to_string(),
                    (None, Err(_)) => text.clone(),
                },
                theirs::CompValue::Number(number) => number.as_f64().unwrap().to_string(),
                theirs::CompValue::True => "true".to_owned(),
                theirs::CompValue::False => "false".to_owned(),
                theirs::CompValue::Null => "null".to_owned(),
            };
            format!("{} {op:?} {value}", name(path, schema, list))
        }
    }
}

fn of_element(filter: &theirs::ValFilter, schema: &ResourceSchema, list: &str) -> String {
    let all = |parts: &[theirs::ValFilter], word: &str| {
        let parts: Vec<String> = parts.iter().map(|part| of_element(part, schema, list)).collect();
        format!("({})", parts.join(word))
    };
    match filter {
        theirs::ValFilter::Attr(expression) => meaning(expression, schema, Some(list)),
        theirs::ValFilter::Not(part) => format!("not ({})", of_element(part, schema, list)),
        theirs::ValFilter::And(parts) => all(parts, " and "),
        theirs::ValFilter::Or(parts) => all(parts, " or "),
    }
}

fn of_resource(filter: &theirs::Filter, schema: &ResourceSchema) -> String {
    let all = |parts: &[theirs::Filter], word: &str| {
        let parts: Vec<String> = parts.iter().map(|part| of_resource(part, schema)).collect();
        format!("({})", parts.join(word))
    };
    match filter {
        theirs::Filter::Attr(expression) => meaning(expression, schema, None),
        theirs::Filter::ValuePath(path) => {
            let list = name(&path.attr, schema, None);
            let list = list.trim_end_matches(".value");
            format!("{list}[{}]", of_element(&path.filter, schema, list))
        }
        theirs::Filter::Not(part) => format!("not ({})", of_resource(part, schema)),
        theirs::Filter::And(parts) => all(parts, " and "),
        theirs::Filter::Or(parts) => all(parts, " or "),
    }
}

/// Whether ours means what theirs means: both as theirs reads them.
fn agree(text: &str, ours: &Filter, theirs: &theirs::Filter, schema: &ResourceSchema) {
    let printed = ours.to_string();
    if printed.contains("$ref") {
        return;
    }
    let again: theirs::Filter = printed.parse().unwrap_or_else(|error| panic!("{text:?} is printed as {printed:?}: {error}"));
    assert_eq!(of_resource(&again, schema), of_resource(theirs, schema), "{text:?}");
}

fn compare(text: &str, schema: &ResourceSchema) -> bool {
    let theirs: Result<theirs::Filter, _> = text.parse();
    match (Filter::parse(text, schema, Profile::Lenient), theirs) {
        (Ok(ours), Ok(theirs)) if ours.to_string().len() <= MAX_LENGTH => {
            agree(text, &ours, &theirs, schema);
            true
        }
        (Err(ScimError::InvalidFilter(why)), Ok(theirs)) => {
            assert!(REASONS.iter().any(|reason| why.contains(reason)), "{text:?}: {why}, and they read {theirs}");
            false
        }
        (Err(error), Ok(_)) => panic!("{text:?}: {error:?}"),
        (Ok(_) | Err(_), _) => false,
    }
}

#[test]
fn every_filter_of_the_grammar_means_the_same_to_both() {
    let ((mut random, count), set) = (inputs(), schemas());
    let schema = set.of(ResourceKind::User);

    for _ in 0..count / 4 {
        let text = sentence(&mut random, 3, false);
        let strict = Filter::parse(&text, schema, Profile::Strict).unwrap_or_else(|error| panic!("{text:?}: {error}"));

        assert!(compare(&text, schema), "{text:?}");
        assert_eq!(Ok(strict), Filter::parse(&text, schema, Profile::Lenient), "{text:?}");
    }
}

#[test]
fn what_they_take_we_take_or_have_a_reason_to_refuse() {
    let ((mut random, count), set, corpus) = (inputs(), schemas(), Corpus::read());
    let mut taken = 0;

    for _ in 0..count {
        let text = corpus.filter(&mut random);
        taken += usize::from(compare(&text, set.of(ResourceKind::User)));
    }

    assert!(taken > count / 50, "{taken} of {count}: too few to mean anything");
}

#[test]
fn a_path_means_the_same_to_both() {
    let ((mut random, count), set, corpus) = (inputs(), schemas(), Corpus::read());
    let (schema, mut taken) = (set.of(ResourceKind::User), 0);

    for round in 0..count {
        let text = if round % 2 == 0 {
            corpus.path(&mut random)
        } else {
            let sub = random.one_of(&["", ".value", ".display"]);
            format!("{}[{}]{sub}", random.one_of(&["emails", "PhoneNumbers", "roles"]), sentence(&mut random, 2, true))
        };
        let theirs: Result<theirs::PatchPath, _> = text.trim().parse();
        match (Path::parse(&text, schema, Profile::Lenient), theirs) {
            (Ok(Path::Attribute(ours)), Ok(theirs::PatchPath::Attr(attribute))) => {
                let sub = ours.sub.map(|sub| sub.name.as_str());
                assert!(
                    ours.filter.is_none() && sub.map(str::to_lowercase) == attribute.sub_attr.map(|sub| sub.to_lowercase()),
                    "{text:?}"
                );
                assert!(ours.name.eq_ignore_ascii_case(&attribute.name), "{text:?}");
                taken += 1;
            }
            (Ok(Path::Attribute(ours)), Ok(theirs::PatchPath::Value(path))) => {
                assert!(ours.name.eq_ignore_ascii_case(&path.attr.name), "{text:?}");
                let sub = ours.sub.map(|sub| sub.name.to_lowercase());
                assert_eq!(sub, path.sub_attr.map(|sub| sub.to_lowercase()), "{text:?}");
                let whole = format!("{}[{}]", ours.name, ours.filter.unwrap());
                if whole.len() <= MAX_LENGTH && !whole.contains("$ref") {
                    let again: theirs::PatchPath = whole.parse().unwrap_or_else(|error| panic!("{text:?} {whole:?}: {error}"));
                    let theirs::PatchPath::Value(again) = again else { panic!("{whole}") };
                    let meant = |filter| of_element(filter, schema, "");
                    assert_eq!(meant(&again.filter), meant(&path.filter), "{text:?}");
                }
                taken += 1;
            }
            (Err(PathError::Refused(error)), Ok(theirs)) => {
                let why = error.to_string();
                let has_reason = REASONS.iter().any(|reason| why.contains(reason))
                    || why.contains("is too long")
                    || text.contains(" [")
                    || text.contains("] ");
                assert!(has_reason, "{text:?}: {why}, and they read {theirs}");
            }
            // A schema's URN ends in what could be a name, and an unknown name is a name.
            (Ok(Path::Schema(_)) | Err(PathError::Unknown), Ok(_)) | (Ok(_) | Err(_), Err(_)) => {}
        }
    }
    assert!(taken > count / 10, "{taken} of {count}: too few to mean anything");
}
