//! Schemas are data: one definition of each attribute drives validation, discovery, projection, filter types and PATCH.
//!
//! The JSON form is that of RFC 7643, section 7, so a workspace's own extension is read from the same notation that
//! `/Schemas` answers.

mod build;
mod builtin;
mod extension;
mod lookup;
mod names;
mod nearest;

pub(crate) use builtin::is_of_scim;
pub use extension::SchemaError;
pub use lookup::Found;
pub use names::Names;

use serde::{Deserialize, Serialize};

use super::Profile;

/// The schema of a user.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The extension for people of an organisation.
pub const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The schema of a group.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// The schema of the service's own description.
pub const SERVICE_PROVIDER_CONFIG: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
/// The schema of a resource type.
pub const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
/// The schema of a schema.
pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// The data type of an attribute (RFC 7643, section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AttributeType {
    /// Text.
    #[default]
    String,
    /// `true` or `false`.
    Boolean,
    /// A real number.
    Decimal,
    /// A whole number.
    Integer,
    /// An instant, as RFC 3339 text.
    DateTime,
    /// A URI.
    Reference,
    /// Base64 text.
    Binary,
    /// Sub-attributes.
    Complex,
}

/// Who may change an attribute, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mutability {
    /// The server alone.
    ReadOnly,
    /// The client, at any time.
    #[default]
    ReadWrite,
    /// The client, once.
    Immutable,
    /// The client, and nobody reads it. Lockstep keeps no such value: it is dropped where it comes in.
    WriteOnly,
}

/// When an attribute is part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Returned {
    /// Whatever the request says.
    Always,
    /// Never.
    Never,
    /// Unless the request leaves it out.
    #[default]
    Default,
    /// Where the request names it.
    Request,
}

/// Among what an attribute's value is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Uniqueness {
    /// Nothing.
    #[default]
    None,
    /// The resources of its type in one workspace.
    Server,
    /// Everything.
    Global,
}

/// One attribute and everything that is to be known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attribute {
    /// The canonical spelling. Names are compared without case.
    pub name: String,
    /// The data type.
    #[serde(rename = "type", default)]
    pub kind: AttributeType,
    /// Whether the value is a list.
    #[serde(default)]
    pub multi_valued: bool,
    /// One sentence for the admin who maps it.
    #[serde(default)]
    pub description: String,
    /// Whether a resource cannot be without it.
    #[serde(default)]
    pub required: bool,
    /// The usual values, as `/Schemas` announces them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    /// Whether text is compared exactly.
    #[serde(default)]
    pub case_exact: bool,
    /// Who may change it.
    #[serde(default)]
    pub mutability: Mutability,
    /// When it is answered.
    #[serde(default)]
    pub returned: Returned,
    /// Among what it is unique.
    #[serde(default)]
    pub uniqueness: Uniqueness,
    /// What a reference points to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
    /// The parts of a complex attribute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub_attributes: Vec<Attribute>,
}

impl Attribute {
    /// A text attribute of this name that is not a list.
    #[must_use]
    pub fn named(name: &str) -> Self {
        build::string(name, "")
    }

    /// The sub-attribute of this name in any case.
    #[must_use]
    pub fn sub(&self, name: &str) -> Option<&Attribute> {
        self.sub_attributes.iter().find(|sub| sub.name.eq_ignore_ascii_case(name))
    }

    /// Tells whether an entry of this list without the part has it as false: RFC 7643, section 2.4, of `primary`.
    pub(in crate::scim) fn has_false_for(&self, part: &Attribute) -> bool {
        self.multi_valued && part.kind == AttributeType::Boolean && part.name.eq_ignore_ascii_case("primary")
    }

    fn announce(&mut self, required: bool, values: &[String]) {
        self.required |= required;
        if !values.is_empty() {
            self.canonical_values = values.to_vec();
        }
    }

    /// Tells whether it stands for any name of a free-form extension.
    #[must_use]
    pub fn is_free_form(&self) -> bool {
        self.name.is_empty()
    }

    /// Tells whether it has sub-attributes.
    #[must_use]
    pub fn is_complex(&self) -> bool {
        self.kind == AttributeType::Complex
    }
}

/// A schema: a URN and its attributes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schema {
    /// The URN. It may have dots in it.
    pub id: String,
    /// The short name.
    #[serde(default)]
    pub name: String,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// The attributes.
    #[serde(default)]
    pub attributes: Vec<Attribute>,
    /// Whether every other name is an attribute too, with a value that is kept as text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub free_form: bool,
}

/// The resources that a provider writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ResourceKind {
    /// A person.
    User,
    /// A group of people.
    Group,
}

impl ResourceKind {
    /// The resource type's name, which is its id too.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }

    /// The endpoint below the base URL.
    #[must_use]
    pub fn endpoint(self) -> &'static str {
        match self {
            Self::User => "/Users",
            Self::Group => "/Groups",
        }
    }
}

/// Everything that one resource type may carry: common attributes, its core schema and its extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceSchema {
    kind: ResourceKind,
    common: Vec<Attribute>,
    core: Schema,
    extensions: Vec<Schema>,
    /// The extensions that a resource cannot be without.
    demanded: Vec<String>,
}

impl ResourceSchema {
    /// The resource type.
    #[must_use]
    pub fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// `schemas`, `id`, `externalId` and `meta`, which every resource has.
    #[must_use]
    pub fn common(&self) -> &[Attribute] {
        &self.common
    }

    /// The core schema.
    #[must_use]
    pub fn core(&self) -> &Schema {
        &self.core
    }

    /// The extensions, the built-in one first.
    #[must_use]
    pub fn extensions(&self) -> &[Schema] {
        &self.extensions
    }

    /// Announces what a rule asks of an attribute; what is read stays as it is.
    pub(crate) fn announce(&mut self, path: &str, required: bool, values: &[String]) {
        let Some(Found::Attribute { extension, name, sub, .. }) = self.find(path, Profile::Strict) else { return };
        let (urn, name, sub) = (extension.map(|schema| schema.id.clone()), name.to_owned(), sub.map(|sub| sub.name.clone()));
        if let Some(urn) = urn.as_ref().filter(|urn| required && !self.demands(urn)) {
            self.demanded.push(urn.clone());
        }
        let home = match urn {
            Some(urn) => self.extensions.iter_mut().find(|schema| schema.id == urn),
            None => Some(&mut self.core),
        };
        let definition = home.and_then(|schema| schema.attributes.iter_mut().find(|attribute| attribute.name == name));
        let Some(definition) = definition else { return };
        definition.required |= required;
        let part = sub.as_deref().unwrap_or("value");
        match definition.sub_attributes.iter_mut().find(|attribute| attribute.name == part) {
            Some(part) => part.announce(required, values),
            None => definition.announce(required, values),
        }
    }

    /// Tells whether a resource cannot be without this extension.
    #[must_use]
    pub fn demands(&self, urn: &str) -> bool {
        self.demanded.iter().any(|demanded| demanded == urn)
    }
}

/// The schemas of one workspace. Build it once and share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaSet {
    user: ResourceSchema,
    group: ResourceSchema,
}

impl SchemaSet {
    /// The built-in schemas alone.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            user: ResourceSchema {
                kind: ResourceKind::User,
                common: builtin::common(),
                core: builtin::user(),
                extensions: vec![builtin::enterprise_user()],
                demanded: Vec::new(),
            },
            group: ResourceSchema {
                kind: ResourceKind::Group,
                common: builtin::common(),
                core: builtin::group(),
                extensions: Vec::new(),
                demanded: Vec::new(),
            },
        }
    }

    /// The schemas of one resource type.
    #[must_use]
    pub fn of(&self, kind: ResourceKind) -> &ResourceSchema {
        match kind {
            ResourceKind::User => &self.user,
            ResourceKind::Group => &self.group,
        }
    }

    /// Adds a workspace's own extension.
    pub fn with_extension(mut self, kind: ResourceKind, schema: Schema) -> Result<Self, SchemaError> {
        let (resource, other) = match kind {
            ResourceKind::User => (&mut self.user, &self.group),
            ResourceKind::Group => (&mut self.group, &self.user),
        };
        let schema = extension::checked(schema, resource)?;
        if other.extension(&schema.id).is_some_and(|other| *other != schema) {
            return Err(SchemaError::Differs(schema.id));
        }
        resource.extensions.push(schema);
        Ok(self)
    }

    /// The schemas of one resource type, to be announced differently from how they are read.
    pub(crate) fn of_mut(&mut self, kind: ResourceKind) -> &mut ResourceSchema {
        match kind {
            ResourceKind::User => &mut self.user,
            ResourceKind::Group => &mut self.group,
        }
    }

    /// Every schema that `/Schemas` answers, each once.
    #[must_use]
    pub fn published(&self) -> Vec<Schema> {
        let mut all: Vec<Schema> = Vec::new();
        for resource in [&self.user, &self.group] {
            for schema in std::iter::once(&resource.core).chain(&resource.extensions) {
                if !all.iter().any(|known| known.id == schema.id) {
                    all.push(schema.clone());
                }
            }
        }
        all.extend(builtin::service_schemas());
        all
    }
}
