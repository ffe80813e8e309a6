//! The bodies of both directions. They pass frame by frame, so whoever reads slowly slows whoever writes; they drop trailers,
//! which nobody has checked; and they break off when their session ends: broken off is not the same as complete. While it is judged again
//! they wait.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::Notify;

use super::leash::{Gate, Leash};

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

/// A frame, or why there is none.
type Piece = Result<Frame<Bytes>, BrokeOff>;

/// What was read of a body and has not passed yet.
enum Kept {
    Nothing,
    Piece(Piece),
    End,
}

impl Kept {
    fn of(read: Option<Piece>) -> Self {
        read.map_or(Self::End, Self::Piece)
    }

    /// Gives it out, if there is something.
    fn take(&mut self) -> Poll<Option<Piece>> {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => Poll::Pending,
            Self::Piece(piece) => Poll::Ready(Some(piece)),
            Self::End => Poll::Ready(None),
        }
    }
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
    gate: Gate,
    kept: Kept,
}

impl Upload {
    pub(super) fn new(inner: Body, gate: Gate) -> (Self, Progress) {
        let progress = Progress::default();
        (Self { inner, progress: progress.clone(), gate, kept: Kept::Nothing }, progress)
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let this = self.get_mut();
        loop {
            // After the reading too, so that nothing passes that came while the session ended.
            if !ready!(this.gate.poll_pass(cx)) {
                return Poll::Ready(Some(Err(BrokeOff::Cut)));
            }
            if let kept @ Poll::Ready(_) = this.kept.take() {
                return kept;
            }
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
            this.progress.0.notify_one();
            match frame {
                Some(Ok(frame)) if frame.is_trailers() => {}
                other => this.kept = Kept::of(other.map(|frame| frame.map_err(BrokeOff::Client))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kept, Kept::Nothing) && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body on its way to the client.
pub(super) struct Download {
    inner: Incoming,
    leash: Leash,
    kept: Kept,
}

impl Download {
    pub(super) fn new(inner: Incoming, leash: Leash) -> Self {
        Self { inner, leash, kept: Kept::Nothing }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let this = self.get_mut();
        loop {
            if !ready!(this.leash.poll_pass(cx)) {
                return Poll::Ready(Some(Err(BrokeOff::Cut)));
            }
            if let kept @ Poll::Ready(_) = this.kept.take() {
                return kept;
            }
            match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                Some(Ok(frame)) if frame.is_trailers() => {}
                other => this.kept = Kept::of(other.map(|frame| frame.map_err(BrokeOff::Upstream))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kept, Kept::Nothing) && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;
    use lockstep_shared::{
        clock::Timestamp,
        config::{Config, PublicUrl},
        id::{Generation, SessionId, UserId, WorkspaceId},
        model::revocation::{Head, Revocation, RevocationKind, Scope, Seq},
    };

    use super::*;
    use crate::{
        apps::Apps,
        session::{
            streams::{Standing, Streams, Terms},
            watermarks::Watermarks,
        },
    };

    #[tokio::test]
    async fn not_a_byte_of_an_upload_passes_while_its_person_is_judged_again() {
        let head = Head { generation: Generation::random(), seq: Seq(0), tag: String::new(), floor: Seq(0) };
        let (marks, streams, user) = (Watermarks::default(), Streams::default(), Scope::User { id: UserId::new() });
        marks.begin(&head);
        let standing = |terms| Standing {
            generation: head.generation.clone(),
            mint_seq: Seq(0),
            keys: [marks.key(None, &user)].into(),
            terms: Some(terms),
        };
        let config = Config::from_toml("[[apps]]\nhosts = [\"a.example\"]\n").unwrap();
        let apps = Apps::new(&config.apps, &PublicUrl::parse("https://login.example.com").unwrap());
        let ticket = Arc::new(streams.open(standing(Terms {
            app: apps.of(&"a.example".parse().unwrap()).unwrap().clone(),
            workspace: WorkspaceId::parse("acme").unwrap(),
            session: SessionId::of_secret(&[1; 32]),
            attr_seq: Seq(0),
        })));
        let pieces = futures_util::stream::iter(["first", "second"].map(Ok::<_, std::convert::Infallible>));
        let (mut upload, _) = Upload::new(Body::from_stream(pieces), Gate::new(ticket));
        assert_eq!(upload.frame().await.unwrap().unwrap().into_data().unwrap(), "first");

        let (generation, seq, tag, at) = (head.generation.clone(), Seq(1), "t".to_owned(), Timestamp(0));
        let (kind, scopes, reason) = (RevocationKind::Changed, vec![user.clone()], "test".to_owned());
        marks.apply(&Revocation { generation, seq, tag, workspace: None, kind, scopes, reason, at });
        streams.heed(&marks);

        assert!(upload.frame().now_or_never().is_none(), "held");
        let waiting = streams.held().await;
        assert!(streams.resume(waiting[0].number, Seq(1), &marks));
        assert_eq!(upload.frame().await.unwrap().unwrap().into_data().unwrap(), "second");
    }

    #[tokio::test]
    async fn not_a_byte_of_an_upload_passes_after_its_session_has_ended() {
        let standing = Standing { generation: Generation::random(), mint_seq: Seq(0), keys: [].into(), terms: None };
        let ticket = Arc::new(Streams::default().open(standing));
        let pieces = futures_util::stream::iter(["first", "second"].map(Ok::<_, std::convert::Infallible>));
        let (mut upload, _) = Upload::new(Body::from_stream(pieces), Gate::new(ticket.clone()));
        assert_eq!(upload.frame().await.unwrap().unwrap().into_data().unwrap(), "first");

        ticket.token().cancel();

        assert!(matches!(upload.frame().await, Some(Err(BrokeOff::Cut))));
    }
}
