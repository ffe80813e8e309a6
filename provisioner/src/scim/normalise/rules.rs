//! A workspace's own rules on attributes: required, allowed values, a default. All are off until set.
//!
//! They are about tidy data, so they never stand between a person and the end of that person's access: a write that
//! leaves the person inactive is not refused by a rule, nor is one for what it does not touch.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::edit_home;
use super::notes::{NoteKind, Notes};
use crate::scim::schema::{AttributeType, Found};
use crate::scim::text::for_log;
use crate::scim::{Document, Profile, ResourceSchema, ScimError};

/// The rules of one workspace for one resource type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttributeRules {
    /// Rules on single attributes.
    pub attributes: Vec<AttributeRule>,
    /// Whether the user name must be an e-mail address.
    pub user_name_is_email: bool,
}

/// The rule on one attribute.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttributeRule {
    /// The attribute or sub-attribute: `userType`, `name.givenName`, `urn:…:folders`.
    pub path: String,
    /// Whether it must have a value.
    pub required: bool,
    /// The values that it may have, exactly; empty means any.
    pub allowed: Vec<String>,
    /// The value that it gets where the provider sends none.
    pub default: Option<String>,
}

/// Why a rule cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// No schema has the attribute.
    #[error("{0:?} is not an attribute of this workspace's schemas")]
    Unknown(String),
    /// The attribute is not text.
    #[error("{0} is not text: it can only be required")]
    NotText(String),
    /// The default is not allowed.
    #[error("the default of {0} is not among its allowed values")]
    Default(String),
    /// Lockstep writes the attribute itself.
    #[error("{0} is not the provider's to write")]
    NotWritten(String),
}

impl AttributeRules {
    /// Checks the rules against the schemas before they are stored.
    pub fn check(&self, schema: &ResourceSchema) -> Result<(), RuleError> {
        use crate::scim::schema::Mutability::{Immutable, ReadOnly, ReadWrite, WriteOnly};
        for rule in &self.attributes {
            let path = || rule.path.clone();
            let Some(Found::Attribute { definition, sub, .. }) = schema.find(&rule.path, Profile::Strict) else {
                return Err(RuleError::Unknown(path()));
            };
            match sub.unwrap_or(definition).mutability {
                ReadOnly | WriteOnly => return Err(RuleError::NotWritten(path())),
                ReadWrite | Immutable => {}
            }
            let compared = sub.or_else(|| definition.sub("value")).unwrap_or(definition);
            let plain = rule.allowed.is_empty() && rule.default.is_none();
            if !plain && !matches!(compared.kind, AttributeType::String | AttributeType::Reference) {
                return Err(RuleError::NotText(path()));
            }
            if let Some(default) = &rule.default
                && !rule.allowed.is_empty()
                && !rule.allowed.contains(default)
            {
                return Err(RuleError::Default(path()));
            }
        }
        Ok(())
    }

    /// Fills in the defaults.
    pub(super) fn fill(&self, document: &mut Document, schema: &ResourceSchema) {
        for rule in &self.attributes {
            if let (Some(default), Some(place)) = (&rule.default, Place::of(&rule.path, schema))
                && place.values(document).is_empty()
            {
                place.put(document, default);
            }
        }
    }

    /// Refuses what the rules forbid, in what this write brings in.
    pub(super) fn enforce(&self, change: &Change<'_>, schema: &ResourceSchema, notes: &mut Notes) -> Result<(), ScimError> {
        for rule in &self.attributes {
            let Some(place) = Place::of(&rule.path, schema) else { continue };
            let values = place.values(change.after);
            if let Some(fault) = rule.fault(&values)
                && change.touches(|document| place.values(document) != values)
            {
                change.refuse(&rule.path, fault, notes)?;
            }
        }
        if self.user_name_is_email {
            let name = |document: &Document| document.get("userName").and_then(Value::as_str).map(str::to_owned);
            let now = name(change.after);
            if !now.as_deref().is_some_and(is_email) && change.touches(|document| name(document) != now) {
                let fault =
                    "userName must be an e-mail address here: map it to the person's e-mail address at your identity provider";
                change.refuse("userName", fault.to_owned(), notes)?;
            }
        }
        Ok(())
    }
}

impl AttributeRule {
    /// The sentence that the admin reads, if the values break the rule.
    fn fault(&self, values: &[&Value]) -> Option<String> {
        let path = &self.path;
        if values.is_empty() {
            return self.required.then(|| format!("{path} is required here and is missing: map it at your identity provider"));
        }
        if self.allowed.is_empty() {
            return None;
        }
        let sent =
            values.iter().find(|value| !value.as_str().is_some_and(|text| self.allowed.iter().any(|allowed| allowed == text)))?;
        let sent = sent.as_str().map_or_else(|| sent.to_string(), ToOwned::to_owned);
        let allowed = self.allowed.join(", ");
        Some(format!("{path} is {:?}; allowed here are {allowed}: change the mapping at your identity provider", for_log(&sent)))
    }
}

/// A write, as far as rules are concerned.
pub(super) struct Change<'d> {
    pub(super) before: Option<&'d Document>,
    pub(super) after: &'d Document,
}

impl Change<'_> {
    /// A person who comes (back) is looked at as a whole; of one who is in, only what changes.
    fn touches(&self, differs: impl Fn(&Document) -> bool) -> bool {
        self.before.is_none_or(|before| !is_active(before) || differs(before))
    }

    fn refuse(&self, path: &str, fault: String, notes: &mut Notes) -> Result<(), ScimError> {
        if is_active(self.after) {
            return Err(ScimError::InvalidValue(fault));
        }
        notes.add(NoteKind::RuleWaived, path);
        Ok(())
    }
}

fn is_active(document: &Document) -> bool {
    document.get("active") != Some(&Value::Bool(false))
}

/// Where a rule looks.
struct Place<'s> {
    extension: Option<&'s str>,
    name: String,
    sub: Option<&'s str>,
    multi_valued: bool,
}

impl<'s> Place<'s> {
    fn of(path: &str, schema: &'s ResourceSchema) -> Option<Self> {
        let Some(Found::Attribute { extension, name, definition, sub }) = schema.find(path, Profile::Strict) else { return None };
        // A complex attribute stands for its value.
        let sub = sub.or_else(|| definition.sub("value"));
        Some(Self {
            extension: extension.map(|schema| schema.id.as_str()),
            name: name.to_owned(),
            sub: sub.map(|sub| sub.name.as_str()),
            multi_valued: definition.multi_valued,
        })
    }

    fn values<'d>(&self, document: &'d Document) -> Vec<&'d Value> {
        let home = match self.extension {
            Some(urn) => document.get(urn).and_then(Value::as_object),
            None => Some(document),
        };
        let Some(value) = home.and_then(|home| home.get(&self.name)) else { return Vec::new() };
        let entries = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        entries.iter().filter_map(|entry| self.sub.map_or(Some(entry), |sub| entry.get(sub))).collect()
    }

    fn put(&self, document: &mut Document, text: &str) {
        let text = Value::from(text);
        edit_home(document, self.extension, |home| match (self.sub, self.multi_valued, home.get_mut(&self.name)) {
            (Some(sub), false, Some(Value::Object(parts))) => {
                parts.insert(sub.to_owned(), text);
            }
            (sub, multi_valued, _) => {
                let entry = match sub {
                    Some(sub) => Value::Object(Map::from_iter([(sub.to_owned(), text)])),
                    None => text,
                };
                home.insert(self.name.clone(), if multi_valued { Value::Array(vec![entry]) } else { entry });
            }
        });
    }
}

/// One at sign, something before it and a name with a dot after it. Whether it is delivered is not a question of form.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty()
        && !local.contains('@')
        && domain.contains('.')
        && domain.split('.').all(|label| !label.is_empty())
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}
