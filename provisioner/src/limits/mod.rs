//! How much may be asked for. A workspace is made to wait its turn before it is ever turned away, since a refusal costs a
//! provider minutes (Okta), hours (Entra) or the change itself (`SailPoint`). Who shows no credential that is known here is limited
//! by address, before the database is asked; nothing of that is held against a workspace.

mod address;
mod lane;
mod rate;
mod strangers;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lockstep_shared::{clock::SharedClock, config::Config, id::WorkspaceId};

use self::lane::Lane;

pub use self::lane::Pass;
#[cfg(test)]
pub(crate) use self::rate::REMEMBERED;
pub(crate) use self::{
    address::{address_of, proxies_of},
    rate::{Pace, Rates},
    strangers::{Strangers, Visitor},
};

/// A workspace that was quiet may send this long's worth at once.
const BURST: Duration = Duration::from_secs(5);
/// Lanes at rest are forgotten when there are more than this.
const LANES: usize = 1_000;

/// The figures for one workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// How many requests it may send in a second.
    pub per_second: NonZeroU32,
    /// How many are worked on at a time.
    pub at_a_time: usize,
    /// How many wait for their turn.
    pub waiting: usize,
    /// How long one waits.
    pub patience: Duration,
}

impl Quotas {
    /// The figures of a configuration. One workspace has half of the database's connections at the most, so that another one
    /// finds the other half free.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let connections = config.database.as_ref().map_or(NonZeroU32::MIN, |database| database.max_connections);
        Self {
            per_second: config.provisioner.requests_per_second,
            at_a_time: usize::try_from(connections.get() / 2).unwrap_or(usize::MAX).max(1),
            waiting: 1_000,
            patience: Duration::from_secs(20),
        }
    }

    fn pace(&self) -> Pace {
        Pace { every: Duration::from_secs(1) / self.per_second.get(), burst: BURST }
    }
}

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overload {
    /// The workspace sends more than its rate.
    Rate,
    /// More requests of the workspace wait than may, or this one did so for too long.
    Crowd,
    /// Too many unknown credentials come from one address.
    Strangers,
}

/// A request is turned away for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// Why.
    pub why: Overload,
    /// When to ask again, in whole seconds: Okta reads nothing else.
    pub retry_after: u32,
}

impl Busy {
    fn after(why: Overload, wait: Duration) -> Self {
        let whole = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
        Self { why, retry_after: whole.saturating_add(u32::from(wait.subsec_nanos() > 0)).max(1) }
    }
}

/// A request at the door, before its credential was looked at.
#[derive(Debug)]
#[must_use = "the door's verdict has to be told"]
pub struct Knock {
    visitor: Option<Visitor>,
    pass: Option<Pass>,
}

/// The limits of one process.
#[derive(Debug)]
pub struct Limits {
    clock: SharedClock,
    quotas: Quotas,
    lanes: Mutex<HashMap<WorkspaceId, Arc<Lane>>>,
    strangers: Strangers,
}

impl Limits {
    /// Limits by these figures.
    #[must_use]
    pub fn new(clock: SharedClock, quotas: Quotas) -> Self {
        Self { clock, quotas, lanes: Mutex::default(), strangers: Strangers::default() }
    }

    /// A request comes with what may be a credential; without one nobody is asked, and nothing is counted. Who was good lately
    /// waits in its workspace's lane already here, so that a busy workspace's credentials do not keep the database busy either.
    pub async fn knock(&self, workspace: &str, credential: Option<&[u8]>, from: Option<IpAddr>) -> Result<Knock, Busy> {
        let (Ok(id), Some(credential)) = (WorkspaceId::parse(workspace), credential) else {
            return Ok(Knock { visitor: None, pass: None });
        };
        let visitor = self.strangers.visitor(workspace, credential);
        if self.strangers.knows(visitor) {
            return Ok(Knock { visitor: Some(visitor), pass: Some(self.enter(&id).await?) });
        }
        let attempt = self.strangers.attempt(from, self.clock.boot());
        attempt.map_err(|wait| Busy::after(Overload::Strangers, wait))?;
        Ok(Knock { visitor: Some(visitor), pass: None })
    }

    /// The credential was good.
    pub async fn welcome(&self, knock: Knock, workspace: &WorkspaceId) -> Result<Pass, Busy> {
        if let Some(visitor) = knock.visitor {
            self.strangers.note(visitor, true);
        }
        match knock.pass {
            Some(pass) => Ok(pass),
            None => self.enter(workspace).await,
        }
    }

    /// The credential was not good, or no longer: who holds it has no more right to the workspace's lane.
    pub fn unwelcome(&self, knock: &Knock) {
        if let Some(visitor) = knock.visitor {
            self.strangers.note(visitor, false);
        }
    }

    async fn enter(&self, workspace: &WorkspaceId) -> Result<Pass, Busy> {
        let lane = self.lane(workspace);
        lane.enter(self.clock.boot(), self.quotas.pace(), &self.quotas).await
    }

    fn lane(&self, workspace: &WorkspaceId) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(workspace) {
            return lane.clone();
        }
        if lanes.len() >= LANES {
            let now = self.clock.boot();
            // One that somebody is about to enter is held by them too.
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || !lane.is_at_rest(now, &self.quotas));
        }
        lanes.entry(workspace.clone()).or_insert_with(|| Arc::new(Lane::new(&self.quotas))).clone()
    }
}
