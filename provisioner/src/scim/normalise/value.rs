//! One value in the shape that its definition asks for. Every spelling that a provider has for it is understood here and
//! nowhere else.

use serde_json::{Map, Value};

use super::entries::{is_hollow, settle, unite};
use super::form;
use super::notes::{NoteKind, Notes};
use super::reference;
use crate::scim::filter::{boolean, instant};
use crate::scim::path::without_filter;
use crate::scim::schema::{Attribute, AttributeType, Mutability, Schema};
use crate::scim::text::for_log;
use crate::scim::{Profile, ScimError, json};

/// The longest list that is no membership.
pub(in crate::scim) const MAX_ENTRIES: usize = 500;

/// Reads values under a profile and remarks on what it had to bend.
pub(in crate::scim) struct Reader<'n> {
    pub(in crate::scim) profile: Profile,
    pub(in crate::scim) notes: &'n mut Notes,
}

impl Reader<'_> {
    /// The value of an attribute, or `None` where it is unassigned (RFC 7643, section 2.5: null and the empty list are).
    pub(in crate::scim) fn attribute(
        &mut self,
        name: &str,
        definition: &Attribute,
        value: Value,
    ) -> Result<Option<Value>, ScimError> {
        if value.is_null() {
            return Ok(None);
        }
        if definition.is_free_form() {
            let text = plain_text(value);
            return Ok((!self.profile.is_lenient() || !text.trim().is_empty()).then_some(Value::String(text)));
        }
        if definition.multi_valued {
            return self.list(name, definition, value);
        }
        let value = match value {
            // Entra's documentation shows the manager, which is single, in a list.
            Value::Array(mut items) if self.profile.is_lenient() && items.len() < 2 => items.pop().unwrap_or_default(),
            value => value,
        };
        self.entry(name, definition, value)
    }

    fn list(&mut self, name: &str, definition: &Attribute, value: Value) -> Result<Option<Value>, ScimError> {
        let items = match value {
            Value::Array(items) => items,
            single if self.profile.is_lenient() => vec![single],
            _ => return Err(wrong(name, "a list")),
        };
        if items.len() > MAX_ENTRIES {
            return Err(too_long(name));
        }
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            match self.entry(name, definition, item)? {
                Some(entry) if !is_hollow(&entry) => list.push(entry),
                Some(_) | None if self.profile.is_lenient() => self.notes.add(NoteKind::EmptyEntry, name),
                Some(_) | None => return Err(wrong(name, "a list without empty entries")),
            }
        }
        unite(definition, self.profile, &mut list);
        if settle(&mut list) {
            if !self.profile.is_lenient() {
                return Err(ScimError::InvalidValue(format!("{name} has more than one primary entry")));
            }
            self.notes.add(NoteKind::SecondPrimary, name);
        }
        Ok((!list.is_empty()).then_some(Value::Array(list)))
    }

    /// One entry of a list, or the value of an attribute that is no list.
    pub(in crate::scim) fn entry(
        &mut self,
        name: &str,
        definition: &Attribute,
        value: Value,
    ) -> Result<Option<Value>, ScimError> {
        if value.is_null() {
            return Ok(None);
        }
        if !definition.is_complex() {
            let value = if definition.multi_valued && self.profile.is_lenient() { unwrapped(value) } else { value };
            return self.scalar(name, definition, value);
        }
        match value {
            Value::Object(members) => self.complex(name, definition, members),
            Value::String(text) if self.profile.is_lenient() && definition.sub("value").is_some() => {
                let text = text.trim();
                if text.is_empty() {
                    return Ok(None);
                }
                self.complex(name, definition, Map::from_iter([("value".to_owned(), text.into())]))
            }
            Value::String(text) if self.profile.is_lenient() && text.trim().is_empty() => Ok(None),
            Value::String(_) | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Null => Err(wrong(name, "an object")),
        }
    }

    fn complex(&mut self, name: &str, definition: &Attribute, members: Map<String, Value>) -> Result<Option<Value>, ScimError> {
        let members = if self.profile.is_lenient() && definition.name == "roles" { unpacked_role(members) } else { members };
        let mut parts = Map::new();
        for (key, value) in members {
            let Some(sub) = self.part(definition, &key) else {
                self.unknown(&format!("{name}.{key}"))?;
                continue;
            };
            if matches!(sub.mutability, Mutability::ReadOnly | Mutability::WriteOnly) {
                continue;
            }
            let path = format!("{name}.{}", sub.name);
            if let Some(value) = self.attribute(&path, sub, value)?
                && parts.insert(sub.name.clone(), value).is_some()
            {
                return Err(twice(&path));
            }
        }
        reference::resolve(name, definition, &mut parts)?;
        Ok((!parts.is_empty()).then_some(Value::Object(parts)))
    }

    /// The sub-attribute of this name, or of the name that some provider has for it.
    fn part<'d>(&self, definition: &'d Attribute, key: &str) -> Option<&'d Attribute> {
        if let Some(sub) = definition.sub(key) {
            return Some(sub);
        }
        let meant = match key {
            // Entra's complex roles, and members in Microsoft's own collection.
            "displayName" => "display",
            // OneLogin's templates.
            "managerId" => "value",
            _ => return None,
        };
        definition.sub(meant).filter(|_| self.profile.is_lenient())
    }

    fn scalar(&mut self, name: &str, definition: &Attribute, value: Value) -> Result<Option<Value>, ScimError> {
        if let Value::String(text) = &value
            && self.profile.is_lenient()
            && text.trim().is_empty()
        {
            // An unset macro of OneLogin, or Entra's way to say null.
            return Ok(None);
        }
        match definition.kind {
            AttributeType::String | AttributeType::Reference => {
                self.text(name, value).map(Value::String).ok_or_else(|| wrong(name, "text"))
            }
            AttributeType::Boolean => self.truth(&value).map(Value::Bool).ok_or_else(|| wrong(name, "true or false")),
            AttributeType::Integer => self.number(value).ok_or_else(|| wrong(name, WHOLE)).and_then(|number| whole(name, number)),
            AttributeType::Decimal => self.number(value).ok_or_else(|| wrong(name, "a number")),
            AttributeType::DateTime => Some(value).filter(is_instant).ok_or_else(|| wrong(name, "a date and time")),
            AttributeType::Binary => Some(value).filter(is_base64).ok_or_else(|| wrong(name, "base64 text")),
            AttributeType::Complex => Err(wrong(name, "an object")),
        }
        .and_then(|value| match form::fault(definition, &value).filter(|_| !self.profile.is_lenient()) {
            Some(wanted) => Err(wrong(name, wanted)),
            None => Ok(Some(value)),
        })
    }

    /// A personnel number is a number to whoever maps it. A user name is never guessed: it is what one signs in by.
    fn text(&mut self, name: &str, value: Value) -> Option<String> {
        match value {
            Value::String(text) => Some(text),
            Value::Number(number) if self.profile.is_lenient() && name != "userName" => {
                self.notes.add(NoteKind::NumberAsText, name);
                Some(number.to_string())
            }
            Value::Number(_) | Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn truth(&self, value: &Value) -> Option<bool> {
        match value {
            Value::Bool(truth) => Some(*truth),
            Value::String(text) if self.profile.is_lenient() => boolean(text.trim()),
            Value::String(_) | Value::Number(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn number(&self, value: Value) -> Option<Value> {
        match value {
            Value::Number(_) => Some(value),
            Value::String(text) if self.profile.is_lenient() => text.trim().parse().ok().map(Value::Number),
            Value::String(_) | Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// Remarks on a name within an extension that the extension does not have, or refuses it.
    pub(in crate::scim) fn unknown_in(&mut self, schema: &Schema, name: &str) -> Result<(), ScimError> {
        if !schema.free_form || !self.profile.is_lenient() {
            return self.unknown(name);
        }
        self.notes.add(NoteKind::NoName, name);
        Ok(())
    }

    /// Remarks on a name that no schema has, or refuses it.
    pub(in crate::scim) fn unknown(&mut self, name: &str) -> Result<(), ScimError> {
        let is_urn = name.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:"));
        if !self.profile.is_lenient() {
            return Err(ScimError::InvalidSyntax(format!("{:?} is not part of any schema here", for_log(name))));
        }
        self.notes.add(if is_urn { NoteKind::UnknownSchema } else { NoteKind::UnknownAttribute }, &without_filter(name));
        Ok(())
    }
}

/// Entra's `AppRoleAssignmentsComplex` puts a whole role, as JSON, into the role's `value`.
fn unpacked_role(members: Map<String, Value>) -> Map<String, Value> {
    let packed = members.iter().find(|(key, _)| key.eq_ignore_ascii_case("value")).and_then(|(_, value)| value.as_str());
    let Some(Value::Object(role)) =
        packed.filter(|text| text.starts_with('{')).and_then(|text| json::parse_limited(text.as_bytes()).ok())
    else {
        return members;
    };
    let mut unpacked = members;
    unpacked.retain(|key, _| !key.eq_ignore_ascii_case("value"));
    let known = role.into_iter().filter(|(key, _)| ["value", "displayName", "display", "type"].contains(&key.as_str()));
    for (key, inner) in known {
        // What stands beside the text was written by itself, and counts.
        if !unpacked.keys().any(|outer| role_part(outer) == role_part(&key)) {
            unpacked.insert(key, inner);
        }
    }
    unpacked
}

/// A part of a role by whichever of its names.
fn role_part(key: &str) -> String {
    let key = key.to_ascii_lowercase();
    if key == "displayname" { "display".to_owned() } else { key }
}

/// Entra sends the entries of any multi-valued attribute as objects with a `value`, those of plain text too.
fn unwrapped(entry: Value) -> Value {
    match entry {
        Value::Object(mut parts) => {
            let key = parts.keys().find(|key| key.eq_ignore_ascii_case("value")).cloned();
            key.and_then(|key| parts.shift_remove(&key)).unwrap_or(Value::Object(parts))
        }
        plain => plain,
    }
}

/// The text that a free-form attribute keeps of any value.
fn plain_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

const WHOLE: &str = "a whole number";

/// A number of more digits than are kept is a whole one all the same: whoever sent it is told what fits.
fn whole(name: &str, number: Value) -> Result<Value, ScimError> {
    if is_whole(&number) {
        return Ok(number);
    }
    let is_too_large = number.as_f64().is_some_and(|number| number >= 2_f64.powi(64) || number < -2_f64.powi(63));
    let wanted = if is_too_large { format!("{WHOLE} from {} to {}", i64::MIN, u64::MAX) } else { WHOLE.to_owned() };
    Err(wrong(name, &wanted))
}

pub(in crate::scim) fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64()
}

fn is_instant(value: &Value) -> bool {
    value.as_str().and_then(instant).is_some()
}

/// RFC 7643, section 2.3.6: either alphabet, padded or not.
pub(in crate::scim) fn is_base64(value: &Value) -> bool {
    let Some(text) = value.as_str() else { return false };
    let digits = text.trim_end_matches('=');
    text.len() - digits.len() <= 2 && digits.chars().all(|c| c.is_ascii_alphanumeric() || "+/-_".contains(c))
}

pub(in crate::scim) fn too_long(name: &str) -> ScimError {
    ScimError::TooLarge(format!("{name} has more than {MAX_ENTRIES} entries"))
}

pub(in crate::scim) fn twice(name: &str) -> ScimError {
    ScimError::InvalidSyntax(format!("{name} is given twice"))
}

fn wrong(name: &str, wanted: &str) -> ScimError {
    ScimError::InvalidValue(format!("{} must be {wanted}", for_log(name)))
}
