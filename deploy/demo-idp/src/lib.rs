//! A small but real identity provider for the demo and the tests: an OpenID provider, a company directory with a page to
//! switch people on and off, and the SCIM client that then sends what Microsoft Entra ID would send. Everything lives in
//! memory. It asks nobody for a password, so it must never stand before anything but a demo.

mod directory;
mod error;
mod oidc;
mod provider;
mod random;
mod sample;
mod sample_app;
mod scim;
mod serve;
mod web;

#[cfg(test)]
mod tests;

pub use directory::{Directory, Group, GroupId, NewPerson, Person, PersonId};
pub use error::{BadUrl, DirectoryError, StartError};
pub use oidc::Client;
pub use provider::{DemoProvider, Options, Running, ScimSettings};
pub use random::NoRandomness;
pub use sample::acme;
pub use sample_app::{RunningApp, SampleApp, SampleAppOptions};
pub use scim::{Action, Exchange, SyncReport};
