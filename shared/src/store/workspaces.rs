//! Workspaces: what a company has bought and how far SSO is demanded.

use serde_json::json;
use sqlx::any::AnyRow;

use super::{
    Settlement, Store, StoreError,
    row::{Columns, to_json},
    tx::Tx,
};
use crate::{
    id::WorkspaceId,
    model::{
        audit::Actor,
        revocation::{Draft, Scope},
        user::LoginMethod,
        workspace::{Enforcement, Plan, Stage, Workspace, WorkspaceState},
    },
};

/// The columns of a workspace `w`, in every statement that reads one.
macro_rules! workspace_columns {
    () => {
        "w.id, w.name, w.plan, w.state, w.enforcement, w.stage, w.scim_enabled, w.scim_version, w.created_at"
    };
}
pub(super) use workspace_columns;

const INSERT: &str = "
    INSERT INTO workspaces (id, name, plan, state, enforcement, stage, scim_enabled, created_at)
    VALUES ($1, $2, $3, 'active', 'off', '{}', 0, $4)";
const ONE: &str = concat!("SELECT ", workspace_columns!(), " FROM workspaces w WHERE w.id = $1");
const ALL: &str = "SELECT id FROM workspaces";
const SET_NAME: &str = "UPDATE workspaces SET name = $2 WHERE id = $1";
const SET_PLAN: &str = "UPDATE workspaces SET plan = $2 WHERE id = $1";
const SET_STATE: &str = "UPDATE workspaces SET state = $2 WHERE id = $1";
const SET_SCIM: &str = "UPDATE workspaces SET scim_enabled = $2 WHERE id = $1";
const SET_ENFORCEMENT: &str = "UPDATE workspaces SET enforcement = $2, stage = $3 WHERE id = $1";

impl Store {
    /// Creates a workspace.
    pub async fn create_workspace(
        &self,
        id: &WorkspaceId,
        name: &str,
        plan: Plan,
        actor: &Actor,
    ) -> Result<Workspace, StoreError> {
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        sqlx::query(INSERT).bind(id.as_str()).bind(name).bind(plan.as_str()).bind(now).execute(tx.on()).await?;
        tx.audit(id, actor, "workspace.created", id.as_str(), &json!({ "plan": plan })).await?;
        tx.commit().await?;
        self.workspace(id).await?.ok_or(StoreError::NotFound("workspace"))
    }

    /// Reads one workspace.
    pub async fn workspace(&self, id: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        sqlx::query(ONE).bind(id.as_str()).fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
    }

    /// The ids of all workspaces.
    pub async fn workspace_ids(&self) -> Result<Vec<WorkspaceId>, StoreError> {
        let rows = sqlx::query(ALL).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Columns::of(row, "workspace").parsed("id")).collect()
    }

    /// Reads one workspace in the snapshot of a transaction.
    pub(super) async fn workspace_on(
        connection: &mut sqlx::AnyConnection,
        id: &WorkspaceId,
    ) -> Result<Option<Workspace>, StoreError> {
        sqlx::query(ONE).bind(id.as_str()).fetch_optional(connection).await?.as_ref().map(read).transpose()
    }

    /// Gives the workspace another name.
    pub async fn rename_workspace(&self, id: &WorkspaceId, name: &str, actor: &Actor) -> Result<(), StoreError> {
        self.set_workspace(id, SET_NAME, name, actor, "workspace.renamed").await
    }

    /// Changes the plan. Leaving `enterprise` turns provisioning off by the plan's own rule; enforcement stays until an operator turns it off.
    pub async fn set_plan(&self, id: &WorkspaceId, plan: Plan, actor: &Actor) -> Result<(), StoreError> {
        self.set_workspace(id, SET_PLAN, plan.as_str(), actor, "workspace.plan_changed").await
    }

    async fn set_workspace(
        &self,
        id: &WorkspaceId,
        statement: &'static str,
        value: &str,
        actor: &Actor,
        action: &'static str,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let changed = sqlx::query(statement).bind(id.as_str()).bind(value).execute(tx.on()).await?;
        one(changed.rows_affected())?;
        tx.audit(id, actor, action, id.as_str(), &json!({ "value": value })).await?;
        tx.commit().await
    }

    /// Closes or reopens a workspace. Closing ends every session in it.
    pub async fn set_workspace_state(
        &self,
        id: &WorkspaceId,
        state: WorkspaceState,
        actor: &Actor,
    ) -> Result<Settlement, StoreError> {
        let mut tx = self.begin().await?;
        let changed = sqlx::query(SET_STATE).bind(id.as_str()).bind(state.as_str()).execute(tx.on()).await?;
        one(changed.rows_affected())?;
        tx.audit(id, actor, "workspace.state_changed", id.as_str(), &json!({ "state": state })).await?;
        let settlement = match state {
            WorkspaceState::Suspended => tx.append(Draft::end(id, vec![Scope::Workspace], "workspace.suspended")).await?,
            WorkspaceState::Active => Settlement::default(),
        };
        tx.commit().await?;
        Ok(settlement)
    }

    /// Lets an identity provider provision, or no longer.
    pub async fn set_scim(&self, id: &WorkspaceId, enabled: bool, actor: &Actor) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let changed = sqlx::query(SET_SCIM).bind(id.as_str()).bind(i64::from(enabled)).execute(tx.on()).await?;
        one(changed.rows_affected())?;
        tx.audit(id, actor, if enabled { "scim.enabled" } else { "scim.disabled" }, id.as_str(), &json!({})).await?;
        tx.commit().await
    }

    /// Sets how far SSO is demanded. Turning it on, in part or whole, ends the sessions that were made with a password.
    pub async fn set_enforcement(
        &self,
        id: &WorkspaceId,
        enforcement: Enforcement,
        stage: &Stage,
        actor: &Actor,
        reason: Option<&str>,
    ) -> Result<Settlement, StoreError> {
        let mut tx = self.begin().await?;
        let stage_json = to_json("stage", stage)?;
        let changed =
            sqlx::query(SET_ENFORCEMENT).bind(id.as_str()).bind(enforcement.as_str()).bind(stage_json).execute(tx.on()).await?;
        one(changed.rows_affected())?;
        let detail = json!({ "enforcement": enforcement, "stage": stage, "forced_because": reason });
        tx.audit(id, actor, "sso.enforcement_changed", id.as_str(), &detail).await?;
        let settlement = match enforcement {
            Enforcement::Off => Settlement::default(),
            Enforcement::Staged | Enforcement::Enforced => end_password_sessions(&mut tx, id).await?,
        };
        tx.commit().await?;
        Ok(settlement)
    }
}

async fn end_password_sessions(tx: &mut Tx, id: &WorkspaceId) -> Result<Settlement, StoreError> {
    let scope = Scope::Method { method: LoginMethod::Password };
    tx.append(Draft::end(id, vec![scope], "sso.enforcement_changed")).await
}

fn one(affected: u64) -> Result<(), StoreError> {
    if affected == 0 { Err(StoreError::NotFound("workspace")) } else { Ok(()) }
}

pub(super) fn read(row: &AnyRow) -> Result<Workspace, StoreError> {
    let columns = Columns::of(row, "workspace");
    Ok(Workspace {
        id: columns.parsed("id")?,
        name: columns.text("name")?,
        plan: columns.parsed("plan")?,
        state: columns.parsed("state")?,
        enforcement: columns.parsed("enforcement")?,
        stage: columns.json("stage")?,
        scim_enabled: columns.flag("scim_enabled")?,
        scim_version: columns.number("scim_version")?,
        created_at: columns.time("created_at")?,
    })
}
