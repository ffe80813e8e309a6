//! I5: with another workspace's ids nothing is read, changed or learned.

use std::convert::Infallible;

use lockstep_shared::{
    id::ConnectionId,
    model::{
        audit::Actor,
        connection::Preset,
        group::{Group, MemberChange},
        session::ProviderIdentity,
        text::EmailAddress,
        user::{LoginMethod, User},
    },
    store::{
        ClaimSource, ConnectionDetails, Deletion, EditError, FormerIdentity, GroupDeletion, GroupMatch, NewConnection,
        PasswordAccount, Refusal, StoreError, UserMatch,
    },
};

use super::{DAY, Db, idp, named, on_each_engine};

struct NoClaims;

impl ClaimSource for NoClaims {
    fn text_claim(&self, _: &str) -> Option<String> {
        None
    }

    fn verified_email(&self) -> Option<EmailAddress> {
        None
    }
}

fn not_found<T: std::fmt::Debug>(outcome: &Result<T, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::NotFound(_))), "{outcome:?}");
}

fn complete() -> ConnectionDetails {
    ConnectionDetails {
        issuer: Some("https://idp.example".into()),
        client_id: Some("client".into()),
        client_secret: Some("hush".into()),
        link: None,
    }
}

on_each_engine! {
    async fn users_of_another_workspace_are_nobody(db: &Db) {
        let (other, babs) = (db.workspace("other").await, db.user("babs").await);
        drop(db.store.delete_user(&db.acme, &db.user("gone").await.id, &idp()).await.unwrap());
        let head = db.head().await;

        assert_eq!(db.store.user(&other, &babs.id).await.unwrap(), None);
        for by in [
            UserMatch::Id(babs.id.to_string()),
            UserMatch::UserName("babs".into()),
            UserMatch::ExternalId("external-babs".into()),
            UserMatch::Email("babs@acme.com".into()),
        ] {
            assert_eq!(db.store.users_matching(&other, &by).await.unwrap(), vec![], "{by:?}");
        }
        assert_eq!(db.store.users_after(&other, None, 10).await.unwrap(), vec![]);
        assert_eq!(db.store.users_page(&other, 0, 10).await.unwrap(), vec![]);
        assert_eq!(db.store.count_users(&other).await.unwrap(), 0);
        assert_eq!(db.store.person(&other, &babs.id).await.unwrap(), None);
        let edit = |_: &User| -> Result<_, Infallible> { panic!("there is nobody to edit") };
        assert!(matches!(db.store.update_user(&other, &babs.id, &idp(), edit).await, Err(EditError::Store(StoreError::NotFound("user")))));
        not_found(&db.store.set_login_method(&other, &babs.id, LoginMethod::Password, &idp()).await);
        assert_eq!(db.store.delete_user(&other, &babs.id, &idp()).await.unwrap(), Deletion::Never, "not even that there was one");
        assert_eq!(db.store.user(&db.acme, &babs.id).await.unwrap(), Some(babs));
        assert_eq!(db.head().await, head);
    }

    async fn a_tombstone_of_another_workspace_tells_nothing(db: &Db) {
        let (other, babs) = (db.workspace("other").await, db.user("babs").await);
        let group = db.group("team", &[babs.id.to_string()]).await;
        drop(db.store.delete_user(&db.acme, &babs.id, &idp()).await.unwrap());
        drop(db.store.delete_group(&db.acme, &group.id, &idp()).await.unwrap());

        assert_eq!(db.store.delete_user(&other, &babs.id, &idp()).await.unwrap(), Deletion::Never);
        assert_eq!(db.store.delete_group(&other, &group.id, &idp()).await.unwrap(), GroupDeletion::Never);
    }

    async fn names_and_external_ids_are_free_in_every_workspace(db: &Db) {
        let other = db.workspace("other").await;
        let mut profile = named("team");
        profile.external_id = Some("G-1".into());

        for workspace in [&db.acme, &other] {
            db.user_in(workspace, "babs").await;
            drop(db.store.create_group(workspace, profile.clone(), vec![], &idp()).await.unwrap());
        }
    }

    async fn groups_of_another_workspace_are_none(db: &Db) {
        let (other, babs) = (db.workspace("other").await, db.user("babs").await);
        let group = db.group("team", &[babs.id.to_string()]).await;
        let head = db.head().await;

        assert_eq!(db.store.group(&other, &group.id).await.unwrap(), None);
        for by in [
            GroupMatch::Id(group.id.to_string()),
            GroupMatch::DisplayName("team".into()),
            GroupMatch::Member(babs.id.to_string()),
        ] {
            assert_eq!(db.store.groups_matching(&other, &by).await.unwrap(), vec![], "{by:?}");
        }
        assert_eq!(db.store.groups_after(&other, None, 10).await.unwrap(), vec![]);
        assert_eq!(db.store.groups_page(&other, 0, 10).await.unwrap(), vec![]);
        assert_eq!(db.store.count_groups(&other).await.unwrap(), 0);
        assert!(db.store.members(&other, &group.id).await.unwrap().is_empty());
        assert_eq!(db.store.members_named(&other, &group.id, [babs.id.as_str()]).await.unwrap(), vec![]);
        assert_eq!(db.store.groups_of(&other, &babs.id).await.unwrap(), vec![]);
        let edit = |_: &Group| -> Result<_, Infallible> { panic!("there is none to edit") };
        assert!(matches!(db.store.update_group(&other, &group.id, &idp(), edit).await, Err(EditError::Store(StoreError::NotFound("group")))));
        assert_eq!(db.store.delete_group(&other, &group.id, &idp()).await.unwrap(), GroupDeletion::Never);
        assert_eq!((db.member_ids(&group.id).await, db.head().await), (vec![babs.id.to_string()], head));
    }

    async fn a_member_of_another_workspace_is_a_stranger_who_gains_nothing(db: &Db) {
        let other = db.workspace("other").await;
        let theirs = db.user_in(&other, "babs").await;

        let group = db.group("team", &[theirs.id.to_string()]).await;

        let shown: Vec<_> = db.store.members(&db.acme, &group.id).await.unwrap().into_iter().collect();
        assert_eq!((shown[0].display.as_deref(), shown[0].is_group), (None, false), "no name is shown");
        assert_eq!(db.store.groups_of(&other, &theirs.id).await.unwrap(), vec![]);
        let record = db.log().await.remove(0);
        assert_eq!(record.workspace, Some(db.acme.clone()), "their own sessions are not named");
        drop(db.change(&group.id, MemberChange::Remove(vec![theirs.id.to_string()])).await);
        assert!(db.store.user(&other, &theirs.id).await.unwrap().is_some());
    }

    async fn tokens_connections_domains_and_trails_stay_at_home(db: &Db) {
        let other = db.workspace("other").await;
        let (secret, token) = db.store.issue_token(&db.acme, DAY, &idp()).await.unwrap();
        let id = ConnectionId::parse("acme-idp").unwrap();
        let new = NewConnection { id: id.clone(), preset: Preset::Okta, details: complete() };
        let mine = db.store.add_connection(&db.acme, new, &idp()).await.unwrap();
        db.store.add_domain(&db.acme, "acme.com", &idp()).await.unwrap();
        let head = db.head().await;

        assert_eq!(db.store.find_token(&other, &secret).await.unwrap(), None);
        assert_eq!(db.store.tokens(&other).await.unwrap(), vec![]);
        db.store.touch_token(&other, &token.id, token.created_at).await.unwrap();
        not_found(&db.store.revoke_token(&other, &token.id, &idp()).await);
        assert_eq!(db.store.tokens(&db.acme).await.unwrap(), vec![token]);
        assert_eq!(db.store.connection(&other, &id).await.unwrap(), None);
        assert_eq!(db.store.connections(&other).await.unwrap(), vec![]);
        not_found(&db.store.set_connection(&other, &id, complete(), &idp()).await);
        not_found(&db.store.disable_connection(&other, &id, &idp()).await);
        not_found(&db.store.remove_connection(&other, &id, &idp()).await);
        assert_eq!(db.store.connection(&db.acme, &id).await.unwrap(), Some(mine));
        assert_eq!(db.store.domains(&other).await.unwrap(), vec![]);
        not_found(&db.store.verify_domain(&other, "acme.com", &idp()).await);
        assert_eq!(db.store.audit_trail(&other, Some("acme-idp"), 10).await.unwrap(), vec![]);
        assert_eq!(db.head().await, head);
    }

    async fn nobody_signs_in_with_what_belongs_to_another_workspace(db: &Db) {
        let other = db.workspace("other").await;
        let babs = db.user("babs").await;
        let id = ConnectionId::parse("acme-idp").unwrap();
        let new = NewConnection { id: id.clone(), preset: Preset::Okta, details: complete() };
        db.store.add_connection(&db.acme, new, &idp()).await.unwrap();
        let identity = ProviderIdentity {
            connection: id,
            issuer: "https://idp.example".into(),
            subject: "s-1".into(),
            sid: None,
        };
        db.store.link(&db.acme, &identity, &babs.id, FormerIdentity::Keep, &Actor::operator()).await.unwrap();
        let (guest, token) = db.store.invite(&db.acme, "guest@acme.com", DAY, &idp()).await.unwrap();

        let by_sso = db.store.sign_in_by_sso(&other, &identity, &NoClaims).await.unwrap();
        let linked = db.store.link(&other, &identity, &babs.id, FormerIdentity::Keep, &Actor::operator()).await;
        let (unlinked, theirs) =
            (db.store.unlink(&other, &babs.id, &identity.connection, &Actor::operator()).await, db.store.links(&other, &babs.id).await);

        assert_eq!(by_sso, Err(Refusal::ConnectionClosed));
        assert!(matches!(linked, Err(EditError::Store(StoreError::NotFound(_)))), "{linked:?}");
        not_found(&unlinked);
        assert_eq!(theirs.unwrap(), []);
        assert_eq!(db.store.invited_user(&other, &token).await.unwrap(), None);
        assert!(db.store.accept_invitation(&other, &token, "hash").await.unwrap().is_none());
        drop(db.store.accept_invitation(&db.acme, &token, "hash").await.unwrap().unwrap());
        let account = PasswordAccount { workspace: other, user: guest, hash: "hash".into() };
        assert_eq!(db.store.sign_in_by_password(&account).await.unwrap(), Err(Refusal::NotProvisioned));
        assert!(db.store.sign_in_by_sso(&db.acme, &identity, &NoClaims).await.unwrap().is_ok());
    }
}
