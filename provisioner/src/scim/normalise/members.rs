//! Members of a group as a request names them. Whether they exist is the store's to know.

use std::collections::HashSet;

use serde_json::Value;

use super::notes::NoteKind;
use super::value::Reader;
use crate::scim::text::MAX_NAME_CHARS;
use crate::scim::{ResourceKind, ScimError};

/// The most members that one request may name.
pub const MAX_MEMBERS: usize = 10_000;

/// A member as a request names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRef {
    /// The identifier.
    pub value: String,
    /// What the provider calls it.
    pub display: Option<String>,
    /// What it is, where the request says so.
    pub kind: Option<ResourceKind>,
}

impl Reader<'_> {
    /// The members that a value names, each once.
    pub(in crate::scim) fn members(&mut self, value: Value) -> Result<Vec<MemberRef>, ScimError> {
        let items = match value {
            Value::Null => Vec::new(),
            Value::Array(items) => items,
            single if self.profile.is_lenient() => vec![single],
            _ => return Err(ScimError::InvalidValue("members must be a list".into())),
        };
        if items.len() > MAX_MEMBERS {
            return Err(too_many());
        }
        let mut seen = HashSet::new();
        let mut members = Vec::with_capacity(items.len());
        for item in items {
            if let Some(member) = self.member(item)?
                && seen.insert(member.value.clone())
            {
                members.push(member);
            }
        }
        Ok(members)
    }

    fn member(&mut self, item: Value) -> Result<Option<MemberRef>, ScimError> {
        let lenient = self.profile.is_lenient();
        match item {
            Value::Null if lenient => {
                self.notes.add(NoteKind::EmptyEntry, "members");
                Ok(None)
            }
            Value::String(value) if lenient => Ok(Some(MemberRef { value: identifier(&value)?, display: None, kind: None })),
            Value::Object(parts) => {
                let text = |name: &str| {
                    parts.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_str())
                };
                let reference = text("$ref");
                let value = text("value").or_else(|| reference.filter(|_| lenient).and_then(|url| url.rsplit('/').next()));
                let display = text("display").or_else(|| text("displayName").filter(|_| lenient));
                Ok(Some(MemberRef {
                    value: identifier(value.unwrap_or_default())?,
                    display: display.map(|display| display.chars().take(MAX_NAME_CHARS).collect()),
                    kind: kind(text("type"), reference),
                }))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(ScimError::InvalidValue("a member must be an object with a value".into()))
            }
        }
    }
}

fn identifier(value: &str) -> Result<String, ScimError> {
    let value = value.trim();
    if value.is_empty() {
        return Err(ScimError::InvalidValue("a member has no value".into()));
    }
    if value.chars().count() > MAX_NAME_CHARS || value.chars().any(char::is_control) {
        return Err(ScimError::InvalidValue("a member's value is no identifier".into()));
    }
    Ok(value.to_owned())
}

fn kind(stated: Option<&str>, reference: Option<&str>) -> Option<ResourceKind> {
    match stated {
        Some(kind) if kind.eq_ignore_ascii_case("User") => Some(ResourceKind::User),
        Some(kind) if kind.eq_ignore_ascii_case("Group") => Some(ResourceKind::Group),
        Some(_) | None => match reference?.rsplit('/').nth(1)? {
            "Users" => Some(ResourceKind::User),
            "Groups" => Some(ResourceKind::Group),
            _ => None,
        },
    }
}

pub(in crate::scim) fn too_many() -> ScimError {
    ScimError::TooLarge(format!("a request names at most {MAX_MEMBERS} members"))
}
