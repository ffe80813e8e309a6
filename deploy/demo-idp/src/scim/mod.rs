//! The provisioning side: tells a SCIM server what the directory says, in the words of Microsoft Entra ID. What was not
//! confirmed is not forgotten: the next round sends it again.

mod client;
mod exchange;
mod journal;
mod link;
mod message;
mod round;

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

pub use exchange::{Action, Exchange, SyncReport};

pub(crate) use journal::Journal;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    directory::{Directory, GroupId, PersonId},
    error::BadUrl,
};
use client::Client;
use link::Target;
use round::Round;

/// Sends the directory's changes to one SCIM server.
#[derive(Debug)]
pub(crate) struct Provisioning {
    directory: Arc<Mutex<Directory>>,
    client: Client,
    target: RwLock<Option<Arc<Target>>>,
    journal: Arc<Journal>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Provisioning {
    pub(crate) fn new(
        directory: Arc<Mutex<Directory>>,
        journal: Arc<Journal>,
        limit: Duration,
        tasks: TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::new(limit)?;
        Ok(Self { directory, client, target: RwLock::new(None), journal, tasks, shutdown })
    }

    /// Points at a server. A new base forgets what the old server knew; a new token alone does not.
    pub(crate) fn configure(&self, base_url: &str, token: &str) -> Result<(), BadUrl> {
        let mut target = self.target.write().unwrap_or_else(PoisonError::into_inner);
        let next = Target::new(base_url, token)?;
        *target = Some(Arc::new(match target.as_ref() {
            Some(old) if old.base() == next.base() => next.knowing(old),
            _ => next,
        }));
        drop(target);
        self.journal.changed();
        Ok(())
    }

    pub(crate) fn is_configured(&self) -> bool {
        self.target().is_some()
    }

    /// Tells whether the server is known to hold another state of this person than the directory.
    pub(crate) fn is_behind(&self, id: &PersonId, active: bool) -> bool {
        self.target().and_then(|target| target.user(id)).is_some_and(|user| user.active != active)
    }

    /// Sends everything that the server was not yet heard to confirm.
    pub(crate) async fn sync_all(self: &Arc<Self>) -> SyncReport {
        let (people, groups) = {
            let directory = crate::provider::lock(&self.directory);
            let people: Vec<_> = directory.people().iter().map(|person| person.id.clone()).collect();
            (people, directory.groups().iter().map(|group| group.id.clone()).collect::<Vec<_>>())
        };
        self.sync(people, groups).await
    }

    /// Sends what changed about these people and groups. Whoever asked may hang up: the round goes on, as Entra's does
    /// when an administrator closes the page.
    pub(crate) async fn sync(self: &Arc<Self>, people: Vec<PersonId>, groups: Vec<GroupId>) -> SyncReport {
        let Some(target) = self.target() else {
            return SyncReport::default();
        };
        let this = Arc::clone(self);
        let round = self.tasks.spawn(async move {
            let mut round = Round::new(&target, &this.client, &this.directory, &this.journal);
            tokio::select! {
                () = round.run(&people, &groups) => {}
                () = this.shutdown.cancelled() => {}
            }
            round.into_report()
        });
        round.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a round of provisioning broke off");
            SyncReport::default()
        })
    }

    fn target(&self) -> Option<Arc<Target>> {
        self.target.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
