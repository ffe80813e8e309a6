//! Judges held streams again, by the one guard and the app's own rule, as a new request would be. A stream that is let in goes on;
//! one that is not, or of which nothing can be known in time, is cut.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::{
    guard::{Denied, Guard},
    streams::{Held, Streams},
    watermarks::Watermarks,
};

/// How long a stream is held before doubt cuts it.
const WITHIN: Duration = Duration::from_secs(2);
/// How long after a doubt it is judged again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// How many are judged at once: a change of the whole workspace leaves connections to the database for requests.
const AT_ONCE: usize = 8;

/// Judges whatever is held for as long as it is polled.
pub async fn judge_held(guard: Guard, marks: Arc<Watermarks>, streams: Streams, tasks: TaskTracker) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        for held in streams.held().await {
            let (guard, marks, streams, places) = (guard.clone(), marks.clone(), streams.clone(), places.clone());
            tasks.spawn(async move {
                let number = held.number;
                let letting_in = async {
                    let _place = places.acquire().await;
                    is_let_in(&guard, &marks, &streams, held).await
                };
                if tokio::time::timeout(WITHIN, letting_in).await != Ok(true) {
                    streams.cut(number);
                }
            });
        }
    }
}

async fn is_let_in(guard: &Guard, marks: &Watermarks, streams: &Streams, held: Held) -> bool {
    let Held { number, terms } = held;
    loop {
        match guard.check_session(&terms.workspace, &terms.session).await {
            Ok(live) if terms.app.admits(&live.session).is_err() => return false,
            Ok(live) if streams.resume(number, live.session.attr_seq, marks) => return true,
            Ok(_) => {}
            Err(Denied::Doubt(doubt)) => {
                tracing::debug!(error = %doubt, "a held stream cannot be judged yet");
                tokio::time::sleep(TRY_AGAIN_AFTER).await;
            }
            Err(Denied::NoSession | Denied::Ended(_) | Denied::RunOut) => return false,
        }
    }
}
