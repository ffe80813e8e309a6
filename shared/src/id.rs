//! Identifiers as types: each is parsed at the edge and then trusted. None of them is a secret.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a slug.
    #[error("{what} must be 1 to 63 characters of a-z, 0-9 and '-'")]
    Slug {
        /// Which identifier.
        what: &'static str,
    },
    /// Not the text of one of our record ids.
    #[error("{what} is not one of ours")]
    Record {
        /// Which identifier.
        what: &'static str,
    },
}

fn is_slug(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $valid:expr, $error:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the text of an identifier.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(IdError::$error { what: $what }) }
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    };
}

macro_rules! record_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        text_id!($(#[$doc])* $name, $what, is_record_id, Record);

        impl $name {
            /// Makes a new identifier: a UUID of version 7, so that records sort by their creation.
            #[must_use]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7().to_string().into())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}

/// Only the canonical spelling is an id: another spelling of the same UUID would be a second name of one record.
fn is_record_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-')) && uuid::Uuid::try_parse(text).is_ok()
}

fn is_session_id(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn is_hex_128(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A slug has no dot.
fn is_client_id(text: &str) -> bool {
    text.split_once('.').is_some_and(|(workspace, random)| is_slug(workspace) && is_hex_128(random))
}

text_id!(
    /// The tenant: a slug chosen by the operator, never with `_` (Okta refuses base URLs that have one).
    WorkspaceId, "a workspace id", is_slug, Slug
);
text_id!(
    /// One OpenID provider registered in a workspace; unique in the deployment, since its redirect URI carries no workspace.
    ConnectionId, "a connection id", is_slug, Slug
);
text_id!(
    /// A session, by the base64url of the SHA-256 of its secret: it can be logged and stored, the secret cannot be had from it.
    SessionId, "a session id", is_session_id, Record
);
text_id!(
    /// The incarnation of the revocation log: 128 random bits in hexadecimal. A restored database gets a new one.
    Generation, "a generation", is_hex_128, Record
);
text_id!(
    /// An OAuth client of a workspace: `{workspace}.{128 random bits in hexadecimal}`, so that it names whose it is.
    OAuthClientId, "an OAuth client id", is_client_id, Record
);
record_id!(
    /// A person in one workspace.
    UserId, "a user id"
);
record_id!(
    /// A group of the identity provider.
    GroupId, "a group id"
);
record_id!(
    /// A SCIM bearer token's record.
    TokenId, "a token id"
);
record_id!(
    /// One start of one gateway process.
    ReplicaId, "a replica id"
);
record_id!(
    /// A record of the audit trail.
    AuditId, "an audit id"
);
record_id!(
    /// An entry of the provisioning log.
    EntryId, "an id of the provisioning log"
);
record_id!(
    /// A notice to one recipient.
    NoticeId, "a notice id"
);

impl Generation {
    /// Makes a new, random generation.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string().into())
    }
}

impl OAuthClientId {
    /// Makes a new identifier of a client of this workspace.
    #[must_use]
    pub fn random(workspace: &WorkspaceId) -> Self {
        Self(format!("{workspace}.{}", uuid::Uuid::new_v4().simple()).into())
    }

    /// The workspace that it names.
    #[must_use]
    pub fn workspace(&self) -> WorkspaceId {
        WorkspaceId(self.0.split('.').next().unwrap_or_default().into())
    }
}

impl SessionId {
    /// The identifier of the session with this secret.
    #[must_use]
    pub fn of_secret(secret: &[u8; 32]) -> Self {
        use base64::Engine as _;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret);
        Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_id_is_a_slug_without_underscores() {
        for good in ["a", "acme", "acme-2", &"x".repeat(63)] {
            assert!(WorkspaceId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "Acme", "a_b", "a.b", "a/b", "é", " a", &"x".repeat(64)] {
            assert!(WorkspaceId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_record_id_has_one_spelling() {
        let id = UserId::new();

        assert_eq!(UserId::parse(id.as_str()).as_ref(), Ok(&id));
        assert!(UserId::parse(&id.as_str().to_uppercase()).is_err());
        assert!(UserId::parse(&id.as_str().replace('-', "")).is_err());
        assert!(UserId::parse("1").is_err());
    }

    #[test]
    fn a_client_id_names_its_workspace_and_has_one_spelling() {
        let acme = WorkspaceId::parse("acme-2").unwrap();
        let id = OAuthClientId::random(&acme);

        assert_eq!(OAuthClientId::parse(id.as_str()).as_ref(), Ok(&id));
        assert_eq!(id.workspace(), acme);
        let random = id.as_str().strip_prefix("acme-2.").unwrap();
        for bad in ["", "acme-2", random, &format!(".{random}"), &format!("Acme.{random}"), &format!("a.b.{random}"), "acme-2.x"]
        {
            assert!(OAuthClientId::parse(bad).is_err(), "{bad}");
        }
        assert!(OAuthClientId::parse(&id.as_str().to_uppercase()).is_err());
    }

    #[test]
    fn a_session_id_is_the_digest_of_its_secret() {
        let id = SessionId::of_secret(&[7; 32]);

        assert_eq!(SessionId::parse(id.as_str()), Ok(id.clone()));
        assert_ne!(id, SessionId::of_secret(&[8; 32]));
    }
}
