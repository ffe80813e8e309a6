//! Hears the doorbell: applies a row that is the next one, and asks for a reading of the log where one is missing. It cuts the
//! streams of whom it ends *before* it acknowledges.

use std::sync::Arc;

use lockstep_shared::{
    bus::{Bus, Signal},
    id::ReplicaId,
};

use super::{Lease, keeper::acknowledge};
use crate::session::{
    streams::Streams,
    watermarks::{Applied, Watermarks},
};

/// Listens until the bus is gone.
pub async fn ring(id: ReplicaId, bus: Arc<dyn Bus>, marks: Arc<Watermarks>, streams: Streams, lease: Arc<Lease>) {
    let mut records = bus.records();
    while let Some(signal) = records.next().await {
        let applied = match &signal {
            Signal::Message(record) => marks.apply(record),
            Signal::Gap => Applied::Gap,
        };
        match applied {
            Applied::Next => {
                streams.cut_ended(&marks);
                acknowledge(&*bus, &id, &marks).await;
            }
            // A repetition: whoever rang may not have heard us the first time.
            Applied::Known => acknowledge(&*bus, &id, &marks).await,
            // The keeper reads the log, and says so if that contradicts.
            Applied::Gap | Applied::Contradiction => lease.want(),
        }
    }
}
