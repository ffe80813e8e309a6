//! Signing in by SSO: the link rules, every refusal, and the race with a deactivation.

use std::collections::HashMap;

use lockstep_shared::{
    id::{ConnectionId, UserId},
    model::{
        audit::Actor,
        connection::{Link, Preset},
        group::MemberChange,
        revocation::{RevocationKind, Scope},
        session::ProviderIdentity,
        text::EmailAddress,
        user::LoginMethod,
        workspace::WorkspaceState,
    },
    store::{
        ClaimSource, ConnectionDetails, Deletion, EditError, FormerIdentity, NewConnection, NewUser, NotLinked, Refusal,
        SignedIn, Store, StoreError, StoreOptions,
    },
};
use serde_json::json;

use super::{DAY, Db, edit, idp, on_each_engine, provisioned, sealer, set_active, workspace};

const ISSUER: &str = "https://idp.example";
/// People who were invited, with the externalId of another.
const NAMESAKES: &str = "
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 999)
    INSERT INTO users (workspace_id, id, user_name, user_name_key, external_id, active, attributes, origin, login_method,
        may_have_sessions, version, ended_seq, created_at, updated_at)
    SELECT 'acme', '01000000-0000-7000-8000-' || (100000000000 + n), 'a-' || n, 'a-' || n, 'external-babs', 1, '{}', 'invited', 'password', 1, 1, 0, 0, 0 FROM numbers";

/// What an ID token says.
#[derive(Default)]
struct Claims {
    texts: HashMap<&'static str, String>,
    verified_email: Option<&'static str>,
}

impl ClaimSource for Claims {
    fn text_claim(&self, name: &str) -> Option<String> {
        self.texts.get(name).cloned()
    }

    fn verified_email(&self) -> Option<EmailAddress> {
        self.verified_email.and_then(EmailAddress::parse)
    }
}

/// The claims of somebody whose `sub` is the externalId of the user of this name.
fn sub_of(name: &str) -> Claims {
    Claims { texts: HashMap::from([("sub", format!("external-{name}"))]), verified_email: None }
}

fn verified(address: &'static str) -> Claims {
    Claims { texts: HashMap::new(), verified_email: Some(address) }
}

fn identity(subject: &str) -> ProviderIdentity {
    ProviderIdentity {
        connection: ConnectionId::parse("acme-idp").unwrap(),
        issuer: ISSUER.into(),
        subject: subject.into(),
        sid: Some("a session of the provider".into()),
    }
}

async fn link(db: &Db, subject: &str, user: &UserId) -> Result<bool, EditError<NotLinked>> {
    db.store.link(&db.acme, &identity(subject), user, FormerIdentity::Keep, &Actor::operator()).await
}

async fn connect(db: &Db, link: Link) {
    connect_as(db, "acme-idp", link).await;
}

async fn connect_as(db: &Db, id: &str, link: Link) {
    let details = ConnectionDetails {
        issuer: Some(ISSUER.into()),
        client_id: Some("client".into()),
        client_secret: Some("hush".into()),
        link: Some(link),
    };
    let new = NewConnection { id: ConnectionId::parse(id).unwrap(), preset: Preset::Generic, details };
    db.store.add_connection(&db.acme, new, &Actor::operator()).await.unwrap();
}

fn by_sub() -> Link {
    Link::ExternalId { claim: "sub".into() }
}

async fn sign_in(db: &Db, subject: &str, claims: &Claims) -> Result<SignedIn, Refusal> {
    db.store.sign_in_by_sso(&db.acme, &identity(subject), claims).await.unwrap()
}

on_each_engine! {
    async fn the_first_sign_in_links_and_later_ones_go_by_the_link(db: &Db) {
        connect(db, by_sub()).await;
        let babs = db.user("babs").await;
        db.group("Crew", &[babs.id.to_string()]).await;
        db.group("Board", &[babs.id.to_string()]).await;

        let first = sign_in(db, "s-1", &sub_of("babs")).await.unwrap();
        // Another externalId, and no claim at all: the link alone counts from now on.
        drop(edit(&db.store, &db.acme, &babs.id, |profile| profile.external_id = Some("moved".into())).await.unwrap());
        let second = sign_in(db, "s-1", &Claims::default()).await.unwrap();

        assert_eq!((&first.user, first.linked_now, second.linked_now), (&babs.id, true, false));
        assert_eq!(second.user, babs.id);
        assert_eq!((first.person.user_name.as_str(), first.person.email.as_str()), ("babs", "babs@acme.com"));
        assert_eq!(first.person.groups, ["Board", "Crew"]);
        assert_eq!(second.fresh.seq, db.head().await);
        let actions = db.actions().await;
        assert_eq!(actions.iter().filter(|action| *action == "user.linked").count(), 1);
        assert_eq!(actions.iter().filter(|action| *action == "session.signed_in").count(), 2);
    }

    async fn nobody_comes_in_whom_the_rule_does_not_name(db: &Db) {
        connect(db, by_sub()).await;
        db.user("babs").await;

        assert_eq!(sign_in(db, "s-1", &sub_of("nobody")).await, Err(Refusal::NotProvisioned));
        assert_eq!(sign_in(db, "s-1", &sub_of("BABS")).await, Err(Refusal::NotProvisioned), "an externalId is opaque");
        assert_eq!(sign_in(db, "s-1", &Claims::default()).await, Err(Refusal::ClaimMissing));
        assert_eq!(sign_in(db, "s-1", &verified("babs@acme.com")).await, Err(Refusal::ClaimMissing));
        let trail = db.store.audit_trail(&db.acme, Some("acme-idp"), 1).await.unwrap();
        assert_eq!((trail[0].action.as_str(), &trail[0].detail["subject"]), ("session.refused", &json!("s-1")));
    }

    async fn s5_by_email_only_a_verified_address_in_a_proven_domain_links(db: &Db) {
        connect(db, Link::Email).await;
        let babs = db.user("babs").await;
        db.store.add_domain(&db.acme, "acme.com", &Actor::operator()).await.unwrap();

        assert_eq!(sign_in(db, "s-1", &verified("babs@acme.com")).await, Err(Refusal::EmailNotProven), "said, not proven");
        db.store.verify_domain(&db.acme, "acme.com", &Actor::operator()).await.unwrap();
        for claims in [verified("babs@evil.com"), verified("babs@sub.acme.com"), sub_of("babs"), Claims::default()] {
            assert_eq!(sign_in(db, "s-1", &claims).await, Err(Refusal::EmailNotProven), "{:?}", claims.verified_email);
        }
        assert_eq!(sign_in(db, "s-1", &verified("nobody@acme.com")).await, Err(Refusal::NotProvisioned));

        assert_eq!(sign_in(db, "s-1", &verified("BABS@Acme.com")).await.unwrap().user, babs.id);
    }

    async fn an_address_that_two_people_have_links_neither(db: &Db) {
        connect(db, Link::Email).await;
        db.store.add_domain(&db.acme, "acme.com", &Actor::operator()).await.unwrap();
        db.store.verify_domain(&db.acme, "acme.com", &Actor::operator()).await.unwrap();
        for name in ["babs", "other"] {
            let user = db.user(name).await;
            let emails = json!([{ "value": "shared@acme.com" }]);
            drop(edit(&db.store, &db.acme, &user.id, |profile| drop(profile.attributes.insert("emails".into(), emails.clone()))).await.unwrap());
        }

        assert_eq!(sign_in(db, "s-1", &verified("shared@acme.com")).await, Err(Refusal::NotProvisioned));
    }

    async fn a_value_that_more_people_share_than_are_read_links_nobody(db: &Db) {
        connect(db, by_sub()).await;
        let babs = db.user("babs").await;
        // Only one of them was provisioned, as far as anybody has looked.
        sqlx::raw_sql(NAMESAKES).execute(&mut db.connection().await).await.unwrap();

        assert_eq!(sign_in(db, "s-1", &sub_of("babs")).await, Err(Refusal::NotProvisioned));

        sqlx::raw_sql("DELETE FROM users WHERE user_name = 'a-1'").execute(&mut db.connection().await).await.unwrap();
        assert_eq!(sign_in(db, "s-1", &sub_of("babs")).await.unwrap().user, babs.id);
    }

    async fn an_invited_user_is_not_linked_by_signing_in(db: &Db) {
        connect(db, Link::Email).await;
        db.store.add_domain(&db.acme, "acme.com", &Actor::operator()).await.unwrap();
        db.store.verify_domain(&db.acme, "acme.com", &Actor::operator()).await.unwrap();
        db.store.invite(&db.acme, "guest@acme.com", DAY, &Actor::operator()).await.unwrap();

        assert_eq!(sign_in(db, "s-1", &verified("guest@acme.com")).await, Err(Refusal::NotProvisioned));
    }

    async fn without_a_rule_an_admin_links(db: &Db) {
        connect(db, Link::None).await;
        let (babs, other) = (db.user("babs").await, db.user("other").await);
        assert_eq!(sign_in(db, "s-1", &sub_of("babs")).await, Err(Refusal::NotProvisioned));

        assert!(link(db, "s-1", &babs.id).await.unwrap());

        assert_eq!(sign_in(db, "s-1", &Claims::default()).await.unwrap().user, babs.id);
        assert!(!link(db, "s-1", &babs.id).await.unwrap(), "it is so already");
        let taken = link(db, "s-1", &other.id).await;
        assert!(matches!(&taken, Err(EditError::Refused(NotLinked::Taken(owner))) if *owner == babs.id), "{taken:?}");
        let second = link(db, "s-2", &babs.id).await;
        let is_told = |subject: &String| subject == "s-1";
        assert!(
            matches!(&second, Err(EditError::Refused(NotLinked::LinkedToAnother { subject })) if is_told(subject)),
            "{second:?}"
        );
        let nobody = link(db, "s-3", &UserId::new()).await;
        assert!(matches!(nobody, Err(EditError::Store(StoreError::NotFound(_)))), "{nobody:?}");
    }

    async fn what_an_admin_unlinks_ends_its_sessions_and_is_free(db: &Db) {
        connect(db, Link::None).await;
        let (babs, other) = (db.user("babs").await, db.user("other").await);
        link(db, "s-1", &babs.id).await.unwrap();

        let connection = identity("s-1").connection;
        let (unlinked, ended) = db.store.unlink(&db.acme, &babs.id, &connection, &Actor::operator()).await.unwrap();

        assert_eq!(unlinked.unwrap().subject, "s-1");
        assert_eq!(ended.records[0].scopes, [Scope::Subject { connection: connection.clone(), subject: "s-1".into() }]);
        assert_eq!(ended.records[0].kind, RevocationKind::End);
        assert_eq!(sign_in(db, "s-1", &sub_of("babs")).await, Err(Refusal::NotProvisioned));
        let (again, waits) = db.store.unlink(&db.acme, &babs.id, &connection, &Actor::operator()).await.unwrap();
        assert_eq!((again, waits.through, waits.records.len()), (None, ended.through, 0), "a repetition waits for the first");
        assert!(link(db, "s-1", &other.id).await.unwrap());
        assert_eq!(db.store.links(&db.acme, &other.id).await.unwrap()[0].subject, "s-1");
    }

    async fn the_identity_of_somebody_deleted_is_handed_on_by_saying_so_alone(db: &Db) {
        connect(db, Link::None).await;
        let (babs, heir) = (db.user("babs").await, db.user("heir").await);
        link(db, "s-1", &babs.id).await.unwrap();
        db.store.delete_user(&db.acme, &babs.id, &idp()).await.unwrap();

        let silently = link(db, "s-1", &heir.id).await;
        let refused = sign_in(db, "s-1", &Claims::default()).await;
        let said = db.store.link(&db.acme, &identity("s-1"), &heir.id, FormerIdentity::HandOn, &Actor::operator()).await;

        assert!(
            matches!(&silently, Err(EditError::Refused(NotLinked::Former { user, .. })) if *user == babs.id),
            "{silently:?}"
        );
        assert_eq!(refused, Err(Refusal::NotProvisioned));
        assert!(said.unwrap());
        assert_eq!(sign_in(db, "s-1", &Claims::default()).await.unwrap().user, heir.id);
        assert_eq!(db.actions().await.iter().filter(|action| *action == "user.identity_handed_on").count(), 1);
    }

    async fn a_person_is_linked_once_for_each_connection(db: &Db) {
        connect(db, by_sub()).await;
        connect_as(db, "second", by_sub()).await;
        let babs = db.user("babs").await;
        sign_in(db, "s-1", &sub_of("babs")).await.unwrap();

        let another = sign_in(db, "s-2", &sub_of("babs")).await;
        let elsewhere = ProviderIdentity { connection: ConnectionId::parse("second").unwrap(), ..identity("s-2") };
        let second = db.store.sign_in_by_sso(&db.acme, &elsewhere, &sub_of("babs")).await.unwrap();

        assert_eq!(another, Err(Refusal::LinkedToAnother), "a second subject with the same externalId is somebody else");
        assert_eq!(second.unwrap().user, babs.id);
        assert_eq!(sign_in(db, "s-1", &Claims::default()).await.unwrap().user, babs.id);
    }

    async fn a_link_of_somebody_deleted_is_gone_and_the_next_of_that_name_links_anew(db: &Db) {
        connect(db, by_sub()).await;
        let babs = db.user("babs").await;
        sign_in(db, "s-1", &sub_of("babs")).await.unwrap();

        drop(db.store.delete_user(&db.acme, &babs.id, &idp()).await.unwrap());
        assert_eq!(sign_in(db, "s-1", &sub_of("babs")).await, Err(Refusal::NotProvisioned));
        let again = db.user("babs").await;

        let signed_in = sign_in(db, "s-1", &sub_of("babs")).await.unwrap();
        assert_eq!((signed_in.user, signed_in.linked_now), (again.id, true));
    }

    async fn somebody_deactivated_stays_out_and_signing_in_brings_nobody_back(db: &Db) {
        connect(db, by_sub()).await;
        let babs = db.user("babs").await;
        sign_in(db, "s-1", &sub_of("babs")).await.unwrap();
        drop(db.set_active(&babs.id, false).await);
        let mut new = provisioned("sleeper");
        new.profile.active = false;
        db.store.create_user(&db.acme, new, &idp()).await.unwrap();

        assert_eq!(sign_in(db, "s-1", &sub_of("babs")).await, Err(Refusal::Deactivated));
        assert_eq!(sign_in(db, "s-2", &sub_of("sleeper")).await, Err(Refusal::Deactivated));
        assert!(!db.store.user(&db.acme, &babs.id).await.unwrap().unwrap().profile.active);
        assert_eq!(db.store.person(&db.acme, &babs.id).await.unwrap(), None);

        drop(db.set_active(&babs.id, true).await);

        assert!(sign_in(db, "s-1", &sub_of("babs")).await.is_ok());
    }

    async fn somebody_with_a_password_does_not_come_in_by_sso(db: &Db) {
        connect(db, by_sub()).await;
        let new = NewUser { login_method: LoginMethod::Password, ..provisioned("babs") };
        db.store.create_user(&db.acme, new, &idp()).await.unwrap();

        assert_eq!(sign_in(db, "s-1", &sub_of("babs")).await, Err(Refusal::UsesPassword));
    }

    async fn a_connection_that_is_not_in_use_lets_nobody_in(db: &Db) {
        connect(db, by_sub()).await;
        db.user("babs").await;
        let other_issuer = ProviderIdentity { issuer: "https://evil.example".into(), ..identity("s-1") };
        let unknown = ProviderIdentity { connection: ConnectionId::parse("unknown").unwrap(), ..identity("s-1") };

        for identity in [other_issuer, unknown] {
            let refused = db.store.sign_in_by_sso(&db.acme, &identity, &sub_of("babs")).await.unwrap();
            assert_eq!(refused, Err(Refusal::ConnectionClosed), "{identity:?}");
        }
        drop(db.store.disable_connection(&db.acme, &identity("s-1").connection, &Actor::operator()).await.unwrap());
        assert_eq!(sign_in(db, "s-1", &sub_of("babs")).await, Err(Refusal::ConnectionClosed));
    }

    async fn a_closed_or_unknown_workspace_lets_nobody_in(db: &Db) {
        connect(db, by_sub()).await;
        let babs = db.user("babs").await;
        drop(db.store.set_workspace_state(&db.acme, WorkspaceState::Suspended, &Actor::operator()).await.unwrap());

        assert_eq!(sign_in(db, "s-1", &sub_of("babs")).await, Err(Refusal::WorkspaceClosed));
        assert_eq!(db.store.person(&db.acme, &babs.id).await.unwrap(), None);
        let nowhere = workspace("nowhere");
        let refused = db.store.sign_in_by_sso(&nowhere, &identity("s-1"), &sub_of("babs")).await.unwrap();
        assert_eq!(refused, Err(Refusal::WorkspaceClosed));
        assert_eq!(db.store.audit_trail(&nowhere, None, 10).await.unwrap(), vec![], "a workspace that is none has no trail");
    }

    async fn one_connection_is_enough_for_every_refusal(db: &Db) {
        let options = StoreOptions { max_connections: 1, ..StoreOptions::new(&db.url) };
        let store = Store::open(&options, db.clock.clone(), sealer()).unwrap();

        let refused = store.sign_in_by_sso(&workspace("nowhere"), &identity("s-1"), &Claims::default()).await.unwrap();

        assert_eq!(refused, Err(Refusal::WorkspaceClosed));
    }

    async fn a_person_is_read_with_the_head_of_the_same_moment(db: &Db) {
        let babs = db.user("babs").await;
        let group = db.group("Crew", &[]).await;
        let (_, settlement) = db.change(&group.id, MemberChange::Add(vec![babs.id.to_string()])).await;

        let (person, fresh) = db.store.person(&db.acme, &babs.id).await.unwrap().unwrap();

        assert_eq!((person.groups, fresh.seq), (vec!["Crew".to_owned()], settlement.through));
        assert_eq!(fresh.generation, db.store.head().await.unwrap().generation);
        assert_eq!(db.store.person(&db.acme, &UserId::new()).await.unwrap(), None);
    }

    async fn of_many_first_sign_ins_at_once_one_links(db: &Db) {
        connect(db, by_sub()).await;
        let babs = db.user("babs").await;

        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..12 {
            let (store, acme) = (db.store.clone(), db.acme.clone());
            tasks.spawn(async move {
                store.sign_in_by_sso(&acme, &identity(&format!("s-{}", number % 2)), &sub_of("babs")).await
            });
        }
        let outcomes = tasks.join_all().await;

        let inside: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()?.as_ref().ok()).collect();
        assert_eq!(inside.iter().filter(|signed_in| signed_in.linked_now).count(), 1);
        assert!(inside.iter().all(|signed_in| signed_in.user == babs.id));
        assert!(inside.len() <= 6, "one subject alone came in");
        for outcome in &outcomes {
            assert!(matches!(outcome, Ok(Ok(_) | Err(Refusal::LinkedToAnother))), "{outcome:?}");
        }
    }

    async fn whoever_comes_in_while_being_deactivated_is_older_than_their_end(db: &Db) {
        connect(db, by_sub()).await;
        let babs = db.user("babs").await;
        let (mut inside, mut refused) = (0, 0);

        for round in 0..120_u32 {
            let minted = db.head().await;
            let claims = sub_of("babs");
            let subject = identity("s-1");
            let (signed_in, out) = tokio::join!(
                async {
                    for _ in 0..round % 4 { tokio::task::yield_now().await; }
                    db.store.sign_in_by_sso(&db.acme, &subject, &claims).await.unwrap()
                },
                async {
                    for _ in 0..round % 3 { tokio::task::yield_now().await; }
                    set_active(&db.store, &db.acme, &babs.id, false).await.unwrap().through
                },
            );

            match signed_in {
                Ok(signed_in) => {
                    assert!(minted < out && signed_in.fresh.seq < out, "round {round}: {signed_in:?} ended by {out}");
                    inside += 1;
                }
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::Deactivated);
                    refused += 1;
                }
            }
            assert_eq!(sign_in(db, "s-1", &claims).await, Err(Refusal::Deactivated));
            drop(db.set_active(&babs.id, true).await);
        }

        assert!(inside > 0 && refused > 0, "both ends of the race were run: {inside} in, {refused} refused");
    }

    async fn a_change_that_races_a_first_sign_in_is_in_it_or_is_told(db: &Db) {
        connect(db, by_sub()).await;
        let (mut seen, mut told) = (0, 0);

        for round in 0..60_u32 {
            let name = format!("user-{round}");
            let user = db.user(&name).await;
            let (subject, claims) = (identity(&name), sub_of(&name));
            let (signed_in, settlement) = tokio::join!(
                async {
                    for _ in 0..round * 20 { tokio::task::yield_now().await; }
                    db.store.sign_in_by_sso(&db.acme, &subject, &claims).await.unwrap().unwrap()
                },
                async {
                    for _ in 0..round % 7 { tokio::task::yield_now().await; }
                    edit(&db.store, &db.acme, &user.id, |profile| drop(profile.attributes.insert("title".into(), json!("CEO")))).await.unwrap().1
                },
            );

            let is_told = settlement.through > signed_in.fresh.seq;
            let is_seen = signed_in.profile.attributes.get("title") == Some(&json!("CEO"));
            assert!(is_told || is_seen, "round {round}: {signed_in:?} never hears of it");
            seen += u32::from(is_seen);
            told += u32::from(is_told);
        }

        assert!(seen > 0 && told > 0, "both ends of the race were run: {seen} seen, {told} told");
    }

    async fn a_deletion_that_races_a_first_sign_in_always_succeeds(db: &Db) {
        connect(db, by_sub()).await;

        for round in 0..60_u32 {
            let babs = db.user("babs").await;
            let (claims, subject) = (sub_of("babs"), identity(&format!("s-{round}")));
            let (signed_in, deleted) = tokio::join!(
                async {
                    for _ in 0..round % 4 { tokio::task::yield_now().await; }
                    db.store.sign_in_by_sso(&db.acme, &subject, &claims).await
                },
                async {
                    for _ in 0..round % 3 { tokio::task::yield_now().await; }
                    db.store.delete_user(&db.acme, &babs.id, &idp()).await
                },
            );

            let Deletion::Now(settlement) = deleted.unwrap() else { panic!("the first deletion") };
            match signed_in.unwrap() {
                Ok(signed_in) => assert!(signed_in.fresh.seq < settlement.through),
                Err(refusal) => assert_eq!(refusal, Refusal::NotProvisioned),
            }
        }
    }
}
