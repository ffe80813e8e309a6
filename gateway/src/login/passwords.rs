//! Checking and keeping passwords: argon2id, off the async threads, a few at a time, and in the same time whether there is an
//! account or not. What is not kept here is a password in the clear.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{self, SaltString},
};
use lockstep_shared::{
    clock::SharedClock,
    secret::{self, SecretError},
    store::PasswordAccount,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::Semaphore, time::timeout};

use super::throttle::Throttle;

/// OWASP's first choice for argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Each takes a core and 19 MiB for its time.
const AT_ONCE: usize = 2;
/// How long one waits for its turn; whoever is further behind is told to come again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a password was neither checked nor kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// Too many before it.
    #[error("too many passwords are waiting to be checked")]
    Busy,
    /// argon2 refuses its parameters or its salt; a bug.
    #[error("a password could not be hashed: {0}")]
    Hash(password_hash::Error),
    /// The process is stopping.
    #[error("hashing was interrupted")]
    Interrupted,
}

impl From<SecretError> for PasswordError {
    fn from(_: SecretError) -> Self {
        Self::Hash(password_hash::Error::Crypto)
    }
}

/// Checks and keeps passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    patience: Duration,
    pub(super) throttle: Arc<Throttle>,
}

impl Passwords {
    /// With limits that count by this clock.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), patience: PATIENCE, throttle: Arc::new(Throttle::new(clock)) }
    }

    /// The accounts that this password opens.
    pub(super) async fn opened_by(
        &self,
        password: SecretString,
        accounts: Vec<PasswordAccount>,
    ) -> Result<Vec<PasswordAccount>, PasswordError> {
        self.in_turn(move || {
            if accounts.is_empty() {
                // The time that an account would have taken, so that nobody learns that there is none.
                hash(&password)?;
            }
            Ok(accounts.into_iter().filter(|account| is_right(&password, account)).collect())
        })
        .await
    }

    /// What is stored in place of a password, in PHC form.
    pub(super) async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        self.in_turn(move || hash(&password)).await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let turn = timeout(self.patience, self.turns.clone().acquire_owned()).await.map_err(|_| PasswordError::Busy)?;
        let turn = turn.map_err(|_| PasswordError::Interrupted)?;
        // The turn goes with the work: a client that hangs up does not let another one in before its time.
        let outcome = tokio::task::spawn_blocking(move || {
            let outcome = work();
            drop(turn);
            outcome
        });
        outcome.await.map_err(|_| PasswordError::Interrupted)?
    }
}

fn argon2id() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| PasswordError::Hash(error.into()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &SecretString) -> Result<String, PasswordError> {
    let salt = SaltString::encode_b64(&secret::random::<16>()?).map_err(PasswordError::Hash)?;
    let hashed = argon2id()?.hash_password(password.expose_secret().as_bytes(), &salt).map_err(PasswordError::Hash)?;
    Ok(hashed.to_string())
}

/// By the parameters that the stored hash names, so that hashes of earlier parameters go on being right.
fn is_right(password: &SecretString, account: &PasswordAccount) -> bool {
    let Ok(stored) = PasswordHash::new(&account.hash) else {
        tracing::warn!(workspace.id = %account.workspace, user.id = %account.user, "a stored password cannot be read");
        return false;
    };
    argon2id().is_ok_and(|argon2| argon2.verify_password(password.expose_secret().as_bytes(), &stored).is_ok())
}

#[cfg(test)]
mod tests {
    use lockstep_shared::{
        clock::TestClock,
        id::{UserId, WorkspaceId},
    };

    use super::*;

    fn account(workspace: &str, hash: String) -> PasswordAccount {
        PasswordAccount { workspace: WorkspaceId::parse(workspace).unwrap(), user: UserId::new(), hash }
    }

    #[tokio::test]
    async fn a_password_opens_the_accounts_that_it_was_set_for() {
        let passwords = Passwords::new(TestClock::new());
        let (right, other) = (SecretString::from("correct horse battery"), SecretString::from("staple staple staple"));
        let one = account("acme", passwords.hash(right.clone()).await.unwrap());
        let another = account("globex", passwords.hash(other.clone()).await.unwrap());
        let accounts = vec![one.clone(), another.clone()];

        assert!(one.hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", one.hash);
        assert_eq!(passwords.opened_by(right.clone(), accounts.clone()).await.unwrap(), std::slice::from_ref(&one));
        assert_eq!(passwords.opened_by(other, accounts).await.unwrap(), [another]);
        assert_eq!(passwords.opened_by(SecretString::from("Correct horse battery"), vec![one]).await.unwrap(), []);
        assert_eq!(passwords.opened_by(right.clone(), Vec::new()).await.unwrap(), []);
        assert_eq!(passwords.opened_by(right, vec![account("acme", "not a hash".to_owned())]).await.unwrap(), []);
    }

    #[tokio::test]
    async fn whoever_waits_too_long_for_a_turn_is_told_so() {
        let passwords = Passwords { patience: Duration::from_millis(1), ..Passwords::new(TestClock::new()) };
        let _held = passwords.turns.clone().acquire_many_owned(2).await.unwrap();

        let outcome = passwords.hash(SecretString::from("correct horse battery")).await;

        assert!(matches!(outcome, Err(PasswordError::Busy)));
    }

    #[tokio::test]
    async fn an_account_that_is_none_takes_as_long_as_one() {
        let passwords = Passwords::new(TestClock::new());
        let password = SecretString::from("nine quiet lanterns");
        let one = account("acme", passwords.hash(SecretString::from("another password")).await.unwrap());
        // The shortest of several is the work itself, whatever else the machine does.
        let shortest = async |accounts: Vec<PasswordAccount>| {
            let mut times = Vec::new();
            for _ in 0..5 {
                let started = std::time::Instant::now();
                assert_eq!(passwords.opened_by(password.clone(), accounts.clone()).await.unwrap(), []);
                times.push(started.elapsed());
            }
            times.into_iter().min().unwrap()
        };

        let (with, without) = (shortest(vec![one]).await, shortest(Vec::new()).await);

        assert!(without > with / 2 && with > without / 2, "{with:?} with an account, {without:?} without");
    }
}
