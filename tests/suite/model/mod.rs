//! The barrier's protocol (design.md, section 3) as a model that is explored whole: every order of steps of the database, the
//! provisioner that waits, the gateways with their leases, the doorbell and a browser that signs in. What judges in it is the
//! product's own code; what is the model's own is the order of the steps, taken from `gateway/src/lease`, `gateway/src/session/guard.rs`
//! and `shared/src/revoke`. Each known mistake is a mutant, and the model has to find it.

mod real;
mod state;
mod steps;

use std::time::Instant;

use lockstep_shared::revoke::barrier::Standing;
use stateright::{Checker, HasDiscoveries, Model, Property};

use self::{
    real::Real,
    state::{Browser, GATEWAYS, Gateway, Keeper, Log, Marks, Row, SLOTS, Session, State, Ticks, Waiter, Write},
    steps::Step,
};

/// How much of the world is explored.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// A lease's length.
    lease: Ticks,
    /// Rows that the log may come to have.
    writes: u8,
    /// Gateways at once.
    gateways: usize,
    /// Starts of gateways, those at the beginning included.
    starts: usize,
    /// Whether roles, teams and attributes change too.
    changes: bool,
    /// Whether rows that stand still are deleted.
    forgets: bool,
    /// Whether a renewal takes its moment in a step of its own. Without it the moment is that of the beat: the longest lease there is.
    renews_in_steps: bool,
    /// Whether a request reads the lease in a step of its own. Without it each request is judged at one moment.
    asks_in_steps: bool,
}

/// The mistakes that the model has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutant {
    CountsTheLeaseFromTheReceipt,
    ReadsTheHeadInTheRenewal,
    ServesBeforeTheFirstLease,
    SkipsTheGapCheck,
    AnswersWithoutTheWait,
    ReadsTheRowsBeforeTheCommit,
    TakesARowForDeadAtFirstSight,
    MintsWhenTheSessionIsWritten,
    ClearsTheWatermarkOnReactivation,
    NotesByTheTimeBeforeTheReading,
    AcknowledgesBeforeApplying,
    ReadsTheClockFirst,
    ReadsTheLeaseLast,
    BeginsToCountAnew,
}

#[derive(Debug)]
struct Barrier {
    bounds: Bounds,
    mutant: Option<Mutant>,
    real: Real,
}

const NOBODY_WHO_IS_OUT: &str = "nobody who is out is let in";
const NOBODY_AS_THEY_WERE: &str = "nobody is let in as they were";

impl Barrier {
    fn new(bounds: Bounds, mutant: Option<Mutant>) -> Self {
        Self { bounds, mutant, real: Real::new(bounds.lease) }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Whether a request that came now would be let in.
    fn lets_in(&self, state: &State, gateway: &Gateway, session: Session) -> bool {
        gateway.lease > 0 && self.is_alive(state, gateway, session)
    }

    fn somebody_lets_in(&self, state: &State, is_meant: impl Fn(&Gateway, Session) -> bool) -> bool {
        let Some(session) = state.session() else { return false };
        state.gateways.iter().flatten().any(|gateway| is_meant(gateway, session) && self.lets_in(state, gateway, session))
    }

    /// Whether the answer may be given, and a serving gateway stands like this.
    fn is_answered_by(&self, state: &State, is_meant: impl Fn(&Row, bool, Standing) -> bool) -> bool {
        let (Some(wait), Some(standings)) = (state.waiter.wait, self.standings(state)) else { return false };
        let of_slot = |slot: usize| Some((wait.rows?[slot]?, wait.acknowledged[slot], standings[slot]?));
        !standings.contains(&Some(Standing::Awaited))
            && (0..SLOTS).filter_map(of_slot).any(|(row, said, standing)| row.serves && is_meant(&row, said, standing))
    }
}

impl Model for Barrier {
    type State = State;
    type Action = Step;

    /// The gateways serve, and the person is signed in.
    fn init_states(&self) -> Vec<State> {
        let session = Session { begun: 0, mint: 0, attributes: 0 };
        let mut state = State {
            log: Log::default(),
            rows: [None; SLOTS],
            starts: self.bounds.gateways,
            gateways: [None; GATEWAYS],
            waiter: Waiter::default(),
            answered: 0,
            browser: Browser::In(session),
            is_breached: false,
        };
        for slot in 0..self.bounds.gateways {
            state.rows[slot] = Some(Row { serves: true, beat: 1, applied: 0 });
            state.gateways[slot] = Some(Gateway {
                slot,
                has_joined: true,
                lease: self.bounds.lease,
                marks: Some(Marks::default()),
                keeper: Keeper::Resting,
                request: None,
            });
        }
        vec![state]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let provisioner = [Step::Tick, Step::BeginWait, Step::BeginReading, Step::EndReading, Step::Answer, Step::RestartWaiter];
        steps.extend(provisioner);
        steps.extend([Write::Deactivate, Write::Reactivate, Write::Change].map(Step::Commit));
        steps.extend([Step::Depart, Step::ComeBack, Step::Issue]);
        steps.extend((0..SLOTS).map(Step::Forget));
        for number in 0..self.bounds.gateways {
            steps.extend([Step::Start, Step::Kill, Step::Leave, Step::Join, Step::TakeMoment].map(|step| step(number)));
            steps.extend([Step::Beat, Step::Grant, Step::GiveUp, Step::Hear].map(|step| step(number)));
            steps.extend([Step::Ask, Step::Decide, Step::ReadAgain].map(|step| step(number)));
            steps.extend((1..=state.log.len()).map(|place| Step::Ring(number, place)));
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        self.take(state, step)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NOBODY_WHO_IS_OUT, |model: &Self, state: &State| {
                !state.is_breached && !model.somebody_lets_in(state, |_, session| state.is_out(session))
            }),
            Property::always(NOBODY_AS_THEY_WERE, |model: &Self, state: &State| {
                !model.somebody_lets_in(state, |_, session| state.is_outdated(session))
            }),
            Property::sometimes("an acknowledgement answers", |model: &Self, state: &State| {
                model.is_answered_by(state, |row, said, _| said && row.applied == 0)
            }),
            Property::sometimes("a row answers", |model: &Self, state: &State| {
                model.is_answered_by(state, |_, said, standing| !said && standing == Standing::Confirmed)
            }),
            Property::sometimes("waiting out answers", |model: &Self, state: &State| {
                model.is_answered_by(state, |_, _, standing| standing == Standing::Lapsed)
            }),
            Property::sometimes("somebody who was out signs in again", |model: &Self, state: &State| {
                model.somebody_lets_in(state, |_, session| state.log.has(0, session.begun, |write| write == Write::Reactivate))
            }),
            Property::sometimes("a gateway that was started anew serves", |model: &Self, state: &State| {
                model.somebody_lets_in(state, |gateway, _| gateway.slot >= model.bounds.gateways)
            }),
        ]
    }
}

/// Explores everything; the number of states.
fn explore(name: &str, bounds: Bounds) -> usize {
    let begun = Instant::now();
    let checker = Barrier::new(bounds, None).checker().spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{name}: {states} states, {} steps deep, {:?}", checker.max_depth(), begun.elapsed());
    checker.assert_properties();
    states
}

const BOUNDS: Bounds = Bounds {
    lease: 2,
    writes: 1,
    gateways: 1,
    starts: 1,
    changes: false,
    forgets: false,
    renews_in_steps: false,
    asks_in_steps: false,
};

fn is_long() -> bool {
    std::env::var_os("LOCKSTEP_LONG").is_some()
}

#[test]
fn scratch_sizes() {
    println!("{} bytes", size_of::<State>());
    // lease,writes,gateways,starts,changes,forgets,renews,asks
    for spec in std::env::var("SPECS").unwrap_or_default().split_whitespace() {
        let n: Vec<u8> = spec.split(',').map(|n| n.parse().unwrap()).collect();
        let bounds = Bounds { lease: n[0], writes: n[1], gateways: n[2].into(), starts: n[3].into(), changes: n[4] > 0, forgets: n[5] > 0,
            renews_in_steps: n[6] > 0, asks_in_steps: n[7] > 0 };
        let begun = Instant::now();
        let checker = Barrier::new(bounds, None).checker().finish_when(HasDiscoveries::AnyFailures).timeout(std::time::Duration::from_secs(300)).spawn_bfs().join();
        println!("{spec}: {} states, {} generated, {} steps deep, {:?}, done {}", checker.unique_state_count(), checker.state_count(), checker.max_depth(), begun.elapsed(), checker.is_done());
        for (name, path) in checker.discoveries() {
            println!("   {name}: {}", path.clone().into_actions().len());
            if name.starts_with("nobody") { println!("{:?}", path.clone().into_actions()); }
        }
    }
}

#[test]
fn scratch_mutants() {
    for (mutant, bounds) in MUTANTS {
        let begun = Instant::now();
        let checker = Barrier::new(bounds, Some(mutant)).checker().finish_when(HasDiscoveries::AnyFailures).timeout(std::time::Duration::from_secs(100)).spawn_bfs().join();
        println!("{mutant:?}: {} states, {:?}", checker.unique_state_count(), begun.elapsed());
        for (name, path) in checker.discoveries() {
            if name.starts_with("nobody") { println!("   {name}: {} {:?}", path.clone().into_actions().len(), path.clone().into_actions()); }
        }
    }
}
const MUTANTS: [(Mutant, Bounds); 14] = [
    (Mutant::CountsTheLeaseFromTheReceipt, Bounds { renews_in_steps: true, ..BOUNDS }),
    (Mutant::ReadsTheHeadInTheRenewal, Bounds { renews_in_steps: true, ..BOUNDS }),
    (Mutant::ServesBeforeTheFirstLease, Bounds { starts: 2, ..BOUNDS }),
    (Mutant::SkipsTheGapCheck, Bounds { writes: 2, ..BOUNDS }),
    (Mutant::AnswersWithoutTheWait, BOUNDS),
    (Mutant::ReadsTheRowsBeforeTheCommit, Bounds { starts: 2, ..BOUNDS }),
    (Mutant::TakesARowForDeadAtFirstSight, BOUNDS),
    (Mutant::MintsWhenTheSessionIsWritten, BOUNDS),
    (Mutant::ClearsTheWatermarkOnReactivation, Bounds { writes: 2, ..BOUNDS }),
    (Mutant::NotesByTheTimeBeforeTheReading, Bounds { ..BOUNDS }),
    (Mutant::AcknowledgesBeforeApplying, BOUNDS),
    (Mutant::ReadsTheClockFirst, Bounds { asks_in_steps: true, ..BOUNDS }),
    (Mutant::ReadsTheLeaseLast, Bounds { asks_in_steps: true, ..BOUNDS }),
    (Mutant::BeginsToCountAnew, Bounds { forgets: true, ..BOUNDS }),
];
