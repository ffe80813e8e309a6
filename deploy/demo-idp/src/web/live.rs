//! Tells open directory pages that there is something new to show. They work without it.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, stream};

use crate::provider::App;

pub(super) async fn events(State(app): State<Arc<App>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (bell, shutdown) = (app.journal.bell(), app.shutdown.clone());
    let changes = stream::unfold((bell, shutdown), |(mut bell, shutdown)| async move {
        tokio::select! {
            rung = bell.changed() => rung.ok()?,
            () = shutdown.cancelled() => return None,
        }
        let count = *bell.borrow_and_update();
        Some((Ok(Event::default().event("changed").data(count.to_string())), (bell, shutdown)))
    });
    Sse::new(changes).keep_alive(KeepAlive::default())
}
