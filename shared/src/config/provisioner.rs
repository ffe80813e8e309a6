//! `[provisioner]`: where it listens and how providers reach it.

use std::net::SocketAddr;

use super::{
    error::{ConfigError, Problem},
    gateway::local,
    reader::Section,
    values::PublicUrl,
};

/// `[provisioner]` as written; what has no default may be missing, since other programs read the same file.
#[derive(Debug, Clone)]
pub struct ProvisionerSection {
    /// Where the public listener is.
    pub listen: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub ops_listen: SocketAddr,
    /// Where providers reach the provisioner.
    pub public_url: Option<PublicUrl>,
}

/// The provisioner's settings, complete.
#[derive(Debug, Clone)]
pub struct Provisioner {
    /// Where the public listener is.
    pub listen: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub ops_listen: SocketAddr,
    /// Where providers reach the provisioner.
    pub public_url: PublicUrl,
}

impl ProvisionerSection {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let this = Self {
            listen: section.get("listen").unwrap_or_else(|| local(8090)),
            ops_listen: section.get("ops_listen").unwrap_or_else(|| local(8091)),
            public_url: section.get("public_url"),
        };
        section.finish();
        this
    }

    pub(super) fn complete(&self) -> Result<Provisioner, ConfigError> {
        let public_url = self.public_url.clone().ok_or(Problem::Missing {
            key: "provisioner.public_url",
            fix: "say where identity providers reach the provisioner, such as \"https://scim.example.com\"",
        })?;
        Ok(Provisioner { listen: self.listen, ops_listen: self.ops_listen, public_url })
    }
}
