//! The doorbell: tells gateways that the revocation log has grown, and tells waiters who has applied it. It is speed only:
//! whatever it loses is found in the log, so it may fail without harm.

mod link;
mod local;
mod message;
mod redis;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

pub use self::{link::RedisLink, local::LocalBus, message::Ack, redis::RedisBus};
use crate::model::revocation::Revocation;

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Redis cannot be reached, or did not answer in time.
    #[error("Redis is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Redis answered with an error: a setting of the server has to be mended.
    #[error("Redis refused the command")]
    Refused(#[source] ::redis::RedisError),
    /// The message cannot be written; a bug.
    #[error("a bus message cannot be written")]
    Unwritable(#[source] serde_json::Error),
}

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal<T> {
    /// A message.
    Message(Arc<T>),
    /// Messages may have been missed: read the log.
    Gap,
}

/// Hears the messages of one kind, and every gap between them. The first thing it hears is a gap.
#[derive(Debug)]
pub struct Listener<T> {
    heard_first_gap: bool,
    receiver: broadcast::Receiver<Signal<T>>,
}

impl<T> Listener<T> {
    fn new(receiver: broadcast::Receiver<Signal<T>>) -> Self {
        Self { heard_first_gap: false, receiver }
    }

    /// Waits for the next signal; `None` when the bus is gone.
    pub async fn next(&mut self) -> Option<Signal<T>>
    where
        T: Send + Sync,
        Signal<T>: Clone,
    {
        if !self.heard_first_gap {
            self.heard_first_gap = true;
            return Some(Signal::Gap);
        }
        match self.receiver.recv().await {
            Ok(signal) => Some(signal),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Signal::Gap),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The doorbell.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Rings for a row of the log that is committed.
    async fn publish(&self, record: &Revocation) -> Result<(), BusError>;
    /// Says that a gateway has applied the log up to a place.
    async fn acknowledge(&self, ack: &Ack) -> Result<(), BusError>;
    /// Listens to rows.
    fn records(&self) -> Listener<Revocation>;
    /// Listens to acknowledgements.
    fn acks(&self) -> Listener<Ack>;
}
