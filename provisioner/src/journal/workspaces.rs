//! Keeps at hand which workspaces there are: what strangers say of others takes no place from theirs.

use std::time::Duration;

use lockstep_shared::store::Store;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Journal;

/// How old the list may be.
const READ_EVERY: Duration = Duration::from_mins(1);
/// How long to wait before the database is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Reads them until `closing`.
pub(super) async fn run(journal: Journal, store: Store, closing: CancellationToken) {
    let reading = async {
        loop {
            sleep(match store.workspace_ids().await {
                Ok(there) => {
                    journal.tally().heed(there.into_iter().collect());
                    READ_EVERY
                }
                Err(error) => {
                    tracing::debug!(error = %error, "which workspaces there are is not known for the provisioning log");
                    TRY_AGAIN_AFTER
                }
            })
            .await;
        }
    };
    closing.run_until_cancelled(reading).await;
}
