//! The provisioning log: what a workspace's identity provider asked for and what came of it, for the admin who wonders. It holds
//! ids and names of attributes, never a person's name, address or other values; the audit trail is the record of truth.

use serde::Serialize;
use serde_json::{Map, Value};

use super::words;
use crate::{
    clock::Timestamp,
    id::{EntryId, WorkspaceId},
};

words! {
    /// What a request asked for.
    Action, "action" {
        /// A new user.
        UserCreate = "user.create",
        /// One user, read.
        UserRead = "user.read",
        /// Users, looked for or listed.
        UserFind = "user.find",
        /// A user's attributes.
        UserUpdate = "user.update",
        /// A user comes back.
        UserActivate = "user.activate",
        /// A user has to go.
        UserDeactivate = "user.deactivate",
        /// A user is deleted.
        UserDelete = "user.delete",
        /// A new group.
        GroupCreate = "group.create",
        /// One group, read.
        GroupRead = "group.read",
        /// Groups, looked for or listed.
        GroupFind = "group.find",
        /// A group's attributes.
        GroupUpdate = "group.update",
        /// A group's members.
        GroupMembers = "group.members",
        /// A group is deleted.
        GroupDelete = "group.delete",
        /// A search in users and groups at once.
        Search = "search",
        /// Several operations in one request; each has an entry of its own.
        Bulk = "bulk",
        /// What the server can do.
        Discovery = "discovery",
        /// A token for an OAuth client.
        TokenGrant = "token.grant",
        /// Nothing that is known here.
        Unknown = "unknown",
        /// Requests that were turned away before they were read, counted.
        TurnedAway = "turned_away",
        /// Entries that could not be written, counted.
        Lost = "lost",
    }
}

impl Action {
    /// Whether it is about writing people or groups.
    #[must_use]
    pub fn is_write(self) -> bool {
        match self {
            Self::UserCreate
            | Self::UserUpdate
            | Self::UserActivate
            | Self::UserDeactivate
            | Self::UserDelete
            | Self::GroupCreate
            | Self::GroupUpdate
            | Self::GroupMembers
            | Self::GroupDelete => true,
            Self::UserRead
            | Self::UserFind
            | Self::GroupRead
            | Self::GroupFind
            | Self::Search
            | Self::Bulk
            | Self::Discovery
            | Self::TokenGrant
            | Self::Unknown
            | Self::TurnedAway
            | Self::Lost => false,
        }
    }
}

words! {
    /// What came of it.
    Outcome, "outcome" {
        /// It was carried out.
        Done = "done",
        /// It was carried out, and everything was so already.
        Unchanged = "unchanged",
        /// It was refused; repeating it changes nothing.
        Refused = "refused",
        /// The mass-change guard holds it.
        Held = "held",
        /// It was not carried out, or nobody knows; repeating it may help.
        Failed = "failed",
    }
}

/// An entry of the provisioning log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Its name; sorts by time.
    pub id: EntryId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// When it was answered.
    pub at: Timestamp,
    /// The request's id, which the answer carried too. The operations of a Bulk request share it.
    pub request: String,
    /// The credential's id; empty where there was no good one.
    pub credential: String,
    /// What the client called itself.
    pub client: String,
    /// What was asked for: a word of [`Action`], or of a newer program.
    pub action: String,
    /// The id of the user or group; empty where it is about none, or one that did not come to be.
    pub target: String,
    /// The HTTP status; 0 where there was no answer.
    pub status: u16,
    /// What came of it.
    pub outcome: Outcome,
    /// What was wrong and what to do about it, without a subject: "sent a new user, which was refused: …".
    pub sentence: Option<String>,
    /// What else there is to say: names of attributes, counts, remarks.
    pub detail: Map<String, Value>,
    /// The ids of those whose membership the request was about, as far as they are few, or who have the name that a new user was to have.
    pub people: Vec<String>,
}

impl Entry {
    /// What was asked for, if this program knows the word.
    #[must_use]
    pub fn action(&self) -> Option<Action> {
        self.action.parse().ok()
    }
}
