//! The oracle: the processor time that `/oauth2/auth` takes for a live session, against servers that do nothing but answer with
//! as many bytes of headers: one by axum alone, one by our own accept loop. Server on one core, wrk on the other.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use http::StatusCode;
use lockstep_tests::{harness::services::Site, world::text};
use serde_json::Value;

use crate::{
    Failure,
    bare::Bare,
    figures::{Samples, millis, say},
    installation::{Engine, Installation, person},
    machine::{SERVERS, load_average, pin, processor_time},
    sessions,
    wrk::Load,
};

const PATH: &str = "/oauth2/auth";
const USERS: usize = 100;
const SESSIONS_EACH: usize = 100;
const ROUNDS: usize = 4;
const SECONDS: u64 = 2;
/// Hosts of two apps that differ in the identity JWT alone.
const PLAIN: &str = "plain.bench.test";
const WITH_JWT: &str = "jwt.bench.test";

/// One server under one load.
struct Contender {
    name: &'static str,
    process: u32,
    url: String,
    host: &'static str,
    load: Load,
    /// Its answer's bytes.
    size: usize,
    processor: Samples,
    rate: Samples,
    p99: Samples,
}

/// Measures.
pub(crate) async fn run() -> Result<(), Failure> {
    let installation = Installation::start(Engine::Postgres, 1, two_apps).await?;
    let cookies = cookies(&installation).await?;
    let folder = installation.site.folder();
    let one = Load::new(folder, "one", cookies.get(..1).ok_or("no session was issued")?)?;
    let all = Load::new(folder, "all", &cookies)?;
    // Few enough that a round signs next to nothing: what is measured is the answer with a JWT that is there.
    let tenth = Load::new(folder, "tenth", cookies.get(..cookies.len() / 10).unwrap_or_default())?;
    let gateway = installation.gateways.first().ok_or("there is no gateway")?;
    let mut bare = Vec::new();
    let mut groups = Vec::new();
    for (host, title, many, rotation) in [
        (PLAIN, "without an audience", &all, "gateway, 10,000 sessions"),
        (WITH_JWT, "with an audience, whose JWT is signed once in half a minute", &tenth, "gateway, 1,000 sessions"),
    ] {
        let ask = |url: &str| answer(url, host, cookies.first().map_or("", String::as_str));
        let wanted = ask(&gateway.url())?;
        let mut contenders = Vec::new();
        for (role, name) in [("axum", "bare, axum's loop"), ("ours", "bare, our loop")] {
            let file = folder.join(format!("{host}.headers"));
            write_headers(&file, &wanted)?;
            let server = Bare::start(folder, role, &file.display().to_string()).await?;
            let got = ask(&server.url(""))?.len();
            if got != wanted.len() {
                return Err(format!("{name} answers {got} bytes and the gateway {}", wanted.len()).into());
            }
            contenders.push(Contender::new(name, server.id(), &server.url(""), host, &one, got));
            bare.push(server);
        }
        let mut add = |name, load| contenders.push(Contender::new(name, gateway.id(), &gateway.url(), host, load, wanted.len()));
        add("gateway, 1 session", &one);
        add(rotation, many);
        groups.push((title, contenders));
    }
    installation.pin().await?;
    for server in &bare {
        pin(server.id(), SERVERS)?;
    }
    measure(&mut groups).await?;
    for (title, contenders) in &groups {
        report(title, contenders);
    }
    Ok(())
}

fn two_apps(site: &mut Site) {
    let app = |host: &str| toml::Table::from_iter([("hosts".to_owned(), toml::Value::from(vec![host]))]);
    let mut with_jwt = app(WITH_JWT);
    with_jwt.insert("audience".to_owned(), "https://jwt.bench.test".into());
    site.set("apps", vec![app(PLAIN), with_jwt]);
}

/// Sessions of people whose names have one length, so that all answers have.
async fn cookies(installation: &Installation) -> Result<Vec<String>, Failure> {
    let scim = installation.scim()?;
    let mut users = Vec::new();
    for number in 0..USERS {
        let created = scim.post("/Users", &person(&format!("person{number:04}"))).await?;
        let created: Value = created.expect_status(StatusCode::CREATED)?.json()?;
        users.push(text(&created, "id"));
    }
    sessions::issue(installation, &users, SESSIONS_EACH).await
}

/// The head of the answer to one request, which must be a 200 without a body.
fn answer(url: &str, host: &str, cookie: &str) -> Result<Vec<u8>, Failure> {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(format!("GET {PATH} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n").as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut some = [0; 4096];
        let read = stream.read(&mut some)?;
        head.extend_from_slice(some.get(..read).filter(|some| !some.is_empty()).ok_or("an answer was cut off")?);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let is_expected = text.starts_with("http/1.1 200") && text.contains("\r\ncontent-length: 0\r\n");
    if is_expected { Ok(head) } else { Err(format!("not the expected answer: {text}").into()) }
}

/// Writes down the headers of an answer, as a bare server is told to send them.
fn write_headers(file: &Path, head: &[u8]) -> Result<(), Failure> {
    // Every server adds these by itself.
    let own = ["content-length", "date"];
    let text = std::str::from_utf8(head)?;
    let lines = text.lines().skip(1).filter_map(|line| line.split_once(": "));
    let lines: Vec<(&str, &str)> = lines.filter(|(name, _)| !own.contains(name)).collect();
    Ok(std::fs::write(file, serde_json::to_vec(&lines)?)?)
}

async fn measure(groups: &mut [(&str, Vec<Contender>)]) -> Result<(), Failure> {
    for round in 0..=ROUNDS {
        for contender in groups.iter_mut().flat_map(|(_, contenders)| contenders) {
            // The first brings every session into memory.
            let seconds = if round == 0 { 1 } else { SECONDS };
            contender.round(seconds, round > 0).await?;
        }
    }
    Ok(())
}

fn report(title: &str, contenders: &[Contender]) {
    let [axum, ours, ..] = contenders else { return };
    say(&format!(
        "\nauth, {title}: {} bytes an answer, {ROUNDS} rounds of {SECONDS} s, load average {}",
        axum.size,
        load_average()
    ));
    for contender in contenders {
        let over = |bare: &Contender| contender.processor.median() / bare.processor.median();
        say(&format!(
            "  {:26} {} a request, {:.2} of axum's, {:.2} of our loop's; {}; p99 {}",
            contender.name,
            contender.processor.rounds("µs"),
            over(axum),
            over(ours),
            contender.rate.rounds("/s"),
            contender.p99.rounds("ms"),
        ));
    }
}

impl Contender {
    fn new(name: &'static str, process: u32, url: &str, host: &'static str, load: &Load, size: usize) -> Self {
        let (url, load) = (format!("{url}{PATH}"), load.clone());
        Self {
            name,
            process,
            url,
            host,
            load,
            size,
            processor: Samples::default(),
            rate: Samples::default(),
            p99: Samples::default(),
        }
    }

    async fn round(&mut self, seconds: u64, counts: bool) -> Result<(), Failure> {
        let before = processor_time(&[self.process])?;
        let seen = self.load.run(&self.url, self.host, self.size, seconds).await?;
        let taken = processor_time(&[self.process])?.saturating_sub(before);
        if counts {
            self.processor.add(millis(taken) * 1e3 / seen.requests);
            self.rate.add(seen.per_second);
            self.p99.add(seen.p99_micros / 1e3);
        }
        Ok(())
    }
}
