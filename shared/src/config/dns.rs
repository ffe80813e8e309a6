//! `[dns]`: who is asked for the records by which a workspace proves its domains.

use std::net::SocketAddr;

use super::{reader::Section, values::NameServer};

/// `[dns]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// The name servers; the system's where empty.
    pub servers: Vec<SocketAddr>,
}

impl Dns {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let servers = section.list::<NameServer>("servers").unwrap_or_default();
        section.finish();
        Self { servers: servers.into_iter().map(|server| server.0).collect() }
    }
}
