//! What a workspace asks of its provider beyond the standard: profile, rules on attributes, schemas of its own. Everything is
//! off until set.

mod book;

pub use book::{PolicyBook, UnknownPolicy};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scim::{
    Profile, ResourceKind, SchemaSet,
    normalise::{AttributeRules, Context, RuleError},
    schema::{Schema, SchemaError},
};

/// The document as it is stored.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyDocument {
    /// How much of the providers' real behaviour is forgiven.
    pub profile: Profile,
    /// The workspace's own schemas.
    pub extensions: Vec<Extension>,
    /// The rules on users.
    pub users: AttributeRules,
    /// The rules on groups.
    pub groups: AttributeRules,
}

/// A schema of the workspace's own, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// The resource type that it extends.
    pub resource: ResourceKind,
    /// The schema, in the notation of RFC 7643, section 7.
    pub schema: Schema,
}

/// Why a document is no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It is not of the shape.
    #[error("the stored SCIM policy cannot be read")]
    Shape(#[from] serde_json::Error),
    /// A schema is not good.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A rule is not good.
    #[error(transparent)]
    Rule(#[from] RuleError),
}

/// A policy that was checked and is ready for use. Build it once per version and share it.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    document: PolicyDocument,
    schemas: SchemaSet,
}

impl Default for Policy {
    /// The policy of a workspace that asks for nothing.
    fn default() -> Self {
        Self { document: PolicyDocument::default(), schemas: SchemaSet::standard() }
    }
}

impl Policy {
    /// Checks a document against the schemas that it brings along.
    pub fn compile(document: PolicyDocument) -> Result<Self, PolicyError> {
        let mut schemas = SchemaSet::standard();
        for extension in &document.extensions {
            schemas = schemas.with_extension(extension.resource, extension.schema.clone())?;
        }
        document.users.check(schemas.of(ResourceKind::User))?;
        document.groups.check(schemas.of(ResourceKind::Group))?;
        Ok(Self { document, schemas })
    }

    /// Reads a stored document.
    pub fn read(stored: Value) -> Result<Self, PolicyError> {
        Self::compile(serde_json::from_value(stored)?)
    }

    /// What was set.
    #[must_use]
    pub fn document(&self) -> &PolicyDocument {
        &self.document
    }

    /// The standard's schemas and the workspace's own.
    #[must_use]
    pub fn schemas(&self) -> &SchemaSet {
        &self.schemas
    }

    /// How much is forgiven.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.document.profile
    }

    /// Under what resources of a type are read.
    #[must_use]
    pub fn context(&self, kind: ResourceKind) -> Context<'_> {
        let rules = match kind {
            ResourceKind::User => &self.document.users,
            ResourceKind::Group => &self.document.groups,
        };
        Context { schema: self.schemas.of(kind), profile: self.profile(), rules }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_document_asks_for_nothing() {
        let policy = Policy::read(json!({})).unwrap();

        assert_eq!(policy.document(), &PolicyDocument::default());
        assert_eq!(policy.schemas(), &SchemaSet::standard());
        assert!(policy.profile().is_lenient());
    }

    #[test]
    fn a_rule_on_an_attribute_that_no_schema_has_is_no_policy() {
        let refused = Policy::read(json!({ "users": { "attributes": [{ "path": "shoeSize", "required": true }] } }));

        assert!(matches!(refused, Err(PolicyError::Rule(RuleError::Unknown(path))) if path == "shoeSize"));
    }
}
