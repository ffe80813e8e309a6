//! A session as this gateway holds it: with everything that a request needs prepared, so that most requests touch neither the
//! database nor Redis nor a signing key.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use http::HeaderValue;
use lockstep_shared::{
    clock::Timestamp,
    model::{attribute::AttributePath, session::Session},
};
use tokio::sync::Mutex;

use super::{
    streams::{Standing, Terms},
    watermarks::{ScopeKey, Watermarks},
};
use crate::{
    apps::{App, Told},
    forward::headers::{IdentityHeaders, TooLarge},
};

/// A session as this gateway holds it.
#[derive(Debug)]
pub struct Live {
    /// The record.
    pub session: Session,
    /// The identity headers, or why they cannot be written.
    pub headers: Result<IdentityHeaders, TooLarge>,
    /// Whether the record has every attribute that some app asks for: one of another configuration may lack some.
    pub(super) has_claims: bool,
    keys: Arc<[ScopeKey]>,
    last_seen_at: AtomicI64,
    written_back_at: AtomicI64,
    signed: std::sync::RwLock<Vec<Signed>>,
    /// Held while the person is read again, so that many requests of one session read once.
    pub(super) reading: Mutex<()>,
}

/// An identity JWT that serves one app for half a minute.
#[derive(Debug, Clone)]
struct Signed {
    told: Arc<Told>,
    half_minute: i64,
    jwt: HeaderValue,
}

/// How many apps' JWTs a session keeps.
const KEPT: usize = 16;

impl Live {
    pub(super) fn new(session: Session, marks: &Watermarks, asked_for: &[AttributePath]) -> Self {
        Self {
            has_claims: asked_for.iter().all(|path| session.person.claims.contains_key(path.as_str())),
            headers: IdentityHeaders::of(&session.workspace, &session.user, &session.person),
            keys: marks.keys_of(&session).into(),
            last_seen_at: AtomicI64::new(session.last_seen_at.0),
            written_back_at: AtomicI64::new(session.last_seen_at.0),
            signed: std::sync::RwLock::default(),
            reading: Mutex::default(),
            session,
        }
    }

    pub(super) fn keys(&self) -> &[ScopeKey] {
        &self.keys
    }

    /// By what a stream from this app to this session is judged.
    #[must_use]
    pub fn standing(&self, app: &Arc<App>) -> Standing {
        let Session { workspace, id, generation, mint_seq, attr_seq, .. } = &self.session;
        let terms = app.rests_on_person(&self.session).then(|| Terms {
            app: app.clone(),
            workspace: workspace.clone(),
            session: id.clone(),
            attr_seq: *attr_seq,
        });
        Standing { generation: generation.clone(), mint_seq: *mint_seq, keys: self.keys.clone(), terms }
    }

    pub(super) fn last_seen_at(&self) -> Timestamp {
        Timestamp(self.last_seen_at.load(Ordering::Relaxed))
    }

    /// Notes a use; whether it is time to write it back.
    pub(super) fn see(&self, now: Timestamp, write_back_every_ms: i64) -> bool {
        self.last_seen_at.fetch_max(now.0, Ordering::Relaxed);
        let written = self.written_back_at.load(Ordering::Relaxed);
        now.0 - written >= write_back_every_ms
            && self.written_back_at.compare_exchange(written, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The record with what was noted since it was read.
    pub(super) fn record(&self) -> Session {
        Session { last_seen_at: self.last_seen_at(), ..self.session.clone() }
    }

    /// The JWT for an app, signed once per half-minute.
    pub fn jwt<E>(
        &self,
        told: &Arc<Told>,
        now: Timestamp,
        sign: impl FnOnce(&Session) -> Result<HeaderValue, E>,
    ) -> Result<HeaderValue, E> {
        let half_minute = now.seconds().div_euclid(30);
        let fits = |signed: &&Signed| Arc::ptr_eq(&signed.told, told) && signed.half_minute == half_minute;
        let poisoned = std::sync::PoisonError::into_inner;
        if let Some(signed) = self.signed.read().unwrap_or_else(poisoned).iter().find(fits) {
            return Ok(signed.jwt.clone());
        }
        let jwt = sign(&self.session)?;
        let mut kept = self.signed.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.retain(|signed| signed.half_minute == half_minute && !Arc::ptr_eq(&signed.told, told));
        kept.truncate(KEPT - 1);
        kept.push(Signed { told: told.clone(), half_minute, jwt: jwt.clone() });
        Ok(jwt)
    }
}
