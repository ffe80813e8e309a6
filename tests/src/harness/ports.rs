//! Free ports of loopback, taken below the range of outgoing connections, so that a part can come back on its own port.

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, OnceLock, PoisonError},
};

use rand::Rng;

use super::HarnessError;

/// Linux gives 32768 and above to outgoing connections; these stay free for listeners.
const FIRST: u16 = 17_000;
const LAST: u16 = 32_000;

/// A port on which nobody listens, and which this process has not handed out before.
pub fn free() -> Result<u16, HarnessError> {
    Ok(taken()?.local_addr()?.port())
}

/// A listener on such a port, for a server of this process. It is the one that found the port: bound anew, it could meet its own
/// shadow in a child that was being started meanwhile.
pub fn listen() -> Result<tokio::net::TcpListener, HarnessError> {
    let listener = taken()?;
    listener.set_nonblocking(true)?;
    Ok(tokio::net::TcpListener::from_std(listener)?)
}

fn taken() -> Result<TcpListener, HarnessError> {
    static NEXT: OnceLock<Mutex<u16>> = OnceLock::new();
    // Test processes side by side start at different places.
    let next = NEXT.get_or_init(|| Mutex::new(rand::rng().random_range(FIRST..LAST)));
    let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in FIRST..LAST {
        let port = *next;
        *next = if port + 1 < LAST { port + 1 } else { FIRST };
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return Ok(listener);
        }
    }
    Err(HarnessError::Missing("a free port".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_handed_out_once() {
        let ports: Vec<u16> = (0..50).map(|_| free().unwrap()).collect();

        let mut distinct = ports.clone();
        distinct.sort_unstable();
        distinct.dedup();

        assert_eq!(distinct.len(), ports.len());
    }
}
