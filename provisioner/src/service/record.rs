//! What the provisioning log is told of each operation: at its beginning by method and path, at its end by the answer, in between
//! by the handlers through the caller's line.

use http::Method;
use lockstep_shared::{id::EntryId, model::provisioning::Action};
use serde_json::Value;

use super::{ScimService, answer::Answer, caller::Caller, failure::Failure, guard, operation::Operation, target::Target};
use crate::{
    journal::{Line, NAME_DIGEST, Record},
    scim::{Filter, ResourceKind, ScimError, filter::Shape},
};

/// What a method asks of a target.
fn action(method: &Method, target: &Target<'_>) -> Action {
    use ResourceKind::{Group, User};
    match (target, method) {
        (Target::Collection(User), &Method::POST) => Action::UserCreate,
        (Target::Collection(Group), &Method::POST) => Action::GroupCreate,
        (Target::Collection(User) | Target::Search(Some(User)), _) => Action::UserFind,
        (Target::Collection(Group) | Target::Search(Some(Group)), _) => Action::GroupFind,
        (Target::Search(None) | Target::Root, _) => Action::Search,
        (Target::Resource(User, _), &Method::PUT | &Method::PATCH) => Action::UserUpdate,
        (Target::Resource(Group, _), &Method::PUT | &Method::PATCH) => Action::GroupUpdate,
        (Target::Resource(User, _), &Method::DELETE) => Action::UserDelete,
        (Target::Resource(Group, _), &Method::DELETE) => Action::GroupDelete,
        (Target::Resource(User, _), _) => Action::UserRead,
        (Target::Resource(Group, _), _) => Action::GroupRead,
        (Target::Bulk, _) => Action::Bulk,
        (
            Target::ServiceProviderConfig
            | Target::ResourceTypes
            | Target::ResourceType(_)
            | Target::Schemas
            | Target::Schema(_)
            | Target::Me,
            _,
        ) => Action::Discovery,
    }
}

impl ScimService {
    /// Begins the record of an operation; the caller that is returned has its line.
    pub(super) fn begin(&self, caller: &Caller, operation: &Operation<'_>) -> (Record, Caller) {
        let (record, caller) = self.begin_as(caller, action(operation.method, &operation.target));
        if let Target::Resource(_, id) = operation.target
            && EntryId::parse(id).is_ok()
        {
            caller.line.about(id);
        }
        (record, caller)
    }

    /// Begins the record of something that is known by this word alone.
    pub(super) fn begin_as(&self, caller: &Caller, action: Action) -> (Record, Caller) {
        let caller = Caller { line: Line::default(), ..caller.clone() };
        let credential = caller.credential.to_string();
        let record = self.journal.begin(&caller.workspace.id, credential, &caller.origin, action, &caller.line);
        (record, caller)
    }

    /// The name of somebody who is to be deleted, by which an admin may ask for them afterwards.
    pub(super) async fn name_to_go(&self, caller: &Caller, operation: &Operation<'_>) -> Option<String> {
        let (&Method::DELETE, Target::Resource(ResourceKind::User, id)) = (operation.method, &operation.target) else {
            return None;
        };
        let user = self.store.user(&caller.workspace.id, &id.parse().ok()?).await.ok()??;
        Some(user.profile.user_name)
    }

    /// Tells the line of the name of somebody who was not created, or is deleted, but as a digest alone. Without it the line is as true.
    pub(super) async fn note_name(&self, caller: &Caller, name: &str) {
        match self.names.digest(&caller.workspace.id, name).await {
            Ok(digest) => caller.line.detail(NAME_DIGEST, digest),
            Err(error) => tracing::debug!(error = %error, "a refused creation cannot be found by its name"),
        }
    }

    /// Records a request that was refused by its path and method alone.
    pub(super) async fn refuse(
        &self,
        caller: &Caller,
        method: &Method,
        target: Option<&Target<'_>>,
        error: ScimError,
    ) -> Failure {
        let action = target.map_or(Action::Unknown, |target| action(method, target));
        self.begin_as(caller, action).0.failed(&error).await;
        error.into()
    }
}

/// The name that a new user is to have, as it was sent.
pub(super) fn name_sent(operation: &Operation<'_>, body: &Result<Value, Failure>) -> Option<String> {
    if action(operation.method, &operation.target) != Action::UserCreate {
        return None;
    }
    let body = body.as_ref().ok()?.as_object()?;
    let (_, name) = body.iter().find(|(name, _)| name.eq_ignore_ascii_case("userName"))?;
    name.as_str().map(ToOwned::to_owned)
}

/// Ends the record of an operation.
pub(super) async fn end(record: Record, caller: &Caller, outcome: &Result<Answer, Failure>) {
    match outcome {
        Ok(answer) => {
            if let Some(found) = answer.found() {
                caller.line.detail("found", found);
            }
            record.done(answer.status().as_u16()).await;
        }
        Err(failure) => record.failed(&as_told(failure, &caller.origin.request)).await,
    }
}

/// Ends the record of a Bulk request.
pub(super) async fn end_bulk(record: Record, caller: &Caller, outcome: &Result<Answer, Failure>) {
    let Ok(Answer::Bulk { body, .. }) = outcome else { return end(record, caller, outcome).await };
    let operations = body.get("Operations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let has_failed =
        |operation: &&Value| !operation.get("status").and_then(Value::as_str).is_some_and(|status| status.starts_with('2'));
    record.bulk(operations.len(), operations.iter().filter(has_failed).count()).await;
}

/// What the caller will hear.
fn as_told(failure: &Failure, request_id: &str) -> ScimError {
    match failure {
        Failure::Told(error) => error.clone(),
        Failure::Held(_) => guard::held(),
        Failure::Transient(_) => ScimError::Unavailable { retry_after: 1 },
        Failure::Defect(_) => ScimError::Internal { request_id: request_id.to_owned() },
    }
}

const LONGEST_SHAPE: usize = 200;

/// Tells the line what a filter asks for, but for the values.
pub(super) fn note_filter(caller: &Caller, filter: Option<&Filter>) {
    if let Some(filter) = filter {
        caller.line.detail("filter", Shape(filter).to_string().chars().take(LONGEST_SHAPE).collect::<String>());
    }
}
