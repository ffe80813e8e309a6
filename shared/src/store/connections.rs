//! Connections: the OpenID providers of a workspace.

use serde_json::json;
use sqlx::any::AnyRow;

use super::{Settlement, Store, StoreError, row::Columns};
use crate::{
    id::{ConnectionId, WorkspaceId},
    model::{
        audit::Actor,
        connection::{Connection, ConnectionState, Link, Preset},
        revocation::{Draft, Scope},
    },
};

const INSERT: &str = "
    INSERT INTO connections (workspace_id, id, preset, state, issuer, client_id, sealed_secret, link, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const ONE: &str = "
    SELECT workspace_id, id, preset, state, issuer, client_id, sealed_secret, link, created_at FROM connections
    WHERE workspace_id = $1 AND id = $2";
const ALL: &str = "
    SELECT workspace_id, id, preset, state, issuer, client_id, sealed_secret, link, created_at FROM connections
    WHERE workspace_id = $1 ORDER BY created_at, id";
const LOCATE: &str = "SELECT workspace_id FROM connections WHERE id = $1";
/// Takes the row's lock on both engines and reads it in one step.
const LOCK: &str = "
    UPDATE connections SET state = state WHERE workspace_id = $1 AND id = $2
    RETURNING workspace_id, id, preset, state, issuer, client_id, sealed_secret, link, created_at";
const UPDATE: &str = "
    UPDATE connections SET state = $3, issuer = $4, client_id = $5, sealed_secret = $6, link = $7
    WHERE workspace_id = $1 AND id = $2";
const SET_STATE: &str = "UPDATE connections SET state = $3 WHERE workspace_id = $1 AND id = $2";
const DELETE: &str = "DELETE FROM connections WHERE workspace_id = $1 AND id = $2";
const DELETE_LINKS: &str = "DELETE FROM links WHERE workspace_id = $1 AND connection_id = $2";

/// What an operator may say of a connection; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionDetails {
    /// The issuer identifier.
    pub issuer: Option<String>,
    /// Our client id.
    pub client_id: Option<String>,
    /// Our client secret, in the clear; it is sealed before it is stored.
    pub client_secret: Option<String>,
    /// How a first sign-in finds its person.
    pub link: Option<Link>,
}

/// A connection to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConnection {
    /// Its slug.
    pub id: ConnectionId,
    /// Which provider it is.
    pub preset: Preset,
    /// What is known already.
    pub details: ConnectionDetails,
}

impl Store {
    /// Registers a connection: a draft until issuer, client id and secret are known.
    pub async fn add_connection(
        &self,
        workspace: &WorkspaceId,
        new: NewConnection,
        actor: &Actor,
    ) -> Result<Connection, StoreError> {
        let mut connection = Connection {
            workspace: workspace.clone(),
            link: new.preset.link(),
            id: new.id,
            preset: new.preset,
            state: ConnectionState::Draft,
            issuer: None,
            client_id: None,
            sealed_secret: None,
            created_at: self.clock.now(),
        };
        self.fill_in(&mut connection, new.details)?;
        let mut tx = self.begin().await?;
        sqlx::query(INSERT)
            .bind(workspace.as_str())
            .bind(connection.id.as_str())
            .bind(connection.preset.as_str())
            .bind(connection.state.as_str())
            .bind(&connection.issuer)
            .bind(&connection.client_id)
            .bind(&connection.sealed_secret)
            .bind(connection.link.to_string())
            .bind(connection.created_at.0)
            .execute(tx.on())
            .await?;
        tx.audit(workspace, actor, "connection.added", connection.id.as_str(), &json!({ "preset": connection.preset })).await?;
        tx.commit().await?;
        Ok(connection)
    }

    /// Reads one connection of a workspace.
    pub async fn connection(&self, workspace: &WorkspaceId, id: &ConnectionId) -> Result<Option<Connection>, StoreError> {
        let row = sqlx::query(ONE).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(&self.pool).await?;
        row.as_ref().map(read).transpose()
    }

    pub(super) async fn connection_on(
        on: &mut sqlx::AnyConnection,
        workspace: &WorkspaceId,
        id: &ConnectionId,
    ) -> Result<Option<Connection>, StoreError> {
        let row = sqlx::query(ONE).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(on).await?;
        row.as_ref().map(read).transpose()
    }

    /// The connections of a workspace, oldest first.
    pub async fn connections(&self, workspace: &WorkspaceId) -> Result<Vec<Connection>, StoreError> {
        let rows = sqlx::query(ALL).bind(workspace.as_str()).fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// Finds the workspace of a connection, for the paths that name a connection alone.
    pub async fn workspace_of_connection(&self, id: &ConnectionId) -> Result<Option<WorkspaceId>, StoreError> {
        let row = sqlx::query(LOCATE).bind(id.as_str()).fetch_optional(&self.pool).await?;
        row.map(|row| Columns::of(&row, "connection").parsed("workspace_id")).transpose()
    }

    /// Changes a connection and puts it in use once it is complete. Another issuer or client ends the sessions made through it.
    pub async fn set_connection(
        &self,
        workspace: &WorkspaceId,
        id: &ConnectionId,
        details: ConnectionDetails,
        actor: &Actor,
    ) -> Result<(Connection, Settlement), StoreError> {
        let mut tx = self.begin().await?;
        let locked = sqlx::query(LOCK).bind(workspace.as_str()).bind(id.as_str()).fetch_optional(tx.on()).await?;
        let before = locked.as_ref().map(read).transpose()?.ok_or(StoreError::NotFound("connection"))?;
        let mut after = before.clone();
        self.fill_in(&mut after, details)?;
        sqlx::query(UPDATE)
            .bind(workspace.as_str())
            .bind(id.as_str())
            .bind(after.state.as_str())
            .bind(&after.issuer)
            .bind(&after.client_id)
            .bind(&after.sealed_secret)
            .bind(after.link.to_string())
            .execute(tx.on())
            .await?;
        tx.audit(workspace, actor, "connection.changed", id.as_str(), &json!({ "state": after.state })).await?;
        let moved = (&before.issuer, &before.client_id) != (&after.issuer, &after.client_id);
        let settlement = if moved && before.state == ConnectionState::Active {
            tx.append(Draft::end(workspace, vec![Scope::Connection { id: id.clone() }], "connection.changed")).await?
        } else {
            Settlement::default()
        };
        tx.commit().await?;
        Ok((after, settlement))
    }

    /// Switches a connection off: nobody signs in through it, and the sessions made through it have ended.
    pub async fn disable_connection(
        &self,
        workspace: &WorkspaceId,
        id: &ConnectionId,
        actor: &Actor,
    ) -> Result<Settlement, StoreError> {
        let mut tx = self.begin().await?;
        let changed = sqlx::query(SET_STATE)
            .bind(workspace.as_str())
            .bind(id.as_str())
            .bind(ConnectionState::Disabled.as_str())
            .execute(tx.on())
            .await?;
        if changed.rows_affected() == 0 {
            return Err(StoreError::NotFound("connection"));
        }
        tx.audit(workspace, actor, "connection.disabled", id.as_str(), &json!({})).await?;
        let settlement =
            tx.append(Draft::end(workspace, vec![Scope::Connection { id: id.clone() }], "connection.disabled")).await?;
        tx.commit().await?;
        Ok(settlement)
    }

    /// Removes a connection with everybody's link to it; the sessions made through it have ended.
    pub async fn remove_connection(
        &self,
        workspace: &WorkspaceId,
        id: &ConnectionId,
        actor: &Actor,
    ) -> Result<Settlement, StoreError> {
        let mut tx = self.begin().await?;
        let deleted = sqlx::query(DELETE).bind(workspace.as_str()).bind(id.as_str()).execute(tx.on()).await?;
        if deleted.rows_affected() == 0 {
            return Err(StoreError::NotFound("connection"));
        }
        sqlx::query(DELETE_LINKS).bind(workspace.as_str()).bind(id.as_str()).execute(tx.on()).await?;
        tx.audit(workspace, actor, "connection.removed", id.as_str(), &json!({})).await?;
        let settlement =
            tx.append(Draft::end(workspace, vec![Scope::Connection { id: id.clone() }], "connection.removed")).await?;
        tx.commit().await?;
        Ok(settlement)
    }

    /// Our client secret at the provider, opened.
    pub fn client_secret(&self, connection: &Connection) -> Result<Option<String>, StoreError> {
        let Some(sealed) = &connection.sealed_secret else { return Ok(None) };
        let plain = self.sealer.open(&Connection::secret_purpose(&connection.id), sealed)?;
        let text =
            String::from_utf8(plain).map_err(|error| StoreError::Corrupt { what: "client secret", source: error.into() })?;
        Ok(Some(text))
    }

    fn fill_in(&self, connection: &mut Connection, details: ConnectionDetails) -> Result<(), StoreError> {
        if let Some(secret) = details.client_secret {
            connection.sealed_secret = Some(self.sealer.seal(&Connection::secret_purpose(&connection.id), secret.as_bytes())?);
        }
        connection.issuer = details.issuer.or(connection.issuer.take());
        connection.client_id = details.client_id.or(connection.client_id.take());
        if let Some(link) = details.link {
            connection.link = link;
        }
        connection.state = if connection.is_complete() { ConnectionState::Active } else { ConnectionState::Draft };
        Ok(())
    }
}

fn read(row: &AnyRow) -> Result<Connection, StoreError> {
    let columns = Columns::of(row, "connection");
    Ok(Connection {
        workspace: columns.parsed("workspace_id")?,
        id: columns.parsed("id")?,
        preset: columns.parsed("preset")?,
        state: columns.parsed("state")?,
        issuer: columns.optional_text("issuer")?,
        client_id: columns.optional_text("client_id")?,
        sealed_secret: columns.optional_text("sealed_secret")?,
        link: columns.parsed("link")?,
        created_at: columns.time("created_at")?,
    })
}
