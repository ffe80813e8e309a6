//! Why the demo does not run, and what to do about it.

use std::{io, time::Duration};

use lockstep_provisioner::ops::OpsError;
use lockstep_shared::secret::SecretError;

use super::ports::Taken;
use crate::services::ServeError;

/// Why the demo does not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Ports are taken.
    #[error(transparent)]
    Taken(#[from] Taken),
    /// The system has no ports to give.
    #[error("no free port can be had")]
    NoPort,
    /// There is no place for the database.
    #[error("no temporary folder can be made: {0}")]
    Folder(#[source] io::Error),
    /// No key can be made.
    #[error(transparent)]
    Randomness(SecretError),
    /// The provider or the app did not start.
    #[error("the demo's provider or app did not start: {0}")]
    Provider(#[from] lockstep_demo_idp::StartError),
    /// The services do not run.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// An operator's command failed.
    #[error("`lockstep {command}` failed: {source}")]
    Seed {
        /// The command.
        command: String,
        /// Why.
        source: OpsError,
    },
    /// An operator's command answered otherwise than its documentation says.
    #[error("`lockstep {command}` did not answer with `{member}`")]
    Answer {
        /// The command.
        command: String,
        /// What its answer lacks.
        member: &'static str,
    },
    /// Our own commands are not commands; a bug.
    #[error("the demo's own command was not understood: {0}")]
    Command(#[from] clap::Error),
    /// No client can be built.
    #[error("no HTTP client can be made: {0}")]
    Http(#[source] reqwest::Error),
    /// Slow.
    #[error("the services were not ready within {} s", .0.as_secs())]
    NotReady(Duration),
    /// Told to stop.
    #[error("stopped before it was ready")]
    Stopped,
    /// A task panicked; the log says where.
    #[error("a service broke off")]
    Broken,
    /// The first sync sent nothing.
    #[error("the directory sent nothing to the provisioner")]
    NothingSent,
    /// The provisioner did not take the directory.
    #[error("{subject} was not provisioned: {reason}")]
    NotProvisioned {
        /// Who or what.
        subject: String,
        /// What was answered.
        reason: String,
    },
}

impl DemoError {
    /// What to do about it.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::Taken(taken) => format!(
                "stop that program (`ss -ltnp 'sport = :{}'` shows which it is), or run `lockstep demo --free-ports`",
                taken.first()
            ),
            Self::Folder(_) => "make room in the folder for temporary files, or name another one in TMPDIR".to_owned(),
            Self::Stopped => "start it again".to_owned(),
            Self::NoPort
            | Self::Randomness(_)
            | Self::Provider(_)
            | Self::Serve(_)
            | Self::Seed { .. }
            | Self::Answer { .. }
            | Self::Command(_)
            | Self::Http(_)
            | Self::NotReady(_)
            | Self::Broken
            | Self::NothingSent
            | Self::NotProvisioned { .. } => "run it with LOCKSTEP_LOG=debug, which shows what happened before".to_owned(),
        }
    }
}
