//! Changes of what a workspace asks for, as pure edits of its document. Each is checked as a whole before anybody stores it.

use lockstep_shared::config::Program;
use lockstep_shared::id::WorkspaceId;
use serde_json::{Value, json};

use super::{Extension, Policy, PolicyDocument, PolicyError};
use crate::scim::{
    Profile, ResourceKind, ResourceSchema,
    normalise::{AttributeRule, AttributeRules, RuleError},
    schema::{self, Attribute, AttributeType, Found, Mutability, Returned, Schema, SchemaError},
};

/// The most schemas of a workspace's own.
const MAX_EXTENSIONS: usize = 50;
/// The most rules for one resource type.
const MAX_RULES: usize = 200;
/// The most allowed values of one attribute, and the longest of them.
const MAX_ALLOWED: usize = 200;
const MAX_VALUE: usize = 256;

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum EditRefusal {
    /// What came out would be no policy.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// No schema has the attribute.
    #[error("{path:?} is not an attribute of this workspace's schemas{}", in_its_place(nearest.as_deref()))]
    UnknownAttribute {
        /// What was named.
        path: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// Nobody has a role by it: the identity provider does not write it, or it is no text.
    #[error("{path} cannot give roles: {}; what can: {}", no_source(*is_written), usable.join(", "))]
    GivesNoRole {
        /// What was named.
        path: String,
        /// Whether the identity provider writes it.
        is_written: bool,
        /// What may be named.
        usable: Vec<String>,
    },
    /// The schema is there and nobody said that it may change.
    #[error("{0} is already defined")]
    Defined(String),
    /// The workspace has no such schema.
    #[error("{0} is no schema of this workspace's own")]
    NoSchema(String),
    /// A rule needs it.
    #[error("{urn} cannot go: {rule} is under a rule")]
    Ruled {
        /// The schema.
        urn: String,
        /// The rule's attribute.
        rule: String,
    },
    /// More than anybody needs.
    #[error("{0}")]
    TooMuch(&'static str),
}

fn in_its_place(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; the nearest is {nearest}")).unwrap_or_default()
}

fn no_source(is_written: bool) -> &'static str {
    if is_written { "it is no text" } else { "no identity provider writes it, or nobody sees it again" }
}

impl From<RuleError> for EditRefusal {
    fn from(error: RuleError) -> Self {
        Self::Policy(error.into())
    }
}

impl EditRefusal {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Policy(PolicyError::Schema(_)) => "schema_invalid",
            Self::UnknownAttribute { .. } | Self::Policy(PolicyError::Rule(RuleError::Unknown(_))) => "attribute_not_found",
            Self::Policy(PolicyError::Rule(_)) => "rule_invalid",
            Self::GivesNoRole { .. } => "attribute_gives_no_role",
            Self::Policy(PolicyError::Shape(_)) => "policy_damaged",
            Self::Defined(_) => "schema_exists",
            Self::NoSchema(_) => "schema_not_found",
            Self::Ruled { .. } => "schema_in_use",
            Self::TooMuch(_) => "policy_too_large",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(&self, program: Program, workspace: &WorkspaceId) -> String {
        match self {
            Self::Policy(PolicyError::Schema(SchemaError::Taken(_) | SchemaError::Shadows(_))) => {
                format!("choose another URN; `{program} schema list {workspace}` shows those in use")
            }
            Self::Policy(PolicyError::Schema(SchemaError::IsAttribute { schema, .. })) if schema::is_of_scim(schema) => {
                "choose another URN".to_owned()
            }
            Self::Policy(PolicyError::Schema(SchemaError::IsAttribute { schema, .. })) => {
                format!("choose another URN, or first run `{program} schema remove {workspace} {schema}`; what is stored stays")
            }
            Self::Policy(PolicyError::Schema(SchemaError::Differs(_))) => {
                "give both resource types the same definition, or the second another URN".to_owned()
            }
            Self::Policy(PolicyError::Schema(SchemaError::Count)) => {
                "name the attributes with --attribute, or take any name with --free-form".to_owned()
            }
            Self::Policy(PolicyError::Schema(_)) => "mend the definition (RFC 7643, section 7)".to_owned(),
            Self::UnknownAttribute { .. } | Self::Policy(PolicyError::Rule(RuleError::Unknown(_))) => {
                format!("write userType, name.givenName, or URN:attribute; `{program} schema list {workspace}` shows the URNs")
            }
            Self::GivesNoRole { .. } => {
                format!(
                    "name another attribute; groups give roles by `{program} mapping set {workspace} --group GROUP --role ROLE`"
                )
            }
            Self::Policy(PolicyError::Rule(RuleError::Default(_))) => {
                "choose one of the allowed values, or give --no-default or other values with --allow".to_owned()
            }
            Self::Policy(PolicyError::Rule(RuleError::NotWritten(_) | RuleError::NotSeen(_))) => {
                "choose another attribute, one that the identity provider writes; no rule can be on this one".to_owned()
            }
            Self::Policy(PolicyError::Rule(RuleError::Identifies(_))) => {
                "leave --default out; --allow too, but for a group's displayName; --required may stay".to_owned()
            }
            Self::Policy(PolicyError::Rule(RuleError::NotText(_))) => {
                "leave --allow and --default out, or choose another attribute".to_owned()
            }
            Self::Policy(PolicyError::Shape(_)) => format!("run `{program} check`; the newest release may have written it"),
            Self::Defined(_) => "give the whole new definition and --replace; what is stored stays".to_owned(),
            Self::NoSchema(_) => format!("see `{program} schema list {workspace}`"),
            Self::Ruled { rule, .. } => format!("first run `{program} attribute set {workspace} {rule} --unset`"),
            Self::TooMuch(_) => "remove what is not used any more".to_owned(),
        }
    }
}

/// A document after a change, and what the audit trail says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Edited {
    /// The document.
    pub document: PolicyDocument,
    /// What was there.
    pub before: Value,
    /// What is there now.
    pub after: Value,
}

/// What is to become of the rule on one attribute; `None` leaves as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuleChange {
    /// Whether it must have a value.
    pub required: Option<bool>,
    /// The allowed values; an empty list allows any.
    pub allowed: Option<Vec<String>>,
    /// The default; the inner `None` takes it away.
    pub default: Option<Option<String>>,
}

impl PolicyDocument {
    /// Adds a schema to resource types, or gives one that is there another definition. What is stored under it stays.
    pub fn with_schema(mut self, resources: &[ResourceKind], schema: &Schema, replace: bool) -> Result<Edited, EditRefusal> {
        let (mut before, after) = (Value::Null, json!(schema));
        for resource in resources.iter().copied() {
            let same = |known: &&mut Extension| known.resource == resource && known.schema.id.eq_ignore_ascii_case(&schema.id);
            match self.extensions.iter_mut().find(same) {
                Some(known) if known.schema == *schema => before = after.clone(),
                Some(_) if !replace => return Err(EditRefusal::Defined(schema.id.clone())),
                Some(known) => before = json!(std::mem::replace(&mut known.schema, schema.clone())),
                None => self.extensions.push(Extension { resource, schema: schema.clone() }),
            }
        }
        if self.extensions.len() > MAX_EXTENSIONS {
            return Err(EditRefusal::TooMuch("a workspace has at most 50 schemas of its own"));
        }
        self.checked(before, after)
    }

    /// Takes a schema away. What is stored under it stays, unseen, and is back with the schema.
    pub fn without_schema(mut self, resource: ResourceKind, urn: &str) -> Result<Edited, EditRefusal> {
        let is_it = |extension: &Extension| extension.resource == resource && extension.schema.id.eq_ignore_ascii_case(urn);
        let Some(at) = self.extensions.iter().position(is_it) else { return Err(EditRefusal::NoSchema(urn.to_owned())) };
        let schema = self.extensions.remove(at).schema;
        let remaining =
            Policy::compile(Self { users: AttributeRules::default(), groups: AttributeRules::default(), ..self.clone() })?;
        let schemas = remaining.schemas().of(resource);
        let orphan = self.rules(resource).attributes.iter().find(|rule| schemas.find(&rule.path, Profile::Strict).is_none());
        if let Some(orphan) = orphan {
            return Err(EditRefusal::Ruled { urn: schema.id, rule: orphan.path.clone() });
        }
        self.checked(json!(schema), Value::Null)
    }

    /// Changes the rule on one attribute, named in any spelling.
    pub fn with_rule(mut self, resource: ResourceKind, path: &str, change: &RuleChange) -> Result<Edited, EditRefusal> {
        if change.allowed.as_ref().is_some_and(|allowed| allowed.len() > MAX_ALLOWED) {
            return Err(EditRefusal::TooMuch("an attribute has at most 200 allowed values"));
        }
        let values = change.allowed.iter().flatten().chain(change.default.iter().flatten());
        if values.into_iter().any(|value| value.chars().count() > MAX_VALUE) {
            return Err(EditRefusal::TooMuch("an allowed value or a default has at most 256 characters"));
        }
        let compiled = Policy::compile(self.clone())?;
        let path = compiled.attribute(resource, path)?;
        let rules = &mut self.rules_mut(resource).attributes;
        let known = rules.iter().find(|rule| rule.path == path).cloned();
        let old = known.clone().unwrap_or_else(|| AttributeRule { path: path.clone(), ..AttributeRule::default() });
        let new = AttributeRule {
            path,
            required: change.required.unwrap_or(old.required),
            allowed: change.allowed.clone().unwrap_or(old.allowed),
            default: change.default.clone().unwrap_or(old.default),
        };
        new.may_be_set(resource)?;
        rules.retain(|rule| rule.path != new.path);
        let after = if new.is_idle() { Value::Null } else { json!(new) };
        rules.extend((!new.is_idle()).then_some(new));
        rules.sort_by(|left, right| left.path.cmp(&right.path));
        if rules.len() > MAX_RULES {
            return Err(EditRefusal::TooMuch("a workspace has at most 200 rules for one resource type"));
        }
        self.checked(known.map_or(Value::Null, |known| json!(known)), after)
    }

    /// Sets whether the user name must be an e-mail address.
    pub fn with_email_as_user_name(mut self, wanted: bool) -> Result<Edited, EditRefusal> {
        let before = std::mem::replace(&mut self.users.user_name_is_email, wanted);
        self.checked(json!({ "user_name_is_email": before }), json!({ "user_name_is_email": wanted }))
    }

    /// Sets how much of the providers' real behaviour is forgiven.
    pub fn with_profile(mut self, profile: Profile) -> Result<Edited, EditRefusal> {
        let before = std::mem::replace(&mut self.profile, profile);
        self.checked(json!({ "profile": before }), json!({ "profile": profile }))
    }

    /// The rules for one resource type.
    #[must_use]
    pub fn rules(&self, resource: ResourceKind) -> &AttributeRules {
        match resource {
            ResourceKind::User => &self.users,
            ResourceKind::Group => &self.groups,
        }
    }

    fn rules_mut(&mut self, resource: ResourceKind) -> &mut AttributeRules {
        match resource {
            ResourceKind::User => &mut self.users,
            ResourceKind::Group => &mut self.groups,
        }
    }

    fn checked(self, before: Value, after: Value) -> Result<Edited, EditRefusal> {
        let policy = Policy::compile(self)?;
        Ok(Edited { document: policy.document, before, after })
    }
}

impl Policy {
    /// The attribute that is named in any spelling, in the one under which it is kept.
    pub fn attribute(&self, resource: ResourceKind, path: &str) -> Result<String, EditRefusal> {
        let schema = self.schemas().of(resource);
        canonical(schema, path)
            .ok_or_else(|| EditRefusal::UnknownAttribute { path: path.to_owned(), nearest: schema.nearest(path.trim()) })
    }

    /// The same of a user's attribute that is to give roles: text that the identity provider writes.
    pub fn role_attribute(&self, path: &str) -> Result<String, EditRefusal> {
        let (schema, kept) = (self.schemas().of(ResourceKind::User), self.attribute(ResourceKind::User, path)?);
        let Some(Found::Attribute { definition, sub, .. }) = schema.find(&kept, Profile::Strict) else { return Ok(kept) };
        let is_written = [Some(definition), sub].into_iter().flatten().all(is_written);
        if is_written && is_text(definition, sub) {
            return Ok(kept);
        }
        Err(EditRefusal::GivesNoRole { path: kept, is_written, usable: texts(schema) })
    }
}

fn is_written(attribute: &Attribute) -> bool {
    matches!(attribute.mutability, Mutability::ReadWrite | Mutability::Immutable) && attribute.returned != Returned::Never
}

/// Whether its value, or that of each of its entries, is text.
fn is_text(definition: &Attribute, sub: Option<&Attribute>) -> bool {
    let compared = sub.or_else(|| definition.sub("value")).unwrap_or(definition);
    compared.kind == AttributeType::String
}

/// Every attribute that may give roles, in the spelling under which it is kept; of a list its values alone.
fn texts(schema: &ResourceSchema) -> Vec<String> {
    let of = |prefix: &str, attribute: &Attribute| {
        let name = format!("{prefix}{}", attribute.name);
        let is_parted = attribute.is_complex() && !attribute.multi_valued;
        let parts = attribute.sub_attributes.iter().filter(|sub| is_parted && sub.name != "value" && is_written(sub));
        let parts: Vec<String> = parts.filter(|sub| is_text(sub, None)).map(|sub| format!("{name}.{}", sub.name)).collect();
        let whole = is_text(attribute, None).then_some(name);
        if is_written(attribute) { whole.into_iter().chain(parts).collect() } else { Vec::new() }
    };
    let own = schema.core().attributes.iter().chain(schema.common()).filter(|attribute| attribute.name != "schemas");
    let mut texts: Vec<String> = own.flat_map(|attribute| of("", attribute)).collect();
    for extension in schema.extensions() {
        texts.extend(extension.attributes.iter().flat_map(|attribute| of(&format!("{}:", extension.id), attribute)));
        texts.extend(extension.free_form.then(|| format!("{}:NAME", extension.id)));
    }
    texts
}

/// The one spelling under which a rule is kept: a list or a manager stands for its `value`.
fn canonical(schema: &ResourceSchema, path: &str) -> Option<String> {
    let Some(Found::Attribute { extension, name, sub, .. }) = schema.find_attribute(path.trim(), Profile::Lenient) else {
        return None;
    };
    let sub = sub.filter(|sub| sub.name != "value").map(|sub| format!(".{}", sub.name)).unwrap_or_default();
    Some(extension.map_or_else(|| format!("{name}{sub}"), |schema| format!("{}:{name}{sub}", schema.id)))
}
