//! What a workspace's own extension must be like before it joins the schemas.

use super::{Attribute, Found, Mutability, ResourceSchema, Returned, Schema, Uniqueness, builtin};
use crate::scim::Profile;

const MAX_ATTRIBUTES: usize = 100;
const MAX_URN: usize = 256;
const MAX_NAME: usize = 128;

/// Why an extension cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// The id is no URN.
    #[error("{0:?} is not a URN: it begins with urn: and has letters, digits and -._: and no more than 256 characters")]
    Urn(String),
    /// The id is in use by a schema.
    #[error("{0} is already defined")]
    Taken(String),
    /// The id is in use by an attribute of a schema.
    #[error("{urn} is the attribute {attribute} of {schema}: no path could tell them apart")]
    IsAttribute {
        /// What was to be the schema's id.
        urn: String,
        /// The attribute.
        attribute: String,
        /// The schema that has it.
        schema: String,
    },
    /// The id and an attribute of it would together read like another schema.
    #[error("{0} would be an attribute of this schema as well: no path could tell them apart")]
    Shadows(String),
    /// Another resource type has a schema of this id that is not the same.
    #[error("{0} is defined differently for the other resource type: one URN has one definition")]
    Differs(String),
    /// The name does not follow RFC 7643, section 2.1.
    #[error("{0:?} is not an attribute name: a letter, then letters, digits, - and _")]
    Name(String),
    /// Two attributes have one name.
    #[error("{0} is defined twice (names are compared without case)")]
    Twice(String),
    /// The attribute asks for something that an extension cannot have.
    #[error("{attribute}: {reason}")]
    Unsupported {
        /// The attribute.
        attribute: String,
        /// What it asks for.
        reason: &'static str,
    },
    /// No attribute, or too many.
    #[error("an extension has 1 to 100 attributes; only a free-form one may have none")]
    Count,
}

pub(super) fn checked(schema: Schema, resource: &ResourceSchema) -> Result<Schema, SchemaError> {
    if !is_urn(&schema.id) {
        return Err(SchemaError::Urn(schema.id));
    }
    if builtin::is_of_scim(&schema.id) {
        return Err(SchemaError::Taken(schema.id));
    }
    match resource.find(&schema.id, Profile::Strict) {
        Some(Found::Schema(_)) => return Err(SchemaError::Taken(schema.id)),
        Some(Found::Attribute { extension, name, .. }) => {
            let (attribute, owner) = (name.to_owned(), extension.unwrap_or(&resource.core).id.clone());
            return Err(SchemaError::IsAttribute { urn: schema.id, attribute, schema: owner });
        }
        None => {}
    }
    if let Some(other) = resource.extensions.iter().find(|other| schema.reads_as_attribute(&other.id)) {
        return Err(SchemaError::Shadows(other.id.clone()));
    }
    let count = schema.attributes.len();
    if count > MAX_ATTRIBUTES || (count == 0 && !schema.free_form) {
        return Err(SchemaError::Count);
    }
    attributes(&schema.attributes, false)?;
    Ok(schema)
}

impl Schema {
    /// Whether this URN, in a path, would name an attribute of the schema.
    fn reads_as_attribute(&self, urn: &str) -> bool {
        let Some((head, rest)) = urn.split_at_checked(self.id.len()) else { return false };
        let Some(rest) = rest.strip_prefix(':').filter(|_| head.eq_ignore_ascii_case(&self.id)) else { return false };
        self.free_form || self.attribute(rest).is_some()
    }
}

fn attributes(definitions: &[Attribute], inside: bool) -> Result<(), SchemaError> {
    for (at, definition) in definitions.iter().enumerate() {
        if !is_name(&definition.name) {
            return Err(SchemaError::Name(definition.name.clone()));
        }
        if definitions.iter().take(at).any(|earlier| earlier.name.eq_ignore_ascii_case(&definition.name)) {
            return Err(SchemaError::Twice(definition.name.clone()));
        }
        if let Some(reason) = unsupported(definition, inside) {
            return Err(SchemaError::Unsupported { attribute: definition.name.clone(), reason });
        }
        attributes(&definition.sub_attributes, true)?;
    }
    Ok(())
}

fn unsupported(definition: &Attribute, inside: bool) -> Option<&'static str> {
    if inside && definition.is_complex() {
        return Some("a complex attribute has no complex sub-attributes (RFC 7643, section 2.3.8)");
    }
    if inside && definition.multi_valued {
        // RFC 7643 has such lists in its own schema of schemas. No PATCH path could select an entry of one.
        return Some("a list inside a complex attribute is not supported: make the list an attribute of its own");
    }
    if definition.is_complex() == definition.sub_attributes.is_empty() {
        return Some("subAttributes belong to the type complex, and it needs them");
    }
    if definition.uniqueness != Uniqueness::None {
        return Some("uniqueness is not kept for extensions");
    }
    if definition.mutability == Mutability::ReadOnly {
        return Some("nothing would ever write a readOnly attribute");
    }
    if definition.mutability == Mutability::WriteOnly {
        return Some("writeOnly values are not kept: leave it out, or make it readWrite");
    }
    if definition.returned == Returned::Never {
        return Some("what is returned never is not kept: leave it out, or let returned be request");
    }
    None
}

fn is_urn(id: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    id.len() <= MAX_URN
        && id.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:"))
        && id.chars().all(legal)
        && id.split(':').count() > 2
        && id.split(':').all(|part| !part.is_empty())
}

fn is_name(name: &str) -> bool {
    let name = if name == "$ref" { "ref" } else { name };
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
