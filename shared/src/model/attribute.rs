//! Names one attribute of a person, as an operator writes it: `userType`, `name.givenName`, `emails.value`, a URN and an attribute
//! of that extension, or the URN alone for the whole of it. It reads the stored record and knows no schema.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::user::Profile;

const MAX_LENGTH: usize = 512;
/// RFC 7643, section 4.1: what the names of a user's own attributes may be qualified with.
const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// Names one attribute of a person. Names are compared without case, as RFC 7643, section 2.1 says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttributePath(String);

/// A text that names no attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' names no attribute; write userType, name.givenName, the URN of an extension, or such a URN, a colon and an attribute"
)]
pub struct NoAttributePath(String);

impl AttributePath {
    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an attribute of the schema of this URN, or all of them.
    #[must_use]
    pub fn is_under(&self, urn: &str) -> bool {
        let rest = self.0.get(..urn.len()).filter(|start| start.eq_ignore_ascii_case(urn)).and_then(|_| self.0.get(urn.len()..));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }

    /// The attribute's own name: `folders` of a URN that ends in `:folders`, `givenName` of `name.givenName`.
    #[must_use]
    pub fn name(&self) -> &str {
        let last = if is_urn(&self.0) { self.0.rsplit(':').next() } else { None }.unwrap_or(&self.0);
        last.rsplit('.').next().unwrap_or(last)
    }

    /// What the record has there; `None` if it has nothing. A sub-attribute of a list is the list of its values.
    #[must_use]
    pub fn of(&self, profile: &Profile) -> Option<Value> {
        let path = strip(&self.0, CORE).and_then(|rest| rest.strip_prefix(':')).unwrap_or(&self.0);
        if is_urn(path) {
            return of_extension(path, profile);
        }
        if path.eq_ignore_ascii_case("userName") {
            return Some(json!(profile.user_name));
        }
        if path.eq_ignore_ascii_case("externalId") {
            return profile.external_id.as_ref().map(|id| json!(id));
        }
        let (name, below) = split(path);
        below_of(member(profile.attributes.iter(), name)?, below)
    }

    /// The texts that the record has there: of a list of complex values, each one's `value`.
    #[must_use]
    pub fn texts_of(&self, profile: &Profile) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::Object(complex) => complex.get("value").and_then(Value::as_str).map(str::to_owned),
            Value::String(text) => Some(text.clone()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        };
        match self.of(profile) {
            Some(Value::Array(values)) => values.iter().filter_map(text).collect(),
            Some(one) => text(&one).into_iter().collect(),
            None => Vec::new(),
        }
    }
}

/// The extension of which the path begins with the URN, and what comes behind it. Of two that fit, the longer one is meant: a URN may
/// end in what could be an attribute of another.
fn of_extension(path: &str, profile: &Profile) -> Option<Value> {
    let fits = profile.attributes.iter().filter_map(|(urn, value)| {
        let rest = strip(path, urn).filter(|_| is_urn(urn))?;
        (rest.is_empty() || rest.starts_with(':')).then_some((urn.len(), value, rest))
    });
    let (_, extension, rest) = fits.max_by_key(|(length, _, _)| *length)?;
    let Some(attribute) = rest.strip_prefix(':') else { return Some(extension.clone()) };
    // A free-form extension's own keys may have dots.
    if let Some(whole) = member(extension.as_object()?.iter(), attribute) {
        return Some(whole.clone());
    }
    let (name, below) = split(attribute);
    below_of(member(extension.as_object()?.iter(), name)?, below)
}

fn below_of(value: &Value, below: Option<&str>) -> Option<Value> {
    let Some(name) = below else { return Some(value.clone()) };
    let of_one = |value: &Value| member(value.as_object()?.iter(), name).cloned();
    match value {
        Value::Array(values) => Some(values.iter().filter_map(of_one).collect()),
        one => of_one(one),
    }
}

fn member<'a>(mut members: impl Iterator<Item = (&'a String, &'a Value)>, name: &str) -> Option<&'a Value> {
    members.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(name, below)| (name, Some(below)))
}

/// What comes behind `prefix`, without regard to case.
fn strip<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn is_urn(text: &str) -> bool {
    strip(text, "urn:").is_some()
}

impl FromStr for AttributePath {
    type Err = NoAttributePath;

    fn from_str(text: &str) -> Result<Self, NoAttributePath> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "-_.$:".contains(c);
        let parts = if is_urn(text) { 3..=usize::MAX } else { 1..=1 };
        let sound = text.len() <= MAX_LENGTH
            && text.chars().all(legal)
            && parts.contains(&text.split(':').count())
            && text.split(':').all(|part| !part.is_empty())
            && (is_urn(text) || (text.split('.').count() <= 2 && text.split('.').all(|part| !part.is_empty())));
        if sound { Ok(Self(text.to_owned())) } else { Err(NoAttributePath(text.to_owned())) }
    }
}

impl TryFrom<String> for AttributePath {
    type Error = NoAttributePath;

    fn try_from(text: String) -> Result<Self, NoAttributePath> {
        text.parse()
    }
}

impl From<AttributePath> for String {
    fn from(path: AttributePath) -> Self {
        path.0
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDERS: &str = "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName";
    const METADATA: &str = "urn:ietf:params:scim:schemas:extension:2.0:Metadata";

    fn profile() -> Profile {
        let attributes = json!({
            "userType": "Premium",
            "name": { "givenName": "Ada", "familyName": "Okafor" },
            "emails": [{ "value": "ada@acme.example", "primary": true }, { "value": "ada@home.example" }],
            "roles": [{ "value": "Admin" }, { "display": "no value" }, { "value": "User" }],
            FOLDERS: { "folders": ["a", "b"], "owner": { "value": "7" } },
            METADATA: { "cost.center": "42" },
        });
        Profile {
            user_name: "ada".into(),
            external_id: Some("oid-1".into()),
            active: true,
            attributes: attributes.as_object().unwrap().clone(),
        }
    }

    fn at(path: &str) -> Option<Value> {
        path.parse::<AttributePath>().unwrap().of(&profile())
    }

    #[test]
    fn a_path_names_what_the_record_has_there() {
        for (path, value) in [
            ("userType", json!("Premium")),
            ("USERTYPE", json!("Premium")),
            ("urn:ietf:params:scim:schemas:core:2.0:User:userType", json!("Premium")),
            ("urn:ietf:params:scim:schemas:core:2.0:user:NAME.givenname", json!("Ada")),
            ("name.givenName", json!("Ada")),
            ("userName", json!("ada")),
            ("externalId", json!("oid-1")),
            ("emails.value", json!(["ada@acme.example", "ada@home.example"])),
            (&format!("{FOLDERS}:folders"), json!(["a", "b"])),
            (&format!("{}:FOLDERS", FOLDERS.to_ascii_uppercase()), json!(["a", "b"])),
            (&format!("{FOLDERS}:owner.value"), json!("7")),
            (FOLDERS, json!({ "folders": ["a", "b"], "owner": { "value": "7" } })),
            (&format!("{METADATA}:cost.center"), json!("42")),
        ] {
            assert_eq!(at(path), Some(value), "{path}");
        }
    }

    #[test]
    fn a_path_to_nothing_is_none() {
        for path in ["title", "name.middleName", "userType.value", "urn:other:x", &format!("{FOLDERS}:nothing"), &FOLDERS[..20]] {
            assert_eq!(at(path), None, "{path}");
        }
    }

    #[test]
    fn an_extension_whose_urn_begins_another_does_not_take_its_place() {
        let mut both = profile();
        both.attributes.insert(format!("{FOLDERS}:folders"), json!({ "inner": true }));

        let path: AttributePath = format!("{FOLDERS}:folders").parse().unwrap();

        assert_eq!(path.of(&both), Some(json!({ "inner": true })));
        let beside: AttributePath = format!("{FOLDERS}Too").parse().unwrap();
        assert_eq!(beside.of(&profile()), None, "a URN is compared whole");
    }

    #[test]
    fn the_texts_of_a_complex_list_are_its_values() {
        let texts = |path: &str| path.parse::<AttributePath>().unwrap().texts_of(&profile());

        assert_eq!(texts("roles"), ["Admin", "User"]);
        assert_eq!(texts("roles.value"), ["Admin", "User"]);
        assert_eq!(texts("userType"), ["Premium"]);
        assert_eq!(texts("title"), Vec::<String>::new());
    }

    #[test]
    fn a_claim_is_called_by_the_attributes_own_name() {
        for (path, name) in
            [("userType", "userType"), ("name.givenName", "givenName"), (&format!("{FOLDERS}:folders"), "folders")]
        {
            assert_eq!(path.parse::<AttributePath>().unwrap().name(), name);
        }
    }

    #[test]
    fn what_names_no_attribute_is_refused() {
        for bad in
            ["", " ", "a b", "a..b", ".a", "a.", "a.b.c", "a:b", "urn:", "urn:x", "urn:a::b", "emails[type eq \"work\"]", "a,b"]
        {
            assert!(bad.parse::<AttributePath>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(513).parse::<AttributePath>().is_err());
    }
}
