//! Requests that were turned away before they were read, and tokens that were not granted, counted: whoever sends them cannot fill
//! the table, nor learn from it. The first of a kind is written at once, the others of the next minutes as one number.

use std::{collections::HashMap, time::Duration};

use lockstep_shared::{
    clock::{BootTime, Timestamp},
    id::{EntryId, WorkspaceId},
    model::provisioning::{Action, Entry, Outcome},
};
use serde_json::{Map, Value, json};

use crate::limits::Overload;

/// How long the same thing is counted before it is written again.
pub(super) const WINDOW: Duration = Duration::from_mins(1);
/// The detail by which an entry names the OAuth client that was granted nothing.
pub const OAUTH_CLIENT: &str = "oauth_client";
/// More kinds than this are not told apart; they are let go until older ones are over.
const KINDS: usize = 10_000;

/// Why a request was turned away.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No credential that could be one.
    NoCredential,
    /// The credential is not, or no longer, good.
    BadCredential,
    /// The credential is good, and the workspace may not be provisioned.
    Closed(String),
    /// There is too much of it.
    Busy(Overload),
}

impl Reason {
    /// One word for it, for metrics.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::NoCredential => "no_credential",
            Self::BadCredential => "bad_credential",
            Self::Closed(_) => "closed",
            Self::Busy(Overload::Rate) => "rate",
            Self::Busy(Overload::Crowd) => "crowd",
            Self::Busy(Overload::Strangers) => "strangers",
        }
    }

    fn status(&self) -> u16 {
        match self {
            Self::NoCredential | Self::BadCredential => 401,
            Self::Closed(_) => 403,
            Self::Busy(_) => 429,
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::NoCredential => {
                "sent no credential that could be one: put the token, as `token issue` showed it, into the secret \
                 token's field at the identity provider"
                    .to_owned()
            }
            Self::BadCredential => {
                "sent a credential that is not, or no longer, good here: see `token list`; issue a new one and put \
                 it into the identity provider"
                    .to_owned()
            }
            Self::Closed(why) => {
                format!(
                    "was refused: {why}; run `log explain WORKSPACE accounts-not-created`, which tells the command that opens it"
                )
            }
            Self::Busy(Overload::Rate) => {
                "sends more requests than the workspace's rate, and is told when to come again; if it has to \
                 be faster, raise `[provisioner] requests_per_second`"
                    .to_owned()
            }
            Self::Busy(Overload::Crowd) => {
                "sends more requests at a time than can be worked on, and is told when to come again; lower \
                 its number of parallel requests"
                    .to_owned()
            }
            Self::Busy(Overload::Strangers) => {
                "was turned away unread: too many unknown credentials come from its address".to_owned()
            }
        }
    }
}

/// A token that was not granted, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoToken {
    /// Why, in one word: what has the same word is counted together, whatever else is different.
    pub kind: &'static str,
    /// The HTTP status; 0 where there was no answer.
    pub status: u16,
    /// Whether repeating it may help.
    pub outcome: Outcome,
    /// What was wrong and what to do about it, without a subject.
    pub sentence: String,
}

/// What is counted as one. What a stranger makes up is no part of it, or there would be as many as the stranger likes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A request that was turned away.
    Request(Reason),
    /// A token that was not granted to this client, if there is such a one, by the word for why.
    Token(Option<String>, &'static str),
}

/// What an entry says beside its number.
#[derive(Debug, Clone)]
pub(super) struct Told {
    client: String,
    action: Action,
    status: u16,
    outcome: Outcome,
    sentence: String,
    detail: Map<String, Value>,
}

impl Told {
    /// Of a request that was turned away, from a client that calls itself so.
    pub(super) fn request(reason: &Reason, client: String) -> Self {
        let (status, sentence) = (reason.status(), reason.sentence());
        Self { client, action: Action::TurnedAway, status, outcome: Outcome::Refused, sentence, detail: Map::new() }
    }

    /// Of a token that was not granted to this OAuth client.
    pub(super) fn token(why: NoToken, oauth_client: Option<&str>, client: String) -> Self {
        let NoToken { kind: _, status, outcome, sentence } = why;
        let detail = oauth_client.map(|id| (OAUTH_CLIENT.to_owned(), json!(id))).into_iter().collect();
        Self { client, action: Action::TokenGrant, status, outcome, sentence, detail }
    }

    fn entry(&self, workspace: &WorkspaceId, count: u64, at: Timestamp) -> Entry {
        let mut detail = self.detail.clone();
        detail.insert("count".to_owned(), json!(count));
        Entry {
            id: EntryId::new(),
            workspace: workspace.clone(),
            at,
            request: String::new(),
            credential: String::new(),
            client: self.client.clone(),
            action: self.action.to_string(),
            target: String::new(),
            status: self.status,
            outcome: self.outcome,
            sentence: Some(self.sentence.clone()),
            detail,
            people: Vec::new(),
        }
    }
}

/// Counts by workspace and kind.
#[derive(Debug, Default)]
pub(super) struct Tally(HashMap<(WorkspaceId, Kind), Count>);

#[derive(Debug)]
struct Count {
    written_at: BootTime,
    pending: u64,
    told: Told,
}

impl Tally {
    /// One more; an entry if it is the first of its kind for a while.
    pub(super) fn add(
        &mut self,
        workspace: &WorkspaceId,
        kind: Kind,
        told: impl FnOnce() -> Told,
        now: BootTime,
        at: Timestamp,
    ) -> Option<Entry> {
        let key = (workspace.clone(), kind);
        if let Some(count) = self.0.get_mut(&key) {
            count.pending += 1;
            return None;
        }
        if self.0.len() >= KINDS {
            return None;
        }
        let told = told();
        let entry = told.entry(workspace, 1, at);
        self.0.insert(key, Count { written_at: now, pending: 0, told });
        Some(entry)
    }

    /// What has been counted for a window, and forgets what came no more. With `all`, whatever was counted.
    pub(super) fn due(&mut self, now: BootTime, at: Timestamp, all: bool) -> Vec<Entry> {
        let mut entries = Vec::new();
        self.0.retain(|(workspace, _), count| {
            if !all && now.since(count.written_at) < WINDOW {
                return true;
            }
            let pending = std::mem::take(&mut count.pending);
            count.written_at = now;
            if pending > 0 {
                entries.push(count.told.entry(workspace, pending, at));
            }
            pending > 0
        });
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(0);

    fn moment(seconds: u64) -> BootTime {
        BootTime(Duration::from_secs(seconds))
    }

    fn add(tally: &mut Tally, workspace: &str, reason: &Reason, now: BootTime) -> Option<u64> {
        let told = || Told::request(reason, String::new());
        let entry = tally.add(&WorkspaceId::parse(workspace).unwrap(), Kind::Request(reason.clone()), told, now, AT)?;
        entry.detail["count"].as_u64()
    }

    fn due(tally: &mut Tally, now: BootTime) -> Vec<u64> {
        tally.due(now, AT, false).iter().map(|entry| entry.detail["count"].as_u64().unwrap()).collect()
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_as_one_number() {
        let mut tally = Tally::default();

        assert_eq!(add(&mut tally, "acme", &Reason::BadCredential, moment(0)), Some(1));
        for _ in 0..1_000 {
            assert_eq!(add(&mut tally, "acme", &Reason::BadCredential, moment(1)), None);
        }
        assert_eq!(
            add(&mut tally, "acme", &Reason::Closed("x".to_owned()), moment(1)),
            Some(1),
            "another reason is another line"
        );
        assert_eq!(due(&mut tally, moment(59)), [0; 0]);
        assert_eq!(due(&mut tally, moment(60)), [1_000]);

        assert_eq!(add(&mut tally, "acme", &Reason::BadCredential, moment(70)), None);
        assert_eq!(due(&mut tally, moment(120)), [1]);
        assert_eq!(due(&mut tally, moment(180)), [0; 0], "it is over");
        assert_eq!(add(&mut tally, "acme", &Reason::BadCredential, moment(181)), Some(1));
    }

    #[test]
    fn what_a_stranger_makes_up_does_not_make_another_line() {
        let (mut tally, acme) = (Tally::default(), WorkspaceId::parse("acme").unwrap());
        let mut refuse = |client: Option<&str>, kind: &'static str, sentence: String| {
            let why = NoToken { kind, status: 401, outcome: Outcome::Refused, sentence };
            let told = || Told::token(why, client, String::new());
            tally.add(&acme, Kind::Token(client.map(Into::into), kind), told, moment(0), AT)
        };

        let lines = (0..100).filter_map(|n| refuse(Some("acme.1"), "key_unknown", format!("the key {n} is unknown"))).count();

        assert_eq!(lines, 1);
        let other = refuse(Some("acme.2"), "key_unknown", "the key is unknown".to_owned()).unwrap();
        assert_eq!((other.action.as_str(), other.detail[OAUTH_CLIENT].as_str()), ("token.grant", Some("acme.2")));
        assert!(refuse(Some("acme.1"), "secret", "the secret is another".to_owned()).is_some(), "another reason");
        assert!(!refuse(None, "unknown", "there is no such client".to_owned()).unwrap().detail.contains_key(OAUTH_CLIENT));
    }

    #[test]
    fn at_the_end_nothing_is_left_uncounted() {
        let mut tally = Tally::default();
        add(&mut tally, "acme", &Reason::NoCredential, moment(0));
        add(&mut tally, "acme", &Reason::NoCredential, moment(1));

        assert_eq!(tally.due(moment(2), AT, true).len(), 1);
    }

    #[test]
    fn names_of_workspaces_cannot_fill_the_memory() {
        let mut tally = Tally::default();

        for n in 0..KINDS + 10 {
            add(&mut tally, &format!("w-{n}"), &Reason::NoCredential, moment(0));
        }

        assert_eq!(tally.0.len(), KINDS);
    }
}
