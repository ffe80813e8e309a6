//! Requests that were turned away before they were read, and tokens that were not granted, counted: whoever sends them cannot fill
//! the table, nor learn from it. The first of a kind is written at once, the others of the next minutes as one number. Strangers are
//! counted apart from who is known, and each workspace's by itself: they take nobody's place, under however many names they come.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

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
/// How many kinds of one workspace's own clients are told apart at a time.
const KINDS: usize = 200;
/// How many names are listened to at a time of which it is not known whether a workspace has them.
const CLAIMED: usize = 100;
/// What is said of further strangers who asked for a token, for whatever reason they were refused.
const FURTHER_STRANGERS: &str = "asked for tokens, and named no client that is here: copy the client id from `oauth-client list \
                                 WORKSPACE` into the identity provider, or add a client with `oauth-client add WORKSPACE`";

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
    /// A token that was not granted to this client, which is there, by the word for why.
    Token(String, &'static str),
    /// A token that was not granted to a stranger, for whatever reason: who needs no client at all could cause each of them.
    StrangersToken,
}

impl Kind {
    /// Whether anybody could be the cause who knows a workspace's name. There are only a handful of such kinds.
    fn is_strangers(&self) -> bool {
        match self {
            Self::Request(Reason::NoCredential | Reason::BadCredential | Reason::Busy(Overload::Strangers))
            | Self::StrangersToken => true,
            Self::Request(Reason::Closed(_) | Reason::Busy(Overload::Rate | Overload::Crowd)) | Self::Token(..) => false,
        }
    }
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
pub(super) struct Tally {
    known: Counts,
    strangers: Counts,
    /// The workspaces that there are, when that was last looked up.
    there: HashSet<WorkspaceId>,
    /// The names under which strangers are counted and that were not there then.
    claimed: HashSet<WorkspaceId>,
}

type Counts = HashMap<WorkspaceId, HashMap<Kind, Count>>;

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
        let of_strangers = kind.is_strangers();
        let counts = if of_strangers { &mut self.strangers } else { &mut self.known };
        if let Some(count) = counts.get_mut(workspace).and_then(|kinds| kinds.get_mut(&kind)) {
            count.pending += 1;
            return None;
        }
        if of_strangers && !self.there.contains(workspace) && !self.claimed.contains(workspace) {
            if self.claimed.len() >= CLAIMED {
                return None;
            }
            self.claimed.insert(workspace.clone());
        }
        let kinds = counts.entry(workspace.clone()).or_default();
        if kinds.len() >= KINDS {
            return None;
        }
        let mut told = told();
        let entry = told.entry(workspace, 1, at);
        if kind == Kind::StrangersToken {
            FURTHER_STRANGERS.clone_into(&mut told.sentence);
        }
        kinds.insert(kind, Count { written_at: now, pending: 0, told });
        Some(entry)
    }

    /// These workspaces are there. What strangers say of others is let go.
    pub(super) fn heed(&mut self, there: HashSet<WorkspaceId>) {
        self.strangers.retain(|workspace, _| there.contains(workspace));
        self.claimed.clear();
        self.there = there;
    }

    #[cfg(test)]
    pub(super) fn heeds(&self, workspace: &WorkspaceId) -> bool {
        self.there.contains(workspace)
    }

    /// What has been counted for a window, and forgets what came no more. With `all`, whatever was counted.
    pub(super) fn due(&mut self, now: BootTime, at: Timestamp, all: bool) -> Vec<Entry> {
        let mut entries = due(&mut self.known, now, at, all);
        entries.extend(due(&mut self.strangers, now, at, all));
        self.claimed.retain(|workspace| self.strangers.contains_key(workspace));
        entries
    }
}

fn due(counts: &mut Counts, now: BootTime, at: Timestamp, all: bool) -> Vec<Entry> {
    let mut entries = Vec::new();
    counts.retain(|workspace, kinds| {
        kinds.retain(|_, count| {
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
        !kinds.is_empty()
    });
    entries
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

    fn refuse(tally: &mut Tally, client: Option<&str>, word: &'static str, sentence: &str) -> Option<Entry> {
        let why = NoToken { kind: word, status: 401, outcome: Outcome::Refused, sentence: sentence.to_owned() };
        let kind = client.map_or(Kind::StrangersToken, |client| Kind::Token(client.to_owned(), word));
        let told = || Told::token(why, client, String::new());
        tally.add(&WorkspaceId::parse("acme").unwrap(), kind, told, moment(0), AT)
    }

    #[test]
    fn what_a_stranger_makes_up_does_not_make_another_line() {
        let mut tally = Tally::default();
        let sentences = (0..100).map(|n| format!("the key {n} is unknown"));

        let lines = sentences.filter_map(|sentence| refuse(&mut tally, Some("acme.1"), "key_unknown", &sentence)).count();

        assert_eq!(lines, 1);
        let other = refuse(&mut tally, Some("acme.2"), "key_unknown", "the key is unknown").unwrap();
        assert_eq!((other.action.as_str(), other.detail[OAUTH_CLIENT].as_str()), ("token.grant", Some("acme.2")));
        assert!(refuse(&mut tally, Some("acme.1"), "secret", "the secret is another").is_some(), "another reason");
    }

    #[test]
    fn strangers_who_ask_for_tokens_have_one_line_whatever_they_do_wrong() {
        let mut tally = Tally::default();

        let first = refuse(&mut tally, None, "unknown", "there is no such client").unwrap();
        for word in ["invalid_request", "invalid_scope", "unsupported_grant_type", "unknown"] {
            assert_eq!(refuse(&mut tally, None, word, "it was so"), None, "{word}");
        }
        let further = tally.due(moment(60), AT, false);

        assert_eq!(
            (first.sentence.as_deref(), first.detail.contains_key(OAUTH_CLIENT)),
            (Some("there is no such client"), false)
        );
        assert_eq!(further.len(), 1);
        assert_eq!((further[0].detail["count"].as_u64(), further[0].sentence.as_deref()), (Some(4), Some(FURTHER_STRANGERS)));
    }

    #[test]
    fn at_the_end_nothing_is_left_uncounted() {
        let mut tally = Tally::default();
        add(&mut tally, "acme", &Reason::NoCredential, moment(0));
        add(&mut tally, "acme", &Reason::NoCredential, moment(1));

        assert_eq!(tally.due(moment(2), AT, true).len(), 1);
    }

    fn there(names: &[&str]) -> HashSet<WorkspaceId> {
        names.iter().map(|name| WorkspaceId::parse(name).unwrap()).collect()
    }

    #[test]
    fn names_that_nobody_has_take_no_place() {
        let mut tally = Tally::default();
        tally.heed(there(&["acme"]));

        let heard =
            (0..20_000).filter(|n| add(&mut tally, &format!("w-{n}"), &Reason::NoCredential, moment(0)).is_some()).count();

        assert_eq!((heard, tally.strangers.len()), (CLAIMED, CLAIMED));
        assert_eq!(add(&mut tally, "acme", &Reason::BadCredential, moment(1)), Some(1), "an old token of its own provider");
        let closed = Reason::Closed("SCIM is switched off".to_owned());
        for known in [&closed, &Reason::Busy(Overload::Rate), &Reason::Busy(Overload::Crowd)] {
            assert_eq!(add(&mut tally, "new", known, moment(1)), Some(1), "who is known needs no other proof: {known:?}");
        }
        assert_eq!(add(&mut tally, "new", &Reason::BadCredential, moment(1)), None);

        tally.heed(there(&["acme", "new"]));
        assert_eq!((tally.strangers.len(), tally.claimed.len()), (1, 0));
        assert_eq!(add(&mut tally, "new", &Reason::BadCredential, moment(2)), Some(1));
        assert_eq!(add(&mut tally, "acme", &Reason::BadCredential, moment(2)), None, "it is counted on");
        assert_eq!(add(&mut tally, "w-1", &Reason::BadCredential, moment(2)), Some(1), "there is place again");
        assert_eq!(due(&mut tally, moment(62)).len(), 1);
        assert_eq!(tally.claimed.len(), 0, "what is over is forgotten");
    }

    #[test]
    fn a_workspace_has_no_more_kinds_than_are_told_apart_and_takes_no_place_of_another() {
        let mut tally = Tally::default();

        for n in 0..KINDS + 10 {
            add(&mut tally, "acme", &Reason::Closed(n.to_string()), moment(0));
        }

        assert_eq!(tally.known[&WorkspaceId::parse("acme").unwrap()].len(), KINDS);
        assert_eq!(add(&mut tally, "other", &Reason::Closed("x".to_owned()), moment(0)), Some(1));
        assert_eq!(add(&mut tally, "acme", &Reason::BadCredential, moment(0)), Some(1), "nor of strangers, nor they of its own");
    }
}
