//! The task that sends notices. Each replica runs one; the outbox gives every notice to one of them at a time. It holds few
//! connections, gives each attempt its time, and comes back later.

use std::time::Duration;

use futures_util::future::join_all;
use lockstep_shared::{
    clock::SharedClock,
    config::{Config, Mail, Program},
    model::notice::{Letter, NoticeState},
    runtime::Runtime,
    store::{Fate, Store, StoreError},
    telemetry::Meters,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    message::{Style, render},
    schedule::{PATIENCE, is_too_late, next_attempt},
    server::{MailServer, MailSetupError, SendError},
};

/// How often the outbox is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Notices that one process sends at once.
const AT_ONCE: u32 = 4;
/// How long a notice is one process's; longer than an attempt can take. One that a process took into its grave waits no longer.
const CLAIMED: Duration = Duration::from_mins(5);
/// How long an attempt that is under way may go on when the process is told to stop.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long it is kept what a notice said that was not taken, so that it can be tried again when the settings are mended.
const SAID: Duration = Duration::from_hours(7 * 24);
/// How long it is kept what became of a notice.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Sends notices.
pub(crate) struct Courier {
    store: Store,
    clock: SharedClock,
    meters: Meters,
    server: MailServer,
    style: Style,
    stop: CancellationToken,
}

impl Courier {
    /// Starts the task, where there is a mail server.
    pub(crate) fn start(runtime: &Runtime) -> Result<(), MailSetupError> {
        let Some(mail) = &runtime.config.mail else { return Ok(()) };
        let courier = Self {
            store: runtime.store.clone(),
            clock: runtime.clock.clone(),
            meters: runtime.meters.clone(),
            server: MailServer::new(mail, &runtime.config.outbound)?,
            style: style(mail, program(&runtime.config)),
            stop: runtime.stop.clone(),
        };
        runtime.tasks.spawn(async move { courier.run().await });
        Ok(())
    }

    async fn run(self) {
        let mut is_well = true;
        while !self.stop.is_cancelled() {
            match self.round().await {
                Ok(true) => {
                    is_well = true;
                    continue;
                }
                Ok(false) => is_well = true,
                Err(error) if std::mem::replace(&mut is_well, false) => {
                    tracing::warn!(error = %error, "the outbox cannot be read; notices wait");
                }
                Err(_) => {}
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Sends what is due, a few at a time; whether there may be more.
    async fn round(&self) -> Result<bool, StoreError> {
        let waiting = self.store.waiting_letters().await?;
        self.meters.mails_waiting(waiting.all);
        if waiting.due == 0 {
            return Ok(false);
        }
        let letters = self.store.claim_letters(AT_ONCE, CLAIMED).await?;
        let mut sending = std::pin::pin!(join_all(letters.iter().map(|letter| self.deliver(letter))));
        let settled = tokio::select! {
            settled = &mut sending => settled,
            () = self.stop.cancelled() => {
                let Ok(settled) = timeout(FAREWELL, sending).await else {
                    tracing::warn!(notices = letters.len(), "notices under way were left to another process");
                    return Ok(false);
                };
                settled
            }
        };
        settled.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(!letters.is_empty())
    }

    async fn deliver(&self, letter: &Letter) -> Result<(), StoreError> {
        let (fate, outcome, answer) = self.attempt(letter).await;
        self.meters.mailed(outcome);
        self.store.settle_letter(letter, &fate, &answer).await
    }

    /// Tries it once: what becomes of it, the same in a word, and what was answered.
    async fn attempt(&self, letter: &Letter) -> (Fate, &'static str, String) {
        if !letter.is_wanted {
            return ended(NoticeState::Unwanted, "the recipient is not to be told any more".to_owned());
        }
        if is_too_late(letter.created_at, letter.due_at, self.clock.now()) {
            return ended(NoticeState::GivenUp, "it had waited for too long".to_owned());
        }
        let Some(notice) = &letter.notice else {
            return self.later(letter, "a later release has to send it".to_owned());
        };
        let message = match render(letter, notice, &self.style) {
            Ok(message) => message,
            Err(error) => return ended(NoticeState::Refused, error.to_string()),
        };
        match self.server.send(&message).await {
            Ok(answer) => {
                tracing::info!(workspace.id = %letter.workspace, notice.id = %letter.id, "a notice of workspace {} was mailed", letter.workspace);
                ended(NoticeState::Sent, answer)
            }
            Err(error) => self.failed(letter, &error),
        }
    }

    fn failed(&self, letter: &Letter, error: &SendError) -> (Fate, &'static str, String) {
        let (fate, outcome, answer) =
            if error.is_final() { ended(NoticeState::Refused, error.to_string()) } else { self.later(letter, error.to_string()) };
        tracing::warn!(
            workspace.id = %letter.workspace,
            notice.id = %letter.id,
            stage = ?error.stage(),
            code = error.code(),
            attempts = letter.attempts,
            outcome,
            "a notice of workspace {} was not mailed: see `mail list {}`",
            letter.workspace,
            letter.workspace
        );
        (fate, outcome, answer)
    }

    fn later(&self, letter: &Letter, answer: String) -> (Fate, &'static str, String) {
        match next_attempt(letter.attempts, letter.created_at, self.clock.now()) {
            Some(at) => (Fate::Again(at), "retried", answer),
            None => ended(NoticeState::GivenUp, answer),
        }
    }
}

fn ended(state: NoticeState, answer: String) -> (Fate, &'static str, String) {
    (Fate::Ended(state), state.as_str(), answer)
}

/// Who writes, in a deployment with this configuration.
pub(crate) fn style(mail: &Mail, program: Program) -> Style {
    Style { from: mail.from.clone(), program }
}

/// The program whose commands an operator of this deployment types.
fn program(config: &Config) -> Program {
    if config.redis.is_some() { Program::Provisioner } else { Program::Standalone }
}

/// Gives up what nobody sends any more, and forgets what became of old notices.
pub(crate) async fn sweep(store: &Store, clock: &SharedClock) -> Result<(), StoreError> {
    let now = clock.now();
    store.sweep_letters(now.minus(PATIENCE), now.minus(SAID), now.minus(KEPT)).await?;
    store.bind_recipients().await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lockstep_shared::{
        clock::{Clock as _, TestClock},
        id::{NoticeId, WorkspaceId},
        model::{
            guard::{Excess, Limits},
            notice::{Hold, Notice},
        },
        secret::{Key, Sealer},
        store::StoreOptions,
    };

    use super::*;

    /// A courier whose mail server is away; what it decides needs no database.
    async fn courier(clock: &Arc<TestClock>) -> Courier {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let config = Config::from_toml(&format!("[mail]\nsmtp_url = \"smtp://{closed}\"\nfrom = \"login@example.com\"")).unwrap();
        let mail = config.mail.as_ref().unwrap();
        let sealer = Sealer::new(vec![Key::from_bytes([7; 32])]).unwrap();
        Courier {
            store: Store::open(&StoreOptions::new("sqlite::memory:"), clock.clone(), sealer).unwrap(),
            clock: clock.clone(),
            meters: Meters::default(),
            server: MailServer::new(mail, &config.outbound).unwrap(),
            style: style(mail, program(&config)),
            stop: CancellationToken::new(),
        }
    }

    fn letter(clock: &TestClock) -> Letter {
        let excess = Excess { departed: 2, people: 3, limits: Limits::default() };
        Letter {
            id: NoticeId::new(),
            workspace: WorkspaceId::parse("acme").unwrap(),
            workspace_name: "Acme".into(),
            address: "ada@acme.example".into(),
            is_wanted: true,
            notice: Some(Notice::GuardHeld(Hold { credential: "a".into(), excess, since: clock.now() })),
            attempts: 1,
            created_at: clock.now(),
            due_at: clock.now(),
        }
    }

    #[tokio::test]
    async fn each_attempt_has_its_consequence() {
        let clock = TestClock::new();
        let (courier, fresh) = (courier(&clock).await, letter(&clock));
        let in_a_minute = Fate::Again(clock.now().plus(Duration::from_mins(1)));
        let early = [
            (fresh.clone(), in_a_minute.clone(), "retried"),
            (Letter { is_wanted: false, ..fresh.clone() }, Fate::Ended(NoticeState::Unwanted), "unwanted"),
            (Letter { notice: None, ..fresh.clone() }, in_a_minute, "retried"),
            (Letter { address: "ada\r\nBcc: x@y.example".into(), ..fresh.clone() }, Fate::Ended(NoticeState::Refused), "refused"),
        ];
        for (letter, fate, outcome) in early {
            let attempted = courier.attempt(&letter).await;
            assert_eq!((&attempted.0, attempted.1), (&fate, outcome), "{letter:?}: {}", attempted.2);
        }

        clock.advance(PATIENCE.saturating_sub(Duration::from_secs(1)));
        let last = courier.attempt(&Letter { attempts: 20, ..fresh.clone() }).await;
        clock.advance(Duration::from_secs(1));
        let late = courier.attempt(&fresh).await;
        let wanted_still = courier.attempt(&Letter { due_at: clock.now(), ..fresh.clone() }).await;

        assert_eq!((last.0, last.1), (Fate::Ended(NoticeState::GivenUp), "given_up"));
        assert!(last.2.contains("refused"), "what was wrong is kept: {}", last.2);
        assert_eq!((late.0, late.2.as_str()), (Fate::Ended(NoticeState::GivenUp), "it had waited for too long"));
        assert_eq!(wanted_still.0, Fate::Ended(NoticeState::GivenUp), "once more, and no more");
        assert!(wanted_still.2.contains("refused"), "it was tried: {}", wanted_still.2);
    }

    #[test]
    fn commands_are_those_of_the_program_that_runs() {
        let of = |toml: &str| program(&Config::from_toml(toml).unwrap());

        assert_eq!((of(""), of("[redis]\nurl = \"redis://localhost\"")), (Program::Standalone, Program::Provisioner));
    }
}
