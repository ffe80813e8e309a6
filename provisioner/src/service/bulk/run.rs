//! A run of Bulk operations: in an order in which references can be resolved, until the errors are too many or the time is over.

use std::collections::HashMap;

use lockstep_shared::{id::UserId, store::Settlement};
use tokio::time::{Instant, timeout_at};

use crate::{
    scim::{
        ScimError,
        bulk::{BulkOperation, BulkRequest, Call, Outcome, steps},
        text::for_log,
    },
    service::{barrier::join, record::Account},
};

/// How soon to ask again for what there was no time for.
pub(super) const LATE: ScimError = ScimError::Unavailable { retry_after: 2 };

/// What the operations of a run change.
pub(super) trait Directory: Sync {
    /// Carries out one call. `id` is what a new resource is to be called.
    fn carry_out(&self, call: Call, id: Option<String>) -> impl Future<Output = Deed> + Send;

    /// Takes back what a call has made under this identifier, if it has; what has to be settled for it, or why it may still be there.
    fn take_back(&self, call: &Call, id: &str) -> impl Future<Output = Result<Settlement, ScimError>> + Send;

    /// Tells the log what became of an operation.
    fn tell(&self, operation: &BulkOperation, deed: &mut Deed) -> impl Future<Output = ()> + Send;
}

/// What became of an operation, and what has to be settled before anybody hears of it.
#[derive(Debug)]
pub(super) struct Deed {
    pub(super) outcome: Outcome,
    pub(super) settlement: Settlement,
    /// Whether it has something to be settled.
    pub(super) waits: bool,
    pub(super) entry: Entry,
}

/// How far the log knows of an operation.
#[derive(Debug)]
pub(super) enum Entry {
    /// Not at all: it was not begun.
    Missing,
    /// It has begun, and what the client will hear is still to be told.
    Open(Box<Account>),
    /// All that there is to say.
    Written,
}

impl Deed {
    pub(super) fn new(outcome: Outcome, settlement: Settlement, entry: Entry) -> Self {
        Self { outcome, waits: settlement != Settlement::default(), settlement, entry }
    }

    fn not_begun(error: ScimError) -> Self {
        Self::new(Outcome::failed(error), Settlement::default(), Entry::Missing)
    }

    /// It was dropped in the middle, and its record with it, which says so by itself.
    fn cut_off() -> Self {
        Self::new(Outcome::failed(LATE), Settlement::default(), Entry::Written)
    }

    fn is_error(&self) -> bool {
        matches!(self.outcome, Outcome::Failed { .. })
    }

    /// Whether something may be there that it made.
    fn may_have_made(&self) -> bool {
        let made_nothing = match &self.outcome {
            Outcome::Done { .. } => false,
            Outcome::Failed { error, .. } => !matches!(error, ScimError::Unavailable { .. } | ScimError::Internal { .. }),
        };
        !made_nothing && !matches!(self.entry, Entry::Missing)
    }
}

/// A run under way.
pub(super) struct Run<'d, D> {
    directory: &'d D,
    /// No operation is begun later, and none goes on; but what is begun of a circle comes to its end.
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
            match operations.as_slice() {
                [(at, operation)] => {
                    self.name(operation);
                    let deed = self.one(operation).await;
                    self.put(*at, deed);
                }
                circle => self.circle(circle).await,
            }
            for (at, operation) in &operations {
                if let Some(Some(deed)) = self.deeds.get_mut(*at) {
                    self.directory.tell(operation, deed).await;
                }
            }
        }
        self.deeds
    }

    async fn one(&mut self, operation: &BulkOperation) -> Deed {
        let deed = match self.ready(operation) {
            Err(error) => Deed::not_begun(error),
            Ok((call, id)) => {
                let carried_out = timeout_at(self.until, self.directory.carry_out(call, id)).await;
                carried_out.unwrap_or_else(|_late| Deed::cut_off())
            }
        };
        if deed.is_error() {
            self.forget(operation);
        }
        deed
    }

    /// Operations that refer to each other. Each needs the others' identifiers before they are made, and none is cut off in the
    /// middle: of what was dropped at its commit nobody could say whether there is anything to take back.
    async fn circle(&mut self, operations: &[(usize, &BulkOperation)]) {
        for (_, operation) in operations {
            self.name(operation);
        }
        let ids: Vec<_> = operations.iter().map(|(_, operation)| self.id_of(operation)).collect();
        for (at, operation) in operations {
            let deed = match self.ready(operation) {
                Err(error) => Deed::not_begun(error),
                Ok((call, id)) => self.directory.carry_out(call, id).await,
            };
            if deed.is_error() {
                self.forget(operation);
            }
            self.put(*at, deed);
        }
        if operations.iter().any(|(at, _)| self.failed(*at)) {
            for ((at, operation), id) in operations.iter().zip(ids).rev() {
                self.forget(operation);
                self.take_back(*at, operation, id).await;
            }
        }
    }

    /// RFC 7644, section 3.7.1: what refers to each other in a circle stands or falls together, lest one of them be left with a
    /// reference to nothing. However late it is, and whatever the guard holds: nobody had it before this request.
    async fn take_back(&mut self, at: usize, operation: &BulkOperation, id: Option<String>) {
        let (Some(Some(deed)), Ok(call), Some(id)) = (self.deeds.get_mut(at), &operation.call, id) else { return };
        if !deed.may_have_made() {
            return;
        }
        match self.directory.take_back(call, &id).await {
            Ok(settlement) => {
                deed.waits |= settlement != Settlement::default();
                join(&mut deed.settlement, settlement);
                if !deed.is_error() {
                    deed.outcome = Outcome::failed(unresolved(operation.bulk_id.as_deref().unwrap_or_default()));
                }
            }
            Err(error) => deed.outcome = Outcome::failed(error),
        }
    }

    /// The call with identifiers for its references, and what it is to make, unless it is too late or there is nothing to refer to.
    fn ready(&mut self, operation: &BulkOperation) -> Result<(Call, Option<String>), ScimError> {
        let id = self.id_of(operation);
        let call = operation.call.clone()?.resolved(&|name| self.made(name))?;
        if Instant::now() >= self.until { Err(LATE) } else { Ok((call, id)) }
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
            None => Err(ScimError::InvalidValue(format!("no operation of this request makes bulkId {:?}", for_log(name)))),
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
    ScimError::Unresolved(format!("bulkId {:?} was not made, or what it refers to was not", for_log(name)))
}
