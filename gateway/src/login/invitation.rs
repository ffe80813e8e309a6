//! `/invite/{workspace}/{token}`: where somebody who is in no directory sets their password, once. An invitation is no way round
//! SSO: where the person must use it, the link leads there.

use axum::{
    Extension,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use http::HeaderMap;
use lockstep_shared::{
    http::client_addr::Client,
    model::{
        session::SignedInBy,
        user::{LoginMethod, User},
        workspace::Workspace,
    },
    store::PasswordAccount,
};
use secrecy::SecretString;

use super::{
    Stop,
    admission::{Admission, refused},
    form::{Fields, OwnForm},
    sign_on_link,
    strength::{MIN_LENGTH, is_weak},
};
use crate::{
    forward::return_to::ReturnTo,
    pages::{Denied, Notice, Page},
    state::Gateway,
};

const TOKEN_LIMIT: usize = 64;

pub(super) async fn ask(State(gateway): State<Gateway>, Path((workspace, token)): Path<(String, String)>) -> Result<Page, Stop> {
    Ok(Invitation::open(&gateway, &workspace, token).await?.page(None))
}

pub(super) async fn accept(
    State(gateway): State<Gateway>,
    Extension(client): Extension<Client>,
    Path((workspace, token)): Path<(String, String)>,
    headers: HeaderMap,
    OwnForm(form): OwnForm,
) -> Result<Response, Stop> {
    let fields = Fields::read(&form, &["password", "repeat"])?;
    let counted = gateway.passwords.throttle.attempt_from(client.address.for_limits());
    counted.map_err(|retry_after| Stop::TooOften { retry_after })?;
    let invitation = Invitation::open(&gateway, &workspace, token).await?;
    let password = fields.get("password").unwrap_or_default();
    if is_weak(password, invitation.email()) || is_weak(password, &invitation.user.profile.user_name) {
        return Ok(invitation.page(Some(Notice::PasswordWeak)).into_response());
    }
    if fields.get("repeat") != Some(password) {
        return Ok(invitation.page(Some(Notice::PasswordsDiffer)).into_response());
    }
    let hash = gateway.passwords.hash(SecretString::from(password)).await?;
    invitation.use_it(&gateway, &headers, hash).await
}

/// An invitation that is open, for somebody who may use a password.
struct Invitation {
    workspace: Workspace,
    user: User,
    token: String,
}

impl Invitation {
    async fn open(gateway: &Gateway, workspace: &str, token: String) -> Result<Self, Stop> {
        let workspace = gateway.open_workspace(workspace).await?;
        if token.len() > TOKEN_LIMIT {
            return Err(Stop::InvitationClosed);
        }
        let user = gateway.store.invited_user(&workspace.id, &token).await?.ok_or(Stop::InvitationClosed)?;
        let person = gateway.store.person(&workspace.id, &user.id).await?;
        let (person, _) = person.ok_or(Stop::InvitationClosed)?;
        let may_use_password = user.login_method == LoginMethod::Password
            && workspace.allows_password(user.id.as_str(), &user.profile.user_name, &person.groups);
        if !may_use_password {
            let retry = Some(sign_on_link(&workspace.id, &[]));
            return Err(Stop::Denied { why: Denied::SsoOnly, workspace: Some(workspace.name), retry });
        }
        Ok(Self { workspace, user, token })
    }

    /// Sets the password and signs the person in. The row that ends their other sessions is older than the head that is read for
    /// this one.
    async fn use_it(self, gateway: &Gateway, headers: &HeaderMap, hash: String) -> Result<Response, Stop> {
        let workspace = self.workspace.id;
        let accepted = gateway.store.accept_invitation(&workspace, &self.token, &hash).await?;
        let (user, settlement) = accepted.ok_or(Stop::InvitationClosed)?;
        gateway.road.settle(&workspace, settlement).await?;
        let mint = gateway.mint().await?;
        let account = PasswordAccount { workspace: workspace.clone(), user, hash };
        let home = ReturnTo::home();
        match gateway.store.sign_in_by_password(&account).await? {
            Ok(signed_in) => {
                let admission = Admission { workspace, signed_in, by: SignedInBy::Password, mint };
                admission.let_in(gateway, headers, &home).await
            }
            Err(refusal) => Err(refused(gateway, refusal, &workspace, &home).await),
        }
    }

    fn email(&self) -> &str {
        self.user.profile.email().unwrap_or(&self.user.profile.user_name)
    }

    fn page(&self, notice: Option<Notice>) -> Page {
        Page::SetPassword {
            workspace: self.workspace.name.clone(),
            email: self.email().to_owned(),
            action: format!("/invite/{}/{}", self.workspace.id, self.token),
            min_length: MIN_LENGTH,
            notice,
        }
    }
}
