//! The short notation in which the built-in schemas are written down.

use super::{Attribute, AttributeType, Mutability, Returned, Schema, Uniqueness};

pub(super) fn schema(id: &str, name: &str, description: &str, attributes: Vec<Attribute>) -> Schema {
    Schema { id: id.into(), name: name.into(), description: description.into(), attributes, free_form: false }
}

pub(super) fn attribute(name: &str, kind: AttributeType, description: &str) -> Attribute {
    Attribute {
        name: name.into(),
        kind,
        multi_valued: false,
        description: description.into(),
        required: false,
        canonical_values: Vec::new(),
        case_exact: false,
        mutability: Mutability::ReadWrite,
        returned: Returned::Default,
        uniqueness: Uniqueness::None,
        reference_types: Vec::new(),
        sub_attributes: Vec::new(),
    }
}

pub(super) fn string(name: &str, description: &str) -> Attribute {
    attribute(name, AttributeType::String, description)
}

pub(super) fn boolean(name: &str, description: &str) -> Attribute {
    attribute(name, AttributeType::Boolean, description)
}

pub(super) fn integer(name: &str, description: &str) -> Attribute {
    attribute(name, AttributeType::Integer, description)
}

pub(super) fn date_time(name: &str, description: &str) -> Attribute {
    attribute(name, AttributeType::DateTime, description)
}

/// A URI. URIs are case-exact (RFC 7643, section 2.3.7).
pub(super) fn reference(name: &str, targets: &[&str], description: &str) -> Attribute {
    Attribute {
        reference_types: targets.iter().map(ToString::to_string).collect(),
        ..attribute(name, AttributeType::Reference, description).case_exact()
    }
}

pub(super) fn complex(name: &str, subs: Vec<Attribute>, description: &str) -> Attribute {
    Attribute { sub_attributes: subs, ..attribute(name, AttributeType::Complex, description) }
}

/// The usual list: `value`, `display`, `type`, `primary` (RFC 7643, section 2.4).
pub(super) fn plural(name: &str, value: Attribute, types: &[&str], description: &str) -> Attribute {
    let mut subs = vec![value];
    subs.push(string("display", "A name for people, to be shown and nothing else."));
    subs.push(string("type", "What the value is for.").among(types));
    subs.push(boolean("primary", "Whether this is the preferred one. At most one is."));
    complex(name, subs, description).many()
}

impl Attribute {
    pub(super) fn many(self) -> Self {
        Self { multi_valued: true, ..self }
    }

    pub(super) fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) fn case_exact(self) -> Self {
        Self { case_exact: true, ..self }
    }

    pub(super) fn unique(self) -> Self {
        Self { uniqueness: Uniqueness::Server, ..self }
    }

    pub(super) fn always(self) -> Self {
        Self { returned: Returned::Always, ..self }
    }

    pub(super) fn immutable(self) -> Self {
        Self { mutability: Mutability::Immutable, ..self }
    }

    pub(super) fn among(self, values: &[&str]) -> Self {
        Self { canonical_values: values.iter().map(ToString::to_string).collect(), ..self }
    }

    /// Read-only, and so is everything below.
    pub(super) fn read_only(mut self) -> Self {
        self.mutability = Mutability::ReadOnly;
        self.sub_attributes = self.sub_attributes.into_iter().map(Self::read_only).collect();
        self
    }

    /// Taken and dropped: never kept, never answered, never compared.
    pub(super) fn write_only(self) -> Self {
        Self { mutability: Mutability::WriteOnly, returned: Returned::Never, ..self }
    }
}
