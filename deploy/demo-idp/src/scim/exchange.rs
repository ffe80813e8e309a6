//! One SCIM request with its answer, as the page and the control API show it. Never holds the token.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::directory::PersonId;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Looks whether the server already has the user.
    FindUser,
    /// Creates the user.
    CreateUser,
    /// Switches the user on.
    Activate,
    /// Switches the user off.
    Deactivate,
    /// Looks whether the server already has the group.
    FindGroup,
    /// Creates the group.
    CreateGroup,
    /// Adds members to the group.
    AddMembers,
    /// Removes members from the group.
    RemoveMembers,
}

/// One SCIM request, and what came back.
#[derive(Debug, Clone, Serialize)]
pub struct Exchange {
    /// Counts the requests since the start.
    pub number: u64,
    /// When it was sent.
    pub at: DateTime<Utc>,
    /// What it was for.
    pub action: Action,
    /// The name of the person or group that it is about.
    pub subject: String,
    /// The method.
    pub method: String,
    /// The path under the SCIM base, with its query.
    pub path: String,
    /// The body that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The status of the answer, or `None` where no answer came.
    pub status: Option<u16>,
    /// How long the answer took, in milliseconds.
    pub ms: f64,
    /// What went wrong, where something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    #[serde(skip)]
    pub(crate) people: Vec<PersonId>,
}

impl Exchange {
    /// Tells whether the server confirmed it.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Tells whether it makes no sense to go on: no answer came, or the token was refused.
    pub(crate) fn is_hopeless(&self) -> bool {
        matches!(self.status, None | Some(401 | 403))
    }

    /// Writes the time as people read it: `14 ms`.
    pub(crate) fn time(&self) -> String {
        if self.ms < 10.0 { format!("{:.1} ms", self.ms) } else { format!("{:.0} ms", self.ms) }
    }

    /// Writes the outcome in one line, for the person's row: `Deactivated: 200 in 14 ms — out everywhere`.
    pub(crate) fn summary(&self) -> String {
        let (done, tried, then) = self.words();
        match (self.status, &self.failure) {
            (Some(status), None) => format!("{done}: {status} in {}{then}", self.time()),
            (Some(status), Some(_)) => format!("{tried} refused: {status} in {}. Sent again at the next sync", self.time()),
            (None, _) => {
                format!("{tried} not confirmed: {}. Sent again at the next sync", self.failure.as_deref().unwrap_or("no answer"))
            }
        }
    }

    /// Writes what it is for, as people say it.
    pub(crate) fn purpose(&self) -> String {
        let verb = match self.action {
            Action::FindUser | Action::FindGroup => "Look up",
            Action::CreateUser | Action::CreateGroup => "Create",
            Action::Activate => "Activate",
            Action::Deactivate => "Deactivate",
            Action::AddMembers => "Add to",
            Action::RemoveMembers => "Remove from",
        };
        format!("{verb} {}", self.subject)
    }

    fn words(&self) -> (String, String, &'static str) {
        let words = |done: &str, tried: &str| (done.to_owned(), tried.to_owned(), "");
        match self.action {
            Action::FindUser | Action::FindGroup => words("Looked up", "Look-up"),
            Action::CreateUser | Action::CreateGroup => words("Created", "Creation"),
            Action::Activate => ("Activated".to_owned(), "Activation".to_owned(), " — may sign in again"),
            Action::Deactivate => ("Deactivated".to_owned(), "Deactivation".to_owned(), " — out everywhere"),
            Action::AddMembers => (format!("Added to {}", self.subject), format!("Adding to {}", self.subject), ""),
            Action::RemoveMembers => (format!("Removed from {}", self.subject), format!("Removing from {}", self.subject), ""),
        }
    }
}

/// The requests that one change, or one sync, led to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SyncReport {
    /// In the order in which they were sent.
    pub requests: Vec<Exchange>,
}

impl SyncReport {
    /// Tells whether something was sent and the server confirmed all of it.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        !self.requests.is_empty() && self.requests.iter().all(Exchange::is_confirmed)
    }

    /// Finds the first request of a kind.
    #[must_use]
    pub fn find(&self, action: Action) -> Option<&Exchange> {
        self.requests.iter().find(|exchange| exchange.action == action)
    }
}
