//! The decision: whether a request of this host, with these headers, may pass, and what the upstream then gets to read. Every
//! front asks here; they differ in nothing but how they say it.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode};
use lockstep_shared::{id::WorkspaceId, model::session::Session};

use super::{
    headers::TooLarge,
    jwt::{Assertion, SigningError},
};
use crate::{
    apps::{App, Closed},
    session::{
        guard::{Denied, Doubt},
        live::Live,
    },
    state::Gateway,
};

/// What a front may narrow a decision by. It can only take away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrow {
    /// Only people of this workspace.
    pub workspace: Option<WorkspaceId>,
    /// Only people in one of these groups; `None` asks for none.
    pub groups: Option<Vec<String>>,
}

/// A request that may pass.
#[derive(Debug, Clone)]
pub struct Allowed {
    /// Whose it is.
    pub live: Arc<Live>,
    /// The identity JWT, for an app with an audience.
    pub jwt: Option<HeaderValue>,
}

/// Why a request may not pass.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Nobody is signed in, or not any more.
    #[error(transparent)]
    NotSignedIn(Denied),
    /// The session is of a workspace that this is not for.
    #[error("the session is of another workspace")]
    OtherWorkspace(Box<Session>),
    /// The person may not use the app.
    #[error("the person may not use this app: {0}")]
    Forbidden(Lack),
    /// It cannot be known now.
    #[error(transparent)]
    Doubt(Doubt),
    /// The identity cannot be written down.
    #[error(transparent)]
    Unwritable(Unwritable),
}

/// What a person lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// One of the app's roles.
    #[error("a role is missing")]
    Role,
    /// One of the groups that the front asks for.
    #[error("a group is missing")]
    Group,
}

/// Why an identity cannot be written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// Too many groups for headers.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The JWT was not signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl Refused {
    /// The status that says it to a front.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotSignedIn(_) | Self::OtherWorkspace(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::Unwritable(Unwritable::TooLarge(_)) => StatusCode::FORBIDDEN,
            Self::Doubt(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unwritable(Unwritable::Signing(_)) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// One word for it, for a front's log and for metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSignedIn(Denied::NoSession) => "no_session",
            Self::NotSignedIn(Denied::Ended(_)) => "session_ended",
            Self::NotSignedIn(Denied::RunOut) => "session_run_out",
            Self::NotSignedIn(Denied::Doubt(_)) | Self::Doubt(_) => "doubt",
            Self::OtherWorkspace(_) => "other_workspace",
            Self::Forbidden(Lack::Role) => "role_missing",
            Self::Forbidden(Lack::Group) => "group_missing",
            Self::Unwritable(Unwritable::TooLarge(_)) => "too_many_groups",
            Self::Unwritable(Unwritable::Signing(_)) => "signing_failed",
        }
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Doubt(doubt) => Self::Doubt(doubt),
            Denied::NoSession | Denied::Ended(_) | Denied::RunOut => Self::NotSignedIn(denied),
        }
    }
}

impl Gateway {
    /// Decides about a request to `app` that carries these headers.
    pub async fn decide(&self, app: &App, headers: &HeaderMap, narrow: &Narrow) -> Result<Allowed, Refused> {
        let live = self.guard.check(headers).await?;
        let session = &live.session;
        match app.admits(session) {
            Ok(()) => {}
            Err(Closed::OtherWorkspace) => return Err(Refused::OtherWorkspace(Box::new(session.clone()))),
            Err(Closed::RoleMissing) => return Err(Refused::Forbidden(Lack::Role)),
        }
        if narrow.workspace.as_ref().is_some_and(|asked| *asked != session.workspace) {
            return Err(Refused::OtherWorkspace(Box::new(session.clone())));
        }
        if narrow.groups.as_ref().is_some_and(|asked| !asked.iter().any(|group| session.person.groups.contains(group))) {
            return Err(Refused::Forbidden(Lack::Group));
        }
        if let Err(too_large) = &live.headers {
            return Err(Refused::Unwritable((*too_large).into()));
        }
        let jwt = match &app.audience {
            Some(audience) => Some(self.assertion(&live, audience).map_err(|error| Refused::Unwritable(error.into()))?),
            None => None,
        };
        Ok(Allowed { live, jwt })
    }

    fn assertion(&self, live: &Live, audience: &str) -> Result<HeaderValue, SigningError> {
        let now = self.clock.now();
        live.jwt(audience, now, |session| {
            self.signer().sign(&Assertion {
                issuer: self.settings.public_url.origin(),
                audience,
                workspace: &session.workspace,
                user: &session.user,
                session: &session.id,
                person: &session.person,
                claims: &serde_json::Map::new(),
                session_ends: session.expires_at,
                now,
            })
        })
    }
}
