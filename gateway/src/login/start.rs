//! `/oauth2/start`: where a front sends a browser that it did not let through. It knows which workspace to sign in to, and it is
//! where somebody whose access has ended is told so.

use axum::{
    Extension,
    extract::{RawQuery, State},
    response::Response,
};
use http::HeaderMap;
use lockstep_shared::{
    http::client_addr::Client,
    id::WorkspaceId,
    model::{session::Session, user::LoginMethod, workspace::WorkspaceState},
};

use super::{
    Stop,
    form::{Fields, link},
    see_other, sign_on_link,
};
use crate::{
    apps::{App, Closed},
    forward::return_to::ReturnTo,
    pages::Denied,
    session::{cookie, guard::Denied as NotIn},
    state::Gateway,
};

/// Marks a browser that was sent back although it was signed in: if it returns at once, the front wants something else.
const SENT_BACK: &str = "__Host-lockstep-sent-back";
const SENT_BACK_SECONDS: u64 = 10;

pub(super) async fn start(
    State(gateway): State<Gateway>,
    Extension(client): Extension<Client>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Stop> {
    let fields = Fields::read(query.unwrap_or_default().as_bytes(), &["rd"])?;
    let rd = match (fields.get("rd"), &client.asked_for) {
        // nginx cannot encode what was asked for into a query: it says it in `X-Forwarded-Uri`.
        (None, Some(path)) => ReturnTo::parse(path.as_str(), &gateway.origins).unwrap_or_else(ReturnTo::home),
        (Some(_), _) | (None, None) => fields.return_to("rd", &gateway.origins),
    };
    let app = gateway.apps.of(&client.host).ok_or(Stop::NotFound)?;
    let presented = gateway.issuer.keys.read(&headers).filter(|presented| app.is_for(&presented.workspace));
    let Some(presented) = presented else {
        return Ok(sign_in_at(app.only_workspace(), &rd));
    };
    match gateway.guard.check_session(&presented.workspace, &presented.id()).await {
        Ok(live) => send_back(&gateway, app, &client, &live.session, &headers, &rd).await,
        Err(NotIn::Ended(session)) => after_the_end(&gateway, &session, &rd).await,
        Err(NotIn::NoSession | NotIn::RunOut) => Ok(sign_in_at(Some(&presented.workspace), &rd)),
        Err(NotIn::Doubt(doubt)) => Err(doubt.into()),
    }
}

fn sign_in_at(workspace: Option<&WorkspaceId>, rd: &ReturnTo) -> Response {
    let rd = [("rd", rd.as_str())];
    let place = workspace.map_or_else(|| link("/login", &rd), |workspace| sign_on_link(workspace, &rd));
    see_other(&place, [])
}

/// Somebody who is signed in goes back to where they were, once. Who is turned away there again is told why instead of going
/// round in a circle.
async fn send_back(
    gateway: &Gateway,
    app: &App,
    client: &Client,
    session: &Session,
    headers: &HeaderMap,
    rd: &ReturnTo,
) -> Result<Response, Stop> {
    let elsewhere = link("/login", &[("rd", rd.as_str())]);
    let why = match app.admits(session) {
        Ok(()) if cookie::read(headers, SENT_BACK).is_none() => {
            return Ok(see_other(rd.as_str(), cookie::set(SENT_BACK, "1", Some(SENT_BACK_SECONDS))));
        }
        Ok(()) | Err(Closed::OtherWorkspace) => Denied::OtherWorkspace,
        Err(Closed::RoleMissing) => Denied::RoleMissing { app: client.host.to_string() },
    };
    tracing::info!(workspace.id = %session.workspace, user.id = %session.user, "signed in, but not let through: {why:?}");
    let retry = if why == Denied::OtherWorkspace { elsewhere } else { rd.as_str().to_owned() };
    let workspace = gateway.workspace_name(&session.workspace).await;
    Err(Stop::Denied { why, workspace, retry: Some(retry) })
}

/// A session that was ended, but whose person is still one, signs in again. Whose access has ended is told so here, on the first
/// click after it.
async fn after_the_end(gateway: &Gateway, session: &Session, rd: &ReturnTo) -> Result<Response, Stop> {
    let workspace = gateway.store.workspace(&session.workspace).await?;
    let is_suspended = workspace.as_ref().is_none_or(|workspace| workspace.state == WorkspaceState::Suspended);
    let person = gateway.store.person(&session.workspace, &session.user).await?;
    if person.is_some() {
        return Ok(match session.by.method() {
            LoginMethod::Sso => sign_in_at(Some(&session.workspace), rd),
            LoginMethod::Password => sign_in_at(None, rd),
        });
    }
    tracing::info!(workspace.id = %session.workspace, user.id = %session.user, "somebody whose access has ended came back");
    Err(Stop::Denied {
        why: if is_suspended { Denied::Suspended } else { Denied::Removed },
        workspace: workspace.map(|workspace| workspace.name),
        retry: Some(sign_on_link(&session.workspace, &[("rd", rd.as_str())])),
    })
}
