//! Answers that are still being sent: each is cut when its session ends, and all of them when the lease is lost. One that rests on
//! what apps see of the person is held when that changes, and goes on only if the person is let in again. All of it is done before the
//! change is acknowledged.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use lockstep_shared::{
    id::{Generation, SessionId, WorkspaceId},
    model::revocation::Seq,
    telemetry::Meters,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::watermarks::{ScopeKey, Verdict, Watermarks};
use crate::apps::App;

/// By what a stream's session is judged.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The log's incarnation when the session was made.
    pub generation: Generation,
    /// The head of the log before the sign-in.
    pub mint_seq: Seq,
    /// Everything that names the session.
    pub keys: Arc<[ScopeKey]>,
    /// What it rests on besides; without it, what only changed goes on.
    pub terms: Option<Terms>,
}

/// What a stream rests on besides its session: that the person as they are now may use the app.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The app.
    pub app: Arc<App>,
    /// The session's workspace.
    pub workspace: WorkspaceId,
    /// The session.
    pub session: SessionId,
    /// The head of the log when the person was read who was let in.
    pub attr_seq: Seq,
}

#[derive(Debug)]
struct Stream {
    standing: Standing,
    cut: CancellationToken,
    held: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    streams: HashMap<u64, Stream>,
    /// Held, and not yet given to be judged again.
    to_judge: Vec<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    open: Mutex<Open>,
    some_held: Notify,
    meters: Meters,
}

/// The open streams of this gateway. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Streams(Arc<Inner>);

/// A stream that waits to be judged again.
#[derive(Debug)]
pub struct Held {
    /// Its place on the list.
    pub number: u64,
    /// What it rests on.
    pub terms: Terms,
}

/// Holds a stream's place; dropping it takes the stream off the list.
#[derive(Debug)]
pub struct Ticket {
    streams: Streams,
    number: u64,
    cut: CancellationToken,
    held: watch::Receiver<bool>,
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

    /// Whether no byte may pass for now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Returns when the stream may go on or has to end.
    pub async fn judged(&self) {
        let mut held = self.held.clone();
        tokio::select! {
            () = self.cut.cancelled() => {}
            _ = held.wait_for(|held| !held) => {}
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.streams.with(|open| open.streams.remove(&self.number));
        self.streams.0.meters.stream_over();
    }
}

impl Streams {
    /// None yet; they are counted here.
    #[must_use]
    pub fn new(meters: Meters) -> Self {
        Self(Arc::new(Inner { meters, ..Inner::default() }))
    }

    /// Puts a stream on the list. The caller judges its session again *after* this: a row that was applied before has not cut it.
    #[must_use]
    pub fn open(&self, standing: Standing) -> Ticket {
        let (cut, (held, is_held)) = (CancellationToken::new(), watch::channel(false));
        let stream = Stream { standing, cut: cut.clone(), held };
        let number = self.with(|open| {
            open.next += 1;
            open.streams.insert(open.next, stream);
            open.next
        });
        self.0.meters.stream_opened();
        Ticket { streams: self.clone(), number, cut, held: is_held }
    }

    /// Cuts the streams whose sessions have ended, and holds those that rest on what has changed. Only then may what was applied be
    /// acknowledged.
    pub fn heed(&self, marks: &Watermarks) {
        let holds = self.with(|open| {
            for (number, stream) in &open.streams {
                match stream.verdict(marks) {
                    Verdict::Alive => {}
                    Verdict::Ended => stream.end(&self.0.meters),
                    Verdict::Stale => {
                        if !stream.held.send_replace(true) {
                            self.0.meters.stream_held();
                            open.to_judge.push(*number);
                        }
                    }
                }
            }
            !open.to_judge.is_empty()
        });
        if holds {
            self.0.some_held.notify_one();
        }
    }

    /// Returns the streams that were held since the last time, as soon as there are any.
    pub async fn held(&self) -> Vec<Held> {
        loop {
            let held = self.with(|open| {
                let numbers = std::mem::take(&mut open.to_judge);
                let of_one = |number: u64| Some(Held { number, terms: open.streams.get(&number)?.standing.terms.clone()? });
                numbers.into_iter().filter_map(of_one).collect::<Vec<_>>()
            });
            if !held.is_empty() {
                return held;
            }
            self.0.some_held.notified().await;
        }
    }

    /// Lets a held stream go on whose person was read at this place and let in; `false` if something newer has come in between.
    #[must_use]
    pub fn resume(&self, number: u64, attr_seq: Seq, marks: &Watermarks) -> bool {
        self.with(|open| {
            let Some(stream) = open.streams.get_mut(&number) else { return true };
            if let Some(terms) = &mut stream.standing.terms {
                terms.attr_seq = attr_seq;
            }
            // What is applied after this finds the stream flowing, and holds it before that is acknowledged.
            let is_good = stream.verdict(marks) == Verdict::Alive;
            if is_good {
                stream.held.send_replace(false);
            }
            is_good
        })
    }

    /// Cuts one stream.
    pub fn cut(&self, number: u64) {
        self.with(|open| open.streams.get(&number).inspect(|stream| stream.end(&self.0.meters)).is_some());
    }

    /// Cuts every stream.
    pub fn cut_all(&self) {
        self.with(|open| open.streams.values().for_each(|stream| stream.end(&self.0.meters)));
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.with(|open| open.streams.len())
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Open) -> T) -> T {
        use_it(&mut self.0.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Stream {
    /// Cuts it, and counts that once.
    fn end(&self, meters: &Meters) {
        if !self.cut.is_cancelled() {
            meters.stream_cut();
        }
        self.cut.cancel();
    }

    fn verdict(&self, marks: &Watermarks) -> Verdict {
        let Standing { generation, mint_seq, keys, terms } = &self.standing;
        let attr_seq = terms.as_ref().map_or(Seq(i64::MAX), |terms| terms.attr_seq);
        marks.verdict(generation, *mint_seq, attr_seq, keys)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lockstep_shared::{
        clock::Timestamp,
        config::{Config, PublicUrl},
        id::UserId,
        model::revocation::{Head, Revocation, RevocationKind, Scope},
    };

    use super::*;
    use crate::apps::Apps;

    const WITHIN: Duration = Duration::from_secs(5);

    async fn held(streams: &Streams) -> Vec<Held> {
        tokio::time::timeout(WITHIN, streams.held()).await.expect("nothing is held")
    }

    fn acme() -> WorkspaceId {
        WorkspaceId::parse("acme").unwrap()
    }

    /// A stream of a session of this user, which rests on the person or does not.
    fn standing(marks: &Watermarks, head: &Head, user: &UserId, rests: bool) -> Standing {
        let config = Config::from_toml("[[apps]]\nhosts = [\"a.example\"]\nroles = [\"admin\"]\n").unwrap();
        let apps = Apps::new(&config.apps, &PublicUrl::parse("https://login.example.com").unwrap());
        let terms = Terms {
            app: apps.of(&"a.example".parse().unwrap()).unwrap().clone(),
            workspace: acme(),
            session: SessionId::of_secret(&[1; 32]),
            attr_seq: Seq(0),
        };
        let keys = [marks.key(Some(&acme()), &Scope::User { id: user.clone() })].into();
        Standing { generation: head.generation.clone(), mint_seq: Seq(0), keys, terms: rests.then_some(terms) }
    }

    fn changed(head: &Head, seq: i64, user: &UserId) -> Revocation {
        Revocation {
            generation: head.generation.clone(),
            seq: Seq(seq),
            tag: format!("t{seq}"),
            workspace: Some(acme()),
            kind: RevocationKind::Changed,
            scopes: vec![Scope::User { id: user.clone() }],
            reason: "test".into(),
            at: Timestamp(0),
        }
    }

    #[tokio::test]
    async fn what_rests_on_a_changed_person_is_held_until_it_is_judged_at_a_later_place() {
        let head = Head { generation: Generation::random(), seq: Seq(0), tag: String::new(), floor: Seq(0) };
        let (marks, streams, user) = (Watermarks::default(), Streams::default(), UserId::new());
        marks.begin(&head);
        let rests = streams.open(standing(&marks, &head, &user, true));
        let does_not = streams.open(standing(&marks, &head, &user, false));
        let another = streams.open(standing(&marks, &head, &UserId::new(), true));

        marks.apply(&changed(&head, 1, &user));
        streams.heed(&marks);
        streams.heed(&marks);

        assert_eq!([&rests, &does_not, &another].map(Ticket::is_held), [true, false, false]);
        let waiting = held(&streams).await;
        assert_eq!(waiting.len(), 1, "given to be judged once");
        marks.apply(&changed(&head, 2, &user));
        assert!(!streams.resume(waiting[0].number, Seq(1), &marks), "something newer has come");
        assert!(rests.is_held());
        assert!(streams.resume(waiting[0].number, Seq(2), &marks));
        assert!(!rests.is_held());
        marks.apply(&changed(&head, 3, &user));
        streams.heed(&marks);
        assert!(rests.is_held(), "and again");
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_both_ends_of_a_hold() {
        let head = Head { generation: Generation::random(), seq: Seq(0), tag: String::new(), floor: Seq(0) };
        let (marks, streams, user) = (Watermarks::default(), Streams::default(), UserId::new());
        marks.begin(&head);
        let tickets = [true, true].map(|rests| streams.open(standing(&marks, &head, &user, rests)));
        marks.apply(&changed(&head, 1, &user));
        streams.heed(&marks);
        let mut numbers: Vec<u64> = held(&streams).await.into_iter().map(|held| held.number).collect();
        numbers.sort_unstable();

        assert!(streams.resume(numbers[0], Seq(1), &marks));
        streams.cut(numbers[1]);

        for ticket in &tickets {
            tokio::time::timeout(WITHIN, ticket.judged()).await.unwrap();
        }
        assert_eq!(tickets.map(|ticket| ticket.token().is_cancelled()), [false, true]);
    }
}
