//! The bus within one process.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{Ack, Bus, BusError, Listener, Signal};
use crate::model::revocation::Revocation;

/// The bus within one process.
#[derive(Debug)]
pub struct LocalBus {
    records: broadcast::Sender<Signal<Revocation>>,
    acks: broadcast::Sender<Signal<Ack>>,
}

impl LocalBus {
    /// A bus that keeps `capacity` messages for a listener that is behind; one further behind hears a gap.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { records: broadcast::Sender::new(capacity), acks: broadcast::Sender::new(capacity) }
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, record: &Revocation) -> Result<(), BusError> {
        // Nobody listening is not an error: whoever comes later reads the log.
        let _ = self.records.send(Signal::Message(Arc::new(record.clone())));
        Ok(())
    }

    async fn acknowledge(&self, ack: &Ack) -> Result<(), BusError> {
        let _ = self.acks.send(Signal::Message(Arc::new(ack.clone())));
        Ok(())
    }

    fn records(&self) -> Listener<Revocation> {
        Listener::new(self.records.subscribe())
    }

    fn acks(&self) -> Listener<Ack> {
        Listener::new(self.acks.subscribe())
    }
}
