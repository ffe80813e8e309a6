//! Reads that several ask for at the same moment. A provider that sends many requests at once presents one credential with all of
//! them: whoever asks while the same is being asked waits for the next answer and shares it. An answer is only ever given to those
//! who had come before its question was put, so nobody is told what was true before they asked.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::task::yield_now;

use super::StoreError;

/// The questions that are open, by what they are about.
pub(super) struct SharedReads<K, V> {
    open: Mutex<HashMap<K, Arc<Question<V>>>>,
}

struct Question<V> {
    /// How many times it was put.
    puts: AtomicU64,
    /// Held by the one whose question is with the database.
    answered: tokio::sync::Mutex<Answered<V>>,
}

/// The outcome of the put of this number: an answer, or none, since it failed.
struct Answered<V> {
    put: u64,
    answer: Option<V>,
}

/// What is asked about may be a secret's digest.
impl<K, V> fmt::Debug for SharedReads<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedReads").finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash, V: Clone> SharedReads<K, V> {
    pub(super) fn new() -> Self {
        Self { open: Mutex::default() }
    }

    /// The answer to the question about `key`, which everybody who asks about it would put alike. What failed is not shared: each
    /// of those who waited for it puts the question alone, and hears its own error.
    pub(super) async fn ask(&self, key: K, question: impl Future<Output = Result<V, StoreError>>) -> Result<V, StoreError> {
        let seat = self.sit(key);
        let before = seat.puts.load(Ordering::SeqCst);
        let mut answered = seat.answered.lock().await;
        if answered.put > before {
            match &answered.answer {
                Some(answer) => return Ok(answer.clone()),
                None => drop(answered),
            }
            return question.await;
        }
        // Whoever is ready to ask by now comes before the question is put, too.
        yield_now().await;
        let put = seat.puts.fetch_add(1, Ordering::SeqCst) + 1;
        let outcome = question.await;
        *answered = Answered { put, answer: outcome.as_ref().ok().cloned() };
        outcome
    }

    fn sit(&self, key: K) -> Seat<'_, K, V> {
        let question = self.open().entry(key.clone()).or_insert_with(|| Arc::new(Question::new())).clone();
        Seat { reads: self, key, question }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<K, Arc<Question<V>>>> {
        // Every change is a single insertion or removal, so what a panic has left behind is whole.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Question<V> {
    fn new() -> Self {
        Self { puts: AtomicU64::new(0), answered: tokio::sync::Mutex::new(Answered { put: 0, answer: None }) }
    }
}

/// A place among those who ask the same. The last to leave closes the question, and its answer is forgotten.
struct Seat<'r, K: Clone + Eq + Hash, V: Clone> {
    reads: &'r SharedReads<K, V>,
    key: K,
    question: Arc<Question<V>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Deref for Seat<'_, K, V> {
    type Target = Question<V>;

    fn deref(&self) -> &Question<V> {
        &self.question
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Drop for Seat<'_, K, V> {
    fn drop(&mut self) {
        let mut open = self.reads.open();
        // The map's and ours: others are given out under this lock alone.
        if Arc::strong_count(&self.question) == 2 {
            open.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::pending, sync::atomic::AtomicUsize};

    use futures_util::{FutureExt as _, future::join_all};
    use tokio::sync::{Notify, Semaphore};

    use super::*;

    /// A database that answers, when it is let, with how often it was asked.
    struct Database {
        asked: AtomicUsize,
        let_go: Semaphore,
        heard: Notify,
    }

    impl Database {
        fn new() -> Self {
            Self { asked: AtomicUsize::new(0), let_go: Semaphore::new(0), heard: Notify::new() }
        }

        async fn question(&self) -> Result<usize, StoreError> {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            self.heard.notify_one();
            self.let_go.acquire().await.unwrap().forget();
            Ok(number)
        }
    }

    #[tokio::test]
    async fn whoever_comes_while_it_is_asked_shares_the_next_answer_and_never_that_one() {
        let (reads, database) = (SharedReads::new(), Database::new());
        let first = reads.ask("key", database.question());
        let late = async {
            database.heard.notified().await;
            let late = (0..7).map(|_| reads.ask("key", database.question()));
            database.let_go.add_permits(9);
            join_all(late).await
        };

        let (first, late) = tokio::join!(first, late);

        assert_eq!(first.unwrap(), 1);
        assert!(late.into_iter().all(|answer| answer.unwrap() == 2), "asked before they came");
        assert_eq!(database.asked.load(Ordering::SeqCst), 2);
        assert!(reads.open().is_empty(), "nothing is kept for later");
    }

    #[tokio::test]
    async fn what_is_asked_about_others_does_not_wait() {
        let (reads, database) = (SharedReads::new(), Database::new());
        let mut stuck = Box::pin(reads.ask("one", pending()));
        assert!((&mut stuck).now_or_never().is_none());
        database.let_go.add_permits(1);

        assert_eq!(reads.ask("other", database.question()).await.unwrap(), 1);
        drop(stuck);
        assert!(reads.open().is_empty());
    }

    #[tokio::test]
    async fn one_who_goes_away_keeps_nobody() {
        let (reads, database) = (SharedReads::new(), Database::new());
        let mut gone = Box::pin(reads.ask("key", pending()));
        assert!((&mut gone).now_or_never().is_none());
        let mut waits = Box::pin(reads.ask("key", database.question()));
        assert!((&mut waits).now_or_never().is_none());

        drop(gone);
        database.let_go.add_permits(1);

        assert_eq!(waits.await.unwrap(), 1);
        assert!(reads.open().is_empty());
    }

    #[tokio::test]
    async fn a_failure_is_nobody_elses() {
        let (reads, database) = (SharedReads::new(), Database::new());
        let fails = async {
            database.heard.notified().await;
            Err::<usize, _>(StoreError::NotFound("answer"))
        };
        let mut first = Box::pin(reads.ask("key", database.question()));
        assert!((&mut first).now_or_never().is_none());
        let (fails, waits) = (reads.ask("key", fails), reads.ask("key", database.question()));
        database.let_go.add_permits(2);

        let (first, fails, waits) = tokio::join!(first, fails, waits);

        assert_eq!((first.unwrap(), waits.unwrap()), (1, 2));
        assert!(matches!(fails, Err(StoreError::NotFound("answer"))));
    }
}
