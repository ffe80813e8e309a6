//! How somebody gets in: through their company's provider, or with a password where that is allowed, and in no other way. Each
//! way reads the head of the revocation log first and ends at one place that makes the session.

mod admission;
mod by_password;
mod callback;
mod email;
pub(crate) mod form;
mod invitation;
mod passwords;
mod sign_on;
mod start;
mod stop;
mod strength;
mod throttle;

use axum::{
    Router,
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use lockstep_shared::{
    id::{ConnectionId, WorkspaceId},
    model::workspace::{Workspace, WorkspaceState},
};

pub use self::passwords::Passwords;
pub(crate) use self::stop::Stop;
use crate::{
    pages::{Page, Problem},
    session::{guard::Denied as NotIn, issue::Mint},
    state::Gateway,
};

/// The ways in.
pub(crate) fn routes() -> Router<Gateway> {
    Router::new()
        .route("/oauth2/start", get(start::start))
        .route("/sso/{workspace}", get(sign_on::sign_on))
        .route("/callback/{connection}", get(callback::answered).post(callback::posted))
        .route("/login", get(email::ask).post(email::discover))
        .route("/login/password", get(by_password::ask).post(by_password::submit))
        .route("/invite/{workspace}/{token}", get(invitation::ask).post(invitation::accept))
}

impl Gateway {
    /// The head of the log. To be read before anything that a session will rest on: what ends access later ends that session.
    async fn mint(&self) -> Result<Mint, Stop> {
        let head = self.store.head().await?;
        Ok(Mint { generation: head.generation, seq: head.seq })
    }

    /// A workspace that is in use; one that is suspended looks like one that does not exist.
    async fn open_workspace(&self, id: &str) -> Result<Workspace, Stop> {
        let id = WorkspaceId::parse(id).map_err(|_| Stop::NotFound)?;
        let found = self.store.workspace(&id).await?.filter(|workspace| workspace.state == WorkspaceState::Active);
        if found.is_some() {
            tracing::Span::current().record("workspace.id", id.as_str());
        }
        found.ok_or(Stop::NotFound)
    }

    /// The company's name, for a page that does without it where it cannot be read.
    pub(crate) async fn workspace_name(&self, id: &WorkspaceId) -> Option<String> {
        self.store.workspace(id).await.ok().flatten().map(|workspace| workspace.name)
    }

    /// Whether the browser is signed in to this workspace now.
    async fn is_signed_in_to(&self, workspace: &WorkspaceId, headers: &HeaderMap) -> Result<bool, Stop> {
        match self.guard.check(headers).await {
            Ok(live) => Ok(live.session.workspace == *workspace),
            Err(NotIn::NoSession | NotIn::Ended(_) | NotIn::RunOut) => Ok(false),
            Err(NotIn::Doubt(doubt)) => Err(doubt.into()),
        }
    }

    /// The connection's own redirect URI (RFC 9700, section 4.4: one per provider is the defence against mix-up).
    fn redirect_uri(&self, connection: &ConnectionId) -> String {
        self.settings.public_url.at(&format!("/callback/{connection}"))
    }
}

/// The Sign-On Link of a workspace.
pub(crate) fn sign_on_link(workspace: &WorkspaceId, parameters: &[(&str, &str)]) -> String {
    form::link(&format!("/sso/{workspace}"), parameters)
}

/// Sends the browser on, by GET whatever it came with.
pub(crate) fn see_other(place: &str, cookies: impl IntoIterator<Item = HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::try_from(place) else {
        tracing::error!("a place to go to cannot be written as a header");
        return Page::Problem(Problem::Internal).into_response();
    };
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    for cookie in cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
