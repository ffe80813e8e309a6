//! What the provisioning log is told of each operation: at its beginning by method and path, at its end by the answer, in between
//! by the handlers through the caller's line.

use http::{Method, StatusCode};
use lockstep_shared::{id::EntryId, model::provisioning::Action};
use serde_json::Value;

use super::{ScimService, answer::Answer, caller::Caller, failure::Failure, guard, operation::Operation, target::Target};
use crate::{
    journal::{Line, NAME_DIGEST, Record},
    scim::{Filter, ResourceKind, ScimError, bulk::user_name, filter::Shape},
};

/// An operation that has begun, for its line. Dropped before it is entered, it says that nobody waited for the answer.
#[derive(Debug)]
pub(super) struct Account {
    record: Record,
    caller: Caller,
    /// The name that a new user is to have.
    new_name: Option<String>,
    /// The name of somebody who is to be deleted.
    former_name: Option<String>,
}

impl Account {
    /// The caller whose line it is.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// How many were found, by what looks for somebody.
    pub(super) fn found(&self, found: Option<Value>) {
        if let Some(found) = found {
            self.caller.line.detail("found", found);
        }
    }
}

/// An operation of which the method, the path or the body alone says that it is not carried out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Refused<'r> {
    pub(super) method: Option<&'r Method>,
    pub(super) target: Option<&'r Target<'r>>,
    /// The name that it has for a new user.
    pub(super) user_name: Option<&'r str>,
}

/// What a method asks of a target.
fn action(method: &Method, target: &Target<'_>) -> Action {
    use ResourceKind::{Group, User};
    match (target, method) {
        (Target::Collection(User), &Method::POST) => Action::UserCreate,
        (Target::Collection(Group), &Method::POST) => Action::GroupCreate,
        (Target::Collection(User), &Method::GET | &Method::HEAD) | (Target::Search(Some(User)), _) => Action::UserFind,
        (Target::Collection(Group), &Method::GET | &Method::HEAD) | (Target::Search(Some(Group)), _) => Action::GroupFind,
        (Target::Search(None) | Target::Root, _) => Action::Search,
        (Target::Resource(User, _), &Method::PUT | &Method::PATCH) => Action::UserUpdate,
        (Target::Resource(Group, _), &Method::PUT | &Method::PATCH) => Action::GroupUpdate,
        (Target::Resource(User, _), &Method::DELETE) => Action::UserDelete,
        (Target::Resource(Group, _), &Method::DELETE) => Action::GroupDelete,
        (Target::Resource(User, _), &Method::GET | &Method::HEAD) => Action::UserRead,
        (Target::Resource(Group, _), &Method::GET | &Method::HEAD) => Action::GroupRead,
        // A method that the target does not know says what was sent, and not what it was meant to do.
        (Target::Collection(_) | Target::Resource(..), _) => Action::Unknown,
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
    /// Begins the record of an operation.
    pub(super) async fn begin(&self, caller: &Caller, operation: &Operation<'_>, body: &Result<Value, Failure>) -> Account {
        let (record, caller) = self.begin_at(caller, Some(operation.method), Some(&operation.target));
        let (new_name, former_name) = (name_sent(operation, body), self.name_to_go(&caller, operation).await);
        Account { record, caller, new_name, former_name }
    }

    /// Begins the record of what a method asks of a target; the caller that is returned has its line.
    fn begin_at(&self, caller: &Caller, method: Option<&Method>, target: Option<&Target<'_>>) -> (Record, Caller) {
        let asked = method.zip(target).map_or(Action::Unknown, |(method, target)| action(method, target));
        let (record, caller) = self.begin_as(caller, asked);
        if let Some(Target::Resource(_, id)) = target
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
    async fn name_to_go(&self, caller: &Caller, operation: &Operation<'_>) -> Option<String> {
        let (&Method::DELETE, Target::Resource(ResourceKind::User, id)) = (operation.method, &operation.target) else {
            return None;
        };
        let user = self.store.user(&caller.workspace.id, &id.parse().ok()?).await.ok()??;
        Some(user.profile.user_name)
    }

    /// Tells the line of the name of somebody who was not created, or is deleted, but as a digest alone. Without it the line is as true.
    async fn note_name(&self, caller: &Caller, name: &str) {
        match self.names.digest(&caller.workspace.id, name).await {
            Ok(digest) => caller.line.detail(NAME_DIGEST, digest),
            Err(error) => tracing::debug!(error = %error, "a refused creation cannot be found by its name"),
        }
    }

    /// Ends the record of an operation by what its caller hears. Of what may have been carried out all the same, no name is kept.
    pub(super) async fn enter(&self, account: Account, told: Result<StatusCode, &ScimError>) {
        let Account { record, caller, new_name, former_name } = account;
        let is_open = |error: &&ScimError| {
            matches!(error, ScimError::Held { .. } | ScimError::Unavailable { .. } | ScimError::Internal { .. })
        };
        let name = match told {
            Ok(_) => former_name,
            Err(error) => new_name.filter(|_| !is_open(&error)),
        };
        if let Some(name) = name {
            self.note_name(&caller, &name).await;
        }
        match told {
            Ok(status) => record.done(status.as_u16()).await,
            Err(error) => record.failed(error).await,
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
        self.begin_at(caller, Some(method), target).0.failed(&error).await;
        error.into()
    }

    /// Records an operation of a Bulk request that was not begun: for this reason, or since so many before it had failed.
    pub(super) async fn not_begun(&self, caller: &Caller, refused: Refused<'_>, why: Option<&ScimError>) {
        let Refused { method, target, user_name } = refused;
        let (record, caller) = self.begin_at(caller, method, target);
        let creates = method.zip(target).is_some_and(|(method, target)| action(method, target) == Action::UserCreate);
        if let Some(name) = user_name.filter(|_| creates) {
            self.note_name(&caller, name).await;
        }
        match why {
            Some(error) => record.failed(error).await,
            None => record.left_out().await,
        }
    }
}

/// The name that a new user is to have, as it was sent.
fn name_sent(operation: &Operation<'_>, body: &Result<Value, Failure>) -> Option<String> {
    if action(operation.method, &operation.target) != Action::UserCreate {
        return None;
    }
    user_name(body.as_ref().ok()?)
}

/// Ends the record of a Bulk request.
pub(super) async fn end_bulk(record: Record, caller: &Caller, outcome: &Result<Answer, Failure>) {
    let body = match outcome {
        Ok(Answer::Bulk { body, .. }) => body,
        Ok(answer) => return record.done(answer.status().as_u16()).await,
        Err(failure) => return record.failed(&as_told(failure, &caller.origin.request)).await,
    };
    let operations = body.get("Operations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let has_failed =
        |operation: &&Value| !operation.get("status").and_then(Value::as_str).is_some_and(|status| status.starts_with('2'));
    record.bulk(operations.len(), operations.iter().filter(has_failed).count()).await;
}

/// What the caller will hear.
pub(super) fn as_told(failure: &Failure, request_id: &str) -> ScimError {
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
