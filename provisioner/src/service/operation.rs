//! One operation on the directory, whether it is a request by itself or one of a Bulk request.

use http::Method;
use serde_json::Value;

use super::{
    ScimService,
    answer::Answer,
    caller::Caller,
    failure::Failure,
    groups::group_id,
    record::{end, name_sent},
    request::{Preconditions, Query},
    target::Target,
    users::user_id,
};
use crate::scim::ResourceKind;

/// What is asked for, but for the body.
#[derive(Debug)]
pub(super) struct Operation<'r> {
    /// Checked against the target.
    pub(super) method: &'r Method,
    pub(super) target: Target<'r>,
    pub(super) query: Query,
    pub(super) wanted: Preconditions,
    /// What a new resource is to be called, where others already refer to it.
    pub(super) id: Option<String>,
}

impl Operation<'_> {
    /// Whether it says something in a body.
    pub(super) fn has_body(&self) -> bool {
        matches!(*self.method, Method::POST | Method::PUT | Method::PATCH)
    }
}

impl ScimService {
    /// Carries out an operation whose body was read, or could not be, and records what came of it.
    pub(super) async fn perform(
        &self,
        caller: &Caller,
        operation: Operation<'_>,
        body: Result<Value, Failure>,
    ) -> Result<Answer, Failure> {
        let (record, caller) = self.begin(caller, &operation);
        let (new_name, former_name) = (name_sent(&operation, &body), self.name_to_go(&caller, &operation).await);
        let outcome = self.attempt(&caller, operation, body).await;
        let name = match &outcome {
            Err(Failure::Told(_)) => new_name,
            Err(Failure::Held(_) | Failure::Transient(_) | Failure::Defect(_)) => None,
            Ok(_) => former_name,
        };
        if let Some(name) = name {
            self.note_name(&caller, &name).await;
        }
        end(record, &caller, &outcome).await;
        outcome
    }

    /// The answer to an earlier request may have been lost, and this one be refused because that one was carried out: nobody hears
    /// of somebody without access, in whatever words, before they are out everywhere.
    async fn attempt(&self, caller: &Caller, operation: Operation<'_>, body: Result<Value, Failure>) -> Result<Answer, Failure> {
        let (target, is_safe) = (operation.target, operation.method.is_safe());
        let outcome = match body {
            Ok(body) => self.carry_out(caller, operation, body).await,
            Err(failure) => Err(failure),
        };
        let outcome = self.tell_if_held(caller, outcome).await;
        match (outcome, target) {
            (Err(Failure::Told(error)), Target::Resource(kind, id)) if !is_safe => {
                self.settle_earlier(caller, kind, id).await?;
                Err(error.into())
            }
            (outcome, _) => outcome,
        }
    }

    async fn settle_earlier(&self, caller: &Caller, kind: ResourceKind, id: &str) -> Result<(), Failure> {
        let workspace = &caller.workspace.id;
        let settlement = match (kind, user_id(id), group_id(id)) {
            (ResourceKind::User, Ok(id), _) => self.store.end_of_user(workspace, &id).await?,
            (ResourceKind::Group, _, Ok(id)) => self.store.end_of_group(workspace, &id).await?,
            // An id that could not be one of ours is nobody's.
            (ResourceKind::User, Err(_), _) | (ResourceKind::Group, _, Err(_)) => return Ok(()),
        };
        self.barrier.settle(workspace, settlement).await?;
        Ok(())
    }

    async fn carry_out(&self, caller: &Caller, operation: Operation<'_>, body: Value) -> Result<Answer, Failure> {
        let Operation { method, target, query, wanted, id } = operation;
        // draft-zollner-scim-interop-profile-02 has no entity tags, so a header of that name says nothing.
        let wanted = if caller.policy.profile().is_lenient() { wanted } else { Preconditions::default() };
        let new_id = id.as_deref();
        match (method, target) {
            (&Method::POST, Target::Search(kind)) => self.search(caller, kind, &Query::from_search(&body)?).await,
            (&Method::POST, Target::Collection(ResourceKind::User)) => self.create_user(caller, &query, new_id, body).await,
            (&Method::POST, Target::Collection(ResourceKind::Group)) => self.create_group(caller, &query, new_id, body).await,
            (&Method::PUT, Target::Resource(ResourceKind::User, id)) => self.put_user(caller, &query, id, &wanted, body).await,
            (&Method::PUT, Target::Resource(ResourceKind::Group, id)) => self.put_group(caller, &query, id, &wanted, body).await,
            (&Method::PATCH, Target::Resource(ResourceKind::User, id)) => {
                self.patch_user(caller, &query, id, &wanted, body).await
            }
            (&Method::PATCH, Target::Resource(ResourceKind::Group, id)) => {
                self.patch_group(caller, &query, id, &wanted, body).await
            }
            (&Method::DELETE, Target::Resource(ResourceKind::User, id)) => self.delete_user(caller, id, &wanted).await,
            (&Method::DELETE, Target::Resource(ResourceKind::Group, id)) => self.delete_group(caller, id, &wanted).await,
            (_, Target::Resource(ResourceKind::User, id)) => self.get_user(caller, &query, id, &wanted).await,
            (_, Target::Resource(ResourceKind::Group, id)) => self.get_group(caller, &query, id, &wanted).await,
            (_, Target::Collection(kind)) => self.search(caller, Some(kind), &query).await,
            (_, Target::Root) => self.search(caller, None, &query).await,
            (_, discovery) => self.discover(caller, &discovery, &query),
        }
    }
}
