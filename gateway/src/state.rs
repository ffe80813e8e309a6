//! What the gateway's handlers share.

use std::{ops::Deref, sync::Arc};

use lockstep_shared::{
    clock::SharedClock,
    config::{self, ConfigError},
    http::{
        health::Readiness,
        outbound::{Outbound, SetupError},
    },
    id::ReplicaId,
    revoke::Road,
    runtime::Runtime,
    secret::{Sealer, SecretError},
    session::SessionStore,
    store::{KeyPurpose, Store, StoreError},
    telemetry::Meters,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    apps::{Apps, told_by_any},
    forward::{
        jwt::{Signer, SigningError},
        return_to::Origins,
    },
    lease::{Keeper, Lease, cut_at_the_end, ring},
    login::Passwords,
    oidc::Providers,
    session::{
        cookie::SessionKeys,
        flow::FlowCookies,
        guard::{Guard, Parts},
        issue::Issuer,
        judge::judge_held,
        streams::Streams,
        watermarks::Watermarks,
    },
};

/// Why the gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A setting is missing.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys cannot be used.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The signing key cannot be used.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The outbound client cannot be built.
    #[error(transparent)]
    Outbound(#[from] SetupError),
}

/// What the gateway's handlers share. Clones share it.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Inner>);

/// The parts of a gateway.
pub struct Inner {
    /// `[gateway]`.
    pub settings: config::Gateway,
    /// What is protected.
    pub apps: Apps,
    /// Where a browser may be sent back to.
    pub origins: Origins,
    /// Where time comes from.
    pub clock: SharedClock,
    /// The database.
    pub store: Store,
    /// Where sessions live.
    pub sessions: Arc<dyn SessionStore>,
    /// The one road by which access ends.
    pub road: Road,
    /// The one check of a session.
    pub guard: Guard,
    /// Makes sessions.
    pub issuer: Issuer,
    /// The cookies of sign-ins under way.
    pub flows: FlowCookies,
    /// Checks and keeps passwords.
    pub passwords: Passwords,
    /// What is known of the connections' providers.
    pub providers: Providers<Outbound>,
    /// What is applied of the revocation log.
    pub marks: Arc<Watermarks>,
    /// The right to answer.
    pub lease: Arc<Lease>,
    /// Answers that are still being sent.
    pub streams: Streams,
    /// What the process counts.
    pub meters: Meters,
    /// The process's tasks.
    pub tasks: TaskTracker,
    signer: Signer,
    /// Whose signatures apps may still meet.
    older_signers: Vec<Signer>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway")
    }
}

impl Deref for Gateway {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    /// Signs identity JWTs.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The keys that apps may meet.
    pub fn signers(&self) -> impl Iterator<Item = &Signer> {
        std::iter::once(&self.signer).chain(&self.older_signers)
    }
}

impl Gateway {
    /// Builds a gateway on a runtime. `lease_store` is a store of its own for the lease.
    pub async fn build(
        runtime: &Runtime,
        lease_store: Store,
        readiness: Readiness,
        drained: CancellationToken,
    ) -> Result<Self, BuildError> {
        let settings = runtime.config.require_gateway()?;
        let store = runtime.store.clone();
        let keys = Arc::new(session_keys(&store).await?);
        let flows = FlowCookies::new(Sealer::new(store.keys(KeyPurpose::FlowCookie).await?)?);
        let mut signers = signers(&store).await?.into_iter();
        let signer = signers.next().ok_or(SigningError::Key)?;
        let (marks, lease, streams) =
            (Arc::new(Watermarks::default()), Arc::new(Lease::default()), Streams::new(runtime.meters.clone()));
        let guard = Guard::new(Parts {
            keys: keys.clone(),
            sessions: runtime.sessions.clone(),
            store: store.clone(),
            marks: marks.clone(),
            lease: lease.clone(),
            clock: runtime.clock.clone(),
            limits: settings.sessions,
            claims: told_by_any(&runtime.config.apps),
            tasks: runtime.tasks.clone(),
        });
        let issuer = Issuer {
            keys,
            sessions: runtime.sessions.clone(),
            guard: guard.clone(),
            clock: runtime.clock.clone(),
            limits: settings.sessions,
        };
        let id = ReplicaId::new();
        let keeper = Keeper {
            id: id.clone(),
            store: lease_store,
            clock: runtime.clock.clone(),
            marks: marks.clone(),
            streams: streams.clone(),
            lease: lease.clone(),
            length: runtime.config.revocation.lease,
            longest_session: settings.sessions.absolute,
            readiness,
            meters: runtime.meters.clone(),
        };
        start_keeper(runtime, keeper, drained.clone());
        let ringing = ring(id, runtime.bus.clone(), marks.clone(), streams.clone(), lease.clone(), runtime.meters.clone());
        let ending = cut_at_the_end(lease.clone(), streams.clone(), runtime.clock.clone());
        let until = drained.clone();
        runtime.tasks.spawn(async move { until.run_until_cancelled(ending).await });
        let judging = judge_held(guard.clone(), marks.clone(), streams.clone(), runtime.tasks.clone());
        let until = drained.clone();
        runtime.tasks.spawn(async move { until.run_until_cancelled(judging).await });
        // While requests are still answered, what ends them is still heard.
        let until = drained.clone();
        runtime.tasks.spawn(async move { until.run_until_cancelled(ringing).await });
        let apps = Apps::new(&runtime.config.apps, &settings.public_url);
        let origins = Origins::new(settings.public_url.url(), []);
        let providers = Providers::new(Outbound::new(&runtime.config.outbound)?, runtime.clock.clone());
        Ok(Self(Arc::new(Inner {
            apps,
            origins,
            clock: runtime.clock.clone(),
            sessions: runtime.sessions.clone(),
            road: runtime.road.clone(),
            meters: runtime.meters.clone(),
            tasks: runtime.tasks.clone(),
            settings,
            store,
            guard,
            issuer,
            flows,
            passwords: Passwords::new(runtime.clock.clone()),
            providers,
            marks,
            lease,
            streams,
            signer,
            older_signers: signers.collect(),
        })))
    }
}

/// The keeper has a thread of its own, so that no load on the others holds up a renewal.
fn start_keeper(runtime: &Runtime, keeper: Keeper, drained: CancellationToken) {
    let (done, ended) = tokio::sync::oneshot::channel::<()>();
    let spawned = std::thread::Builder::new().name("lease".to_owned()).spawn(move || {
        let own = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match own {
            Ok(own) => own.block_on(keeper.keep(drained)),
            Err(error) => tracing::error!(error = %error, "the lease has no runtime; this gateway will never be ready"),
        }
        drop(done);
    });
    if let Err(error) = spawned {
        tracing::error!(error = %error, "the lease has no thread; this gateway will never be ready");
    }
    runtime.tasks.spawn(async move {
        let _ = ended.await;
    });
}

async fn session_keys(store: &Store) -> Result<SessionKeys, BuildError> {
    let keys = store.keys(KeyPurpose::SessionCookie).await?;
    // Numbers count from the oldest, so that a key keeps its number when a newer one comes.
    let mut numbered = (1_u8..).zip(keys.iter().rev()).collect::<Vec<_>>().into_iter().rev();
    let Some((number, current)) = numbered.next() else { return Err(SecretError::CannotOpen.into()) };
    Ok(numbered.fold(SessionKeys::new(number, current), |ring, (number, key)| ring.with_older(number, key)))
}

async fn signers(store: &Store) -> Result<Vec<Signer>, BuildError> {
    let make = || Signer::generate().map_err(|error| StoreError::Corrupt { what: "new signing key", source: error.into() });
    let material = store.key_material(KeyPurpose::IdentityJwt, make).await?;
    Ok(material.iter().map(|bytes| Signer::from_pkcs8(bytes)).collect::<Result<Vec<_>, _>>()?)
}
