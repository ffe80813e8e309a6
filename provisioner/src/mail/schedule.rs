//! When a notice is tried again, and when no more.

use std::time::Duration;

use lockstep_shared::clock::Timestamp;

/// How soon after the first failure it is tried again; after each further one it is twice as long.
const FIRST: Duration = Duration::from_mins(1);
/// The longest time between two attempts.
const LONGEST: Duration = Duration::from_hours(6);
/// For how long a notice is tried. Afterwards it would be no news.
pub(super) const PATIENCE: Duration = Duration::from_hours(3 * 24);

/// When to try again after so many attempts; `None`: not any more.
pub(super) fn next_attempt(attempts: u32, created_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    let next = now.plus(FIRST.saturating_mul(doubled).min(LONGEST));
    (next < created_at.plus(PATIENCE)).then_some(next)
}

/// Whether it has waited for too long to be tried at all. What is due after its time was taken up again by an operator, who knows how
/// old it is.
pub(super) fn is_too_late(created_at: Timestamp, due_at: Timestamp, now: Timestamp) -> bool {
    let end = created_at.plus(PATIENCE);
    now >= end && due_at < end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_grow_apart_from_a_minute_to_six_hours() {
        let (start, minute) = (Timestamp(0), 60_000);
        for (attempts, minutes) in [(0, 1), (1, 1), (2, 2), (3, 4), (9, 256), (10, 360), (11, 360), (u32::MAX, 360)] {
            assert_eq!(next_attempt(attempts, start, start), Some(Timestamp(minutes * minute)), "{attempts}");
        }
    }

    #[test]
    fn after_three_days_it_is_given_up() {
        let (mut now, mut attempts) = (Timestamp(0), 1);
        while let Some(next) = next_attempt(attempts, Timestamp(0), now) {
            (now, attempts) = (next, attempts + 1);
        }

        assert!(now > Timestamp(0).plus(PATIENCE.saturating_sub(LONGEST)) && now < Timestamp(0).plus(PATIENCE), "{now:?}");
        assert_eq!(attempts, 20, "a mail server that is away for three days is asked twenty times");
    }

    #[test]
    fn what_nobody_could_try_in_time_is_too_late_unless_an_operator_wants_it() {
        let end = Timestamp(0).plus(PATIENCE);
        let before = end.minus(Duration::from_secs(1));
        let later = end.plus(PATIENCE);
        for (due_at, now, is_late) in
            [(before, before, false), (before, end, true), (Timestamp(0), later, true), (end, end, false), (end, later, false)]
        {
            assert_eq!(is_too_late(Timestamp(0), due_at, now), is_late, "{due_at:?} {now:?}");
        }
    }
}
