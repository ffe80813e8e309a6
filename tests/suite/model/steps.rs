//! What may happen next, and what comes of it. Each step is one act that nothing can come between: one statement of the database,
//! one look at a clock, one change of memory. Whoever takes no step is slow, paused or cut off, and a message that is never heard
//! is lost, so that none of these needs a step of its own.

use lockstep_gateway::session::watermarks::{Applied, Verdict};
use lockstep_shared::revoke::barrier::Standing;

use super::{
    Barrier, Mutant,
    real::View,
    state::{Browser, Gateway, Keeper, Marks, Reading, Request, Row, SLOTS, Session, State, Wait, Waiter, Write},
};

/// What may happen. Gateways are named by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Time passes, for everybody.
    Tick,
    /// The provisioner changes the person; the revocation commits with it.
    Commit(Write),
    /// The barrier begins for the person's last end of access or last row; a repeated request begins it anew.
    BeginWait,
    /// The waiter asks for the gateways' rows.
    BeginReading,
    /// It has them.
    EndReading,
    /// It hears an acknowledgement.
    Hear(usize),
    /// The provider is answered.
    Answer,
    /// The provisioner's process is killed and started anew.
    RestartWaiter,
    /// The provisioner deletes the row of a gateway that has stood still.
    Forget(usize),
    /// A gateway's process starts.
    Start(usize),
    /// It writes its row.
    Join(usize),
    /// It takes the moment that its lease will count from.
    TakeMoment(usize),
    /// Its beat commits.
    Beat(usize),
    /// It reads the head and the log up to there, applies it and grants the lease.
    Grant(usize),
    /// Its renewal comes to nothing.
    GiveUp(usize),
    /// It hears the doorbell for this place of the log; any row may be heard late, again or never.
    Ring(usize, u8),
    /// It is killed.
    Kill(usize),
    /// It stops in good order.
    Leave(usize),
    /// A request comes and takes its first look.
    Ask(usize),
    /// It takes its last look.
    Decide(usize),
    /// The session's person is read again.
    ReadAgain(usize),
    /// The browser is sent to the provider.
    Depart,
    /// It comes back, and one snapshot must find the person good.
    ComeBack,
    /// The session is written.
    Issue,
}

impl Barrier {
    /// What comes of a step; `None` if it cannot be taken.
    pub(super) fn take(&self, before: &State, step: Step) -> Option<State> {
        let mut state = *before;
        match step {
            Step::Tick => self.tick(&mut state),
            Step::Commit(write) => self.commit(&mut state, write)?,
            Step::BeginWait => self.begin_wait(&mut state)?,
            Step::BeginReading => self.begin_reading(&mut state)?,
            Step::EndReading => self.end_reading(&mut state)?,
            Step::Hear(number) => self.hear(&mut state, number)?,
            Step::Answer => self.answer(&mut state)?,
            Step::RestartWaiter => state.waiter = Waiter::default(),
            Step::Forget(slot) => self.forget(&mut state, slot)?,
            Step::Start(number) => self.start(&mut state, number)?,
            Step::Kill(number) => {
                state.gateways[number].take()?;
            }
            Step::Leave(number) => {
                let gateway = state.gateways[number].take().filter(|gateway| gateway.request.is_none())?;
                state.rows[gateway.slot] = None;
            }
            Step::Depart => state.browser = Browser::Away { begun: state.log.len() },
            Step::ComeBack => come_back(&mut state)?,
            Step::Issue => self.issue(&mut state)?,
            Step::Join(number)
            | Step::TakeMoment(number)
            | Step::Beat(number)
            | Step::Grant(number)
            | Step::GiveUp(number)
            | Step::Ring(number, _)
            | Step::Ask(number)
            | Step::Decide(number)
            | Step::ReadAgain(number) => {
                let mut gateway = state.gateways[number]?;
                self.gateway_takes(&mut state, &mut gateway, step)?;
                state.gateways[number] = Some(gateway);
            }
        }
        // What the mutant confuses is the numbers themselves.
        if !self.is(Mutant::BeginsToCountAnew) {
            state.renumber_beats();
        }
        (state != *before).then_some(state)
    }

    fn gateway_takes(&self, state: &mut State, gateway: &mut Gateway, step: Step) -> Option<()> {
        match step {
            Step::Join(_) => self.join(state, gateway),
            Step::TakeMoment(_) => self.take_moment(state, gateway),
            Step::Beat(_) => self.beat(state, gateway),
            Step::Grant(_) => self.grant(state, gateway),
            Step::GiveUp(_) => matches!(gateway.keeper, Keeper::Beaten { .. }).then(|| gateway.keeper = Keeper::Resting),
            Step::Ring(_, place) => self.ring(state, gateway, place),
            Step::Ask(_) => self.ask(state, gateway),
            Step::Decide(_) => self.decide(state, gateway),
            Step::ReadAgain(_) => self.read_again(state, gateway),
            other => unreachable!("{other:?} is not a gateway's own"),
        }
    }

    fn tick(&self, state: &mut State) {
        let older = |ago: &mut u8| *ago = (*ago + 1).min(self.bounds.lease);
        for gateway in state.gateways.iter_mut().flatten() {
            gateway.lease = gateway.lease.saturating_sub(1);
            if let Some(Request::Holds(left)) = &mut gateway.request {
                *left -= 1;
                if *left == 0 {
                    gateway.request = None;
                }
            }
            match &mut gateway.keeper {
                Keeper::Resting => {}
                Keeper::Taken { ago, .. } | Keeper::Beaten { ago, .. } => older(ago),
            }
        }
        state.waiter.seen.iter_mut().flatten().for_each(|seen| older(&mut seen.still));
        if let Some(wait) = &mut state.waiter.wait {
            older(&mut wait.ago);
        }
        if let Some(reading) = state.waiter.reading.as_mut().filter(|_| self.is(Mutant::NotesByTheTimeBeforeTheReading)) {
            older(&mut reading.ago);
        }
    }

    fn commit(&self, state: &mut State, write: Write) -> Option<()> {
        let is_of_use = match write {
            Write::Deactivate => state.log.is_active(),
            Write::Reactivate => !state.log.is_active(),
            Write::Change => self.bounds.changes && state.log.is_active(),
        };
        (is_of_use && state.log.len() < self.bounds.writes).then(|| state.log.append(write))
    }

    fn begin_wait(&self, state: &mut State) -> Option<()> {
        let target = if self.bounds.changes { state.log.len() } else { state.log.ended()? };
        if state.waiter.wait.is_some() || target <= state.answered {
            return None;
        }
        state.waiter.wait = Some(Wait { target, ago: 0, rows: None, acknowledged: [false; SLOTS] });
        if let Some(reading) = &mut state.waiter.reading {
            reading.is_for_wait = self.is(Mutant::ReadsTheRowsBeforeTheCommit);
        }
        Some(())
    }

    fn begin_reading(&self, state: &mut State) -> Option<()> {
        if state.waiter.reading.is_some() {
            return None;
        }
        let asks_late = self.is(Mutant::NotesByTheTimeBeforeTheReading);
        let rows = (!asks_late).then_some(state.rows);
        let is_for_wait = state.waiter.wait.is_some() || self.is(Mutant::ReadsTheRowsBeforeTheCommit);
        state.waiter.reading = Some(Reading { rows, is_for_wait, ago: 0 });
        Some(())
    }

    fn end_reading(&self, state: &mut State) -> Option<()> {
        let reading = state.waiter.reading.take()?;
        let rows = reading.rows.unwrap_or(state.rows);
        for (seen, row) in state.waiter.seen.iter_mut().zip(rows) {
            let is_first_sight = seen.is_none() && self.is(Mutant::TakesARowForDeadAtFirstSight);
            let ago = if is_first_sight { self.bounds.lease } else { reading.ago };
            *seen = self.real.noted(*seen, row.map(|row| row.beat), ago);
        }
        if let Some(wait) = state.waiter.wait.as_mut().filter(|_| reading.is_for_wait) {
            wait.rows = Some(rows);
        }
        Some(())
    }

    fn hear(&self, state: &mut State, number: usize) -> Option<()> {
        let (wait, gateway) = (state.waiter.wait.as_mut()?, state.gateways[number]?);
        let may_be_said = gateway.applied() >= wait.target || self.is(Mutant::AcknowledgesBeforeApplying);
        (may_be_said && !wait.acknowledged[gateway.slot]).then(|| wait.acknowledged[gateway.slot] = true)
    }

    fn answer(&self, state: &mut State) -> Option<()> {
        let target = state.waiter.wait?.target;
        let may_answer = self.standings(state).is_some_and(|standings| !standings.contains(&Some(Standing::Awaited)));
        if !may_answer && !self.is(Mutant::AnswersWithoutTheWait) {
            return None;
        }
        state.waiter.wait = None;
        state.answered = state.answered.max(target);
        Some(())
    }

    /// How each slot's gateway stands with the wait; `None` while that cannot be known.
    pub(super) fn standings(&self, state: &State) -> Option<[Option<Standing>; SLOTS]> {
        let wait = state.waiter.wait?;
        let Some(rows) = wait.rows else {
            // Without the rows, the longest lease there can be is waited out.
            return self.real.outlasts_any_lease(wait.ago).then_some([None; SLOTS]);
        };
        let view = |slot: usize, row: Row| View {
            row,
            seen: state.waiter.seen[slot],
            is_acknowledged: wait.acknowledged[slot],
            target: wait.target,
            waited: wait.ago,
        };
        Some(std::array::from_fn(|slot| rows[slot].map(|row| self.real.standing(view(slot, row)))))
    }

    fn forget(&self, state: &mut State, slot: usize) -> Option<()> {
        let (seen, row) = (state.waiter.seen[slot]?, state.rows[slot]?);
        // After 10 minutes in truth, which no lease outlasts either.
        let is_still = self.real.outlasts_any_lease(seen.still) && seen.beat == row.beat;
        (self.bounds.forgets && is_still).then(|| state.rows[slot] = None)
    }

    fn start(&self, state: &mut State, number: usize) -> Option<()> {
        if state.gateways[number].is_some() || number >= self.bounds.gateways || state.starts >= self.bounds.starts {
            return None;
        }
        let serves_at_once = self.is(Mutant::ServesBeforeTheFirstLease);
        state.gateways[number] = Some(Gateway {
            slot: state.starts,
            has_joined: false,
            lease: if serves_at_once { self.bounds.lease } else { 0 },
            marks: serves_at_once.then(Marks::default),
            keeper: Keeper::Resting,
            request: None,
        });
        state.starts += 1;
        Some(())
    }

    fn join(&self, state: &mut State, gateway: &mut Gateway) -> Option<()> {
        if gateway.has_joined {
            return None;
        }
        gateway.has_joined = true;
        // It counts on where it was forgotten: a beat that comes a second time would be taken for one that has stood still since. A row
        // that is there already is the one that an attempt has made whose answer was lost.
        let beat = if self.is(Mutant::BeginsToCountAnew) { 0 } else { state.next_beat(gateway.slot) };
        state.rows[gateway.slot].get_or_insert(Row { serves: false, beat, applied: 0 });
        Some(())
    }

    fn take_moment(&self, state: &State, gateway: &mut Gateway) -> Option<()> {
        if !self.bounds.renews_in_steps || !gateway.has_joined || gateway.keeper != Keeper::Resting {
            return None;
        }
        let head = self.is(Mutant::ReadsTheHeadInTheRenewal).then(|| state.log.len());
        gateway.keeper = Keeper::Taken { ago: 0, claim: gateway.applied(), head };
        Some(())
    }

    fn beat(&self, state: &mut State, gateway: &mut Gateway) -> Option<()> {
        let (ago, claim, head) = match gateway.keeper {
            // At the beat itself: the longest lease that it can bring.
            Keeper::Resting if gateway.has_joined && !self.bounds.renews_in_steps => (0, gateway.applied(), None),
            Keeper::Taken { ago, claim, head } => (ago, claim, head),
            Keeper::Resting | Keeper::Beaten { .. } => return None,
        };
        let next_beat = state.next_beat(gateway.slot);
        if let Some(row) = &mut state.rows[gateway.slot] {
            let beat = if self.is(Mutant::BeginsToCountAnew) { row.beat + 1 } else { next_beat };
            *row = Row { serves: true, beat, applied: claim };
            gateway.keeper = Keeper::Beaten { ago, head };
        } else {
            gateway.lease = 0;
            gateway.has_joined = false;
            gateway.keeper = Keeper::Resting;
        }
        Some(())
    }

    fn grant(&self, state: &State, gateway: &mut Gateway) -> Option<()> {
        let Keeper::Beaten { ago, head } = gateway.keeper else { return None };
        let head = head.unwrap_or(state.log.len());
        let mut marks = gateway.marks.unwrap_or_default();
        for place in marks.applied + 1..=head {
            assert_eq!(self.real.applies(state.log, Some(marks), place), Applied::Next, "the log is read without a gap");
            self.pass(state, &mut marks, place);
        }
        gateway.marks = Some(marks);
        gateway.lease = self.bounds.lease - if self.is(Mutant::CountsTheLeaseFromTheReceipt) { 0 } else { ago };
        gateway.keeper = Keeper::Resting;
        Some(())
    }

    fn ring(&self, state: &State, gateway: &mut Gateway, place: u8) -> Option<()> {
        if place > state.log.len() {
            return None;
        }
        match self.real.applies(state.log, gateway.marks, place) {
            Applied::Next => self.pass(state, gateway.marks.as_mut()?, place),
            Applied::Gap if self.is(Mutant::SkipsTheGapCheck) => {
                let marks = gateway.marks.as_mut()?;
                (marks.applied + 1..place).for_each(|missed| marks.miss(missed));
                self.pass(state, marks, place);
            }
            Applied::Gap | Applied::Known => return None,
            Applied::Contradiction => unreachable!("the log has one history"),
        }
        Some(())
    }

    /// Moves the marks on to `place`, whose row was applied.
    fn pass(&self, state: &State, marks: &mut Marks, place: u8) {
        if self.is(Mutant::ClearsTheWatermarkOnReactivation) && state.log.at(place) == Write::Reactivate {
            (1..place).for_each(|earlier| marks.miss(earlier));
        }
        marks.applied = place;
    }

    fn ask(&self, state: &State, gateway: &mut Gateway) -> Option<()> {
        if !self.bounds.asks_in_steps || gateway.request.is_some() {
            return None;
        }
        gateway.request = Some(if self.is(Mutant::ReadsTheClockFirst) {
            (gateway.lease > 0).then_some(Request::Passed)?
        } else if self.is(Mutant::ReadsTheLeaseLast) {
            let session = state.session().filter(|session| self.is_alive(state, gateway, *session))?;
            Request::Judged { was_out: state.is_out(session) }
        } else {
            (gateway.lease > 0).then_some(Request::Holds(gateway.lease))?
        });
        Some(())
    }

    /// The rest of the request, at one moment: the session is judged, and the clock read as early as it can be.
    fn decide(&self, state: &mut State, gateway: &mut Gateway) -> Option<()> {
        let was_out = match gateway.request.take()? {
            Request::Judged { was_out } => was_out && gateway.lease > 0,
            Request::Holds(_) | Request::Passed => state.session().is_some_and(|session| {
                self.is_alive(state, gateway, session) && (state.is_out(session) || state.is_outdated(session))
            }),
        };
        state.is_breached |= was_out;
        Some(())
    }

    /// Whether the guard finds the session alive, its lease apart.
    pub(super) fn is_alive(&self, state: &State, gateway: &Gateway, session: Session) -> bool {
        self.real.verdict(state.log, gateway.marks, session.mint, session.attributes) == Verdict::Alive
    }

    fn read_again(&self, state: &mut State, gateway: &Gateway) -> Option<()> {
        let session = state.session()?;
        let verdict = self.real.verdict(state.log, gateway.marks, session.mint, session.attributes);
        if verdict != Verdict::Stale || !state.log.is_active() {
            return None;
        }
        let head = state.log.len();
        state.browser = Browser::In(Session { read: head, attributes: head, ..session });
        Some(())
    }

    fn issue(&self, state: &mut State) -> Option<()> {
        let Browser::Admitted(session) = state.browser else { return None };
        let mint = if self.is(Mutant::MintsWhenTheSessionIsWritten) { state.log.len() } else { session.mint };
        let attributes =
            if self.is(Mutant::DatesTheAttributesWhenTheSessionIsWritten) { state.log.len() } else { session.attributes };
        state.browser = Browser::In(Session { mint, attributes, ..session });
        Some(())
    }
}

fn come_back(state: &mut State) -> Option<()> {
    let Browser::Away { begun } = state.browser else { return None };
    let head = state.log.len();
    let admitted = Browser::Admitted(Session { begun, mint: begun, read: head, attributes: head });
    state.log.is_active().then(|| state.browser = admitted)
}
