//! What is left of a request's body that nobody read. A connection that is closed on unread bytes is reset, and the client then
//! never hears why it was refused: so the rest is taken and dropped while the answer is on its way, within limits.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use http_body_util::{BodyExt as _, Limited};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// The most that is dropped, in bytes; more ends the connection.
const MOST: usize = 16 * 1024 * 1024;
/// The longest that it may take.
const LONGEST: Duration = Duration::from_secs(10);

/// Drops the rest of a body beside the answer.
pub(crate) fn drop_rest(body: Body, tasks: &TaskTracker) {
    if !body.is_end_stream() {
        tasks.spawn(timeout(LONGEST, discard(body)));
    }
}

async fn discard(body: Body) {
    let mut rest = Limited::new(body, MOST);
    while let Some(Ok(_)) = rest.frame().await {}
}
