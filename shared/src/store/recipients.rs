//! Whom a workspace has told by mail. An address is bound to the person of the workspace who has access under it, and is told while
//! that person does: who was deactivated or deleted hears nothing, and nor does whoever comes after them under the same address.

use serde_json::json;
use sqlx::any::AnyRow;

use super::{Store, StoreError, row::Columns, tx::Tx};
use crate::{
    id::WorkspaceId,
    model::{
        audit::Actor,
        notice::{MOST_RECIPIENTS, Recipient},
        text::fold,
    },
};

/// The people whose address it is, by user name or e-mail address.
macro_rules! owners {
    () => {
        "SELECT u.id, u.active FROM users u WHERE u.workspace_id = r.workspace_id AND u.user_name_key = r.address_key
        UNION ALL
        SELECT u.id, u.active FROM user_emails e JOIN users u ON u.workspace_id = e.workspace_id AND u.id = e.user_id
        WHERE e.workspace_id = r.workspace_id AND e.email_key = r.address_key"
    };
}

/// Whether a recipient `r` is told. Only the person whom an address is bound to can silence it: an account that a provider makes under a
/// team's address, and makes without access, is no reason to tell the team nothing.
macro_rules! is_told {
    () => {
        "CASE WHEN r.user_id IS NULL THEN 1
        ELSE COALESCE((SELECT u.active FROM users u WHERE u.workspace_id = r.workspace_id AND u.id = r.user_id), 0) END"
    };
}
pub(super) use is_told;

const ALL: &str = concat!(
    "SELECT r.address, r.user_id, r.created_at, ",
    is_told!(),
    " AS is_told FROM recipients r WHERE r.workspace_id = $1 ORDER BY r.address_key"
);
const ADD: &str = "
    INSERT INTO recipients (workspace_id, address_key, address, user_id, created_at)
    SELECT $1, $2, $3, NULL, $4
    WHERE (SELECT COUNT(*) FROM recipients WHERE workspace_id = $1 AND address_key <> $2) < $5
    ON CONFLICT (workspace_id, address_key) DO UPDATE SET address = excluded.address, user_id = NULL";
const REMOVE: &str = "DELETE FROM recipients WHERE workspace_id = $1 AND address_key = $2";
const BIND: &str = concat!(
    "UPDATE recipients AS r SET user_id = (SELECT MIN(o.id) FROM (",
    owners!(),
    ") AS o WHERE o.active = 1)
    WHERE r.workspace_id = $1 AND r.address_key = $2"
);
const UNBOUND: &str = concat!(
    "SELECT r.workspace_id, r.address_key FROM recipients r
    WHERE r.user_id IS NULL AND (SELECT MAX(o.active) FROM (",
    owners!(),
    ") AS o) = 1"
);

impl Store {
    /// Whom a workspace has told.
    pub async fn recipients(&self, workspace: &WorkspaceId) -> Result<Vec<Recipient>, StoreError> {
        let rows = sqlx::query(ALL).bind(workspace.as_str()).fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// Has an address told; `false`: as many as may be are told already. Told again, an address goes to whoever has it now.
    pub async fn add_recipient(&self, workspace: &WorkspaceId, address: &str, actor: &Actor) -> Result<bool, StoreError> {
        let (mut tx, key) = (self.begin().await?, fold(address));
        let now = tx.now().0;
        let added = sqlx::query(ADD)
            .bind(workspace.as_str())
            .bind(&key)
            .bind(address)
            .bind(now)
            .bind(i64::from(MOST_RECIPIENTS))
            .execute(tx.on())
            .await?;
        if added.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(BIND).bind(workspace.as_str()).bind(&key).execute(tx.on()).await?;
        tx.audit(workspace, actor, "notices.recipient_added", workspace.as_str(), &json!({ "address": address })).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Has an address told no longer; `false`: it was not told.
    pub async fn remove_recipient(&self, workspace: &WorkspaceId, address: &str, actor: &Actor) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let removed = sqlx::query(REMOVE).bind(workspace.as_str()).bind(fold(address)).execute(tx.on()).await?;
        if removed.rows_affected() == 0 {
            return Ok(false);
        }
        tx.audit(workspace, actor, "notices.recipient_removed", workspace.as_str(), &json!({ "address": address })).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Notes whose address it is where a person has come since: when they are deleted, nobody would know any more.
    pub async fn bind_recipients(&self) -> Result<(), StoreError> {
        for row in &sqlx::query(UNBOUND).fetch_all(&self.pool).await? {
            let columns = Columns::of(row, "recipient");
            let (workspace, key): (WorkspaceId, String) = (columns.parsed("workspace_id")?, columns.text("address_key")?);
            let mut tx = self.begin().await?;
            sqlx::query(BIND).bind(workspace.as_str()).bind(key).execute(tx.on()).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Who is to be told now.
pub(super) async fn told(tx: &mut Tx, workspace: &WorkspaceId) -> Result<Vec<Recipient>, StoreError> {
    let rows = sqlx::query(ALL).bind(workspace.as_str()).fetch_all(tx.on()).await?;
    let mut told: Vec<Recipient> = rows.iter().map(read).collect::<Result<_, _>>()?;
    told.retain(|recipient| recipient.is_told);
    Ok(told)
}

fn read(row: &AnyRow) -> Result<Recipient, StoreError> {
    let columns = Columns::of(row, "recipient");
    let user = columns.optional_text("user_id")?;
    Ok(Recipient {
        address: columns.text("address")?,
        user: user.map(|id| id.parse().map_err(|error: crate::id::IdError| columns.corrupt(error))).transpose()?,
        is_told: columns.flag("is_told")?,
        created_at: columns.time("created_at")?,
    })
}
