//! `[outbound]`: whom our own HTTP client may call. Nothing here widens more than it says: a host that may be called over
//! plain http must still resolve to a public address, unless `allow_networks` has it.

use std::path::PathBuf;

use ipnet::IpNet;

use super::{reader::Section, values::HostName};

/// `[outbound]`. The default is https to public addresses alone.
#[derive(Debug, Clone, Default)]
pub struct OutboundConfig {
    /// Hosts that may be called without TLS.
    pub allow_http_hosts: Vec<HostName>,
    /// Networks that may be called although they are not public.
    pub allow_networks: Vec<IpNet>,
    /// Certificate authorities to trust besides the system's, in PEM.
    pub ca_file: Option<PathBuf>,
}

impl OutboundConfig {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let this = Self {
            allow_http_hosts: section.list("allow_http_hosts").unwrap_or_default(),
            allow_networks: section.list("allow_networks").unwrap_or_default(),
            ca_file: section.path("ca_file"),
        };
        section.finish();
        this
    }
}
