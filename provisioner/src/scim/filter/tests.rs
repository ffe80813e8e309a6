//! The grammar, the types and the meaning of filters.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::scim::schema::{ENTERPRISE_USER, ResourceKind};
use crate::scim::testing::{FOLDERS, METADATA, on_a_small_stack, schemas};

fn parse(text: &str, profile: Profile) -> Result<Filter, ScimError> {
    Filter::parse(text, schemas().of(ResourceKind::User), profile)
}

fn bjensen() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "2819c223", "externalId": "Ext-1", "userName": "bjensen@Example.com", "userType": "Employee", "active": true,
        "title": "", "displayName": "Bjørn \"B\" Jensen\\1",
        "name": {"familyName": "O'Malley", "givenName": "Barbara"},
        "emails": [
            {"type": "work", "value": "bjensen@example.com", "primary": true},
            {"type": "home", "value": "babs@jensen.example", "primary": false},
        ],
        "photos": [{"value": "https://example.com/1"}],
        "groups": [{"value": "g1"}],
        ENTERPRISE_USER: {"department": "Sales", "manager": {"value": "m1"}},
        FOLDERS: {"folders": ["Blue", "Red"], "badge": 9_007_199_254_740_993_i64, "hired": "2020-02-29T12:00:00+02:00", "score": 1.5},
        METADATA: {"cost.centre": "77"},
        "meta": {"resourceType": "User", "created": "2026-01-02T03:04:05.678Z", "lastModified": "2026-01-02T03:04:05.678Z"},
    })
}

/// True and false sentences about the person above.
const LENIENT: [(&str, bool); 79] = [
    (r#"userName eq "bjensen@example.COM""#, true),
    (r#"USERNAME EQ "BJENSEN@example.com""#, true),
    (r#"userName ne "bjensen@example.com""#, false),
    (r#"userName sw "BJ""#, true),
    (r#"userName ew ".COM""#, true),
    (r#"userName co "SEN@""#, true),
    (r#"userName gt "bj""#, true),
    (r#"userName le "bj""#, false),
    (r#"externalId eq "Ext-1""#, true),
    (r#"externalId eq "ext-1""#, false),
    (r#"id eq "2819C223""#, false),
    (r#"id eq "2819c223" and manager eq "m1""#, true),
    (r#"manager.value eq "m2""#, false),
    (r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "sales""#, true),
    (r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "bj""#, true),
    (r#"name.familyName co "O'Malley""#, true),
    (r#"emails eq "bjensen@example.com""#, true),
    (r#"emails.value ew "jensen.example""#, true),
    (r#"emails.type eq "work" and emails.value co "jensen.example""#, true),
    (r#"emails[type eq "work" and value co "jensen.example"]"#, false),
    (r#"emails[type eq "work" and value co "@Example.com"]"#, true),
    (r#"emails[type eq "home"].value eq "babs@jensen.example""#, true),
    (r#"emails[type eq "home"].value eq "bjensen@example.com""#, false),
    (r#"emails[type eq "home" or type eq "other"].value pr"#, true),
    (r#"emails[not (type eq "work")].primary eq "False""#, true),
    (r#"emails[primary eq "True"].value eq "bjensen@example.com""#, true),
    (r#"emails ne "nobody@example.com""#, true),
    (r#"emails ne "bjensen@example.com""#, false),
    ("active eq true", true),
    (r#"active eq "True""#, true),
    ("active eq False", false),
    ("active eq TRUE", true),
    ("active ne true", false),
    ("title pr", false),
    ("nickName pr", false),
    ("name pr", true),
    ("emails pr", true),
    ("not (title pr)", true),
    ("not(title pr)and userName pr", true),
    ("title eq null", true),
    ("userName eq null", false),
    ("userName ne null", true),
    ("nickName ne \"x\"", true),
    (r#"nickName eq "x""#, false),
    (r#"userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")"#, true),
    (r#"userType eq "Intern" and emails co "example.com" or emails.value co "jensen""#, true),
    (r#"userType eq "Intern" and (emails co "example.com" or emails.value co "jensen")"#, false),
    (r#"userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")"#, false),
    (r#"meta.lastModified gt "2026-01-02T03:04:05.677Z""#, true),
    (r#"meta.lastModified gt "2026-01-02T05:04:05.678+02:00""#, false),
    (r#"meta.lastModified ge "2026-01-02T05:04:05.678+02:00""#, true),
    ("meta.Created gt 2015-10-10T14:38:21.8617979-07:00", true),
    ("meta.created lt 2026-01-02", false),
    (r#"meta.resourceType eq "User""#, true),
    (r#"schemas eq "urn:ietf:params:scim:schemas:core:2.0:User""#, true),
    (r#"groups.value eq "g1""#, true),
    ("externalId eq jyoung", false),
    ("userName sw bjensen", true),
    ("name.FamilyName eq O'Malley and (emails.Value co example.com or emails.Value co example.org)", true),
    (r#"displayName eq "Bj\u00f8rn \"B\" Jensen\\1""#, true),
    (r#"displayName eq "BJØRN \"B\" Jensen\1""#, true),
    (r#"urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName:folders eq "blue""#, true),
    (r#"folders[value eq "red"]"#, true),
    ("badge eq 9007199254740992", false),
    ("badge ge 9007199254740993 and score lt 1.50001 and hired lt \"2020-02-29T10:00:00.001Z\"", true),
    (r#"urn:ietf:params:scim:schemas:extension:2.0:Metadata:cost.centre eq "77""#, true),
    ("userName eq 'bjensen@example.com'", true),
    ("userName eq \u{201c}bjensen@example.com\u{201d} and title eq null", true),
    ("(userName eq \u{2018}bjensen@example.com\u{2019})", true),
    ("userName eq `bjensen@example.com`", true),
    ("name.familyName eq 'O'Malley'", true),
    ("name.familyName eq 'O''Malley' and name.familyName eq 'O\\'Malley'", true),
    ("displayName ew ' \"B\" Jensen\\1'", true),
    ("emails[type eq 'work'].value eq \u{ab}bjensen@example.com\u{bb}", true),
    ("active eq 'True'", true),
    ("title eq 'null'", false),
    ("emails[type eq \"home\" and primary eq false].value sw \"babs\"", true),
    ("photos[primary ne true].value pr", true),
    ("photos.primary eq false and not (photos.primary pr) and photos.primary ne true and not (photos.primary ne false)", true),
];

#[test]
fn every_sentence_is_true_or_false_as_it_should_be() {
    for (text, truth) in LENIENT {
        let filter = parse(text, Profile::Lenient).unwrap_or_else(|error| panic!("{text}: {error}"));

        assert_eq!(filter.matches(&bjensen()), truth, "{text} ({filter})");
    }
}

#[test]
fn what_is_no_filter_is_refused_and_never_an_empty_answer() {
    let refused = [
        "",
        " ",
        "userName",
        "userName eq",
        "eq \"x\"",
        "userName xx \"x\"",
        "userName eq \"x",
        "userName eq \"x\\",
        "(userName pr",
        "userName pr)",
        "userName pr and",
        "or userName pr",
        "userName pr userName pr",
        "not userName pr",
        "shoeSize eq \"9\"",
        "emails.shoeSize pr",
        "emails[shoeSize eq 1]",
        "emails[]",
        "emails[type eq \"work\"",
        "emails[emails pr]",
        "userName[value eq \"x\"]",
        "password eq \"x\"",
        "password pr",
        "name eq \"x\"",
        "active gt true",
        "active eq \"yes\"",
        "active co \"r\"",
        "active eq 1",
        "meta.created co \"2026\"",
        "meta.created gt \"yesterday\"",
        "title gt null",
        "badge eq \"nine\"",
        "badge sw 9",
        "badge eq 1e999",
        "x509Certificates gt \"AA\"",
        "userName eq \"\\u0000\"",
        "userName eq \"\\ud800\"",
        "userName eq \"\\ud800\\u0041\"",
        "userName eq \"\\uzzzz\"",
        "userName eq \"a\0\"",
        "userName eq a\0",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr",
        "__proto__ pr",
        "userName eq (\"x\")",
        "userName eq John Smith",
        "userName eq 'bjensen@example.com",
        "userName eq 'bjensen@example.com\u{201d}",
        "userName eq \u{201c}bjensen@example.com\"",
        "displayName eq 'Dogs' home'",
        "'userName' eq \"x\"",
        "userName eq 'a\0'",
        "emails[primary eq true] pr",
        "[type eq \"work\"]",
    ];
    for text in refused {
        assert!(matches!(parse(text, Profile::Lenient), Err(ScimError::InvalidFilter(_))), "{text:?}");
    }
}

#[test]
fn the_strict_profile_takes_the_grammar_at_its_word() {
    for text in [
        "userName eq jyoung",
        "active eq \"True\"",
        "active eq True",
        "active eq TRUE",
        "badge eq \"9\"",
        "userName eq 9",
        "manager eq \"m1\"",
        "userName eq 'jyoung'",
        "userName eq \u{201c}jyoung\u{201d}",
        "userName eq `jyoung`",
        r#"title eq "a\1""#,
        "meta.created gt \"2020-02-28\"",
        "meta.created gt \"2020-02-28 10:00:00Z\"",
        "meta.created gt \"2020-02-28T10:00:00\"",
    ] {
        assert!(matches!(parse(text, Profile::Strict), Err(ScimError::InvalidFilter(_))), "{text}");
    }
    for text in [
        "active eq true",
        "meta.created gt \"2020-02-28T10:00:00Z\"",
        "userName eq \"jyoung\"",
        "title eq null",
        "emails[type eq \"work\"].value eq \"x\"",
    ] {
        assert!(parse(text, Profile::Strict).is_ok(), "{text}");
    }
}

#[test]
fn s20_bombs_are_refused_on_a_small_stack() {
    let nested = |open: &str, close: &str, times: usize| format!("{}userName pr{}", open.repeat(times), close.repeat(times));
    let bombs = [
        nested("(", ")", 10_000),
        nested("(", ")", 8_000),
        nested("(", ")", 33),
        nested("not (", ")", 3_000),
        "not (".repeat(3_000) + "]",
        "emails[".repeat(2_000),
        nested("(", ")", 100_000),
        vec!["userName pr"; 5_000].join(" or "),
        format!("userName eq \"{}\"", "x".repeat(1_000_000)),
    ];
    for bomb in bombs {
        let shown: String = bomb.chars().take(40).collect();
        let result = on_a_small_stack(move || parse(&bomb, Profile::Lenient));

        assert!(matches!(result, Err(ScimError::InvalidFilter(_))), "{shown}");
    }
    let fits = nested("not (", ")", MAX_DEPTH);
    assert!(on_a_small_stack(move || parse(&fits, Profile::Lenient).map(|filter| filter.matches(&bjensen()))).is_ok());
    let wide = vec!["userName pr"; 1_000].join(" or ");
    assert!(on_a_small_stack(move || parse(&wide, Profile::Lenient).is_ok()));
}

#[test]
fn the_store_reads_equalities_and_parts_off_the_tree() {
    let filter = parse("id eq \"u1\" and manager eq \"m1\"", Profile::Lenient).unwrap();
    let read: Vec<_> = filter
        .conjuncts()
        .iter()
        .filter_map(Filter::as_equality)
        .map(|(attribute, value)| (attribute.to_string(), value.to_string()))
        .collect();
    let id_of = |text| parse(text, Profile::Lenient).unwrap().as_one_of("id").map(|values| values.join(","));

    assert_eq!(read, [("id".into(), "u1".into()), (format!("{ENTERPRISE_USER}:manager.value"), "m1".into())]);
    assert_eq!(id_of("id eq \"a\" or (id eq \"b\" or id eq \"c\")").as_deref(), Some("a,b,c"));
    assert_eq!(id_of("id eq \"a\" or userName eq \"b\""), None);
    assert_eq!(id_of("id ne \"a\""), None);
}

#[test]
fn the_canonical_text_is_stable() {
    let filter = parse(
        "NOT (Emails[TYPE eq \"work\"].Value co \"@x\") or manager eq 'm' and (active eq \"True\" or title eq null)",
        Profile::Lenient,
    )
    .unwrap();

    assert_eq!(
        filter.to_string(),
        "not (emails[type eq \"work\" and value co \"@x\"]) or (urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq \"m\" and (active eq true or not (title pr)))"
    );
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9 @.\"\\\\\\[\\]()\u{e9}\u{130}\u{1f600}]{0,12}", "\\PC{0,12}"]
}

/// A comparison of each type, with the path that reaches it.
fn leaf() -> impl Strategy<Value = Filter> {
    let order = prop_oneof![
        Just(CompareOp::Eq),
        Just(CompareOp::Ne),
        Just(CompareOp::Gt),
        Just(CompareOp::Ge),
        Just(CompareOp::Lt),
        Just(CompareOp::Le)
    ];
    let texts: &[&str] =
        &["userName", "name.familyName", "emails.value", "manager.value", "folders", "externalId", "meta.location"];
    let word = prop_oneof![order.clone(), Just(CompareOp::Co), Just(CompareOp::Sw), Just(CompareOp::Ew)];
    let instant = (0_i64..4_000_000_000, 0_u32..1_000_000_000)
        .prop_filter_map("an instant", |(at, nanos)| DateTime::from_timestamp(at, nanos));
    let number = prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<i32>().prop_filter_map("a JSON number", |whole| Number::from_f64(f64::from(whole) / 1_000.0))
    ];
    prop_oneof![
        (proptest::sample::select(texts), word, text()).prop_map(|(path, op, text)| compare(path, op, Literal::Text(text))),
        (order.clone(), instant).prop_map(|(op, at)| compare("meta.created", op, Literal::Instant(at))),
        (order, number).prop_map(|(op, number)| compare("score", op, Literal::Number(number))),
        any::<bool>().prop_map(|truth| compare("active", CompareOp::Eq, Literal::Boolean(truth))),
        proptest::sample::select(&["name", "emails", "title", "schemas"][..]).prop_map(|path| Filter::Present(reference(path))),
    ]
}

fn reference(path: &str) -> AttributeRef {
    match parse(&format!("{path} pr"), Profile::Lenient) {
        Ok(Filter::Present(attribute)) => attribute,
        other => panic!("{path}: {other:?}"),
    }
}

fn compare(path: &str, op: CompareOp, value: Literal) -> Filter {
    Filter::Compare { attribute: reference(path), op, value }
}

fn element() -> impl Strategy<Value = Filter> {
    (text(), any::<bool>()).prop_map(|(text, primary)| {
        let part = |name: &str, kind| AttributeRef {
            extension: None,
            name: name.into(),
            sub: None,
            kind,
            case_exact: false,
            multi_valued: false,
            false_when_absent: name == "primary",
        };
        let value =
            Filter::Compare { attribute: part("value", AttributeType::String), op: CompareOp::Co, value: Literal::Text(text) };
        let primary = Filter::Compare {
            attribute: part("primary", AttributeType::Boolean),
            op: CompareOp::Eq,
            value: Literal::Boolean(primary),
        };
        Filter::Element { list: reference("emails"), filter: Box::new(Filter::And(vec![value, primary])) }
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    prop_oneof![leaf(), element()].prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
            inner.prop_map(|part| Filter::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_the_same(filter in filter()) {
        let printed = filter.to_string();

        prop_assert_eq!(&parse(&printed, Profile::Lenient).unwrap(), &filter, "{}", printed);
        prop_assert_eq!(&parse(&printed, Profile::Strict).unwrap(), &filter, "{}", printed);
    }

    #[test]
    fn not_is_the_opposite_and_order_does_not_matter(left in filter(), right in filter()) {
        let person = bjensen();
        let (one, other) = (left.matches(&person), right.matches(&person));

        prop_assert_eq!(Filter::Not(Box::new(left.clone())).matches(&person), !one);
        prop_assert_eq!(Filter::And(vec![left.clone(), right.clone()]).matches(&person), one && other);
        prop_assert_eq!(Filter::Or(vec![right, left]).matches(&person), one || other);
    }

    #[test]
    fn no_text_is_a_panic(text in "\\PC{0,60}") {
        drop(parse(&text, Profile::Lenient));
        drop(parse(&text, Profile::Strict));
    }

    #[test]
    fn no_heap_of_tokens_is_a_panic(tokens in proptest::collection::vec(proptest::sample::select(&[
        "(", ")", "[", "]", "not", "and", "or", "pr", "eq", "co", "gt", "userName", "emails", "emails.value", "active", ".value", "type", "\"x\"", "\"", "\\",
        "true", "null", "1", "urn:", "meta.created", "\"2026-01-01T00:00:00Z\"", "$ref", ".", "\u{0}", "é",
    ][..]), 0..40), spaced in any::<bool>()) {
        let text = tokens.join(if spaced { " " } else { "" });

        if let Ok(filter) = parse(&text, Profile::Lenient) {
            prop_assert_eq!(parse(&filter.to_string(), Profile::Lenient), Ok(filter.clone()), "{}", text);
            prop_assert_ne!(filter.matches(&bjensen()), Filter::Not(Box::new(filter.clone())).matches(&bjensen()));
        }
    }
}
