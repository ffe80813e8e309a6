//! Users: unique names, changes, deletion, and the rows of the log that go with them.

use std::convert::Infallible;

use lockstep_shared::{
    id::UserId,
    model::{
        revocation::{RevocationKind, Scope, Seq},
        user::{LoginMethod, Profile, User},
    },
    store::{Deletion, EditError, Settlement, StoreError, UserMatch},
};
use serde_json::json;

use super::{Db, edit, idp, on_each_engine, provisioned, set_active, workspace};

/// The one row that a write appended.
fn only(settlement: &Settlement) -> (Seq, RevocationKind, &str, &[Scope]) {
    let [record] = settlement.records.as_slice() else { panic!("one row, not {:?}", settlement.records) };
    assert_eq!(record.seq, settlement.through);
    (record.seq, record.kind, &record.reason, &record.scopes)
}

fn ended(deletion: &Deletion) -> Seq {
    match deletion {
        Deletion::Now(settlement) | Deletion::Before(settlement) => settlement.through,
        Deletion::Never => panic!("never there"),
    }
}

on_each_engine! {
    async fn a_user_reads_back_as_they_were_written(db: &Db) {
        let mut new = provisioned("Babs");
        new.profile.attributes.insert("title".into(), json!("Café \u{1f680} \"quoted\" \\ \u{0}"));

        let created = db.store.create_user(&db.acme, new, &idp()).await.unwrap();

        assert_eq!(db.store.user(&db.acme, &created.id).await.unwrap().as_ref(), Some(&created));
        assert_eq!((created.version, created.ended_seq), (1, Seq(0)));
        assert_eq!(db.store.user(&db.acme, &UserId::new()).await.unwrap(), None);
        assert_eq!(db.head().await, Seq(0), "nobody lost anything");
    }

    async fn a_user_without_an_external_id_shares_that_with_others(db: &Db) {
        for name in ["one", "two"] {
            let mut new = provisioned(name);
            new.profile.external_id = None;

            let created = db.store.create_user(&db.acme, new, &idp()).await.unwrap();

            assert_eq!(db.store.user(&db.acme, &created.id).await.unwrap().unwrap().profile.external_id, None);
        }
    }

    async fn a_taken_user_name_is_refused_in_every_spelling(db: &Db) {
        db.user("Jos\u{e9}@acme.com").await;

        for spelling in ["jos\u{e9}@acme.com", "JOSE\u{301}@Acme.COM"] {
            let mut new = provisioned(spelling);
            new.profile.external_id = None;
            let refused = db.store.create_user(&db.acme, new, &idp()).await;
            assert!(matches!(refused, Err(StoreError::Conflict("userName"))), "{spelling}: {refused:?}");
        }
        let other = db.user("other").await;
        let refused = edit(&db.store, &db.acme, &other.id, |profile| profile.user_name = "JOS\u{c9}@acme.com".into()).await;
        assert!(matches!(refused, Err(StoreError::Conflict("userName"))), "{refused:?}");
        assert_eq!(db.store.user(&db.acme, &other.id).await.unwrap(), Some(other), "nothing of it stays");
    }

    async fn an_external_id_may_be_repeated_and_case_tells_two_apart(db: &Db) {
        let babs = db.user("babs").await;
        let mut new = provisioned("other");
        new.profile.external_id.clone_from(&babs.profile.external_id);
        let other = db.store.create_user(&db.acme, new, &idp()).await.unwrap();

        let found = async |id: &str| {
            let found = db.store.users_matching(&db.acme, &UserMatch::ExternalId(id.into())).await.unwrap();
            found.into_iter().map(|user| user.id).collect::<Vec<_>>()
        };

        assert_eq!(found(&babs.profile.external_id.clone().unwrap()).await, [babs.id, other.id]);
        assert_eq!(found("EXTERNAL-babs").await, []);
    }

    async fn a_user_is_found_by_each_indexed_value(db: &Db) {
        let (babs, _) = (db.user("Babs").await, db.user("other").await);

        for by in [
            UserMatch::Id(babs.id.to_string()),
            UserMatch::UserName("bABS".into()),
            UserMatch::ExternalId("external-Babs".into()),
            UserMatch::Email("BABS@ACME.com".into()),
        ] {
            let found = db.store.users_matching(&db.acme, &by).await.unwrap();
            assert_eq!(found, vec![babs.clone()], "{by:?}");
        }
        for by in [UserMatch::ExternalId("EXTERNAL-babs".into()), UserMatch::Id("no id".into()), UserMatch::Email("babs".into())] {
            assert_eq!(db.store.users_matching(&db.acme, &by).await.unwrap(), vec![], "{by:?}");
        }
    }

    async fn a_changed_address_is_found_and_the_old_one_is_not(db: &Db) {
        let babs = db.user("babs").await;
        let emails = json!([{ "value": "Barbara@acme.com" }, { "value": "barbara@ACME.com" }, { "value": "b@acme.com" }]);

        drop(edit(&db.store, &db.acme, &babs.id, |profile| drop(profile.attributes.insert("emails".into(), emails.clone()))).await.unwrap());

        let found = async |address: &str| db.store.users_matching(&db.acme, &UserMatch::Email(address.into())).await.unwrap().len();
        assert_eq!((found("barbara@acme.com").await, found("b@acme.com").await, found("babs@acme.com").await), (1, 1, 0));
    }

    async fn pages_follow_creation_and_miss_nobody(db: &Db) {
        let mut created = Vec::new();
        for number in 0..7 {
            created.push(db.user(&format!("user-{number}")).await);
        }

        let (mut by_page, mut by_place) = (Vec::new(), Vec::<User>::new());
        for offset in [0, 3, 6, 9] {
            by_page.extend(db.store.users_page(&db.acme, offset, 3).await.unwrap());
            by_place.extend(db.store.users_after(&db.acme, by_place.last().map(|user| &user.id).cloned().as_ref(), 3).await.unwrap());
        }

        let mut in_order = created.clone();
        in_order.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!((&by_page, &by_place), (&in_order, &in_order));
        assert_eq!(db.store.count_users(&db.acme).await.unwrap(), 7);
        assert_eq!(db.store.users_page(&db.acme, u64::MAX, 3).await.unwrap(), vec![]);
    }

    async fn a_change_counts_the_version_and_one_that_changes_nothing_does_not(db: &Db) {
        let babs = db.user("babs").await;

        let (renamed, _) = edit(&db.store, &db.acme, &babs.id, |profile| profile.user_name = "Barbara".into()).await.unwrap();
        let (same, settlement) = edit(&db.store, &db.acme, &babs.id, |profile| profile.user_name = "Barbara".into()).await.unwrap();

        assert_eq!((renamed.version, same.version), (2, 2));
        assert_eq!(settlement, Settlement::default());
        assert_eq!(db.store.user(&db.acme, &babs.id).await.unwrap(), Some(renamed));
        assert_eq!(db.actions().await.iter().filter(|action| *action == "user.changed").count(), 1);
    }

    async fn a_refused_edit_changes_nothing(db: &Db) {
        let babs = db.user("babs").await;

        let refused = db.store.update_user(&db.acme, &babs.id, &idp(), |_| Err("no")).await;

        assert!(matches!(refused, Err(EditError::Refused("no"))));
        assert_eq!(db.store.user(&db.acme, &babs.id).await.unwrap(), Some(babs.clone()));
        drop(edit(&db.store, &db.acme, &babs.id, |profile| profile.user_name = "free again".into()).await.unwrap());
    }

    async fn a_change_of_nobody_finds_nobody(db: &Db) {
        let nobody = UserId::new();
        let keep = |user: &User| Ok::<_, Infallible>(user.profile.clone());

        let changed = db.store.update_user(&db.acme, &nobody, &idp(), keep).await;
        let method = db.store.set_login_method(&db.acme, &nobody, LoginMethod::Password, &idp()).await;

        assert!(matches!(changed, Err(EditError::Store(StoreError::NotFound("user")))), "{changed:?}");
        assert!(matches!(method, Err(StoreError::NotFound("user"))), "{method:?}");
        assert_eq!(db.store.delete_user(&db.acme, &nobody, &idp()).await.unwrap(), Deletion::Never);
        assert_eq!(db.head().await, Seq(0), "what takes nothing away is not in the log");
    }

    async fn a_deactivation_is_one_row_and_its_repetition_waits_for_that_row(db: &Db) {
        let babs = db.user("babs").await;

        let first = db.set_active(&babs.id, false).await;
        drop(db.set_active(&db.user("other").await.id, false).await);
        let again = db.set_active(&babs.id, false).await;
        let (renamed, while_out) =
            edit(&db.store, &db.acme, &babs.id, |profile| profile.user_name = "Barbara".into()).await.unwrap();

        let scopes = [Scope::User { id: babs.id.clone() }];
        assert_eq!(only(&first), (Seq(1), RevocationKind::End, "user.deactivated", scopes.as_slice()));
        assert_eq!((again.records.len(), again.through), (0, Seq(1)));
        assert_eq!((while_out.records.len(), while_out.through), (0, Seq(1)));
        assert_eq!((renamed.ended_seq, db.head().await), (Seq(1), Seq(2)));
        assert_eq!(db.log().await[0], first.records[0], "the row is what was returned");
    }

    async fn a_reactivation_adds_a_row_and_takes_none_back(db: &Db) {
        let babs = db.user("babs").await;
        drop(db.set_active(&babs.id, false).await);

        let back = db.set_active(&babs.id, true).await;
        let idle = db.set_active(&babs.id, true).await;
        let out = db.set_active(&babs.id, false).await;

        assert_eq!((only(&back).0, only(&back).1, only(&back).2), (Seq(2), RevocationKind::Changed, "user.reactivated"));
        assert_eq!(idle, Settlement::of_earlier(Seq(2)), "what was changed may not have been told");
        assert_eq!(only(&out).0, Seq(3));
        let kinds: Vec<_> = db.log().await.iter().map(|record| record.kind).collect();
        assert_eq!(kinds, [RevocationKind::End, RevocationKind::Changed, RevocationKind::End]);
    }

    async fn whatever_an_app_may_ask_for_is_worth_a_row(db: &Db) {
        let babs = db.user("babs").await;
        db.has_signed_in(&babs).await;

        let (_, asked_for) =
            edit(&db.store, &db.acme, &babs.id, |profile| drop(profile.attributes.insert("title".into(), json!("CEO")))).await.unwrap();
        let (_, seen) =
            edit(&db.store, &db.acme, &babs.id, |profile| drop(profile.attributes.insert("displayName".into(), json!("B")))).await.unwrap();

        assert_eq!((only(&asked_for).1, only(&asked_for).2), (RevocationKind::Changed, "user.changed"));
        assert_eq!((only(&seen).1, only(&seen).2), (RevocationKind::Changed, "user.changed"));

        drop(db.set_active(&babs.id, false).await);
        let head = db.head().await;
        drop(edit(&db.store, &db.acme, &babs.id, |profile| drop(profile.attributes.insert("title".into(), json!("CTO")))).await.unwrap());
        assert_eq!(db.head().await, head, "nobody is told anything of whoever has no access");
    }

    async fn a_repeated_change_waits_for_the_row_of_the_first_and_so_does_a_refusal(db: &Db) {
        let babs = db.user("babs").await;
        db.has_signed_in(&babs).await;
        let demote = |profile: &mut Profile| drop(profile.attributes.insert("userType".into(), json!("Guest")));

        let first = edit(&db.store, &db.acme, &babs.id, demote).await.unwrap().1;
        drop(db.set_active(&db.user("other").await.id, false).await);
        let again = edit(&db.store, &db.acme, &babs.id, demote).await.unwrap().1;
        let refused = db.store.end_of_user(&db.acme, &babs.id).await.unwrap();

        assert_eq!(only(&first).1, RevocationKind::Changed);
        assert_eq!((again, refused), (Settlement::of_earlier(first.through), Settlement::of_earlier(first.through)));
        assert_eq!(db.store.user(&db.acme, &babs.id).await.unwrap().unwrap().ended_seq, first.through);
    }

    async fn any_number_who_share_a_value_are_read_a_stretch_at_a_time(db: &Db) {
        let mut ids = Vec::new();
        for number in 0..7 {
            let mut new = provisioned(&format!("user-{number}"));
            new.profile.external_id = Some("shared".into());
            new.profile.attributes.insert("emails".into(), json!([{ "value": "shared@acme.com" }]));
            ids.push(db.store.create_user(&db.acme, new, &idp()).await.unwrap().id);
        }
        db.user("somebody-else").await;
        ids.sort();

        for by in [UserMatch::ExternalId("shared".into()), UserMatch::Email("shared@acme.com".into())] {
            let mut read: Vec<UserId> = Vec::new();
            for expected in [3, 3, 1, 0] {
                let stretch = db.store.users_matching_after(&db.acme, &by, read.last(), 3).await.unwrap();
                assert_eq!(stretch.len(), expected, "{by:?}");
                read.extend(stretch.into_iter().map(|user| user.id));
            }
            assert_eq!(read, ids, "{by:?}");
        }
        let one = UserMatch::UserName("user-0".into());
        let found = db.store.users_matching_after(&db.acme, &one, None, 3).await.unwrap();
        assert_eq!(db.store.users_matching_after(&db.acme, &one, Some(&found[0].id), 3).await.unwrap(), []);
    }

    async fn a_change_of_login_method_ends_the_sessions(db: &Db) {
        let babs = db.user("babs").await;

        let settlement = db.store.set_login_method(&db.acme, &babs.id, LoginMethod::Password, &idp()).await.unwrap();

        assert_eq!((only(&settlement).1, only(&settlement).2), (RevocationKind::End, "user.login_method_changed"));
        let read = db.store.user(&db.acme, &babs.id).await.unwrap().unwrap();
        assert_eq!((read.login_method, read.ended_seq), (LoginMethod::Password, settlement.through));
    }

    async fn a_second_deletion_waits_for_the_row_of_the_first(db: &Db) {
        let babs = db.user("babs").await;
        let group = db.group("team", &[babs.id.to_string()]).await;

        let first = db.store.delete_user(&db.acme, &babs.id, &idp()).await.unwrap();
        db.user("other").await;
        let second = db.store.delete_user(&db.acme, &babs.id, &idp()).await.unwrap();

        assert!(matches!(&first, Deletion::Now(settlement) if only(settlement).1 == RevocationKind::End), "{first:?}");
        assert!(matches!(&second, Deletion::Before(settlement) if settlement.records.is_empty()), "{second:?}");
        assert_eq!(ended(&first), ended(&second));
        assert_eq!(db.store.user(&db.acme, &babs.id).await.unwrap(), None);
        assert_eq!(db.store.users_matching(&db.acme, &UserMatch::Email("babs@acme.com".into())).await.unwrap(), vec![]);
        assert_eq!(db.member_ids(&group.id).await, Vec::<String>::new());
        assert!(db.actions().await.contains(&"user.created".to_owned()), "the trail stays");
    }

    async fn somebody_created_again_is_somebody_new(db: &Db) {
        let babs = db.user("babs").await;
        let first = db.store.delete_user(&db.acme, &babs.id, &idp()).await.unwrap();

        let again = db.user("babs").await;

        assert_ne!(again.id, babs.id);
        assert_eq!((again.version, again.ended_seq), (1, Seq(0)));
        let late = db.store.delete_user(&db.acme, &babs.id, &idp()).await.unwrap();
        assert_eq!(ended(&late), ended(&first), "a late repetition touches the new one not at all");
        assert!(db.store.user(&db.acme, &again.id).await.unwrap().is_some());
    }

    async fn of_many_deletions_at_once_one_is_the_first_and_all_wait_for_its_row(db: &Db) {
        let babs = db.user("babs").await;

        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let (store, acme, id) = (db.store.clone(), db.acme.clone(), babs.id.clone());
            tasks.spawn(async move { store.delete_user(&acme, &id, &idp()).await.unwrap() });
        }
        let deletions = tasks.join_all().await;

        assert_eq!(deletions.iter().filter(|deletion| matches!(deletion, Deletion::Now(_))).count(), 1);
        assert!(deletions.iter().all(|deletion| ended(deletion) == Seq(1)), "{deletions:?}");
        assert_eq!(db.head().await, Seq(1));
    }

    async fn changes_of_one_user_at_once_follow_each_other(db: &Db) {
        let babs = db.user("babs").await;

        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..24 {
            let (store, acme, id) = (db.store.clone(), db.acme.clone(), babs.id.clone());
            tasks.spawn(async move {
                drop(edit(&store, &acme, &id, |profile| drop(profile.attributes.insert(format!("x{number}"), json!(number)))).await.unwrap());
            });
        }
        tasks.join_all().await;

        let read = db.store.user(&db.acme, &babs.id).await.unwrap().unwrap();
        assert_eq!(read.version, 25);
        assert_eq!(read.profile.attributes.keys().filter(|key| key.starts_with('x')).count(), 24, "none was lost");
    }

    async fn a_user_of_no_workspace_is_not_created(db: &Db) {
        let refused = db.store.create_user(&workspace("nowhere"), provisioned("babs"), &idp()).await;

        assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
        assert!(set_active(&db.store, &workspace("nowhere"), &UserId::new(), false).await.is_err());
    }
}
