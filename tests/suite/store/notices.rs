//! Notices in the outbox: written with what they tell of or not at all, one process's at a time, and for nobody who has lost access.

use std::num::NonZeroU32;

use lockstep_shared::{
    clock::Clock as _,
    model::{
        audit::Actor,
        guard::{Excess, Limits},
        notice::{Letter, MOST_RECIPIENTS, Notice, NoticeState},
    },
    store::{Fate, Mailing, Waiting},
};

use super::*;

const MINUTE: Duration = Duration::from_mins(1);
const OPS: &str = "Ops@acme.com";

fn excess() -> Excess {
    Excess { departed: 7, people: 9, limits: Limits { max: NonZeroU32::new(5).unwrap(), percent: 20 } }
}

async fn hold(db: &Db) -> bool {
    db.store.note_held(&db.acme, &idp(), &excess(), Mailing::On).await.unwrap()
}

/// What there is to tell begins anew.
async fn approve(db: &Db) {
    db.store.approve_mass_change(&db.acme, Duration::from_millis(1), &Actor::operator()).await.unwrap();
}

async fn told(db: &Db, address: &str) {
    assert!(db.store.add_recipient(&db.acme, address, &Actor::operator()).await.unwrap());
}

async fn claim(db: &Db) -> Vec<Letter> {
    db.store.claim_letters(100, MINUTE).await.unwrap()
}

/// To whom something was written, oldest first, and what became of it.
async fn written(db: &Db) -> Vec<(String, NoticeState)> {
    let notices = db.store.notices(&db.acme, 100).await.unwrap();
    notices.into_iter().rev().map(|notice| (notice.address, notice.state)).collect()
}

/// Whom a hold reaches now.
async fn reached(db: &Db) -> Vec<String> {
    approve(db).await;
    assert!(hold(db).await);
    let letters = claim(db).await;
    for letter in &letters {
        db.store.settle_letter(letter, &Fate::Ended(NoticeState::Sent), "250").await.unwrap();
    }
    let mut addresses: Vec<String> = letters.into_iter().map(|letter| letter.address).collect();
    addresses.sort();
    addresses
}

on_each_engine! {
    async fn a_hold_is_written_to_everybody_once(db: &Db) {
        told(db, OPS).await;
        told(db, "ada@acme.com").await;
        let beta = db.workspace("beta").await;
        db.store.add_recipient(&beta, "eve@beta.com", &Actor::operator()).await.unwrap();

        assert_eq!((hold(db).await, hold(db).await), (true, false));

        let waiting = |address: &str| (address.to_owned(), NoticeState::Waiting);
        assert_eq!(written(db).await, [waiting("ada@acme.com"), waiting(OPS)]);
        assert!(db.store.notices(&beta, 10).await.unwrap().is_empty());
        let letters = claim(db).await;
        let Some(Notice::GuardHeld(told)) = &letters[0].notice else { panic!("{letters:?}") };
        assert_eq!((told.credential.as_str(), told.excess, told.since), ("a credential", excess(), db.clock.now()));
        assert_eq!((letters[0].workspace_name.as_str(), letters[0].is_wanted, letters[0].attempts), ("A company", true, 1));
    }

    async fn without_mail_nothing_is_written(db: &Db) {
        told(db, OPS).await;

        assert!(db.store.note_held(&db.acme, &idp(), &excess(), Mailing::Off).await.unwrap());

        assert_eq!(written(db).await, []);
    }

    async fn a_notice_and_what_it_tells_of_are_written_together_or_not_at_all(db: &Db) {
        told(db, OPS).await;
        let mut beside = db.connection().await;
        for table in ["audit", "outbox"] {
            let away = format!("ALTER TABLE {table} RENAME TO away");
            sqlx::raw_sql(sqlx::AssertSqlSafe(away)).execute(&mut beside).await.unwrap();

            assert!(db.store.note_held(&db.acme, &idp(), &excess(), Mailing::On).await.is_err());

            let back = format!("ALTER TABLE away RENAME TO {table}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(back)).execute(&mut beside).await.unwrap();
            assert_eq!(written(db).await, [], "{table}");
            assert!(!db.actions().await.contains(&"guard.held".to_owned()), "{table}");
        }

        assert!(hold(db).await, "nobody has been told yet");
        assert_eq!(written(db).await.len(), 1);
    }

    async fn what_one_has_claimed_nobody_else_gets_until_the_claim_has_run_out(db: &Db) {
        for number in 0..MOST_RECIPIENTS {
            told(db, &format!("admin-{number}@acme.com")).await;
        }
        hold(db).await;
        let stores: Vec<Store> = (0..4).map(|_| db.opened_again(db.clock.clone())).collect();

        let mut claims = tokio::task::JoinSet::new();
        for store in stores {
            claims.spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let letters = store.claim_letters(3, MINUTE).await.unwrap();
                    if letters.is_empty() && store.waiting_letters().await.unwrap().due == 0 {
                        return mine;
                    }
                    mine.extend(letters.into_iter().map(|letter| letter.address));
                }
            });
        }
        let mut all = claims.join_all().await.concat();

        all.sort();
        let count = all.len();
        all.dedup();
        assert_eq!((all.len(), count), (20, 20), "each is somebody's, and nobody else's");
        assert_eq!(db.store.waiting_letters().await.unwrap(), Waiting { all: 20, due: 0 });
        db.clock.advance(MINUTE);
        assert_eq!(claim(db).await.len(), 20, "whoever died leaves it to others");
    }

    async fn who_comes_too_late_changes_nothing(db: &Db) {
        told(db, OPS).await;
        hold(db).await;
        let late = claim(db).await;
        db.clock.advance(MINUTE);
        let second = claim(db).await;
        assert_eq!((late[0].attempts, second[0].attempts), (1, 2));

        db.store.settle_letter(&late[0], &Fate::Ended(NoticeState::Refused), "550").await.unwrap();
        assert_eq!(written(db).await, [(OPS.to_owned(), NoticeState::Waiting)]);
        db.store.settle_letter(&second[0], &Fate::Ended(NoticeState::Sent), "250 taken").await.unwrap();
        db.store.settle_letter(&second[0], &Fate::Again(db.clock.now()), "451").await.unwrap();

        let notices = db.store.notices(&db.acme, 10).await.unwrap();
        assert_eq!((notices[0].state, notices[0].answer.as_str(), notices[0].ended_at), (NoticeState::Sent, "250 taken", Some(db.clock.now())));
        let content: String = sqlx::query_scalar("SELECT content FROM outbox").fetch_one(&mut db.connection().await).await.unwrap();
        assert_eq!(content, "", "what was said is not kept");
    }

    async fn what_failed_waits_for_its_time_or_for_an_operator(db: &Db) {
        told(db, OPS).await;
        hold(db).await;
        let again = async || {
            let letter = claim(db).await.pop().unwrap();
            let at = db.clock.now().plus(MINUTE * 10);
            db.store.settle_letter(&letter, &Fate::Again(at), "451 later").await.unwrap();
        };

        again().await;
        db.clock.advance(MINUTE * 9);
        assert!(claim(db).await.is_empty());
        db.clock.advance(MINUTE);
        again().await;
        assert_eq!(db.store.retry_letters(&db.acme, &Actor::operator()).await.unwrap(), 1);

        let letter = claim(db).await.pop().unwrap();
        assert_eq!(letter.attempts, 3);
        assert_eq!(db.store.retry_letters(&db.acme, &Actor::operator()).await.unwrap(), 0);
        assert!(claim(db).await.is_empty(), "what is under way is not sent twice");
    }

    async fn what_was_not_taken_is_taken_up_again_by_an_operator_for_a_week(db: &Db) {
        let beta = db.workspace("beta").await;
        let addresses = ["a@acme.com", "b@acme.com", "c@acme.com", "d@acme.com"];
        for address in addresses {
            told(db, address).await;
        }
        hold(db).await;
        let states = [NoticeState::Refused, NoticeState::GivenUp, NoticeState::Sent, NoticeState::Unwanted];
        let end = async |letters: Vec<Letter>| {
            for letter in letters {
                let at = addresses.iter().position(|address| *address == letter.address).unwrap();
                db.store.settle_letter(&letter, &Fate::Ended(states[at]), "550").await.unwrap();
            }
        };
        let kept = async || {
            let mut kept = db.store.notices(&db.acme, 10).await.unwrap();
            kept.retain(|notice| notice.is_kept);
            kept.len()
        };
        let retry = async |workspace| db.store.retry_letters(workspace, &Actor::operator()).await.unwrap();
        end(claim(db).await).await;
        assert_eq!(kept().await, 2, "what was sent or is not wanted has said what it had to say");

        db.clock.advance(DAY * 5);
        assert_eq!((retry(&beta).await, retry(&db.acme).await, retry(&db.acme).await), (0, 2, 0));
        db.store.sweep_letters(db.clock.now().minus(DAY * 3), db.clock.now().minus(DAY * 7), db.clock.now().minus(DAY * 30)).await.unwrap();
        let mut again = claim(db).await;

        again.sort_by(|one, other| one.address.cmp(&other.address));
        assert_eq!(again.iter().map(|letter| letter.address.as_str()).collect::<Vec<_>>(), addresses[..2]);
        for letter in &again {
            assert_eq!((letter.attempts, letter.due_at, letter.is_wanted), (2, db.clock.now(), true));
            assert!(matches!(&letter.notice, Some(Notice::GuardHeld(hold)) if hold.excess == excess()), "{letter:?}");
        }
        end(again).await;
        db.clock.advance(DAY * 7);
        db.store.sweep_letters(db.clock.now().minus(DAY * 3), db.clock.now().minus(DAY * 7), db.clock.now().minus(DAY * 30)).await.unwrap();
        assert_eq!((kept().await, retry(&db.acme).await), (0, 0), "what is old news cannot be told any more");
        assert_eq!(written(db).await.len(), 4);
        assert!(db.actions().await.contains(&"notices.retried".to_owned()));
    }

    async fn what_a_later_release_has_written_is_left_to_it(db: &Db) {
        told(db, OPS).await;
        hold(db).await;
        sqlx::raw_sql("UPDATE outbox SET content = '{\"kind\":\"later\"}'").execute(&mut db.connection().await).await.unwrap();

        assert_eq!(claim(db).await.pop().unwrap().notice, None);
    }

    async fn old_notices_are_given_up_and_then_forgotten(db: &Db) {
        told(db, OPS).await;
        hold(db).await;
        let sweep = async || {
            let before = |days| db.clock.now().minus(DAY * days);
            db.store.sweep_letters(before(3), before(7), before(30)).await.unwrap();
        };

        db.clock.advance((DAY * 3).saturating_sub(MINUTE));
        sweep().await;
        assert_eq!(written(db).await, [(OPS.to_owned(), NoticeState::Waiting)]);
        let under_way = claim(db).await;
        db.clock.advance(MINUTE / 2);
        sweep().await;
        assert_eq!((under_way.len(), written(db).await[0].1), (1, NoticeState::Waiting));
        db.clock.advance(MINUTE);
        sweep().await;
        assert_eq!(written(db).await, [(OPS.to_owned(), NoticeState::GivenUp)]);
        db.clock.advance(DAY * 30);
        sweep().await;
        assert_eq!(written(db).await, []);
    }

    async fn whoever_has_lost_access_is_not_told_nor_is_their_successor(db: &Db) {
        let (ada, bob) = (db.user("ada").await, db.user("bob").await);
        for address in ["ada@acme.com", "BOB@acme.com", "team@acme.com"] {
            told(db, address).await;
        }
        assert_eq!(reached(db).await, ["BOB@acme.com", "ada@acme.com", "team@acme.com"]);

        drop(db.set_active(&ada.id, false).await);
        assert_eq!(reached(db).await, ["BOB@acme.com", "team@acme.com"]);
        drop(db.set_active(&ada.id, true).await);
        assert_eq!(reached(db).await.len(), 3);

        drop(db.store.delete_user_if(&db.acme, &bob.id, &Actor::operator(), |_| Ok::<_, Infallible>(())).await.unwrap());
        db.user("bob").await;
        assert_eq!(reached(db).await, ["ada@acme.com", "team@acme.com"], "a new person inherits nothing");
        told(db, "bob@acme.com").await;
        assert_eq!(reached(db).await.len(), 3, "until an operator says so");
    }

    async fn somebody_who_came_later_is_known_before_they_go(db: &Db) {
        told(db, "ada@acme.com").await;
        let ada = db.user("ada").await;

        db.store.bind_recipients().await.unwrap();

        assert_eq!(db.store.recipients(&db.acme).await.unwrap()[0].user, Some(ada.id.clone()));
        drop(db.store.delete_user_if(&db.acme, &ada.id, &Actor::operator(), |_| Ok::<_, Infallible>(())).await.unwrap());
        assert_eq!(reached(db).await, Vec::<String>::new());
    }

    async fn an_account_without_access_under_a_teams_address_silences_nobody(db: &Db) {
        told(db, OPS).await;
        let ops = db.user("ops").await;
        drop(db.set_active(&ops.id, false).await);

        db.store.bind_recipients().await.unwrap();

        let recipient = db.store.recipients(&db.acme).await.unwrap().remove(0);
        assert_eq!((recipient.user, recipient.is_told), (None, true));
        approve(db).await;
        assert!(hold(db).await);
        assert!(claim(db).await.pop().unwrap().is_wanted);

        drop(db.set_active(&ops.id, true).await);
        db.store.bind_recipients().await.unwrap();
        drop(db.set_active(&ops.id, false).await);
        let recipient = db.store.recipients(&db.acme).await.unwrap().remove(0);
        assert_eq!((recipient.user, recipient.is_told), (Some(ops.id), false), "a person who had access under it does");
    }

    async fn what_is_on_its_way_to_somebody_who_goes_is_unwanted(db: &Db) {
        let ada = db.user("ada").await;
        for address in ["ada@acme.com", "left@acme.com", OPS] {
            told(db, address).await;
        }
        hold(db).await;

        drop(db.set_active(&ada.id, false).await);
        assert!(db.store.remove_recipient(&db.acme, "LEFT@acme.com", &Actor::operator()).await.unwrap());

        let wanted: Vec<(String, bool)> = claim(db).await.into_iter().map(|letter| (letter.address, letter.is_wanted)).collect();
        assert_eq!(wanted.iter().filter(|(_, is_wanted)| *is_wanted).map(|(address, _)| address.as_str()).collect::<Vec<_>>(), [OPS]);
        assert_eq!(wanted.len(), 3);
    }

    async fn a_list_of_recipients_is_short_audited_and_of_one_workspace(db: &Db) {
        let beta = db.workspace("beta").await;
        for number in 0..MOST_RECIPIENTS {
            told(db, &format!("admin-{number}@acme.com")).await;
        }

        assert!(!db.store.add_recipient(&db.acme, OPS, &Actor::operator()).await.unwrap(), "twenty are enough");
        told(db, "ADMIN-0@acme.com").await;
        assert!(!db.store.remove_recipient(&beta, "admin-0@acme.com", &Actor::operator()).await.unwrap());
        assert!(db.store.remove_recipient(&db.acme, "admin-0@acme.com", &Actor::operator()).await.unwrap());

        assert_eq!(db.store.recipients(&db.acme).await.unwrap().len(), 19);
        assert!(db.store.recipients(&beta).await.unwrap().is_empty());
        let actions = db.actions().await;
        assert_eq!(actions.iter().filter(|action| *action == "notices.recipient_added").count(), 21);
        assert_eq!(actions[0], "notices.recipient_removed");
        assert!(db.store.add_recipient(&workspace("nowhere"), OPS, &Actor::operator()).await.is_err());
    }
}
