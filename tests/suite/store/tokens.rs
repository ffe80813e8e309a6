//! The provider's secrets: two of a kind at once and never three, and what OAuth clients are granted.

use std::time::Duration;

use lockstep_shared::{
    clock::Clock as _,
    id::OAuthClientId,
    model::{
        audit::Actor,
        oauth_client::{AssertionTrust, ClientProof, OAuthClient},
        token::TokenKind,
    },
    secret::BearerToken,
    store::{EditError, NotGranted, OnceUntil, StoreError, TooManyLive},
};

use super::{DAY, Db, idp, on_each_engine, workspace};

const HOUR: Duration = Duration::from_hours(1);

fn operator() -> Actor {
    Actor::operator()
}

fn described(db: &Db, proof: ClientProof) -> OAuthClient {
    OAuthClient {
        workspace: db.acme.clone(),
        id: OAuthClientId::random(&db.acme),
        proof,
        token_lifetime: HOUR,
        created_at: db.clock.now(),
        last_used_at: None,
        revoked_at: None,
    }
}

async fn client(db: &Db) -> OAuthClient {
    let client = described(db, ClientProof::Secret { digest: BearerToken::new().unwrap().digest() });
    db.store.add_oauth_client(&client, &operator()).await.unwrap();
    client
}

on_each_engine! {
    async fn two_of_a_kind_are_live_and_a_third_is_refused(db: &Db) {
        let (_, first) = db.store.issue_token(&db.acme, DAY, &operator()).await.unwrap();
        let (_, second) = db.store.issue_token(&db.acme, DAY, &operator()).await.unwrap();

        match db.store.issue_token(&db.acme, DAY, &operator()).await {
            Err(EditError::Refused(TooManyLive { live })) => assert_eq!(live, [first.clone(), second]),
            outcome => panic!("{:?}", outcome.map(drop)),
        }
        assert_eq!(db.store.tokens(&db.acme).await.unwrap().len(), 2, "nothing of it stays");
        for _ in 0..2 {
            db.store.issue_password(&db.acme, DAY, &operator()).await.unwrap();
        }
        assert!(db.store.issue_password(&db.acme, DAY, &operator()).await.is_err());
        db.store.revoke_token(&db.acme, &first.id, &operator()).await.unwrap();
        db.store.issue_token(&db.acme, DAY, &operator()).await.unwrap();
        assert!(db.store.issue_token(&db.acme, DAY, &operator()).await.is_err());
        db.clock.advance(DAY);
        for _ in 0..2 {
            db.store.issue_token(&db.acme, DAY, &operator()).await.unwrap();
        }
        let other = db.workspace("other").await;
        db.store.issue_token(&other, DAY, &operator()).await.unwrap();
    }

    async fn commands_that_race_leave_two_live(db: &Db) {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..12 {
            // As many processes.
            let (store, acme) = (db.opened_again(db.clock.clone()), db.acme.clone());
            tasks.spawn(async move {
                let issued = if number % 2 == 0 {
                    store.issue_token(&acme, DAY, &operator()).await
                } else {
                    store.issue_password(&acme, DAY, &operator()).await
                };
                match issued {
                    Ok(_) => true,
                    Err(EditError::Refused(_)) => false,
                    Err(EditError::Store(error)) => panic!("{error}"),
                }
            });
        }
        let issued = tasks.join_all().await.into_iter().filter(|issued| *issued).count();

        let tokens = db.store.tokens(&db.acme).await.unwrap();
        let bearers = tokens.iter().filter(|token| token.kind == TokenKind::Bearer).count();
        assert_eq!((issued, tokens.len(), bearers), (4, 4, 2));
    }

    async fn a_password_is_found_with_its_user_name(db: &Db) {
        let (secret, token) = db.store.issue_password(&db.acme, DAY, &operator()).await.unwrap();
        let (_, other) = db.store.issue_password(&db.acme, DAY, &operator()).await.unwrap();

        let (found, _) = db.store.find_token(&db.acme, &secret).await.unwrap().unwrap();

        assert_eq!(found, token);
        let TokenKind::Basic { user_name } = &token.kind else { panic!("{token:?}") };
        assert!(user_name.starts_with("acme-") && !user_name.contains(':'), "{user_name}");
        assert_ne!(token.kind, other.kind, "each has a name of its own");
    }

    async fn a_client_reads_back_and_stays_at_home(db: &Db) {
        let trust = AssertionTrust {
            issuer: "https://idp.example".into(),
            jwks_url: "https://idp.example/keys".into(),
            subject: "s-1".into(),
            audience: None,
        };
        let named = AssertionTrust { audience: Some("api://x".into()), ..trust.clone() };
        let (mut kept, other) = (Vec::new(), db.workspace("other").await);
        for proof in [ClientProof::Secret { digest: "d".into() }, ClientProof::Assertion(trust), ClientProof::Assertion(named)] {
            let client = described(db, proof);
            db.store.add_oauth_client(&client, &operator()).await.unwrap();
            db.clock.step_wall(1);
            kept.push(client);
        }

        assert_eq!(db.store.oauth_clients(&db.acme).await.unwrap(), kept);
        let (found, home) = db.store.oauth_client(&db.acme, &kept[1].id).await.unwrap().unwrap();
        assert_eq!((&found, &home.id), (&kept[1], &db.acme));
        assert!(db.store.oauth_client(&other, &kept[1].id).await.unwrap().is_none());
        assert_eq!(db.store.oauth_clients(&other).await.unwrap(), []);
        let foreign = db.store.revoke_oauth_client(&other, &kept[1].id, &operator()).await;
        assert!(matches!(foreign, Err(StoreError::NotFound(_))), "{foreign:?}");
        let nowhere = OAuthClient { workspace: workspace("nowhere"), ..described(db, kept[0].proof.clone()) };
        let refused = db.store.add_oauth_client(&nowhere, &operator()).await;
        assert!(matches!(refused, Err(StoreError::NotFound(_))), "{refused:?}");
    }

    async fn what_is_granted_is_live_for_its_time_and_beside_the_two(db: &Db) {
        let client = client(db).await;
        for _ in 0..2 {
            db.store.issue_token(&db.acme, DAY, &operator()).await.unwrap();
        }

        let (secret, granted) = db.store.grant_token(&client, None).await.unwrap();
        let (_, later) = db.store.grant_token(&OAuthClient { token_lifetime: HOUR * 2, ..client.clone() }, None).await.unwrap();

        assert_eq!(granted.kind, TokenKind::OAuth { client: client.id.clone() });
        let (found, home) = db.store.find_token(&db.acme, &secret).await.unwrap().unwrap();
        assert_eq!((&found, &home.id), (&granted, &db.acme));
        assert!(granted.is_live(db.clock.now()) && !granted.is_live(db.clock.now().plus(HOUR)));
        assert_eq!(db.store.tokens(&db.acme).await.unwrap().len(), 2, "they are their client's");
        let (used, _) = db.store.oauth_client(&db.acme, &client.id).await.unwrap().unwrap();
        assert_eq!(used.last_used_at, Some(db.clock.now()));

        db.clock.advance(HOUR);
        db.store.sweep_tokens().await.unwrap();
        let mut connection = db.connection().await;
        let left: Vec<String> = sqlx::query_scalar("SELECT id FROM tokens WHERE kind = 'oauth'").fetch_all(&mut connection).await.unwrap();
        assert_eq!(left, [later.id.to_string()]);
        db.clock.advance(DAY * 2);
        db.store.sweep_tokens().await.unwrap();
        assert_eq!(db.store.tokens(&db.acme).await.unwrap().len(), 2, "issued ones stay on record");
    }

    async fn an_assertion_is_shown_once_however_many_show_it_at_once(db: &Db) {
        let (first, second) = (client(db).await, client(db).await);
        let shown = OnceUntil { name: "j-1".into(), until: db.clock.now().plus(HOUR) };

        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (store, client, shown) = (db.opened_again(db.clock.clone()), first.clone(), shown.clone());
            tasks.spawn(async move {
                match store.grant_token(&client, Some(&shown)).await {
                    Ok(_) => true,
                    Err(EditError::Refused(NotGranted::Replayed)) => false,
                    Err(error) => panic!("{error}"),
                }
            });
        }
        assert_eq!(tasks.join_all().await.into_iter().filter(|granted| *granted).count(), 1);
        db.store.grant_token(&second, Some(&shown)).await.unwrap();
        let mut connection = db.connection().await;
        let granted: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tokens").fetch_one(&mut connection).await.unwrap();
        assert_eq!(granted, 2, "another client's issuer counts by itself");
        db.clock.advance(Duration::from_millis(3_599_999));
        db.store.sweep_sessions().await.unwrap();
        let again = db.store.grant_token(&first, Some(&shown)).await;
        assert!(matches!(again, Err(EditError::Refused(NotGranted::Replayed))), "remembered to the end");
    }

    async fn a_client_ends_with_all_it_was_granted(db: &Db) {
        let (one, two) = (client(db).await, client(db).await);
        let (granted, _) = db.store.grant_token(&one, None).await.unwrap();
        let (kept, _) = db.store.grant_token(&two, None).await.unwrap();

        db.store.revoke_oauth_client(&db.acme, &one.id, &operator()).await.unwrap();

        let live = async |secret: &BearerToken| {
            let (token, _) = db.store.find_token(&db.acme, secret).await.unwrap().unwrap();
            token.is_live(db.clock.now())
        };
        assert!(!live(&granted).await && live(&kept).await);
        let more = db.store.grant_token(&one, None).await;
        assert!(matches!(more, Err(EditError::Refused(NotGranted::Revoked))));
        let again = db.store.revoke_oauth_client(&db.acme, &one.id, &operator()).await;
        assert!(matches!(again, Err(StoreError::NotFound(_))), "{again:?}");
        let trail = db.store.audit_trail(&db.acme, Some(one.id.as_str()), 10).await.unwrap();
        let actions: Vec<_> = trail.iter().map(|record| record.action.as_str()).collect();
        assert_eq!(actions, ["oauth_client.revoked", "oauth_client.added"]);
    }

    async fn no_grant_outlives_a_client_that_is_revoked_meanwhile(db: &Db) {
        for _ in 0..6 {
            let client = client(db).await;
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..4 {
                let (store, client) = (db.opened_again(db.clock.clone()), client.clone());
                tasks.spawn(async move { store.grant_token(&client, None).await.map(|(secret, _)| secret).ok() });
            }
            db.store.revoke_oauth_client(&db.acme, &client.id, &idp()).await.unwrap();

            for secret in tasks.join_all().await.into_iter().flatten() {
                let (token, _) = db.store.find_token(&db.acme, &secret).await.unwrap().unwrap();
                assert!(token.revoked_at.is_some(), "{token:?}");
            }
        }
    }
}
