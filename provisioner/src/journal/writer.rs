//! The one task that writes entries: what has come together in a moment, in one transaction. A database that is away is waited
//! for; what nobody can write is counted and told, and does not keep others' entries waiting.

use std::time::Duration;

use lockstep_shared::{model::provisioning::Entry, store::Store};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{Item, Journal, Loss};

/// How long entries are gathered.
const GATHERED: Duration = Duration::from_millis(200);
/// The most entries of one transaction.
const MOST: usize = 1_024;
/// How often counts are looked at, at the least.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long to wait before the database is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// After so many attempts at a batch its entries are written one by one.
const TOGETHER: u32 = 3;

/// Writes until `closing`, and then what is left.
pub(super) async fn run(journal: Journal, mut receiver: mpsc::Receiver<Item>, store: Store, closing: CancellationToken) {
    let mut batch = Vec::with_capacity(MOST);
    while !closing.is_cancelled() {
        gather(&mut receiver, &mut batch, &closing).await;
        batch.extend(journal.counted(false));
        write(&journal, &store, &mut batch, &closing).await;
    }
    receiver.close();
    loop {
        let taken = receiver.recv_many(&mut batch, MOST).await;
        if taken == 0 {
            batch.extend(journal.counted(true));
        }
        write(&journal, &store, &mut batch, &closing).await;
        if taken == 0 {
            return;
        }
    }
}

/// Waits for a first entry, and then takes what comes within a moment.
async fn gather(receiver: &mut mpsc::Receiver<Item>, batch: &mut Vec<Item>, closing: &CancellationToken) {
    let until = Instant::now() + LOOK_EVERY;
    let first = closing.run_until_cancelled(timeout_at(until, receiver.recv_many(batch, MOST))).await;
    if !matches!(first, Some(Ok(_))) {
        return;
    }
    let until = Instant::now() + GATHERED;
    while batch.len() < MOST && !closing.is_cancelled() {
        let room = MOST - batch.len();
        match closing.run_until_cancelled(timeout_at(until, receiver.recv_many(batch, room))).await {
            Some(Ok(taken)) if taken > 0 => {}
            Some(Ok(_) | Err(_)) | None => return,
        }
    }
}

/// Writes a batch, however long the database is away; at the end of the process only once.
async fn write(journal: &Journal, store: &Store, batch: &mut Vec<Item>, closing: &CancellationToken) {
    let mut attempts = 0;
    loop {
        if batch.is_empty() {
            return;
        }
        let error = match attempt(store, batch).await {
            Ok(()) => {
                batch.clear();
                return;
            }
            Err(error) => error,
        };
        attempts += 1;
        // What the database says of a bad entry looks like what it says when it is unwell.
        if !error.is_transient() || attempts % TOGETHER == 0 {
            one_by_one(journal, store, batch).await;
        }
        if batch.is_empty() {
            return;
        }
        if closing.is_cancelled() {
            tracing::warn!(error = %error, entries = batch.len(), "entries of the provisioning log were not written");
            batch.clear();
            return;
        }
        tracing::debug!(error = %error, entries = batch.len(), "the provisioning log waits for the database");
        tokio::select! {
            () = sleep(TRY_AGAIN_AFTER) => {}
            () = closing.cancelled() => {}
        }
    }
}

/// Writes the entries of a batch each by itself, and drops those that the database does not take: a line that one was lost gets in,
/// so it is the entry. If that does not get in either, it is the database, and what is left stays.
pub(super) async fn one_by_one(journal: &Journal, store: &Store, batch: &mut Vec<Item>) {
    let mut left = std::mem::take(batch).into_iter();
    for item in left.by_ref() {
        let Err(error) = attempt(store, std::slice::from_ref(&item)).await else { continue };
        let lost = match &item {
            Item::Certain(entry) => Item::Certain(journal.of_loss(entry.workspace.clone(), 1, Loss::Refused)),
            Item::Claimed(entry) => Item::Claimed(journal.of_loss(entry.workspace.clone(), 1, Loss::Refused)),
        };
        if attempt(store, &[lost]).await.is_err() {
            batch.push(item);
            break;
        }
        journal.0.meters.lost_entries(1);
        tracing::warn!(error = %error, "an entry of the provisioning log was not taken by the database and is lost");
    }
    batch.extend(left);
}

async fn attempt(store: &Store, batch: &[Item]) -> Result<(), lockstep_shared::store::StoreError> {
    let mut entries: Vec<Entry> = Vec::with_capacity(batch.len());
    for item in batch {
        match item {
            Item::Certain(entry) => entries.push(entry.clone()),
            Item::Claimed(entry) => {
                if store.workspace(&entry.workspace).await?.is_some() {
                    entries.push(entry.clone());
                }
            }
        }
    }
    if entries.is_empty() { Ok(()) } else { store.append_log(&entries).await }
}
