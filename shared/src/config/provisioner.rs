//! `[provisioner]`: where it listens, how providers reach it, how much a workspace may ask for, and how long its log is kept.

use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

use ipnet::IpNet;

use super::{
    error::{ConfigError, Problem},
    gateway::local,
    reader::Section,
    values::{PublicUrl, format_duration},
};

/// What a workspace may always send in a second (IPSIE, shared requirements).
const LEAST_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(24);
/// More than one workspace gets out of two cores: what it keeps off is a client that has run wild. That one workspace does not
/// slow another is seen to by turns and not by refusals, which cost a provider hours (Entra) or a change (`SailPoint`).
const DEFAULT_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(4_999);
const SHORTEST_RETENTION: Duration = Duration::from_hours(1);
const DEFAULT_RETENTION: Duration = Duration::from_hours(30 * 24);

/// `[provisioner]` as written; what has no default may be missing, since other programs read the same file.
#[derive(Debug, Clone)]
pub struct ProvisionerSection {
    /// Where the public listener is.
    pub listen: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub ops_listen: SocketAddr,
    /// Where providers reach the provisioner.
    pub public_url: Option<PublicUrl>,
    /// Whose forwarded headers are believed, where they are not the gateway's.
    pub trusted_proxies: Option<Vec<IpNet>>,
    /// How many requests a workspace may send in a second to this process.
    pub requests_per_second: NonZeroU32,
    /// How long the provisioning log is kept.
    pub log_retention: Duration,
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
            trusted_proxies: section.list("trusted_proxies"),
            requests_per_second: read_rate(&mut section),
            log_retention: read_retention(&mut section),
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

fn read_rate(section: &mut Section<'_>) -> NonZeroU32 {
    let Some((rate, origin)) = section.get_with_origin::<NonZeroU32>("requests_per_second") else { return DEFAULT_PER_SECOND };
    if rate < LEAST_PER_SECOND {
        let reason = format!("is {rate}: must be at least {LEAST_PER_SECOND}, which identity providers are promised");
        section.invalid("requests_per_second", origin, reason);
    }
    rate
}

fn read_retention(section: &mut Section<'_>) -> Duration {
    let Some((kept, origin)) = section.get_with_origin::<Duration>("log_retention") else { return DEFAULT_RETENTION };
    if kept < SHORTEST_RETENTION {
        section.invalid("log_retention", origin, format!("is \"{}\": must be at least 1h", format_duration(kept)));
    }
    kept
}
