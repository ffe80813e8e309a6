//! Groups of people who have never signed in: nobody has to be told of them, and nobody who signs in meanwhile is left untold.

use std::{convert::Infallible, time::Duration};

use lockstep_shared::{
    model::{
        group::{Group, MemberChange},
        revocation::{Scope, Seq},
        user::User,
    },
    store::Settlement,
};
use lockstep_tests::harness::eventually;
use sqlx::AnyConnection;

use super::{Db, idp, on_each_engine, strangers};

const RECOVERY: Duration = Duration::from_secs(20);

fn scopes(settlement: &Settlement) -> Vec<Scope> {
    settlement.records.iter().flat_map(|record| record.scopes.clone()).collect()
}

fn of(people: &[&User]) -> Vec<Scope> {
    let mut ids: Vec<_> = people.iter().map(|user| user.id.clone()).collect();
    ids.sort_unstable();
    ids.into_iter().map(|id| Scope::User { id }).collect()
}

fn ids(people: &[&User]) -> Vec<String> {
    people.iter().map(|user| user.id.to_string()).collect()
}

/// Returns when so many statements of other connections wait for another transaction.
async fn waiting(on: &mut AnyConnection, count: i64) {
    const WAITING: &str = "
        SELECT COUNT(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple') AND datname = current_database()";
    let mut waiting = async || sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&mut *on).await.unwrap();
    eventually("statements waiting for a transaction", RECOVERY, async || (waiting().await == count).then_some(()))
        .await
        .unwrap();
}

on_each_engine! {
    async fn nobody_is_told_of_the_groups_of_newcomers(db: &Db) {
        let (new, known) = (db.user("new").await, db.user("known").await);
        db.has_signed_in(&known).await;
        let group = db.group("team", &ids(&[&new])).await;
        assert_eq!((group.changed_seq, db.head().await), (Seq::default(), Seq(0)));

        let (_, nothing) = db.change(&group.id, MemberChange::Remove(ids(&[&new]))).await;
        assert_eq!(nothing, Settlement::default());
        let (_, both) = db.change(&group.id, MemberChange::Add(ids(&[&new, &known]))).await;
        assert_eq!(scopes(&both), of(&[&known]));
        assert_eq!(db.member_ids(&group.id).await.len(), 2);

        db.has_signed_in(&new).await;
        let (changed, both) = db.change(&group.id, MemberChange::Remove(ids(&[&new, &known]))).await;
        assert_eq!(scopes(&both), of(&[&new, &known]));
        assert_eq!(changed.changed_seq, both.through);
    }

    async fn whom_a_gateway_of_the_version_before_has_linked_is_told(db: &Db) {
        let babs = db.user("babs").await;
        let group = db.group("team", &[]).await;
        db.has_signed_in(&babs).await;
        let lower = "UPDATE users SET may_have_sessions = 0 WHERE workspace_id = $1 AND id = $2";
        sqlx::query(lower).bind("acme").bind(babs.id.as_str()).execute(&mut db.connection().await).await.unwrap();

        let (_, told) = db.change(&group.id, MemberChange::Add(ids(&[&babs]))).await;

        assert_eq!(scopes(&told), of(&[&babs]));
    }

    async fn newcomers_of_every_number_are_found(db: &Db) {
        let mut people = Vec::new();
        for number in 0..201 {
            people.push(db.user(&format!("person{number:03}")).await);
        }
        let known = people.swap_remove(77);
        db.has_signed_in(&known).await;
        let all: Vec<String> = people.iter().map(|user| user.id.to_string()).collect();
        for count in [1, 2, 99, 100, 101, 199] {
            let some = [&all[..count], &ids(&[&known]), &["not one of ours".to_owned()]].concat();
            let group = db.group(&format!("group of {count}"), &some).await;
            let (_, told) = db.change(&group.id, MemberChange::Remove(some)).await;
            assert_eq!(scopes(&told), of(&[&known]), "{count}");
        }
    }

    async fn whom_a_replacement_moves_is_told_without_a_question(db: &Db) {
        let (new, nobody) = (db.user("new").await, strangers(1));
        let group = db.group("team", &ids(&[&new])).await;

        let (_, told) = db.change(&group.id, MemberChange::Replace(nobody)).await;

        assert_eq!(told.records.len(), 1, "who is a member now is not known before the row is gone");
    }
}

#[tokio::test]
async fn whoever_signs_in_meanwhile_is_told() {
    let db = Db::postgres().await;
    let babs = db.user("babs").await;
    let group = db.group("team", &[]).await;
    let (mut signing_in, mut watch) = (db.connection().await, db.connection().await);
    let raise = "UPDATE users SET may_have_sessions = 1 WHERE workspace_id = $1 AND id = $2";
    sqlx::query("BEGIN").execute(&mut signing_in).await.unwrap();
    sqlx::query(raise).bind("acme").bind(babs.id.as_str()).execute(&mut signing_in).await.unwrap();

    let (told, ()) = tokio::join!(db.change(&group.id, MemberChange::Add(ids(&[&babs]))), async {
        waiting(&mut watch, 1).await;
        sqlx::query("COMMIT").execute(&mut signing_in).await.unwrap();
    });

    assert_eq!(scopes(&told.1), of(&[&babs]));
}

#[tokio::test]
async fn whoever_signs_in_after_the_look_waits_for_the_end_of_the_change() {
    let db = Db::postgres().await;
    let babs = db.user("babs").await;
    let group = db.group("team", &[]).await;
    let (mut other, mut watch) = (db.connection().await, db.connection().await);
    // Holds the change up behind its look at the person: the same membership, not yet there.
    let add = "INSERT INTO group_members (workspace_id, group_id, member_id) VALUES ($1, $2, $3)";
    sqlx::query("BEGIN").execute(&mut other).await.unwrap();
    sqlx::query(add).bind("acme").bind(group.id.as_str()).bind(babs.id.as_str()).execute(&mut other).await.unwrap();

    let change = async {
        let add = MemberChange::Add(ids(&[&babs]));
        let edit = |group: &Group| Ok::<_, Infallible>((group.profile.clone(), vec![add]));
        db.store.update_group(&db.acme, &group.id, &idp(), edit).await.unwrap().1
    };
    let sign_in = async {
        waiting(&mut watch, 1).await;
        db.has_signed_in(&babs).await;
        db.store.groups_of(&db.acme, &babs.id).await.unwrap().len()
    };
    let mut second = db.connection().await;
    let release = async {
        waiting(&mut second, 2).await;
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    };
    let (told, groups, ()) = tokio::join!(change, sign_in, release);

    assert_eq!((told, groups), (Settlement::default(), 1), "untold, since the group was there to be read");
}
