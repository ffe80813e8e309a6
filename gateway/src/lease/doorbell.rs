//! Hears the doorbell: applies a row that is the next one, and asks for a reading of the log where one is missing. It cuts the
//! streams of whom it ends, and holds those that rest on what it changes, *before* it acknowledges. It acknowledges for the keeper too, whose thread is to do nothing else.

use std::sync::Arc;

use lockstep_shared::{
    bus::{Ack, Bus, Signal},
    id::ReplicaId,
    telemetry::Meters,
};

use super::Lease;
use crate::session::{
    streams::Streams,
    watermarks::{Applied, Watermarks},
};

/// Listens until the bus is gone.
pub async fn ring(id: ReplicaId, bus: Arc<dyn Bus>, marks: Arc<Watermarks>, streams: Streams, lease: Arc<Lease>, meters: Meters) {
    let mut records = bus.records();
    loop {
        let applied = tokio::select! {
            signal = records.next() => match signal {
                Some(Signal::Message(record)) => {
                    let applied = marks.apply(&record);
                    if applied == Applied::Next {
                        meters.applied(record.kind);
                    }
                    applied
                }
                Some(Signal::Gap) => Applied::Gap,
                None => return,
            },
            () = lease.caught_up() => Applied::Known,
        };
        match applied {
            // A row that is known may have been applied by the keeper a moment ago, who has not cut anybody yet; or it is a repetition,
            // and whoever rang may not have heard us the first time.
            Applied::Next | Applied::Known => acknowledge(&*bus, &id, &marks, &streams).await,
            // The keeper reads the log, and says so if that contradicts.
            Applied::Gap | Applied::Contradiction => lease.want(),
        }
    }
}

/// Cuts whom the log has ended so far, holds what rests on a change, and says on the bus how far that is. If it is not heard, the row says it at the next
/// renewal.
async fn acknowledge(bus: &dyn Bus, id: &ReplicaId, marks: &Watermarks, streams: &Streams) {
    // Read before the cut: what is applied during it may not be acknowledged by it.
    if let Some((generation, seq)) = marks.applied() {
        streams.heed(marks);
        let _ = bus.acknowledge(&Ack { generation, gateway: id.clone(), seq }).await;
    }
}
