//! Opening, migrating, and living through a database that is away.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lockstep_shared::{
    clock::TestClock,
    id::{GroupId, TokenId, UserId},
    model::{audit::Actor, revocation::Seq, user::Profile, workspace::Plan},
    store::{Engine, SchemaState, Store, StoreError, StoreOptions},
};
use lockstep_tests::harness::{
    Scratch, eventually,
    postgres::{Database, Postgres},
};
use serde_json::json;
use sqlx::{
    AnyConnection, AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use tokio::{task::JoinSet, time::timeout};

use super::{DAY, Db, edit, idp, on_each_engine, open, provisioned, sealer, set_active, strangers, workspace};

const PATIENCE: Duration = Duration::from_millis(500);
const RECOVERY: Duration = Duration::from_secs(20);

/// A store that waits for a connection only as long as the tests do.
fn impatient(url: &str) -> Store {
    let options = StoreOptions { acquire_timeout: PATIENCE, ..StoreOptions::new(url) };
    Store::open(&options, TestClock::new(), sealer()).unwrap()
}

async fn unavailable_in_time(store: &Store, why: &str) {
    let asked = Instant::now();

    let answer = store.head().await;

    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{why}: {answer:?}");
    assert!(answer.unwrap_err().is_transient());
    assert!(asked.elapsed() < PATIENCE * 4, "{why}: it took {:?}", asked.elapsed());
}

async fn works_again(store: &Store) {
    eventually("the store working again", RECOVERY, async || store.head().await.ok()).await.unwrap();
}

async fn fresh(engine: Engine) -> (String, Option<Scratch>) {
    match engine {
        Engine::Sqlite => {
            let folder = Scratch::new("fresh").unwrap();
            (format!("sqlite://{}/lockstep.db", folder.path().display()), Some(folder))
        }
        Engine::Postgres => (Postgres::shared().await.unwrap().database().await.unwrap().url().to_owned(), None),
    }
}

async fn programs_that_start_together_migrate_once(engine: Engine) {
    // Often enough that they meet.
    for _ in 0..6 {
        let (url, _folder) = fresh(engine).await;
        let start = Arc::new(tokio::sync::Barrier::new(4));

        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let (store, start) = (open(&url, TestClock::new()), start.clone());
            tasks.spawn(async move {
                store.ping().await.unwrap();
                start.wait().await;
                store.migrate().await.unwrap();
                let found = (store.schema_state().await.unwrap(), store.head().await.unwrap());
                store.close().await;
                found
            });
        }
        let states = tasks.join_all().await;

        assert!(states.iter().all(|(state, _)| *state == SchemaState::Current), "{states:?}");
        assert!(states.iter().all(|(_, head)| *head == states[0].1), "one log: {states:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_start_together_migrate_once_on_sqlite() {
    programs_that_start_together_migrate_once(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_start_together_migrate_once_on_postgres() {
    programs_that_start_together_migrate_once(Engine::Postgres).await;
}

/// A database as the first version left it, with somebody in it who has signed in; their id.
async fn of_the_first_version(engine: Engine) -> (String, Option<Scratch>, UserId) {
    let (url, folder) = fresh(engine).await;
    open(&url, TestClock::new()).ping().await.unwrap();
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    if engine == Engine::Postgres {
        connection.execute(r#"CREATE COLLATION "binary" (provider = libc, locale = 'C')"#).await.unwrap();
    }
    let sql = include_str!("../../../shared/migrations/0001_initial.sql").into_sql_str();
    let first = Migration::new(1, "initial".into(), MigrationType::Simple, sql, false);
    Migrator::with_migrations(vec![first]).run(&mut connection).await.unwrap();
    let (ada, crew) = (UserId::new(), GroupId::new());
    let rows = format!(
        "INSERT INTO workspaces (id, name, plan, state, enforcement, stage, scim_enabled, created_at)
            VALUES ('acme', 'Acme', 'enterprise', 'active', 'off', '{{}}', 1, 0);
        INSERT INTO users (workspace_id, id, user_name, user_name_key, external_id, active, attributes, origin, login_method, version,
            ended_seq, created_at, updated_at)
            VALUES ('acme', '{ada}', 'ada', 'ada', 'external-ada', 1, '{{}}', 'provisioned', 'sso', 1, 0, 0, 0);
        INSERT INTO groups (workspace_id, id, display_name, display_name_key, attributes, version, changed_seq, created_at, updated_at)
            VALUES ('acme', '{crew}', 'Crew', 'crew', '{{}}', 1, 0, 0, 0);
        INSERT INTO group_members (workspace_id, group_id, member_id) VALUES ('acme', '{crew}', '{ada}');
        INSERT INTO tokens (workspace_id, id, digest, created_at, expires_at) VALUES ('acme', '{}', 'digest', 0, 0)",
        TokenId::new()
    );
    connection.execute(sqlx::raw_sql(AssertSqlSafe(rows))).await.unwrap();
    (url, folder, ada)
}

#[tokio::test]
async fn what_the_first_version_kept_is_there_after_the_second_step() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (url, _folder, ada) = of_the_first_version(engine).await;
        let (store, acme) = (open(&url, TestClock::new()), workspace("acme"));
        assert_eq!(store.schema_state().await.unwrap(), SchemaState::Behind);

        store.migrate().await.unwrap();

        assert_eq!(store.schema_state().await.unwrap(), SchemaState::Current);
        let kept = store.user(&acme, &ada).await.unwrap().unwrap();
        assert_eq!((kept.profile.user_name.as_str(), kept.profile.active, kept.version), ("ada", true, 1));
        let groups = store.groups_of(&acme, &ada).await.unwrap();
        assert_eq!(groups.iter().map(|group| group.display_name.as_str()).collect::<Vec<_>>(), ["Crew"]);
        assert_eq!((store.tokens(&acme).await.unwrap().len(), store.count_users(&acme).await.unwrap()), (1, 1));
        let change = |profile: &mut Profile| drop(profile.attributes.insert("title".into(), json!("CEO")));
        let told = edit(&store, &acme, &ada, change).await.unwrap().1;
        assert_eq!(told.records.len(), 1, "of whom it knows nothing, it takes to have signed in");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_lets_those_pass_who_use_the_tables_and_tries_again() {
    let (url, _folder, ada) = of_the_first_version(Engine::Postgres).await;
    let (store, acme) = (open(&url, TestClock::new()), workspace("acme"));
    let (mut holder, mut watcher) = (AnyConnection::connect(&url).await.unwrap(), AnyConnection::connect(&url).await.unwrap());
    holder.execute(sqlx::raw_sql("BEGIN; LOCK TABLE users IN ACCESS SHARE MODE")).await.unwrap();
    let mut waiting = async || {
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'relation' AND datname = current_database()";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watcher).await.unwrap()
    };
    let migrating = tokio::spawn({
        let store = store.clone();
        async move { store.migrate().await }
    });

    eventually("the step waiting", RECOVERY, async || (waiting().await == 1).then_some(())).await.unwrap();
    eventually("the step letting others pass", RECOVERY, async || (waiting().await == 0).then_some(())).await.unwrap();
    assert!(!migrating.is_finished());
    holder.execute(sqlx::raw_sql("COMMIT")).await.unwrap();

    migrating.await.unwrap().unwrap();
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::Current);
    assert!(store.user(&acme, &ada).await.unwrap().is_some());
}

#[tokio::test]
async fn an_empty_database_is_behind() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (url, _folder) = fresh(engine).await;
        let store = open(&url, TestClock::new());

        assert_eq!((store.engine(), store.schema_state().await.unwrap()), (engine, SchemaState::Behind));
    }
}

on_each_engine! {
    async fn a_schema_of_a_newer_program_is_ahead(db: &Db) {
        let mut connection = db.connection().await;
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 999, 'newer', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
        )
        .execute(&mut connection)
        .await
        .unwrap();

        assert_eq!(db.store.schema_state().await.unwrap(), SchemaState::Ahead);
    }

    async fn what_was_answered_outlives_closing_and_opening(db: &Db) {
        let babs = db.user("babs").await;
        drop(db.set_active(&babs.id, false).await);
        db.store.close().await;

        let store = db.opened_again(db.clock.clone());

        let read = store.user(&db.acme, &babs.id).await.unwrap().unwrap();
        assert_eq!((read.profile.active, read.ended_seq, store.head().await.unwrap().seq), (false, Seq(1), Seq(1)));
        assert!(matches!(db.store.head().await, Err(StoreError::Unavailable(_))), "a closed store answers nothing");
    }

    async fn names_sort_by_their_bytes_on_both_engines(db: &Db) {
        for name in ["b team", "A team", "\u{e4} team", "a", "Z", "a-b", "a b"] {
            db.group(name, &[strangers(1).remove(0)]).await;
        }
        let mut connection = db.connection().await;

        let keys: Vec<String> =
            sqlx::query_scalar("SELECT display_name_key FROM groups ORDER BY display_name_key").fetch_all(&mut connection).await.unwrap();

        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert_eq!(keys, sorted);
    }

    async fn writers_beyond_the_pool_wait_their_turn(db: &Db) {
        let mut tasks = JoinSet::new();
        for number in 0..60 {
            let (store, acme) = (db.store.clone(), db.acme.clone());
            tasks.spawn(async move {
                let user = store.create_user(&acme, provisioned(&format!("user-{number}")), &idp()).await.unwrap();
                set_active(&store, &acme, &user.id, false).await.unwrap().through
            });
        }
        let mut places = tasks.join_all().await;

        places.sort_unstable();
        assert_eq!(places, (1..=60).map(Seq).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn sqlite_writers_of_two_processes_wait_for_each_other() {
    let db = Db::sqlite().await;
    let second = db.opened_again(db.clock.clone());
    let (here, there) = (db.user("here").await, db.user("there").await);

    for round in 0..25 {
        let guest = format!("guest-{round}@acme.com");
        let (one, two) = tokio::join!(
            async {
                drop(set_active(&db.store, &db.acme, &here.id, false).await.unwrap());
                // It reads first and writes then: what it has read must still be so.
                db.store.invite(&db.acme, &guest, DAY, &idp()).await.unwrap();
                set_active(&db.store, &db.acme, &here.id, true).await.unwrap()
            },
            async {
                drop(set_active(&second, &db.acme, &there.id, false).await.unwrap());
                second.invite(&db.acme, &format!("other-{guest}"), DAY, &idp()).await.unwrap();
                set_active(&second, &db.acme, &there.id, true).await.unwrap()
            },
        );
        assert_ne!(one.through, two.through);
    }

    assert_eq!(db.head().await, Seq(100));
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_unavailable_in_time() {
    let cluster = Postgres::shared().await.unwrap();
    let nobody = lockstep_tests::harness::ports::free().unwrap();

    for (url, why) in [
        (format!("postgres://lockstep@127.0.0.1:{}/no_such_database", cluster.port()), "an unknown database"),
        (format!("postgres://lockstep@127.0.0.1:{nobody}/lockstep"), "nobody listens"),
        ("sqlite:///no/such/folder/lockstep.db".to_owned(), "an unknown folder"),
    ] {
        unavailable_in_time(&impatient(&url), why).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_was_killed_or_stopped_is_used_again_without_a_restart() {
    let mut cluster = Postgres::start().await.unwrap();
    let store = impatient(cluster.database().await.unwrap().url());
    store.migrate().await.unwrap();
    let acme = workspace("acme");
    store.create_workspace(&acme, "Acme", Plan::Enterprise, &Actor::operator()).await.unwrap();
    let babs = store.create_user(&acme, provisioned("babs"), &idp()).await.unwrap();
    let first = set_active(&store, &acme, &babs.id, false).await.unwrap();

    cluster.kill().await.unwrap();
    unavailable_in_time(&store, "killed").await;
    let lost = set_active(&store, &acme, &babs.id, true).await;
    assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
    cluster.restart().await.unwrap();
    works_again(&store).await;
    let again = set_active(&store, &acme, &babs.id, false).await.unwrap();
    assert_eq!((again.through, again.records.len()), (first.through, 0), "what was answered is still there");

    cluster.stop().await.unwrap();
    unavailable_in_time(&store, "stopped").await;
    cluster.restart().await.unwrap();
    works_again(&store).await;
    assert_eq!(set_active(&store, &acme, &babs.id, true).await.unwrap().through, Seq(2), "a failed write left no place behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_given_up_on_a_silent_postgres_do_not_use_the_pool_up() {
    let mut cluster = Postgres::start().await.unwrap();
    let url = cluster.database().await.unwrap().url().to_owned();
    let options = StoreOptions { max_connections: 2, acquire_timeout: PATIENCE, ..StoreOptions::new(&url) };
    let store = Store::open(&options, TestClock::new(), sealer()).unwrap();
    store.migrate().await.unwrap();

    cluster.pause().await.unwrap();
    for _ in 0..6 {
        let given_up = timeout(PATIENCE * 2, store.head()).await;
        assert!(!matches!(given_up, Ok(Ok(_))), "a silent database answers nothing");
    }
    cluster.resume().unwrap();

    works_again(&store).await;
}

/// A way to PostgreSQL on which every connection there is can fall silent, as when a host vanishes: nothing comes any more, not
/// even a refusal.
struct Way {
    port: u16,
    silence: tokio::sync::watch::Sender<u32>,
    _connections: JoinSet<()>,
}

impl Way {
    async fn to(port: u16) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (here, silence) = (listener.local_addr().unwrap().port(), tokio::sync::watch::Sender::new(0));
        let mut connections = JoinSet::new();
        let falling = silence.clone();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut silenced = falling.subscribe();
                open.spawn(async move {
                    let mut far = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = silenced.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { port: here, silence, _connections: connections }
    }

    fn falls_silent(&self) {
        self.silence.send_modify(|count| *count += 1);
    }
}

/// Three connections at most, on a way that can fall silent.
async fn on_a_way() -> (Store, Way, Database) {
    let cluster = Postgres::shared().await.unwrap();
    let database = cluster.database().await.unwrap();
    let way = Way::to(cluster.port()).await;
    let url = database.url().replace(&format!(":{}/", cluster.port()), &format!(":{}/", way.port));
    let options = StoreOptions { max_connections: 3, ..StoreOptions::new(&url) };
    let store = Store::open(&options, TestClock::new(), sealer()).unwrap();
    store.migrate().await.unwrap();
    (store, way, database)
}

/// Less than the pool waits for a connection: one that is silent must be found out and replaced within it.
const REPLACED_WITHIN: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_that_fell_silent_is_replaced_before_it_is_used() {
    let (store, way, _database) = on_a_way().await;
    let (one, two, three) = tokio::join!(store.head(), store.head(), store.head());
    drop((one.unwrap(), two.unwrap(), three.unwrap()));

    way.falls_silent();

    for _ in 0..3 {
        timeout(REPLACED_WITHIN, store.head()).await.expect("an answer in time").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_fell_silent_in_use_is_replaced_once_its_caller_has_given_up() {
    let (store, way, database) = on_a_way().await;
    let mut holder = database.connect().await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE gateways IN ACCESS EXCLUSIVE MODE").execute(&mut holder).await.unwrap();
    let mut watcher = database.connect().await.unwrap();
    let asked = async || timeout(PATIENCE * 6, store.gateways()).await;
    let held = async {
        let (one, two, three) = tokio::join!(asked(), asked(), asked());
        assert!(one.is_err() && two.is_err() && three.is_err(), "they wait for the lock");
    };

    let silence = async {
        eventually("three who wait", PATIENCE * 5, async || {
            let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event = 'relation' AND datname = current_database()";
            (sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut watcher).await.unwrap() == 3).then_some(())
        })
        .await
        .unwrap();
        way.falls_silent();
    };
    tokio::join!(held, silence);

    timeout(REPLACED_WITHIN, store.head()).await.expect("an answer in time").unwrap();
}
