//! What is done at once, and what nobody's session has to hear of.

use lockstep_shared::{
    clock::TestClock,
    model::{
        revocation::RevocationKind,
        user::{LoginMethod, Profile, User},
    },
    store::{Settlement, Store, StoreError, StoreOptions, UserMatch},
};
use serde_json::json;

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
}
