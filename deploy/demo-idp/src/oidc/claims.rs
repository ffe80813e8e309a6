//! What the provider says about a person, in ID tokens and at the user info endpoint.

use serde::Serialize;

use super::grants::Grant;
use crate::{directory::Person, random};

/// The claims about the person.
#[derive(Debug, Serialize)]
pub(super) struct PersonClaims {
    sub: String,
    oid: String,
    email: String,
    email_verified: bool,
    name: String,
    given_name: String,
    family_name: String,
    preferred_username: String,
}

impl PersonClaims {
    pub(super) fn of(person: &Person) -> Self {
        Self {
            sub: subject(person),
            oid: person.id.to_string(),
            email: person.email.clone(),
            email_verified: true,
            name: person.name(),
            given_name: person.given_name.clone(),
            family_name: person.family_name.clone(),
            preferred_username: person.user_name.clone(),
        }
    }
}

/// An ID token; OpenID Connect Core 1.0, section 2.
#[derive(Debug, Serialize)]
pub(super) struct IdToken<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    auth_time: i64,
    sid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(flatten)]
    person: PersonClaims,
}

impl<'a> IdToken<'a> {
    pub(super) fn new(issuer: &'a str, grant: &'a Grant, person: &Person, iat: i64, life: i64) -> Self {
        Self {
            iss: issuer,
            aud: &grant.client_id,
            iat,
            exp: iat + life,
            auth_time: grant.auth_time.timestamp(),
            sid: &grant.sid,
            nonce: grant.nonce.as_deref(),
            person: PersonClaims::of(person),
        }
    }
}

/// The subject is not the object id, so that nobody takes the one for the other.
fn subject(person: &Person) -> String {
    random::sha256_url(&format!("subject:{}", person.id))
}
