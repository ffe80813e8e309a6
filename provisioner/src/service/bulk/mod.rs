//! `/Bulk` (RFC 7644, section 3.7): each operation by itself, all or nothing and through the same door as a request of its own; one
//! wait at the barrier for all of them, and no answer before it.

mod run;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use self::run::{Deed, Directory, LATE, Run};
use super::{
    ScimService,
    answer::Answer,
    barrier::join,
    caller::Caller,
    failure::Failure,
    operation::Operation,
    request::{Preconditions, Query},
    target::Target,
    uri,
};
use crate::scim::{
    ScimError,
    bulk::{BulkOperation, BulkRequest, Call, MAX_OPERATIONS, Outcome, response},
    discovery::BulkLimits,
};

/// The largest body of a Bulk request.
pub(super) const BODY_LIMIT: usize = 5 * 1024 * 1024;
/// No operation is begun later than this after the request, and none goes on: the barrier needs its time too.
const DONE_WITHIN: Duration = Duration::from_secs(30);
/// By then the answer goes out, before the caller hangs up: what is not settled is not promised.
const ANSWERED_WITHIN: Duration = Duration::from_secs(53);
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
        let operations = Operations { service, caller: caller.clone(), request_id };
        let whole = operations.answer(request, begun).instrument(tracing::Span::current());
        let answer = self.tasks.spawn(whole).await;
        answer.map_err(|panic| Failure::Defect(panic.into()))
    }
}

/// The directory as the operations of one Bulk request change it; their barrier is shared.
struct Operations {
    service: ScimService,
    caller: Caller,
    request_id: String,
}

impl Operations {
    async fn answer(self, request: BulkRequest, begun: Instant) -> Answer {
        let mut deeds = Run::new(&self, begun + DONE_WITHIN).carry_out(&request).await;
        self.record_unheard(&request, &deeds).await;
        let mut whole = self.service.barrier.take_put_off();
        for deed in deeds.iter_mut().flatten() {
            join(&mut whole, std::mem::take(&mut deed.settlement));
        }
        let settled = timeout_at(begun + ANSWERED_WITHIN, self.service.road.settle(&self.caller.workspace.id, whole)).await;
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

    /// Records the operations that never came to be carried out.
    async fn record_unheard(&self, request: &BulkRequest, deeds: &[Option<Deed>]) {
        for (operation, deed) in request.operations.iter().zip(deeds) {
            if let Some(Deed { outcome: Outcome::Failed { error, .. }, .. }) = deed
                && (operation.call.is_err() || matches!(error, ScimError::Unresolved(_)))
            {
                self.service.refuse(&self.caller, &Method::POST, None, error.clone()).await;
            }
        }
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

    async fn perform(&self, call: Call, id: Option<String>) -> Result<Outcome, ScimError> {
        let path: Option<Vec<String>> = uri::segments(self.path(&call.path)).collect();
        let named = path.as_deref().and_then(|path| Target::parse(path, self.caller.policy.profile()));
        let target = match within_bulk(named, &call.method) {
            Ok(target) => target,
            Err(error) => {
                let refused = self.service.refuse(&self.caller, &call.method, named.as_ref(), error).await;
                return Err(refused.tell(&self.request_id));
            }
        };
        let operation = Operation {
            method: &call.method,
            target,
            query: Query { excluded_attributes: Some(NOT_SHOWN.to_owned()), ..Query::default() },
            wanted: Preconditions::of_version(call.version.clone()),
            id,
        };
        match self.service.perform(&self.caller, operation, Ok(call.data.clone())).await {
            Ok(answer) => Ok(answer.into_outcome(self.location(&call.path))),
            Err(failure) => Err(failure.tell(&self.request_id)),
        }
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
        let outcome = self.perform(call, id).await.unwrap_or_else(|error| Outcome::Failed { error, location });
        Deed::new(outcome, self.service.barrier.take_put_off())
    }
}
