//! Cuts every stream at the end of the lease, to the moment: a renewal that hangs must not hold that up. It signs nobody out; the
//! next request is judged anew.

use std::{sync::Arc, time::Duration};

use lockstep_shared::clock::SharedClock;

use super::{Lease, Moment};
use crate::session::streams::Streams;

/// A lease that is given up early, or by a clock that jumps, is noticed within this.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Watches the lease for as long as it is polled.
pub async fn cut_at_the_end(lease: Arc<Lease>, streams: Streams, clock: SharedClock) {
    loop {
        let left = lease.term().left(Moment::now(&*clock));
        if left.is_zero() {
            streams.cut_all();
        }
        tokio::time::sleep(if left.is_zero() { LOOK_EVERY } else { left.min(LOOK_EVERY) }).await;
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::{clock::TestClock, id::Generation, model::revocation::Seq};

    use super::*;
    use crate::session::streams::Standing;

    #[tokio::test]
    async fn a_stream_is_cut_when_the_lease_ends_though_no_renewal_returns() {
        let (lease, streams, clock) = (Arc::new(Lease::default()), Streams::default(), TestClock::new());
        lease.grant(Moment::now(&*clock), Duration::from_secs(3));
        let standing = Standing { generation: Generation::random(), mint_seq: Seq(0), keys: [].into(), terms: None };
        let ticket = streams.open(standing);
        let watching = tokio::spawn(cut_at_the_end(lease, streams, clock.clone()));
        tokio::task::yield_now().await;
        assert!(!ticket.token().is_cancelled(), "the lease runs");

        clock.advance(Duration::from_secs(3));
        let cut = tokio::time::timeout(Duration::from_secs(5), ticket.cut()).await;

        assert!(cut.is_ok());
        watching.abort();
    }
}
