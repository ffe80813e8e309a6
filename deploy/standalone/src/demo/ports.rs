//! The ports of the demo: the usual ones, which its text can name, or free ones. A browser asks `localhost` over IPv6 first, so a
//! port is only free if nobody has it there either.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    ops::Range,
};

use lockstep_shared::secret::random;

use super::DemoError;

/// Below what systems give to outgoing connections, so that none of those takes a port before it is listened on.
const FREE: Range<u16> = 17_000..32_000;

/// Where everything listens, on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The gateway.
    pub gateway: u16,
    /// The gateway's `/livez`, `/readyz` and `/metrics`.
    pub gateway_ops: u16,
    /// The provisioner.
    pub provisioner: u16,
    /// The provisioner's `/livez`, `/readyz` and `/metrics`.
    pub provisioner_ops: u16,
    /// The identity provider.
    pub provider: u16,
}

/// Ports that other programs have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Taken(Vec<(u16, &'static str)>);

impl Taken {
    /// The first of them.
    #[must_use]
    pub fn first(&self) -> u16 {
        self.0.first().map_or(0, |(port, _)| *port)
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.0.iter().map(|(port, whose)| format!("{port} ({whose})")).collect();
        match named.as_slice() {
            [only] => write!(f, "another program listens on port {only}"),
            several => write!(f, "other programs listen on the ports {}", several.join(", ")),
        }
    }
}

impl Ports {
    /// The ports that everything listens on unless told otherwise.
    #[must_use]
    pub fn usual() -> Self {
        Self { gateway: 8080, gateway_ops: 8081, provisioner: 8090, provisioner_ops: 8091, provider: 8100 }
    }

    /// Five ports that nobody has now.
    pub fn free() -> Result<Self, DemoError> {
        let [high, low] = random::<2>().map_err(DemoError::Randomness)?;
        let first = FREE.start + u16::from_be_bytes([high, low]) % (FREE.end - FREE.start);
        let mut found = (first..FREE.end).chain(FREE.start..first).filter(|port| !is_taken(*port));
        let mut next = || found.next().ok_or(DemoError::NoPort);
        Ok(Self { gateway: next()?, gateway_ops: next()?, provisioner: next()?, provisioner_ops: next()?, provider: next()? })
    }

    /// Whether all of them can be had.
    pub fn check(&self) -> Result<(), Taken> {
        let named = [
            (self.gateway, "gateway"),
            (self.gateway_ops, "gateway, ops"),
            (self.provisioner, "provisioner"),
            (self.provisioner_ops, "provisioner, ops"),
            (self.provider, "identity provider"),
        ];
        let taken: Vec<_> = named.into_iter().filter(|(port, _)| is_taken(*port)).collect();
        if taken.is_empty() { Ok(()) } else { Err(Taken(taken)) }
    }
}

fn is_taken(port: u16) -> bool {
    // A machine without IPv6 refuses otherwise than with "in use".
    [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)]
        .into_iter()
        .any(|address| TcpListener::bind((address, port)).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_five_and_can_be_had() {
        let ports = Ports::free().unwrap();
        let mut all = vec![ports.gateway, ports.gateway_ops, ports.provisioner, ports.provisioner_ops, ports.provider];
        all.sort_unstable();
        all.dedup();

        assert_eq!(all.len(), 5);
        assert_eq!(ports.check(), Ok(()));
    }

    #[test]
    fn every_taken_port_is_named() {
        let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let two = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (gateway, provider) = (one.local_addr().unwrap().port(), two.local_addr().unwrap().port());

        let taken = Ports { gateway, provider, ..Ports::free().unwrap() }.check().unwrap_err();

        assert_eq!(
            taken.to_string(),
            format!("other programs listen on the ports {gateway} (gateway), {provider} (identity provider)")
        );
    }
}
