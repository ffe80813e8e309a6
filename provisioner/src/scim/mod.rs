//! The SCIM 2.0 core (RFC 7643, RFC 7644): schemas as data, filters, PATCH, and the one place where every provider's
//! spelling becomes ours. Values in, values out: it reads no clock, opens no socket and knows no database.

pub mod bulk;
pub mod cursor;
pub mod discovery;
pub mod error;
pub mod filter;
#[cfg(test)]
mod fuzz;
pub mod json;
pub mod list;
pub mod normalise;
#[cfg(test)]
mod oracle;
pub mod patch;
pub mod path;
pub mod project;
pub mod schema;
pub mod sort;
pub mod stored;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;
pub mod write;

pub use error::ScimError;
pub use filter::Filter;
pub use patch::PatchRequest;
pub use schema::{Names, ResourceKind, ResourceSchema, SchemaSet};

use serde_json::{Map, Value};

/// The attributes of a resource, in canonical spelling; extensions are objects under their URN.
///
/// `schemas`, `id`, `meta`, a user's `groups` and a group's `members` are not part of it: the store has them as columns
/// and rows, and [`project::assemble`] adds them to an answer.
pub type Document = Map<String, Value>;

/// How much of the providers' real behaviour is forgiven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Every spelling that a provider is known to send is understood.
    #[default]
    Lenient,
    /// The interoperability profile (draft-zollner-scim-interop-profile-02): anything else is refused.
    Strict,
}

impl Profile {
    /// Tells whether provider dialects are forgiven.
    #[must_use]
    pub fn is_lenient(self) -> bool {
        self == Self::Lenient
    }
}
