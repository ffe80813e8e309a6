//! A heap of work that several clients share, as a provider's connections do.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use lockstep_tests::harness::scim::Scim;
use tokio::task::JoinSet;

use crate::Failure;

/// Has the clients do each piece of work once; the first failure ends it.
pub(crate) async fn share<T, W>(
    clients: &[Scim],
    heap: impl IntoIterator<Item = T>,
    work: impl Fn(Scim, T) -> W + Clone + Send + 'static,
) -> Result<(), Failure>
where
    T: Send + 'static,
    W: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let heap = Arc::new(Mutex::new(heap.into_iter().collect::<VecDeque<T>>()));
    let mut tasks = JoinSet::new();
    for client in clients {
        let (heap, client, work) = (heap.clone(), client.clone(), work.clone());
        let next = move || heap.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        tasks.spawn(async move {
            while let Some(piece) = next() {
                work(client.clone(), piece).await?;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
