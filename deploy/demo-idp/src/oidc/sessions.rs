//! The provider's own sessions. One that the directory ended is remembered as ended, so that its owner is told why. Pure.

use std::collections::HashMap;

use axum::http::{HeaderMap, header};
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    directory::PersonId,
    random::{self, NoRandomness},
};

/// Distinct from every other cookie of the demo, since cookies ignore ports.
const COOKIE: &str = "demo_idp_session";
const LIFE: TimeDelta = TimeDelta::hours(12);
const MOST: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(super) person: PersonId,
    /// Public name of the session: claim `sid`.
    pub(super) sid: String,
    pub(super) since: DateTime<Utc>,
    /// Its person was switched off: nothing but an explanation comes of it.
    pub(super) is_ended: bool,
}

/// All sessions, by the cookie's secret.
#[derive(Debug, Default)]
pub(crate) struct Sessions(HashMap<String, Session>);

impl Sessions {
    /// Starts a session, and returns the cookie's secret with it.
    pub(super) fn start(&mut self, person: PersonId, now: DateTime<Utc>) -> Result<(String, Session), NoRandomness> {
        self.0.retain(|_, session| session.since + LIFE > now);
        if self.0.len() >= MOST {
            self.0.clear();
        }
        let (secret, session) = (random::token()?, Session { person, sid: random::token()?, since: now, is_ended: false });
        self.0.insert(secret.clone(), session.clone());
        Ok((secret, session))
    }

    pub(super) fn find(&self, secret: &str, now: DateTime<Utc>) -> Option<Session> {
        self.0.get(secret).filter(|session| session.since + LIFE > now).cloned()
    }

    pub(super) fn forget(&mut self, secret: &str) {
        self.0.remove(secret);
    }

    /// Ends every session of a person, for good.
    pub(crate) fn end(&mut self, person: &PersonId) {
        for session in self.0.values_mut().filter(|session| session.person == *person) {
            session.is_ended = true;
        }
    }
}

pub(super) fn cookie(headers: &HeaderMap) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == COOKIE).map(|(_, secret)| secret.to_owned())
}

/// Lax: the cookie must come along when an application sends the browser here. Not `Secure`: the demo speaks plain HTTP.
pub(super) fn set_cookie(secret: &str) -> String {
    format!("{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax")
}

pub(super) fn clear_cookie() -> String {
    format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")
}
