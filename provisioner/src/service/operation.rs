//! One operation on the directory, whether it is a request by itself or one of a Bulk request.

use http::Method;
use serde_json::Value;

use super::{
    ScimService,
    answer::Answer,
    caller::Caller,
    failure::Failure,
    groups::group_id,
    record::{Account, as_told},
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
        let (outcome, account) = self.perform_untold(caller, operation, body).await;
        let told = match &outcome {
            Ok(answer) => Ok(answer.status()),
            Err(failure) => Err(as_told(failure, &caller.origin.request)),
        };
        self.enter(account, told.as_ref().map(|status| *status)).await;
        outcome
    }

    /// The same, but for the record: whoever asked ends it when it is certain what the caller hears.
    pub(super) async fn perform_untold(
        &self,
        caller: &Caller,
        operation: Operation<'_>,
        body: Result<Value, Failure>,
    ) -> (Result<Answer, Failure>, Account) {
        let account = self.begin(caller, &operation, &body).await;
        let outcome = self.attempt(account.caller(), operation, body).await;
        account.found(outcome.as_ref().ok().and_then(Answer::found));
        (outcome, account)
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

    /// draft-zollner-scim-interop-profile-02 has no entity tags: in the strict profile a header of that name says nothing, and no
    /// answer has a version.
    async fn carry_out(&self, caller: &Caller, operation: Operation<'_>, body: Value) -> Result<Answer, Failure> {
        if caller.policy.profile().is_lenient() {
            return self.handle(caller, operation, body).await;
        }
        let (query, wanted) = (operation.query.without_version(), Preconditions::default());
        self.handle(caller, Operation { query, wanted, ..operation }, body).await.map(Answer::without_version)
    }

    async fn handle(&self, caller: &Caller, operation: Operation<'_>, body: Value) -> Result<Answer, Failure> {
        let Operation { method, target, query, wanted, id } = operation;
        let new_id = id.as_deref();
        match (method, target) {
            (&Method::POST, Target::Search(kind)) => {
                self.search(caller, kind, &Query::from_search(&body, caller.policy.profile())?).await
            }
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
