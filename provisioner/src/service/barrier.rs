//! Where an operation waits for whom it left without access to be out. A single request waits by itself; the operations of a Bulk
//! request wait together, once, before any of them is answered.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lockstep_shared::{
    id::WorkspaceId,
    revoke::{Road, SettleError},
    store::Settlement,
};
use tokio::time::timeout;

use crate::limits::Pass;

/// A barrier at which all gateways answer takes much less.
const SOON: Duration = Duration::from_millis(500);

/// The barrier as an operation sees it. Clones share what is put off.
#[derive(Debug, Clone)]
pub(super) struct Barrier {
    road: Road,
    put_off: Option<Arc<Mutex<Settlement>>>,
    /// The request's right to be worked on.
    pass: Option<Arc<Pass>>,
}

impl Barrier {
    /// The barrier of a single request.
    pub(super) fn of(road: Road) -> Self {
        Self { road, put_off: None, pass: None }
    }

    /// The barrier of a request that holds this pass, until the request is over or only waits.
    pub(super) fn holding(&self, pass: Arc<Pass>) -> Self {
        Self { pass: Some(pass), ..self.clone() }
    }

    /// The barrier of operations that are answered together: whoever answers them must take what was put off, and settle it.
    pub(super) fn shared(&self) -> Self {
        Self { road: self.road.clone(), put_off: Some(Arc::default()), pass: self.pass.clone() }
    }

    /// Returns when an answer may be given, as far as this operation by itself is concerned.
    pub(super) async fn settle(&self, workspace: &WorkspaceId, settlement: Settlement) -> Result<(), SettleError> {
        match &self.put_off {
            Some(put_off) => {
                self.road.announce(&settlement);
                join(&mut put_off.lock().unwrap_or_else(PoisonError::into_inner), settlement);
            }
            None => wait(self.road.settle(workspace, settlement), self.pass.as_deref()).await.map(drop)?,
        }
        Ok(())
    }

    /// What was put off since this was last asked.
    pub(super) fn take_put_off(&self) -> Settlement {
        let put_off = self.put_off.as_ref().map(|put_off| put_off.lock().unwrap_or_else(PoisonError::into_inner));
        put_off.map(|mut put_off| std::mem::take(&mut *put_off)).unwrap_or_default()
    }
}

/// Both settlements as one: through the later place, and with the rows of both in their order.
pub(super) fn join(whole: &mut Settlement, more: Settlement) {
    whole.records.extend(more.records);
    whole.through = whole.through.max(more.through);
}

/// A wait that lasts is for a gateway that may be gone: others of the workspace are let in meanwhile, since the database is free.
async fn wait<T>(settling: impl Future<Output = T>, pass: Option<&Pass>) -> T {
    let mut settling = std::pin::pin!(settling);
    match (timeout(SOON, &mut settling).await, pass) {
        (Ok(settled), _) => return settled,
        (Err(_), Some(pass)) => pass.let_go(),
        (Err(_), None) => {}
    }
    settling.await
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use lockstep_shared::clock::TestClock;
    use tokio::sync::oneshot;

    use super::*;
    use crate::limits::{Limits, Quotas};

    async fn enter(limits: &Limits) -> Pass {
        let knock = limits.knock("acme", Some(b"Bearer x"), None).await.unwrap();
        limits.welcome(knock, &WorkspaceId::parse("acme").unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn who_waits_long_for_a_gateway_does_not_keep_the_workspace_waiting() {
        let quotas = Quotas { per_second: NonZeroU32::MAX, at_a_time: 1, waiting: 10, patience: Duration::from_secs(30) };
        let limits = Limits::new(TestClock::new(), quotas);
        let pass = Arc::new(enter(&limits).await);
        let (settle, settled) = oneshot::channel();
        let waiting = tokio::spawn(async move { wait(settled, Some(&pass)).await });

        drop(enter(&limits).await);

        settle.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7), "the answer still waits for the gateway");
    }
}
