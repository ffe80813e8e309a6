//! The queue, the task behind it, and what becomes of what does not fit.

use std::sync::Arc;

use lockstep_shared::{
    clock::{Clock as _, TestClock},
    model::{audit::Actor, workspace::Plan},
    secret::{Key, Sealer},
    store::{LogQuery, StoreOptions},
};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tempfile::TempDir;

use super::*;

fn acme() -> WorkspaceId {
    WorkspaceId::parse("acme").unwrap()
}

/// A database with the workspace `acme`.
struct Database {
    _folder: TempDir,
    url: String,
    clock: Arc<TestClock>,
    store: Store,
}

impl Database {
    async fn with_acme() -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
        let url = format!("sqlite://{}", folder.path().join("lockstep.db").display());
        let sealer = Sealer::new(vec![Key::from_bytes([1; 32])]).unwrap();
        let store = Store::open(&StoreOptions::new(url.clone()), clock.clone(), sealer).unwrap();
        store.migrate().await.unwrap();
        store.create_workspace(&acme(), "Acme", Plan::Enterprise, &Actor::operator()).await.unwrap();
        Self { _folder: folder, url, clock, store }
    }

    /// Takes no entry with this target from now on.
    async fn refuse(&self, target: &str) {
        let text = format!(
            "CREATE TRIGGER \"not {target}\" BEFORE INSERT ON provisioning_log WHEN NEW.target = '{target}'
             BEGIN SELECT RAISE(ABORT, 'no'); END"
        );
        self.change(text).await;
    }

    async fn accept(&self, target: &str) {
        self.change(format!("DROP TRIGGER \"not {target}\"")).await;
    }

    async fn change(&self, text: String) {
        let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn entries(&self, workspace: &str) -> Vec<Entry> {
        let query = LogQuery { after: None, since: lockstep_shared::clock::Timestamp(0), at_fault: false, limit: 10_000 };
        self.store.log_entries(&WorkspaceId::parse(workspace).unwrap(), query).await.unwrap()
    }
}

/// A journal that writes, until it is stopped.
struct Running {
    journal: Journal,
    tasks: TaskTracker,
    closing: CancellationToken,
}

impl Running {
    fn on(database: &Database) -> Self {
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let journal = Journal::start(database.store.clone(), database.clock.clone(), &tasks, closing.clone(), Meters::default());
        Self { journal, tasks, closing }
    }

    async fn stop(self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn record(journal: &Journal, action: Action) -> (Record, Line) {
    let line = Line::default();
    let origin = Origin::new("request-1".to_owned(), "Okta SCIM Client 1.0.0");
    (journal.begin(&acme(), "token-1".to_owned(), &origin, action, &line), line)
}

#[tokio::test]
async fn what_was_told_is_written_at_the_latest_when_the_process_ends() {
    let database = Database::with_acme().await;
    let running = Running::on(&database);
    for _ in 0..100 {
        let (record, line) = record(&running.journal, Action::UserCreate);
        line.about("user-1");
        database.clock.advance(Duration::from_millis(7));
        record.done(201).await;
    }
    let (refused, _) = record(&running.journal, Action::UserUpdate);
    refused.failed(&ScimError::NotFound).await;

    running.stop().await;

    let entries = database.entries("acme").await;
    assert_eq!(entries.len(), 101);
    let (newest, oldest) = (&entries[0], &entries[100]);
    assert_eq!((newest.status, newest.outcome), (404, Outcome::Refused));
    assert!(newest.sentence.as_deref().unwrap().starts_with("changed a user, which was refused: there is no such user"));
    assert_eq!((oldest.action.as_str(), oldest.target.as_str(), oldest.status), ("user.create", "user-1", 201));
    assert_eq!((oldest.request.as_str(), oldest.credential.as_str()), ("request-1", "token-1"));
    assert_eq!((oldest.client.as_str(), oldest.outcome), ("Okta SCIM Client 1.0.0", Outcome::Done));
    assert_eq!((oldest.sentence.as_deref(), oldest.detail["took_ms"].as_u64()), (None, Some(7)));
}

#[tokio::test]
async fn an_operation_that_nobody_waited_for_is_told() {
    let database = Database::with_acme().await;
    let running = Running::on(&database);

    drop(record(&running.journal, Action::UserDeactivate));
    running.stop().await;

    let entries = database.entries("acme").await;
    assert_eq!((entries[0].status, entries[0].outcome), (0, Outcome::Failed));
    assert!(entries[0].sentence.as_deref().unwrap().starts_with("switched a user off, and hung up"));
}

#[tokio::test]
async fn a_token_that_nobody_waited_for_is_counted_since_anybody_may_hang_up() {
    let database = Database::with_acme().await;
    let running = Running::on(&database);

    for _ in 0..500 {
        drop(record(&running.journal, Action::TokenGrant));
    }
    running.stop().await;

    let entries = database.entries("acme").await;
    assert_eq!(entries.iter().map(|entry| entry.detail["count"].clone()).collect::<Vec<_>>(), [json!(499), json!(1)]);
    assert_eq!((entries[0].status, entries[0].outcome, entries[0].credential.as_str()), (0, Outcome::Failed, ""));
    assert!(entries[0].sentence.as_deref().unwrap().starts_with("asked for a token, and hung up"));
}

#[tokio::test]
async fn a_workspace_that_is_not_there_gets_no_line_and_one_that_is_gets_few() {
    let database = Database::with_acme().await;
    let running = Running::on(&database);

    for _ in 0..500 {
        running.journal.turned_away("acme", &Reason::BadCredential, "curl");
        running.journal.turned_away("nobody", &Reason::BadCredential, "curl");
        running.journal.turned_away("No Workspace", &Reason::BadCredential, "curl");
    }
    running.stop().await;

    let counts: Vec<_> = database.entries("acme").await.iter().map(|entry| entry.detail["count"].clone()).collect();
    assert_eq!(counts, [json!(499), json!(1)]);
    assert_eq!(database.entries("nobody").await, []);
}

#[tokio::test]
async fn strangers_with_ten_thousand_names_silence_no_workspace() {
    let database = Database::with_acme().await;
    let running = Running::on(&database);
    let heeded = tokio::time::timeout(Duration::from_mins(1), async {
        while !running.journal.tally().heeds(&acme()) {
            tokio::task::yield_now().await;
        }
    });
    heeded.await.unwrap();

    for n in 0..10_000 {
        running.journal.turned_away(&format!("w-{n}"), &Reason::NoCredential, "curl");
    }
    running.journal.turned_away("acme", &Reason::BadCredential, "Okta SCIM Client 1.0.0");
    running.stop().await;

    assert_eq!(database.entries("acme").await.len(), 1);
}

#[tokio::test]
async fn what_does_not_fit_is_lost_and_counted_and_nobody_waits_for_ever() {
    let database = Database::with_acme().await;
    // Nobody takes anything out of this queue.
    let (journal, receiver) = Journal::new(database.clock.clone(), 2, Meters::default());

    for _ in 0..4 {
        record(&journal, Action::UserFind).0.done(200).await;
    }
    drop(record(&journal, Action::UserFind));
    let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(writer::run(journal, receiver, database.store.clone(), closing.clone()));
    Running { journal: Journal::new(database.clock.clone(), 1, Meters::default()).0, tasks, closing }.stop().await;

    let entries = database.entries("acme").await;
    assert_eq!(entries.len(), 3);
    let lost = entries.iter().find(|entry| entry.action == "lost").unwrap();
    assert_eq!((lost.detail["count"].as_u64(), lost.outcome), (Some(3), Outcome::Failed));
}

#[tokio::test]
async fn entries_older_than_they_are_kept_are_swept_in_steps() {
    let database = Database::with_acme().await;
    for _ in 0..2 {
        let running = Running::on(&database);
        for _ in 0..5 {
            record(&running.journal, Action::UserFind).0.done(200).await;
        }
        running.stop().await;
        database.clock.advance(Duration::from_hours(1));
    }
    let before = database.clock.now().minus(Duration::from_mins(90));

    let mut swept = Vec::new();
    while swept.last() != Some(&0) {
        swept.push(database.store.sweep_log(before, 3).await.unwrap());
    }

    assert_eq!(swept, [3, 2, 0]);
    assert_eq!(database.entries("acme").await.len(), 5);
}

#[tokio::test]
async fn an_entry_that_can_never_be_written_is_told_as_lost_and_stops_nobody() {
    let database = Database::with_acme().await;
    database.refuse("bad").await;
    let running = Running::on(&database);

    for target in ["one", "bad", "two"] {
        let (record, line) = record(&running.journal, Action::UserCreate);
        line.about(target);
        record.done(201).await;
    }
    let told = tokio::time::timeout(Duration::from_mins(1), async {
        loop {
            let entries = database.entries("acme").await;
            if entries.len() == 3 {
                return entries;
            }
            tokio::task::yield_now().await;
        }
    });

    let entries = told.await.unwrap();
    let targets: Vec<_> = entries.iter().map(|entry| entry.target.as_str()).filter(|target| !target.is_empty()).collect();
    assert_eq!(targets, ["two", "one"]);
    let lost = entries.iter().find(|entry| entry.action == "lost").unwrap();
    assert_eq!((lost.detail["count"].as_u64(), lost.outcome), (Some(1), Outcome::Failed));
    assert!(lost.sentence.as_deref().unwrap().contains("did not take it"));
    running.stop().await;
}

#[tokio::test]
async fn a_database_that_takes_nothing_is_waited_for() {
    let database = Database::with_acme().await;
    database.refuse("").await;
    database.refuse("bad").await;
    let (journal, _receiver) = Journal::new(database.clock.clone(), 1, Meters::default());
    let bad = || {
        let (mut record, line) = record(&journal, Action::UserCreate);
        line.about("bad");
        Item::Certain(record.entry(201, None))
    };
    let mut batch = vec![bad(), bad()];

    writer::one_by_one(&journal, &database.store, &mut batch).await;
    let waiting = batch.len();
    database.accept("").await;
    writer::one_by_one(&journal, &database.store, &mut batch).await;

    assert_eq!((waiting, batch.len()), (2, 0));
    assert_eq!(database.entries("acme").await.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(), ["lost", "lost"]);
}
