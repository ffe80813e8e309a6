//! What people see: sign-in, refusals and errors, one quiet design. No script, nothing from elsewhere, and nothing that a
//! provider said; each page says what happened and what to do.

mod answer;
mod message;
mod policy;
mod templates;
#[cfg(test)]
mod tests;

use std::fmt;

use askama::Template as _;
use http::StatusCode;

use self::message::Message;
pub use self::{
    answer::{in_place_of_a_panic, render},
    message::{Denied, Problem},
    policy::headers,
};

/// What was wrong with a form's last attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Not an e-mail address.
    EmailMalformed,
    /// E-mail and password do not belong together; never which of them is wrong.
    PasswordWrong,
    /// Too short, or one that everybody uses.
    PasswordWeak,
    /// The two fields differ.
    PasswordsDiffer,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmailMalformed => "That is not an e-mail address. It looks like you@company.com.",
            Self::PasswordWrong => "This e-mail and password do not go together. Please try again.",
            Self::PasswordWeak => "This password is too easy to guess. Please choose a longer or less common one.",
            Self::PasswordsDiffer => "The two passwords differ. Please type the same one twice.",
        })
    }
}

/// One way to sign in, to be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub label: String,
    /// One line about it; may be empty.
    pub detail: String,
    /// Where it starts.
    pub href: String,
}

/// A page. Texts in it may be anything that a person or provider typed: they are escaped.
#[derive(Debug, Clone)]
pub enum Page {
    /// E-mail first.
    SignIn {
        /// The workspace's name, where it is known already.
        workspace: Option<String>,
        /// What was typed before.
        email: String,
        /// Where to go afterwards.
        rd: String,
        /// What to say.
        notice: Option<Notice>,
    },
    /// Several ways to sign in.
    Choose {
        /// The workspace's name.
        workspace: Option<String>,
        /// Who is signing in; may be empty.
        email: String,
        /// The ways.
        choices: Vec<Choice>,
        /// Where to start over.
        back: String,
    },
    /// A password, where it is allowed.
    Password {
        /// Who is signing in.
        email: String,
        /// Where to go afterwards.
        rd: String,
        /// Where to start over.
        back: String,
        /// What to say.
        notice: Option<Notice>,
    },
    /// The page behind an invitation's link.
    SetPassword {
        /// The workspace's name.
        workspace: String,
        /// Who was invited.
        email: String,
        /// Where the form goes.
        action: String,
        /// The shortest password.
        min_length: usize,
        /// What to say.
        notice: Option<Notice>,
    },
    /// Asks before a sign-out that another site might have started.
    SignOut {
        /// The workspace's name.
        workspace: Option<String>,
        /// Where to go afterwards.
        rd: String,
        /// Where "stay" leads.
        stay: String,
    },
    /// Signed out.
    SignedOut {
        /// The workspace's name.
        workspace: Option<String>,
        /// Where to sign in again.
        sign_in: String,
        /// Where to sign out at the provider, if it can be done there.
        provider: Option<String>,
    },
    /// Signed in at the provider, and still not let in.
    Denied {
        /// Why.
        why: Denied,
        /// The workspace's name.
        workspace: Option<String>,
        /// Where another attempt starts, if one could help.
        retry: Option<String>,
    },
    /// Something did not work.
    Problem(Problem),
}

impl Page {
    /// The status to answer with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::SignIn { .. }
            | Self::Choose { .. }
            | Self::Password { .. }
            | Self::SetPassword { .. }
            | Self::SignOut { .. }
            | Self::SignedOut { .. } => StatusCode::OK,
            Self::Denied { .. } => StatusCode::FORBIDDEN,
            Self::Problem(problem) => problem.status(),
        }
    }

    /// The page as HTML; refusals and errors show the request's id.
    #[must_use]
    pub fn html(&self, request_id: &str) -> String {
        let rendered = match self {
            Self::SignIn { workspace, email, rd, notice } => {
                templates::SignIn::new(workspace.as_deref(), email, rd, *notice).render()
            }
            Self::Choose { workspace, email, choices, back } => {
                templates::Choose::new(workspace.as_deref(), email, choices, back).render()
            }
            Self::Password { email, rd, back, notice } => templates::Password::new(email, rd, back, *notice).render(),
            Self::SetPassword { workspace, email, action, min_length, notice } => {
                templates::SetPassword::new(workspace, email, action, *min_length, *notice).render()
            }
            Self::SignOut { workspace, rd, stay } => templates::SignOut::new(workspace.as_deref(), rd, stay).render(),
            Self::SignedOut { workspace, sign_in, provider } => {
                Message::signed_out(workspace.as_deref(), sign_in, provider.as_deref()).render()
            }
            Self::Denied { why, workspace, retry } => {
                Message::denied(why, workspace.as_deref(), retry.as_deref(), request_id).render()
            }
            Self::Problem(problem) => Message::problem(*problem, request_id).render(),
        };
        // Rendering into a text cannot fail but by a template's own error, and ours have none.
        rendered.unwrap_or_else(|_| "<!doctype html><title>Error</title><p>The page could not be shown.</p>".to_owned())
    }
}
