//! What a provider is told of people who were invited before it came.

use lockstep_shared::{
    model::user::Origin,
    store::{Settlement, StoreError, UserMatch},
};

use super::{ScimService, caller::Caller, failure::Failure};
use crate::scim::ScimError;

impl ScimService {
    /// Why somebody new cannot be created. Where the name is that of an invited person, the provider is to find them and write to
    /// them: a creation never takes anybody over. Whoever bears the name is named by the refusal, so it waits for what was taken from
    /// them.
    pub(super) async fn not_created(&self, caller: &Caller, user_name: String, error: StoreError) -> Failure {
        if !matches!(error, StoreError::Conflict("userName")) {
            return Failure::of_store(error);
        }
        let workspace = &caller.workspace.id;
        let bearers = match self.store.users_matching(workspace, &UserMatch::UserName(user_name)).await {
            Ok(bearers) => bearers,
            Err(unknown) => return Failure::of_store(unknown),
        };
        let [bearer] = bearers.as_slice() else { return Failure::of_store(error) };
        caller.line.name_of(&bearer.id);
        if let Err(unsettled) = self.barrier.settle(workspace, Settlement::of_earlier(bearer.ended_seq)).await {
            return unsettled.into();
        }
        if bearer.origin == Origin::Invited {
            let what = "userName (of a person who was invited: find them by it, then PUT or PATCH them)";
            return ScimError::Uniqueness(what.to_owned()).into();
        }
        Failure::of_store(error)
    }
}
