//! Answers that are still being sent: each is cut when its session ends, and all of them when the lease is lost. A session that
//! has ended is cut before its end is acknowledged.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use lockstep_shared::{id::Generation, model::revocation::Seq};
use tokio_util::sync::CancellationToken;

use super::watermarks::{ScopeKey, Verdict, Watermarks};

/// By what a stream's session is judged.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The log's incarnation when the session was made.
    pub generation: Generation,
    /// The head of the log before the sign-in.
    pub mint_seq: Seq,
    /// Everything that names the session.
    pub keys: Arc<[ScopeKey]>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    streams: HashMap<u64, (Standing, CancellationToken)>,
}

/// The open streams of this gateway. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Streams(Arc<Mutex<Open>>);

/// Holds a stream's place; dropping it takes the stream off the list.
#[derive(Debug)]
pub struct Ticket {
    streams: Streams,
    number: u64,
    cut: CancellationToken,
}

impl Ticket {
    /// Returns when the stream has to end now.
    pub async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// A token that is cancelled when the stream has to end.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.cut.clone()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.streams.with(|open| open.streams.remove(&self.number));
    }
}

impl Streams {
    /// Puts a stream on the list. The caller judges its session again *after* this: a row that was applied before has not cut it.
    #[must_use]
    pub fn open(&self, standing: Standing) -> Ticket {
        let cut = CancellationToken::new();
        let number = self.with(|open| {
            open.next += 1;
            open.streams.insert(open.next, (standing, cut.clone()));
            open.next
        });
        Ticket { streams: self.clone(), number, cut }
    }

    /// Cuts the streams whose sessions have ended.
    pub fn cut_ended(&self, marks: &Watermarks) {
        self.with(|open| {
            for (standing, cut) in open.streams.values() {
                // Attributes do not matter here: what only changed goes on.
                let verdict = marks.verdict(&standing.generation, standing.mint_seq, Seq(i64::MAX), &standing.keys);
                if verdict == Verdict::Ended {
                    cut.cancel();
                }
            }
        });
    }

    /// Cuts every stream.
    pub fn cut_all(&self) {
        self.with(|open| open.streams.values().for_each(|(_, cut)| cut.cancel()));
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.with(|open| open.streams.len())
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Open) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
