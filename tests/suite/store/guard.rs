//! The mass-change guard: whoever is many is held, whoever is one never, and no two writers slip under it together.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    num::NonZeroU32,
    time::Duration,
};

use lockstep_shared::{
    id::{GroupId, UserId},
    model::{
        access::{Mapping, RoleAttribute},
        audit::Actor,
        group::{Group, MemberChange},
        guard::{Excess, Limits},
        revocation::Seq,
        user::Profile,
    },
    store::{Deletion, EditError, GroupDeletion, Mailing, Store, StoreError},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::task::JoinSet;

use super::{Db, idp, on_each_engine, set_active, strangers};
use crate::scim::random_seed;

const HOUR: Duration = Duration::from_hours(1);

fn limits(max: u32, percent: u8) -> Limits {
    Limits { max: NonZeroU32::new(max).unwrap(), percent }
}

async fn guarded(db: &Db, max: u32, percent: u8) {
    db.store.set_guard(&db.acme, limits(max, percent), &Actor::operator()).await.unwrap();
}

async fn people(db: &Db, count: usize) -> Vec<UserId> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(db.user(&format!("user-{number}")).await.id);
    }
    ids
}

fn texts(ids: &[UserId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passed,
    Held(Excess),
}

#[track_caller]
fn fate<T>(outcome: Result<T, EditError<Infallible>>) -> Fate {
    match outcome {
        Ok(_) => Fate::Passed,
        Err(EditError::Store(StoreError::Held(excess))) => Fate::Held(excess),
        Err(error) => panic!("{error:?}"),
    }
}

async fn set_active_by(store: &Store, db: &Db, id: &UserId, active: bool, actor: &Actor) -> Fate {
    let edit = |user: &lockstep_shared::model::user::User| Ok::<_, Infallible>(Profile { active, ..user.profile.clone() });
    fate(store.update_user(&db.acme, id, actor, edit).await)
}

async fn deactivate(db: &Db, id: &UserId) -> Fate {
    set_active_by(&db.store, db, id, false, &idp()).await
}

async fn activate(db: &Db, id: &UserId) -> Fate {
    set_active_by(&db.store, db, id, true, &idp()).await
}

async fn delete(db: &Db, id: &UserId) -> Fate {
    fate(db.store.delete_user_if(&db.acme, id, &idp(), |_| Ok::<_, Infallible>(())).await.map(|deletion| {
        assert!(matches!(deletion, Deletion::Now(_)));
    }))
}

async fn give_roles(db: &Db, id: &UserId, roles: &[&str]) -> Fate {
    let roles: Vec<_> = roles.iter().map(|role| serde_json::json!({ "value": role })).collect();
    let edit = |user: &lockstep_shared::model::user::User| {
        let mut profile = user.profile.clone();
        profile.attributes.insert("roles".to_owned(), serde_json::json!(roles));
        Ok::<_, Infallible>(profile)
    };
    fate(db.store.update_user(&db.acme, id, &idp(), edit).await)
}

async fn step(db: &Db, group: &GroupId, step: MemberChange) -> Fate {
    let edit = |group: &Group| Ok::<_, Infallible>((group.profile.clone(), vec![step]));
    fate(db.store.update_group(&db.acme, group, &idp(), edit).await)
}

async fn delete_group(db: &Db, group: &GroupId) -> Fate {
    fate(db.store.delete_group_if(&db.acme, group, &idp(), |_| Ok::<_, Infallible>(())).await.map(|deletion| {
        assert!(matches!(deletion, GroupDeletion::Now(_)));
    }))
}

fn held(departed: u64, people: u64, limits: Limits) -> Fate {
    Fate::Held(Excess { departed, people, limits })
}

on_each_engine! {
    async fn more_than_the_limit_are_held_and_nothing_of_it_is_written(db: &Db) {
        let ids = people(db, 4).await;
        guarded(db, 2, 0).await;
        for id in &ids[..2] {
            assert_eq!(deactivate(db, id).await, Fate::Passed);
        }
        let before = (db.store.user(&db.acme, &ids[2]).await.unwrap(), db.head().await, db.actions().await);

        let third = deactivate(db, &ids[2]).await;
        let deletion = delete(db, &ids[2]).await;

        assert_eq!((third, deletion), (held(3, 4, limits(2, 0)), held(3, 4, limits(2, 0))));
        assert_eq!((db.store.user(&db.acme, &ids[2]).await.unwrap(), db.head().await, db.actions().await), before);
        assert_eq!(db.store.guard(&db.acme).await.unwrap().departed, 2);
    }

    async fn a_role_by_attribute_that_is_lost_is_a_departure_until_it_is_back(db: &Db) {
        let ids = people(db, 4).await;
        let attribute = RoleAttribute { path: "roles".parse().unwrap(), grants: ["Admin".parse().unwrap(), "User".parse().unwrap()].into() };
        let with_attribute = |mapping: &Mapping| Ok::<_, Infallible>(Mapping { role_attribute: Some(attribute.clone()), ..mapping.clone() });
        drop(db.store.update_mapping(&db.acme, &Actor::operator(), with_attribute).await.unwrap());
        for id in &ids {
            assert_eq!(give_roles(db, id, &["Admin", "User", "Guest"]).await, Fate::Passed);
        }
        guarded(db, 1, 0).await;
        assert_eq!(give_roles(db, &ids[3], &["User", "Admin"]).await, Fate::Passed, "what grants nothing is nobody's loss");
        assert_eq!(give_roles(db, &ids[0], &["User"]).await, Fate::Passed);
        let before = db.store.user(&db.acme, &ids[1]).await.unwrap();

        assert_eq!(give_roles(db, &ids[1], &["User"]).await, held(2, 4, limits(1, 0)));
        assert_eq!(give_roles(db, &ids[1], &[]).await, held(2, 4, limits(1, 0)));
        assert_eq!(deactivate(db, &ids[2]).await, held(2, 4, limits(1, 0)));
        assert_eq!(db.store.user(&db.acme, &ids[1]).await.unwrap(), before);
        assert_eq!(give_roles(db, &ids[0], &[]).await, Fate::Passed, "whoever has left may lose the rest");

        assert_eq!(give_roles(db, &ids[0], &["Admin"]).await, Fate::Passed);
        assert_eq!(db.store.guard(&db.acme).await.unwrap().departed, 1, "of two that were lost, one is back");
        assert_eq!(give_roles(db, &ids[0], &["Admin", "User"]).await, Fate::Passed);
        assert_eq!(db.store.guard(&db.acme).await.unwrap().departed, 0);
        assert_eq!(give_roles(db, &ids[1], &[]).await, Fate::Passed, "there is room again");
    }

    async fn what_a_request_takes_back_is_no_departure_and_its_own_entry(db: &Db) {
        let ids = people(db, 3).await;
        let group = db.group("Crew", &texts(&ids)).await;
        guarded(db, 1, 0).await;
        assert_eq!(deactivate(db, &ids[0]).await, Fate::Passed);

        let taken_back = db.store.take_user_back(&db.acme, &ids[1]).await.unwrap();
        let group_taken_back = db.store.take_group_back(&db.acme, &group.id).await.unwrap();

        let Deletion::Now(settlement) = taken_back else { panic!("{taken_back:?}") };
        assert_eq!(settlement.records.len(), 1, "it ends access as every deletion does");
        assert!(matches!(group_taken_back, GroupDeletion::Now(_)));
        assert_eq!(db.store.guard(&db.acme).await.unwrap().departed, 1);
        let trail = db.store.audit_trail(&db.acme, None, 100).await.unwrap();
        for action in ["user.deleted", "group.deleted"] {
            let entry = trail.iter().find(|entry| entry.action == action).unwrap();
            assert_eq!((&entry.actor, &entry.detail["because"]), (&Actor::system(), &serde_json::json!("bulk.taken_back")));
        }
    }

    async fn the_hour_moves_on_and_the_same_request_passes(db: &Db) {
        let ids = people(db, 3).await;
        guarded(db, 1, 0).await;
        assert_eq!(deactivate(db, &ids[0]).await, Fate::Passed);
        db.clock.advance(HOUR.saturating_sub(Duration::from_millis(1)));
        assert_eq!(deactivate(db, &ids[1]).await, held(2, 3, limits(1, 0)));

        db.clock.advance(Duration::from_millis(1));

        assert_eq!(deactivate(db, &ids[1]).await, Fate::Passed);
        assert_eq!(deactivate(db, &ids[2]).await, held(2, 2, limits(1, 0)), "whoever left long ago is no people any more");
    }

    async fn a_single_leaver_passes_whatever_the_limits(db: &Db) {
        let ids = people(db, 2).await;
        guarded(db, 1, 0).await;

        assert_eq!(deactivate(db, &ids[0]).await, Fate::Passed);

        let group = db.group("Crew", &texts(&ids[1..])).await;
        db.clock.advance(HOUR);
        assert_eq!(step(db, &group.id, MemberChange::Remove(texts(&ids))).await, Fate::Passed);
    }

    async fn it_takes_both_the_number_and_the_share(db: &Db) {
        let ids = people(db, 10).await;
        guarded(db, 2, 50).await;

        for id in &ids[..5] {
            assert_eq!(deactivate(db, id).await, Fate::Passed, "half of the people is not more than half");
        }
        assert_eq!(deactivate(db, &ids[5]).await, held(6, 10, limits(2, 50)));
    }

    async fn five_hundred_pass_where_nothing_is_set(db: &Db) {
        let ids = people(db, 502).await;
        let group = db.group("Everybody", &texts(&ids)).await;

        assert_eq!(step(db, &group.id, MemberChange::Remove(texts(&ids[..501]))).await, held(501, 502, Limits::default()));
        assert_eq!(step(db, &group.id, MemberChange::Replace(Vec::new())).await, held(502, 502, Limits::default()));
        assert_eq!(delete_group(db, &group.id).await, held(502, 502, Limits::default()));
        assert_eq!(db.member_ids(&group.id).await.len(), 502);
        assert_eq!(step(db, &group.id, MemberChange::Remove(texts(&ids[..500]))).await, Fate::Passed);
        assert_eq!(deactivate(db, &ids[501]).await, held(501, 502, Limits::default()));
        assert_eq!(deactivate(db, &ids[0]).await, Fate::Passed, "whoever has lost a group may lose the rest");
    }

    async fn only_people_count_and_each_of_them_once(db: &Db) {
        let ids = people(db, 4).await;
        let (nobody, inner) = (strangers(300), db.group("Inner", &[]).await);
        let all: Vec<String> = texts(&ids).into_iter().chain(nobody).chain([inner.id.to_string()]).collect();
        let (one, two) = (db.group("One", &all).await, db.group("Two", &all).await);
        assert_eq!(set_active_by(&db.store, db, &ids[3], false, &Actor::operator()).await, Fate::Passed);
        guarded(db, 2, 0).await;
        let most: Vec<String> = all.iter().filter(|id| **id != ids[0].to_string()).cloned().collect();

        assert_eq!(step(db, &one.id, MemberChange::Remove(most.clone())).await, Fate::Passed, "of them two have access");
        assert_eq!(step(db, &two.id, MemberChange::Replace(vec![ids[0].to_string()])).await, Fate::Passed, "the same two");
        assert_eq!(delete(db, &ids[3]).await, Fate::Passed, "who had no access loses none");
        assert_eq!(step(db, &one.id, MemberChange::Remove(texts(&ids[..1]))).await, held(3, 3, limits(2, 0)));
    }

    async fn whoever_is_given_back_has_not_left(db: &Db) {
        let ids = people(db, 6).await;
        let group = db.group("Crew", &texts(&ids)).await;
        guarded(db, 2, 0).await;
        assert_eq!(deactivate(db, &ids[0]).await, Fate::Passed);
        assert_eq!(step(db, &group.id, MemberChange::Remove(texts(&ids[1..2]))).await, Fate::Passed);
        assert_eq!(deactivate(db, &ids[2]).await, held(3, 6, limits(2, 0)));

        assert_eq!(activate(db, &ids[0]).await, Fate::Passed);
        assert_eq!(db.store.guard(&db.acme).await.unwrap().departed, 1);
        assert_eq!(deactivate(db, &ids[2]).await, Fate::Passed);
        assert_eq!(deactivate(db, &ids[3]).await, held(3, 6, limits(2, 0)));
        assert_eq!(step(db, &group.id, MemberChange::Add(texts(&ids[1..2]))).await, Fate::Passed);
        assert_eq!(deactivate(db, &ids[3]).await, Fate::Passed);
        assert_eq!(step(db, &group.id, MemberChange::Add(texts(&ids[3..4]))).await, Fate::Passed, "no membership is an account");
        assert_eq!(deactivate(db, &ids[4]).await, held(3, 6, limits(2, 0)));
    }

    async fn operators_and_people_are_never_held(db: &Db) {
        let ids = people(db, 5).await;
        guarded(db, 1, 0).await;
        assert_eq!(deactivate(db, &ids[0]).await, Fate::Passed);

        for (id, actor) in ids[1..].iter().zip([Actor::operator(), Actor::user(&ids[0]), Actor::system()]) {
            assert_eq!(set_active_by(&db.store, db, id, false, &actor).await, Fate::Passed, "{actor:?}");
        }
        assert_eq!(deactivate(db, &ids[4]).await, held(2, 2, limits(1, 0)));
    }

    async fn off_holds_nothing_and_limits_switch_it_on(db: &Db) {
        let ids = people(db, 6).await;
        guarded(db, 1, 0).await;
        db.store.switch_guard_off(&db.acme, &Actor::operator()).await.unwrap();
        for id in &ids[..4] {
            assert_eq!(deactivate(db, id).await, Fate::Passed);
        }
        let guard = db.store.guard(&db.acme).await.unwrap();
        assert_eq!((guard.is_on, guard.limits, guard.departed), (false, limits(1, 0), 0), "limits are kept, nobody is noted");

        guarded(db, 1, 0).await;

        assert_eq!(deactivate(db, &ids[4]).await, Fate::Passed);
        assert_eq!(deactivate(db, &ids[5]).await, held(2, 2, limits(1, 0)));
    }

    async fn an_approval_releases_for_its_time_and_is_not_counted_afterwards(db: &Db) {
        let ids = people(db, 8).await;
        guarded(db, 1, 0).await;
        assert_eq!(deactivate(db, &ids[0]).await, Fate::Passed);
        assert_eq!(deactivate(db, &ids[1]).await, held(2, 8, limits(1, 0)));

        let until = db.store.approve_mass_change(&db.acme, HOUR * 2, &Actor::operator()).await.unwrap();

        assert_eq!(db.store.guard(&db.acme).await.unwrap().released_until, Some(until));
        for id in &ids[1..4] {
            assert_eq!(deactivate(db, id).await, Fate::Passed);
        }
        db.clock.advance((HOUR * 2).saturating_sub(Duration::from_millis(1)));
        assert_eq!(deactivate(db, &ids[4]).await, Fate::Passed);
        db.clock.advance(Duration::from_millis(1));
        assert_eq!(db.store.guard(&db.acme).await.unwrap().released_until, None);
        assert_eq!(deactivate(db, &ids[5]).await, Fate::Passed, "the first of this hour");
        assert_eq!(deactivate(db, &ids[6]).await, held(2, 3, limits(1, 0)));
        let trail = db.store.audit_trail(&db.acme, Some("acme"), 20).await.unwrap();
        assert_eq!(trail.iter().map(|record| record.action.as_str()).collect::<Vec<_>>(), [
            "guard.approved", "guard.set", "workspace.created"
        ]);
    }

    async fn each_workspace_has_its_own(db: &Db) {
        let (ours, globex) = (people(db, 2).await, db.workspace("globex").await);
        let theirs = [db.user_in(&globex, "one").await.id, db.user_in(&globex, "two").await.id];
        guarded(db, 1, 0).await;
        assert_eq!(deactivate(db, &ours[0]).await, Fate::Passed);

        for id in &theirs {
            drop(set_active(&db.store, &globex, id, false).await.unwrap());
        }

        assert_eq!(deactivate(db, &ours[1]).await, held(2, 2, limits(1, 0)));
        assert_eq!(db.store.guard(&globex).await.unwrap().departed, 2);
    }

    async fn writers_side_by_side_do_not_slip_under_it(db: &Db) {
        let ids = people(db, 24).await;
        for id in &ids {
            // Of newcomers' groups nobody is told.
            db.has_signed_in(&db.store.user(&db.acme, id).await.unwrap().unwrap()).await;
        }
        let group = db.group("Crew", &texts(&ids)).await;
        guarded(db, 5, 0).await;
        let mut writers = JoinSet::new();
        for (number, id) in ids.iter().cloned().enumerate() {
            let (store, acme, group) = (db.opened_again(db.clock.clone()), db.acme.clone(), group.id.clone());
            writers.spawn(async move {
                if number % 2 == 0 {
                    let edit = |user: &lockstep_shared::model::user::User| {
                        Ok::<_, Infallible>(Profile { active: false, ..user.profile.clone() })
                    };
                    return fate(store.update_user(&acme, &id, &idp(), edit).await);
                }
                let edit = |group: &Group| {
                    Ok::<_, Infallible>((group.profile.clone(), vec![MemberChange::Remove(vec![id.to_string()])]))
                };
                fate(store.update_group(&acme, &group, &idp(), edit).await)
            });
        }

        let fates = writers.join_all().await;

        assert_eq!(fates.iter().filter(|fate| **fate == Fate::Passed).count(), 5, "{fates:?}");
        assert_eq!(db.head().await, Seq(6), "the group's own row, and those that passed");
    }

    async fn admins_are_told_once_an_hour(db: &Db) {
        let excess = Excess { departed: 7, people: 9, limits: limits(5, 20) };
        let note = async || db.store.note_held(&db.acme, &idp(), &excess, Mailing::Off).await.unwrap();

        assert_eq!((note().await, note().await), (true, false));
        db.clock.advance(HOUR.saturating_sub(Duration::from_millis(1)));
        assert!(!note().await);
        let guard = db.store.guard(&db.acme).await.unwrap();
        assert_eq!(guard.held.map(|held| (held.at, held.requests)), Some((lockstep_shared::clock::Clock::now(&*db.clock), 3)));
        db.clock.advance(Duration::from_millis(1));
        assert!(note().await, "still, after an hour");
        db.store.approve_mass_change(&db.acme, Duration::from_secs(1), &Actor::operator()).await.unwrap();
        assert_eq!(db.store.guard(&db.acme).await.unwrap().held, None);
        db.clock.advance(Duration::from_secs(1));
        assert!(note().await, "a new mass change after an approval is news");

        let trail = db.store.audit_trail(&db.acme, Some("acme"), 20).await.unwrap();
        let told: Vec<_> = trail.iter().filter(|record| record.action == "guard.held").collect();
        assert_eq!((told.len(), &told[0].detail), (3, &serde_json::json!(excess)));
    }

    async fn old_departures_are_swept_away(db: &Db) {
        let ids = people(db, 2).await;
        assert_eq!(deactivate(db, &ids[0]).await, Fate::Passed);
        db.clock.advance(HOUR);
        assert_eq!(deactivate(db, &ids[1]).await, Fate::Passed);

        db.store.sweep_departures().await.unwrap();

        let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM departures").fetch_one(&mut db.connection().await).await.unwrap();
        assert_eq!(left, 1);
    }

    async fn the_guard_decides_as_a_slow_and_obvious_one_would(db: &Db) {
        let mut random = StdRng::seed_from_u64(random_seed("the guard"));
        let mut model = Model::of(db).await;

        for number in 0..150 {
            // Two changes of one group in one millisecond are taken for one.
            db.clock.advance(Duration::from_millis(1));
            let deed = Deed::any(&mut random);
            let expected = model.judge(&deed);
            assert_eq!(model.perform(db, &deed).await, expected, "step {number}: {deed:?}");
        }
    }
}

#[derive(Debug, Clone)]
enum Deed {
    Deactivate(usize),
    Activate(usize),
    Remove(usize, Vec<usize>),
    Add(usize, Vec<usize>),
    Replace(usize, Vec<usize>),
    Set(u32, u8),
    Wait(u64),
}

impl Deed {
    fn any(random: &mut StdRng) -> Self {
        let group = random.random_range(0..2);
        let some = |random: &mut StdRng| (0..Model::PEOPLE).filter(|_| random.random_bool(0.3)).collect::<Vec<usize>>();
        match random.random_range(0..14) {
            0..4 => Self::Deactivate(random.random_range(0..Model::PEOPLE)),
            4..7 => Self::Activate(random.random_range(0..Model::PEOPLE)),
            7..9 => Self::Remove(group, some(random)),
            9..11 => Self::Add(group, some(random)),
            11 => Self::Replace(group, some(random)),
            12 => Self::Set(random.random_range(1..6), random.random_range(0..70)),
            _ => Self::Wait(random.random_range(1..40)),
        }
    }
}

/// What the guard should know, kept whole and gone through each time.
struct Model {
    ids: Vec<UserId>,
    groups: Vec<GroupId>,
    limits: Limits,
    now: u64,
    active: BTreeSet<usize>,
    members: Vec<BTreeSet<usize>>,
    /// When whom lost what: a group, or the account.
    lost: BTreeMap<(usize, Option<usize>), u64>,
}

impl Model {
    const PEOPLE: usize = 9;

    async fn of(db: &Db) -> Self {
        let ids = people(db, Self::PEOPLE).await;
        let groups = vec![db.group("One", &texts(&ids)).await.id, db.group("Two", &texts(&ids)).await.id];
        let limits = limits(2, 30);
        guarded(db, 2, 30).await;
        let all: BTreeSet<usize> = (0..Self::PEOPLE).collect();
        Self { ids, groups, limits, now: 0, active: all.clone(), members: vec![all.clone(), all], lost: BTreeMap::new() }
    }

    /// What should become of a deed; what passes is done here.
    fn judge(&mut self, deed: &Deed) -> Fate {
        let mut active = self.active.clone();
        let mut members = self.members.clone();
        match deed {
            Deed::Deactivate(one) => drop(active.remove(one)),
            Deed::Activate(one) => drop(active.insert(*one)),
            Deed::Remove(group, some) => members[*group].retain(|one| !some.contains(one)),
            Deed::Add(group, some) => members[*group].extend(some),
            Deed::Replace(group, some) => members[*group] = some.iter().copied().collect(),
            Deed::Set(max, percent) => self.limits = limits(*max, *percent),
            Deed::Wait(minutes) => self.now += minutes,
        }
        let of_accounts = self.active.difference(&active).map(|one| (*one, None));
        let of_groups =
            (0..2).flat_map(|group| self.members[group].difference(&members[group]).map(move |one| (*one, Some(group))));
        let now_lost: BTreeSet<_> = of_accounts.chain(of_groups).collect();
        let mut lost = self.lost.clone();
        lost.extend(now_lost.iter().map(|key| (*key, self.now)));
        lost.retain(|_, at| *at + 60 > self.now);
        let is_gone = |key: &&(usize, Option<usize>)| match key {
            (one, None) => !active.contains(one),
            (one, Some(group)) => active.contains(one) && !members[*group].contains(one),
        };
        let departed: BTreeSet<usize> = lost.keys().filter(is_gone).map(|(one, _)| *one).collect();
        let left_before: BTreeSet<usize> =
            lost.keys().filter(is_gone).filter(|key| !now_lost.contains(*key)).map(|(one, _)| *one).collect();
        let people = active.union(&departed).count() as u64;
        let excess = Excess { departed: departed.len() as u64, people, limits: self.limits };
        let is_news = now_lost.iter().filter(is_gone).any(|(one, _)| !left_before.contains(one));
        if is_news
            && excess.departed > u64::from(self.limits.max.get())
            && excess.departed * 100 > people * u64::from(self.limits.percent)
        {
            return Fate::Held(excess);
        }
        (self.active, self.members, self.lost) = (active, members, lost);
        Fate::Passed
    }

    async fn perform(&self, db: &Db, deed: &Deed) -> Fate {
        let some = |some: &[usize]| some.iter().map(|one| self.ids[*one].to_string()).collect::<Vec<_>>();
        match deed {
            Deed::Deactivate(one) => deactivate(db, &self.ids[*one]).await,
            Deed::Activate(one) => activate(db, &self.ids[*one]).await,
            Deed::Remove(group, ids) => step(db, &self.groups[*group], MemberChange::Remove(some(ids))).await,
            Deed::Add(group, ids) => step(db, &self.groups[*group], MemberChange::Add(some(ids))).await,
            Deed::Replace(group, ids) => step(db, &self.groups[*group], MemberChange::Replace(some(ids))).await,
            Deed::Set(max, percent) => {
                guarded(db, *max, *percent).await;
                Fate::Passed
            }
            Deed::Wait(minutes) => {
                db.clock.advance(Duration::from_mins(*minutes));
                Fate::Passed
            }
        }
    }
}
