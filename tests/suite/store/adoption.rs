//! Adoption: whom a provider may take over who was invited, and what then becomes of their password.

use std::{sync::Arc, time::Duration};

use lockstep_shared::{
    id::{ConnectionId, UserId},
    model::{
        audit::Actor,
        connection::{Link, Preset},
        revocation::{RevocationKind, Scope, Seq},
        user::{LoginMethod, Origin, User},
    },
    store::{ConnectionDetails, Deletion, EditError, NewConnection, NotAdopted, Settlement, StoreError},
};

use super::{DAY, Db, idp, on_each_engine};

const ADDRESS: &str = "ada@acme.com";

async fn prove(db: &Db) {
    db.store.add_domain(&db.acme, "acme.com", &Actor::operator()).await.unwrap();
    db.store.verify_domain(&db.acme, "acme.com", &Actor::operator()).await.unwrap();
}

async fn connect(db: &Db) {
    let details = ConnectionDetails {
        issuer: Some("https://idp.example".into()),
        client_id: Some("client".into()),
        client_secret: Some("hush".into()),
        link: Some(Link::Email),
    };
    let new = NewConnection { id: ConnectionId::parse("acme-idp").unwrap(), preset: Preset::Generic, details };
    db.store.add_connection(&db.acme, new, &Actor::operator()).await.unwrap();
}

/// Invites somebody who then sets a password, and invites them again.
async fn invited(db: &Db, address: &str) -> User {
    let (id, token) = db.store.invite(&db.acme, address, DAY, &Actor::operator()).await.unwrap();
    drop(db.store.accept_invitation(&db.acme, &token, "a hash").await.unwrap());
    db.store.invite(&db.acme, address, DAY, &Actor::operator()).await.unwrap();
    read(db, &id).await
}

async fn read(db: &Db, id: &UserId) -> User {
    db.store.user(&db.acme, id).await.unwrap().unwrap()
}

async fn write(db: &Db, id: &UserId, change: fn(&mut User), actor: &Actor) -> Result<(User, Settlement), StoreError> {
    let edit = |user: &User| {
        let mut after = user.clone();
        change(&mut after);
        Ok::<_, std::convert::Infallible>(after.profile)
    };
    let changed = db.store.update_user(&db.acme, id, actor, edit).await.map_err(EditError::unrefused)?;
    Ok((Arc::unwrap_or_clone(changed.user), changed.settlement))
}

fn give_external_id(user: &mut User) {
    user.profile.external_id = Some("oid-ada".into());
}

fn leave(_: &mut User) {}

fn rename(user: &mut User) {
    "eve@acme.com".clone_into(&mut user.profile.user_name);
}

/// How many passwords and open invitations there are.
async fn ways_in(db: &Db) -> (i64, i64) {
    let mut connection = db.connection().await;
    let passwords = sqlx::query_scalar("SELECT COUNT(*) FROM passwords").fetch_one(&mut connection).await.unwrap();
    let open = "SELECT COUNT(*) FROM invitations WHERE used_at IS NULL";
    (passwords, sqlx::query_scalar(open).fetch_one(&mut connection).await.unwrap())
}

async fn adopted(db: &Db) -> usize {
    db.actions().await.iter().filter(|action| *action == "user.adopted").count()
}

on_each_engine! {
    async fn a_write_that_keeps_the_name_adopts_and_ends_the_password(db: &Db) {
        prove(db).await;
        connect(db).await;
        let ada = invited(db, ADDRESS).await;
        assert_eq!((ada.origin, ways_in(db).await), (Origin::Invited, (1, 1)));

        let (after, settlement) = write(db, &ada.id, give_external_id, &idp()).await.unwrap();

        assert_eq!((after.origin, after.login_method), (Origin::Provisioned, LoginMethod::Sso));
        assert_eq!(read(db, &ada.id).await, after);
        assert_eq!(ways_in(db).await, (0, 0), "nor can a password be set");
        let [record] = settlement.records.as_slice() else { panic!("{settlement:?}") };
        assert_eq!((record.kind, record.reason.as_str()), (RevocationKind::End, "user.adopted"));
        assert_eq!((&record.scopes[..], after.ended_seq), (&[Scope::User { id: ada.id.clone() }][..], record.seq));
        let adoption = db.store.adoption(&db.acme, &ada.id).await.unwrap().unwrap();
        assert_eq!((adoption.actor, adoption.waits, adopted(db).await), (idp(), false, 1));
        let (same, again) = write(db, &ada.id, give_external_id, &idp()).await.unwrap();
        assert_eq!((same, again), (after, Settlement::of_earlier(record.seq)), "the first answer may have been lost");
    }

    async fn without_a_connection_the_password_stays_until_there_is_one(db: &Db) {
        prove(db).await;
        let ada = invited(db, ADDRESS).await;

        let (after, _) = write(db, &ada.id, leave, &idp()).await.unwrap();
        assert_eq!((after.origin, after.login_method, ways_in(db).await), (Origin::Provisioned, LoginMethod::Password, (1, 1)));
        assert!(db.store.adoption(&db.acme, &ada.id).await.unwrap().unwrap().waits);
        let (after, _) = write(db, &ada.id, leave, &idp()).await.unwrap();
        assert_eq!((after.login_method, adopted(db).await), (LoginMethod::Password, 1));
        connect(db).await;

        let (after, settlement) = write(db, &ada.id, leave, &idp()).await.unwrap();

        assert_eq!((after.login_method, ways_in(db).await), (LoginMethod::Sso, (0, 0)));
        assert_eq!((settlement.records.len(), after.ended_seq), (1, settlement.through));
        assert!(!db.store.adoption(&db.acme, &ada.id).await.unwrap().unwrap().waits);
    }

    async fn a_login_method_that_somebody_chose_stays(db: &Db) {
        prove(db).await;
        let ada = invited(db, ADDRESS).await;
        drop(write(db, &ada.id, leave, &idp()).await.unwrap());
        drop(db.store.set_login_method(&db.acme, &ada.id, LoginMethod::Password, &Actor::operator()).await.unwrap());
        connect(db).await;

        let (after, _) = write(db, &ada.id, give_external_id, &idp()).await.unwrap();

        assert_eq!((after.origin, after.login_method), (Origin::Provisioned, LoginMethod::Password));
        assert_eq!(ways_in(db).await, (1, 1));
    }

    async fn a_deactivation_adopts_and_ends_as_any_other(db: &Db) {
        prove(db).await;
        connect(db).await;
        let ada = invited(db, ADDRESS).await;

        let (after, settlement) = write(db, &ada.id, |user| user.profile.active = false, &idp()).await.unwrap();

        assert_eq!((after.origin, after.profile.active, ways_in(db).await), (Origin::Provisioned, false, (0, 0)));
        assert_eq!(settlement.records.iter().map(|record| record.reason.as_str()).collect::<Vec<_>>(), ["user.deactivated"]);
    }

    async fn whom_no_proven_domain_speaks_for_a_provider_cannot_touch(db: &Db) {
        prove(db).await;
        connect(db).await;
        db.store.add_domain(&db.acme, "said.example", &Actor::operator()).await.unwrap();
        let globex = db.workspace("globex").await;
        db.store.add_domain(&globex, "theirs.example", &Actor::operator()).await.unwrap();
        db.store.verify_domain(&globex, "theirs.example", &Actor::operator()).await.unwrap();
        let domain = |domain: &str| NotAdopted::DomainNotProven { domain: domain.to_owned() };
        for (address, change, why) in [
            ("guest@said.example", give_external_id as fn(&mut User), domain("said.example")),
            ("guest@theirs.example", give_external_id, domain("theirs.example")),
            ("guest@sub.acme.com", leave, domain("sub.acme.com")),
            ("guest@acme.com.evil.example", leave, domain("acme.com.evil.example")),
            ("guest@evil.example@acme.com", give_external_id, NotAdopted::NoAddress),
            ("guest", |user| user.profile.active = false, NotAdopted::NoAddress),
            ("guest@acme.com", rename, NotAdopted::NameChanged),
        ] {
            let guest = invited(db, address).await;
            let before = (db.head().await, db.actions().await.len());

            let refused = write(db, &guest.id, change, &idp()).await;
            let deletion = db.store.delete_user(&db.acme, &guest.id, &idp()).await;

            assert!(matches!(&refused, Err(StoreError::NotAdopted(because)) if *because == why), "{address}: {refused:?}");
            assert!(matches!(deletion, Err(StoreError::NotAdopted(NotAdopted::Deletion))), "{address}: {deletion:?}");
            assert_eq!(read(db, &guest.id).await, guest, "{address}");
            assert_eq!((db.head().await, db.actions().await.len()), before, "{address}");
        }
    }

    async fn an_operator_adopts_anybody_once(db: &Db) {
        connect(db).await;
        let guest = invited(db, "guest@partner.example").await;
        let known = db.user("known").await;

        let (after, settlement) = db.store.adopt_user(&db.acme, &guest.id, &Actor::operator()).await.unwrap();
        let again = db.store.adopt_user(&db.acme, &guest.id, &Actor::operator()).await.unwrap();

        assert_eq!((after.origin, after.login_method, ways_in(db).await), (Origin::Provisioned, LoginMethod::Sso, (0, 0)));
        assert_eq!((settlement.records.len(), read(db, &guest.id).await), (1, after.clone()));
        assert_eq!((again, adopted(db).await), ((after, Settlement::of_earlier(settlement.through)), 1));
        let (same, nothing) = db.store.adopt_user(&db.acme, &known.id, &Actor::operator()).await.unwrap();
        assert_eq!((same, nothing), (known, Settlement::default()));
        drop(write(db, &guest.id, rename, &idp()).await.unwrap());
        assert!(matches!(db.store.delete_user(&db.acme, &guest.id, &idp()).await, Ok(Deletion::Now(_))));
        assert_eq!(db.store.adoption(&db.acme, &guest.id).await.unwrap(), None);
    }

    async fn an_operators_own_change_adopts_nobody(db: &Db) {
        prove(db).await;
        let ada = invited(db, ADDRESS).await;

        let (after, _) = write(db, &ada.id, give_external_id, &Actor::operator()).await.unwrap();

        assert_eq!((after.origin, db.store.adoption(&db.acme, &ada.id).await.unwrap()), (Origin::Invited, None));
        assert!(matches!(db.store.delete_user(&db.acme, &ada.id, &Actor::operator()).await, Ok(Deletion::Now(_))));
    }

    async fn an_invitation_that_races_the_adoption_gives_no_password(db: &Db) {
        prove(db).await;
        connect(db).await;
        let ada = invited(db, ADDRESS).await;
        let (store, acme) = (db.opened_again(db.clock.clone()), db.acme.clone());
        let inviting = tokio::spawn(async move {
            let mut outcomes = Vec::new();
            for _ in 0..20 {
                outcomes.push(store.invite(&acme, ADDRESS, Duration::from_mins(1), &Actor::operator()).await);
            }
            outcomes
        });

        drop(write(db, &ada.id, give_external_id, &idp()).await.unwrap());

        for outcome in inviting.await.unwrap() {
            assert!(matches!(outcome, Ok(_) | Err(StoreError::Conflict(_))), "{outcome:?}");
        }
        assert_eq!(ways_in(db).await, (0, 0));
        assert_eq!(db.head().await, Seq(2), "the password that was set, and the adoption");
    }
}
