//! Tokens, the deployment's own keys, and the audit trail.

use std::time::Duration;

use lockstep_shared::{
    clock::Clock as _,
    id::{TokenId, UserId},
    model::audit::{Actor, ActorKind},
    secret::{BearerToken, Key, Sealer},
    store::{EditError, KeyPurpose, Store, StoreError, StoreOptions},
};
use serde_json::json;

use super::{Db, on_each_engine, workspace};

const YEAR: Duration = Duration::from_hours(365 * 24);

on_each_engine! {
    async fn a_token_is_found_by_what_was_shown_once(db: &Db) {
        let (secret, token) = db.store.issue_token(&db.acme, YEAR, &Actor::operator()).await.unwrap();

        let found = db.store.find_token(&db.acme, &BearerToken::parse(secret.expose()).unwrap()).await.unwrap();

        let workspace = db.store.workspace(&db.acme).await.unwrap().unwrap();
        assert_eq!(found, Some((token.clone(), workspace)));
        assert!(token.is_live(db.clock.now()) && !token.is_live(db.clock.now().plus(YEAR)));
        assert_eq!(db.store.find_token(&db.acme, &BearerToken::new().unwrap()).await.unwrap(), None);
        let mut connection = db.connection().await;
        let kept: String = sqlx::query_scalar("SELECT digest FROM tokens").fetch_one(&mut connection).await.unwrap();
        assert_eq!(kept, lockstep_shared::secret::sha256_hex(secret.expose().as_bytes()), "the token itself is nowhere");
    }

    async fn two_tokens_live_side_by_side_until_one_is_revoked(db: &Db) {
        let (old, first) = db.store.issue_token(&db.acme, YEAR, &Actor::operator()).await.unwrap();
        let (_, second) = db.store.issue_token(&db.acme, YEAR, &Actor::operator()).await.unwrap();
        let now = db.clock.now();

        db.store.touch_token(&db.acme, &first.id, now).await.unwrap();
        db.store.revoke_token(&db.acme, &first.id, &Actor::operator()).await.unwrap();

        let mut tokens = db.store.tokens(&db.acme).await.unwrap();
        tokens.sort_by_key(|token| token.id != first.id);
        assert_eq!((tokens[0].last_used_at, tokens[0].revoked_at), (Some(now), Some(now)));
        assert_eq!(tokens[1..], [second]);
        assert!(!db.store.find_token(&db.acme, &old).await.unwrap().unwrap().0.is_live(now));
        let again = db.store.revoke_token(&db.acme, &first.id, &Actor::operator()).await;
        assert!(matches!(again, Err(StoreError::NotFound(_))), "{again:?}");
        let unknown = db.store.revoke_token(&db.acme, &TokenId::new(), &Actor::operator()).await;
        assert!(matches!(unknown, Err(StoreError::NotFound(_))), "{unknown:?}");
    }

    async fn a_token_for_no_workspace_is_not_issued(db: &Db) {
        let refused = db.store.issue_token(&workspace("nowhere"), YEAR, &Actor::operator()).await;

        assert!(matches!(refused, Err(EditError::Store(StoreError::NotFound(_)))), "{:?}", refused.err());
    }

    async fn processes_that_start_together_get_the_same_keys(db: &Db) {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let store = db.opened_again(db.clock.clone());
            tasks.spawn(async move { store.keys(KeyPurpose::SessionCookie).await.unwrap() });
        }
        let rings = tasks.join_all().await;

        assert_eq!(rings[0].len(), 1);
        assert!(rings.iter().all(|ring| *ring == rings[0]));
        let other = db.store.keys(KeyPurpose::FlowCookie).await.unwrap();
        assert_ne!(other, rings[0], "a purpose has keys of its own");
        assert_eq!(db.store.keys(KeyPurpose::FlowCookie).await.unwrap(), other);
    }

    async fn key_material_keeps_its_form_and_is_made_once(db: &Db) {
        let made = db.store.key_material(KeyPurpose::IdentityJwt, || Ok(b"pkcs8".to_vec())).await.unwrap();
        let kept = db.store.key_material(KeyPurpose::IdentityJwt, || panic!("there is one")).await.unwrap();

        assert_eq!((made, kept), (vec![b"pkcs8".to_vec()], vec![b"pkcs8".to_vec()]));
        assert!(matches!(db.store.keys(KeyPurpose::IdentityJwt).await, Err(StoreError::Corrupt { what: "key", .. })));
    }

    async fn another_master_key_opens_nothing_and_replaces_nothing(db: &Db) {
        let kept = db.store.keys(KeyPurpose::Bus).await.unwrap();
        let stranger = Sealer::new(vec![Key::from_bytes([8; 32])]).unwrap();
        let store = Store::open(&StoreOptions::new(&db.url), db.clock.clone(), stranger).unwrap();

        let refused = store.keys(KeyPurpose::Bus).await;

        assert!(matches!(refused, Err(StoreError::Secret(_))), "{refused:?}");
        assert_eq!(db.store.keys(KeyPurpose::Bus).await.unwrap(), kept);
    }

    async fn the_trail_is_read_newest_first_and_by_target(db: &Db) {
        let target = UserId::new();
        for number in 0..3 {
            db.store.record(&db.acme, &Actor::system(), "test.done", target.as_str(), &json!({ "number": number })).await.unwrap();
            db.store.record(&db.acme, &Actor::user(&target), "test.other", "else", &json!({})).await.unwrap();
        }

        let of_target = db.store.audit_trail(&db.acme, Some(target.as_str()), 2).await.unwrap();
        let all = db.store.audit_trail(&db.acme, None, 100).await.unwrap();

        let numbers: Vec<_> = of_target.iter().map(|record| record.detail["number"].as_i64().unwrap()).collect();
        assert_eq!(numbers, [2, 1]);
        assert_eq!((all.len(), all[6].action.as_str()), (7, "workspace.created"));
        assert_eq!((all[0].actor.kind, all[0].actor.id.as_str()), (ActorKind::User, target.as_str()));
        assert_eq!(all[0].at, db.clock.now());
    }
}
