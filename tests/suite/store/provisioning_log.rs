//! The provisioning log in the database: batches, look-ups, and sweeping in steps.

use std::time::Duration;

use lockstep_shared::{
    clock::{Clock as _, Timestamp},
    id::{EntryId, UserId, WorkspaceId},
    model::provisioning::{Action, Entry, Outcome},
    store::{LogDeletion, LogQuery, LogSpan},
};
use serde_json::{Map, json};

use super::{Db, on_each_engine, workspace};

const ALL: LogQuery<'_> = LogQuery { after: None, since: Timestamp(0), at_fault: false, limit: 1_000 };

fn entry(db: &Db, workspace: &WorkspaceId) -> Entry {
    Entry {
        id: EntryId::new(),
        workspace: workspace.clone(),
        at: db.clock.now(),
        request: "request".to_owned(),
        credential: "credential".to_owned(),
        client: "Okta SCIM Client 1.0.0".to_owned(),
        action: "user.create".to_owned(),
        target: String::new(),
        status: 201,
        outcome: Outcome::Done,
        sentence: None,
        detail: Map::from_iter([("took_ms".to_owned(), json!(7))]),
        people: Vec::new(),
    }
}

async fn all(db: &Db, workspace: &WorkspaceId) -> Vec<Entry> {
    db.store.log_entries(workspace, ALL).await.unwrap()
}

on_each_engine! {
    async fn entries_come_back_as_they_were_written_newest_first_and_each_once(db: &Db) {
        let other = db.workspace("other").await;
        let mut written: Vec<Entry> = (0..70).map(|_| entry(db, &db.acme)).collect();
        written[3] = Entry {
            status: 0,
            outcome: Outcome::Held,
            sentence: Some("„Ä\" isn't '; --".to_owned()),
            people: vec![UserId::new().to_string(), UserId::new().to_string()],
            target: UserId::new().to_string(),
            ..written[3].clone()
        };
        let foreign = entry(db, &other);
        let batch = [&written[..], std::slice::from_ref(&foreign)].concat();

        db.store.append_log(&batch).await.unwrap();
        db.store.append_log(&batch[..40]).await.unwrap();

        written.reverse();
        assert_eq!(all(db, &db.acme).await, written);
        assert_eq!(all(db, &other).await, std::slice::from_ref(&foreign));
        assert_eq!(db.store.log_entry(&db.acme, &written[0].id).await.unwrap().as_ref(), Some(&written[0]));
        assert_eq!(db.store.log_entry(&db.acme, &foreign.id).await.unwrap(), None);
    }

    async fn a_query_narrows_by_place_time_fault_and_number(db: &Db) {
        let first = entry(db, &db.acme);
        db.clock.advance(Duration::from_hours(1));
        let refused = Entry { sentence: Some("x".to_owned()), outcome: Outcome::Refused, ..entry(db, &db.acme) };
        let last = entry(db, &db.acme);
        db.store.append_log(&[first.clone(), refused.clone(), last.clone()]).await.unwrap();
        let ask = async |query| db.store.log_entries(&db.acme, query).await.unwrap();

        assert_eq!(ask(LogQuery { after: Some(&first.id), ..ALL }).await, [last.clone(), refused.clone()]);
        assert_eq!(ask(LogQuery { since: db.clock.now(), ..ALL }).await, [last.clone(), refused.clone()]);
        assert_eq!(ask(LogQuery { at_fault: true, ..ALL }).await, std::slice::from_ref(&refused));
        assert_eq!(ask(LogQuery { limit: 1, ..ALL }).await, std::slice::from_ref(&last));
    }

    async fn a_person_is_found_as_target_and_as_member(db: &Db) {
        let (ada, bob) = (UserId::new(), UserId::new());
        let of_ada = Entry { target: ada.to_string(), ..entry(db, &db.acme) };
        let both = Entry { target: "group".to_owned(), people: vec![ada.to_string(), bob.to_string()], ..entry(db, &db.acme) };
        db.store.append_log(&[of_ada.clone(), both.clone(), entry(db, &db.acme)]).await.unwrap();

        assert_eq!(db.store.log_of_target(&db.acme, ada.as_str(), 10).await.unwrap(), [of_ada]);
        assert_eq!(db.store.log_of_member(&db.acme, &bob, 10).await.unwrap(), std::slice::from_ref(&both));
        assert_eq!(db.store.log_of_member(&db.acme, &ada, 10).await.unwrap(), [both]);
        assert_eq!(db.store.log_of_target(&db.acme, "", 10).await.unwrap(), []);
        assert_eq!(db.store.log_of_member(&workspace("other"), &ada, 10).await.unwrap(), []);
    }

    async fn a_span_is_counted_by_kind_and_has_an_end(db: &Db) {
        let ada = UserId::new().to_string();
        let of = |action: &str, outcome, target: &str| Entry {
            action: action.to_owned(),
            outcome,
            target: target.to_owned(),
            sentence: (outcome == Outcome::Refused).then(|| "x".to_owned()),
            ..entry(db, &db.acme)
        };
        let search = |found: u64| {
            let mut entry = of("user.find", Outcome::Done, "");
            // The one that finds nobody is for somebody, the other for all.
            entry.detail.extend((found == 0).then(|| ("filter".to_owned(), json!("userName eq …"))));
            entry.detail.insert("found".to_owned(), json!(found));
            entry.detail.insert("took_ms".to_owned(), json!(found));
            entry
        };
        let mut old = [of("user.create", Outcome::Done, "old")];
        old[0].detail.insert("members".to_owned(), json!({ "add": 1 }));
        let begin = db.clock.now();
        db.clock.advance(Duration::from_hours(1));
        let since = db.clock.now();
        let refused = of("user.create", Outcome::Refused, "");
        let written = [
            of("user.create", Outcome::Done, &ada),
            refused.clone(),
            search(0),
            search(10),
            Entry { credential: "acme.1".to_owned(), ..of("token.grant", Outcome::Done, "") },
        ];
        db.store.append_log(&[&old[..], &written[..]].concat()).await.unwrap();
        db.clock.advance(Duration::from_hours(1));
        let again = Entry { at: db.clock.now(), ..of("user.update", Outcome::Unchanged, &ada) };
        db.store.append_log(std::slice::from_ref(&again)).await.unwrap();
        let store = &db.store;

        let span = store.log_span(&db.acme, since, 1_000).await.unwrap();
        let counts = store.log_counts(&db.acme, &span).await.unwrap();

        let told = |action: &str, outcome, in_vain| {
            let found = counts.iter().find(|count| count.action == action && count.outcome == outcome && count.in_vain == in_vain);
            found.map(|count| (count.entries, count.grantee.as_str(), count.last_at))
        };
        assert_eq!((span.since, span.is_whole, counts.len()), (since, true, 6));
        assert_eq!(told("user.create", Outcome::Done, false), Some((1, "", since)), "not the one of before");
        assert_eq!(told("user.create", Outcome::Refused, false), Some((1, "", since)));
        assert_eq!(told("user.find", Outcome::Done, true), Some((1, "", since)));
        assert_eq!(told("user.find", Outcome::Done, false), Some((1, "", since)));
        let lists = |in_vain| counts.iter().any(|count| count.action == "user.find" && count.in_vain == in_vain && count.is_listing);
        assert_eq!((lists(true), lists(false)), (false, true));
        assert!(counts.iter().all(|count| !count.is_listing || count.action == "user.find"), "{counts:?}");
        assert_eq!(told("token.grant", Outcome::Done, false), Some((1, "acme.1", since)));
        assert_eq!(store.log_of_users_written(&db.acme, &span, None, 10).await.unwrap(), [(ada.clone(), again.at)]);
        assert_eq!(store.log_of_last_membership(&db.acme, &span).await.unwrap(), None);
        let whole = LogSpan::since(begin);
        assert_eq!(store.log_of_last_membership(&db.acme, &whole).await.unwrap().as_ref(), old.first());
        let faults = store.log_faults(&db.acme, Action::UserCreate, since, 10).await.unwrap();
        assert_eq!(faults, std::slice::from_ref(&refused));
        assert_eq!(store.log_faults(&db.acme, Action::UserFind, since, 10).await.unwrap(), []);
        assert_eq!(store.log_faults(&db.acme, Action::UserCreate, again.at, 10).await.unwrap(), []);

        let short = store.log_span(&db.acme, begin, 3).await.unwrap();
        assert_eq!((short.since, short.is_whole), (since, false), "three of seven are read");
        let entries: u64 = store.log_counts(&db.acme, &short).await.unwrap().iter().map(|count| count.entries).sum();
        assert_eq!(entries, 3);
        assert_eq!(store.log_counts(&workspace("other"), &whole).await.unwrap(), []);
    }

    async fn who_was_deleted_is_found_by_what_is_kept_of_them(db: &Db) {
        let with = |action: &str, digest: &str| {
            let mut entry = Entry { action: action.to_owned(), ..entry(db, &db.acme) };
            entry.detail.insert("digest".to_owned(), json!(digest));
            entry
        };
        let ada = UserId::new().to_string();
        let gone = Entry { target: ada.clone(), ..with("user.delete", "a") };
        let refused = Entry { outcome: Outcome::Refused, ..with("user.delete", "b") };
        let nameless = Entry { action: "user.delete".to_owned(), ..entry(db, &db.acme) };
        db.store.append_log(&[gone.clone(), refused, nameless.clone(), with("user.create", "c")]).await.unwrap();
        let find = async |workspace: &WorkspaceId, since, before: Option<&EntryId>, limit| {
            db.store.log_of_deletions(workspace, &LogSpan::since(since), "digest", before, limit).await.unwrap()
        };
        let told = |entry: &Entry, text: Option<&str>| LogDeletion {
            entry: entry.id.clone(),
            text: text.map(ToOwned::to_owned),
            target: entry.target.clone(),
            at: entry.at,
        };

        let (ada, unknown) = (told(&gone, Some("a")), told(&nameless, None));
        assert_eq!(find(&db.acme, Timestamp(0), None, 10).await, [unknown.clone(), ada.clone()]);
        assert_eq!(find(&db.acme, Timestamp(0), None, 1).await, std::slice::from_ref(&unknown));
        assert_eq!(find(&db.acme, Timestamp(0), Some(&unknown.entry), 1).await, std::slice::from_ref(&ada));
        assert_eq!(find(&db.acme, Timestamp(0), Some(&ada.entry), 1).await, []);
        assert_eq!(find(&db.acme, gone.at.plus(Duration::from_millis(1)), None, 10).await, []);
        assert_eq!(find(&workspace("other"), Timestamp(0), None, 10).await, []);
    }

    async fn users_written_are_read_in_stretches(db: &Db) {
        let mut written: Vec<Entry> = (0..5).map(|_| Entry { target: UserId::new().to_string(), ..entry(db, &db.acme) }).collect();
        for entry in &mut written {
            entry.action = "user.create".to_owned();
        }
        db.store.append_log(&written).await.unwrap();
        let span = LogSpan::since(Timestamp(0));

        let mut read: Vec<Vec<String>> = Vec::new();
        while read.last().is_none_or(|stretch| !stretch.is_empty()) {
            let after = read.last().and_then(|stretch| stretch.last()).map(String::as_str);
            let stretch = db.store.log_of_users_written(&db.acme, &span, after, 2).await.unwrap();
            read.push(stretch.into_iter().map(|(id, _)| id).collect());
        }

        let mut ids: Vec<String> = written.into_iter().map(|entry| entry.target).collect();
        ids.sort();
        assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1, 0]);
        assert_eq!(read.concat(), ids);
    }

    async fn old_entries_are_swept_oldest_first_and_no_more_than_asked(db: &Db) {
        let mut written = Vec::new();
        for _ in 0..5 {
            written.push(entry(db, &db.acme));
            db.clock.advance(Duration::from_hours(1));
        }
        db.store.append_log(&written).await.unwrap();
        let before = db.clock.now().minus(Duration::from_hours(2));

        assert_eq!(db.store.sweep_log(before, 2).await.unwrap(), 2);
        assert_eq!(all(db, &db.acme).await.last(), Some(&written[2]));
        assert_eq!(db.store.sweep_log(before, 2).await.unwrap(), 1);
        assert_eq!(db.store.sweep_log(before, 2).await.unwrap(), 0);
        assert_eq!(all(db, &db.acme).await.len(), 2);
    }
}
