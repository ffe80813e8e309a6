//! Between the store's records and SCIM documents: the store keeps as columns what it must find or compare, the document has
//! everything.

use chrono::{DateTime, Utc};
use lockstep_shared::{
    clock::Timestamp,
    model::{
        group::{Group, GroupProfile},
        user::{Profile, User},
    },
};
use serde_json::Value;

use crate::scim::{Document, normalise, project::Envelope};

/// A user's attributes as SCIM has them.
pub(crate) fn user_document(profile: &Profile) -> Document {
    let mut document = Document::with_capacity(profile.attributes.len() + 3);
    document.extend(profile.external_id.as_ref().map(|id| ("externalId".to_owned(), Value::from(id.as_str()))));
    document.insert("userName".to_owned(), profile.user_name.as_str().into());
    document.extend(profile.attributes.iter().map(|(name, value)| (name.clone(), value.clone())));
    document.insert("active".to_owned(), profile.active.into());
    document
}

/// What the store keeps of a user that was read.
pub(super) fn user_profile(user: normalise::User) -> Profile {
    let mut attributes = user.document;
    for column in ["externalId", "userName", "active"] {
        attributes.shift_remove(column);
    }
    Profile { user_name: user.user_name, external_id: user.external_id, active: user.active, attributes }
}

/// A group's attributes as SCIM has them, without its members.
pub(crate) fn group_document(profile: &GroupProfile) -> Document {
    let mut document = Document::with_capacity(profile.attributes.len() + 2);
    document.extend(profile.external_id.as_ref().map(|id| ("externalId".to_owned(), Value::from(id.as_str()))));
    document.insert("displayName".to_owned(), profile.display_name.as_str().into());
    document.extend(profile.attributes.iter().map(|(name, value)| (name.clone(), value.clone())));
    document
}

/// What the store keeps of a group that was read.
pub(super) fn group_profile(group: normalise::Group) -> GroupProfile {
    let mut attributes = group.document;
    for column in ["externalId", "displayName"] {
        attributes.shift_remove(column);
    }
    GroupProfile { display_name: group.display_name, external_id: group.external_id, attributes }
}

/// What the server says of a user.
pub(super) fn user_envelope<'a>(user: &'a User, base_url: &'a str) -> Envelope<'a> {
    Envelope {
        id: user.id.as_str(),
        created: instant(user.created_at),
        last_modified: instant(user.updated_at),
        version: user.version,
        base_url,
    }
}

/// What the server says of a group.
pub(super) fn group_envelope<'a>(group: &'a Group, base_url: &'a str) -> Envelope<'a> {
    Envelope {
        id: group.id.as_str(),
        created: instant(group.created_at),
        last_modified: instant(group.updated_at),
        version: group.version,
        base_url,
    }
}

fn instant(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::{
        Profile as Dialect, ResourceKind, SchemaSet,
        normalise::{AttributeRules, Context},
    };

    #[test]
    fn a_user_comes_back_from_the_store_as_it_was_read() {
        let (set, rules) = (SchemaSet::standard(), AttributeRules::default());
        let context = Context { schema: set.of(ResourceKind::User), profile: Dialect::Lenient, rules: &rules };
        let body = json!({"userName": "babs@acme.com", "externalId": "e1", "name": {"givenName": "Babs"}, "active": "False"});
        let read = normalise::user(body, &context, None).unwrap();
        let document = read.document.clone();

        assert_eq!(user_document(&user_profile(read)), document);
    }
}
