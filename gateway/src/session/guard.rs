//! The one check of a session. Cookie, record, lease, watermarks, limits, in this order; what cannot be known is doubt, and
//! doubt authorises nobody and signs nobody out.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use lockstep_shared::{
    clock::SharedClock,
    config::SessionLimits,
    id::{SessionId, WorkspaceId},
    model::{
        attribute::AttributePath,
        session::Session,
        user::{Person, Profile},
    },
    session::{SessionStore, SessionStoreError},
    store::{Reading, Store, StoreError},
};
use moka::sync::Cache;
use tokio_util::task::TaskTracker;

use super::{
    cookie::SessionKeys,
    live::Live,
    watermarks::{Verdict, Watermarks},
};
use crate::lease::{Lease, Moment};

/// Sessions held in memory; one takes about 2 kB.
const CAPACITY: u64 = 100_000;
/// Last use is written back at most this often.
const WRITE_BACK_EVERY_MS: i64 = 60_000;
/// How long a request that finds the lease gone waits for one direct attempt.
const ATTEMPT_FOR: Duration = Duration::from_millis(500);
/// How often a person is read again for one request before it gives up: each time something newer came in between.
const READ_AGAIN: usize = 3;

/// Why a request is nobody's.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// No cookie, one that is not ours, or one whose session is not there (any more).
    #[error("there is no session")]
    NoSession,
    /// The session was ended.
    #[error("the session has ended")]
    Ended(Box<Session>),
    /// The session came to its end or lay idle too long.
    #[error("the session has run out")]
    RunOut,
    /// It cannot be known now.
    #[error("whether the session is alive cannot be known now")]
    Doubt(#[source] Doubt),
}

/// What stands in the way of knowing.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// The lease is gone and could not be renewed.
    #[error("this gateway has lost sight of the database")]
    NoLease,
    /// The session store did not answer.
    #[error(transparent)]
    Sessions(#[from] SessionStoreError),
    /// The person could not be read again.
    #[error(transparent)]
    Person(#[from] StoreError),
    /// The person changes faster than they can be read.
    #[error("the person changed again and again while they were read")]
    Restless,
}

/// What the guard needs.
#[derive(Clone)]
pub struct Guard {
    keys: Arc<SessionKeys>,
    sessions: Arc<dyn SessionStore>,
    store: Store,
    marks: Arc<Watermarks>,
    lease: Arc<Lease>,
    clock: SharedClock,
    limits: SessionLimits,
    claims: Arc<[AttributePath]>,
    held: Cache<SessionId, Arc<Live>>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard(…)")
    }
}

/// The parts of a guard.
pub struct Parts {
    /// The ring behind the session cookie.
    pub keys: Arc<SessionKeys>,
    /// Where sessions live.
    pub sessions: Arc<dyn SessionStore>,
    /// Where people are read again.
    pub store: Store,
    /// What is applied of the log.
    pub marks: Arc<Watermarks>,
    /// The right to answer.
    pub lease: Arc<Lease>,
    /// Where time comes from.
    pub clock: SharedClock,
    /// How long sessions live.
    pub limits: SessionLimits,
    /// The attributes that apps ask for.
    pub claims: Arc<[AttributePath]>,
    /// Where last uses are written back.
    pub tasks: TaskTracker,
}

impl Guard {
    /// A guard of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { keys, sessions, store, marks, lease, clock, limits, claims, tasks } = parts;
        Self { keys, sessions, store, marks, lease, clock, limits, claims, held: Cache::new(CAPACITY), tasks }
    }

    /// Whose request this is.
    pub async fn check(&self, headers: &HeaderMap) -> Result<Arc<Live>, Denied> {
        let presented = self.keys.read(headers).ok_or(Denied::NoSession)?;
        self.check_session(&presented.workspace, &presented.id()).await
    }

    /// Whether this session may be answered for.
    pub async fn check_session(&self, workspace: &WorkspaceId, id: &SessionId) -> Result<Arc<Live>, Denied> {
        let mut live = match self.held.get(id).filter(|held| held.session.workspace == *workspace) {
            Some(held) => held,
            None => self.load(workspace, id).await?,
        };
        for _ in 0..READ_AGAIN {
            match self.judge(&live).await? {
                Verdict::Alive if live.has_claims => return self.use_it(live).await,
                Verdict::Alive | Verdict::Stale => live = self.read_again(&live).await?,
                // The record stays: until it runs out it tells whoever comes back with it what has happened.
                Verdict::Ended => return Err(Denied::Ended(Box::new(live.session.clone()))),
            }
        }
        Err(Denied::Doubt(Doubt::Restless))
    }

    /// Judges a stream's session once more, after the stream was put on the list; `None` without a lease.
    #[must_use]
    pub fn glance(&self, live: &Live) -> Option<Verdict> {
        let term = self.lease.term();
        let verdict = self.verdict(live);
        term.runs(Moment::now(&*self.clock)).then_some(verdict)
    }

    /// The person as a session carries them: with the attributes that apps ask for, and no others.
    pub(super) fn told(&self, person: Person, profile: &Profile) -> Person {
        person.with_claims(&*self.claims, profile)
    }

    /// Keeps a session that was just made.
    pub(super) fn hold(&self, session: Session) -> Arc<Live> {
        let live = Arc::new(Live::new(session, &self.marks, &self.claims));
        self.held.insert(live.session.id.clone(), live.clone());
        live
    }

    /// Lets a session go that was signed out here; its row in the log ends it everywhere.
    pub fn forget(&self, id: &SessionId) {
        self.held.invalidate(id);
    }

    fn verdict(&self, live: &Live) -> Verdict {
        let Session { generation, mint_seq, attr_seq, .. } = &live.session;
        self.marks.verdict(generation, *mint_seq, *attr_seq, live.keys())
    }

    /// The lease is read first and the clocks last: an answer is given from a state that was good at a moment between them.
    async fn judge(&self, live: &Live) -> Result<Verdict, Denied> {
        for attempt in 0..2 {
            let term = self.lease.term();
            let verdict = self.verdict(live);
            if term.runs(Moment::now(&*self.clock)) {
                return Ok(verdict);
            }
            if attempt == 0 {
                self.lease.attempt(ATTEMPT_FOR).await;
            }
        }
        Err(Denied::Doubt(Doubt::NoLease))
    }

    async fn load(&self, workspace: &WorkspaceId, id: &SessionId) -> Result<Arc<Live>, Denied> {
        match self.sessions.get(workspace, id).await {
            Ok(Some(session)) => Ok(self.hold(session)),
            // Altered, or sealed by a key that is gone: exactly like none.
            Ok(None) | Err(SessionStoreError::Unreadable) => Err(Denied::NoSession),
            Err(error) => Err(Denied::Doubt(error.into())),
        }
    }

    async fn use_it(&self, live: Arc<Live>) -> Result<Arc<Live>, Denied> {
        let now = self.clock.now();
        let mut last_seen = live.last_seen_at();
        if now.since(last_seen) >= self.limits.idle && now < live.session.expires_at {
            // Another replica may have seen it since.
            match self.sessions.get(&live.session.workspace, &live.session.id).await {
                Ok(Some(stored)) => last_seen = last_seen.max(stored.last_seen_at),
                Ok(None) | Err(SessionStoreError::Unreadable) => {}
                Err(error) => return Err(Denied::Doubt(error.into())),
            }
        }
        if live.session.has_run_out(now, last_seen, self.limits.idle) {
            self.held.invalidate(&live.session.id);
            return Err(Denied::RunOut);
        }
        if live.see(now, WRITE_BACK_EVERY_MS) {
            self.write_back(live.record());
        }
        Ok(live)
    }

    /// Reads what apps see of the person again, once for however many requests wait for it.
    async fn read_again(&self, live: &Arc<Live>) -> Result<Arc<Live>, Denied> {
        let _reading = live.reading.lock().await;
        if let Some(held) = self.held.get(&live.session.id).filter(|held| !Arc::ptr_eq(held, live)) {
            return Ok(held);
        }
        let session = &live.session;
        match self.store.person_signed_in_by(session.by.method(), &session.workspace, &session.user).await {
            Ok(Some(Reading { person, profile, fresh })) if fresh.generation == session.generation => {
                let person = self.told(person, &profile);
                let renewed = Session { person, attr_seq: fresh.seq, ..live.record() };
                self.write_back(renewed.clone());
                Ok(self.hold(renewed))
            }
            Ok(Some(_) | None) => Err(Denied::Ended(Box::new(session.clone()))),
            Err(error) => Err(Denied::Doubt(error.into())),
        }
    }

    fn write_back(&self, record: Session) {
        let sessions = self.sessions.clone();
        self.tasks.spawn(async move {
            if let Err(error) = sessions.replace(&record).await {
                tracing::debug!(error = %error, "a session's last use was not written back");
            }
        });
    }
}
