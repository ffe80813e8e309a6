//! `/login/password`: a password, for people who are in no directory. Whether there is an account, and where, is told by neither
//! the answer nor its time; whether the person may use a password at all is the store's to decide, after it was right.

use axum::{
    Extension,
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use lockstep_shared::{
    http::client_addr::Client,
    model::{session::SignedInBy, text::EmailAddress},
    store::{PasswordAccount, Refusal},
};
use secrecy::SecretString;
use serde_json::json;

use super::{
    Stop,
    admission::{Admission, record_refusal, refused},
    email,
    form::{Fields, OwnForm, link},
};
use crate::{
    forward::return_to::ReturnTo,
    pages::{Notice, Page},
    session::issue::Mint,
    state::Gateway,
};

pub(super) async fn ask(State(gateway): State<Gateway>, RawQuery(query): RawQuery) -> Result<Page, Stop> {
    let fields = Fields::read(query.unwrap_or_default().as_bytes(), &["rd", "email"])?;
    let rd = fields.return_to("rd", &gateway.origins);
    Ok(match fields.get("email").and_then(EmailAddress::parse) {
        Some(address) => page(&address, &rd, None),
        None => email::page("", &rd, None),
    })
}

pub(super) async fn submit(
    State(gateway): State<Gateway>,
    Extension(client): Extension<Client>,
    headers: HeaderMap,
    OwnForm(form): OwnForm,
) -> Result<Response, Stop> {
    let fields = Fields::read(&form, &["rd", "email", "password"])?;
    let rd = fields.return_to("rd", &gateway.origins);
    let typed = fields.get("email").unwrap_or_default();
    let Some(address) = EmailAddress::parse(typed) else {
        return Ok(email::page(typed, &rd, Some(Notice::EmailMalformed)).into_response());
    };
    let counted = gateway.passwords.throttle.attempt(client.address.for_limits(), &address);
    counted.map_err(|retry_after| Stop::TooOften { retry_after })?;
    // Before the password is looked at: whatever is ended from here on ends the session that this makes.
    let mint = gateway.mint().await?;
    let app = gateway.apps.of(&client.host);
    let mut accounts = gateway.store.password_accounts(address.as_str()).await?;
    accounts.retain(|account| app.is_none_or(|app| app.is_for(&account.workspace)));
    let password = SecretString::from(fields.get("password").unwrap_or_default());
    let opened = gateway.passwords.opened_by(password, accounts.clone()).await?;
    if opened.is_empty() {
        gateway.meters.signed_in("not_believed");
        note_failure(&gateway, accounts);
        return Ok(page(&address, &rd, Some(Notice::PasswordWrong)).into_response());
    }
    let entered = enter(&gateway, &headers, opened, mint, &rd).await?;
    Ok(entered.unwrap_or_else(|| page(&address, &rd, Some(Notice::PasswordWrong)).into_response()))
}

/// Enters the first of the accounts whose workspace allows it; `None` where the password was changed while it was checked.
async fn enter(
    gateway: &Gateway,
    headers: &HeaderMap,
    opened: Vec<PasswordAccount>,
    mint: Mint,
    rd: &ReturnTo,
) -> Result<Option<Response>, Stop> {
    let mut first_refusal = None;
    for account in opened {
        match gateway.store.sign_in_by_password(&account).await? {
            Ok(signed_in) => {
                let admission = Admission { workspace: account.workspace, signed_in, by: SignedInBy::Password, mint };
                return admission.let_in(gateway, headers, rd).await.map(Some);
            }
            Err(refusal) => first_refusal = first_refusal.or(Some((refusal, account))),
        }
    }
    match first_refusal {
        None | Some((Refusal::PasswordGone, _)) => {
            gateway.meters.signed_in("not_believed");
            Ok(None)
        }
        Some((refusal, account)) => Err(refused(gateway, refusal, &account.workspace, rd).await),
    }
}

/// After the answer, so that its time does not tell whether there is an account.
fn note_failure(gateway: &Gateway, accounts: Vec<PasswordAccount>) {
    let of_task = gateway.clone();
    gateway.tasks.spawn(async move {
        for account in accounts {
            let detail = json!({ "method": "password", "reason": "the password was wrong" });
            record_refusal(&of_task, &account.workspace, account.user.as_str(), detail).await;
        }
    });
}

/// The form.
pub(super) fn page(address: &EmailAddress, rd: &ReturnTo, notice: Option<Notice>) -> Page {
    Page::Password {
        email: address.as_str().to_owned(),
        rd: rd.as_str().to_owned(),
        back: link("/login", &[("rd", rd.as_str())]),
        notice,
    }
}
