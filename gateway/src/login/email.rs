//! `/login`: e-mail first. The domain of the address leads to the company's provider; where no company has proven to own it, a
//! password is asked for, whether there is such an account or not.

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
};
use lockstep_shared::model::{
    connection::ConnectionState,
    text::EmailAddress,
    workspace::{Enforcement, Workspace, WorkspaceState},
};

use super::{
    Stop, by_password,
    form::{Fields, OwnForm, link},
    see_other, sign_on_link,
};
use crate::{
    forward::return_to::ReturnTo,
    pages::{Choice, Notice, Page},
    state::Gateway,
};

pub(super) async fn ask(State(gateway): State<Gateway>, RawQuery(query): RawQuery) -> Result<Page, Stop> {
    let fields = Fields::read(query.unwrap_or_default().as_bytes(), &["rd", "login_hint"])?;
    let email = fields.get("login_hint").unwrap_or_default();
    Ok(page(email, &fields.return_to("rd", &gateway.origins), None))
}

pub(super) async fn discover(State(gateway): State<Gateway>, OwnForm(form): OwnForm) -> Result<Response, Stop> {
    let fields = Fields::read(&form, &["rd", "email"])?;
    let rd = fields.return_to("rd", &gateway.origins);
    let typed = fields.get("email").unwrap_or_default().trim();
    let Some(email) = EmailAddress::parse(typed) else {
        return Ok(page(typed, &rd, Some(Notice::EmailMalformed)).into_response());
    };
    let workspaces = owners(&gateway, &email).await?;
    let to = |workspace: &Workspace| sign_on_link(&workspace.id, &[("login_hint", email.as_str()), ("rd", rd.as_str())]);
    Ok(match workspaces.as_slice() {
        [] => by_password::page(&email, &rd, None).into_response(),
        [only] => see_other(&to(only), []),
        several => {
            let choice = |workspace: &Workspace| Choice {
                label: workspace.name.clone(),
                detail: workspace.id.to_string(),
                href: to(workspace),
            };
            let choices = several.iter().map(choice).collect();
            let back = link("/login", &[("rd", rd.as_str())]);
            Page::Choose { workspace: None, email: email.as_str().to_owned(), choices, back }.into_response()
        }
    })
}

/// The form, with what was typed before.
pub(super) fn page(email: &str, rd: &ReturnTo, notice: Option<Notice>) -> Page {
    Page::SignIn { workspace: None, email: email.to_owned(), rd: rd.as_str().to_owned(), notice }
}

/// The workspaces that have proven to own the address's domain and that have a provider to sign in at.
async fn owners(gateway: &Gateway, email: &EmailAddress) -> Result<Vec<Workspace>, Stop> {
    let mut owners = Vec::new();
    for id in gateway.store.workspaces_of_domain(email.domain()).await? {
        let connections = gateway.store.connections(&id).await?;
        let has_provider = connections.iter().any(|connection| connection.state == ConnectionState::Active);
        let workspace = gateway.store.workspace(&id).await?;
        // An enforced workspace has no other way in, whatever has become of its provider.
        owners.extend(workspace.filter(|workspace| {
            let demands_sso = workspace.enforcement == Enforcement::Enforced;
            workspace.state == WorkspaceState::Active && (has_provider || demands_sso)
        }));
    }
    Ok(owners)
}
