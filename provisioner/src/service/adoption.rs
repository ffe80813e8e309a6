//! What a provider is told of people who were invited before it came.

use lockstep_shared::{
    model::user::Origin,
    store::{StoreError, UserMatch},
};

use super::{ScimService, caller::Caller, failure::Failure};
use crate::scim::ScimError;

impl ScimService {
    /// Why somebody new cannot be created. Where the name is that of an invited person, the provider is to find them and write to
    /// them: a creation never takes anybody over.
    pub(super) async fn not_created(&self, caller: &Caller, user_name: String, error: StoreError) -> Failure {
        if !matches!(error, StoreError::Conflict("userName")) {
            return Failure::of_store(error);
        }
        let bearer = self.store.users_matching(&caller.workspace.id, &UserMatch::UserName(user_name)).await;
        match bearer.as_deref() {
            Ok([user]) if user.origin == Origin::Invited => {
                let what = "userName (of a person who was invited: find them by it, then PUT or PATCH them)";
                ScimError::Uniqueness(what.to_owned()).into()
            }
            Ok(_) | Err(_) => Failure::of_store(error),
        }
    }
}
