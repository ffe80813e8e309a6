//! The one place where a sign-in becomes a session: with a secret of its own, in place of whatever session the browser had.

use axum::response::Response;
use http::{HeaderMap, HeaderValue};
use lockstep_shared::{
    id::WorkspaceId,
    model::{
        audit::Actor,
        revocation::{Draft, Scope},
        session::SignedInBy,
    },
    store::{Refusal, SignedIn},
};
use serde_json::json;

use super::{Stop, form::link, see_other, sign_on_link};
use crate::{
    forward::return_to::ReturnTo,
    pages::Denied,
    session::{cookie::Presented, guard::Denied as NotIn, issue::Mint},
    state::Gateway,
};

/// Somebody who may come in.
pub(super) struct Admission {
    pub(super) workspace: WorkspaceId,
    pub(super) signed_in: SignedIn,
    pub(super) by: SignedInBy,
    pub(super) mint: Mint,
}

impl Admission {
    /// Makes the session and sends the browser on.
    pub(super) async fn let_in(self, gateway: &Gateway, headers: &HeaderMap, rd: &ReturnTo) -> Result<Response, Stop> {
        let Self { workspace, signed_in, by, mint } = self;
        let (user, method) = (signed_in.user.clone(), by.method());
        end_presented(gateway, headers).await?;
        let (_, cookie): (_, HeaderValue) = gateway.issuer.issue(&workspace, signed_in, by, mint).await?;
        gateway.meters.signed_in("signed_in");
        tracing::Span::current().record("workspace.id", workspace.as_str()).record("user.id", user.as_str());
        tracing::info!(workspace.id = %workspace, user.id = %user, %method, "signed in by {method}");
        Ok(see_other(rd.as_str(), [cookie]))
    }
}

/// Ends the session that the browser came with, so that one which somebody had planted there, or had copied from there, is worth
/// nothing afterwards.
async fn end_presented(gateway: &Gateway, headers: &HeaderMap) -> Result<(), Stop> {
    let Some(presented) = gateway.issuer.keys.read(headers) else { return Ok(()) };
    match gateway.guard.check_session(&presented.workspace, &presented.id()).await {
        // What cannot be known is ended all the same, and what the session store has lost: another gateway may hold it in memory.
        Ok(_) | Err(NotIn::Doubt(_) | NotIn::NoSession) => {}
        Err(NotIn::Ended(_) | NotIn::RunOut) => return Ok(()),
    }
    let Presented { workspace, secret } = presented;
    let scope = Scope::Session { id: secret.id() };
    let settlement = gateway.store.revoke(Draft::end(&workspace, vec![scope], "session.replaced")).await?;
    let gateway_of_task = gateway.clone();
    // Nobody's access ends by this, so the person does not wait until every gateway has heard.
    gateway.tasks.spawn(async move {
        if let Err(error) = gateway_of_task.road.settle(&workspace, settlement).await {
            tracing::warn!(workspace.id = %workspace, error = %error, "a replaced session was not settled");
        }
    });
    Ok(())
}

/// Says a refusal of the store to the person.
pub(super) async fn refused(gateway: &Gateway, refusal: Refusal, workspace: &WorkspaceId, rd: &ReturnTo) -> Stop {
    tracing::info!(workspace.id = %workspace, reason = %refusal, "somebody was not let in: {refusal}");
    gateway.meters.signed_in("refused");
    let again = || Some(sign_on_link(workspace, &[("rd", rd.as_str())]));
    let (why, retry) = match refusal {
        Refusal::WorkspaceClosed => (Denied::Suspended, None),
        Refusal::ConnectionClosed => (Denied::AnswerRefused, again()),
        Refusal::NotProvisioned | Refusal::ClaimMissing | Refusal::LinkedToAnother | Refusal::FormerIdentity => {
            (Denied::NotProvisioned, again())
        }
        Refusal::Deactivated => (Denied::Removed, again()),
        Refusal::EmailNotProven => (Denied::EmailNotProven, again()),
        Refusal::UsesPassword => (Denied::UsesPassword, Some(link("/login/password", &[("rd", rd.as_str())]))),
        Refusal::MustUseSso => (Denied::SsoOnly, again()),
        Refusal::PasswordGone => (Denied::AnswerRefused, Some(link("/login", &[("rd", rd.as_str())]))),
    };
    Stop::Denied { why, workspace: gateway.workspace_name(workspace).await, retry }
}

/// Notes in the audit trail why a sign-in that had begun came to nothing. That it cannot be written lets nobody in.
pub(super) async fn record_refusal(gateway: &Gateway, workspace: &WorkspaceId, target: &str, detail: serde_json::Value) {
    let detail = json!(detail);
    let written = gateway.store.record(workspace, &Actor::user(""), "session.refused", target, &detail).await;
    if let Err(error) = written {
        tracing::warn!(workspace.id = %workspace, error = %error, "a refusal is missing from the audit trail");
    }
}
