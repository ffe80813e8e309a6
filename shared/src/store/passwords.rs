//! Passwords and the invitations by which they are set, for people who are not in a directory. Hashing is the caller's: the
//! store never sees a password.

use std::time::Duration;

use serde_json::{Map, json};

use super::{
    Settlement, Store, StoreError,
    people::{Refusal, SignedIn, may_use_password, person_on},
    policies::seen_on,
    row::Columns,
    users::{self, NewUser, UserMatch},
};
use crate::{
    id::{UserId, WorkspaceId},
    model::{
        audit::Actor,
        revocation::{Draft, Scope},
        text::fold,
        user::{LoginMethod, Origin, Profile, User},
        workspace::WorkspaceState,
    },
    secret,
};

const INVITE: &str = "
    INSERT INTO invitations (workspace_id, digest, user_id, expires_at, created_at) VALUES ($1, $2, $3, $4, $5)";
const OPEN_INVITATION: &str = "
    SELECT user_id FROM invitations WHERE workspace_id = $1 AND digest = $2 AND used_at IS NULL AND expires_at > $3";
const USE_INVITATION: &str = "
    UPDATE invitations SET used_at = $3 WHERE workspace_id = $1 AND digest = $2 AND used_at IS NULL AND expires_at > $3
    RETURNING user_id";
const SET_PASSWORD: &str = "
    INSERT INTO passwords (workspace_id, user_id, hash, changed_at) VALUES ($1, $2, $3, $4)
    ON CONFLICT (workspace_id, user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at";
const PASSWORD: &str = "SELECT hash FROM passwords WHERE workspace_id = $1 AND user_id = $2";
const ACCOUNTS: &str = "
    SELECT u.workspace_id, u.id, p.hash FROM users u
    JOIN passwords p ON p.workspace_id = u.workspace_id AND p.user_id = u.id
    WHERE u.user_name_key = $1 AND u.login_method = 'password' ORDER BY u.workspace_id LIMIT 10";

/// An account that a password may open.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordAccount {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its person.
    pub user: UserId,
    /// The password's hash in PHC form.
    pub hash: String,
}

impl std::fmt::Debug for PasswordAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PasswordAccount({}, {})", self.workspace, self.user)
    }
}

impl Store {
    /// Invites a person by e-mail address: makes the user if there is none, and a token, shown once, by which they set a password.
    /// Somebody who signs in by SSO is not invited to a password.
    pub async fn invite(
        &self,
        workspace: &WorkspaceId,
        email: &str,
        lifetime: Duration,
        actor: &Actor,
    ) -> Result<(UserId, String), StoreError> {
        let mut tx = self.begin().await?;
        if Self::workspace_on(tx.on(), workspace).await?.is_none() {
            return Err(StoreError::NotFound("workspace"));
        }
        let found = Self::users_matching_on(tx.on(), workspace, &UserMatch::UserName(email.to_owned()), None, 1).await?;
        let user = match found.into_iter().next() {
            // Under the person's lock: they may be adopted into the directory at this moment.
            Some(user) => users::hold(&mut tx, workspace, &user.id).await?.ok_or(StoreError::NotFound("user"))?,
            None => users::insert(&mut tx, workspace, UserId::new(), invited(email)).await?,
        };
        if user.login_method == LoginMethod::Sso {
            return Err(StoreError::Conflict("userName (by a person who signs in by SSO)"));
        }
        let token = secret::random_text()?;
        let (now, expires_at) = (tx.now().0, tx.now().plus(lifetime).0);
        sqlx::query(INVITE)
            .bind(workspace.as_str())
            .bind(secret::sha256_hex(token.as_bytes()))
            .bind(user.id.as_str())
            .bind(expires_at)
            .bind(now)
            .execute(tx.on())
            .await?;
        tx.audit(workspace, actor, "user.invited", user.id.as_str(), &json!({})).await?;
        tx.commit().await?;
        Ok((user.id, token))
    }

    /// The person whom an open invitation is for.
    pub async fn invited_user(&self, workspace: &WorkspaceId, token: &str) -> Result<Option<User>, StoreError> {
        let digest = secret::sha256_hex(token.as_bytes());
        let now = self.clock.now().0;
        let row = sqlx::query(OPEN_INVITATION).bind(workspace.as_str()).bind(digest).bind(now).fetch_optional(&self.pool).await?;
        let Some(row) = row else { return Ok(None) };
        self.user(workspace, &Columns::of(&row, "invitation").parsed("user_id")?).await
    }

    /// Uses an invitation to set a password. The person's sessions end, as at every change of a password. `None`: the invitation is
    /// not open.
    pub async fn accept_invitation(
        &self,
        workspace: &WorkspaceId,
        token: &str,
        hash: &str,
    ) -> Result<Option<(UserId, Settlement)>, StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        let digest = secret::sha256_hex(token.as_bytes());
        let row = sqlx::query(USE_INVITATION).bind(workspace.as_str()).bind(digest).bind(now).fetch_optional(tx.on()).await?;
        let Some(row) = row else { return Ok(None) };
        let id: UserId = Columns::of(&row, "invitation").parsed("user_id")?;
        sqlx::query(SET_PASSWORD).bind(workspace.as_str()).bind(id.as_str()).bind(hash).bind(now).execute(tx.on()).await?;
        tx.audit(workspace, &Actor::user(&id), "user.password_set", id.as_str(), &json!({})).await?;
        let settlement = tx.append(Draft::end(workspace, vec![Scope::User { id: id.clone() }], "user.password_set")).await?;
        tx.commit().await?;
        Ok(Some((id, settlement)))
    }

    /// The accounts of whatever workspaces that this user name may open with a password; the caller tells nobody which there are.
    pub async fn password_accounts(&self, user_name: &str) -> Result<Vec<PasswordAccount>, StoreError> {
        let rows = sqlx::query(ACCOUNTS).bind(fold(user_name)).fetch_all(&self.pool).await?;
        rows.iter()
            .map(|row| {
                let columns = Columns::of(row, "password");
                Ok(PasswordAccount {
                    workspace: columns.parsed("workspace_id")?,
                    user: columns.parsed("id")?,
                    hash: columns.text("hash")?,
                })
            })
            .collect()
    }

    /// Decides whether somebody who has given the right password may come in. It looks again at everything: the workspace's
    /// enforcement, the person, and that the password is still the one that was checked.
    pub async fn sign_in_by_password(&self, account: &PasswordAccount) -> Result<Result<SignedIn, Refusal>, StoreError> {
        let mut tx = self.begin().await?;
        let outcome = admit_by_password(&mut tx, account).await?;
        let detail = match &outcome {
            Ok(_) => json!({ "method": LoginMethod::Password }),
            Err(refusal) => json!({ "method": LoginMethod::Password, "reason": refusal.to_string() }),
        };
        let action = if outcome.is_ok() { "session.signed_in" } else { "session.refused" };
        tx.audit(&account.workspace, &Actor::user(&account.user), action, account.user.as_str(), &detail).await?;
        tx.commit().await?;
        Ok(outcome)
    }
}

async fn admit_by_password(tx: &mut super::tx::Tx, account: &PasswordAccount) -> Result<Result<SignedIn, Refusal>, StoreError> {
    // Read before anything that it vouches for, as in a sign-in by SSO.
    let fresh = Store::head_on(tx.on()).await?.into();
    let workspace = Store::workspace_on(tx.on(), &account.workspace).await?;
    let Some(workspace) = workspace.filter(|found| found.state == WorkspaceState::Active) else {
        return Ok(Err(Refusal::WorkspaceClosed));
    };
    let Some(user) = Store::user_on(tx.on(), &account.workspace, &account.user).await? else {
        return Ok(Err(Refusal::NotProvisioned));
    };
    if !user.profile.active {
        return Ok(Err(Refusal::Deactivated));
    }
    let person = person_on(tx.on(), &user).await?;
    if !may_use_password(&workspace, &user, &person) {
        return Ok(Err(Refusal::MustUseSso));
    }
    let stored =
        sqlx::query(PASSWORD).bind(account.workspace.as_str()).bind(account.user.as_str()).fetch_optional(tx.on()).await?;
    let stored = stored.map(|row| Columns::of(&row, "password").text("hash")).transpose()?;
    if stored.as_ref() != Some(&account.hash) {
        return Ok(Err(Refusal::PasswordGone));
    }
    let profile = seen_on(tx.on(), &user.workspace, user.profile).await?;
    Ok(Ok(SignedIn { user: user.id, person, profile, fresh, linked_now: false }))
}

fn invited(email: &str) -> NewUser {
    let mut attributes = Map::new();
    attributes.insert("emails".to_owned(), json!([{ "value": email, "type": "work", "primary": true }]));
    NewUser {
        profile: Profile { user_name: email.to_owned(), external_id: None, active: true, attributes },
        origin: Origin::Invited,
        login_method: LoginMethod::Password,
    }
}
