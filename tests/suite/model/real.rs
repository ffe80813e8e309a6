//! The product's own judgements, asked by the model: what a row does to the watermarks, whether a session is alive, what a reading
//! of the gateways' rows teaches about their beats, and how a gateway stands with the barrier. Each answer is remembered, since
//! they are pure and the model asks millions of times.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use lockstep_gateway::session::watermarks::{Applied, Verdict, Watermarks};
use lockstep_shared::{
    clock::{BootTime, Timestamp},
    config::MAX_LEASE,
    id::{Generation, ReplicaId, UserId, WorkspaceId},
    model::revocation::{Head, Revocation, RevocationKind, Scope, Seq},
    revoke::barrier::{Acks, Beats, Standing, Target, standing, with_drift},
    store::{Replica, ReplicaState},
};

use super::state::{Log, Marks, Row, Seen, Ticks, Write};

/// Long after everything that the model remembers.
const NOW: u32 = 1_000;

#[derive(Debug)]
struct Memo<K, V>(RwLock<HashMap<K, V>>);

impl<K: Hash + Eq, V: Copy> Memo<K, V> {
    fn new() -> Self {
        Self(RwLock::new(HashMap::new()))
    }

    fn get(&self, key: K, ask: impl FnOnce(&K) -> V) -> V {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return *known;
        }
        let answer = ask(&key);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, answer);
        answer
    }
}

/// How the waiter sees one gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct View {
    /// Its row in the reading that is judged.
    pub(super) row: Row,
    /// What is known of its beat.
    pub(super) seen: Option<Seen>,
    /// Whether it was heard to acknowledge the place.
    pub(super) is_acknowledged: bool,
    /// The place.
    pub(super) target: u8,
    /// How long ago the wait began.
    pub(super) waited: Ticks,
}

#[derive(Debug)]
pub(super) struct Real {
    lease: Ticks,
    id: ReplicaId,
    generation: Generation,
    workspace: WorkspaceId,
    scope: Scope,
    applied: Memo<(Log, Marks, u8), Applied>,
    verdicts: Memo<(Log, Marks, u8, u8), Verdict>,
    notes: Memo<(Option<Seen>, Option<u8>, Ticks), Option<Seen>>,
    standings: Memo<View, Standing>,
}

impl Real {
    /// With leases of so many ticks.
    pub(super) fn new(lease: Ticks) -> Self {
        Self {
            lease,
            id: ReplicaId::new(),
            generation: Generation::random(),
            workspace: WorkspaceId::parse("acme").unwrap(),
            scope: Scope::User { id: UserId::new() },
            applied: Memo::new(),
            verdicts: Memo::new(),
            notes: Memo::new(),
            standings: Memo::new(),
        }
    }

    /// What becomes of the log's row at `place` where these marks are held; `None`: before the log is known.
    pub(super) fn applies(&self, log: Log, marks: Option<Marks>, place: u8) -> Applied {
        let Some(marks) = marks else { return Watermarks::default().apply(&self.record(log, place, false)) };
        let known = (log, marks, place);
        self.applied.get(known, |_| self.watermarks(log, marks).apply(&self.record(log, place, false)))
    }

    /// Whether a session that was minted and read at these places may be answered for.
    pub(super) fn verdict(&self, log: Log, marks: Option<Marks>, mint: u8, attributes: u8) -> Verdict {
        let ask = |held: &Watermarks| {
            let keys = [held.key(Some(&self.workspace), &self.scope)];
            held.verdict(&self.generation, seq(mint), seq(attributes), &keys)
        };
        let Some(marks) = marks else { return ask(&Watermarks::default()) };
        self.verdicts.get((log.up_to(marks.applied), marks, mint, attributes), |_| ask(&self.watermarks(log, marks)))
    }

    /// What is known of a gateway's beat after a reading that was noted as made by `read_before` ticks ago.
    pub(super) fn noted(&self, seen: Option<Seen>, beat: Option<u8>, read_before: Ticks) -> Option<Seen> {
        self.notes.get((seen, beat, read_before), |_| {
            let mut beats = self.beats(seen);
            let rows: Vec<Replica> = beat.map(|beat| self.replica(Row { serves: true, beat, applied: 0 })).into_iter().collect();
            beats.note(&rows, self.ago(read_before));
            let still = beats.still_for(rows.first()?, self.ago(0));
            let ticks = still.as_nanos() / self.tick().as_nanos();
            Some(Seen { beat: beat?, still: Ticks::try_from(ticks).unwrap().min(self.lease) })
        })
    }

    /// How a gateway stands with the barrier.
    pub(super) fn standing(&self, view: View) -> Standing {
        self.standings.get(view, |_| {
            let mut acks = Acks::default();
            if view.is_acknowledged {
                acks.note(&self.id, &self.generation, seq(view.target));
            }
            let target = Target { generation: &self.generation, seq: seq(view.target), committed_by: self.ago(view.waited) };
            standing(&self.replica(view.row), target, &self.beats(view.seen), &acks, self.ago(0))
        })
    }

    /// Whether a beat that has stood still this long proves that its lease is over.
    pub(super) fn outlasts_any_lease(&self, waited: Ticks) -> bool {
        self.tick() * u32::from(waited) >= with_drift(MAX_LEASE)
    }

    /// A tick by the waiter's clock, which is as fast against the gateways' clocks as the drift allows: after as many ticks as a
    /// lease has, exactly a lease and its drift have passed.
    fn tick(&self) -> Duration {
        with_drift(MAX_LEASE) / u32::from(self.lease)
    }

    fn ago(&self, ticks: Ticks) -> BootTime {
        BootTime(self.tick() * (NOW - u32::from(ticks)))
    }

    fn beats(&self, seen: Option<Seen>) -> Beats {
        let mut beats = Beats::default();
        if let Some(Seen { beat, still }) = seen {
            beats.note(&[self.replica(Row { serves: true, beat, applied: 0 })], self.ago(still));
        }
        beats
    }

    fn replica(&self, row: Row) -> Replica {
        Replica {
            id: self.id.clone(),
            state: if row.serves { ReplicaState::Serving } else { ReplicaState::Joining },
            lease: MAX_LEASE,
            beat: i64::from(row.beat),
            applied_generation: (row.applied > 0).then(|| self.generation.clone()),
            applied_seq: seq(row.applied),
        }
    }

    fn record(&self, log: Log, place: u8, is_blank: bool) -> Revocation {
        let kind = match log.at(place) {
            Write::Deactivate => RevocationKind::End,
            Write::Reactivate | Write::Change => RevocationKind::Changed,
        };
        Revocation {
            generation: self.generation.clone(),
            seq: seq(place),
            tag: format!("{place:016x}"),
            workspace: Some(self.workspace.clone()),
            kind,
            scopes: if is_blank { Vec::new() } else { vec![self.scope.clone()] },
            reason: "model".into(),
            at: Timestamp(0),
        }
    }

    fn watermarks(&self, log: Log, marks: Marks) -> Watermarks {
        let held = Watermarks::default();
        held.begin(&Head { generation: self.generation.clone(), seq: seq(log.len()), tag: String::new(), floor: Seq(0) });
        for place in 1..=marks.applied {
            assert_eq!(held.apply(&self.record(log, place, marks.misses(place))), Applied::Next, "the log has no gap");
        }
        held
    }
}

fn seq(place: u8) -> Seq {
    Seq(i64::from(place))
}
