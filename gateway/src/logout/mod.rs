//! `/oauth2/sign_out`: ends the browser's session, everywhere, before it says so. A link of somebody else's signs nobody out: where
//! the browser does not say that the person themselves came, one button is shown.

use std::time::Duration;

use axum::{
    Router,
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{HeaderMap, HeaderValue};
use lockstep_shared::{
    model::{
        audit::Actor,
        revocation::{Draft, Scope},
        session::{Session, SignedInBy},
    },
    store::Settlement,
};
use serde_json::json;

use crate::{
    login::{
        Stop,
        form::{Fields, OwnForm, is_own_navigation, link},
        see_other, sign_on_link,
    },
    pages::Page,
    session::{
        cookie::{self, Presented, SESSION},
        guard::Denied,
    },
    state::Gateway,
};

/// How long a sign-out waits for a provider's metadata that is not at hand, for the sake of a link.
const PATIENCE: Duration = Duration::from_secs(1);

/// The way out.
pub(crate) fn routes() -> Router<Gateway> {
    Router::new().route("/oauth2/sign_out", get(come).post(press))
}

async fn come(State(gateway): State<Gateway>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Stop> {
    let fields = Fields::read(query.unwrap_or_default().as_bytes(), &["rd"])?;
    if is_own_navigation(&headers) {
        return sign_out(&gateway, &headers, &fields).await;
    }
    let rd = fields.return_to("rd", &gateway.origins);
    let workspace = match gateway.issuer.keys.read(&headers) {
        Some(presented) => gateway.workspace_name(&presented.workspace).await,
        None => None,
    };
    let page = Page::SignOut {
        workspace,
        // Left empty where none was asked for: the form then leads to the page that says "signed out".
        rd: fields.get("rd").map(|_| rd.as_str().to_owned()).unwrap_or_default(),
        stay: rd.as_str().to_owned(),
    };
    Ok(page.into_response())
}

async fn press(State(gateway): State<Gateway>, headers: HeaderMap, OwnForm(form): OwnForm) -> Result<Response, Stop> {
    sign_out(&gateway, &headers, &Fields::read(&form, &["rd"])?).await
}

/// The cookie goes last: until the session has ended everywhere, the browser may ask again.
async fn sign_out(gateway: &Gateway, headers: &HeaderMap, fields: &Fields) -> Result<Response, Stop> {
    let session = match gateway.issuer.keys.read(headers) {
        Some(presented) => end(gateway, &presented).await?,
        None => None,
    };
    let cleared = cookie::clear(SESSION);
    if fields.get("rd").is_some() {
        return Ok(see_other(fields.return_to("rd", &gateway.origins).as_str(), cleared));
    }
    let mut response = signed_out(gateway, session.as_ref()).await.into_response();
    response.headers_mut().extend(cleared.map(|cleared: HeaderValue| (http::header::SET_COOKIE, cleared)));
    Ok(response)
}

/// Ends a session; answers with its record, if there is one to be had.
async fn end(gateway: &Gateway, presented: &Presented) -> Result<Option<Session>, Stop> {
    let workspace = &presented.workspace;
    let session = match gateway.guard.check_session(workspace, &presented.id()).await {
        Ok(live) => Some(live.session.clone()),
        // That it cannot be known now whether it lives is no reason not to end it. Neither is that the session store has lost it: another
        // gateway may hold it in memory.
        Err(Denied::Doubt(_) | Denied::NoSession | Denied::RunOut) => None,
        Err(Denied::Ended(session)) => {
            // The answer to the sign-out that ended it may have been lost: nobody hears "signed out" before it is true.
            let head = gateway.store.head().await?;
            gateway.road.settle(workspace, Settlement::of_earlier(head.seq)).await?;
            return Ok(Some(*session));
        }
    };
    let scope = Scope::Session { id: presented.id() };
    let settlement = gateway.store.revoke(Draft::end(workspace, vec![scope], "session.signed_out")).await?;
    gateway.road.settle(workspace, settlement).await?;
    let actor = Actor::user(session.as_ref().map_or("", |session| session.user.as_str()));
    let detail = json!({ "session": presented.id() });
    gateway.store.record(workspace, &actor, "session.signed_out", presented.id().as_str(), &detail).await?;
    tracing::info!(workspace.id = %workspace, "signed out");
    Ok(session)
}

async fn signed_out(gateway: &Gateway, session: Option<&Session>) -> Page {
    let Some(session) = session else {
        return Page::SignedOut { workspace: None, sign_in: "/login".to_owned(), provider: None };
    };
    let (sign_in, provider) = match &session.by {
        SignedInBy::Password => (link("/login", &[]), None),
        SignedInBy::Sso(identity) => {
            (sign_on_link(&session.workspace, &[]), sign_out_at(gateway, session, &identity.issuer).await)
        }
    };
    Page::SignedOut { workspace: gateway.workspace_name(&session.workspace).await, sign_in, provider }
}

/// Where to sign out at the provider (RP-Initiated Logout 1.0). ID tokens are not kept, so it asks the person there.
async fn sign_out_at(gateway: &Gateway, session: &Session, issuer: &str) -> Option<String> {
    let SignedInBy::Sso(identity) = &session.by else { return None };
    let known = tokio::time::timeout(PATIENCE, gateway.providers.get(issuer)).await.ok()?.ok()?;
    let mut endpoint = known.metadata.end_session_endpoint.clone()?;
    let connection = gateway.store.connection(&session.workspace, &identity.connection).await.ok()??;
    endpoint.query_pairs_mut().append_pair("client_id", connection.client_id.as_deref()?);
    Some(endpoint.into())
}
