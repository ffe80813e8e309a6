//! The connection: one OpenID provider registered in a workspace, and the rule by which a first sign-in finds its person.

use std::{fmt, str::FromStr};

use super::words;
use crate::{
    clock::Timestamp,
    id::{ConnectionId, WorkspaceId},
};

words! {
    /// Which provider it is, for defaults and for the words on the tutorial.
    Preset, "preset" {
        /// Microsoft Entra ID.
        Entra = "entra",
        /// Okta.
        Okta = "okta",
        /// Google Workspace.
        Google = "google",
        /// OneLogin.
        OneLogin = "onelogin",
        /// JumpCloud.
        JumpCloud = "jumpcloud",
        /// Keycloak.
        Keycloak = "keycloak",
        /// Any other OpenID provider.
        Generic = "generic",
    }
}

impl Preset {
    /// The link rule that fits the provider unless told otherwise: Entra's `sub` differs per application, `oid` does not.
    #[must_use]
    pub fn link(self) -> Link {
        match self {
            Self::Entra => Link::ExternalId { claim: "oid".to_owned() },
            Self::Okta | Self::Google | Self::OneLogin | Self::JumpCloud | Self::Keycloak | Self::Generic => {
                Link::ExternalId { claim: "sub".to_owned() }
            }
        }
    }
}

words! {
    /// Whether people can sign in through it.
    ConnectionState, "connection state" {
        /// Still without issuer or client: it has a redirect URI to give to the provider.
        Draft = "draft",
        /// In use.
        Active = "active",
        /// Switched off: no sign-in, and the sessions made through it have ended.
        Disabled = "disabled",
    }
}

/// How a first sign-in finds the provisioned person. It links once; later sign-ins go by (connection, issuer, subject) alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The claim's value equals the person's `externalId`.
    ExternalId {
        /// The ID token's claim.
        claim: String,
    },
    /// The verified e-mail address, in a domain that the workspace has proven to own, equals the person's.
    Email,
    /// Nobody is linked by signing in; an admin links.
    None,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExternalId { claim } => write!(f, "externalId={claim}"),
            Self::Email => f.write_str("email"),
            Self::None => f.write_str("none"),
        }
    }
}

/// Not a link rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no link rule; write externalId=CLAIM (for example externalId=oid), email or none")]
pub struct LinkError(String);

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        match text.split_once('=') {
            Some(("externalId", claim)) if !claim.is_empty() => Ok(Self::ExternalId { claim: claim.to_owned() }),
            None if text == "email" => Ok(Self::Email),
            None if text == "none" => Ok(Self::None),
            Some(_) | None => Err(LinkError(text.to_owned())),
        }
    }
}

impl serde::Serialize for Link {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One OpenID provider registered in a workspace.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Connection {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its slug.
    pub id: ConnectionId,
    /// Which provider it is.
    pub preset: Preset,
    /// Whether people can sign in through it.
    pub state: ConnectionState,
    /// The issuer identifier, exactly as the provider's metadata has it.
    pub issuer: Option<String>,
    /// Our client id at the provider.
    pub client_id: Option<String>,
    /// Our client secret, sealed by the master key for the purpose [`Connection::SECRET_PURPOSE`]`{id}`.
    #[serde(skip)]
    pub sealed_secret: Option<String>,
    /// How a first sign-in finds its person.
    pub link: Link,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Connection {
    /// What a client secret is sealed for; the connection's id follows, so that a secret cannot be moved to another.
    pub const SECRET_PURPOSE: &str = "connection client secret:";

    /// The purpose that this connection's client secret is sealed for.
    #[must_use]
    pub fn secret_purpose(id: &ConnectionId) -> String {
        format!("{}{id}", Self::SECRET_PURPOSE)
    }

    /// What the provider needs to know of us to be used: issuer, client id and secret.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.issuer.is_some() && self.client_id.is_some() && self.sealed_secret.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_rule_prints_as_it_is_written() {
        for text in ["externalId=oid", "externalId=sub", "email", "none"] {
            assert_eq!(text.parse::<Link>().unwrap().to_string(), text);
        }
        for bad in ["", "externalId", "externalId=", "Email", "sub"] {
            assert!(bad.parse::<Link>().is_err(), "{bad}");
        }
    }

    #[test]
    fn entra_links_by_its_object_id() {
        assert_eq!(Preset::Entra.link().to_string(), "externalId=oid");
        assert_eq!(Preset::Okta.link().to_string(), "externalId=sub");
    }
}
