//! Lends connections. sqlx's pool asks each connection for a sign of life whenever it comes back, which on PostgreSQL is a round
//! trip beside nearly every statement. Here one that came back whole is kept at hand and lent again without a question; whatever
//! may be in the middle of something goes to sqlx's pool, whose tests have a deadline and prove that no transaction is open.

use std::{
    collections::VecDeque,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Any, AnyConnection, AnyPool, Connection as _, Either, Error, Execute, Executor, SqlSafeStr as _, SqlStr,
    any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement, AnyTransactionManager, AnyTypeInfo},
    pool::PoolConnection,
    query::Query,
};
use sqlx_core::transaction::TransactionManager as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How long a connection may take to say that it is fit to be used again.
pub(super) const FIT_WITHIN: Duration = Duration::from_secs(1);
/// A connection that was whole this short a while ago is taken to be so still.
const WARM_FOR: Duration = Duration::from_secs(1);
/// The same for a statement that cannot be put twice.
const JUST_NOW: Duration = Duration::from_millis(100);
/// Ends a transaction of which sqlx does not know, since whoever began it went away before the answer, and else changes nothing: a
/// statement that came after would be answered without being kept. An answer is a sign of life as well.
const PROOF: &str = "BEGIN; ROLLBACK";
/// One that nobody has wanted for so long goes back to sqlx's pool, which may close it.
const AT_HAND_FOR: Duration = Duration::from_mins(1);

/// The connections of a store. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sqlx: AnyPool,
    /// As many as there may be connections. Without them somebody could wait in sqlx's pool for a connection that lies at hand.
    places: Arc<Semaphore>,
    patience: Duration,
    /// How long a warm connection may be silent before it is replaced; a file never is.
    silence: Option<Duration>,
    at_hand: Mutex<AtHand>,
}

#[derive(Debug, Default)]
struct AtHand {
    /// The one that came back last is at the end.
    connections: VecDeque<Resting>,
    closed: bool,
}

#[derive(Debug)]
struct Resting {
    connection: PoolConnection<Any>,
    taken: Instant,
    since: Instant,
}

/// A connection that is lent. Dropped without having been given back, it goes to sqlx's pool, which tests it.
#[derive(Debug)]
struct Lent {
    connection: PoolConnection<Any>,
    /// When it left sqlx's pool.
    taken: Instant,
    /// It was not tested, since it was whole a moment ago.
    is_warm: bool,
    place: OwnedSemaphorePermit,
}

impl Pool {
    /// Lends `size` connections of `sqlx` at the most, each within `patience`.
    pub(super) fn new(sqlx: AnyPool, size: u32, patience: Duration, silence: Option<Duration>) -> Self {
        let places = Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(Semaphore::MAX_PERMITS)));
        Self(Arc::new(Inner { sqlx, places, patience, silence, at_hand: Mutex::default() }))
    }

    /// sqlx's pool, for the migrations.
    pub(super) fn sqlx(&self) -> &AnyPool {
        &self.0.sqlx
    }

    /// Closes every connection, after what is under way.
    pub(super) async fn close(&self) {
        {
            let mut at_hand = self.0.at_hand();
            at_hand.closed = true;
            at_hand.connections.clear();
        }
        self.0.sqlx.close().await;
    }

    /// Carries out a text that commits by itself. It is sent once only, so it must not be the test of a connection that has rested for
    /// long.
    pub(super) async fn write(&self, write: Query<'_, Any, AnyArguments>) -> Result<Vec<AnyRow>, Error> {
        let mut lent = self.lend(JUST_NOW).await?;
        let rows = write.fetch_all(&mut *lent.connection).await?;
        // After an error SQLite is in the middle of the text.
        self.give_back(lent);
        Ok(rows)
    }

    /// Begins a transaction with this statement.
    pub(super) async fn begin(&self, statement: &'static str) -> Result<Transaction, Error> {
        let sql = statement.into_sql_str();
        let (lent, begun) = self.first(|connection| AnyTransactionManager::begin(connection, Some(sql.clone())).boxed()).await?;
        begun?;
        Ok(Transaction { pool: self.clone(), lent })
    }

    /// Asks a question that changes nothing, and takes the connection back.
    async fn ask<T>(
        &self,
        question: impl for<'c> FnMut(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, Error>>,
    ) -> Result<T, Error> {
        let (lent, answer) = self.first(question).await?;
        if answer.as_ref().err().is_none_or(leaves_whole) {
            self.give_back(lent);
        }
        answer
    }

    /// Lends a connection and puts the first question to it, which is the test of a warm one: if it does not answer in time, the
    /// question is put to one that was tested.
    async fn first<T>(
        &self,
        mut question: impl for<'c> FnMut(&'c mut AnyConnection) -> BoxFuture<'c, Result<T, Error>>,
    ) -> Result<(Lent, Result<T, Error>), Error> {
        let mut lent = self.lend(WARM_FOR).await?;
        if lent.is_warm {
            match in_time(self.0.silence, question(&mut lent.connection)).await {
                Err(error) if !leaves_whole(&error) => lent = self.replace(lent).await?,
                answer => return Ok((lent, answer)),
            }
        }
        let answer = question(&mut lent.connection).await;
        Ok((lent, answer))
    }

    /// Lends a connection that was whole so short a while ago, or has been tested.
    async fn lend(&self, warm_for: Duration) -> Result<Lent, Error> {
        let lent = timeout(self.0.patience, async {
            let place = self.0.places.clone().acquire_owned().await.map_err(|_| Error::PoolClosed)?;
            let resting = self.0.at_hand().connections.pop_back();
            let Some(mut resting) = resting else { return self.tested(place).await };
            let is_warm = resting.since.elapsed() < warm_for;
            if !is_warm && is_fit(&mut resting.connection).await.is_err() {
                self.distrust(resting.connection);
                return self.tested(place).await;
            }
            Ok(Lent { connection: resting.connection, taken: resting.taken, is_warm, place })
        });
        lent.await.map_err(|_| Error::PoolTimedOut)?
    }

    async fn tested(&self, place: OwnedSemaphorePermit) -> Result<Lent, Error> {
        let connection = self.0.sqlx.acquire().await?;
        Ok(Lent { connection, taken: Instant::now(), is_warm: false, place })
    }

    /// A tested connection in the place of one that does not answer.
    async fn replace(&self, unfit: Lent) -> Result<Lent, Error> {
        self.distrust(unfit.connection);
        self.tested(unfit.place).await
    }

    /// Closes a connection at once. What happened to it may have happened to the others, which sqlx's pool now tests.
    fn distrust(&self, unfit: PoolConnection<Any>) {
        drop(unfit.detach());
        self.0.at_hand().connections.clear();
    }

    fn give_back(&self, lent: Lent) {
        let Lent { connection, taken, place, .. } = lent;
        let mut at_hand = self.0.at_hand();
        // sqlx's pool sees each of them now and then, so that its own limits hold.
        if !at_hand.closed && taken.elapsed() < AT_HAND_FOR {
            at_hand.connections.push_back(Resting { connection, taken, since: Instant::now() });
        }
        if at_hand.connections.front().is_some_and(|oldest| oldest.since.elapsed() > AT_HAND_FOR) {
            at_hand.connections.pop_front();
        }
        drop(at_hand);
        // Only now may somebody else look for it.
        drop(place);
    }
}

impl Inner {
    fn at_hand(&self) -> MutexGuard<'_, AtHand> {
        // Every change is a single insertion or removal, so what a panic has left behind is whole.
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Given back to a pool that is gone, they would want a runtime, which may be gone as well.
        for resting in self.at_hand().connections.drain(..) {
            drop(resting.connection.detach());
        }
    }
}

/// A transaction. Dropped without an end, it is rolled back when sqlx's pool tests its connection.
#[derive(Debug)]
pub(super) struct Transaction {
    pool: Pool,
    lent: Lent,
}

impl Transaction {
    /// Commits. An error leaves the outcome unknown.
    pub(super) async fn commit(mut self) -> Result<(), Error> {
        AnyTransactionManager::commit(&mut self.lent.connection).await?;
        self.pool.give_back(self.lent);
        Ok(())
    }

    /// Takes everything back.
    pub(super) async fn rollback(mut self) -> Result<(), Error> {
        AnyTransactionManager::rollback(&mut self.lent.connection).await?;
        self.pool.give_back(self.lent);
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.lent.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.lent.connection
    }
}

/// Single statements that only read: they may be put twice.
impl<'p> Executor<'p> for &'p Pool {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E: 'q + Execute<'q, Any>>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'p: 'e,
    {
        let question = Question::of(query);
        let answer = async move {
            let question = question?;
            let rows = self.ask(|connection| connection.fetch_many(question.again()).try_collect::<Vec<_>>().boxed()).await?;
            Ok::<_, Error>(stream::iter(rows.into_iter().map(Ok)))
        };
        stream::once(answer).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E: 'q + Execute<'q, Any>>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'p: 'e,
    {
        let question = Question::of(query);
        async move {
            let question = question?;
            self.ask(|connection| connection.fetch_optional(question.again())).await
        }
        .boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, _: &'e [AnyTypeInfo]) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'p: 'e,
    {
        self.ask(move |connection| connection.prepare_with(sql.clone(), &[])).boxed()
    }
}

/// A statement and its arguments.
struct Question {
    sql: SqlStr,
    arguments: Option<AnyArguments>,
}

impl Question {
    fn of<'q>(mut query: impl Execute<'q, Any>) -> Result<Self, Error> {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        Ok(Self { sql: query.sql(), arguments })
    }

    fn again(&self) -> (SqlStr, Option<AnyArguments>) {
        let copy = |arguments: &AnyArguments| {
            let mut copy = AnyArguments::default();
            copy.values.0.clone_from(&arguments.values.0);
            copy
        };
        (self.sql.clone(), self.arguments.as_ref().map(copy))
    }
}

/// Whether a connection answers in time, outside of any transaction: one that nobody has ended is rolled back.
pub(super) async fn is_fit(connection: &mut AnyConnection) -> Result<bool, Error> {
    let answer = async {
        if connection.is_in_transaction() {
            AnyTransactionManager::rollback(connection).await?;
        }
        connection.execute(sqlx::raw_sql(PROOF)).await
    };
    in_time(Some(FIT_WITHIN), answer).await.map(|_| true)
}

/// SQLSTATE classes of errors after which a connection is closed, or in a transaction that nobody here has begun.
const BROKEN: [&str; 3] = ["08", "25", "57P"];

/// An error that the database told of one statement: the connection itself is whole.
fn leaves_whole(error: &Error) -> bool {
    let Error::Database(told) = error else { return false };
    told.code().is_none_or(|code| !BROKEN.iter().any(|class| code.starts_with(class)))
}

async fn in_time<T>(silence: Option<Duration>, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let Some(silence) = silence else { return answer.await };
    timeout(silence, answer).await.unwrap_or_else(|late| Err(Error::Io(late.into())))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use sqlx::error::{DatabaseError, ErrorKind};

    use super::*;

    /// What a database tells under this code.
    #[derive(Debug, thiserror::Error)]
    #[error("told")]
    struct Told(Option<&'static str>);

    impl DatabaseError for Told {
        fn message(&self) -> &'static str {
            "told"
        }

        fn code(&self) -> Option<Cow<'_, str>> {
            self.0.map(Cow::Borrowed)
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    #[test]
    fn only_a_connection_that_is_whole_is_kept() {
        for (code, is_whole) in [
            (None, true),
            (Some("23505"), true),
            (Some("57014"), true),
            (Some("2067"), true),
            (Some("25P02"), false),
            (Some("25P03"), false),
            (Some("57P01"), false),
            (Some("08006"), false),
        ] {
            assert_eq!(leaves_whole(&Error::Database(Box::new(Told(code)))), is_whole, "{code:?}");
        }
        assert!(!leaves_whole(&Error::PoolTimedOut));
    }
}
