//! The promise, watched from outside: clients on one clock ask every gateway about every session, again and again, and no
//! request that was sent after the provider had its 200 is ever let through.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use http::{HeaderValue, Method, StatusCode, header::IF_MATCH};
use lockstep_tests::{
    harness::eventually,
    world::{Person, Shape, World},
};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};

/// Writers that deactivate side by side.
const WRITERS: usize = 16;
/// Clients that ask about sessions all the while.
const CLIENTS: usize = 6;
/// When a provider that loses its answer hangs up.
const HANG_UP_AFTER: Duration = Duration::from_millis(300);

/// Somebody who is signed in, and when the provider heard that they are out.
struct Watched {
    person: Person,
    cookie: String,
    answered: Mutex<Option<Instant>>,
}

/// One request as a client saw it.
struct Seen {
    watched: usize,
    gateway: usize,
    sent: Instant,
    status: StatusCode,
}

/// Asks gateways about sessions.
#[derive(Clone)]
struct Asker {
    client: reqwest::Client,
    addresses: Arc<[String]>,
}

impl Asker {
    fn new(world: &World) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a client of loopback")]
        let client = reqwest::Client::new();
        let addresses = world.gateways.iter().map(|gateway| format!("{}/oauth2/auth", gateway.url())).collect();
        Self { client, addresses }
    }

    async fn ask(&self, gateway: usize, watched: usize, cookie: &str) -> Option<Seen> {
        let sent = Instant::now();
        let request = self.client.get(&self.addresses[gateway]).header("host", "localhost").header("cookie", cookie);
        let status = request.send().await.ok()?.status();
        Some(Seen { watched, gateway, sent, status })
    }
}

/// Signs people in, some side by side.
async fn sign_everybody_in(world: &World, count: usize) -> Arc<Vec<Watched>> {
    let one = |number| async move {
        let person = world.person(&format!("person{number}")).await.unwrap();
        let agent = world.sign_in(&person).await.unwrap();
        Watched { cookie: world.cookie(&agent).unwrap(), person, answered: Mutex::default() }
    };
    Arc::new(stream::iter(0..count).map(one).buffered(8).collect().await)
}

/// Asks about everybody at every gateway until told to stop.
fn hammer(asker: &Asker, people: &Arc<Vec<Watched>>, stop: &Arc<AtomicBool>) -> JoinSet<Vec<Seen>> {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (asker, people, stop) = (asker.clone(), people.clone(), stop.clone());
        clients.spawn(async move {
            let mut seen = Vec::new();
            let mut turn = client * 31;
            while !stop.load(Ordering::Relaxed) {
                turn += 1;
                let (watched, gateway) = (turn % people.len(), turn % asker.addresses.len());
                seen.extend(asker.ask(gateway, watched, &people[watched].cookie).await);
            }
            seen
        });
    }
    clients
}

/// Deactivates everybody, with writers side by side; each asks every gateway at once when it has its answer.
async fn deactivate_everybody(world: &Arc<World>, asker: &Asker, people: &Arc<Vec<Watched>>) -> Vec<Seen> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (world, asker, people) = (world.clone(), asker.clone(), people.clone());
        writers.spawn(async move {
            let mut seen = Vec::new();
            for (number, watched) in people.iter().enumerate().skip(writer).step_by(WRITERS) {
                let answer = world.deactivate(&watched.person).await.unwrap();
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
                *watched.answered.lock().unwrap() = Some(Instant::now());
                for gateway in 0..asker.addresses.len() {
                    seen.extend(asker.ask(gateway, number, &watched.cookie).await);
                }
            }
            seen
        });
    }
    writers.join_all().await.into_iter().flatten().collect()
}

/// No request that was sent after the answer may have passed; and there must have been something to stop.
fn judge(people: &[Watched], seen: &[Seen], gateways: usize) {
    let mut violations = Vec::new();
    for request in seen {
        let answered = people[request.watched].answered.lock().unwrap().expect("everybody was deactivated");
        if request.status.is_success() && request.sent > answered {
            let late = request.sent - answered;
            violations.push(format!(
                "{} at gateway {} {late:?} after the answer",
                people[request.watched].person.login, request.gateway
            ));
        }
    }
    assert!(violations.is_empty(), "{} of {} requests: {violations:#?}", violations.len(), seen.len());
    for gateway in 0..gateways {
        let of =
            |wanted: StatusCode| seen.iter().filter(|request| request.gateway == gateway && request.status == wanted).count();
        assert!(of(StatusCode::OK) > people.len(), "gateway {gateway} let people in before: {}", of(StatusCode::OK));
        assert!(of(StatusCode::UNAUTHORIZED) >= people.len(), "gateway {gateway} kept them out after");
    }
}

/// Everybody is in at every gateway, which then has the session in memory.
async fn everybody_is_in(asker: &Asker, people: &[Watched]) {
    for (number, watched) in people.iter().enumerate() {
        for gateway in 0..asker.addresses.len() {
            let seen = asker.ask(gateway, number, &watched.cookie).await.unwrap();
            assert_eq!(seen.status, StatusCode::OK, "{} is in", watched.person.login);
        }
    }
}

/// Hammers while everybody is deactivated, and judges what was seen.
async fn watch_everybody_go(world: World, asker: &Asker, people: &Arc<Vec<Watched>>) {
    let (world, stop) = (Arc::new(world), Arc::new(AtomicBool::new(false)));
    let clients = hammer(asker, people, &stop);
    let mut seen = deactivate_everybody(&world, asker, people).await;
    stop.store(true, Ordering::Relaxed);
    seen.extend(clients.join_all().await.into_iter().flatten());
    judge(people, &seen, world.gateways.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_two_hundred_deactivations_and_nobody_gets_in_after_the_answer() {
    let world = World::start(Shape { gateways: 2, ..Shape::default() }).await.unwrap();
    let people = sign_everybody_in(&world, 200).await;
    let asker = Asker::new(&world);
    everybody_is_in(&asker, &people).await;

    watch_everybody_go(world, &asker, &people).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_it_holds_without_redis() {
    let mut world = World::start(Shape { gateways: 2, ..Shape::default() }).await.unwrap();
    let people = sign_everybody_in(&world, 48).await;
    let asker = Asker::new(&world);
    everybody_is_in(&asker, &people).await;

    world.redis.stop().await.unwrap();

    watch_everybody_go(world, &asker, &people).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_repetition_after_a_lost_answer_waits_as_the_first_did() {
    let mut world = World::start(Shape { gateways: 2, ..Shape::default() }).await.unwrap();
    let person = world.person("lost").await.unwrap();
    let agent = world.sign_in(&person).await.unwrap();
    let (cookie, asker) = (world.cookie(&agent).unwrap(), Asker::new(&world));
    for gateway in 0..2 {
        assert_eq!(asker.ask(gateway, 0, &cookie).await.unwrap().status, StatusCode::OK);
    }

    // The second gateway stands still, so the first request has to wait it out; its caller hangs up meanwhile.
    world.gateways[1].pause().await.unwrap();
    let given_up = timeout(HANG_UP_AFTER, world.deactivate(&person)).await;
    assert!(given_up.is_err(), "the first request waits for the gateway that stands still");
    let answer = world.deactivate(&person).await.unwrap();
    world.gateways[1].resume().unwrap();
    let after = asker.ask(1, 0, &cookie).await.unwrap();

    assert_eq!(answer.status, StatusCode::OK);
    assert!(!after.status.is_success(), "a gateway that wakes up does not let them in: {}", after.status);
    assert_eq!(asker.ask(0, 0, &cookie).await.unwrap().status, StatusCode::UNAUTHORIZED);
}

/// A write about somebody who is out already, and what it is refused with.
#[derive(Clone, Copy, Debug)]
enum Refused {
    StaleVersion,
    InvalidValue,
    TakenName,
    PatchAfterDelete,
    DeleteTwice,
}

impl Refused {
    const ALL: [Self; 5] = [Self::StaleVersion, Self::InvalidValue, Self::TakenName, Self::PatchAfterDelete, Self::DeleteTwice];

    /// The write that takes the access away, whose answer is lost.
    async fn lose_the_first_answer(self, world: &World, person: &Person) {
        let path = format!("/Users/{}", person.id);
        let given_up = match self {
            Self::PatchAfterDelete | Self::DeleteTwice => timeout(HANG_UP_AFTER, world.scim.delete(&path)).await.is_err(),
            Self::StaleVersion | Self::InvalidValue | Self::TakenName => {
                timeout(HANG_UP_AFTER, world.deactivate(person)).await.is_err()
            }
        };
        assert!(given_up, "{self:?}: the first request waits for the gateway that stands still");
    }

    async fn send(self, world: &World, person: &Person, other: &Person) -> StatusCode {
        let (path, scim) = (format!("/Users/{}", person.id), &world.scim);
        let switch = |value: Value| json!({ "Operations": [{ "op": "replace", "path": "active", "value": value }] });
        let answer = match self {
            Self::StaleVersion => {
                let stale = [(IF_MATCH, HeaderValue::from_static("W/\"1\""))].into_iter().collect();
                scim.send(Method::PATCH, &path, stale, Some(&switch(json!(false)))).await
            }
            Self::InvalidValue => scim.patch(&path, &switch(json!("perhaps"))).await,
            Self::TakenName => scim.put(&path, &json!({ "userName": other.email, "active": false })).await,
            Self::PatchAfterDelete => scim.patch(&path, &switch(json!(false))).await,
            Self::DeleteTwice => scim.delete(&path).await,
        };
        answer.unwrap().status
    }

    fn status(self) -> StatusCode {
        match self {
            Self::StaleVersion => StatusCode::PRECONDITION_FAILED,
            Self::InvalidValue => StatusCode::BAD_REQUEST,
            Self::TakenName => StatusCode::CONFLICT,
            Self::PatchAfterDelete | Self::DeleteTwice => StatusCode::NOT_FOUND,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_refusal_too_waits_until_whom_an_earlier_request_ended_is_out() {
    let mut world = World::start(Shape { gateways: 2, ..Shape::default() }).await.unwrap();
    let witness = world.person("witness").await.unwrap();
    let watching = world.sign_in(&witness).await.unwrap();
    let (watching, asker) = (world.cookie(&watching).unwrap(), Asker::new(&world));

    for refused in Refused::ALL {
        let person = world.person(&format!("{refused:?}").to_lowercase()).await.unwrap();
        let agent = world.sign_in(&person).await.unwrap();
        let cookie = world.cookie(&agent).unwrap();
        assert_eq!(asker.ask(1, 0, &cookie).await.unwrap().status, StatusCode::OK, "{refused:?}");

        world.gateways[1].pause().await.unwrap();
        refused.lose_the_first_answer(&world, &person).await;
        let status = refused.send(&world, &person, &witness).await;
        world.gateways[1].resume().unwrap();
        let after = asker.ask(1, 0, &cookie).await.unwrap();

        assert_eq!(status, refused.status(), "{refused:?}");
        assert!(!after.status.is_success(), "{refused:?}: answered, but a gateway still let them in: {}", after.status);
        // The gateway serves again before the next one.
        let is_back = async || (asker.ask(1, 0, &watching).await?.status == StatusCode::OK).then_some(());
        eventually("the gateway serving again", Duration::from_secs(10), is_back).await.unwrap();
    }
}
