//! The bodies of both directions: a request's must arrive at some pace, an answer's tells when it has been sent.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::activity::Running;

/// The client sends its request's body too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the request's body arrives too slowly")]
struct TooSlow;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request's body of which at least `minimum` bytes must arrive in each `window` spent waiting for it. Time in which
/// nobody reads it does not count: a slow handler is not the client's fault.
pub(super) struct Paced {
    inner: Incoming,
    window: Duration,
    minimum: u64,
    received: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    pub(super) fn new(inner: Incoming, window: Duration, minimum: u64) -> Self {
        Self { inner, window, minimum, received: 0, waited: Duration::ZERO, waiting_since: None, timer: None }
    }

    /// Adds the wait that has just ended, and judges the window if it is full.
    fn judge(&mut self) -> Result<(), TooSlow> {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        if self.waited < self.window {
            return Ok(());
        }
        let is_enough = self.received >= self.minimum;
        self.waited = Duration::ZERO;
        self.received = 0;
        if is_enough { Ok(()) } else { Err(TooSlow) }
    }

    fn poll_window(&mut self, cx: &mut Context<'_>) -> Poll<TooSlow> {
        loop {
            let now = Instant::now();
            let since = *self.waiting_since.get_or_insert(now);
            let full = since + self.window.saturating_sub(self.waited);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(full)));
            if timer.deadline() != full {
                timer.as_mut().reset(full);
            }
            ready!(timer.as_mut().poll(cx));
            if let Err(slow) = self.judge() {
                return Poll::Ready(slow);
            }
        }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
                this.received = this.received.saturating_add(length);
                Poll::Ready(Some(this.judge().map(|()| frame).map_err(Into::into)))
            }
            Poll::Ready(end) => Poll::Ready(end.map(|result| result.map_err(Into::into))),
            Poll::Pending => this.poll_window(cx).map(|slow| Some(Err(slow.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body that holds its request open until it is sent or given up.
pub(super) struct Answer {
    inner: Body,
    _running: Running,
}

impl Answer {
    pub(super) fn new(inner: Body, running: Running) -> Self {
        Self { inner, _running: running }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The body as the router takes it; without a wrapper where there is nothing to wait for.
pub(super) fn incoming(body: Incoming, window: Duration, minimum: u64) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(Paced::new(body, window, minimum)) }
}
