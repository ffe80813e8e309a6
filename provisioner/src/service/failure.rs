//! Everything that can go wrong with a SCIM request, and what of it the outside hears: the cause goes to the log alone.

use lockstep_shared::{
    model::guard::Excess,
    revoke::SettleError,
    store::{EditError, StoreError},
};

use super::guard;
use crate::scim::ScimError;

/// How soon to ask again when a dependency is away.
const RETRY_AFTER_SECONDS: u32 = 2;

/// A request that was not carried out, or of which nothing can be promised.
#[derive(Debug)]
pub(super) enum Failure {
    /// The caller is told.
    Told(ScimError),
    /// The mass-change guard holds it; the admins are still to be told.
    Held(Excess),
    /// The database or the barrier; the caller may ask again.
    Transient(Box<dyn std::error::Error + Send + Sync>),
    /// A defect of ours.
    Defect(Box<dyn std::error::Error + Send + Sync>),
}

impl Failure {
    pub(super) fn of_store(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(what) => Self::Told(ScimError::Uniqueness(what.to_owned())),
            StoreError::NotFound(_) => Self::Told(ScimError::NotFound),
            StoreError::NotAdopted(why) => Self::Told(ScimError::Forbidden(why.to_string())),
            StoreError::Held(excess) => Self::Held(excess),
            StoreError::Unavailable(_) => Self::Transient(error.into()),
            StoreError::Corrupt { .. } | StoreError::Secret(_) | StoreError::Migration(_) => Self::Defect(error.into()),
        }
    }

    /// What the caller hears; `request_id` finds the cause in the log.
    pub(super) fn tell(self, request_id: &str) -> ScimError {
        match self {
            Self::Told(error) => error,
            Self::Held(_) => guard::held(),
            Self::Transient(error) => {
                tracing::error!(error = %error, source = source_of(&*error), "a request was not carried out: {error}");
                ScimError::Unavailable { retry_after: RETRY_AFTER_SECONDS }
            }
            Self::Defect(error) => {
                tracing::error!(error = %error, source = source_of(&*error), "a defect: {error}");
                ScimError::Internal { request_id: request_id.to_owned() }
            }
        }
    }
}

fn source_of(error: &(dyn std::error::Error + Send + Sync)) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

impl From<ScimError> for Failure {
    fn from(error: ScimError) -> Self {
        Self::Told(error)
    }
}

impl From<SettleError> for Failure {
    fn from(error: SettleError) -> Self {
        Self::Transient(error.into())
    }
}

impl From<EditError<ScimError>> for Failure {
    fn from(error: EditError<ScimError>) -> Self {
        match error {
            EditError::Store(error) => Self::of_store(error),
            EditError::Refused(error) => Self::Told(error),
        }
    }
}
