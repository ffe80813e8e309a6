//! What this gateway has applied of the revocation log: for each scope the newest row that ended sessions and the newest that
//! changed them. Whether a session is alive is one comparison with these.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, BuildHasherDefault, Hasher},
    sync::{PoisonError, RwLock},
};

use lockstep_shared::{
    clock::Timestamp,
    id::{Generation, WorkspaceId},
    model::{
        revocation::{Head, Revocation, RevocationKind, Scope, Seq},
        session::Session,
    },
};

/// A scope of a workspace, digested with a random key. Two scopes with one digest would share a watermark, which can only end a
/// session too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScopeKey(u64);

/// Passes digests through: they are spread already.
#[derive(Debug, Clone, Copy, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

type Marks = HashMap<ScopeKey, Mark, BuildHasherDefault<AsIs>>;

#[derive(Debug, Clone, Copy)]
struct Mark {
    seq: Seq,
    at: Timestamp,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was the next one and counts from now on.
    Next,
    /// It counted already.
    Known,
    /// Rows before it are missing, or it is of another incarnation: read the log.
    Gap,
    /// The row at this place was another one: the database has gone back to an older state.
    Contradiction,
}

/// Whether a session may be answered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing newer names it.
    Alive,
    /// What apps see of the person may have changed: read it again first.
    Stale,
    /// It has ended.
    Ended,
}

/// What this gateway has applied of the log.
#[derive(Debug, Default)]
pub struct Watermarks {
    digest: RandomState,
    index: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    log: Option<Position>,
    ended: Marks,
    changed: Marks,
}

/// How far the log is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The log's incarnation.
    pub generation: Generation,
    /// The last row's place.
    pub seq: Seq,
    /// The last row's tag; empty where only the floor is known.
    tag: String,
    /// Sessions minted before it are dead.
    floor: Seq,
}

impl Position {
    /// Whether a head that was read *later* cannot be a later state of this: fewer rows of the same incarnation, or another row at
    /// our place.
    #[must_use]
    pub fn is_contradicted_by(&self, head: &Head) -> bool {
        let other_row = head.seq == self.seq && !self.tag.is_empty() && head.tag != self.tag;
        head.generation == self.generation && (head.seq < self.seq || other_row)
    }
}

impl Watermarks {
    /// The digest of a scope in a workspace; `Everyone` is the same in all.
    #[must_use]
    pub fn key(&self, workspace: Option<&WorkspaceId>, scope: &Scope) -> ScopeKey {
        ScopeKey(match scope {
            Scope::Everyone => self.digest.hash_one(scope),
            Scope::Workspace
            | Scope::Method { .. }
            | Scope::Connection { .. }
            | Scope::Subject { .. }
            | Scope::ProviderSession { .. }
            | Scope::User { .. }
            | Scope::Session { .. } => self.digest.hash_one((workspace, scope)),
        })
    }

    /// The digests of everything that names a session.
    #[must_use]
    pub fn keys_of(&self, session: &Session) -> Box<[ScopeKey]> {
        session.scopes().iter().map(|scope| self.key(Some(&session.workspace), scope)).collect()
    }

    /// How far the log is applied, and by which row.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.read(|index| index.log.clone())
    }

    /// How far the log is applied.
    #[must_use]
    pub fn applied(&self) -> Option<(Generation, Seq)> {
        self.read(|index| index.log.as_ref().map(|log| (log.generation.clone(), log.seq)))
    }

    /// Begins with the log as `head` says, before any of its rows above the floor is applied. What was known is forgotten: sessions of
    /// another incarnation are dead by that alone.
    pub fn begin(&self, head: &Head) {
        self.write(|index| {
            let log = Position { generation: head.generation.clone(), seq: head.floor, tag: String::new(), floor: head.floor };
            *index = Index { log: Some(log), ..Index::default() };
        });
    }

    /// Applies a row if it is the next one.
    pub fn apply(&self, record: &Revocation) -> Applied {
        let keys: Vec<ScopeKey> = record.scopes.iter().map(|scope| self.key(record.workspace.as_ref(), scope)).collect();
        self.write(|index| {
            let Some(log) = &mut index.log else { return Applied::Gap };
            if log.generation != record.generation || record.seq > log.seq.next() {
                return Applied::Gap;
            }
            if record.seq <= log.seq {
                let contradicts = record.seq == log.seq && !log.tag.is_empty() && record.tag != log.tag;
                return if contradicts { Applied::Contradiction } else { Applied::Known };
            }
            (log.seq, log.tag) = (record.seq, record.tag.clone());
            let marks = match record.kind {
                RevocationKind::End => &mut index.ended,
                RevocationKind::Changed => &mut index.changed,
            };
            for key in keys {
                // Places only grow, so a later row never lowers a watermark.
                marks.insert(key, Mark { seq: record.seq, at: record.at });
            }
            Applied::Next
        })
    }

    /// Whether the log's incarnation is that of `head`.
    #[must_use]
    pub fn is_of(&self, head: &Head) -> bool {
        self.read(|index| index.log.as_ref().is_some_and(|log| log.generation == head.generation))
    }

    /// Whether a session of this incarnation, minted and read at these places, may be answered for.
    #[must_use]
    pub fn verdict(&self, generation: &Generation, mint_seq: Seq, attr_seq: Seq, keys: &[ScopeKey]) -> Verdict {
        self.read(|index| {
            let Some(log) = &index.log else { return Verdict::Ended };
            if log.generation != *generation || mint_seq < log.floor {
                return Verdict::Ended;
            }
            let newer = |marks: &Marks, than: Seq| keys.iter().any(|key| marks.get(key).is_some_and(|mark| mark.seq > than));
            if newer(&index.ended, mint_seq) {
                Verdict::Ended
            } else if attr_seq < log.floor || newer(&index.changed, attr_seq) {
                Verdict::Stale
            } else {
                Verdict::Alive
            }
        })
    }

    /// Forgets watermarks older than `before`, which must be further back than the longest session lasts. The floor rises to the
    /// newest that is forgotten, so that whatever it would have ended is dead by the floor.
    pub fn prune(&self, before: Timestamp) {
        self.write(|index| {
            let marks = || index.ended.values().chain(index.changed.values());
            // One writer's clock may be far behind: what it wrote does not lift the floor over rows that are young.
            let youngest_floor = marks().filter(|mark| mark.at >= before).map(|mark| mark.seq).min().unwrap_or(Seq(i64::MAX));
            let newest = marks().map(|mark| mark.seq).filter(|seq| *seq < youngest_floor).max();
            let (Some(newest), Some(log)) = (newest, &mut index.log) else { return };
            log.floor = log.floor.max(newest);
            let floor = log.floor;
            index.ended.retain(|_, mark| mark.seq > floor);
            index.changed.retain(|_, mark| mark.seq > floor);
        });
    }

    /// How many watermarks are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read(|index| index.ended.len() + index.changed.len())
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        // A panic within `write` could leave half a row applied; nothing there can panic, and a poisoned lock is read as it is.
        look(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Index) -> T) -> T {
        change(&mut self.index.write().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::id::UserId;

    use super::*;

    fn generation(digit: char) -> Generation {
        Generation::parse(&digit.to_string().repeat(32)).unwrap()
    }

    fn acme() -> WorkspaceId {
        WorkspaceId::parse("acme").unwrap()
    }

    fn head(seq: i64, floor: i64) -> Head {
        Head { generation: generation('a'), seq: Seq(seq), tag: format!("t{seq}"), floor: Seq(floor) }
    }

    fn row(seq: i64, kind: RevocationKind, workspace: Option<WorkspaceId>, scope: Scope) -> Revocation {
        Revocation {
            generation: generation('a'),
            seq: Seq(seq),
            tag: format!("t{seq}"),
            workspace,
            kind,
            scopes: vec![scope],
            reason: "test".into(),
            at: Timestamp(seq * 1000),
        }
    }

    fn begun() -> Watermarks {
        let marks = Watermarks::default();
        marks.begin(&head(0, 0));
        marks
    }

    fn verdict(marks: &Watermarks, mint: i64, attr: i64, scopes: &[Scope]) -> Verdict {
        let keys: Vec<_> = scopes.iter().map(|scope| marks.key(Some(&acme()), scope)).collect();
        marks.verdict(&generation('a'), Seq(mint), Seq(attr), &keys)
    }

    #[test]
    fn a_session_ends_by_a_row_newer_than_its_mint_and_by_no_older_one() {
        let (marks, user) = (begun(), Scope::User { id: UserId::new() });
        assert_eq!(marks.apply(&row(1, RevocationKind::End, Some(acme()), user.clone())), Applied::Next);

        assert_eq!(verdict(&marks, 0, 0, std::slice::from_ref(&user)), Verdict::Ended);
        assert_eq!(verdict(&marks, 1, 1, std::slice::from_ref(&user)), Verdict::Alive);
        assert_eq!(verdict(&marks, 0, 0, &[Scope::User { id: UserId::new() }]), Verdict::Alive, "somebody else");
    }

    #[test]
    fn a_reactivation_never_lowers_a_watermark() {
        let (marks, user) = (begun(), Scope::User { id: UserId::new() });
        marks.apply(&row(1, RevocationKind::End, Some(acme()), user.clone()));
        marks.apply(&row(2, RevocationKind::Changed, Some(acme()), user.clone()));

        assert_eq!(verdict(&marks, 0, 2, &[user]), Verdict::Ended);
    }

    #[test]
    fn a_changed_row_makes_a_session_stale_until_its_person_is_read_again() {
        let (marks, user) = (begun(), Scope::User { id: UserId::new() });
        marks.apply(&row(1, RevocationKind::Changed, Some(acme()), user.clone()));

        assert_eq!(verdict(&marks, 0, 0, std::slice::from_ref(&user)), Verdict::Stale);
        assert_eq!(verdict(&marks, 0, 1, &[user]), Verdict::Alive);
    }

    #[test]
    fn a_scope_of_another_workspace_names_nobody_here_and_everyone_names_all() {
        let marks = begun();
        marks.apply(&row(1, RevocationKind::End, Some(WorkspaceId::parse("other").unwrap()), Scope::Workspace));
        assert_eq!(verdict(&marks, 0, 0, &[Scope::Everyone, Scope::Workspace]), Verdict::Alive);

        marks.apply(&row(2, RevocationKind::End, None, Scope::Everyone));

        assert_eq!(verdict(&marks, 1, 1, &[Scope::Everyone, Scope::Workspace]), Verdict::Ended);
    }

    #[test]
    fn a_row_out_of_order_is_a_gap_and_changes_nothing() {
        let (marks, user) = (begun(), Scope::User { id: UserId::new() });

        assert_eq!(marks.apply(&row(2, RevocationKind::End, Some(acme()), user.clone())), Applied::Gap);

        assert_eq!(verdict(&marks, 0, 0, &[user]), Verdict::Alive);
        assert_eq!(marks.applied(), Some((generation('a'), Seq(0))));
    }

    #[test]
    fn another_row_at_our_place_is_a_contradiction() {
        let (marks, user) = (begun(), Scope::User { id: UserId::new() });
        let first = row(1, RevocationKind::End, Some(acme()), user);
        marks.apply(&first);

        assert_eq!(marks.apply(&first), Applied::Known);
        assert_eq!(marks.apply(&Revocation { tag: "other".into(), ..first }), Applied::Contradiction);
        let position = marks.position().unwrap();
        assert!(!position.is_contradicted_by(&head(1, 0)));
        assert!(!position.is_contradicted_by(&head(7, 0)));
        assert!(position.is_contradicted_by(&Head { tag: "other".into(), ..head(1, 0) }));
        assert!(position.is_contradicted_by(&head(0, 0)), "a head below what was applied");
        assert!(!position.is_contradicted_by(&Head { generation: generation('b'), ..head(0, 0) }), "a new incarnation");
    }

    #[test]
    fn before_the_log_is_known_and_in_another_incarnation_nobody_is_alive() {
        assert_eq!(verdict(&Watermarks::default(), 9, 9, &[]), Verdict::Ended);
        assert_eq!(begun().verdict(&generation('b'), Seq(9), Seq(9), &[]), Verdict::Ended);
    }

    #[test]
    fn a_row_of_a_clock_that_is_behind_prunes_nothing_young() {
        let marks = begun();
        marks.apply(&row(1, RevocationKind::End, Some(acme()), Scope::User { id: UserId::new() }));
        let late =
            Revocation { at: Timestamp(0), ..row(2, RevocationKind::End, Some(acme()), Scope::User { id: UserId::new() }) };
        marks.apply(&late);

        marks.prune(Timestamp(500));

        assert_eq!(marks.len(), 2);
        assert_eq!(verdict(&marks, 0, 0, &[Scope::User { id: UserId::new() }]), Verdict::Alive);
    }

    #[test]
    fn what_is_pruned_still_ends_whom_it_ended() {
        let (marks, user) = (begun(), Scope::User { id: UserId::new() });
        marks.apply(&row(1, RevocationKind::End, Some(acme()), user.clone()));
        marks.apply(&row(2, RevocationKind::End, Some(acme()), Scope::User { id: UserId::new() }));

        marks.prune(Timestamp(1_500));

        assert_eq!(marks.len(), 1);
        assert_eq!(verdict(&marks, 0, 0, std::slice::from_ref(&user)), Verdict::Ended);
        assert_eq!(verdict(&marks, 1, 1, &[user]), Verdict::Alive);
    }
}
