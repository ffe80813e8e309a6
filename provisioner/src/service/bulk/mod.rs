//! `/Bulk` (RFC 7644, section 3.7): each operation by itself, all or nothing and through the same door as a request of its own; one
//! wait at the barrier for all of them, and no answer before it.

mod run;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::Method;
use lockstep_shared::store::{Deletion, GroupDeletion, Settlement};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument as _;

use self::run::{Deed, Directory, Entry, LATE, Run};
use super::{
    ScimService,
    answer::Answer,
    barrier::join,
    caller::Caller,
    failure::Failure,
    groups::group_id,
    operation::Operation,
    record::Refused,
    request::{Preconditions, Query},
    target::Target,
    uri,
    users::user_id,
};
use crate::scim::{
    ResourceKind, ScimError,
    bulk::{BulkOperation, BulkRequest, Call, MAX_OPERATIONS, Outcome, response},
    discovery::BulkLimits,
};

/// The largest body of a Bulk request.
pub(super) const BODY_LIMIT: usize = 5 * 1024 * 1024;
/// No operation is begun later than this after the request, and none goes on: the barrier needs its time too.
const DONE_WITHIN: Duration = Duration::from_secs(30);
/// By then the answer goes out, before the caller hangs up: what is not settled is not promised.
const ANSWERED_WITHIN: Duration = Duration::from_secs(53);
/// Until then it is tried again to take back what was made in vain.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(45);
/// How soon it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// No success is answered with its resource, so what would be read only to be shown is not.
const NOT_SHOWN: &str = "members,groups";

/// The limits, as they are announced.
pub(super) fn limits() -> BulkLimits {
    let number = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
    BulkLimits { max_operations: number(MAX_OPERATIONS), max_payload_size: number(BODY_LIMIT) }
}

impl ScimService {
    /// Carries out a Bulk request that began at `begun`. A caller that hangs up does not stop it half-way.
    pub(super) async fn bulk(&self, caller: &Caller, request_id: String, begun: Instant, body: Value) -> Result<Answer, Failure> {
        let request = BulkRequest::parse(body, caller.policy.profile())?;
        let service = Self { inner: self.inner.clone(), barrier: self.barrier.shared() };
        let operations = Operations { service, caller: caller.clone(), request_id, begun };
        let whole = operations.answer(request).instrument(tracing::Span::current());
        let answer = self.tasks.spawn(whole).await;
        answer.map_err(|panic| Failure::Defect(panic.into()))
    }
}

/// The directory as the operations of one Bulk request change it; their barrier is shared.
struct Operations {
    service: ScimService,
    caller: Caller,
    request_id: String,
    begun: Instant,
}

impl Operations {
    async fn answer(self, request: BulkRequest) -> Answer {
        let mut deeds = Run::new(&self, self.begun + DONE_WITHIN).carry_out(&request).await;
        for (operation, _) in request.operations.iter().zip(&deeds).filter(|(_, deed)| deed.is_none()) {
            self.tell_not_begun(operation, None).await;
        }
        let mut whole = self.service.barrier.take_put_off();
        for deed in deeds.iter_mut().flatten() {
            join(&mut whole, std::mem::take(&mut deed.settlement));
        }
        let settled = timeout_at(self.begun + ANSWERED_WITHIN, self.service.road.settle(&self.caller.workspace.id, whole)).await;
        let is_settled = match settled {
            Ok(Ok(_receipt)) => true,
            Ok(Err(error)) => {
                tracing::error!(error = %error, "the operations of a Bulk request were not settled: {error}");
                false
            }
            Err(_late) => {
                tracing::error!("the operations of a Bulk request were not settled in time");
                false
            }
        };
        let tell = |deed: Deed| if is_settled || !deed.waits { deed.outcome } else { deed.outcome.into_failure(LATE) };
        let told = request.operations.iter().zip(deeds);
        let outcomes: Vec<_> = told.map(|(operation, deed)| Some(self.located(operation, tell(deed?)))).collect();
        // An operation has no headers, and a client that reads them alone would take the next sync for soon enough.
        let waits = outcomes.iter().flatten().filter_map(|outcome| match outcome {
            Outcome::Failed { error, .. } => error.retry_after(),
            Outcome::Done { .. } => None,
        });
        Answer::Bulk { body: response(&request.operations, &outcomes), retry_after: waits.max() }
    }

    /// Records an operation that never came to be carried out, by what was sent of it.
    async fn tell_not_begun(&self, operation: &BulkOperation, why: Option<&ScimError>) {
        let path: Option<Vec<String>> = operation.path.as_deref().and_then(|path| uri::segments(self.path(path)).collect());
        let target = path.as_deref().and_then(|path| Target::parse(path, self.caller.policy.profile()));
        let method = Method::from_bytes(operation.method.as_bytes()).ok();
        let user_name = operation.user_name.as_deref();
        let refused = Refused { method: method.as_ref(), target: target.as_ref(), user_name };
        self.service.not_begun(&self.caller, refused, why).await;
    }

    /// The path below the base URL, which some clients repeat. Parameters behind it say what to show, and nothing is shown.
    fn path<'p>(&self, path: &'p str) -> &'p str {
        let base_url = self.service.base_url(&self.caller.workspace.id);
        let path = path.strip_prefix(&base_url).unwrap_or(path);
        path.split(['?', '#']).next().unwrap_or_default()
    }

    fn location(&self, path: &str) -> String {
        format!("{}/{}", self.service.base_url(&self.caller.workspace.id), self.path(path).trim_matches('/'))
    }

    /// What failed before it was sent anywhere failed where it was to be sent.
    fn located(&self, operation: &BulkOperation, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed { error, location: None } => {
                Outcome::Failed { error, location: operation.path.as_deref().map(|path| self.location(path)) }
            }
            Outcome::Done { .. } | Outcome::Failed { .. } => outcome,
        }
    }

    async fn perform(&self, call: Call, id: Option<String>) -> (Result<Outcome, ScimError>, Entry) {
        let path: Option<Vec<String>> = uri::segments(self.path(&call.path)).collect();
        let named = path.as_deref().and_then(|path| Target::parse(path, self.caller.policy.profile()));
        let target = match within_bulk(named, &call.method) {
            Ok(target) => target,
            Err(error) => return (Err(error), Entry::Missing),
        };
        let location = self.location(&call.path);
        let operation = Operation {
            method: &call.method,
            target,
            query: Query { excluded_attributes: Some(NOT_SHOWN.to_owned()), ..Query::default() },
            wanted: Preconditions::of_version(call.version),
            id,
        };
        let (outcome, account) = self.service.perform_untold(&self.caller, operation, Ok(call.data)).await;
        let outcome = match outcome {
            Ok(answer) => Ok(answer.into_outcome(location)),
            Err(failure) => Err(failure.tell(&self.request_id)),
        };
        (outcome, Entry::Open(Box::new(account)))
    }

    /// Removes what a call has made, as every deletion does; not as the provider's, who has not asked for it.
    async fn remove(&self, call: &Call, id: &str) -> Result<Settlement, Failure> {
        let (store, workspace) = (&self.service.store, &self.caller.workspace.id);
        let path: Option<Vec<String>> = uri::segments(self.path(&call.path)).collect();
        let made = path.as_deref().and_then(|path| Target::parse(path, self.caller.policy.profile()));
        let settlement = match made {
            Some(Target::Collection(ResourceKind::User)) => match store.take_user_back(workspace, &user_id(id)?).await? {
                Deletion::Now(settlement) | Deletion::Before(settlement) => settlement,
                Deletion::Never => Settlement::default(),
            },
            Some(Target::Collection(ResourceKind::Group)) => match store.take_group_back(workspace, &group_id(id)?).await? {
                GroupDeletion::Now(settlement) | GroupDeletion::Before(settlement) => settlement,
                GroupDeletion::Never => Settlement::default(),
            },
            // Nothing is made anywhere else.
            Some(_) | None => Settlement::default(),
        };
        self.service.barrier.settle(workspace, settlement).await?;
        Ok(self.service.barrier.take_put_off())
    }
}

fn within_bulk<'p>(named: Option<Target<'p>>, method: &Method) -> Result<Target<'p>, ScimError> {
    let target = named.ok_or(ScimError::NotFound)?;
    match target {
        Target::Collection(_) | Target::Resource(..) => target.check(method).map(|()| target),
        Target::Root
        | Target::Search(_)
        | Target::Bulk
        | Target::ServiceProviderConfig
        | Target::ResourceTypes
        | Target::ResourceType(_)
        | Target::Schemas
        | Target::Schema(_)
        | Target::Me => Err(ScimError::InvalidPath("a Bulk operation is about users and groups".into())),
    }
}

impl Directory for Operations {
    async fn carry_out(&self, call: Call, id: Option<String>) -> Deed {
        let location = Some(self.location(&call.path));
        let (outcome, entry) = self.perform(call, id).await;
        let outcome = outcome.unwrap_or_else(|error| Outcome::Failed { error, location });
        Deed::new(outcome, self.service.barrier.take_put_off(), entry)
    }

    async fn take_back(&self, call: &Call, id: &str) -> Result<Settlement, ScimError> {
        loop {
            let failure = match self.remove(call, id).await {
                Ok(settlement) => return Ok(settlement),
                Err(failure) => failure,
            };
            if Instant::now() + AGAIN >= self.begun + TAKEN_BACK_WITHIN {
                let workspace = &self.caller.workspace.id;
                tracing::error!(workspace.id = %workspace, "what a Bulk request made in vain, {id}, is still in workspace {workspace}");
                return Err(failure.tell(&self.request_id));
            }
            sleep(AGAIN).await;
        }
    }

    async fn tell(&self, operation: &BulkOperation, deed: &mut Deed) {
        let told = match &deed.outcome {
            Outcome::Done { status, .. } => Ok(*status),
            Outcome::Failed { error, .. } => Err(error),
        };
        match (std::mem::replace(&mut deed.entry, Entry::Written), told) {
            (Entry::Open(account), told) => self.service.enter(*account, told).await,
            (Entry::Missing, told) => self.tell_not_begun(operation, told.err()).await,
            (Entry::Written, _) => {}
        }
    }
}
