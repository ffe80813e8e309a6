//! What the model's world looks like at a moment. Times are counted in ticks from now and never beyond a lease, and beats by their
//! order alone, so that the world goes on for ever and is finite all the same.

/// A count of ticks.
pub(super) type Ticks = u8;

/// Rows of gateways that one world may ever have: one for each start of a process.
pub(super) const SLOTS: usize = 3;
/// Gateways that may run at once.
pub(super) const GATEWAYS: usize = 2;
const LONGEST_LOG: usize = 4;

/// A change of the person by the provisioner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Write {
    Deactivate,
    Reactivate,
    /// Of their roles, teams or attributes.
    Change,
}

/// The revocation log. Places count from one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Log([Option<Write>; LONGEST_LOG]);

impl Log {
    pub(super) fn len(self) -> u8 {
        u8::try_from(self.0.iter().flatten().count()).unwrap()
    }

    pub(super) fn at(self, place: u8) -> Write {
        self.0[usize::from(place) - 1].unwrap()
    }

    pub(super) fn append(&mut self, write: Write) {
        self.0[usize::from(self.len())] = Some(write);
    }

    pub(super) fn up_to(self, place: u8) -> Self {
        let mut start = self;
        start.0[usize::from(place)..].fill(None);
        start
    }

    /// The places in `(after, through]` of rows that are like this.
    pub(super) fn has(self, after: u8, through: u8, is_meant: impl Fn(Write) -> bool) -> bool {
        (after + 1..=through).any(|place| is_meant(self.at(place)))
    }

    /// The person's `ended_seq`: the place of the last deactivation.
    pub(super) fn ended(self) -> Option<u8> {
        (1..=self.len()).rev().find(|place| self.at(*place) == Write::Deactivate)
    }

    pub(super) fn is_active(self) -> bool {
        (1..=self.len()).rev().map(|place| self.at(place)).find(|write| *write != Write::Change) != Some(Write::Deactivate)
    }
}

/// A row of the `gateways` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) serves: bool,
    pub(super) beat: u8,
    pub(super) applied: u8,
}

/// The `gateways` table, by slot.
pub(super) type Rows = [Option<Row>; SLOTS];

/// What a gateway has applied of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Marks {
    pub(super) applied: u8,
    /// Bits of the places that it has passed and knows nothing of; a mutant's doing alone.
    missed: u8,
}

impl Marks {
    pub(super) fn misses(self, place: u8) -> bool {
        self.missed & (1 << place) != 0
    }

    pub(super) fn miss(&mut self, place: u8) {
        self.missed |= 1 << place;
    }
}

/// Where a gateway's keeper is in its renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Keeper {
    Resting,
    /// The moment is taken that the lease will count from, so many ticks ago.
    Taken {
        ago: Ticks,
        claim: u8,
        head: Option<u8>,
    },
    /// The beat is committed.
    Beaten {
        ago: Ticks,
        head: Option<u8>,
    },
}

/// A request on its way through the guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Request {
    /// The lease was read; it ran for so many ticks more.
    Holds(Ticks),
    /// A mutant's: lease and clock were compared already.
    Passed,
    /// A mutant's: the session was found alive, and was out already if this says so.
    Judged { was_out: bool },
}

/// A running gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Gateway {
    /// Its row's slot: the id of this start.
    pub(super) slot: usize,
    pub(super) has_joined: bool,
    /// How long its lease runs.
    pub(super) lease: Ticks,
    /// `None` before its first head.
    pub(super) marks: Option<Marks>,
    pub(super) keeper: Keeper,
    pub(super) request: Option<Request>,
}

impl Gateway {
    pub(super) fn applied(&self) -> u8 {
        self.marks.map_or(0, |marks| marks.applied)
    }
}

/// A beat, and for how long the waiter has seen it stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) beat: u8,
    pub(super) still: Ticks,
}

/// A reading of the gateways' rows that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    /// What the database answered; a mutant's asks it late.
    pub(super) rows: Option<Rows>,
    /// Whether it began after the wait did.
    pub(super) is_for_wait: bool,
    /// How long ago it began; counted for a mutant alone.
    pub(super) ago: Ticks,
}

/// An answer that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Wait {
    pub(super) target: u8,
    pub(super) ago: Ticks,
    pub(super) rows: Option<Rows>,
    pub(super) acknowledged: [bool; SLOTS],
}

/// The provisioner's process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Waiter {
    pub(super) seen: [Option<Seen>; SLOTS],
    pub(super) reading: Option<Reading>,
    pub(super) wait: Option<Wait>,
}

/// A session, or what is about to become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Session {
    /// The head when its sign-in truly began: what the promise counts by.
    pub(super) begun: u8,
    /// The head that it carries.
    pub(super) mint: u8,
    /// The head when its attributes were truly read.
    pub(super) read: u8,
    /// The head that it carries for them.
    pub(super) attributes: u8,
}

/// One browser of the person. What holds for any one holds for all, so one is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Browser {
    /// Sent to the provider.
    Away {
        begun: u8,
    },
    /// Found good at the callback; the session is not written yet.
    Admitted(Session),
    In(Session),
}

/// The world at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) log: Log,
    pub(super) rows: Rows,
    pub(super) starts: usize,
    pub(super) gateways: [Option<Gateway>; GATEWAYS],
    pub(super) waiter: Waiter,
    /// The place that the last answer was given for.
    pub(super) answered: u8,
    pub(super) browser: Browser,
    /// Somebody was let in by a request that took its steps apart, and should not have been.
    pub(super) is_breached: bool,
}

impl State {
    /// Whether the provider was told that the person of this session is out.
    pub(super) fn is_out(&self, session: Session) -> bool {
        self.log.has(session.begun, self.answered, |write| write == Write::Deactivate)
    }

    /// Whether it was told that apps see this session's person as changed.
    pub(super) fn is_outdated(&self, session: Session) -> bool {
        self.log.has(session.read, self.answered, |write| write != Write::Deactivate)
    }

    pub(super) fn session(&self) -> Option<Session> {
        match self.browser {
            Browser::In(session) => Some(session),
            Browser::Away { .. } | Browser::Admitted(_) => None,
        }
    }

    /// A beat of this slot that nobody has seen yet.
    pub(super) fn next_beat(&self, slot: usize) -> u8 {
        self.beats(slot).into_iter().flatten().max().map_or(0, |beat| beat + 1)
    }

    /// The beats of this slot that somebody holds.
    fn beats(&self, slot: usize) -> [Option<u8>; 4] {
        let Waiter { seen, reading, wait } = &self.waiter;
        [
            self.rows[slot].map(|row| row.beat),
            seen[slot].map(|seen| seen.beat),
            reading.and_then(|reading| reading.rows?[slot]).map(|row| row.beat),
            wait.and_then(|wait| wait.rows?[slot]).map(|row| row.beat),
        ]
    }

    /// Renumbers the beats of each row by their order, which is all that anybody looks at.
    pub(super) fn renumber_beats(&mut self) {
        for slot in 0..SLOTS {
            let held = self.beats(slot);
            let rank = |beat: &mut u8| {
                let lower = (0..*beat).filter(|lower| held.contains(&Some(*lower))).count();
                *beat = u8::try_from(lower).unwrap();
            };
            if let Some(row) = &mut self.rows[slot] {
                rank(&mut row.beat);
            }
            if let Some(seen) = &mut self.waiter.seen[slot] {
                rank(&mut seen.beat);
            }
            if let Some(row) = self.waiter.reading.as_mut().and_then(|reading| reading.rows.as_mut()?[slot].as_mut()) {
                rank(&mut row.beat);
            }
            if let Some(row) = self.waiter.wait.as_mut().and_then(|wait| wait.rows.as_mut()?[slot].as_mut()) {
                rank(&mut row.beat);
            }
        }
    }
}
