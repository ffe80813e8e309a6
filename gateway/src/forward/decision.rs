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
    apps::{App, Closed, Told},
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
    /// The refusal of somebody whom the app does not admit.
    pub(crate) fn closed(closed: Closed, session: &Session) -> Self {
        match closed {
            Closed::OtherWorkspace => Self::OtherWorkspace(Box::new(session.clone())),
            Closed::RoleMissing => Self::Forbidden(Lack::Role),
        }
    }

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
        let decided = self.decided(app, headers, narrow).await;
        match &decided {
            Ok(_) => self.meters.passed(),
            Err(refused) => self.meters.not_passed(refused.code()),
        }
        decided
    }

    async fn decided(&self, app: &App, headers: &HeaderMap, narrow: &Narrow) -> Result<Allowed, Refused> {
        let live = self.guard.check(headers).await?;
        let session = &live.session;
        app.admits(session).map_err(|closed| Refused::closed(closed, session))?;
        if narrow.workspace.as_ref().is_some_and(|asked| *asked != session.workspace) {
            return Err(Refused::OtherWorkspace(Box::new(session.clone())));
        }
        if narrow.groups.as_ref().is_some_and(|asked| !asked.iter().any(|group| session.person.groups.contains(group))) {
            return Err(Refused::Forbidden(Lack::Group));
        }
        let jwt = self.written(app, &live).map_err(Refused::Unwritable)?;
        Ok(Allowed { live, jwt })
    }

    /// The identity JWT, if the app gets one and all of the identity fits into headers.
    fn written(&self, app: &App, live: &Live) -> Result<Option<HeaderValue>, Unwritable> {
        let headers = live.headers.as_ref().map_err(|too_large| *too_large)?;
        let Some(told) = &app.told else { return Ok(None) };
        let jwt = self.assertion(live, told)?;
        headers.have_room_for(&jwt)?;
        Ok(Some(jwt))
    }

    fn assertion(&self, live: &Live, told: &Arc<Told>) -> Result<HeaderValue, SigningError> {
        let now = self.clock.now();
        live.jwt(told, now, |session| {
            self.signer().sign(&Assertion {
                issuer: self.settings.public_url.origin(),
                audience: &told.audience,
                workspace: &session.workspace,
                user: &session.user,
                session: &session.id,
                person: &session.person,
                claims: &told.claims_of(&session.person),
                session_ends: session.expires_at,
                now,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use http::header;
    use lockstep_shared::model::user::Person;
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::TestGateway;

    const FOLDERS: &str = "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName";
    const APPS: &str = r#"
        [[apps]]
        hosts = ["app.example.com"]
        audience = "app"
        [apps.claims]
        kind = "userType"
        folders = "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName:folders"
        title = "title"
        [[apps]]
        hosts = ["same.example.com"]
        audience = "app"
        claims = ["name.givenName"]
        "#;

    async fn claims(test: &TestGateway, host: &str, cookie: &HeaderValue) -> Result<Value, Refused> {
        let headers = [(header::COOKIE, cookie.clone())].into_iter().collect();
        let app = test.gateway.apps.of(&host.parse().unwrap()).unwrap();
        let jwt = test.gateway.decide(app, &headers, &Narrow::default()).await?.jwt.unwrap();
        let payload = URL_SAFE_NO_PAD.decode(jwt.to_str().unwrap().split('.').nth(1).unwrap()).unwrap();
        Ok(serde_json::from_slice(&payload).unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_app_is_told_the_attributes_that_it_asks_for_as_they_are_now() {
        let test = TestGateway::start(APPS).await;
        let acme = test.workspace("acme").await;
        let user = test.user(&acme, "anna@acme.example").await;
        let change = async |name: &str, value: Value| {
            let settlement = test.set(&test.gateway.store, &acme, &user, name, value).await;
            test.gateway.road.settle(&acme, settlement).await.unwrap();
        };
        test.define(&acme, &json!({ "id": FOLDERS, "attributes": [{ "name": "folders", "multiValued": true }] })).await;
        change("userType", json!("Premium")).await;
        change(FOLDERS, json!({ "folders": ["a", "b"] })).await;
        change("name", json!({ "givenName": "Anna", "familyName": "Example" })).await;
        let (live, cookie) = test.sign_in(&acme, &user).await;

        let first = claims(&test, "app.example.com", &cookie).await.unwrap();
        let same = claims(&test, "same.example.com", &cookie).await.unwrap();
        change("userType", json!("Standard")).await;
        change(FOLDERS, json!({ "folders": [] })).await;
        let second = claims(&test, "app.example.com", &cookie).await.unwrap();

        assert_eq!((&first["kind"], &first["folders"], first.get("title")), (&json!("Premium"), &json!(["a", "b"]), None));
        assert_eq!(
            (&same["givenName"], same.get("kind")),
            (&json!("Anna"), None),
            "what another app of this audience is told is not told"
        );
        assert_eq!((&second["kind"], &second["folders"]), (&json!("Standard"), &json!([])));
        assert!(!live.session.person.claims.contains_key("name"), "a session carries what is asked for alone");
        test.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_of_before_an_app_asked_is_read_again() {
        let test = TestGateway::start(APPS).await;
        let acme = test.workspace("acme").await;
        let user = test.user(&acme, "anna@acme.example").await;
        drop(test.set(&test.gateway.store, &acme, &user, "userType", json!("Premium")).await);
        let (live, cookie) = test.sign_in(&acme, &user).await;
        let person = Person { claims: serde_json::Map::new(), ..live.session.person.clone() };
        test.gateway.sessions.replace(&Session { person, ..live.session.clone() }).await.unwrap();
        test.gateway.guard.forget(&live.session.id);

        let told = claims(&test, "app.example.com", &cookie).await.unwrap();

        assert_eq!(told["kind"], "Premium");
        test.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn g51_more_claims_than_headers_carry_are_refused_and_never_cut() {
        let test = TestGateway::start(APPS).await;
        let acme = test.workspace("acme").await;
        let user = test.user(&acme, "anna@acme.example").await;
        drop(test.set(&test.gateway.store, &acme, &user, "title", json!("x".repeat(12_000))).await);
        let (_, cookie) = test.sign_in(&acme, &user).await;

        let refused = claims(&test, "app.example.com", &cookie).await.unwrap_err();

        assert_eq!((refused.status(), refused.code()), (StatusCode::FORBIDDEN, "too_many_groups"));
        assert!(claims(&test, "same.example.com", &cookie).await.is_ok(), "an app that asks for less");
        test.stop().await;
    }
}
