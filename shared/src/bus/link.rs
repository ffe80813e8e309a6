//! A connection to Redis for commands. The client's own reconnection keeps a black-holed connection for ever, so this one is
//! thrown away on the first sign of trouble and made anew by the next command.

use std::{sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, aio::MultiplexedConnection};
use tokio::{sync::Mutex, time::timeout};

use super::BusError;
use crate::clock::{BootTime, SharedClock};

/// How long a command may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_millis(800);
/// After a failed attempt, commands fail at once for this long instead of queueing up behind more attempts.
const REST: Duration = Duration::from_millis(250);

/// A connection to Redis that renews itself. Clones share it.
#[derive(Clone)]
pub struct RedisLink {
    client: Client,
    clock: SharedClock,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    connection: Option<(u64, MultiplexedConnection)>,
    made: u64,
    failed_at: Option<BootTime>,
}

impl std::fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RedisLink(…)")
    }
}

impl RedisLink {
    /// A link to the server at `url`, which may hold a password; nothing is sent yet.
    pub fn new(url: &str, clock: SharedClock) -> Result<Self, BusError> {
        let client = Client::open(url).map_err(BusError::Refused)?;
        Ok(Self { client, clock, state: Arc::default() })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Carries out one command.
    pub async fn command<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, BusError> {
        let (made, mut connection) = self.connection().await?;
        let answer = timeout(ANSWER_WITHIN, command.query_async(&mut connection)).await;
        self.judge(made, answer).await
    }

    /// Carries out several commands in one round trip.
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, BusError> {
        let (made, mut connection) = self.connection().await?;
        let answer = timeout(ANSWER_WITHIN, pipeline.query_async(&mut connection)).await;
        self.judge(made, answer).await
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), BusError> {
        let mut state = self.state.lock().await;
        if let Some(held) = &state.connection {
            return Ok(held.clone());
        }
        if state.failed_at.is_some_and(|at| self.clock.boot().since(at) < REST) {
            return Err(BusError::Unavailable("the last attempt to connect failed just now".into()));
        }
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_WITHIN)).set_response_timeout(Some(ANSWER_WITHIN));
        let attempt = timeout(CONNECT_WITHIN, self.client.get_multiplexed_async_connection_with_config(&config)).await;
        let connected = match attempt {
            Ok(Ok(connected)) => connected,
            Ok(Err(error)) => {
                state.failed_at = Some(self.clock.boot());
                return Err(BusError::Unavailable(error.into()));
            }
            Err(late) => {
                state.failed_at = Some(self.clock.boot());
                return Err(BusError::Unavailable(late.into()));
            }
        };
        state.made += 1;
        state.failed_at = None;
        let held = (state.made, connected);
        state.connection = Some(held.clone());
        Ok(held)
    }

    async fn judge<T>(
        &self,
        made: u64,
        answer: Result<Result<T, RedisError>, tokio::time::error::Elapsed>,
    ) -> Result<T, BusError> {
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) if is_refusal(&error) => Err(BusError::Refused(error)),
            Ok(Err(error)) => {
                self.throw_away(made).await;
                Err(BusError::Unavailable(error.into()))
            }
            Err(late) => {
                self.throw_away(made).await;
                Err(BusError::Unavailable(late.into()))
            }
        }
    }

    /// Throws the connection away unless somebody has made a newer one.
    async fn throw_away(&self, made: u64) {
        let mut state = self.state.lock().await;
        if state.connection.as_ref().is_some_and(|(held, _)| *held == made) {
            state.connection = None;
        }
    }
}

/// Whether the server is well but does not want this command. What a fresh connection may mend (a replica after a failover, a
/// server still loading) is not a refusal.
fn is_refusal(error: &RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ResponseError | ServerErrorKind::NoPerm)
            | ErrorKind::UnexpectedReturnType
            | ErrorKind::Extension
    )
}
