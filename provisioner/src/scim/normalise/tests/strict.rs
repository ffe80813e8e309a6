//! What the strict profile refuses of a body, and the lenient one takes.

use serde_json::{Value, json};

use super::{document, post, strict_post};
use crate::scim::ScimError;
use crate::scim::schema::{ENTERPRISE_USER, USER};
use crate::scim::testing::FOLDERS;

fn with(more: Value) -> Value {
    let mut body = document(json!({"schemas": [USER, FOLDERS], "userName": "x"}));
    body.extend(document(more));
    Value::Object(body)
}

#[test]
fn a_password_is_in_no_schema() {
    assert!(matches!(strict_post(with(json!({"password": "1mz050nq"}))), Err(ScimError::InvalidSyntax(_))));
    assert_eq!(post(with(json!({"password": "1mz050nq"}))).unwrap().document.get("password"), None);
}

#[test]
fn an_extension_that_is_there_is_listed() {
    let unlisted = with(json!({ENTERPRISE_USER: {"department": "x"}}));
    let listed = json!({"schemas": [USER.to_uppercase(), ENTERPRISE_USER.to_lowercase()], "userName": "x", ENTERPRISE_USER: {"department": "x"}});

    let refusal = strict_post(unlisted.clone()).unwrap_err();
    assert_eq!(refusal, ScimError::InvalidSyntax(format!("schemas must list {ENTERPRISE_USER}")));
    assert!(post(unlisted).is_ok());
    assert_eq!(strict_post(listed).unwrap().document[ENTERPRISE_USER], json!({"department": "x"}));
    assert!(strict_post(with(json!({ENTERPRISE_USER: null}))).is_ok(), "what is null is not there");
}

#[test]
fn a_moment_has_a_date_and_a_time_and_a_zone() {
    let hired = |text: &str| with(json!({FOLDERS: {"hired": text}}));

    for text in ["2020-02-28T10:00:00Z", "2020-02-28T10:00:00.123+02:00"] {
        assert!(strict_post(hired(text)).is_ok(), "{text}");
    }
    for text in ["2020-02-28", "2020-02-28 10:00:00Z", "2020-02-28T10:00:00"] {
        assert!(matches!(strict_post(hired(text)), Err(ScimError::InvalidValue(_))), "{text}");
        assert!(post(hired(text)).is_ok(), "{text}");
    }
}

#[test]
fn references_and_bytes_are_what_they_should_be() {
    let certificate = |text: &str| with(json!({"x509Certificates": [{"value": text}]}));
    let page = |text: &str| with(json!({"profileUrl": text}));

    for (good, bad) in [
        (certificate("QUJD"), certificate("A")),
        (page("https://a.example/jo"), page("not a url at all")),
        (page("https://a.example/jo"), page("jo.html")),
    ] {
        assert!(strict_post(good.clone()).is_ok(), "{good}");
        assert!(matches!(strict_post(bad.clone()), Err(ScimError::InvalidValue(_))), "{bad}");
        assert!(post(bad.clone()).is_ok(), "{bad}");
    }
}

#[test]
fn a_whole_number_that_is_too_large_is_told_what_fits() {
    let badge = |text: &str| {
        let body = with(json!({FOLDERS: {"badge": serde_json::from_str::<Value>(text).unwrap()}}));
        [strict_post(body.clone()), post(body)].map(|read| read.map_err(|error| error.to_string()))
    };
    for text in ["18446744073709551615", "-9223372036854775808"] {
        assert!(badge(text).iter().all(Result::is_ok), "{text}");
    }
    for text in ["18446744073709551616", "123456789012345678901234567890", "-9223372036854777856"] {
        for told in badge(text) {
            assert_eq!(told.unwrap_err(), "badge must be a whole number from -9223372036854775808 to 18446744073709551615");
        }
    }
    for told in badge("1.5") {
        assert_eq!(told.unwrap_err(), "badge must be a whole number");
    }
}
