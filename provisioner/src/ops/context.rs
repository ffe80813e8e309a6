//! What a command works with: the configuration at once, the database and the road when they are first needed.

use std::{sync::Arc, time::Duration};

use lockstep_shared::{
    check,
    clock::SharedClock,
    config::{Config, Program},
    id::{ConnectionId, WorkspaceId},
    model::workspace::Workspace,
    revoke::{Receipt, Road},
    runtime::{self, Runtime, Schema},
    store::{SchemaState, Settlement, Store, StoreError},
};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::OpsError;

/// How long the road may take to open when the database has just answered.
const OPEN_WITHIN: Duration = Duration::from_secs(15);

/// What a command works with.
pub struct Context {
    program: Program,
    config: Arc<Config>,
    clock: SharedClock,
    store: OnceCell<Store>,
    runtime: OnceCell<Runtime>,
    /// A runtime that was lent is not closed here.
    is_lent: bool,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({})", self.program)
    }
}

impl Context {
    /// A context of its own; nothing is opened yet. `program` is the one whose name stands in advice.
    #[must_use]
    pub fn new(program: Program, config: Arc<Config>, clock: SharedClock) -> Self {
        Self { program, config, clock, store: OnceCell::new(), runtime: OnceCell::new(), is_lent: false }
    }

    /// A context within a program that already runs, whose parts it borrows.
    #[must_use]
    pub fn within(program: Program, runtime: Runtime) -> Self {
        Self {
            program,
            config: runtime.config.clone(),
            clock: runtime.clock.clone(),
            store: OnceCell::new_with(Some(runtime.store.clone())),
            runtime: OnceCell::new_with(Some(runtime)),
            is_lent: true,
        }
    }

    /// The program whose name stands in advice.
    pub(super) fn program(&self) -> Program {
        self.program
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// The addresses that are told to people, so that a missing setting is found before anything is written.
    pub(super) fn addresses(&self) -> Result<Addresses, OpsError> {
        Ok(Addresses {
            gateway: self.config.require_gateway_url()?.origin().to_owned(),
            provisioner: self.config.require_provisioner()?.public_url.origin().to_owned(),
        })
    }

    /// The database, reachable and with the schema of this program. It is not waited for: an operator would rather know.
    pub(super) async fn store(&self) -> Result<&Store, OpsError> {
        self.store
            .get_or_try_init(|| async {
                check::connect(self.config.require_database()?).await?;
                let store = runtime::open_store(&self.config, self.clock.clone())?;
                match store.schema_state().await.map_err(OpsError::Store)? {
                    SchemaState::Current => Ok(store),
                    SchemaState::Behind => Err(OpsError::SchemaBehind),
                    SchemaState::Ahead => Err(OpsError::SchemaAhead),
                }
            })
            .await
    }

    /// The road by which access ends. A command asks for it before it changes anything.
    pub(super) async fn road(&self) -> Result<&Road, OpsError> {
        self.store().await?;
        let opened = self.runtime.get_or_try_init(|| async {
            let opening = Runtime::open(self.config.clone(), self.clock.clone(), Schema::Await, CancellationToken::new());
            match tokio::time::timeout(OPEN_WITHIN, opening).await {
                Ok(opened) => opened.map_err(OpsError::Start),
                Err(_) => Err(OpsError::RoadTooSlow),
            }
        });
        Ok(&opened.await?.road)
    }

    /// Reads a workspace that has to be there.
    pub(super) async fn workspace(&self, id: &WorkspaceId) -> Result<Workspace, OpsError> {
        self.store().await?.workspace(id).await?.ok_or_else(|| OpsError::UnknownWorkspace(id.clone()))
    }

    /// Goes through the barrier for everything that the log holds by now: what comes before the answer that there is nothing
    /// left to end, since an earlier command's own answer may have been lost.
    pub(super) async fn settle_earlier(&self, workspace: &WorkspaceId) -> Result<Receipt, OpsError> {
        let head = self.store().await?.head().await?;
        Ok(self.road().await?.settle(workspace, Settlement::of_earlier(head.seq)).await?)
    }

    /// Closes what was opened here, after receipts under way are written.
    pub async fn close(self) {
        if self.is_lent {
            return;
        }
        if let Some(runtime) = self.runtime.get() {
            runtime.close().await;
        }
        if let Some(store) = self.store.get() {
            store.close().await;
        }
    }
}

/// Where people and providers reach the deployment.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    gateway: String,
    provisioner: String,
}

impl Addresses {
    pub(super) fn sign_on(&self, workspace: &WorkspaceId) -> String {
        format!("{}/sso/{workspace}", self.gateway)
    }

    pub(super) fn redirect(&self, connection: &ConnectionId) -> String {
        format!("{}/callback/{connection}", self.gateway)
    }

    pub(super) fn invitation(&self, workspace: &WorkspaceId, token: &str) -> String {
        format!("{}/invite/{workspace}/{token}", self.gateway)
    }

    pub(super) fn token_url(&self) -> String {
        format!("{}{}", self.provisioner, crate::oauth::TOKEN_PATH)
    }

    pub(super) fn scim_base(&self, workspace: &WorkspaceId) -> String {
        format!("{}/scim/v2/{workspace}", self.provisioner)
    }
}

impl From<StoreError> for OpsError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
