//! What a connection is waiting for, and until when it may. It decides nothing about requests; it only knows that a client
//! who sends nothing, sends slowly or reads nothing must not keep a connection.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::ServeOptions;

/// How long a drain waits for the first byte of a connection: who has just connected sends in a moment, and it may have been sent
/// already without the reactor having said so.
const FIRST_BYTE_IN_DRAIN: Duration = Duration::from_millis(500);

/// What a connection without a running request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The first byte.
    FirstByte,
    /// The rest of a request's head.
    Head,
    /// The next request.
    Next,
}

#[derive(Debug)]
struct State {
    waiting: Waiting,
    since: Instant,
    running: usize,
    is_http2: bool,
    unwritten_since: Option<Instant>,
}

/// When a connection's patience ends, and what is to be done then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deadline {
    /// The client owes us something: close.
    Overdue(Instant),
    /// Nothing happens: part in friendship.
    Idle(Instant),
}

/// The state of one connection, shared by its socket, its requests and its supervisor.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    supervisor: AtomicWaker,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        let state =
            State { waiting: Waiting::FirstByte, since: Instant::now(), running: 0, is_http2: false, unwritten_since: None };
        Arc::new(Self { state: Mutex::new(state), supervisor: AtomicWaker::new() })
    }

    /// The supervisor asks to be woken when a request ends in another task.
    pub(super) fn watch(&self, waker: &std::task::Waker) {
        self.supervisor.register(waker);
    }

    /// Bytes came in. On HTTP/2, after the first request, they may be of any frame: only the idle deadline counts then.
    pub(super) fn received(&self) {
        let mut state = self.state();
        let begins = match state.waiting {
            Waiting::FirstByte => true,
            Waiting::Next => !state.is_http2,
            Waiting::Head => false,
        };
        if begins && state.running == 0 {
            state.waiting = Waiting::Head;
            state.since = Instant::now();
        }
    }

    /// The client took bytes, or there are none to take.
    pub(super) fn written(&self) {
        self.state().unwritten_since = None;
    }

    /// The client takes no bytes.
    pub(super) fn unwritten(&self) {
        self.state().unwritten_since.get_or_insert_with(Instant::now);
    }

    /// A request's head is complete; the request runs until the answer is sent and the guard dropped.
    pub(super) fn begin(self: &Arc<Self>, is_http2: bool) -> Running {
        let mut state = self.state();
        state.running += 1;
        state.is_http2 |= is_http2;
        Running(Arc::clone(self))
    }

    /// Whether closing now would lose no request: none has arrived in part, and the client is not about to send its first.
    pub(super) fn may_close(&self) -> bool {
        let state = self.state();
        state.running > 0 || state.waiting == Waiting::Next
    }

    pub(super) fn deadline(&self, options: &ServeOptions, drains_since: Option<Instant>) -> Option<Deadline> {
        let state = self.state();
        let unread = state.unwritten_since.map(|since| Deadline::Overdue(since + options.write_stall));
        if state.running > 0 {
            return unread;
        }
        unread.or(Some(match state.waiting {
            Waiting::FirstByte => {
                let at = state.since + options.first_byte;
                Deadline::Overdue(drains_since.map_or(at, |since| at.min(since + FIRST_BYTE_IN_DRAIN)))
            }
            Waiting::Head => Deadline::Overdue(state.since + options.head),
            Waiting::Next => Deadline::Idle(state.since + options.idle),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that runs, until it is dropped.
#[derive(Debug)]
pub(super) struct Running(Arc<Activity>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running = state.running.saturating_sub(1);
        if state.running == 0 {
            state.waiting = Waiting::Next;
            state.since = Instant::now();
        }
        drop(state);
        self.0.supervisor.wake();
    }
}
