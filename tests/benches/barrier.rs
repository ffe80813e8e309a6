//! The barrier: two gateways, one provisioner, PostgreSQL, Redis. How long a deactivation takes beside a bare message through the
//! same Redis, when the first request is denied, and how many deactivations a second sixteen writers get.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use http::{StatusCode, header};
use lockstep_tests::{
    harness::{scim::Scim, services::Service},
    world::{deactivation, text},
};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::{
    Failure,
    bare::client,
    figures::{Samples, millis, number, say, short},
    installation::{Engine, Installation, person},
    machine::{OnLoadCore, load_average, processor_time},
    sessions,
};

const WRITERS: usize = 16;
/// People who are deactivated one after the other, undisturbed.
const ALONE: usize = 300;
/// People about whom both gateways are asked all the while.
const WATCHED: usize = 100;
/// People whom all writers deactivate.
const CROWD: usize = 4_000;
/// Bare messages for each deactivation.
const MESSAGES: usize = 5;
const CHANNEL: &str = "bench";
const RECEIPTS: &str = "SELECT detail FROM audit WHERE action = 'access.settled' ORDER BY id";

/// Somebody with a session.
#[derive(Clone, Debug)]
struct Person {
    id: String,
    cookie: String,
}

/// Measures.
pub(crate) async fn run() -> Result<(), Failure> {
    let bench = Bench::start().await?;
    say(&format!(
        "\nbarrier: {} gateways, PostgreSQL, Redis, load average {}",
        bench.installation.gateways.len(),
        load_average()
    ));
    let _on_load_core = OnLoadCore::new()?;
    bench.installation.pin().await?;
    bench.one_after_the_other().await?;
    bench.watched().await?;
    bench.all_at_once().await
}

struct Bench {
    installation: Installation,
    scim: Scim,
    asker: Asker,
    alone: Vec<Person>,
    watched: Vec<Person>,
    crowd: Vec<String>,
}

impl Bench {
    async fn start() -> Result<Self, Failure> {
        let installation = Installation::start(Engine::Postgres, 2, |_| {}).await?;
        let mut users = create(&installation, ALONE + WATCHED + CROWD).await?;
        let crowd = users.split_off(ALONE + WATCHED);
        let cookies = sessions::issue(&installation, &users, 1).await?;
        let mut alone: Vec<Person> = users.into_iter().zip(cookies).map(|(id, cookie)| Person { id, cookie }).collect();
        let asker = Asker::new(&installation.gateways)?;
        for person in &alone {
            for gateway in 0..asker.urls.len() {
                let status = asker.ask(gateway, person).await?;
                if status != StatusCode::OK {
                    return Err(format!("gateway {gateway} answers {status} before anybody is out").into());
                }
            }
        }
        let watched = alone.split_off(ALONE);
        Ok(Self { scim: installation.scim()?, installation, asker, alone, watched, crowd })
    }

    async fn one_after_the_other(&self) -> Result<(), Failure> {
        let (mut answers, mut messages) = (Samples::default(), Samples::default());
        let mut wire = Wire::open(&self.installation).await?;
        let known = self.receipts().await?.len();
        for person in &self.alone {
            answers.add(millis(deactivate(&self.scim, &person.id).await?));
            for gateway in 0..self.asker.urls.len() {
                self.asker.must_be_denied(gateway, person).await?;
            }
            for _ in 0..MESSAGES {
                messages.add(millis(wire.message().await?));
            }
        }
        let mut settled = Samples::default();
        settled.extend(self.receipts().await?.into_iter().skip(known));
        say("  one after the other; the next request at each gateway was denied each time");
        say(&format!("    bare Redis, publish to receive     {}", messages.tails("ms")));
        let ratio = settled.median() / messages.median();
        say(&format!("    commit to acknowledged by all      {}; {} bare messages", settled.tails("ms"), short(ratio)));
        say(&format!("    PATCH active=false, whole          {}", answers.tails("ms")));
        Ok(())
    }

    /// Both gateways are asked about the person from before the request until after its answer.
    async fn watched(&self) -> Result<(), Failure> {
        let (mut first_deny, mut last_allow) = (Samples::default(), Samples::default());
        let mut asked = 0;
        for person in &self.watched {
            let answered: Arc<Mutex<Option<Instant>>> = Arc::default();
            let mut watchers = JoinSet::new();
            for gateway in 0..self.asker.urls.len() {
                watchers.spawn(watch(self.asker.clone(), gateway, person.clone(), answered.clone()));
            }
            deactivate(&self.scim, &person.id).await?;
            let answer = Instant::now();
            *answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
            while let Some(finished) = watchers.join_next().await {
                let seen = finished??;
                asked += seen.len();
                let sent = |wanted: StatusCode| seen.iter().filter(move |(_, status)| *status == wanted).map(|(sent, _)| *sent);
                let denied = sent(StatusCode::UNAUTHORIZED).min().ok_or("a request after the answer was not denied")?;
                first_deny.add(signed_millis(denied, answer));
                if let Some(allowed) = sent(StatusCode::OK).max() {
                    last_allow.add(signed_millis(allowed, answer));
                }
            }
        }
        if last_allow.quantile(1.0) > 0.0 {
            return Err("a request that was sent after the answer was let in".into());
        }
        say(&format!("  watched: {asked} requests about {WATCHED} people; times from the answer, by when the request was sent"));
        say(&format!("    first request that was denied      {}", first_deny.tails("ms")));
        say(&format!("    last request that was let in       {}", last_allow.tails("ms")));
        Ok(())
    }

    async fn all_at_once(&self) -> Result<(), Failure> {
        let parts = self.parts().await?;
        let before: Vec<Duration> = parts.iter().map(|(_, processes)| processor_time(processes)).collect::<Result<_, _>>()?;
        let known = self.receipts().await?.len();
        let begun = Instant::now();
        let answers = self.deactivate_the_crowd().await?;
        let elapsed = begun.elapsed();
        let mut settled = Samples::default();
        settled.extend(self.receipts().await?.into_iter().skip(known));
        let rate = number(CROWD) / elapsed.as_secs_f64();
        say(&format!("  {WRITERS} writers, {CROWD} people"));
        say(&format!("    deactivations                      {} /s", short(rate)));
        say(&format!("    commit to acknowledged by all      {}", settled.tails("ms")));
        say(&format!("    PATCH active=false, whole          {}", answers.tails("ms")));
        let mut shares = Vec::new();
        for ((name, processes), before) in parts.iter().zip(before) {
            let taken = processor_time(processes)?.saturating_sub(before);
            shares.push(format!("{name} {} µs", short(millis(taken) * 1e3 / number(CROWD))));
        }
        say(&format!("    processor, each deactivation       {}", shares.join(", ")));
        Ok(())
    }

    async fn deactivate_the_crowd(&self) -> Result<Samples, Failure> {
        let mut writers = JoinSet::new();
        for people in self.crowd.chunks(self.crowd.len().div_ceil(WRITERS)) {
            let (scim, people) = (self.installation.scim()?, people.to_vec());
            writers.spawn(async move {
                let mut took = Vec::with_capacity(people.len());
                for id in &people {
                    took.push(deactivate(&scim, id).await?);
                }
                Ok::<_, Failure>(took)
            });
        }
        let mut answers = Samples::default();
        while let Some(finished) = writers.join_next().await {
            answers.extend(finished??.into_iter().map(millis));
        }
        Ok(answers)
    }

    /// What runs, by name.
    async fn parts(&self) -> Result<Vec<(&'static str, Vec<u32>)>, Failure> {
        let installation = &self.installation;
        Ok(vec![
            ("provisioner", vec![installation.provisioner.id()]),
            ("gateways", installation.gateways.iter().map(Service::id).collect()),
            ("PostgreSQL", Vec::from_iter(installation.database_process().await?)),
            ("Redis", vec![installation.redis_process().await?]),
        ])
    }

    /// How long each barrier took by its receipt, in milliseconds.
    async fn receipts(&self) -> Result<Vec<f64>, Failure> {
        let details: Vec<String> = sqlx::query_scalar(RECEIPTS).fetch_all(&mut self.installation.connect().await?).await?;
        let took = |detail: String| -> Result<f64, Failure> {
            let receipt: Value = serde_json::from_str(&detail)?;
            let micros = receipt.get("took_us").and_then(Value::as_f64).ok_or("a receipt without its time")?;
            let waited_out = receipt.get("waited_out").and_then(Value::as_array).is_none_or(|gateways| !gateways.is_empty());
            if waited_out { Err("a gateway was waited out".into()) } else { Ok(micros / 1e3) }
        };
        details.into_iter().map(took).collect()
    }
}

/// Provisions people, writers side by side.
async fn create(installation: &Installation, count: usize) -> Result<Vec<String>, Failure> {
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let scim = installation.scim()?;
        writers.spawn(async move {
            let mut ids = Vec::new();
            for number in (writer..count).step_by(WRITERS) {
                let created = scim.post("/Users", &person(&format!("person{number:05}"))).await?;
                ids.push(text(&created.expect_status(StatusCode::CREATED)?.json::<Value>()?, "id"));
            }
            Ok::<_, Failure>(ids)
        });
    }
    let mut ids = Vec::new();
    while let Some(finished) = writers.join_next().await {
        ids.extend(finished??);
    }
    Ok(ids)
}

/// Switches somebody off as Entra does, and says how long the answer took.
async fn deactivate(scim: &Scim, id: &str) -> Result<Duration, Failure> {
    let asked = Instant::now();
    scim.patch(&format!("/Users/{id}"), &deactivation()).await?.expect_status(StatusCode::OK)?;
    Ok(asked.elapsed())
}

/// Asks one gateway about one person, and the next request begins when this one is answered; until one that was sent after the
/// provider's answer has come back.
async fn watch(
    asker: Asker,
    gateway: usize,
    person: Person,
    answered: Arc<Mutex<Option<Instant>>>,
) -> Result<Vec<(Instant, StatusCode)>, Failure> {
    let mut seen = Vec::new();
    loop {
        let sent = Instant::now();
        seen.push((sent, asker.ask(gateway, &person).await?));
        let answered = *answered.lock().unwrap_or_else(PoisonError::into_inner);
        if answered.is_some_and(|answered| sent > answered) {
            return Ok(seen);
        }
    }
}

/// Milliseconds from `zero`; negative before it.
fn signed_millis(moment: Instant, zero: Instant) -> f64 {
    millis(moment.saturating_duration_since(zero)) - millis(zero.saturating_duration_since(moment))
}

/// Asks gateways about sessions.
#[derive(Clone, Debug)]
struct Asker {
    client: reqwest::Client,
    urls: Arc<[String]>,
}

impl Asker {
    fn new(gateways: &[Service]) -> Result<Self, Failure> {
        let urls = gateways.iter().map(|gateway| format!("{}/oauth2/auth", gateway.url())).collect();
        Ok(Self { client: client()?, urls })
    }

    async fn ask(&self, gateway: usize, person: &Person) -> Result<StatusCode, Failure> {
        let url = self.urls.get(gateway).ok_or("no such gateway")?;
        let request = self.client.get(url).header(header::HOST, "localhost").header(header::COOKIE, &person.cookie);
        Ok(request.send().await?.status())
    }

    async fn must_be_denied(&self, gateway: usize, person: &Person) -> Result<(), Failure> {
        let status = self.ask(gateway, person).await?;
        let denied = status == StatusCode::UNAUTHORIZED;
        if denied { Ok(()) } else { Err(format!("gateway {gateway} answered {status} after the provider's 200").into()) }
    }
}

/// A bare publisher and a bare subscriber.
struct Wire {
    publisher: redis::aio::MultiplexedConnection,
    messages: redis::aio::PubSubStream,
    _sink: redis::aio::PubSubSink,
}

impl Wire {
    async fn open(installation: &Installation) -> Result<Self, Failure> {
        let client = redis::Client::open(installation.redis.url())?;
        let (mut sink, messages) = client.get_async_pubsub().await?.split();
        sink.subscribe(CHANNEL).await?;
        Ok(Self { publisher: client.get_multiplexed_async_connection().await?, messages, _sink: sink })
    }

    /// From the publishing of a message to its arrival.
    async fn message(&mut self) -> Result<Duration, Failure> {
        let published = Instant::now();
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(CHANNEL).arg("a record of the revocation log has about as many bytes as this, or a few more ".repeat(4));
        let (sent, received) = tokio::join!(publish.query_async::<i64>(&mut self.publisher), async {
            let message = self.messages.next().await;
            message.map(|_| published.elapsed())
        });
        sent?;
        received.ok_or_else(|| "Redis ended the subscription".into())
    }
}
