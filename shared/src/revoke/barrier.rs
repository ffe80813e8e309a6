//! The barrier's judgement, as a pure function: may the answer be given now? Every gateway that may still be answering must
//! have applied the log up to the place, or have lost its lease for certain.

use std::{collections::HashMap, time::Duration};

use crate::{
    clock::BootTime,
    id::{Generation, ReplicaId},
    model::revocation::Seq,
    store::{Replica, ReplicaState},
};

/// Two clocks of two machines may differ in speed by this much.
const DRIFT_PERCENT: u32 = 2;

/// A lease as the waiter must count it on its own clock.
#[must_use]
pub fn with_drift(lease: Duration) -> Duration {
    lease.saturating_add(lease * DRIFT_PERCENT / 100)
}

/// A beat and when this process first saw it, on its own boot-time clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenBeat {
    /// The beat.
    pub beat: i64,
    /// When it was first seen.
    pub since: BootTime,
}

/// What this process has seen of the gateways' beats. A beat only counts up, so one that is seen again has stood still since it
/// was first seen, whether or not anybody looked in between.
#[derive(Debug, Clone, Default)]
pub struct Beats(HashMap<ReplicaId, SeenBeat>);

impl Beats {
    /// Notes rows that were read by the moment `read_by`: the lease of a beat that is seen there was taken before it.
    pub fn note(&mut self, rows: &[Replica], read_by: BootTime) {
        self.0.retain(|id, _| rows.iter().any(|row| row.id == *id));
        for row in rows {
            let seen = self.0.entry(row.id.clone()).or_insert(SeenBeat { beat: row.beat, since: read_by });
            if seen.beat != row.beat {
                *seen = SeenBeat { beat: row.beat, since: read_by };
            }
        }
    }

    /// How long a row's beat has stood still for certain.
    #[must_use]
    pub fn still_for(&self, row: &Replica, now: BootTime) -> Duration {
        self.0.get(&row.id).filter(|seen| seen.beat == row.beat).map_or(Duration::ZERO, |seen| now.since(seen.since))
    }
}

/// Acknowledgements heard on the bus.
#[derive(Debug, Clone, Default)]
pub struct Acks(HashMap<ReplicaId, (Generation, Seq)>);

impl Acks {
    /// Notes an acknowledgement.
    pub fn note(&mut self, gateway: &ReplicaId, generation: &Generation, seq: Seq) {
        let held = self.0.entry(gateway.clone()).or_insert_with(|| (generation.clone(), seq));
        if held.0 != *generation || held.1 < seq {
            *held = (generation.clone(), seq);
        }
    }

    /// Forgets gateways that have no row any more.
    pub fn keep(&mut self, rows: &[Replica]) {
        self.0.retain(|id, _| rows.iter().any(|row| row.id == *id));
    }
}

/// One gateway's standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has applied the log up to the place.
    Confirmed,
    /// It cannot hold a lease any more.
    Lapsed,
    /// It may be answering from an older state.
    Awaited,
}

/// What the answer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The log's incarnation, as read after the commit.
    pub generation: &'a Generation,
    /// The place.
    pub seq: Seq,
    /// A moment of this process's clock that is no earlier than the commit.
    pub committed_by: BootTime,
}

/// One gateway's standing. The rows must have been read after the commit; then a `joining` one cannot be answering before it has
/// read a head that includes the place.
#[must_use]
pub fn standing(row: &Replica, target: Target<'_>, beats: &Beats, acks: &Acks, now: BootTime) -> Standing {
    let applied = |generation: &Generation, seq: Seq| generation == target.generation && seq >= target.seq;
    let by_row = row.applied_generation.as_ref().is_some_and(|generation| applied(generation, row.applied_seq));
    let by_ack = acks.0.get(&row.id).is_some_and(|(generation, seq)| applied(generation, *seq));
    let lease = with_drift(row.lease);
    match row.state {
        ReplicaState::Joining => Standing::Confirmed,
        ReplicaState::Serving if by_row || by_ack => Standing::Confirmed,
        // Its last renewal that did not include the place was before the commit, or before the beat was first seen.
        ReplicaState::Serving if now.since(target.committed_by) >= lease || beats.still_for(row, now) >= lease => {
            Standing::Lapsed
        }
        ReplicaState::Serving => Standing::Awaited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> BootTime {
        BootTime(Duration::from_secs(seconds))
    }

    fn generation(digit: char) -> Generation {
        Generation::parse(&digit.to_string().repeat(32)).unwrap()
    }

    fn row(beat: i64, applied: i64) -> Replica {
        Replica {
            id: ReplicaId::new(),
            state: ReplicaState::Serving,
            lease: S,
            beat,
            applied_generation: Some(generation('a')),
            applied_seq: Seq(applied),
        }
    }

    fn judge(row: &Replica, beats: &Beats, acks: &Acks, now: u64) -> Standing {
        let generation = generation('a');
        standing(row, Target { generation: &generation, seq: Seq(5), committed_by: at(100) }, beats, acks, at(now))
    }

    #[test]
    fn a_gateway_that_has_applied_the_place_is_confirmed_by_its_row_or_by_its_word() {
        let (mut acks, behind) = (Acks::default(), row(1, 4));
        assert_eq!(judge(&row(1, 5), &Beats::default(), &acks, 100), Standing::Confirmed);
        assert_eq!(judge(&behind, &Beats::default(), &acks, 100), Standing::Awaited);

        acks.note(&behind.id, &generation('a'), Seq(5));

        assert_eq!(judge(&behind, &Beats::default(), &acks, 100), Standing::Confirmed);
    }

    #[test]
    fn a_place_in_another_incarnation_confirms_nothing() {
        let (mut acks, mut behind) = (Acks::default(), row(1, 9));
        behind.applied_generation = Some(generation('b'));
        acks.note(&behind.id, &generation('b'), Seq(9));

        assert_eq!(judge(&behind, &Beats::default(), &acks, 100), Standing::Awaited);
    }

    #[test]
    fn a_row_is_not_taken_for_dead_at_first_sight() {
        let (mut beats, dead) = (Beats::default(), row(7, 4));
        beats.note(std::slice::from_ref(&dead), at(100));

        assert_eq!(judge(&dead, &beats, &Acks::default(), 101), Standing::Awaited);
        assert_eq!(judge(&dead, &beats, &Acks::default(), 110), Standing::Awaited, "a lease without the drift");
        assert_eq!(judge(&dead, &beats, &Acks::default(), 111), Standing::Lapsed);
    }

    #[test]
    fn a_row_that_was_seen_standing_still_before_the_commit_costs_nothing() {
        let (mut beats, dead) = (Beats::default(), row(7, 4));
        beats.note(std::slice::from_ref(&dead), at(80));
        beats.note(std::slice::from_ref(&dead), at(99));

        assert_eq!(judge(&dead, &beats, &Acks::default(), 100), Standing::Lapsed);
    }

    #[test]
    fn a_beat_starts_the_count_anew() {
        let (mut beats, mut slow) = (Beats::default(), row(7, 4));
        beats.note(std::slice::from_ref(&slow), at(80));
        slow.beat = 8;
        beats.note(std::slice::from_ref(&slow), at(99));

        assert_eq!(judge(&slow, &beats, &Acks::default(), 101), Standing::Awaited);
    }

    #[test]
    fn a_beat_that_was_never_seen_has_not_stood_still() {
        assert_eq!(Beats::default().still_for(&row(1, 1), at(1_000)), Duration::ZERO);
    }
}
