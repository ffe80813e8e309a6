//! The mass-change guard: from how many people a provider may take access within an hour before somebody has to say that it is
//! meant. It holds mistakes up, a wrong scope or an emptied group, and never a single leaver.

use std::{num::NonZeroU32, time::Duration};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How far the guard looks back.
pub const WINDOW: Duration = Duration::from_hours(1);

/// What passes. More people than both is a mass change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// This many always, so the first one to leave is never held.
    pub max: NonZeroU32,
    /// And this share of the workspace's active people, from 0 to 100.
    pub percent: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max: NonZeroU32::MIN.saturating_add(499), percent: 20 }
    }
}

impl Limits {
    /// How many of so many people may leave within the window.
    #[must_use]
    pub fn most(&self, people: u64) -> u64 {
        let share = people.saturating_mul(u64::from(self.percent)) / 100;
        share.max(u64::from(self.max.get()))
    }
}

/// What a held change would have made of the last hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excess {
    /// How many people would have lost access, those of the change among them.
    pub departed: u64,
    /// How many people had access before.
    pub people: u64,
    /// What passes.
    pub limits: Limits,
}

/// The guard of a workspace, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// Whether it looks at anything.
    pub is_on: bool,
    /// What passes.
    pub limits: Limits,
    /// Until when everything passes by an admin's word.
    pub released_until: Option<Timestamp>,
    /// How many people lost access within the window.
    pub departed: u64,
    /// The changes that are held.
    pub held: Option<Held>,
}

/// Changes that were held within the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Held {
    /// When the last was.
    pub at: Timestamp,
    /// How many requests were refused, repetitions among them.
    pub requests: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max: u32, percent: u8) -> Limits {
        Limits { max: NonZeroU32::new(max).unwrap(), percent }
    }

    #[test]
    fn what_passes_is_the_number_or_the_share_whichever_is_more() {
        for (max, percent, people, most) in [
            (500, 20, 0, 500),
            (500, 20, 2_500, 500),
            (500, 20, 2_505, 501),
            (500, 20, 2_504, 500),
            (500, 20, 1_000_000, 200_000),
            (1, 0, 1_000_000, 1),
            (1, 100, 3, 3),
            (1, 20, 4, 1),
            (1, 100, u64::MAX, u64::MAX / 100),
        ] {
            assert_eq!(limits(max, percent).most(people), most, "{max} {percent} {people}");
        }
    }

    #[test]
    fn the_defaults_are_five_hundred_and_a_fifth() {
        assert_eq!(Limits::default(), limits(500, 20));
    }
}
