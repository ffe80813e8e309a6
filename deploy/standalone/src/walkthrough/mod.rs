//! The whole story by itself, over real HTTP: a company's people are provisioned, one signs in and reaches the app, is switched
//! off and is out. Each step checks what it claims, and the first that does not hold ends the story.

mod browser;
mod report;
mod story;

use std::{
    future::Future,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

pub use self::report::{Failure, Report, Step};
use self::story::Story;
use crate::demo::{Demo, DemoError, Ports};

/// Why a step does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The demo did not start, or did not end well.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// No answer.
    #[error("no answer: {0}")]
    Http(#[from] reqwest::Error),
    /// The demo's directory did not do it.
    #[error(transparent)]
    Directory(#[from] lockstep_demo_idp::DirectoryError),
    /// A redirect, or a page, led away from this machine.
    #[error("was sent to another machine: {0}")]
    Elsewhere(String),
    /// Redirects without an end.
    #[error("the redirects never end")]
    RedirectLoop,
    /// An address is none; a bug.
    #[error(transparent)]
    Url(#[from] url::ParseError),
    /// A SCIM request was not confirmed.
    #[error("the provisioner did not confirm: {0}")]
    NotConfirmed(String),
    /// It was otherwise than it has to be.
    #[error("expected {expected}, but found {found}")]
    Otherwise {
        /// What has to be.
        expected: &'static str,
        /// What was.
        found: String,
    },
}

impl Why {
    fn otherwise(expected: &'static str, found: impl Into<String>) -> Self {
        Self::Otherwise { expected, found: found.into() }
    }
}

/// Tells the whole story on free ports; each step is told to `tell` as soon as it held.
pub async fn walk(stop: CancellationToken, tell: impl FnMut(&Step)) -> Report {
    let began = Instant::now();
    let mut teller = Teller { steps: Vec::new(), tell };
    let failure = teller.story(stop).await.err();
    Report { steps: teller.steps, failure, took: began.elapsed() }
}

struct Teller<T> {
    steps: Vec<Step>,
    tell: T,
}

impl<T: FnMut(&Step)> Teller<T> {
    async fn story(&mut self, stop: CancellationToken) -> Result<(), Failure> {
        let demo = self.step("start", Box::pin(start(stop))).await?;
        let outcome = self.scenes(&demo).await;
        // The demo is ended in good order whatever came of it; a failure on the way is the one to tell.
        let ended = self.step("stop", end(demo)).await;
        outcome.and(ended)
    }

    async fn scenes(&mut self, demo: &Demo) -> Result<(), Failure> {
        self.step("provision", Box::pin(story::provision(demo))).await?;
        let mut story = self.step("sign in", Story::sign_in(demo)).await?;
        self.step("reach the app", story.reach_the_app()).await?;
        self.step("change a group", story.change_a_group()).await?;
        self.step("deactivate", story.deactivate()).await?;
        self.step("denied", story.denied()).await?;
        self.step("no way back in", story.no_way_back_in()).await?;
        self.step("provider errs", story.provider_errs()).await?;
        self.step("re-activate", story.reactivate()).await?;
        self.step("sign in again", story.sign_in_again()).await
    }

    async fn step<R>(&mut self, name: &'static str, work: impl Future<Output = Result<Seen<R>, Why>>) -> Result<R, Failure> {
        let began = Instant::now();
        let Seen { detail, result, took } = work.await.map_err(|why| Failure { name, why })?;
        let step = Step { name, detail, took: took.unwrap_or_else(|| began.elapsed()) };
        (self.tell)(&step);
        self.steps.push(step);
        Ok(result)
    }
}

/// What a step saw, and what the next ones need of it.
struct Seen<R> {
    detail: String,
    result: R,
    /// How long the part took that matters; everything where it is `None`.
    took: Option<Duration>,
}

impl Seen<()> {
    fn that(detail: impl Into<String>) -> Self {
        Seen { detail: detail.into(), result: (), took: None }
    }
}

async fn start(stop: CancellationToken) -> Result<Seen<Demo>, Why> {
    let demo = Demo::start(Ports::free()?, stop).await?;
    Ok(Seen { detail: "gateway, provisioner, Acme's provider and the app are ready".to_owned(), result: demo, took: None })
}

async fn end(demo: Demo) -> Result<Seen<()>, Why> {
    demo.stop().await?;
    Ok(Seen::that("everything is drained, closed and removed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_whole_story_holds() {
        let mut told = Vec::new();

        let report = walk(CancellationToken::new(), |step| told.push(step.name)).await;

        assert!(report.failure.is_none(), "{report}");
        assert_eq!(
            told,
            [
                "start",
                "provision",
                "sign in",
                "reach the app",
                "change a group",
                "deactivate",
                "denied",
                "no way back in",
                "provider errs",
                "re-activate",
                "sign in again",
                "stop"
            ]
        );
    }

    #[tokio::test]
    async fn a_step_that_does_not_hold_ends_the_story_and_is_named() {
        let stop = CancellationToken::new();
        stop.cancel();

        let report = walk(stop, |_| {}).await;

        assert_eq!(report.failure.as_ref().map(|failure| failure.name), Some("start"), "{report}");
        assert!(report.steps.is_empty());
    }
}
