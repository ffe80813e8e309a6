//! Who has shown a good credential lately, and how often unknown ones may be tried from one address. A good client is never
//! limited for what others do from its address, whose behind one load balancer may be everybody's.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher as _,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use lockstep_shared::clock::BootTime;

use super::rate::{Pace, Rates};

/// Unknown credentials from one address: a thousand at once, then a hundred in a second. Trying 256 bits out is hopeless at any
/// pace; this keeps the database free.
const PACE: Pace = Pace { every: Duration::from_millis(10), burst: Duration::from_secs(10) };
/// Good credentials that are remembered; more begin anew.
const KNOWN: usize = 10_000;

/// A workspace and a credential for it, by a hash whose key nobody knows and which is written down nowhere. It opens nothing: two
/// that fell together would only be limited as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Visitor(u64);

/// Those of one door.
#[derive(Debug)]
pub(crate) struct Strangers {
    hasher: RandomState,
    known: Mutex<HashSet<Visitor>>,
    addresses: Rates<IpAddr>,
}

impl Default for Strangers {
    fn default() -> Self {
        Self { hasher: RandomState::default(), known: Mutex::default(), addresses: Rates::new(PACE) }
    }
}

impl Strangers {
    /// Who comes with this credential.
    pub(crate) fn visitor(&self, workspace: &str, credential: &[u8]) -> Visitor {
        Visitor(self.hasher.hash_one((workspace, credential)))
    }

    /// Whether this credential was good lately.
    pub(crate) fn knows(&self, visitor: Visitor) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&visitor)
    }

    /// Notes that a credential is good, or no longer.
    pub(crate) fn note(&self, visitor: Visitor, is_good: bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if is_good {
            if known.len() >= KNOWN {
                known.clear();
            }
            known.insert(visitor);
        } else {
            known.remove(&visitor);
        }
    }

    /// Counts an unknown credential from this address; `Err` is how long to wait before the next.
    pub(crate) fn attempt(&self, from: Option<IpAddr>, now: BootTime) -> Result<(), Duration> {
        self.addresses.take(from.map(network), now)
    }
}

/// One subscriber has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::super::rate::REMEMBERED;
    use super::*;

    const NOW: BootTime = BootTime(Duration::from_hours(1));

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn attempts(strangers: &Strangers, from: IpAddr) -> usize {
        (0..10_000).take_while(|_| strangers.attempt(Some(from), NOW).is_ok()).count()
    }

    #[test]
    fn one_network_may_try_a_thousand_and_another_is_not_touched() {
        let strangers = Strangers::default();

        assert_eq!(attempts(&strangers, address("2001:db8::1")), 1_000);
        assert_eq!(attempts(&strangers, address("2001:db8::ffff:1")), 0, "the same /64");
        assert_eq!(attempts(&strangers, address("192.0.2.1")), 1_000);
        assert_eq!(attempts(&strangers, address("::ffff:192.0.2.1")), 0, "the same address");
        assert_eq!(strangers.attempt(Some(address("192.0.2.1")), NOW.plus(PACE.every)), Ok(()));
    }

    #[test]
    fn more_addresses_than_are_remembered_share_one_allowance() {
        let strangers = Strangers::default();
        for n in 0..u32::try_from(REMEMBERED).unwrap() {
            strangers.attempt(Some(IpAddr::from(n.to_be_bytes())), NOW).unwrap();
        }

        let further = (0..2_000u32).filter(|n| strangers.attempt(Some(IpAddr::from((n + 1_000_000).to_be_bytes())), NOW).is_ok());
        assert_eq!(further.count(), 1_000);
        assert!(strangers.addresses.remembered() <= REMEMBERED + 1);

        strangers.attempt(Some(address("203.0.113.9")), NOW.plus(Duration::from_mins(1))).unwrap();
        assert_eq!(strangers.addresses.remembered(), 1, "who was quiet is forgotten");
    }

    #[test]
    fn a_visitor_is_a_workspace_and_a_credential() {
        let strangers = Strangers::default();
        let visitor = strangers.visitor("acme", b"Bearer 1");

        strangers.note(visitor, true);
        assert!(strangers.knows(visitor) && strangers.knows(strangers.visitor("acme", b"Bearer 1")));
        for other in [strangers.visitor("other", b"Bearer 1"), strangers.visitor("acme", b"Bearer 2")] {
            assert!(!strangers.knows(other));
        }
        strangers.note(visitor, false);
        assert!(!strangers.knows(visitor));
    }
}
