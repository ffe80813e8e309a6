//! Provisioning: users created and changed over SCIM by eight clients, against single rows inserted durably into the same
//! database by as many. Servers on one core, clients on the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use lockstep_tests::{harness::scim::Scim, world::text};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    Failure,
    bare::Bare,
    figures::{Samples, millis, number, say},
    installation::{Engine, Installation, person},
    machine::{OnLoadCore, SERVERS, load_average, pin, processor_time},
};

const CLIENTS: usize = 8;
const ROUNDS: usize = 3;
const SECONDS: u64 = 2;

/// What is done over and over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Work {
    Insert,
    Create,
    Change,
}

impl Work {
    const ALL: [Self; 3] = [Self::Insert, Self::Create, Self::Change];

    const fn name(self) -> &'static str {
        match self {
            Self::Insert => "bare durable insert",
            Self::Create => "POST /Users",
            Self::Change => "PATCH /Users/{id}, one attribute",
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

/// Measures on both databases.
pub(crate) async fn run() -> Result<(), Failure> {
    for engine in [Engine::Postgres, Engine::Sqlite] {
        let bench = Bench::start(engine).await?;
        bench.measure().await?;
    }
    Ok(())
}

struct Bench {
    engine: Engine,
    installation: Installation,
    inserter: Bare,
    clients: Vec<Scim>,
    people: Vec<String>,
    next: Arc<AtomicU64>,
}

impl Bench {
    async fn start(engine: Engine) -> Result<Self, Failure> {
        let installation = Installation::start(engine, 0, |_| {}).await?;
        let url = match engine {
            Engine::Postgres => installation.url.clone(),
            // A file of its own on the same disk: SQLite's lock is the file's.
            Engine::Sqlite => format!("{}.bare?mode=rwc", installation.url),
        };
        let inserter = Bare::start(installation.site.folder(), "insert", &url).await?;
        let clients: Vec<Scim> = (0..CLIENTS).map(|_| installation.scim()).collect::<Result<_, _>>()?;
        let mut people = Vec::new();
        for client in &clients {
            let body = person(&format!("changed{}", people.len()));
            let created: Value = client.post("/Users", &body).await?.expect_status(StatusCode::CREATED)?.json()?;
            people.push(text(&created, "id"));
        }
        Ok(Self { engine, installation, inserter, clients, people, next: Arc::default() })
    }

    async fn measure(&self) -> Result<(), Failure> {
        let _on_load_core = OnLoadCore::new()?;
        let load = load_average();
        let mut figures = Work::ALL.map(|work| (work, Figures::default()));
        for round in 0..=ROUNDS {
            for (work, figures) in &mut figures {
                let measured = self.round(*work).await?;
                // The first fills caches and pools.
                if round > 0 {
                    figures.add(measured);
                }
            }
        }
        say(&format!("\nscim, {}: {CLIENTS} clients, {ROUNDS} rounds of {SECONDS} s, load average {load}", self.engine.name()));
        let [(_, bare), rest @ ..] = &figures;
        say(&format!("  {:34} {}", Work::Insert.name(), bare.describe()));
        for (work, figures) in rest {
            let ratio = figures.per_second.median() / bare.per_second.median();
            say(&format!("  {:34} {}; {ratio:.2} of the bare insert's rate", work.name(), figures.describe()));
        }
        Ok(())
    }

    async fn round(&self, work: Work) -> Result<Measured, Failure> {
        self.installation.pin().await?;
        pin(self.inserter.id(), SERVERS)?;
        let database = Vec::from_iter(self.installation.database_process().await?);
        let ours = if work == Work::Insert { self.inserter.id() } else { self.installation.provisioner.id() };
        let before = (processor_time(&[ours])?, processor_time(&database)?);
        let round = match work {
            Work::Insert => {
                let inserted = self.inserter.insert(SECONDS).await?;
                Round { done: inserted.rows, elapsed: Duration::from_secs_f64(inserted.seconds), latencies: Vec::new() }
            }
            Work::Create | Work::Change => self.requests(work).await?,
        };
        let taken = (processor_time(&[ours])?.saturating_sub(before.0), processor_time(&database)?.saturating_sub(before.1));
        Ok(Measured { round, ours: taken.0, database: taken.1 })
    }

    async fn requests(&self, work: Work) -> Result<Round, Failure> {
        let (begun, duration) = (Instant::now(), Duration::from_secs(SECONDS));
        let mut clients = JoinSet::new();
        for (client, id) in self.clients.iter().cloned().zip(self.people.iter().cloned()) {
            let next = self.next.clone();
            clients.spawn(async move {
                let mut latencies = Vec::new();
                while begun.elapsed() < duration {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let asked = Instant::now();
                    request(&client, work, &id, number).await?;
                    latencies.push(asked.elapsed());
                }
                Ok::<_, Failure>(latencies)
            });
        }
        let mut latencies = Vec::new();
        while let Some(finished) = clients.join_next().await {
            latencies.extend(finished??);
        }
        Ok(Round { done: u32::try_from(latencies.len())?, elapsed: begun.elapsed(), latencies })
    }
}

async fn request(client: &Scim, work: Work, id: &str, number: u64) -> Result<(), Failure> {
    if work == Work::Create {
        client.post("/Users", &person(&format!("person{number:07}"))).await?.expect_status(StatusCode::CREATED)?;
        return Ok(());
    }
    let change = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "Replace", "path": "title", "value": format!("Engineer {number}") }],
    });
    let answer = client.patch(&format!("/Users/{id}"), &change).await?.expect_status(StatusCode::OK)?;
    let changed: Value = answer.json()?;
    if text(&changed, "title") == format!("Engineer {number}") { Ok(()) } else { Err("a change was not made".into()) }
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
        format!("{rate}; processor: ours {ours}, database {database:.0} µs each{latency}")
    }
}
