//! What the names of a query mean in one resource type. Where the query goes over all types, a name that only another type has is
//! known, and has no value here (RFC 7644, section 3.4.2.1).

use super::{Found, ResourceKind, ResourceSchema, SchemaSet};
use crate::scim::Profile;

/// The names that a query over resources of one type may use.
#[derive(Debug, Clone, Copy)]
pub struct Names<'s> {
    own: &'s ResourceSchema,
    other: Option<&'s ResourceSchema>,
}

impl<'s> From<&'s ResourceSchema> for Names<'s> {
    fn from(own: &'s ResourceSchema) -> Self {
        Self { own, other: None }
    }
}

impl SchemaSet {
    /// The names of one resource type, and beside them those of all others.
    #[must_use]
    pub fn names_among_all(&self, kind: ResourceKind) -> Names<'_> {
        let other = match kind {
            ResourceKind::User => ResourceKind::Group,
            ResourceKind::Group => ResourceKind::User,
        };
        Names { own: self.of(kind), other: Some(self.of(other)) }
    }
}

impl<'s> Names<'s> {
    /// Finds the attribute that `path` names. One of another type is as one of an extension that no resource of this type has.
    pub(in crate::scim) fn find_attribute<'p>(&self, path: &'p str, profile: Profile) -> Option<Found<'s, 'p>>
    where
        's: 'p,
    {
        if let Some(own) = self.own.find_attribute(path, profile) {
            return Some(own);
        }
        let other = self.other.filter(|_| !self.is_ambiguous(path, profile))?;
        match other.find_attribute(path, profile)? {
            Found::Attribute { extension, name, definition, sub } => {
                Some(Found::Attribute { extension: extension.or(Some(other.core())), name, definition, sub })
            }
            Found::Schema(_) => None,
        }
    }

    /// Whether several extensions of the type have a name that is written without a URN: it could be either's.
    fn is_ambiguous(&self, path: &str, profile: Profile) -> bool {
        let name = path.split('.').next().unwrap_or_default();
        profile.is_lenient() && self.own.extensions().iter().any(|extension| extension.attribute(name).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ENTERPRISE_USER, GROUP, Schema, USER};
    use super::*;

    fn home(set: &SchemaSet, kind: ResourceKind, path: &str, profile: Profile) -> Option<String> {
        match set.names_among_all(kind).find_attribute(path, profile)? {
            Found::Attribute { extension, .. } => Some(extension.map_or("own", |schema| &schema.id).to_owned()),
            Found::Schema(_) => None,
        }
    }

    #[test]
    fn what_another_type_alone_has_is_known_and_is_not_this_types_own() {
        let set = SchemaSet::standard();
        for profile in [Profile::Lenient, Profile::Strict] {
            for (path, of_users, of_groups) in [
                ("displayName", "own", "own"),
                ("meta.created", "own", "own"),
                ("userName", "own", USER),
                ("members.value", GROUP, "own"),
                (&format!("{USER}:displayName"), "own", USER),
                (&format!("{GROUP}:displayName"), GROUP, "own"),
                (&format!("{USER}:id"), "own", USER),
                (&format!("{ENTERPRISE_USER}:department"), ENTERPRISE_USER, ENTERPRISE_USER),
            ] {
                assert_eq!(home(&set, ResourceKind::User, path, profile).as_deref(), Some(of_users), "{path}");
                assert_eq!(home(&set, ResourceKind::Group, path, profile).as_deref(), Some(of_groups), "{path}");
            }
            for path in ["shoeSize", USER, GROUP, "urn:x:y"] {
                assert_eq!(home(&set, ResourceKind::User, path, profile), None, "{path}");
            }
        }
        assert!(Names::from(set.of(ResourceKind::User)).find_attribute("members", Profile::Lenient).is_none());
    }

    #[test]
    fn a_name_that_could_be_either_of_two_is_not_taken_for_a_third() {
        let schema = |urn: &str| -> Schema {
            serde_json::from_value(serde_json::json!({ "id": urn, "attributes": [{ "name": "badge" }] })).unwrap()
        };
        let set = SchemaSet::standard()
            .with_extension(ResourceKind::User, schema("urn:x:one"))
            .and_then(|set| set.with_extension(ResourceKind::User, schema("urn:x:two")))
            .and_then(|set| set.with_extension(ResourceKind::Group, schema("urn:x:three")))
            .unwrap();

        assert_eq!(home(&set, ResourceKind::User, "badge", Profile::Lenient), None);
        assert_eq!(home(&set, ResourceKind::User, "urn:x:three:badge", Profile::Lenient).as_deref(), Some("urn:x:three"));
        assert_eq!(home(&set, ResourceKind::Group, "badge", Profile::Lenient).as_deref(), Some("urn:x:three"));
    }
}
