//! Passwords: invitation, acceptance, signing in, and every way in that enforcement closes.

use std::time::Duration;

use lockstep_shared::{
    id::UserId,
    model::{
        audit::Actor,
        revocation::{RevocationKind, Scope},
        user::{LoginMethod, Origin},
        workspace::{Enforcement, Stage, WorkspaceState},
    },
    store::{PasswordAccount, Refusal, SignedIn, StoreError},
};

use super::{DAY, Db, idp, on_each_engine, workspace};

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";

fn operator() -> Actor {
    Actor::operator()
}

async fn invite(db: &Db) -> (UserId, String) {
    db.store.invite(&db.acme, "Guest@acme.com", DAY, &operator()).await.unwrap()
}

/// A guest who has set a password.
async fn guest(db: &Db) -> PasswordAccount {
    let (_, token) = invite(db).await;
    db.store.accept_invitation(&db.acme, &token, HASH).await.unwrap().unwrap().1.records.clear();
    let accounts = db.store.password_accounts("guest@acme.com").await.unwrap();
    accounts.into_iter().find(|account| account.workspace == db.acme).unwrap()
}

async fn sign_in(db: &Db, account: &PasswordAccount) -> Result<SignedIn, Refusal> {
    db.store.sign_in_by_password(account).await.unwrap()
}

on_each_engine! {
    async fn an_invitation_makes_a_user_and_its_token_sets_a_password_once(db: &Db) {
        let (id, token) = invite(db).await;
        let user = db.store.user(&db.acme, &id).await.unwrap().unwrap();
        assert_eq!((user.origin, user.login_method, user.profile.email()), (Origin::Invited, LoginMethod::Password, Some("Guest@acme.com")));
        assert_eq!(db.store.invited_user(&db.acme, &token).await.unwrap(), Some(user));

        let (accepted, settlement) = db.store.accept_invitation(&db.acme, &token, HASH).await.unwrap().unwrap();
        let again = db.store.accept_invitation(&db.acme, &token, "another").await.unwrap();

        assert_eq!(accepted, id);
        let [record] = settlement.records.as_slice() else { panic!("{settlement:?}") };
        assert_eq!((record.kind, &record.scopes), (RevocationKind::End, &vec![Scope::User { id: id.clone() }]));
        assert!(again.is_none());
        assert_eq!(db.store.invited_user(&db.acme, &token).await.unwrap(), None);
        let accounts = db.store.password_accounts("GUEST@acme.com").await.unwrap();
        assert_eq!(accounts, vec![PasswordAccount { workspace: db.acme.clone(), user: id, hash: HASH.into() }]);
        assert!(!format!("{accounts:?}").contains("argon2"), "a hash is not printed");
    }

    async fn an_invitation_that_has_run_out_opens_nothing(db: &Db) {
        let (_, token) = invite(db).await;
        db.clock.advance(DAY.checked_sub(Duration::from_millis(1)).unwrap());
        assert!(db.store.invited_user(&db.acme, &token).await.unwrap().is_some());

        db.clock.advance(Duration::from_millis(1));

        assert_eq!(db.store.invited_user(&db.acme, &token).await.unwrap(), None);
        assert!(db.store.accept_invitation(&db.acme, &token, HASH).await.unwrap().is_none());
        assert!(db.store.accept_invitation(&db.acme, "guessed", HASH).await.unwrap().is_none());
        assert_eq!(db.store.password_accounts("guest@acme.com").await.unwrap(), vec![]);
    }

    async fn of_two_who_accept_at_once_one_does(db: &Db) {
        let (_, token) = invite(db).await;

        let (one, two) = tokio::join!(
            db.store.accept_invitation(&db.acme, &token, "one"),
            db.store.accept_invitation(&db.acme, &token, "two"),
        );

        assert_eq!([one.unwrap(), two.unwrap()].iter().flatten().count(), 1);
    }

    async fn a_second_invitation_is_of_the_same_user_and_replaces_the_password(db: &Db) {
        let account = guest(db).await;

        let (id, token) = invite(db).await;
        drop(db.store.accept_invitation(&db.acme, &token, "another").await.unwrap().unwrap());

        assert_eq!(id, account.user);
        assert_eq!(sign_in(db, &account).await, Err(Refusal::PasswordGone), "the old one was checked, the new one counts");
        let renewed = db.store.password_accounts("guest@acme.com").await.unwrap().remove(0);
        assert_eq!((renewed.hash.as_str(), sign_in(db, &renewed).await.unwrap().user), ("another", id));
    }

    async fn somebody_of_the_directory_is_not_invited_to_a_password(db: &Db) {
        db.user("babs").await;

        let refused = db.store.invite(&db.acme, "BABS", DAY, &operator()).await;
        let nowhere = db.store.invite(&workspace("nowhere"), "guest@acme.com", DAY, &operator()).await;

        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
        assert!(matches!(nowhere, Err(StoreError::NotFound("workspace"))), "{nowhere:?}");
    }

    async fn a_guest_comes_in_with_what_apps_see_of_them(db: &Db) {
        let account = guest(db).await;
        db.group("Guests", &[account.user.to_string()]).await;

        let signed_in = sign_in(db, &account).await.unwrap();

        assert_eq!((signed_in.user, signed_in.linked_now), (account.user, false));
        assert_eq!((signed_in.person.email.as_str(), signed_in.person.groups), ("Guest@acme.com", vec!["Guests".to_owned()]));
        assert_eq!(signed_in.fresh.seq, db.head().await);
        assert_eq!(db.actions().await[0], "session.signed_in");
    }

    async fn enforcement_closes_the_password_way(db: &Db) {
        let account = guest(db).await;
        let nobody = Stage::default();
        let stages = [
            (Enforcement::Enforced, nobody.clone(), false),
            (Enforcement::Staged, Stage { users: vec!["guest@acme.com".into()], ..nobody.clone() }, false),
            (Enforcement::Staged, Stage { percent: 100, ..nobody.clone() }, false),
            (Enforcement::Staged, nobody.clone(), true),
            (Enforcement::Off, nobody.clone(), true),
        ];

        for (enforcement, stage, open) in stages {
            drop(db.store.set_enforcement(&db.acme, enforcement, &stage, &operator(), None).await.unwrap());
            let outcome = sign_in(db, &account).await;
            assert_eq!(outcome.as_ref().err(), (!open).then_some(&Refusal::MustUseSso), "{enforcement} {stage:?}");
        }
        db.group("Pilots", &[account.user.to_string()]).await;
        let pilots = Stage { groups: vec!["pilots".into()], ..nobody };
        drop(db.store.set_enforcement(&db.acme, Enforcement::Staged, &pilots, &operator(), None).await.unwrap());
        assert_eq!(sign_in(db, &account).await, Err(Refusal::MustUseSso), "by their group");
    }

    async fn whatever_changes_after_the_password_was_checked_still_counts(db: &Db) {
        let account = guest(db).await;
        drop(db.store.adopt_user(&db.acme, &account.user, &operator()).await.unwrap());
        drop(db.set_active(&account.user, false).await);
        assert_eq!(sign_in(db, &account).await, Err(Refusal::Deactivated));
        drop(db.set_active(&account.user, true).await);

        drop(db.store.set_login_method(&db.acme, &account.user, LoginMethod::Sso, &idp()).await.unwrap());
        assert_eq!(sign_in(db, &account).await, Err(Refusal::MustUseSso));
        drop(db.store.set_login_method(&db.acme, &account.user, LoginMethod::Password, &idp()).await.unwrap());
        assert!(sign_in(db, &account).await.is_ok());

        drop(db.store.set_workspace_state(&db.acme, WorkspaceState::Suspended, &operator()).await.unwrap());
        assert_eq!(sign_in(db, &account).await, Err(Refusal::WorkspaceClosed));
        drop(db.store.set_workspace_state(&db.acme, WorkspaceState::Active, &operator()).await.unwrap());
        drop(db.store.delete_user(&db.acme, &account.user, &operator()).await.unwrap());
        assert_eq!(sign_in(db, &account).await, Err(Refusal::NotProvisioned));
        assert_eq!(db.store.password_accounts("guest@acme.com").await.unwrap(), vec![]);
    }

    async fn a_deletion_that_races_an_acceptance_always_succeeds(db: &Db) {
        for round in 0..40_u32 {
            let (id, token) = invite(db).await;
            let (accepted, deleted) = tokio::join!(
                async {
                    for _ in 0..round % 4 { tokio::task::yield_now().await; }
                    db.store.accept_invitation(&db.acme, &token, HASH).await
                },
                async {
                    for _ in 0..round % 3 { tokio::task::yield_now().await; }
                    db.store.delete_user(&db.acme, &id, &operator()).await
                },
            );

            deleted.map(drop).unwrap();
            accepted.map(drop).unwrap();
            assert_eq!(db.store.password_accounts("guest@acme.com").await.unwrap(), vec![]);
        }
    }

    async fn one_user_name_opens_accounts_of_several_workspaces(db: &Db) {
        let account = guest(db).await;
        let other = db.workspace("other").await;
        let (_, token) = db.store.invite(&other, "guest@acme.com", DAY, &operator()).await.unwrap();
        drop(db.store.accept_invitation(&other, &token, "elsewhere").await.unwrap().unwrap());

        let accounts = db.store.password_accounts("guest@acme.com").await.unwrap();

        let hashes: Vec<_> = accounts.iter().map(|account| (account.workspace.as_str(), account.hash.as_str())).collect();
        assert_eq!(hashes, [("acme", HASH), ("other", "elsewhere")]);
        let crossed = PasswordAccount { workspace: other, ..account };
        assert_eq!(sign_in(db, &crossed).await, Err(Refusal::NotProvisioned), "an account is of its workspace");
    }
}
