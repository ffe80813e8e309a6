//! Whose an identity of a provider was, after that person was deleted. A link is never handed on by an address alone.

use super::{StoreError, people::of_identity, row::Columns, tx::Tx};
use crate::{
    id::WorkspaceId,
    model::{session::ProviderIdentity, user::User},
};

const REMEMBER: &str = "
    INSERT INTO former_links (workspace_id, connection_id, issuer, subject, user_id, external_id, ended_at)
    SELECT workspace_id, connection_id, issuer, subject, user_id, $3, $4 FROM links WHERE workspace_id = $1 AND user_id = $2
    ON CONFLICT (workspace_id, connection_id, issuer, subject) DO UPDATE SET user_id = excluded.user_id,
        external_id = excluded.external_id, ended_at = excluded.ended_at";
const FORMER: &str = "
    SELECT external_id FROM former_links WHERE workspace_id = $1 AND connection_id = $2 AND issuer = $3 AND subject = $4";

/// Remembers the links of somebody who is about to be deleted.
pub(super) async fn remember(tx: &mut Tx, user: &User) -> Result<(), StoreError> {
    let now = tx.now().0;
    sqlx::query(REMEMBER)
        .bind(user.workspace.as_str())
        .bind(user.id.as_str())
        .bind(&user.profile.external_id)
        .bind(now)
        .execute(tx.on())
        .await?;
    Ok(())
}

/// The external id, if any, of the deleted person whose identity this was; `None` if it was nobody's.
pub(super) async fn former_owner(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    identity: &ProviderIdentity,
) -> Result<Option<Option<String>>, StoreError> {
    let row = of_identity(FORMER, workspace, identity).fetch_optional(tx.on()).await?;
    row.map(|row| Columns::of(&row, "former link").optional_text("external_id")).transpose()
}
