//! What can go wrong outside the protocols: starting, and changing the directory.

use std::{io, net::SocketAddr};

use crate::random::NoRandomness;

/// Why the provider or the sample app did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No key pair could be made.
    #[error("cannot make a signing key")]
    Key,
    /// No secret could be made.
    #[error(transparent)]
    Random(#[from] NoRandomness),
    /// The HTTP client of the SCIM side could not be built.
    #[error("cannot build the SCIM client")]
    Http(#[source] reqwest::Error),
    /// The public address, the SCIM base or a similar URL is not usable.
    #[error(transparent)]
    Url(#[from] BadUrl),
}

/// A URL that this provider cannot use.
#[derive(Debug, thiserror::Error)]
#[error("{url:?} must be an absolute http URL without query or fragment")]
pub struct BadUrl {
    /// What was given.
    pub url: String,
}

/// Why a change of the directory was refused; nothing was changed then, and nothing sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// Nobody has this object id or user name.
    #[error("there is no person {0:?} in the directory")]
    NoPerson(String),
    /// No group has this name or object id.
    #[error("there is no group {0:?} in the directory")]
    NoGroup(String),
    /// Somebody else has this user name.
    #[error("the user name {0:?} is already taken")]
    Taken(String),
    /// A name is empty, too long or has characters that names do not have.
    #[error("{field} must have 1 to 64 visible characters")]
    BadName {
        /// Which field.
        field: &'static str,
    },
    /// A user name is not of the form `name@domain`.
    #[error("the user name must look like name@domain, in up to 128 characters")]
    BadUserName,
    /// The directory is a demo's, kept in memory, and bounded.
    #[error("this directory is full")]
    Full,
}
