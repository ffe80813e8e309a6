//! The provisioning log: a line for every request of a known provider, written behind the answers, so that it costs them next to
//! nothing and never stops them. The audit trail, written with each change, is the record of truth; this is for the admin who
//! wonders why something did not happen.

mod client;
mod line;
mod names;
mod sentence;
#[cfg(test)]
mod tests;
mod turned_away;
mod workspaces;
mod writer;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lockstep_shared::{
    clock::{BootTime, SharedClock},
    id::{EntryId, WorkspaceId},
    model::{
        oauth_client::OAuthClient,
        provisioning::{Action, Entry, Outcome},
    },
    store::Store,
    telemetry::Meters,
};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::turned_away::{Kind, Tally, Told};
use crate::scim::ScimError;

pub use self::{
    client::known_as,
    line::Line,
    names::{EveryKey, NAME_DIGEST, Names},
    sentence::NOTHING_TO_DO,
    turned_away::{NoToken, OAUTH_CLIENT, Reason},
};

/// Entries that wait to be written; more make the requests wait, briefly.
const QUEUE: usize = 4_096;
/// How briefly. Then the entry is lost, and counted: provisioning goes on.
const PATIENCE: Duration = Duration::from_millis(100);

/// Where requests come from, as the log names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The request's id.
    pub request: String,
    /// The client's name for itself, cut short.
    pub client: String,
}

impl Origin {
    /// The origin of a request with this id and `User-Agent`.
    #[must_use]
    pub fn new(request: String, user_agent: &str) -> Self {
        Self { request, client: client::shortened(user_agent) }
    }
}

/// The provisioning log, to be written to. Clones share it.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: SharedClock,
    sender: mpsc::Sender<Item>,
    tally: Mutex<Tally>,
    lost: Mutex<HashMap<WorkspaceId, u64>>,
    meters: Meters,
}

/// An entry on its way.
#[derive(Debug)]
enum Item {
    /// Of a workspace that is there.
    Certain(Entry),
    /// Of one that somebody without a credential named.
    Claimed(Entry),
}

impl Journal {
    /// Starts to write into a database, until `closing` and then what is left.
    #[must_use]
    pub fn start(store: Store, clock: SharedClock, tasks: &TaskTracker, closing: CancellationToken, meters: Meters) -> Self {
        let (journal, receiver) = Self::new(clock, QUEUE, meters);
        tasks.spawn(workspaces::run(journal.clone(), store.clone(), closing.clone()));
        tasks.spawn(writer::run(journal.clone(), receiver, store, closing));
        journal
    }

    fn new(clock: SharedClock, queue: usize, meters: Meters) -> (Self, mpsc::Receiver<Item>) {
        let (sender, receiver) = mpsc::channel(queue);
        (Self(Arc::new(Inner { clock, sender, tally: Mutex::default(), lost: Mutex::default(), meters })), receiver)
    }

    /// Begins the record of an operation. Dropped before its end, it says that nobody waited for the answer.
    pub fn begin(&self, workspace: &WorkspaceId, credential: String, origin: &Origin, action: Action, line: &Line) -> Record {
        Record {
            journal: self.clone(),
            workspace: workspace.clone(),
            credential,
            origin: origin.clone(),
            action,
            line: line.clone(),
            begun: self.0.clock.boot(),
            is_over: false,
        }
    }

    /// Counts a request that was turned away before it was read. Whether there is such a workspace is looked up later, by the task
    /// that writes: nobody can tell from the answer.
    pub fn turned_away(&self, workspace: &str, reason: &Reason, user_agent: &str) {
        self.0.meters.turned_away(reason.word());
        let Ok(workspace) = WorkspaceId::parse(workspace) else { return };
        let told = || Told::request(reason, client::shortened(user_agent));
        self.tell_of(&workspace, Kind::Request(reason.clone()), told);
    }

    /// Counts a token that was not granted, to nobody who is known here: neither a client nor a workspace need be there.
    pub fn no_token(&self, workspace: &WorkspaceId, origin: &Origin, why: NoToken) {
        self.0.meters.operated(Action::TokenGrant, why.outcome);
        self.tell_of(workspace, Kind::StrangersToken, || Told::token(why, None, origin.client.clone()));
    }

    /// Counts a token that was not granted to a client which is there.
    pub fn no_token_to(&self, client: &OAuthClient, origin: &Origin, why: NoToken) {
        self.0.meters.operated(Action::TokenGrant, why.outcome);
        self.tell_of_no_token(&client.workspace, client.id.as_str(), origin.client.clone(), why);
    }

    fn tell_of_no_token(&self, workspace: &WorkspaceId, oauth_client: &str, client: String, why: NoToken) {
        let kind = Kind::Token(oauth_client.to_owned(), why.kind);
        self.tell_of(workspace, kind, || Told::token(why, Some(oauth_client), client));
    }

    fn tell_of(&self, workspace: &WorkspaceId, kind: Kind, told: impl FnOnce() -> Told) {
        let (now, at) = (self.0.clock.boot(), self.0.clock.now());
        let entry = self.tally().add(workspace, kind, told, now, at);
        if let Some(entry) = entry {
            // What does not fit is not waited for: nobody could be made to wait by others' bad credentials.
            drop(self.0.sender.try_send(Item::Claimed(entry)));
        }
    }

    async fn write(&self, entry: Entry) {
        let item = match self.0.sender.try_send(Item::Certain(entry)) {
            Ok(()) => return,
            Err(TrySendError::Full(item) | TrySendError::Closed(item)) => item,
        };
        match timeout(PATIENCE, self.0.sender.reserve()).await {
            Ok(Ok(place)) => place.send(item),
            Ok(Err(_)) | Err(_) => self.lose(item),
        }
    }

    fn write_at_once(&self, entry: Entry) {
        if let Err(TrySendError::Full(item) | TrySendError::Closed(item)) = self.0.sender.try_send(Item::Certain(entry)) {
            self.lose(item);
        }
    }

    fn lose(&self, item: Item) {
        let (Item::Certain(entry) | Item::Claimed(entry)) = item;
        *self.lost().entry(entry.workspace).or_default() += 1;
    }

    fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> std::sync::MutexGuard<'_, HashMap<WorkspaceId, u64>> {
        self.0.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been counted and is due by now: requests turned away, and a row for each workspace of which entries were lost.
    fn counted(&self, all: bool) -> Vec<Item> {
        let (now, at) = (self.0.clock.boot(), self.0.clock.now());
        let turned_away = self.tally().due(now, at, all);
        let lost = std::mem::take(&mut *self.lost());
        self.0.meters.lost_entries(lost.values().sum());
        let lost = lost.into_iter().map(|(workspace, count)| self.of_loss(workspace, count, Loss::Crowded));
        turned_away.into_iter().map(Item::Claimed).chain(lost.map(Item::Certain)).collect()
    }

    /// The row that tells of entries which were lost.
    fn of_loss(&self, workspace: WorkspaceId, count: u64, why: Loss) -> Entry {
        let sentence = match why {
            Loss::Crowded => {
                format!("{count} entries of this log were lost: the database could not keep up; the audit trail is whole")
            }
            Loss::Refused => "an entry of this log was lost: the database did not take it; the audit trail is whole".to_owned(),
        };
        Entry {
            id: EntryId::new(),
            workspace,
            at: self.0.clock.now(),
            request: String::new(),
            credential: String::new(),
            client: String::new(),
            action: Action::Lost.to_string(),
            target: String::new(),
            status: 0,
            outcome: Outcome::Failed,
            sentence: Some(sentence),
            detail: serde_json::Map::from_iter([("count".to_owned(), json!(count))]),
            people: Vec::new(),
        }
    }
}

/// Why entries are lost.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// More came than could be written.
    Crowded,
    /// The database takes others, and not this one.
    Refused,
}

/// The record of an operation under way.
#[derive(Debug)]
#[must_use = "what came of it has to be told"]
pub struct Record {
    journal: Journal,
    workspace: WorkspaceId,
    credential: String,
    origin: Origin,
    action: Action,
    line: Line,
    begun: BootTime,
    is_over: bool,
}

impl Record {
    /// It was carried out.
    pub async fn done(mut self, status: u16) {
        let entry = self.entry(status, None);
        self.count(entry.outcome);
        self.journal.write(entry).await;
    }

    /// It was not.
    pub async fn failed(mut self, error: &ScimError) {
        let entry = self.entry(error.parts().0.as_u16(), Some(&|action| sentence::of_error(action, error)));
        let outcome = if matches!(error, ScimError::Held { .. }) {
            Outcome::Held
        } else if matches!(error, ScimError::Unavailable { .. } | ScimError::Internal { .. }) {
            Outcome::Failed
        } else {
            Outcome::Refused
        };
        self.count(outcome);
        self.journal.write(Entry { outcome, ..entry }).await;
    }

    /// It was not begun, and is not answered: too many operations of its Bulk request had failed.
    pub async fn left_out(mut self) {
        let entry = self.entry(0, Some(&sentence::of_leaving_out));
        self.count(Outcome::Refused);
        self.journal.write(Entry { outcome: Outcome::Refused, ..entry }).await;
    }

    /// A Bulk request came to its end, with so many failed operations.
    pub async fn bulk(mut self, operations: usize, failed: usize) {
        self.line.detail("operations", operations);
        self.line.detail("failed", failed);
        let told: Option<&dyn Fn(Action) -> String> =
            if failed > 0 { Some(&|_| sentence::of_bulk(failed, operations)) } else { None };
        let entry = self.entry(200, told);
        self.count(entry.outcome);
        self.journal.write(entry).await;
    }

    /// It was a token, and the client is not granted it. Whoever knows the client's name may have asked, so it is counted.
    pub fn not_granted(mut self, why: NoToken) {
        self.count(why.outcome);
        self.tell_of_no_token(why);
    }

    fn tell_of_no_token(&mut self, why: NoToken) {
        self.is_over = true;
        let (oauth_client, client) = (std::mem::take(&mut self.credential), std::mem::take(&mut self.origin.client));
        self.journal.tell_of_no_token(&self.workspace, &oauth_client, client, why);
    }

    fn count(&self, outcome: Outcome) {
        self.journal.0.meters.operated(self.action, outcome);
    }

    fn entry(&mut self, status: u16, sentence: Option<&dyn Fn(Action) -> String>) -> Entry {
        self.is_over = true;
        let told = self.line.take();
        let action = told.action.unwrap_or(self.action);
        self.action = action;
        let (at, took) = (self.journal.0.clock.now(), self.journal.0.clock.boot().since(self.begun));
        let mut detail = told.detail;
        detail.insert("took_ms".to_owned(), Value::from(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)));
        Entry {
            id: EntryId::new(),
            workspace: self.workspace.clone(),
            at,
            request: std::mem::take(&mut self.origin.request),
            credential: std::mem::take(&mut self.credential),
            client: std::mem::take(&mut self.origin.client),
            action: action.to_string(),
            target: told.target,
            status,
            outcome: if told.is_unchanged { Outcome::Unchanged } else { Outcome::Done },
            sentence: sentence.map(|sentence| sentence(action)),
            detail,
            people: told.people,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_over && self.action == Action::TokenGrant {
            let sentence = sentence::of_silence(self.action);
            let why = NoToken { kind: "silence", status: 0, outcome: Outcome::Failed, sentence };
            self.count(why.outcome);
            self.tell_of_no_token(why);
        } else if !self.is_over {
            let entry = self.entry(0, Some(&sentence::of_silence));
            self.count(Outcome::Failed);
            self.journal.write_at_once(Entry { outcome: Outcome::Failed, ..entry });
        }
    }
}
