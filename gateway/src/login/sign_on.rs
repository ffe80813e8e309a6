//! The Sign-On Link, `/sso/{workspace}`: sends the browser to the company's provider at once. Third-party initiation (OpenID
//! Connect Core, section 4) comes here too.

use axum::{
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use lockstep_shared::{
    model::{
        connection::{Connection, ConnectionState, Preset},
        workspace::{Enforcement, Workspace},
    },
    secret,
};

use super::{
    Stop,
    form::{Fields, link},
    see_other, sign_on_link,
};
use crate::{
    forward::return_to::ReturnTo,
    oidc::{Authorization, Pkce},
    pages::{Choice, Page},
    session::{
        flow::{Flow, FlowError},
        issue::Mint,
    },
    state::Gateway,
};

const PARAMETERS: [&str; 5] = ["rd", "login_hint", "connection", "iss", "target_link_uri"];

pub(super) async fn sign_on(
    State(gateway): State<Gateway>,
    Path(workspace): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Stop> {
    let fields = Fields::read(query.unwrap_or_default().as_bytes(), &PARAMETERS)?;
    let place = if fields.get("rd").is_some() { "rd" } else { "target_link_uri" };
    let rd = fields.return_to(place, &gateway.origins);
    // Before anything that the session will rest on: whatever is taken away after this ends it at birth.
    let mint = gateway.mint().await?;
    let workspace = gateway.open_workspace(&workspace).await?;
    // Whoever names a connection or a person wants to sign in as that, whoever they are now.
    let is_plain = ["login_hint", "connection", "iss"].iter().all(|name| fields.get(name).is_none());
    if is_plain && gateway.is_signed_in_to(&workspace.id, &headers).await? {
        return Ok(see_other(rd.as_str(), []));
    }
    let hint = fields.get("login_hint");
    let mut connections = asked_for(&gateway, &workspace, &fields).await?;
    match (connections.pop(), connections.is_empty()) {
        (Some(only), true) => Departure { gateway: &gateway, connection: &only, mint, hint }.leave(&headers, &rd).await,
        (Some(last), false) => {
            connections.push(last);
            Ok(choose(workspace, &connections, hint.unwrap_or_default(), &rd).into_response())
        }
        (None, _) if workspace.enforcement == Enforcement::Enforced => Err(Stop::NoConnection),
        (None, _) => Ok(see_other(&link("/login", &[("rd", rd.as_str())]), [])),
    }
}

/// The connections in use that the request may mean; one that it names and that is not among them is not found.
async fn asked_for(gateway: &Gateway, workspace: &Workspace, fields: &Fields) -> Result<Vec<Connection>, Stop> {
    let (id, issuer) = (fields.get("connection"), fields.get("iss"));
    let mut connections = gateway.store.connections(&workspace.id).await?;
    connections.retain(|connection| {
        connection.state == ConnectionState::Active
            && id.is_none_or(|id| connection.id.as_str() == id)
            && issuer.is_none_or(|issuer| connection.issuer.as_deref() == Some(issuer))
    });
    let is_named = id.is_some() || issuer.is_some();
    if is_named && connections.is_empty() { Err(Stop::NotFound) } else { Ok(connections) }
}

fn choose(workspace: Workspace, connections: &[Connection], hint: &str, rd: &ReturnTo) -> Page {
    let choice = |connection: &Connection| Choice {
        label: name_of(connection.preset).to_owned(),
        detail: connection.id.to_string(),
        href: sign_on_link(&workspace.id, &[("connection", connection.id.as_str()), ("login_hint", hint), ("rd", rd.as_str())]),
    };
    Page::Choose {
        email: hint.to_owned(),
        choices: connections.iter().map(choice).collect(),
        back: link("/login", &[("rd", rd.as_str())]),
        workspace: Some(workspace.name),
    }
}

fn name_of(preset: Preset) -> &'static str {
    match preset {
        Preset::Entra => "Microsoft",
        Preset::Okta => "Okta",
        Preset::Google => "Google",
        Preset::OneLogin => "OneLogin",
        Preset::JumpCloud => "JumpCloud",
        Preset::Keycloak => "Keycloak",
        Preset::Generic => "Company sign-in",
    }
}

/// A browser on its way to a provider.
struct Departure<'a> {
    gateway: &'a Gateway,
    connection: &'a Connection,
    mint: Mint,
    hint: Option<&'a str>,
}

impl Departure<'_> {
    async fn leave(self, headers: &HeaderMap, rd: &ReturnTo) -> Result<Response, Stop> {
        let Self { gateway, connection, mint, hint } = self;
        let (Some(issuer), Some(client_id)) = (connection.issuer.clone(), connection.client_id.as_deref()) else {
            return Err(Stop::NoConnection);
        };
        let provider = gateway.providers.get(&issuer).await?;
        let pkce = Pkce::new()?;
        let mut flow = Flow {
            v: Flow::VERSION,
            state: secret::random_text()?,
            workspace: connection.workspace.clone(),
            connection: connection.id.clone(),
            issuer,
            nonce: secret::random_text()?,
            pkce_verifier: pkce.verifier().to_owned(),
            generation: mint.generation,
            mint_seq: mint.seq,
            rd: rd.as_str().to_owned(),
            started_at: gateway.clock.now(),
        };
        let cookies = match gateway.flows.start(&flow, headers) {
            // An absurdly long way back keeps nobody out.
            Err(FlowError::TooLarge) => {
                ReturnTo::home().as_str().clone_into(&mut flow.rd);
                gateway.flows.start(&flow, headers)?
            }
            other => other?,
        };
        let request = Authorization {
            client_id,
            redirect_uri: &gateway.redirect_uri(&connection.id),
            state: &flow.state,
            nonce: &flow.nonce,
            pkce: &pkce,
            max_age: None,
            prompt: None,
            login_hint: hint,
        };
        Ok(see_other(request.url(&provider.metadata).as_str(), cookies))
    }
}
