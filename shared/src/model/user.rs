//! The user: a person in one workspace, as the directory describes them, and what of that the product's apps get to see.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    access::{Access, AccessName},
    attribute::AttributePath,
    words,
};
use crate::{
    clock::Timestamp,
    id::{UserId, WorkspaceId},
    model::revocation::Seq,
};

words! {
    /// How a person signs in.
    LoginMethod, "login method" {
        /// Through the company's identity provider.
        Sso = "sso",
        /// With a password, for people who are not in the directory.
        Password = "password",
    }
}

words! {
    /// Where the person came from.
    Origin, "origin" {
        /// The identity provider created them.
        Provisioned = "provisioned",
        /// Somebody of the workspace invited them.
        Invited = "invited",
    }
}

/// What the caller says of a user; the store adds the rest. `attributes` is the SCIM resource in its canonical form without
/// `id`, `meta`, `schemas`, `groups`, `password`, `userName`, `externalId` and `active`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Unique in the workspace, without regard to case.
    pub user_name: String,
    /// The provider's own name of the person: opaque, and not always unique.
    pub external_id: Option<String>,
    /// Whether the person may have access at all.
    pub active: bool,
    /// All other attributes.
    pub attributes: Map<String, Value>,
}

/// A person in one workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct User {
    /// Their workspace.
    pub workspace: WorkspaceId,
    /// Ours, random, never used again.
    pub id: UserId,
    /// What the directory says.
    pub profile: Profile,
    /// Where they came from.
    pub origin: Origin,
    /// How they sign in.
    pub login_method: LoginMethod,
    /// Whether they were ever given a way to sign in, so that a session of theirs may exist. Once it is so, it stays so.
    pub may_have_sessions: bool,
    /// Counts the changes of the record, for entity tags.
    pub version: i64,
    /// The last revocation that ended their access or told their sessions of a change of theirs; zero if none did. Every answer about
    /// them waits for it, since its own answer may have been lost.
    pub ended_seq: Seq,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

impl User {
    /// The record after the next change, at this moment, as the directory now says.
    #[must_use]
    pub fn edited(&self, profile: Profile, at: Timestamp) -> Self {
        Self {
            workspace: self.workspace.clone(),
            id: self.id.clone(),
            profile,
            version: self.version + 1,
            updated_at: at,
            ..*self
        }
    }
}

impl Profile {
    /// The e-mail address that stands for the person: the primary one, else the one of type `work`, else the first, else the
    /// user name where it is an address.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        let emails = self.attributes.get("emails").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let value = |email: &'_ Value| -> bool { email.get("value").and_then(Value::as_str).is_some() };
        let chosen = emails
            .iter()
            .filter(|email| value(email))
            .find(|email| email.get("primary").and_then(Value::as_bool) == Some(true))
            .or_else(|| {
                emails.iter().filter(|email| value(email)).find(|email| email.get("type").and_then(Value::as_str) == Some("work"))
            })
            .or_else(|| emails.iter().find(|email| value(email)));
        match chosen {
            Some(email) => email.get("value").and_then(Value::as_str),
            None => super::text::EmailAddress::parse(&self.user_name).map(|_| self.user_name.as_str()),
        }
    }

    /// Every e-mail value with its type, for the index that look-ups go by.
    pub fn emails(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.attributes.get("emails").and_then(Value::as_array).into_iter().flatten().filter_map(|email| {
            let value = email.get("value").and_then(Value::as_str)?;
            Some((value, email.get("type").and_then(Value::as_str)))
        })
    }

    /// The name to greet the person by.
    #[must_use]
    pub fn display_name(&self) -> String {
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).filter(|text| !text.trim().is_empty()).map(str::to_owned);
        let name = self.attributes.get("name");
        text(self.attributes.get("displayName"))
            .or_else(|| text(name.and_then(|name| name.get("formatted"))))
            .or_else(|| {
                let parts = ["givenName", "familyName"].into_iter().filter_map(|part| text(name.and_then(|name| name.get(part))));
                Some(parts.collect::<Vec<_>>().join(" ")).filter(|joined| !joined.is_empty())
            })
            .unwrap_or_else(|| self.user_name.clone())
    }
}

/// What apps get to see of a person: it travels in the session and changes with a `changed` record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The user name.
    pub user_name: String,
    /// The e-mail address that stands for the person; empty if there is none.
    pub email: String,
    /// The name to greet the person by.
    pub display_name: String,
    /// Display names of the person's groups, sorted.
    pub groups: Vec<String>,
    /// The roles that the mapping derives from the groups, sorted.
    pub roles: Vec<String>,
    /// The teams that the mapping derives from the groups, sorted.
    pub teams: Vec<String>,
    /// Further attributes, by the path under which an app of the configuration asks for them; null where the person has none.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

impl Person {
    /// What apps see of someone with this profile in these groups.
    #[must_use]
    pub fn of(profile: &Profile, mut groups: Vec<String>) -> Self {
        groups.sort_unstable();
        Self {
            user_name: profile.user_name.clone(),
            email: profile.email().unwrap_or_default().to_owned(),
            display_name: profile.display_name(),
            groups,
            roles: Vec::new(),
            teams: Vec::new(),
            claims: Map::new(),
        }
    }

    /// The person with these roles and teams.
    #[must_use]
    pub fn with_access(self, access: Access) -> Self {
        let texts = |names: BTreeSet<AccessName>| names.into_iter().map(String::from).collect();
        Self { roles: texts(access.roles), teams: texts(access.teams), ..self }
    }

    /// The person with the attributes that apps ask for.
    #[must_use]
    pub fn with_claims<'p>(self, paths: impl IntoIterator<Item = &'p AttributePath>, profile: &Profile) -> Self {
        let claim = |path: &AttributePath| (path.to_string(), path.of(profile).unwrap_or(Value::Null));
        Self { claims: paths.into_iter().map(claim).collect(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(attributes: &Value) -> Profile {
        Profile {
            user_name: "Babs@acme.com".into(),
            external_id: None,
            active: true,
            attributes: attributes.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn the_primary_address_stands_before_the_one_for_work_and_the_first() {
        let emails = |list: Value| profile(&serde_json::json!({ "emails": list })).email().map(str::to_owned);

        assert_eq!(emails(serde_json::json!([{"value":"a@x.io"},{"value":"b@x.io","primary":true}])).as_deref(), Some("b@x.io"));
        assert_eq!(emails(serde_json::json!([{"value":"a@x.io"},{"value":"b@x.io","type":"work"}])).as_deref(), Some("b@x.io"));
        assert_eq!(emails(serde_json::json!([{"type":"work"},{"value":"c@x.io"}])).as_deref(), Some("c@x.io"));
        assert_eq!(emails(serde_json::json!([])).as_deref(), Some("Babs@acme.com"));
    }

    #[test]
    fn a_person_without_a_display_name_is_greeted_by_what_there_is() {
        assert_eq!(profile(&serde_json::json!({"displayName":"Babs"})).display_name(), "Babs");
        assert_eq!(
            profile(&serde_json::json!({"name":{"givenName":"Barbara","familyName":"Jensen"}})).display_name(),
            "Barbara Jensen"
        );
        assert_eq!(profile(&serde_json::json!({"displayName":" "})).display_name(), "Babs@acme.com");
    }

    #[test]
    fn a_person_of_before_there_were_claims_reads_and_one_without_any_is_written_as_then() {
        let before = r#"{"user_name":"a","email":"","display_name":"A","groups":["g"],"roles":[],"teams":[]}"#;

        let person: Person = serde_json::from_str(before).unwrap();

        assert_eq!((person.groups.as_slice(), person.claims.len()), (["g".to_owned()].as_slice(), 0));
        assert_eq!(serde_json::to_string(&person).unwrap(), before);
    }

    #[test]
    fn a_person_carries_what_is_asked_for_and_null_for_what_is_not_there() {
        let profile = profile(&serde_json::json!({ "userType": "Premium", "title": "CEO" }));
        let paths: Vec<AttributePath> = ["userType", "nickName"].iter().map(|path| path.parse().unwrap()).collect();

        let person = Person::of(&profile, Vec::new()).with_claims(&paths, &profile);

        assert_eq!(Value::Object(person.claims), serde_json::json!({ "userType": "Premium", "nickName": null }));
    }
}
