//! The bodies of both directions. They pass frame by frame, so whoever reads slowly slows whoever writes; they drop trailers,
//! which nobody has checked; and they break off when their session ends: broken off is not the same as complete.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::leash::Leash;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokeOff {
    /// Its session has ended.
    #[error("the session has ended")]
    Cut,
    /// The client's body broke off, or arrived too slowly.
    #[error("the client's body broke off")]
    Client(#[source] axum::Error),
    /// The upstream's body broke off.
    #[error("the upstream's body broke off")]
    Upstream(#[source] hyper::Error),
}

/// Tells that a piece of an upload has been taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<Notify>);

impl Progress {
    /// Returns when a piece has been taken since the last time.
    pub(super) async fn made(&self) {
        self.0.notified().await;
    }
}

/// A request's body on its way to the upstream.
pub(super) struct Upload {
    inner: Body,
    progress: Progress,
    cut: CancellationToken,
}

impl Upload {
    pub(super) fn new(inner: Body, cut: CancellationToken) -> (Self, Progress) {
        let progress = Progress::default();
        (Self { inner, progress: progress.clone(), cut }, progress)
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let this = self.get_mut();
        loop {
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
            this.progress.0.notify_one();
            match frame {
                // After the reading, so that nothing passes that came while the session ended.
                _ if this.cut.is_cancelled() => return Poll::Ready(Some(Err(BrokeOff::Cut))),
                Some(Ok(frame)) if frame.is_trailers() => {}
                other => return Poll::Ready(other.map(|frame| frame.map_err(BrokeOff::Client))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body on its way to the client.
pub(super) struct Download {
    inner: Incoming,
    leash: Leash,
}

impl Download {
    pub(super) fn new(inner: Incoming, leash: Leash) -> Self {
        Self { inner, leash }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let this = self.get_mut();
        if this.leash.poll_pulled(cx).is_ready() {
            return Poll::Ready(Some(Err(BrokeOff::Cut)));
        }
        loop {
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) if frame.is_trailers() => {}
                other => return Poll::Ready(other.map(|frame| frame.map_err(BrokeOff::Upstream))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn not_a_byte_of_an_upload_passes_after_its_session_has_ended() {
        let cut = CancellationToken::new();
        let pieces = futures_util::stream::iter(["first", "second"].map(Ok::<_, std::convert::Infallible>));
        let (mut upload, _) = Upload::new(Body::from_stream(pieces), cut.clone());
        assert_eq!(upload.frame().await.unwrap().unwrap().into_data().unwrap(), "first");

        cut.cancel();

        assert!(matches!(upload.frame().await, Some(Err(BrokeOff::Cut))));
    }
}
