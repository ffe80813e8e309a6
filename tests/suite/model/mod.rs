//! The barrier's protocol (deploy/decisions/barrier.md) as a model that is explored whole: every order of steps of the database, the
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
#[expect(clippy::struct_excessive_bools, reason = "each is a question of its own")]
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
    DatesTheAttributesWhenTheSessionIsWritten,
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
const PROMISES: [&str; 2] = [NOBODY_WHO_IS_OUT, NOBODY_AS_THEY_WERE];
const BY_ACKNOWLEDGEMENT: &str = "an acknowledgement answers";
const BY_ROW: &str = "a row answers";
const BY_WAITING_OUT: &str = "waiting out answers";
const SIGNED_IN_ANEW: &str = "somebody who was out signs in again";
const STARTED_ANEW: &str = "a gateway that was started anew serves";

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
        let session = Session { begun: 0, mint: 0, read: 0, attributes: 0 };
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
            Property::sometimes(BY_ACKNOWLEDGEMENT, |model: &Self, state: &State| {
                model.is_answered_by(state, |row, said, _| said && row.applied == 0)
            }),
            Property::sometimes(BY_ROW, |model: &Self, state: &State| {
                model.is_answered_by(state, |_, said, standing| !said && standing == Standing::Confirmed)
            }),
            Property::sometimes(BY_WAITING_OUT, |model: &Self, state: &State| {
                model.is_answered_by(state, |_, _, standing| standing == Standing::Lapsed)
            }),
            Property::sometimes(SIGNED_IN_ANEW, |model: &Self, state: &State| {
                model.somebody_lets_in(state, |_, session| state.log.has(0, session.begun, |write| write == Write::Reactivate))
            }),
            Property::sometimes(STARTED_ANEW, |model: &Self, state: &State| {
                model.somebody_lets_in(state, |gateway, _| gateway.slot >= model.bounds.gateways)
            }),
        ]
    }
}

/// Explores everything within these bounds: nothing that must hold is broken anywhere, and each of these goals is reached.
#[expect(clippy::print_stdout, reason = "how much was explored is what a reader of the run asks")]
fn holds(name: &str, bounds: Bounds, goals: &[&'static str]) {
    let begun = Instant::now();

    let checker = Barrier::new(bounds, None).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();

    println!("{name}: {} states, {} steps deep, {:.1?}", checker.unique_state_count(), checker.max_depth(), begun.elapsed());
    let broken = broken_by(&checker);
    assert_eq!(broken, None, "{name}");
    for goal in goals {
        assert!(checker.discovery(goal).is_some(), "{name}: never {goal}");
    }
}

/// A short run that breaks a promise, if there is any.
fn broken_by(checker: &impl Checker<Barrier>) -> Option<(&'static str, Vec<Step>)> {
    PROMISES.into_iter().find_map(|promise| {
        let found = checker.discovery(promise)?;
        Some((promise, checker.model().shortened(found.into_actions())))
    })
}

impl Barrier {
    /// A run that breaks a promise without the steps that it does not need for that.
    fn shortened(&self, mut steps: Vec<Step>) -> Vec<Step> {
        assert!(self.breaks(&steps), "the run is repeated");
        let mut number = steps.len();
        while number > 0 {
            number -= 1;
            let mut fewer = steps.clone();
            fewer.remove(number);
            if self.breaks(&fewer) {
                // What needed this step may be needed no more.
                number = fewer.len();
                steps = fewer;
            }
        }
        steps
    }

    fn breaks(&self, steps: &[Step]) -> bool {
        let begun = self.init_states().pop();
        let ended = steps.iter().fold(begun, |state, step| state.and_then(|state| self.take(&state, *step)));
        ended.is_some_and(|state| PROMISES.iter().any(|promise| !(self.property(promise).condition)(self, &state)))
    }
}

const BOUNDS: Bounds = Bounds {
    lease: 1,
    writes: 1,
    gateways: 1,
    starts: 1,
    changes: false,
    forgets: false,
    renews_in_steps: false,
    asks_in_steps: false,
};
const ANSWERS: [&str; 3] = [BY_ACKNOWLEDGEMENT, BY_ROW, BY_WAITING_OUT];

/// `tests/run --long` looks further.
fn within(bounds: Bounds, long: Bounds) -> Bounds {
    if is_long() { long } else { bounds }
}

fn is_long() -> bool {
    std::env::var_os("LOCKSTEP_LONG").is_some()
}

#[test]
fn nobody_is_let_in_after_the_answer_however_the_steps_fall() {
    let bounds = Bounds { lease: 2, forgets: true, renews_in_steps: true, asks_in_steps: true, ..BOUNDS };

    holds("in single steps", within(bounds, Bounds { lease: 3, writes: 2, ..bounds }), &ANSWERS);
    if is_long() {
        holds("two gateways", Bounds { gateways: 2, starts: 2, ..BOUNDS }, &ANSWERS);
    }
}

#[test]
fn nobody_is_let_in_after_the_answer_by_a_gateway_that_was_killed_and_started_anew() {
    let bounds = Bounds { starts: 2, ..BOUNDS };
    let long = Bounds { lease: 2, forgets: true, renews_in_steps: true, ..bounds };

    holds("started anew", within(bounds, long), &[&ANSWERS[..], &[STARTED_ANEW]].concat());
}

#[test]
fn a_person_who_comes_back_signs_in_anew_and_no_session_of_theirs_comes_back() {
    let bounds = Bounds { writes: 2, ..BOUNDS };
    let long = Bounds { lease: 2, writes: 3, asks_in_steps: true, ..bounds };

    holds("out and back", within(bounds, long), &[&ANSWERS[..], &[SIGNED_IN_ANEW]].concat());
}

#[test]
fn nobody_is_let_in_with_roles_that_were_taken_away() {
    let bounds = Bounds { changes: true, ..BOUNDS };

    holds("changed", within(bounds, Bounds { lease: 2, writes: 2, ..bounds }), &ANSWERS);
}

#[test]
#[expect(clippy::print_stdout, reason = "the shortest way to each mistake is worth reading")]
fn each_known_mistake_is_found() {
    let in_steps = Bounds { renews_in_steps: true, asks_in_steps: true, ..BOUNDS };
    let (twice, anew) = (Bounds { writes: 2, ..BOUNDS }, Bounds { starts: 2, ..BOUNDS });
    let mutants = [
        (Mutant::CountsTheLeaseFromTheReceipt, in_steps),
        (Mutant::ReadsTheHeadInTheRenewal, in_steps),
        (Mutant::ServesBeforeTheFirstLease, anew),
        (Mutant::SkipsTheGapCheck, twice),
        (Mutant::AnswersWithoutTheWait, BOUNDS),
        (Mutant::ReadsTheRowsBeforeTheCommit, anew),
        (Mutant::TakesARowForDeadAtFirstSight, BOUNDS),
        (Mutant::MintsWhenTheSessionIsWritten, BOUNDS),
        (Mutant::DatesTheAttributesWhenTheSessionIsWritten, Bounds { changes: true, ..BOUNDS }),
        (Mutant::ClearsTheWatermarkOnReactivation, twice),
        (Mutant::NotesByTheTimeBeforeTheReading, BOUNDS),
        (Mutant::AcknowledgesBeforeApplying, BOUNDS),
        (Mutant::ReadsTheClockFirst, in_steps),
        (Mutant::ReadsTheLeaseLast, in_steps),
        (Mutant::BeginsToCountAnew, Bounds { forgets: true, ..BOUNDS }),
    ];

    for (mutant, bounds) in mutants {
        let barrier = Barrier::new(bounds, Some(mutant));
        // A mutant may break out of every bound: what it breaks is near.
        let checker = barrier.checker().finish_when(HasDiscoveries::AnyFailures).target_state_count(5_000_000).spawn_bfs().join();

        let (promise, steps) = broken_by(&checker).unwrap_or_else(|| panic!("{mutant:?} breaks nothing"));
        println!(
            "{mutant:?}, after {} states: not \"{promise}\" in {} steps: {steps:?}",
            checker.unique_state_count(),
            steps.len()
        );
    }
}
