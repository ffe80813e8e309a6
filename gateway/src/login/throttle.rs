//! How often passwords may be tried: from one network and for one account. It counts attempts, not failures, so that it says
//! nothing of whether an account exists.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{Quota, RateLimiter, clock::Clock, middleware::NoOpMiddleware, state::keyed::DashMapStateStore};
use lockstep_shared::{clock::SharedClock, model::text::EmailAddress};

/// From one address: a company's whole network may stand behind it.
const BY_ADDRESS: u32 = 30;
const ADDRESS_EVERY: Duration = Duration::from_secs(2);
/// For one account: ten at once, then one every minute and a half, about a thousand a day.
const BY_ACCOUNT: u32 = 10;
const ACCOUNT_EVERY: Duration = Duration::from_secs(90);
/// Who has been quiet long enough is forgotten every so many attempts.
const FORGET_EVERY: u32 = 1024;

/// The boot-time clock, as the limiters read it.
#[derive(Debug, Clone)]
struct BootClock(SharedClock);

impl Clock for BootClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.boot().0
    }
}

type Limiter<K> = RateLimiter<K, DashMapStateStore<K>, BootClock, NoOpMiddleware<Duration>>;

/// How often passwords may be tried.
#[derive(Debug)]
pub(crate) struct Throttle {
    clock: BootClock,
    addresses: Limiter<IpAddr>,
    accounts: Limiter<String>,
    attempts: AtomicU32,
}

impl Throttle {
    pub(super) fn new(clock: SharedClock) -> Self {
        let clock = BootClock(clock);
        Self {
            addresses: RateLimiter::dashmap_with_clock(quota(BY_ADDRESS, ADDRESS_EVERY), clock.clone()),
            accounts: RateLimiter::dashmap_with_clock(quota(BY_ACCOUNT, ACCOUNT_EVERY), clock.clone()),
            clock,
            attempts: AtomicU32::new(0),
        }
    }

    /// Counts an attempt; `Err` is how long to wait before the next.
    pub(super) fn attempt(&self, from: IpAddr, account: &EmailAddress) -> Result<(), Duration> {
        self.attempt_from(from)?;
        let account = account.as_str().to_owned();
        self.accounts.check_key(&account).map_err(|until| until.wait_time_from(self.clock.now()))
    }

    /// Counts an attempt that names no account.
    pub(super) fn attempt_from(&self, from: IpAddr) -> Result<(), Duration> {
        if self.attempts.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.addresses.retain_recent();
            self.accounts.retain_recent();
        }
        self.addresses.check_key(&network(from)).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

fn quota(burst: u32, every: Duration) -> Quota {
    let burst = NonZeroU32::MIN.saturating_add(burst.saturating_sub(1));
    Quota::with_period(every).unwrap_or(Quota::per_minute(NonZeroU32::MIN)).allow_burst(burst)
}

/// One subscriber has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::clock::TestClock;

    use super::*;

    fn account(text: &str) -> EmailAddress {
        EmailAddress::parse(text).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_account_is_tried_ten_times_and_then_every_ninety_seconds() {
        let clock = TestClock::new();
        let throttle = Throttle::new(clock.clone());
        let from = |n: u8| IpAddr::from([192, 0, 2, n]);

        for n in 0..10 {
            throttle.attempt(from(n), &account("Ada@acme.com")).unwrap();
        }
        let wait = throttle.attempt(from(10), &account("ada@ACME.com")).unwrap_err();
        assert!(wait > Duration::from_secs(80) && wait <= ACCOUNT_EVERY, "{wait:?}");
        throttle.attempt(from(10), &account("bob@acme.com")).unwrap();

        clock.advance(wait);
        throttle.attempt(from(11), &account("ada@acme.com")).unwrap();
        throttle.attempt(from(11), &account("ada@acme.com")).unwrap_err();
    }

    #[test]
    fn g09_one_network_is_limited_whatever_accounts_it_names() {
        let throttle = Throttle::new(TestClock::new());

        for n in 0..BY_ADDRESS {
            throttle.attempt(address(&format!("2001:db8::{n:x}")), &account(&format!("user{n}@acme.com"))).unwrap();
        }

        throttle.attempt(address("2001:db8::ffff:1"), &account("another@acme.com")).unwrap_err();
        throttle.attempt(address("2001:db8:0:1::1"), &account("another@acme.com")).unwrap();
        throttle.attempt(address("192.0.2.1"), &account("another@acme.com")).unwrap();
    }

    #[test]
    fn who_has_been_quiet_is_forgotten() {
        let clock = TestClock::new();
        let throttle = Throttle::new(clock.clone());
        for n in 0..FORGET_EVERY - 1 {
            let _ = throttle.attempt_from(IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(throttle.addresses.len(), usize::try_from(FORGET_EVERY - 1).unwrap());

        clock.advance(Duration::from_hours(1));
        throttle.attempt_from(address("192.0.2.1")).unwrap();

        assert_eq!(throttle.addresses.len(), 1);
    }
}
