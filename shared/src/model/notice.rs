//! Notices: what people are told by mail, and what became of it. A notice holds facts, not sentences, and nothing about whoever
//! is affected; it is kept while it is on its way or may be sent after all.

use serde::{Deserialize, Serialize};

use super::{guard::Excess, text::EmailAddress, words};
use crate::{
    clock::Timestamp,
    id::{NoticeId, UserId, WorkspaceId},
};

/// The most addresses of one workspace that are told.
pub const MOST_RECIPIENTS: u32 = 20;

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Notice {
    /// The mass-change guard holds what a provider wants to do.
    #[serde(rename = "guard.held")]
    GuardHeld(Hold),
}

/// What the mass-change guard holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The provider's credential, as the audit trail names it.
    pub credential: String,
    /// How many people of how many.
    pub excess: Excess,
    /// Since when.
    pub since: Timestamp,
}

impl Notice {
    /// What it tells of, in a word.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::GuardHeld(_) => "guard.held",
        }
    }
}

words! {
    /// What became of a notice to one recipient.
    NoticeState, "state of a notice" {
        /// It is on its way.
        Waiting = "waiting",
        /// The server has taken it.
        Sent = "sent",
        /// The server refused it for good.
        Refused = "refused",
        /// It was tried for days.
        GivenUp = "given_up",
        /// The recipient is not to be told any more.
        Unwanted = "unwanted",
    }
}

/// A notice to one recipient, claimed by whoever sends it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its name.
    pub id: NoticeId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// What the workspace is called.
    pub workspace_name: String,
    /// To whom.
    pub address: String,
    /// Whether they are still to be told.
    pub is_wanted: bool,
    /// What they are told. `None`: a later release has written it.
    pub notice: Option<Notice>,
    /// How often it was tried, this time included; also the claim's number.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
    /// Since when this attempt may be made.
    pub due_at: Timestamp,
}

/// A notice to one recipient, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRecord {
    /// Its name; sorts by time.
    pub id: NoticeId,
    /// What it told of, in a word.
    pub kind: String,
    /// To whom.
    pub address: String,
    /// What became of it.
    pub state: NoticeState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it is tried next, while it waits.
    pub due_at: Option<Timestamp>,
    /// When its state became final.
    pub ended_at: Option<Timestamp>,
    /// What the server said last, or why it could not be asked.
    pub answer: String,
    /// Whether it is known what it said, without which it cannot be sent.
    pub is_kept: bool,
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Their address.
    pub address: String,
    /// The person whose address it is, as far as it is known.
    pub user: Option<UserId>,
    /// Whether they are told: a person who has lost access is not.
    pub is_told: bool,
    /// Since when they are on the list.
    pub created_at: Timestamp,
}

/// Whether an address can be written to through any mail server: as strict as sign-ins are, and in ASCII.
#[must_use]
pub fn is_mailable(address: &str) -> bool {
    let is_atom =
        |atom: &str| !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&'*+-/=?^_`{|}~".contains(&b));
    let local = address.split('@').next().unwrap_or_default();
    address.is_ascii() && EmailAddress::parse(address).is_some() && local.split('.').all(is_atom)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::model::guard::Limits;

    #[test]
    fn a_notice_reads_what_it_wrote_and_what_was_written_first() {
        let excess = Excess { departed: 612, people: 2_000, limits: Limits { max: NonZeroU32::new(500).unwrap(), percent: 20 } };
        let notice = Notice::GuardHeld(Hold { credential: "a".into(), excess, since: Timestamp(7) });
        let first = r#"{"kind":"guard.held","credential":"a","excess":{"departed":612,"people":2000,"limits":{"max":500,"percent":20}},"since":7}"#;

        assert_eq!(serde_json::to_string(&notice).unwrap(), first);
        assert_eq!(serde_json::from_str::<Notice>(first).unwrap(), notice);
        assert!(serde_json::from_str::<Notice>(r#"{"kind":"later"}"#).is_err());
    }

    #[test]
    fn only_plain_addresses_are_mailed() {
        for good in ["ada@acme.com", "Ada.L+ops@Acme.com", "o'brien@acme.com"] {
            assert!(is_mailable(good), "{good}");
        }
        for bad in [
            "ada",
            "@acme.com",
            "a b@acme.com",
            "a..b@acme.com",
            ".a@acme.com",
            "\u{e4}da@acme.com",
            "a@acme.com\r\nBcc: b@c.d",
            "a[b@acme.com",
            "a@b@c.de",
        ] {
            assert!(!is_mailable(bad), "{bad}");
        }
    }
}
