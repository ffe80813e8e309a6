//! The one way in which the suite waits: a condition, asked again until it holds or its deadline has passed.

use std::{fmt::Display, time::Duration};

use tokio::time::{Instant, sleep_until, timeout_at};

use super::HarnessError;

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Asks `probe` until it answers `Some`, at most for `within`; a probe that hangs counts as "not yet".
pub async fn eventually<T>(
    what: impl Display,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> Result<T, HarnessError> {
    let deadline = Instant::now() + within;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Ok(Some(value)) = timeout_at(deadline, probe()).await {
            return Ok(value);
        }
        let next = Instant::now() + pause;
        if next >= deadline {
            return Err(HarnessError::Deadline { what: what.to_string(), within });
        }
        sleep_until(next).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_is_returned() {
        let mut asked = 0;

        let value = eventually("the third question", Duration::from_secs(5), async || {
            asked += 1;
            (asked == 3).then_some(asked)
        })
        .await;

        assert_eq!(value.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_probe_that_hangs_is_bounded_by_the_deadline() {
        let hanging = eventually("never", Duration::from_millis(20), async || std::future::pending::<Option<()>>().await);

        let error = tokio::time::timeout(Duration::from_secs(5), hanging).await.unwrap().unwrap_err();

        assert_eq!(error.to_string(), "never did not happen within 20ms");
    }
}
