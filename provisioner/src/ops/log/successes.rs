//! Who was written with success after a refusal. A directory may have been written whole within the week: people are read in
//! stretches, and kept is only what an entry asks for.

use std::collections::{HashMap, HashSet};

use lockstep_shared::{
    clock::Timestamp,
    id::{UserId, WorkspaceId},
    model::provisioning::Entry,
    store::{LogSpan, Store},
};
use serde_json::Value;

use super::OpsError;
use crate::journal::{EveryKey, NAME_DIGEST, Names};

/// How many people are read at a time.
pub(super) const STRETCH: u32 = 1_000;

/// Whether it is known whom an entry is about.
pub(super) fn names_somebody(entry: &Entry) -> bool {
    !entry.target.is_empty() || !entry.people.is_empty() || digest(entry).is_some()
}

fn digest(entry: &Entry) -> Option<&str> {
    entry.detail.get(NAME_DIGEST).and_then(Value::as_str)
}

fn ids(entry: &Entry) -> impl Iterator<Item = &str> {
    entry.people.iter().chain([&entry.target]).map(String::as_str).filter(|id| !id.is_empty())
}

/// When people were last written with success, by what a refusal knows of them.
#[derive(Debug, Default)]
pub(super) struct Successes {
    by_id: HashMap<String, Timestamp>,
    by_name: HashMap<String, Timestamp>,
    /// Of those who were deleted, when.
    gone_by_name: HashMap<String, Timestamp>,
}

impl Successes {
    /// Of those whom these entries are about: who are here, and who were. Names are compared by their digests, since a refusal has
    /// no other.
    pub(super) async fn read(store: &Store, id: &WorkspaceId, span: &LogSpan, faults: &[Entry]) -> Result<Self, OpsError> {
        let mut successes = Self::default();
        if let Some(wanted) = Wanted::of(faults, span) {
            wanted.written(store, id, &mut successes).await?;
            wanted.gone(store, id, &mut successes).await?;
        }
        Ok(successes)
    }

    /// Whether the same person was written with success after this.
    pub(super) fn solve(&self, entry: &Entry) -> bool {
        let digest = digest(entry);
        let by_name = digest.and_then(|digest| self.by_name.get(digest));
        // Who was refused and is deleted since was created in between, unless it was another who had the name and is gone now.
        let was_free = entry.people.is_empty();
        let gone = digest.filter(|_| was_free).and_then(|digest| self.gone_by_name.get(digest));
        ids(entry).filter_map(|id| self.by_id.get(id)).chain(by_name).chain(gone).any(|at| *at > entry.at)
    }

    #[cfg(test)]
    pub(super) fn of(by_id: &[(&str, Timestamp)], by_name: &[(&str, Timestamp)], gone: &[(&str, Timestamp)]) -> Self {
        let map = |of: &[(&str, Timestamp)]| of.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect();
        Self { by_id: map(by_id), by_name: map(by_name), gone_by_name: map(gone) }
    }

    /// How many people are kept.
    #[cfg(test)]
    fn kept(&self) -> [usize; 3] {
        [self.by_id.len(), self.by_name.len(), self.gone_by_name.len()]
    }
}

/// Whom refusals are about, and where to look for what came later.
struct Wanted<'f> {
    ids: HashSet<&'f str>,
    digests: HashSet<&'f str>,
    span: LogSpan,
}

impl<'f> Wanted<'f> {
    fn of(faults: &'f [Entry], span: &LogSpan) -> Option<Self> {
        let oldest = faults.iter().filter(|entry| names_somebody(entry)).map(|entry| entry.at).min()?;
        let mut span = span.clone();
        span.since = span.since.max(oldest);
        Some(Self { ids: faults.iter().flat_map(ids).collect(), digests: faults.iter().filter_map(digest).collect(), span })
    }

    async fn written(&self, store: &Store, id: &WorkspaceId, successes: &mut Successes) -> Result<(), OpsError> {
        let names = Names::new(store.clone()).every_key().await?;
        let mut after: Option<String> = None;
        loop {
            let written = store.log_of_users_written(id, &self.span, after.as_deref(), STRETCH).await?;
            let Some((last, _)) = written.last() else { return Ok(()) };
            after = Some(last.clone());
            if !self.digests.is_empty() {
                self.named(store, id, &names, &written, successes).await?;
            }
            successes.by_id.extend(written.into_iter().filter(|(id, _)| self.ids.contains(id.as_str())));
        }
    }

    async fn named(
        &self,
        store: &Store,
        id: &WorkspaceId,
        names: &EveryKey,
        written: &[(String, Timestamp)],
        successes: &mut Successes,
    ) -> Result<(), OpsError> {
        let at: HashMap<&str, Timestamp> = written.iter().map(|(id, at)| (id.as_str(), *at)).collect();
        let ids: Vec<UserId> = at.keys().filter_map(|id| id.parse().ok()).collect();
        for user in store.users_named(id, &ids).await? {
            let Some(at) = at.get(user.id.as_str()) else { continue };
            let digests = names.digests(id, &user.profile.user_name);
            successes.by_name.extend(digests.into_iter().filter(|one| self.digests.contains(one.as_str())).map(|one| (one, *at)));
        }
        Ok(())
    }

    /// The newest of each name.
    async fn gone(&self, store: &Store, id: &WorkspaceId, successes: &mut Successes) -> Result<(), OpsError> {
        let mut before = None;
        while !self.digests.is_empty() {
            let deleted = store.log_of_deletions(id, &self.span, NAME_DIGEST, before.as_ref(), STRETCH).await?;
            let Some(last) = deleted.last() else { return Ok(()) };
            before = Some(last.entry.clone());
            for deletion in deleted {
                if let Some(digest) = deletion.text.filter(|digest| self.digests.contains(digest.as_str())) {
                    successes.gone_by_name.entry(digest).or_insert(deletion.at);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::{
        clock::{Clock as _, TestClock},
        id::EntryId,
        model::{
            audit::Actor,
            provisioning::Outcome,
            user::{LoginMethod, Origin, Profile},
            workspace::Plan,
        },
        secret::{Key, Sealer},
        store::{NewUser, StoreOptions},
    };
    use serde_json::Map;

    use super::*;
    use crate::ops::log::tests::entry;

    #[tokio::test]
    async fn of_a_directory_that_was_written_whole_only_whom_a_refusal_is_about_is_kept() {
        let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
        let url = format!("sqlite://{}", folder.path().join("lockstep.db").display());
        let sealer = Sealer::new(vec![Key::from_bytes([1; 32])]).unwrap();
        let store = Store::open(&StoreOptions::new(url), clock.clone(), sealer).unwrap();
        store.migrate().await.unwrap();
        let acme = WorkspaceId::parse("acme").unwrap();
        store.create_workspace(&acme, "Acme", Plan::Enterprise, &Actor::operator()).await.unwrap();
        let profile = Profile { user_name: "zoe".to_owned(), external_id: None, active: true, attributes: Map::new() };
        let new = NewUser { profile, origin: Origin::Provisioned, login_method: LoginMethod::Sso };
        let zoe = store.create_user(&acme, new, &Actor::system()).await.unwrap().id.to_string();
        let names = Names::new(store.clone());
        let [of_zoe, of_gone, of_other] =
            [names.digest(&acme, "zoe").await, names.digest(&acme, "gone").await, names.digest(&acme, "x").await]
                .map(Result::unwrap);
        let of = |action: &str, target: String, digest: Option<&str>, at: Timestamp| {
            let mut entry = Entry { id: EntryId::new(), target, at, ..entry(action, Outcome::Done, None) };
            entry.detail.extend(digest.map(|digest| (NAME_DIGEST.to_owned(), digest.into())));
            entry
        };
        let before = clock.now();
        let at = Timestamp(before.0 + 1);
        let deleted = |digest: &str| of("user.delete", UserId::new().to_string(), Some(digest), at);
        let mut log = vec![deleted(&of_gone), of("user.create", zoe, None, at)];
        log.extend((0..2_500).map(|_| of("user.update", UserId::new().to_string(), None, at)));
        log.extend((0..1_200).map(|_| deleted(&of_other)));
        let by_id = log.iter().filter(|entry| entry.action == "user.update").map(|entry| entry.target.clone()).max().unwrap();
        store.append_log(&log).await.unwrap();
        let faults = [
            of("user.create", by_id, None, before),
            of("user.create", String::new(), Some(&of_zoe), before),
            of("user.create", String::new(), Some(&of_gone), before),
        ];

        let successes = Successes::read(&store, &acme, &LogSpan::since(Timestamp(0)), &faults).await.unwrap();

        assert_eq!(successes.kept(), [1, 1, 1]);
        assert!(faults.iter().all(|fault| successes.solve(fault)), "{successes:?}");
        let nobody = Successes::read(&store, &acme, &LogSpan::since(Timestamp(0)), &[]).await.unwrap();
        assert_eq!(nobody.kept(), [0, 0, 0]);
    }
}
