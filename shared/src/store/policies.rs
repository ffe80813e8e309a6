//! What a workspace asks of its provider: one document, which this crate keeps and the provisioner understands.

use serde_json::Value;

use super::{
    Settlement, Store, StoreError,
    error::EditError,
    row::{Columns, to_json},
};
use crate::{
    id::WorkspaceId,
    model::{
        audit::Actor,
        definitions::{Definitions, has_own_schemas},
        revocation::{Draft, Scope},
        user::Profile,
    },
};

const ONE: &str = "SELECT scim, scim_version FROM workspaces WHERE id = $1";
/// Takes the row's lock on both engines and reads it in one step.
const LOCK: &str = "UPDATE workspaces SET scim_version = scim_version + 1 WHERE id = $1 RETURNING scim";
const SET: &str = "UPDATE workspaces SET scim = $2 WHERE id = $1";

/// A changed document.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyEdit {
    /// The whole document, as it is from now on.
    pub document: Value,
    /// What changed, from what into what.
    pub detail: Value,
}

impl Store {
    /// Reads the document and its version.
    pub async fn scim_policy(&self, workspace: &WorkspaceId) -> Result<Option<(i64, Value)>, StoreError> {
        let row = sqlx::query(ONE).bind(workspace.as_str()).fetch_optional(&self.pool).await?;
        row.map(|row| {
            let columns = Columns::of(&row, "SCIM policy");
            Ok((columns.number("scim_version")?, columns.json("scim")?))
        })
        .transpose()
    }

    /// Changes the document by a pure edit of the current one; `action` and what the edit says of itself go into the audit trail.
    /// Nothing is written where the edit comes out without a change: then the answer is `None`. Where a schema of users is another one
    /// afterwards, every session of the workspace reads its person again, for apps may see more or less of them.
    pub async fn edit_scim_policy<E>(
        &self,
        workspace: &WorkspaceId,
        actor: &Actor,
        action: &'static str,
        edit: impl FnOnce(Value) -> Result<Option<PolicyEdit>, E>,
    ) -> Result<Option<(PolicyEdit, Settlement)>, EditError<E>> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(LOCK).bind(workspace.as_str()).fetch_optional(tx.on()).await?;
        let row = row.ok_or(StoreError::NotFound("workspace"))?;
        let before: Value = Columns::of(&row, "SCIM policy").json("scim")?;
        let Some(edit) = edit(before.clone()).map_err(EditError::Refused)? else {
            return Ok(None);
        };
        sqlx::query(SET).bind(workspace.as_str()).bind(to_json("SCIM policy", &edit.document)?).execute(tx.on()).await?;
        tx.audit(workspace, actor, action, workspace.as_str(), &edit.detail).await?;
        let settlement = if definitions(before)? == definitions(edit.document.clone())? {
            Settlement::default()
        } else {
            tx.append(Draft::changed(workspace, vec![Scope::Workspace], action)).await?
        };
        tx.commit().await?;
        Ok(Some((edit, settlement)))
    }
}

fn definitions(policy: Value) -> Result<Definitions, StoreError> {
    Definitions::read(policy).map_err(|error| StoreError::Corrupt { what: "SCIM policy", source: error.into() })
}

/// What of somebody's record apps may see, in the snapshot of a transaction.
pub(super) async fn seen_on(
    on: &mut sqlx::AnyConnection,
    workspace: &WorkspaceId,
    profile: Profile,
) -> Result<Profile, StoreError> {
    if !has_own_schemas(&profile.attributes) {
        return Ok(profile);
    }
    let row = sqlx::query(ONE).bind(workspace.as_str()).fetch_optional(on).await?;
    let policy = row.map(|row| Columns::of(&row, "SCIM policy").json("scim")).transpose()?;
    let definitions = policy.map_or_else(|| Ok(Definitions::default()), definitions).unwrap_or_else(|error| {
        // They sign in, and apps see nothing that is under these schemas.
        tracing::error!(workspace.id = %workspace, error = %error, "the schemas of a workspace cannot be read");
        Definitions::default()
    });
    Ok(definitions.seen(profile))
}
