//! Provisioning: users created and changed over SCIM by eight clients, against single rows inserted durably into the same
//! databases by as many, and against SCIM servers that keep everything in memory. All take turns on all cores.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use lockstep_tests::{
    harness::{Scratch, scim::Scim},
    world::text,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    runtime,
    task::{JoinSet, spawn_blocking},
};

use crate::{
    Failure,
    bare::Bare,
    connection::{Connection, Target},
    figures::{Samples, Verdict, millis, number, say},
    installation::{Engine, Installation, person},
    machine::{load_average, processor_time},
    peers::{Peer, Running},
};

const CLIENTS: usize = 8;
const ROUNDS: usize = 5;
const SECONDS: u64 = 2;
/// What a durable write over SCIM has to reach of a bare durable insert's rate.
const OF_A_BARE_INSERT: f64 = 0.3;

/// What is done over and over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Work {
    Insert,
    Create,
    Change,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Who {
    Bare(Engine),
    Ours(Engine),
    Peer(Peer),
}

impl Who {
    const fn work(self) -> &'static [Work] {
        match self {
            Self::Bare(_) => &[Work::Insert],
            Self::Ours(_) | Self::Peer(_) => &[Work::Create, Work::Change],
        }
    }

    fn name(self, work: Work) -> String {
        let work = match work {
            Work::Insert => "bare durable insert",
            Work::Create => "POST /Users",
            Work::Change => "PATCH /Users/{id}",
        };
        match self {
            Self::Bare(engine) => format!("{work}, {}", engine.name()),
            Self::Ours(engine) => format!("{work}, Lockstep on {}", engine.name()),
            Self::Peer(peer) => format!("{work}, {}", peer.name()),
        }
    }
}

/// What was measured of one kind of work.
#[derive(Debug, Default)]
struct Figures {
    per_second: Samples,
    ours: Samples,
    database: Samples,
    latency: Samples,
}

/// One round.
struct Round {
    done: u32,
    elapsed: Duration,
    latencies: Vec<Duration>,
}

/// Measures everybody in turn, and holds the ratios against their limits.
pub(crate) async fn run(verdict: &mut Verdict) -> Result<(), Failure> {
    let folder = Scratch::new("peers")?;
    let mut sides = Vec::new();
    for engine in [Engine::Postgres, Engine::Sqlite] {
        sides.extend(Side::ours(engine).await?);
    }
    for peer in Peer::ALL {
        sides.push(Side::peer(peer, folder.path()).await?);
    }
    let mut figures: Vec<(Who, Work, Figures)> = Vec::new();
    for round in 0..=ROUNDS {
        for side in &sides {
            for work in side.who.work() {
                let measured = side.round(*work).await?;
                // The first fills caches and pools.
                if round > 0 {
                    add(&mut figures, side.who, *work, measured);
                }
            }
        }
    }
    say(&format!("\nscim: {CLIENTS} clients, {ROUNDS} rounds of {SECONDS} s each in turn, load average {}", load_average()));
    for (who, work, figures) in &figures {
        say(&format!("  {:46} {}", who.name(*work), figures.describe()));
    }
    compare(&figures, verdict);
    Ok(())
}

fn add(figures: &mut Vec<(Who, Work, Figures)>, who: Who, work: Work, measured: Measured) {
    if let Some((.., known)) = figures.iter_mut().find(|(known, of, _)| (*known, *of) == (who, work)) {
        return known.add(measured);
    }
    let mut first = Figures::default();
    first.add(measured);
    figures.push((who, work, first));
}

fn compare(figures: &[(Who, Work, Figures)], verdict: &mut Verdict) {
    let rate = |who: Who, work: Work| {
        let found = figures.iter().find(|(known, of, _)| (*known, *of) == (who, work));
        found.map(|(.., figures)| figures.per_second.median()).unwrap_or_default()
    };
    for engine in [Engine::Postgres, Engine::Sqlite] {
        for work in [Work::Create, Work::Change] {
            let (ours, name) = (rate(Who::Ours(engine), work), Who::Ours(engine).name(work));
            verdict.at_least(
                &format!("{name}, of a bare insert"),
                ours / rate(Who::Bare(engine), Work::Insert),
                OF_A_BARE_INSERT,
            );
            for peer in Peer::ALL {
                verdict.at_least(&format!("{name}, times {}", peer.name()), ours / rate(Who::Peer(peer), work), peer.limit());
            }
        }
    }
}

/// One who is measured, running.
struct Side {
    who: Who,
    subject: Subject,
    /// The processes of the database, where it is not a part of the server.
    database: Vec<u32>,
    next: Arc<AtomicU64>,
}

enum Subject {
    Inserter(Bare),
    Server { runs: Runs, target: Target, people: Vec<String> },
}

/// A server that runs as long as this is kept.
enum Runs {
    Ours(Box<Installation>),
    Peer(Running),
}

impl Runs {
    fn id(&self) -> u32 {
        match self {
            Self::Ours(installation) => installation.provisioner.id(),
            Self::Peer(running) => running.id(),
        }
    }
}

impl Side {
    /// The bare part and ours, on one database.
    async fn ours(engine: Engine) -> Result<[Self; 2], Failure> {
        let installation = Installation::start(engine, 0, |_| {}).await?;
        let url = match engine {
            Engine::Postgres => installation.url.clone(),
            // A file of its own on the same disk: SQLite's lock is the file's.
            Engine::Sqlite => format!("{}.bare?mode=rwc", installation.url),
        };
        let bare = Bare::start(installation.site.folder(), "insert", &url).await?;
        let database = Vec::from_iter(installation.database_process().await?);
        let ours = Self::server(Who::Ours(engine), installation.scim()?, Runs::Ours(Box::new(installation))).await?;
        let bare =
            Self { who: Who::Bare(engine), subject: Subject::Inserter(bare), database: database.clone(), next: Arc::default() };
        Ok([bare, Self { database, ..ours }])
    }

    async fn peer(peer: Peer, folder: &Path) -> Result<Self, Failure> {
        let running = Running::start(peer, folder).await?;
        Self::server(Who::Peer(peer), running.scim()?, Runs::Peer(running)).await
    }

    async fn server(who: Who, client: Scim, runs: Runs) -> Result<Self, Failure> {
        let mut people = Vec::new();
        for number in 0..CLIENTS {
            let body = person(&format!("changed{number}"));
            let created: Value = client.post("/Users", &body).await?.expect_status(StatusCode::CREATED)?.json()?;
            people.push(text(&created, "id"));
        }
        let subject = Subject::Server { runs, target: Target::of(&client)?, people };
        Ok(Self { who, subject, database: Vec::new(), next: Arc::default() })
    }

    async fn round(&self, work: Work) -> Result<Measured, Failure> {
        let process = match &self.subject {
            Subject::Inserter(inserter) => inserter.id(),
            Subject::Server { runs, .. } => runs.id(),
        };
        let before = (processor_time(&[process])?, processor_time(&self.database)?);
        let round = match &self.subject {
            Subject::Inserter(bare) => {
                let done = bare.insert(SECONDS).await?;
                Round { done: done.rows, elapsed: Duration::from_secs_f64(done.seconds), latencies: Vec::new() }
            }
            Subject::Server { target, people, .. } => {
                let load = Load { work, target: target.clone(), people: people.clone(), next: self.next.clone() };
                spawn_blocking(move || load.run()).await??
            }
        };
        let ours = processor_time(&[process])?.saturating_sub(before.0);
        let database = processor_time(&self.database)?.saturating_sub(before.1);
        Ok(Measured { round, ours, database })
    }
}

/// What the clients do in one round.
#[derive(Clone)]
struct Load {
    work: Work,
    target: Target,
    /// A person to change for each client.
    people: Vec<String>,
    next: Arc<AtomicU64>,
}

impl Load {
    /// On one thread, since clients that wake each other across threads take from the server what they cost.
    fn run(self) -> Result<Round, Failure> {
        runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
            let begun = Instant::now();
            let mut tasks = JoinSet::new();
            for id in self.people.clone() {
                tasks.spawn(self.clone().client(id, begun));
            }
            let mut latencies = Vec::new();
            while let Some(finished) = tasks.join_next().await {
                latencies.extend(finished??);
            }
            Ok(Round { done: u32::try_from(latencies.len())?, elapsed: begun.elapsed(), latencies })
        })
    }

    async fn client(self, id: String, begun: Instant) -> Result<Vec<Duration>, Failure> {
        let mut connection = Connection::open(self.target).await?;
        let mut latencies = Vec::new();
        while begun.elapsed() < Duration::from_secs(SECONDS) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let asked = Instant::now();
            request(&mut connection, self.work, &id, number).await?;
            latencies.push(asked.elapsed());
        }
        Ok(latencies)
    }
}

async fn request(client: &mut Connection, work: Work, id: &str, number: u64) -> Result<(), Failure> {
    if work == Work::Create {
        let (status, body) = client.send(Method::POST, "/Users", &person(&format!("person{number:07}"))).await?;
        return if status == StatusCode::CREATED { Ok(()) } else { Err(unexpected(status, &body)) };
    }
    let change = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "title", "value": format!("Engineer {number}") }],
    });
    let (status, body) = client.send(Method::PATCH, &format!("/Users/{id}"), &change).await?;
    match status {
        // RFC 7644, section 3.5.2: a server may leave the changed resource out.
        StatusCode::NO_CONTENT => Ok(()),
        StatusCode::OK => {
            let changed: Changed = serde_json::from_slice(&body)?;
            if changed.title == format!("Engineer {number}") { Ok(()) } else { Err("a change was not made".into()) }
        }
        _ => Err(unexpected(status, &body)),
    }
}

/// What is looked at of a changed person.
#[derive(Deserialize)]
struct Changed {
    title: String,
}

fn unexpected(status: StatusCode, body: &[u8]) -> Failure {
    format!("answered {status}: {}", String::from_utf8_lossy(body)).into()
}

struct Measured {
    round: Round,
    ours: Duration,
    database: Duration,
}

impl Figures {
    fn add(&mut self, Measured { round, ours, database }: Measured) {
        let done = number(round.done);
        self.per_second.add(done / round.elapsed.as_secs_f64());
        self.ours.add(millis(ours) * 1e3 / done);
        self.database.add(millis(database) * 1e3 / done);
        self.latency.extend(round.latencies.into_iter().map(millis));
    }

    fn describe(&self) -> String {
        let (rate, ours, database) = (self.per_second.rounds("/s"), self.ours.rounds("µs"), self.database.median());
        let latency = if self.latency.len() == 0 { String::new() } else { format!("; {}", self.latency.tails("ms")) };
        format!("{rate}; processor: it {ours}, database {database:.0} µs each{latency}")
    }
}
