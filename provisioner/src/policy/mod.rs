//! What a workspace asks of its provider beyond the standard: profile, rules on attributes, schemas of its own. Everything is
//! off until set.

mod book;
mod edit;
pub mod notation;
#[cfg(test)]
mod tests;

pub use book::{PolicyBook, UnknownPolicy};
pub use edit::{EditRefusal, Edited, RuleChange};

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
    announced: SchemaSet,
}

impl Default for Policy {
    /// The policy of a workspace that asks for nothing.
    fn default() -> Self {
        let schemas = SchemaSet::standard();
        Self { document: PolicyDocument::default(), announced: schemas.clone(), schemas }
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
        Ok(Self { announced: announced(&document, schemas.clone()), document, schemas })
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

    /// The schemas as discovery shows them: with what the rules require and allow.
    #[must_use]
    pub fn announced(&self) -> &SchemaSet {
        &self.announced
    }

    /// How much is forgiven.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.document.profile
    }

    /// Under what resources of a type are read.
    #[must_use]
    pub fn context(&self, kind: ResourceKind) -> Context<'_> {
        Context { schema: self.schemas.of(kind), profile: self.profile(), rules: self.document.rules(kind) }
    }
}

fn announced(document: &PolicyDocument, mut schemas: SchemaSet) -> SchemaSet {
    for kind in [ResourceKind::User, ResourceKind::Group] {
        for rule in &document.rules(kind).attributes {
            // Who sends nothing gets the default: nothing is required of them.
            let required = rule.required && rule.default.is_none();
            schemas.of_mut(kind).announce(&rule.path, required, &rule.allowed);
        }
    }
    schemas
}
