//! The provisioner: SCIM writes from a workspace's identity provider, and what follows from them.

mod authorization;
pub mod journal;
pub mod limits;
pub mod mail;
pub mod oauth;
pub mod ops;
pub mod policy;
pub mod scim;
pub mod serve;
pub mod service;
