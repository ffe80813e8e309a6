//! What is done at once, and what nobody's session has to hear of.

use std::convert::Infallible;

use lockstep_shared::{
    clock::TestClock,
    model::{
        access::{Mapping, RoleAttribute},
        audit::Actor,
        revocation::RevocationKind,
        user::{LoginMethod, Profile, User},
    },
    store::{Settlement, Store, StoreError, StoreOptions, UserMatch},
};
use serde_json::json;
use tokio::task::JoinSet;

use super::{Db, edit, idp, on_each_engine, provisioned, sealer, workspace};

async fn give_title(db: &Db, user: &User, title: &str) -> Settlement {
    let change = |profile: &mut Profile| drop(profile.attributes.insert("title".into(), json!(title)));
    edit(&db.store, &db.acme, &user.id, change).await.unwrap().1
}

on_each_engine! {
    async fn somebody_created_at_once_is_whole(db: &Db) {
        let babs = db.user("babs").await;

        assert_eq!(db.store.user(&db.acme, &babs.id).await.unwrap().as_ref(), Some(&babs));
        let by = UserMatch::Email("BABS@acme.com".into());
        assert_eq!(db.store.users_matching(&db.acme, &by).await.unwrap(), std::slice::from_ref(&babs));
        let trail = db.store.audit_trail(&db.acme, Some(babs.id.as_str()), 10).await.unwrap();
        assert_eq!(trail.iter().map(|record| (record.action.as_str(), &record.actor)).collect::<Vec<_>>(), [("user.created", &idp())]);
        assert_eq!(trail[0].detail, json!({ "external_id": "external-babs", "active": true, "origin": "provisioned" }));
    }

    async fn of_somebody_who_is_refused_nothing_stays(db: &Db) {
        db.user("babs").await;
        let before = db.actions().await.len();
        let mut second = provisioned("babs");
        second.profile.external_id = Some("another".into());
        second.profile.attributes.insert("emails".into(), json!([{ "value": "second@acme.com" }]));

        let refused = db.store.create_user(&db.acme, second, &idp()).await;

        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
        assert_eq!(db.store.users_matching(&db.acme, &UserMatch::Email("second@acme.com".into())).await.unwrap(), []);
        assert_eq!(db.actions().await.len(), before);
    }

    async fn a_change_of_somebody_who_never_signed_in_writes_no_row(db: &Db) {
        let babs = db.user("babs").await;

        assert_eq!(give_title(db, &babs, "CEO").await, Settlement::default());
        db.has_signed_in(&babs).await;
        let told = give_title(db, &babs, "CTO").await;

        let [record] = told.records.as_slice() else { panic!("one row, not {told:?}") };
        assert_eq!((record.kind, record.reason.as_str()), (RevocationKind::Changed, "user.changed"));
        assert_eq!(db.store.user(&db.acme, &babs.id).await.unwrap().unwrap().version, 3);
        let changes = db.actions().await.into_iter().filter(|action| action == "user.changed").count();
        assert_eq!(changes, 2, "both are in the audit trail");
    }

    async fn whoever_may_use_a_password_is_not_changed_quietly(db: &Db) {
        let babs = db.user("babs").await;
        drop(db.store.set_login_method(&db.acme, &babs.id, LoginMethod::Password, &idp()).await.unwrap());
        drop(db.store.set_login_method(&db.acme, &babs.id, LoginMethod::Sso, &idp()).await.unwrap());

        assert_eq!(give_title(db, &babs, "CEO").await.records.len(), 1);
    }

    async fn whom_a_gateway_of_the_version_before_has_linked_is_not_changed_quietly(db: &Db) {
        let babs = db.user("babs").await;
        db.has_signed_in(&babs).await;
        let mut connection = db.connection().await;
        let forget = "UPDATE users SET may_have_sessions = 0 WHERE workspace_id = 'acme'";
        sqlx::query(forget).execute(&mut connection).await.unwrap();

        assert_eq!(give_title(db, &babs, "CEO").await.records.len(), 1);
    }

    async fn a_transaction_that_failed_gives_its_only_connection_back(db: &Db) {
        let options = StoreOptions { max_connections: 1, ..StoreOptions::new(&db.url) };
        let store = Store::open(&options, TestClock::new(), sealer()).unwrap();
        let mut two = provisioned("babs");
        two.profile.attributes.insert("emails".into(), json!([{ "value": "a@acme.com" }, { "value": "b@acme.com" }]));
        store.create_user(&db.acme, two.clone(), &idp()).await.unwrap();

        for _ in 0..3 {
            let refused = store.create_user(&db.acme, two.clone(), &idp()).await;

            assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
            assert_eq!(store.count_users(&db.acme).await.unwrap(), 1);
            store.record(&db.acme, &idp(), "test.written", "", &json!({})).await.unwrap();
        }
        assert!(store.workspace(&workspace("nobody")).await.unwrap().is_none());
    }

    async fn what_is_remembered_of_somebody_changes_nothing_that_somebody_else_has_written(db: &Db) {
        let (babs, elsewhere) = (db.user("babs").await, db.opened_again(db.clock.clone()));
        drop(give_title(db, &babs, "CEO").await);
        let nickname = |profile: &mut Profile| drop(profile.attributes.insert("nickName".into(), json!("B")));
        drop(edit(&elsewhere, &db.acme, &babs.id, nickname).await.unwrap());

        drop(give_title(db, &babs, "CTO").await);

        let read = db.store.user(&db.acme, &babs.id).await.unwrap().unwrap();
        assert_eq!((&read.profile.attributes["nickName"], &read.profile.attributes["title"]), (&json!("B"), &json!("CTO")));
        assert_eq!(read.version, 4);
    }

    async fn whom_somebody_else_has_deleted_is_not_remembered(db: &Db) {
        let (babs, elsewhere) = (db.user("babs").await, db.opened_again(db.clock.clone()));
        drop(give_title(db, &babs, "CEO").await);
        drop(elsewhere.delete_user(&db.acme, &babs.id, &idp()).await.unwrap());

        let change = |profile: &mut Profile| drop(profile.attributes.insert("title".into(), json!("CTO")));
        let changed = edit(&db.store, &db.acme, &babs.id, change).await;

        assert!(matches!(changed, Err(StoreError::NotFound("user"))), "{changed:?}");
    }

    async fn what_gives_a_role_by_a_mapping_that_somebody_else_has_written_is_no_quiet_change(db: &Db) {
        let (babs, elsewhere) = (db.user("babs").await, db.opened_again(db.clock.clone()));
        drop(give_title(db, &babs, "Employee").await);
        let mapping = |mapping: &Mapping| {
            let grants = ["Admin".parse().unwrap()].into();
            Ok::<_, Infallible>(Mapping { role_attribute: Some(RoleAttribute { path: "title".parse().unwrap(), grants }), ..mapping.clone() })
        };
        drop(elsewhere.update_mapping(&db.acme, &Actor::operator(), mapping).await.unwrap());

        drop(give_title(db, &babs, "Admin").await);

        let of_access = db.actions().await.into_iter().filter(|action| action == "access.changed").count();
        assert_eq!(of_access, 1, "whom it made an admin is in the audit trail");
    }

    async fn a_quiet_change_shows_the_groups(db: &Db) {
        let babs = db.user("babs").await;
        let title = |title: &'static str| {
            move |user: &User| {
                let mut profile = user.profile.clone();
                profile.attributes.insert("title".into(), json!(title));
                Ok::<_, Infallible>(profile)
            }
        };
        let alone = db.store.update_user(&db.acme, &babs.id, &idp(), title("A")).await.unwrap();
        for name in ["Staff", "Admins"] {
            db.group(name, &[babs.id.to_string()]).await;
        }

        let changed = db.store.update_user(&db.acme, &babs.id, &idp(), title("B")).await.unwrap();

        assert_eq!(alone.groups, Some(Vec::new()));
        let groups = db.store.groups_of(&db.acme, &babs.id).await.unwrap();
        assert_eq!(groups.iter().map(|group| group.display_name.as_str()).collect::<Vec<_>>(), ["Admins", "Staff"]);
        assert_eq!(changed.groups, Some(groups));
    }

    async fn of_those_who_come_together_each_hears_their_own(db: &Db) {
        let mut creating = JoinSet::new();
        for number in 0..60 {
            let (store, acme) = (db.store.clone(), db.acme.clone());
            creating.spawn(async move {
                let mut new = provisioned(&format!("person-{}", number % 20));
                new.profile.external_id = Some(format!("external-{number}"));
                store.create_user(&acme, new, &idp()).await
            });
        }
        let (made, refused): (Vec<_>, Vec<_>) = creating.join_all().await.into_iter().partition(Result::is_ok);

        assert_eq!((made.len(), db.store.count_users(&db.acme).await.unwrap()), (20, 20));
        assert!(refused.iter().all(|refused| matches!(refused, Err(StoreError::Conflict("userName")))), "{refused:?}");
        for user in made.into_iter().map(Result::unwrap) {
            assert_eq!(db.store.user(&db.acme, &user.id).await.unwrap().as_ref(), Some(&user));
            let address = user.profile.emails().next().unwrap().0.to_owned();
            assert_eq!(db.store.users_matching(&db.acme, &UserMatch::Email(address)).await.unwrap(), [user]);
        }
        assert_eq!(db.actions().await.iter().filter(|action| *action == "user.created").count(), 20);
    }

    async fn changes_that_come_together_are_each_made_once(db: &Db) {
        let mut people = Vec::new();
        for number in 0..24 {
            people.push(db.user(&format!("person-{number}")).await);
        }
        let mut changing = JoinSet::new();
        for user in people.iter().chain(&people).cloned() {
            let (store, acme) = (db.store.clone(), db.acme.clone());
            changing.spawn(async move {
                let add = |user: &User| {
                    let mut profile = user.profile.clone();
                    let count = profile.attributes.get("count").and_then(serde_json::Value::as_u64).unwrap_or_default();
                    profile.attributes.insert("count".into(), json!(count + 1));
                    Ok::<_, Infallible>(profile)
                };
                drop(store.update_user(&acme, &user.id, &idp(), add).await.unwrap());
            });
        }
        changing.join_all().await;

        for user in &people {
            let read = db.store.user(&db.acme, &user.id).await.unwrap().unwrap();
            assert_eq!((&read.profile.attributes["count"], read.version), (&json!(2), 3));
        }
    }

    async fn whoever_goes_away_takes_nobody_along(db: &Db) {
        let mut creating = JoinSet::new();
        for number in 0..40 {
            let (store, acme) = (db.store.clone(), db.acme.clone());
            let task = creating.spawn(async move { store.create_user(&acme, provisioned(&format!("person-{number}")), &idp()).await });
            if number % 3 == 0 {
                task.abort();
            }
        }
        let mut made = 0;
        while let Some(created) = creating.join_next().await {
            made += match created {
                Ok(created) => usize::from(created.is_ok()),
                Err(gone) => usize::from(!gone.is_cancelled()) * 1_000,
            };
        }

        assert!((26..=40).contains(&made), "{made}");
        db.user("one-more").await;
    }
}
