//! A run of Bulk operations: in an order in which references can be resolved, until the errors are too many or the time is over.

use std::collections::HashMap;

use http::Method;
use lockstep_shared::{id::UserId, store::Settlement};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::{
    scim::{
        ScimError,
        bulk::{BulkOperation, BulkRequest, Call, Outcome, steps},
        text::for_log,
    },
    service::barrier::join,
};

/// How soon to ask again for what there was no time for.
pub(super) const LATE: ScimError = ScimError::Unavailable { retry_after: 2 };

/// What the operations of a run change.
pub(super) trait Directory: Sync {
    /// Carries out one call. `id` is what a new resource is to be called.
    fn carry_out(&self, call: Call, id: Option<String>) -> impl Future<Output = Deed> + Send;
}

/// What became of an operation, and what has to be settled before anybody hears of it.
#[derive(Debug)]
pub(super) struct Deed {
    pub(super) outcome: Outcome,
    pub(super) settlement: Settlement,
    /// Whether it has something to be settled.
    pub(super) waits: bool,
}

impl Deed {
    pub(super) fn new(outcome: Outcome, settlement: Settlement) -> Self {
        Self { outcome, waits: settlement != Settlement::default(), settlement }
    }

    fn failed(error: ScimError) -> Self {
        Self::new(Outcome::failed(error), Settlement::default())
    }

    fn is_error(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }
}

/// A run under way.
pub(super) struct Run<'d, D> {
    directory: &'d D,
    /// No operation is begun later, and none goes on.
    until: Instant,
    /// What was made, or is being made, under each `bulkId` of the request.
    ids: HashMap<String, Option<String>>,
    deeds: Vec<Option<Deed>>,
}

impl<'d, D: Directory> Run<'d, D> {
    pub(super) fn new(directory: &'d D, until: Instant) -> Self {
        Self { directory, until, ids: HashMap::new(), deeds: Vec::new() }
    }

    /// Carries out a request. Operations that were not looked at, since there had been too many errors, have no deed.
    pub(super) async fn carry_out(mut self, request: &BulkRequest) -> Vec<Option<Deed>> {
        let made = request.operations.iter().filter(|operation| operation.makes());
        self.ids = made.filter_map(|operation| Some((operation.bulk_id.clone()?, None))).collect();
        self.deeds.resize_with(request.operations.len(), || None);
        for step in steps(&request.dependencies()) {
            if request.fail_on_errors.is_some_and(|most| self.errors() >= most) {
                break;
            }
            let operations: Vec<_> = step.iter().filter_map(|at| Some((*at, request.operations.get(*at)?))).collect();
            // Those that refer to each other need each other's identifiers before they are made.
            for (_, operation) in &operations {
                self.name(operation);
            }
            for (at, operation) in &operations {
                let deed = self.one(operation).await;
                self.put(*at, deed);
            }
            if operations.len() > 1 && operations.iter().any(|(at, _)| self.failed(*at)) {
                self.undo(&operations).await;
            }
        }
        self.deeds
    }

    async fn one(&mut self, operation: &BulkOperation) -> Deed {
        let id = self.id_of(operation);
        let call = operation.call.clone().and_then(|call| call.resolved(&|name| self.made(name)));
        let deed = match call {
            Err(error) => Deed::failed(error),
            Ok(_) if Instant::now() >= self.until => Deed::failed(LATE),
            Ok(call) => {
                let carried_out = timeout_at(self.until, self.directory.carry_out(call, id)).await;
                carried_out.unwrap_or_else(|_late| Deed::failed(LATE))
            }
        };
        if deed.is_error() {
            self.forget(operation);
        }
        deed
    }

    /// RFC 7644, section 3.7.1: what refers to each other in a circle stands or falls together, lest one of them be left with a
    /// reference to nothing.
    async fn undo(&mut self, operations: &[(usize, &BulkOperation)]) {
        for (at, operation) in operations {
            let (Some(Ok(call)), Some(id), false) = (Some(&operation.call), self.id_of(operation), self.failed(*at)) else {
                continue;
            };
            let path = format!("{}/{id}", call.path.trim_end_matches('/'));
            let delete = Call { method: Method::DELETE, path, version: None, data: Value::Null };
            let undone = timeout_at(self.until, self.directory.carry_out(delete, None)).await;
            let mut deed = undone.unwrap_or_else(|_late| Deed::failed(LATE));
            if !deed.is_error() {
                deed.outcome = Outcome::failed(unresolved(operation.bulk_id.as_deref().unwrap_or_default()));
            }
            if let Some(Some(made)) = self.deeds.get_mut(*at) {
                made.outcome = deed.outcome;
                made.waits |= deed.waits;
                join(&mut made.settlement, deed.settlement);
            }
            self.forget(operation);
        }
    }

    fn name(&mut self, operation: &BulkOperation) {
        if let Some(slot) = self.slot(operation) {
            // Users' identifiers and groups' are made alike.
            *slot = Some(UserId::new().to_string());
        }
    }

    fn forget(&mut self, operation: &BulkOperation) {
        if let Some(slot) = self.slot(operation) {
            *slot = None;
        }
    }

    fn slot(&mut self, operation: &BulkOperation) -> Option<&mut Option<String>> {
        let name = operation.bulk_id.as_ref().filter(|_| operation.makes())?;
        self.ids.get_mut(name)
    }

    fn id_of(&mut self, operation: &BulkOperation) -> Option<String> {
        self.slot(operation).and_then(|id| id.clone())
    }

    fn made(&self, name: &str) -> Result<String, ScimError> {
        match self.ids.get(name) {
            Some(Some(id)) => Ok(id.clone()),
            Some(None) => Err(unresolved(name)),
            None => Err(ScimError::InvalidValue(format!("no operation of this request makes bulkId:{}", for_log(name)))),
        }
    }

    fn put(&mut self, at: usize, deed: Deed) {
        if let Some(slot) = self.deeds.get_mut(at) {
            *slot = Some(deed);
        }
    }

    fn failed(&self, at: usize) -> bool {
        self.deeds.get(at).and_then(Option::as_ref).is_none_or(Deed::is_error)
    }

    fn errors(&self) -> usize {
        self.deeds.iter().flatten().filter(|deed| deed.is_error()).count()
    }
}

fn unresolved(name: &str) -> ScimError {
    ScimError::Unresolved(format!("bulkId:{} was not made, or what it refers to was not", for_log(name)))
}
