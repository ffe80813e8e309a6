//! The address that a request counts for: one that its sender cannot choose.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::request::Parts;
use lockstep_shared::{
    config::Config,
    http::client_addr::{TrustedProxies, client_of},
};

/// The proxies in front; those of the gateway, unless the provisioner has its own.
pub(crate) fn proxies_of(config: &Config) -> TrustedProxies {
    let own = config.provisioner.trusted_proxies.as_deref();
    TrustedProxies::new(own.or(config.gateway.trusted_proxies.as_deref()).unwrap_or_default())
}

/// Where a request comes from, as far as these proxies can be believed.
pub(crate) fn address_of(parts: &Parts, proxies: &TrustedProxies) -> Option<IpAddr> {
    let ConnectInfo(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>()?;
    let client = client_of(peer.ip(), &parts.uri, &parts.headers, proxies);
    Some(client.map_or(peer.ip(), |client| client.address.for_limits()))
}
