//! What ties everything that is under way for a session to that session: it is pulled when the session ends, when it runs out,
//! and when the lease is lost. It is held while the person is judged again.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use crate::{
    apps::App,
    session::{live::Live, streams::Ticket, watermarks::Verdict},
    state::Gateway,
};

/// Why nothing is tied to a session that had passed the decision a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loose {
    /// The person has changed: decide again.
    Changed,
    /// The session has ended, or the lease is gone.
    Ended,
}

/// Through which bytes pass, one piece after the other; it is closed while the stream is held. The stream is on the list for as long
/// as one of its gates is there.
pub(super) struct Gate {
    ticket: Arc<Ticket>,
    judged: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Gate {
    pub(super) fn new(ticket: Arc<Ticket>) -> Self {
        Self { ticket, judged: None }
    }

    /// Ready with whether a piece may pass: `false` if the stream was cut.
    pub(super) fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            if self.ticket.token().is_cancelled() {
                return Poll::Ready(false);
            }
            if !self.ticket.is_held() {
                self.judged = None;
                return Poll::Ready(true);
            }
            let ticket = self.ticket.clone();
            let judged = self.judged.get_or_insert_with(|| Box::pin(async move { ticket.judged().await }));
            ready!(judged.as_mut().poll(cx));
            self.judged = None;
        }
    }
}

/// Ties what is under way to its session.
pub(super) struct Leash {
    gate: Gate,
    pull: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_pulled: bool,
}

impl Leash {
    /// Ties what comes from this app to a session that has just been let in.
    pub(super) fn tie(gateway: &Gateway, app: &Arc<App>, live: &Live) -> Result<Self, Loose> {
        let standing = live.standing(app);
        let rests_on_person = standing.terms.is_some();
        let ticket = gateway.streams.open(standing);
        let (token, left) = (ticket.token(), live.session.expires_at.since(gateway.clock.now()));
        let pull = Box::pin(async move {
            let _ = tokio::time::timeout(left, token.cancelled()).await;
        });
        // After the ticket, and not before: a row that was applied before the stream was on the list has neither cut nor held it.
        match gateway.guard.glance(live) {
            Some(Verdict::Stale) if rests_on_person => Err(Loose::Changed),
            Some(Verdict::Alive | Verdict::Stale) => Ok(Self { gate: Gate::new(Arc::new(ticket)), pull, is_pulled: false }),
            Some(Verdict::Ended) | None => Err(Loose::Ended),
        }
    }

    /// A gate for the other direction.
    pub(super) fn gate(&self) -> Gate {
        Gate::new(self.gate.ticket.clone())
    }

    /// Ready with whether a piece may pass: `false` once it is pulled.
    pub(super) fn poll_pass(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.poll_pulled(cx).is_ready() { Poll::Ready(false) } else { self.gate.poll_pass(cx) }
    }

    /// Returns whether a piece may pass, when the stream is not held any more.
    pub(super) async fn lets_pass(&mut self) -> bool {
        std::future::poll_fn(|cx| self.poll_pass(cx)).await
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

    fn app(test: &TestGateway) -> Arc<App> {
        test.gateway.apps.of(&"login.example.com".parse().unwrap()).unwrap().clone()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_tied_to_a_session_that_ended_since_the_decision() {
        let test = TestGateway::start("").await;
        let workspace = test.workspace("acme").await;
        let user = test.user(&workspace, "anna@acme.example").await;
        let (live, _) = test.sign_in(&workspace, &user).await;
        assert!(Leash::tie(&test.gateway, &app(&test), &live).is_ok());

        test.end(&workspace, vec![Scope::User { id: user }]).await;

        assert_eq!(Leash::tie(&test.gateway, &app(&test), &live).err(), Some(Loose::Ended));
        assert_eq!(test.gateway.streams.count(), 0);
        test.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whoever_lost_a_role_since_the_decision_is_decided_about_again() {
        let asking = "[[apps]]\nhosts = [\"login.example.com\"]\nroles = [\"admin\"]\n[[apps]]\nhosts = [\"open.example.com\"]\n";
        let test = TestGateway::start(asking).await;
        let workspace = test.workspace("acme").await;
        let user = test.user(&workspace, "anna@acme.example").await;
        let admins = test.grant(&workspace, "admin", &[&user]).await;
        let (live, _) = test.sign_in(&workspace, &user).await;
        assert!(Leash::tie(&test.gateway, &app(&test), &live).is_ok());

        test.take_out(&workspace, &admins, &[&user]).await;

        assert_eq!(Leash::tie(&test.gateway, &app(&test), &live).err(), Some(Loose::Changed));
        let open = test.gateway.apps.of(&"open.example.com".parse().unwrap()).unwrap();
        assert!(Leash::tie(&test.gateway, open, &live).is_ok(), "an app that asks for no role");
        test.stop().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_tied_without_a_lease() {
        let test = TestGateway::start("").await;
        let workspace = test.workspace("acme").await;
        let user = test.user(&workspace, "anna@acme.example").await;
        let (live, _) = test.sign_in(&workspace, &user).await;

        test.give_up_its_lease().await;

        assert_eq!(Leash::tie(&test.gateway, &app(&test), &live).err(), Some(Loose::Ended));
        test.stop().await;
    }
}
