//! `[gateway]`: where it listens, how it is reached, whom it believes about the client, how long sessions last.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;

use super::{
    error::{ConfigError, Problem},
    reader::Section,
    values::{PublicUrl, format_duration},
};

/// How long a session lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// A session that is not used for this long is over. 12 hours unless set: a working day with its breaks.
    pub idle: Duration,
    /// A session this old is over, used or not. 24 hours unless set.
    pub absolute: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { idle: Duration::from_hours(12), absolute: Duration::from_hours(24) }
    }
}

/// `[gateway]` as written; what has no default may be missing, since other programs read the same file.
#[derive(Debug, Clone)]
pub struct GatewaySection {
    /// Where the public listener is.
    pub listen: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub ops_listen: SocketAddr,
    /// Where Envoy's external authorization is, if anywhere.
    pub grpc_listen: Option<SocketAddr>,
    /// Where browsers reach the gateway.
    pub public_url: Option<PublicUrl>,
    /// Whose forwarded headers are believed.
    pub trusted_proxies: Option<Vec<IpNet>>,
    /// How long sessions last.
    pub sessions: SessionLimits,
}

/// The gateway's settings, complete.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Where the public listener is.
    pub listen: SocketAddr,
    /// Where `/livez`, `/readyz` and `/metrics` are.
    pub ops_listen: SocketAddr,
    /// Where Envoy's external authorization is, if anywhere.
    pub grpc_listen: Option<SocketAddr>,
    /// Where browsers reach the gateway.
    pub public_url: PublicUrl,
    /// Whose forwarded headers are believed; may be nobody's.
    pub trusted_proxies: Vec<IpNet>,
    /// How long sessions last.
    pub sessions: SessionLimits,
}

const NO_PUBLIC_URL: Problem = Problem::Missing {
    key: "gateway.public_url",
    fix: "say where browsers reach the gateway, such as \"https://login.example.com\"",
};

// CVE-2026-40575: a proxy that trusts everybody unless told otherwise lets every client choose its own address and path.
const NO_TRUSTED_PROXIES: Problem = Problem::Missing {
    key: "gateway.trusted_proxies",
    fix: "list the addresses or networks of the reverse proxies in front, such as [\"10.0.0.0/8\"], or write [] if clients reach \
          the gateway directly",
};

impl GatewaySection {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let this = Self {
            listen: section.get("listen").unwrap_or_else(|| local(8080)),
            ops_listen: section.get("ops_listen").unwrap_or_else(|| local(8081)),
            grpc_listen: section.get("grpc_listen"),
            public_url: section.get("public_url"),
            trusted_proxies: section.list("trusted_proxies"),
            sessions: read_sessions(section.section("sessions")),
        };
        section.finish();
        this
    }

    pub(super) fn require_public_url(&self) -> Result<&PublicUrl, ConfigError> {
        self.public_url.as_ref().ok_or_else(|| NO_PUBLIC_URL.into())
    }

    pub(super) fn complete(&self) -> Result<Gateway, ConfigError> {
        let (Some(public_url), Some(trusted_proxies)) = (self.public_url.clone(), self.trusted_proxies.clone()) else {
            let without_url = self.public_url.is_none().then_some(NO_PUBLIC_URL);
            let without_proxies = self.trusted_proxies.is_none().then_some(NO_TRUSTED_PROXIES);
            return Err(ConfigError::of(without_url.into_iter().chain(without_proxies).collect()));
        };
        Ok(Gateway {
            listen: self.listen,
            ops_listen: self.ops_listen,
            grpc_listen: self.grpc_listen,
            public_url,
            trusted_proxies,
            sessions: self.sessions,
        })
    }
}

fn read_sessions(mut section: Section<'_>) -> SessionLimits {
    let default = SessionLimits::default();
    let absolute = section.get_with_origin::<Duration>("absolute");
    let idle = section.get_with_origin::<Duration>("idle");
    for (key, given) in [("absolute", &absolute), ("idle", &idle)] {
        if let Some((Duration::ZERO, origin)) = given {
            section.invalid(key, origin.clone(), "must be longer than nothing".to_owned());
        }
    }
    let absolute = absolute.map_or(default.absolute, |(absolute, _)| absolute);
    if let Some((idle, origin)) = &idle
        && *idle > absolute
    {
        let reason = format!("must not be longer than gateway.sessions.absolute, which is {}", format_duration(absolute));
        section.invalid("idle", origin.clone(), reason);
    }
    section.finish();
    SessionLimits { idle: idle.map_or(default.idle.min(absolute), |(idle, _)| idle), absolute }
}

/// This machine alone hears of it unless the configuration says otherwise.
pub(super) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}
