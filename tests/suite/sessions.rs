//! The session store keeps its promises in SQLite, PostgreSQL and Redis alike.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lockstep_shared::{
    bus::RedisLink,
    clock::{Clock as _, SystemClock, Timestamp},
    id::{ConnectionId, Generation, SessionId, UserId, WorkspaceId},
    model::{
        revocation::Seq,
        session::{ProviderIdentity, Session, SignedInBy},
        user::Person,
    },
    secret::Key,
    session::{RecordKey, RedisSessions, SessionStore, SessionStoreError, SqlSessions},
};
use lockstep_tests::harness::{eventually, redis::Redis};
use redis::AsyncCommands as _;

use crate::store::{Db, workspace};

const HOUR: Duration = Duration::from_hours(1);
/// What a request may have to wait for a session store that is away.
const AWAY_WITHIN: Duration = Duration::from_millis(1500);

/// Makes one test of each place where sessions live out of one behaviour.
macro_rules! in_each_store {
    ($($(#[$meta:meta])* async fn $name:ident($place:ident: &Place) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn behaviour($place: &Place) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_sqlite() {
                behaviour(&Place::sql(Db::sqlite().await)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_postgres() {
                behaviour(&Place::sql(Db::postgres().await)).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_redis() {
                behaviour(&Place::redis().await).await;
            }
        }
    )+};
}

enum Behind {
    Sql(Db),
    Redis(Redis),
}

/// A place where sessions live.
struct Place {
    sessions: Arc<dyn SessionStore>,
    behind: Behind,
}

impl Place {
    fn sql(db: Db) -> Self {
        let store = db.opened_again(SystemClock::shared());
        Self { sessions: Arc::new(SqlSessions::new(store, key(1))), behind: Behind::Sql(db) }
    }

    async fn redis() -> Self {
        let server = Redis::start().await.unwrap();
        Self { sessions: Arc::new(in_redis(&server)), behind: Behind::Redis(server) }
    }

    /// The same place, opened with these keys.
    fn opened_with(&self, keys: Vec<Key>) -> Box<dyn SessionStore> {
        let key = RecordKey::new(keys).unwrap();
        match &self.behind {
            Behind::Sql(db) => Box::new(SqlSessions::new(db.opened_again(SystemClock::shared()), key)),
            Behind::Redis(server) => {
                let link = RedisLink::new(&server.url(), SystemClock::shared()).unwrap();
                Box::new(RedisSessions::new(link, "test", key, SystemClock::shared()))
            }
        }
    }

    /// What is kept of a session.
    async fn kept(&self, session: &Session) -> String {
        match &self.behind {
            Behind::Sql(db) => {
                let mut connection = db.connection().await;
                let one = sqlx::query_scalar("SELECT sealed FROM sessions WHERE workspace_id = $1 AND id = $2");
                one.bind(session.workspace.as_str()).bind(session.id.as_str()).fetch_one(&mut connection).await.unwrap()
            }
            Behind::Redis(server) => server.connect().await.unwrap().get(redis_key(session)).await.unwrap(),
        }
    }

    /// Writes something else in its place.
    async fn overwrite(&self, session: &Session, record: &str) {
        match &self.behind {
            Behind::Sql(db) => {
                let mut connection = db.connection().await;
                let update = sqlx::query("UPDATE sessions SET sealed = $3 WHERE workspace_id = $1 AND id = $2");
                let update = update.bind(session.workspace.as_str()).bind(session.id.as_str()).bind(record);
                assert_eq!(update.execute(&mut connection).await.unwrap().rows_affected(), 1);
            }
            Behind::Redis(server) => server.connect().await.unwrap().set::<_, _, ()>(redis_key(session), record).await.unwrap(),
        }
    }
}

fn in_redis(server: &Redis) -> RedisSessions {
    let link = RedisLink::new(&server.url(), SystemClock::shared()).unwrap();
    RedisSessions::new(link, "test", key(1), SystemClock::shared())
}

fn redis_key(session: &Session) -> String {
    format!("test:session:{}:{}", session.workspace, session.id)
}

fn key(byte: u8) -> RecordKey {
    RecordKey::new(vec![Key::from_bytes([byte; 32])]).unwrap()
}

fn after(duration: Duration) -> Timestamp {
    SystemClock.now().plus(duration)
}

fn session_of(workspace: &WorkspaceId, user: &UserId, lifetime: Duration) -> Session {
    let secret: [u8; 32] = lockstep_shared::secret::random().unwrap();
    let now = SystemClock.now();
    Session {
        v: Session::VERSION,
        id: SessionId::of_secret(&secret),
        workspace: workspace.clone(),
        user: user.clone(),
        by: SignedInBy::Sso(ProviderIdentity {
            connection: ConnectionId::parse("acme-idp").unwrap(),
            issuer: "https://idp.example".into(),
            subject: "s-1".into(),
            sid: None,
        }),
        generation: Generation::random(),
        mint_seq: Seq(7),
        attr_seq: Seq(8),
        created_at: now,
        expires_at: now.plus(lifetime),
        last_seen_at: now,
        person: Person { user_name: "babs".into(), groups: vec!["Crew".into()], ..Person::default() },
    }
}

fn session() -> Session {
    session_of(&workspace("acme"), &UserId::new(), HOUR)
}

in_each_store! {
    async fn a_session_reads_back_until_it_is_deleted(place: &Place) {
        let session = session();
        assert_eq!(place.sessions.get(&session.workspace, &session.id).await.unwrap(), None);

        place.sessions.put(&session).await.unwrap();

        assert_eq!(place.sessions.get(&session.workspace, &session.id).await.unwrap().as_ref(), Some(&session));
        place.sessions.delete(&session.workspace, &session.id, &session.user).await.unwrap();
        assert_eq!(place.sessions.get(&session.workspace, &session.id).await.unwrap(), None);
        assert_eq!(place.sessions.of_user(&session.workspace, &session.user).await.unwrap(), vec![]);
        place.sessions.delete(&session.workspace, &session.id, &session.user).await.unwrap();
    }

    async fn a_session_that_was_deleted_is_not_written_again(place: &Place) {
        let mut session = session();
        place.sessions.put(&session).await.unwrap();
        session.attr_seq = Seq(9);
        place.sessions.replace(&session).await.unwrap();
        assert_eq!(place.sessions.get(&session.workspace, &session.id).await.unwrap().as_ref(), Some(&session));

        place.sessions.delete(&session.workspace, &session.id, &session.user).await.unwrap();
        place.sessions.replace(&session).await.unwrap();

        assert_eq!(place.sessions.get(&session.workspace, &session.id).await.unwrap(), None);
    }

    async fn a_session_ends_when_it_was_said_to_and_a_replacement_does_not_prolong_it(place: &Place) {
        let mut session = session_of(&workspace("acme"), &UserId::new(), Duration::from_millis(600));
        place.sessions.put(&session).await.unwrap();
        assert!(place.sessions.get(&session.workspace, &session.id).await.unwrap().is_some());
        session.last_seen_at = after(HOUR);
        place.sessions.replace(&session).await.unwrap();

        let gone = eventually("the session's end", Duration::from_secs(5), async || {
            place.sessions.get(&session.workspace, &session.id).await.unwrap().is_none().then_some(SystemClock.now())
        });

        assert!(gone.await.unwrap() >= session.expires_at, "not before");
        assert_eq!(place.sessions.of_user(&session.workspace, &session.user).await.unwrap(), vec![]);
    }

    async fn the_sessions_of_a_person_are_theirs_alone(place: &Place) {
        let (acme, other) = (workspace("acme"), workspace("other"));
        let (babs, guest) = (UserId::new(), UserId::new());
        let mut mine = vec![session_of(&acme, &babs, HOUR), session_of(&acme, &babs, HOUR * 2), session_of(&acme, &babs, HOUR / 2)];
        for session in mine.iter().chain(&[session_of(&acme, &guest, HOUR), session_of(&other, &babs, HOUR)]) {
            place.sessions.put(session).await.unwrap();
        }

        let found = place.sessions.of_user(&acme, &babs).await.unwrap();

        mine.sort_by_key(|session| session.expires_at);
        assert_eq!(found, mine, "the one that ends first comes first");
        assert_eq!(place.sessions.of_user(&acme, &UserId::new()).await.unwrap(), vec![]);
    }

    async fn a_short_session_does_not_hide_the_longer_ones_of_its_person(place: &Place) {
        let (acme, babs) = (workspace("acme"), UserId::new());
        let (long, short) = (session_of(&acme, &babs, HOUR), session_of(&acme, &babs, Duration::from_millis(300)));
        place.sessions.put(&long).await.unwrap();
        place.sessions.put(&short).await.unwrap();

        eventually("the short one's end", Duration::from_secs(5), async || {
            place.sessions.get(&acme, &short.id).await.unwrap().is_none().then_some(())
        }).await.unwrap();

        assert_eq!(place.sessions.of_user(&acme, &babs).await.unwrap(), vec![long]);
    }

    async fn a_session_of_another_workspace_is_none(place: &Place) {
        let session = session();
        place.sessions.put(&session).await.unwrap();
        let other = workspace("other");

        assert_eq!(place.sessions.get(&other, &session.id).await.unwrap(), None);
        assert_eq!(place.sessions.of_user(&other, &session.user).await.unwrap(), vec![]);
        place.sessions.delete(&other, &session.id, &session.user).await.unwrap();

        assert!(place.sessions.get(&session.workspace, &session.id).await.unwrap().is_some());
    }

    async fn what_is_used_once_is_used_once_in_each_workspace_until_its_end(place: &Place) {
        let (acme, other) = (workspace("acme"), workspace("other"));
        let until = after(Duration::from_millis(700));

        assert!(place.sessions.use_once(&acme, "state", until).await.unwrap());
        assert!(!place.sessions.use_once(&acme, "state", until).await.unwrap());
        assert!(place.sessions.use_once(&acme, "another state", until).await.unwrap());
        assert!(place.sessions.use_once(&other, "state", until).await.unwrap());
    }

    async fn of_many_who_use_it_at_once_one_is_the_first(place: &Place) {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let sessions = place.sessions.clone();
            tasks.spawn(async move { sessions.use_once(&workspace("acme"), "ticket", after(HOUR)).await.unwrap() });
        }

        assert_eq!(tasks.join_all().await.into_iter().filter(|first| *first).count(), 1);
    }

    async fn a_record_that_was_tampered_with_is_unreadable(place: &Place) {
        let (session, moved) = (session(), session());
        place.sessions.put(&session).await.unwrap();
        place.sessions.put(&moved).await.unwrap();
        let (kept, other) = (place.kept(&session).await, place.kept(&moved).await);
        assert!(!kept.contains("babs") && !kept.contains(session.user.as_str()), "it tells nothing: {kept}");

        let altered = format!("{}{}", &kept[..kept.len() - 1], if kept.ends_with('A') { 'B' } else { 'A' });
        let plain = serde_json::to_string(&session).unwrap();
        for record in ["", "v1", &plain, &kept[..kept.len() / 2], &altered, &other] {
            place.overwrite(&session, record).await;
            let read = place.sessions.get(&session.workspace, &session.id).await;
            assert!(matches!(read, Err(SessionStoreError::Unreadable)), "{record}: {read:?}");
        }
        place.overwrite(&session, &kept).await;

        assert_eq!(place.sessions.get(&session.workspace, &session.id).await.unwrap(), Some(session));
    }

    async fn a_record_opens_with_an_older_key_of_the_ring_and_with_no_other(place: &Place) {
        let session = session();
        place.sessions.put(&session).await.unwrap();
        let keys = |bytes: &[u8]| bytes.iter().map(|byte| Key::from_bytes([*byte; 32])).collect();

        let rotated = place.opened_with(keys(&[2, 1])).get(&session.workspace, &session.id).await.unwrap();
        let stranger = place.opened_with(keys(&[2])).get(&session.workspace, &session.id).await;

        assert_eq!(rotated, Some(session));
        assert!(matches!(stranger, Err(SessionStoreError::Unreadable)), "{stranger:?}");
    }
}

mod sweeping_takes_what_has_run_out_alone {
    use super::*;

    async fn behaviour(db: Db) {
        let store = db.opened_again(SystemClock::shared());
        let sessions = SqlSessions::new(store.clone(), key(1));
        let (acme, user) = (workspace("acme"), UserId::new());
        let (over, live) = (session_of(&acme, &user, Duration::ZERO), session_of(&acme, &user, HOUR));
        for session in [&over, &live] {
            sessions.put(session).await.unwrap();
        }
        sessions.use_once(&acme, "over", SystemClock.now()).await.unwrap();
        sessions.use_once(&acme, "live", after(HOUR)).await.unwrap();

        store.sweep_sessions().await.unwrap();

        let mut connection = db.connection().await;
        let mut count = async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await.unwrap();
        assert_eq!(count("SELECT COUNT(*) FROM sessions").await, 1);
        assert_eq!(count("SELECT COUNT(*) FROM used_once").await, 1);
        assert_eq!(sessions.get(&acme, &live.id).await.unwrap(), Some(live));
        assert!(sessions.use_once(&acme, "over", after(HOUR)).await.unwrap());
        assert!(!sessions.use_once(&acme, "live", after(HOUR)).await.unwrap());
    }

    #[tokio::test]
    async fn in_sqlite() {
        behaviour(Db::sqlite().await).await;
    }

    #[tokio::test]
    async fn in_postgres() {
        behaviour(Db::postgres().await).await;
    }
}

#[tokio::test]
async fn redis_holds_nothing_of_a_session_longer_than_it_lasts() {
    let server = Redis::start().await.unwrap();
    let sessions = in_redis(&server);
    sessions.put(&session()).await.unwrap();
    assert!(sessions.use_once(&workspace("acme"), "state", after(HOUR)).await.unwrap());

    let mut connection = server.connect().await.unwrap();
    let keys: Vec<String> = connection.keys("*").await.unwrap();

    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in keys {
        let left: i64 = connection.pttl(&key).await.unwrap();
        assert!((1..=3_600_000).contains(&left), "{key} lives for {left} ms");
    }
}

async fn away_in_time(sessions: &RedisSessions, why: &str) {
    let session = session();
    for _ in 0..3 {
        let asked = Instant::now();
        let answer = sessions.get(&session.workspace, &session.id).await;
        let took = asked.elapsed();
        assert!(matches!(answer, Err(SessionStoreError::Unavailable(_))), "{why}: {answer:?}");
        assert!(took < AWAY_WITHIN, "{why}: it took {took:?}");
    }
    assert!(matches!(sessions.put(&session).await, Err(SessionStoreError::Unavailable(_))), "{why}");
}

async fn works_again(sessions: &RedisSessions) {
    let session = session();
    eventually("sessions in Redis again", Duration::from_secs(5), async || sessions.put(&session).await.ok()).await.unwrap();
    assert_eq!(sessions.get(&session.workspace, &session.id).await.unwrap(), Some(session));
}

#[tokio::test]
async fn a_redis_that_is_away_is_unavailable_in_time_and_used_again_without_a_restart() {
    let mut server = Redis::start().await.unwrap();
    let sessions = in_redis(&server);
    works_again(&sessions).await;

    server.stop().await.unwrap();
    away_in_time(&sessions, "stopped").await;
    server.restart().await.unwrap();
    works_again(&sessions).await;

    server.kill().await.unwrap();
    away_in_time(&sessions, "killed").await;
    server.restart().await.unwrap();
    works_again(&sessions).await;

    server.pause().await.unwrap();
    away_in_time(&sessions, "silent").await;
    server.resume().unwrap();
    works_again(&sessions).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_to_a_silent_redis_all_fail_in_time() {
    let mut server = Redis::start().await.unwrap();
    let sessions = in_redis(&server);
    works_again(&sessions).await;
    server.pause().await.unwrap();

    for round in 0..3 {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let sessions = sessions.clone();
            tasks.spawn(async move {
                let (asked, session) = (Instant::now(), session());
                let answer = sessions.get(&session.workspace, &session.id).await;
                assert!(matches!(answer, Err(SessionStoreError::Unavailable(_))), "{answer:?}");
                asked.elapsed()
            });
        }
        let slowest = tasks.join_all().await.into_iter().max().unwrap();
        assert!(slowest < AWAY_WITHIN, "round {round}: {slowest:?}");
    }
    server.resume().unwrap();
    works_again(&sessions).await;
}

#[tokio::test]
async fn a_redis_that_refuses_a_command_is_unavailable_and_keeps_its_connection() {
    let server = Redis::start().await.unwrap();
    let sessions = in_redis(&server);
    let session = session();
    works_again(&sessions).await;
    let mut admin = server.connect().await.unwrap();

    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).exec_async(&mut admin).await.unwrap();
    let full = sessions.put(&session).await;
    let read = sessions.get(&session.workspace, &session.id).await;
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(0).exec_async(&mut admin).await.unwrap();

    assert!(matches!(full, Err(SessionStoreError::Unavailable(_))), "{full:?}");
    assert!(matches!(read, Ok(None)), "{read:?}");
    works_again(&sessions).await;
}
