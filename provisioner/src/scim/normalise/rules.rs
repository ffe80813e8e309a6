//! A workspace's own rules on attributes: required, allowed values, a default. All are off until set.
//!
//! They are about tidy data, so they never stand between a person and the end of that person's access: a write that
//! leaves the person inactive is not refused by a rule, nor is one for what it does not touch.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::edit_home;
use super::entries::is_primary;
use super::notes::{NoteKind, Notes};
use crate::scim::schema::{Attribute, AttributeType, ENTERPRISE_USER, Found, Schema};
use crate::scim::text::{for_log, same_folded};
use crate::scim::{Document, Profile, ResourceKind, ResourceSchema, ScimError};

/// The rules of one workspace for one resource type.
///
/// An older program passes over what it does not know: a rule that is not applied for the length of an upgrade does less
/// harm than a provider whose deactivations fail.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AttributeRules {
    /// Rules on single attributes.
    pub attributes: Vec<AttributeRule>,
    /// Whether the user name must be an e-mail address, and the person's first one wherever e-mail addresses are sent.
    pub user_name_is_email: bool,
}

/// The rule on one attribute.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
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
    /// The attribute is not kept where rules look.
    #[error("no rule can be on {0}: it is not kept with the other attributes")]
    NotSeen(String),
    /// People or groups are told apart by the attribute.
    #[error("people and groups are known by {0}: nobody can have it by default, nor from a list")]
    Identifies(String),
}

/// What a resource lacks of what is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The attribute, as the rule names it.
    pub path: String,
    /// The sentence that the admin reads.
    pub sentence: String,
}

/// A violation, and where a write would have had to touch it.
struct Fault<'s> {
    violation: Violation,
    looked_at: Vec<Place<'s>>,
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
                && !identifies(&rule.path, schema.kind())
                && place.values(document).is_empty()
            {
                place.put(document, default);
            }
        }
    }

    /// Refuses what the rules forbid, in what this write brings in.
    pub(super) fn enforce(&self, change: &Change<'_>, schema: &ResourceSchema, notes: &mut Notes) -> Result<(), ScimError> {
        for fault in self.faults(change.after, change.there(), schema) {
            let moved = |place: &Place<'_>| change.touches(|before| place.values(before) != place.values(change.after));
            if fault.looked_at.iter().any(moved) {
                change.refuse(fault.violation, notes)?;
            }
        }
        Ok(())
    }

    /// What of a stored resource the rules would refuse today. A default is no violation: the next write fills it in.
    #[must_use]
    pub fn violations(&self, document: &Document, schema: &ResourceSchema) -> Vec<Violation> {
        let mut filled = document.clone();
        self.fill(&mut filled, schema);
        self.faults(&filled, None, schema).into_iter().map(|fault| fault.violation).collect()
    }

    fn faults<'s>(&self, document: &Document, there: Option<&Document>, schema: &'s ResourceSchema) -> Vec<Fault<'s>> {
        let ruled = self.attributes.iter().filter_map(|rule| {
            let place = Place::of(&rule.path, schema)?;
            let known = there.map(|there| place.values(there)).unwrap_or_default();
            let sentence = rule.fault(&place.values(document), &known)?;
            Some(Fault { violation: Violation { path: rule.path.clone(), sentence }, looked_at: vec![place] })
        });
        let of_name = self.user_name_is_email.then(|| name_fault(document)).flatten();
        // What RFC 7643 requires of its own schemas is checked where it is read.
        let own = schema.extensions().iter().filter(|extension| extension.id != ENTERPRISE_USER);
        ruled.chain(of_name).chain(own.filter_map(|extension| lack(extension, document))).collect()
    }
}

impl AttributeRule {
    /// Whether an operator may set this rule. It is not asked of rules that are stored: whoever set such a one in an older release
    /// keeps their provisioning, without the default.
    pub(crate) fn may_be_set(&self, resource: ResourceKind) -> Result<(), RuleError> {
        let is_idle = self.is_idle();
        match (resource, self.path.as_str()) {
            // The members are kept beside the group, and `schemas` follow from what a resource has.
            (ResourceKind::Group, path) if !is_idle && path.split('.').next() == Some("members") => {
                Err(RuleError::NotSeen(self.path.clone()))
            }
            (_, "schemas") if !is_idle => Err(RuleError::NotSeen(self.path.clone())),
            (_, path) if self.default.is_some() && identifies(path, resource) => Err(RuleError::Identifies(self.path.clone())),
            // Which groups a provider may push is a question that has an answer; which people, one by one, is not.
            (ResourceKind::Group, "displayName") => Ok(()),
            (_, path) if !self.allowed.is_empty() && identifies(path, resource) => Err(RuleError::Identifies(self.path.clone())),
            (ResourceKind::User | ResourceKind::Group, _) => Ok(()),
        }
    }

    /// Tells whether it asks for anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.required && self.allowed.is_empty() && self.default.is_none()
    }

    /// The sentence that the admin reads, if the values break the rule; those that are `known` were there before it came.
    fn fault(&self, values: &[&Value], known: &[&Value]) -> Option<String> {
        let path = &self.path;
        if values.is_empty() {
            return self.required.then(|| missing(path));
        }
        if self.allowed.is_empty() {
            return None;
        }
        let is_allowed = |value: &Value| value.as_str().is_some_and(|text| self.allowed.iter().any(|allowed| allowed == text));
        let sent = values.iter().find(|value| !is_allowed(value) && !known.contains(value))?;
        let sent = sent.as_str().map_or_else(|| sent.to_string(), ToOwned::to_owned);
        let allowed = self.allowed.join(", ");
        Some(format!("{path} is {:?}; allowed here are {allowed}: change the mapping at your identity provider", for_log(&sent)))
    }
}

/// Whether people, or groups, are recognised by the attribute: two who had it by default would be taken for one.
fn identifies(path: &str, resource: ResourceKind) -> bool {
    let known_by: &[&str] = match resource {
        ResourceKind::User => &["userName", "externalId", "emails"],
        ResourceKind::Group => &["displayName", "externalId"],
    };
    known_by.iter().any(|name| within(path, name))
}

/// Whether a path is the attribute, or its `value`, which the attribute stands for.
fn within(path: &str, name: &str) -> bool {
    path == name || path.strip_prefix(name) == Some(".value")
}

fn missing(path: &str) -> String {
    format!("{path} is required here and is missing: map it at your identity provider")
}

/// Who signs in by an e-mail address has one name, not two that may drift apart.
fn name_fault(document: &Document) -> Option<Fault<'static>> {
    let name = document.get("userName").and_then(Value::as_str).unwrap_or_default();
    let whole = |name: &str| Place { extension: None, name: name.to_owned(), sub: None, multi_valued: false };
    let sentence = if is_email(name) {
        let first = first_email(document).filter(|email| !same_folded(email, name));
        first.map(|_| {
            "userName and the primary e-mail address differ; here they must be the same: map both to one attribute at your \
             identity provider"
        })
    } else {
        Some("userName must be an e-mail address here: map it to the person's e-mail address at your identity provider")
    };
    let violation = Violation { path: "userName".to_owned(), sentence: sentence?.to_owned() };
    Some(Fault { violation, looked_at: vec![whole("userName"), whole("emails")] })
}

/// The e-mail address that is meant if one is: the primary one, else the one for work, else the first.
fn first_email(document: &Document) -> Option<&str> {
    let emails = document.get("emails")?.as_array()?;
    let is_work =
        |email: &&Value| email.get("type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("work"));
    let first = emails.iter().find(|email| is_primary(email)).or_else(|| emails.iter().find(is_work)).or_else(|| emails.first());
    first?.get("value")?.as_str()
}

/// What a schema of the workspace's own requires of a resource that uses it, and is not there.
fn lack<'s>(extension: &'s Schema, document: &Document) -> Option<Fault<'s>> {
    let home = document.get(&extension.id)?.as_object()?;
    let path = extension.attributes.iter().find_map(|attribute| lacking(attribute, home))?;
    let violation =
        Violation { path: format!("{}:{path}", extension.id), sentence: missing(&format!("{}:{path}", extension.id)) };
    let all = extension.attributes.iter().map(|attribute| Place {
        extension: Some(&extension.id),
        name: attribute.name.clone(),
        sub: None,
        multi_valued: attribute.multi_valued,
    });
    Some(Fault { violation, looked_at: all.collect() })
}

fn lacking(attribute: &Attribute, home: &Document) -> Option<String> {
    let Some(value) = home.get(&attribute.name) else { return attribute.required.then(|| attribute.name.clone()) };
    let entries = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let sub = entries
        .iter()
        .filter_map(Value::as_object)
        .find_map(|parts| attribute.sub_attributes.iter().find_map(|sub| lacking(sub, parts)));
    sub.map(|sub| format!("{}.{sub}", attribute.name))
}

/// A write, as far as rules are concerned.
pub(super) struct Change<'d> {
    pub(super) before: Option<&'d Document>,
    pub(super) after: &'d Document,
}

impl Change<'_> {
    /// What a person who is in has already.
    fn there(&self) -> Option<&Document> {
        self.before.filter(|before| is_active(before))
    }

    /// A person who comes (back) is looked at as a whole; of one who is in, only what changes.
    fn touches(&self, differs: impl Fn(&Document) -> bool) -> bool {
        self.there().is_none_or(differs)
    }

    fn refuse(&self, violation: Violation, notes: &mut Notes) -> Result<(), ScimError> {
        if is_active(self.after) {
            return Err(ScimError::InvalidValue(violation.sentence));
        }
        notes.add(NoteKind::RuleWaived, &violation.path);
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
        // The names of a free-form extension have no canonical spelling.
        let in_any_case = |home: &'d Document| home.iter().find(|(name, _)| name.eq_ignore_ascii_case(&self.name));
        let Some((_, value)) = home.and_then(in_any_case) else { return Vec::new() };
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
