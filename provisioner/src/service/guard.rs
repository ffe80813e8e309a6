//! What becomes of a change that the mass-change guard holds: the provider is asked to come again, the admins are told.

use lockstep_shared::model::guard::Excess;

use super::{ScimService, caller::Caller, failure::Failure};
use crate::scim::ScimError;

/// How soon to ask again. Okta gives up after ten attempts, so together they have to outlast the hour after which the guard has
/// room again; and an approval should not be waited for much longer than this.
const RETRY_AFTER_SECONDS: u32 = 600;

/// What the provider hears.
pub(super) fn held() -> ScimError {
    ScimError::Held { retry_after: RETRY_AFTER_SECONDS }
}

impl ScimService {
    /// Tells the admins of a held change, the first time in an hour. That it cannot be written down lets nothing pass.
    pub(super) async fn tell_if_held<T>(&self, caller: &Caller, outcome: Result<T, Failure>) -> Result<T, Failure> {
        let Err(Failure::Held(excess)) = outcome else { return outcome };
        let workspace = &caller.workspace.id;
        match self.store.note_held(workspace, &caller.actor(), &excess, self.mailing).await {
            Ok(true) => warn(workspace.as_str(), &excess),
            Ok(false) => {}
            Err(error) => {
                tracing::error!(workspace.id = %workspace, error = %error, "a held change is missing from the audit trail");
            }
        }
        Err(held().into())
    }
}

fn warn(workspace: &str, excess: &Excess) {
    let Excess { departed, people, .. } = excess;
    tracing::warn!(
        workspace.id = %workspace,
        departed,
        people,
        "the provider of workspace {workspace} would have taken access from {departed} of {people} people within an hour: held until \
         `scim guard {workspace} approve`, or until the hour has moved on"
    );
}
