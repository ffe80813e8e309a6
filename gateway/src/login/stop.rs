//! Why somebody who wants in or out gets no further: one enum, with the page that says it and the line that the log gets.

use std::{error::Error as _, time::Duration};

use axum::response::{IntoResponse, Response};
use lockstep_shared::{revoke::SettleError, secret::SecretError, session::SessionStoreError, store::StoreError};

use super::passwords::PasswordError;
use crate::{
    oidc::{ExchangeError, ProviderError},
    pages::{Denied, Page, Problem},
    session::{flow::FlowError, guard::Doubt, issue::IssueError},
};

/// How soon to try again when something is away.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Why somebody gets no further. The text is for the log; the page says what a person needs to know.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stop {
    /// The request makes no sense.
    #[error("the request is malformed: {0}")]
    Malformed(&'static str),
    /// Another site had the browser send it.
    #[error("the form was not sent by a page of ours")]
    CrossSite,
    /// Nothing is here, or nothing that the asker may know of.
    #[error("there is nothing here")]
    NotFound,
    /// The answer belongs to no sign-in of this browser.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// The answer was used before.
    #[error("the provider's answer was used before")]
    AnswerUsed,
    /// The invitation is used, expired or none.
    #[error("the invitation is not open")]
    InvitationClosed,
    /// Too many attempts.
    #[error("too many attempts")]
    TooOften {
        /// When the next one may come.
        retry_after: Duration,
    },
    /// The workspace demands SSO and has no connection in use.
    #[error("the workspace has no connection in use, and people must use SSO")]
    NoConnection,
    /// The provider cannot be had.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The provider gave no tokens.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Somebody is known and still not let in.
    #[error("not let in: {why:?}")]
    Denied {
        /// Why.
        why: Denied,
        /// The workspace's name.
        workspace: Option<String>,
        /// Where another attempt starts, if one could help.
        retry: Option<String>,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The session store.
    #[error(transparent)]
    Sessions(#[from] SessionStoreError),
    /// The barrier.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// Whether a session is alive cannot be known.
    #[error(transparent)]
    Doubt(#[from] Doubt),
    /// The session was not made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// A password could not be checked or kept.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// No randomness.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl Stop {
    /// Whether it is about what is away now: nothing was decided, nothing may be cleared, and the same request may come again.
    pub(crate) fn is_doubt(&self) -> bool {
        matches!(self.page(), Page::Problem(Problem::Unavailable { .. }))
    }

    fn page(&self) -> Page {
        let problem = match self {
            Self::Denied { why, workspace, retry } => {
                return Page::Denied { why: why.clone(), workspace: workspace.clone(), retry: retry.clone() };
            }
            Self::NotFound => Problem::NotFound,
            Self::InvitationClosed => Problem::LinkExpired,
            Self::TooOften { retry_after } => Problem::TooManyRequests { retry_after: *retry_after },
            Self::Malformed(_) | Self::CrossSite | Self::Flow(FlowError::TooLarge) => Problem::BadRequest,
            Self::Flow(FlowError::Unknown | FlowError::Forged | FlowError::Expired)
            | Self::AnswerUsed
            | Self::Exchange(ExchangeError::Spent)
            | Self::Issue(IssueError::OtherGeneration) => Problem::StartAgain,
            Self::NoConnection
            | Self::Provider(_)
            | Self::Exchange(
                ExchangeError::Provider(_) | ExchangeError::Client(_) | ExchangeError::Refused(_) | ExchangeError::Malformed(_),
            ) => Problem::Provider,
            Self::Sessions(SessionStoreError::Unavailable(_))
            | Self::Issue(IssueError::Sessions(SessionStoreError::Unavailable(_)))
            | Self::Settle(_)
            | Self::Doubt(_)
            | Self::Password(PasswordError::Busy) => Problem::Unavailable { retry_after: TRY_AGAIN_AFTER },
            Self::Store(error) if error.is_transient() => Problem::Unavailable { retry_after: TRY_AGAIN_AFTER },
            Self::Store(_)
            | Self::Sessions(SessionStoreError::Unreadable | SessionStoreError::Secret(_))
            | Self::Issue(IssueError::Sessions(_) | IssueError::Secret(_) | IssueError::Cookie)
            | Self::Password(PasswordError::Hash(_) | PasswordError::Interrupted)
            | Self::Flow(FlowError::Secret(_))
            | Self::Secret(_) => Problem::Internal,
        };
        Page::Problem(problem)
    }

    fn log(&self, status: u16) {
        let source = self.source().map(ToString::to_string).unwrap_or_default();
        match status {
            502 => tracing::warn!(error = %self, %source, "the provider could not be used: {self}"),
            500.. => tracing::error!(error = %self, %source, "a sign-in or sign-out failed: {self}"),
            // Whoever denies says why in the log.
            403 => tracing::debug!(reason = %self, "a page says so"),
            _ => tracing::info!(reason = %self, "somebody got no further: {self}"),
        }
    }
}

impl IntoResponse for Stop {
    fn into_response(self) -> Response {
        let page = self.page();
        self.log(page.status().as_u16());
        page.into_response()
    }
}
