//! What ties everything that is under way for a session to that session: it is pulled when the session ends, when it runs out,
//! and when the lease is lost.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio_util::sync::CancellationToken;

use crate::{
    session::{live::Live, streams::Ticket},
    state::Gateway,
};

/// Ties what is under way to its session.
pub(super) struct Leash {
    ticket: Ticket,
    pull: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_pulled: bool,
}

impl Leash {
    /// Ties to a session. The caller asks afterwards whether it is still alive.
    pub(super) fn tie(gateway: &Gateway, live: &Live) -> Self {
        let ticket = gateway.streams.open(live.standing());
        let (token, left) = (ticket.token(), live.session.expires_at.since(gateway.clock.now()));
        let pull = Box::pin(async move {
            let _ = tokio::time::timeout(left, token.cancelled()).await;
        });
        Self { ticket, pull, is_pulled: false }
    }

    /// A token that is cancelled when the session ends or the lease is lost.
    pub(super) fn token(&self) -> CancellationToken {
        self.ticket.token()
    }

    /// Ready once it is pulled, from then on always.
    pub(super) fn poll_pulled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_pulled {
            ready!(self.pull.as_mut().poll(cx));
            self.is_pulled = true;
        }
        Poll::Ready(())
    }

    /// Returns when it is pulled.
    pub(super) async fn pulled(&mut self) {
        std::future::poll_fn(|cx| self.poll_pulled(cx)).await;
    }
}
