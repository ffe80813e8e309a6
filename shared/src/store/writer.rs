//! SQLite has one writer at a time. Ours queue in their order instead of polling for its lock, and use one connection. Writes that
//! need no look in between and have come together while another was under way are committed together: most of what a durable write
//! costs is its commit.

use std::{
    collections::VecDeque,
    fmt, io, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sqlx::{
    Error,
    any::{AnyArguments, AnyRow},
    error::DatabaseError,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{StoreError, at_once::AtOnce, pool::Pool};

/// Who writes, and in which order. Clones share it.
#[derive(Clone)]
pub(super) struct Writer {
    pub(super) pool: Pool,
    turns: Arc<Semaphore>,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// A task carries out what waits.
    is_served: bool,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// A write, and who waits for its outcome.
struct Waiting {
    write: &'static AtOnce,
    arguments: AnyArguments,
    tell: oneshot::Sender<Outcome>,
}

/// What the write shows of what it changed.
type Outcome = Result<Vec<AnyRow>, StoreError>;

impl Writer {
    /// A writer on a pool of one connection.
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, turns: Arc::new(Semaphore::new(1)), queue: Arc::default() }
    }

    /// The turn to write.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        Ok(self.turns.clone().acquire_owned().await.map_err(|_| Error::PoolClosed)?)
    }

    /// Carries a write out. It is a task's, so that nobody who goes away takes others' writes along; one that was not begun by then
    /// is left out.
    pub(super) async fn write(&self, write: &'static AtOnce, arguments: AnyArguments) -> Outcome {
        let (tell, told) = oneshot::channel();
        let is_served = {
            let mut queue = self.queue();
            queue.waiting.push_back(Waiting { write, arguments, tell });
            mem::replace(&mut queue.is_served, true)
        };
        if !is_served {
            tokio::spawn(Service { writer: self.clone(), is_over: false }.run());
        }
        told.await.unwrap_or_else(|_| Err(Error::WorkerCrashed.into()))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Every change is a single insertion or removal, so what a panic has left behind is whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The first write that somebody still waits for, and others like it; `None` if there is none, and nobody serves any more.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let waiting = mem::take(&mut self.waiting);
        let mut batch: Vec<Waiting> = Vec::new();
        for one in waiting.into_iter().filter(|one| !one.tell.is_closed()) {
            let fits = batch.first().is_none_or(|first| std::ptr::eq(first.write, one.write)) && batch.len() < AtOnce::TOGETHER;
            if fits { batch.push(one) } else { self.waiting.push_back(one) }
        }
        self.is_served = !batch.is_empty();
        self.is_served.then_some(batch)
    }
}

/// Carries out what waits, until nothing does.
struct Service {
    writer: Writer,
    is_over: bool,
}

impl Service {
    async fn run(mut self) {
        while let Ok(_turn) = self.writer.turn().await {
            let next = self.writer.queue().next();
            let Some(batch) = next else {
                self.is_over = true;
                return;
            };
            carry_out(&self.writer.pool, batch).await;
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if !self.is_over {
            // Ended from outside: whoever waits hears of it, and the next write is served again.
            *self.writer.queue() = Queue::default();
        }
    }
}

impl Waiting {
    fn hears(self, outcome: Outcome) {
        // Whoever went away meanwhile has been told that the outcome is unknown.
        drop(self.tell.send(outcome));
    }
}

async fn carry_out(pool: &Pool, batch: Vec<Waiting>) {
    match together(pool, &batch).await {
        Ok(shown) => {
            for (one, shown) in batch.into_iter().zip(shown) {
                one.hears(Ok(shown));
            }
        }
        // Nothing was kept, and each shall hear its own.
        Err(error) if is_of_one(&error) => {
            for one in batch.into_iter().filter(|one| !one.tell.is_closed()) {
                let alone = together(pool, std::slice::from_ref(&one)).await;
                one.hears(alone.map(|shown| shown.into_iter().flatten().collect()).map_err(StoreError::from));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for one in batch {
                one.hears(Err(Error::Io(io::Error::other(error.clone())).into()));
            }
        }
    }
}

/// What SQLite says of a single row: it is too large, breaks a rule, or has a value of the wrong type. Anything else it says of the
/// whole file, and would say of each.
const OF_ONE: [u32; 3] = [18, 19, 20];

/// Whether the database refused one of the writes. The lowest byte of an extended result code is the code itself.
fn is_of_one(error: &Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| OF_ONE.contains(&(code & 0xff)))
}

/// Carries writes of one kind out in one commit, and says what each of them shows.
async fn together(pool: &Pool, batch: &[Waiting]) -> Result<Vec<Vec<AnyRow>>, Error> {
    let mut shown: Vec<Vec<AnyRow>> = batch.iter().map(|_| Vec::new()).collect();
    let Some(first) = batch.first() else { return Ok(shown) };
    let mut arguments = AnyArguments::default();
    arguments.values.0.extend(batch.iter().flat_map(|one| one.arguments.values.0.iter().cloned()));
    for row in pool.write(sqlx::query_with(first.write.sqlite(batch.len()), arguments)).await? {
        let place = AtOnce::place(&row)?;
        shown.get_mut(place).ok_or(Error::RowNotFound)?.push(row);
    }
    Ok(shown)
}
