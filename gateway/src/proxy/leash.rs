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
    /// Ties to a session; `None` if it is not alive any more.
    pub(super) fn tie(gateway: &Gateway, live: &Live) -> Option<Self> {
        let ticket = gateway.streams.open(live.standing());
        let (token, left) = (ticket.token(), live.session.expires_at.since(gateway.clock.now()));
        let pull = Box::pin(async move {
            let _ = tokio::time::timeout(left, token.cancelled()).await;
        });
        // After the ticket, and not before: a row that was applied before the stream was on the list has not cut it.
        gateway.guard.is_alive(live).then_some(Self { ticket, pull, is_pulled: false })
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

#[cfg(test)]
mod tests {
    use lockstep_shared::model::revocation::Scope;

    use super::*;
    use crate::testing::TestGateway;

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_tied_to_a_session_that_ended_since_the_decision() {
        let test = TestGateway::start("").await;
        let workspace = test.workspace("acme").await;
        let user = test.user(&workspace, "anna@acme.example").await;
        let (live, _) = test.sign_in(&workspace, &user).await;
        assert!(Leash::tie(&test.gateway, &live).is_some());

        test.end(&workspace, vec![Scope::User { id: user }]).await;

        assert!(Leash::tie(&test.gateway, &live).is_none());
        assert_eq!(test.gateway.streams.count(), 0);
        test.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_tied_without_a_lease() {
        let test = TestGateway::start("").await;
        let workspace = test.workspace("acme").await;
        let user = test.user(&workspace, "anna@acme.example").await;
        let (live, _) = test.sign_in(&workspace, &user).await;

        test.give_up_its_lease().await;

        assert!(Leash::tie(&test.gateway, &live).is_none());
        test.stop().await;
    }
}
