//! Resource abuse (faults.md, A2 to A5): what is too large, too deep or a lie is refused soon, in little memory, and the next
//! request is answered as if nothing had been.

use std::{fs, process::Stdio, time::Duration};

use http::{HeaderMap, HeaderValue, Method, header};
use lockstep_tests::harness::{http::Answer, scim::Scim};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::Command,
    time::{Instant, timeout},
};

use super::{Installation, first_line, user};

const WORKSPACE: &str = "abused";
/// How much memory a refused request may cost, at its peak.
const MOST_MEMORY: u64 = 20 * 1024;
/// How soon it is refused. An unoptimised build is given more.
const SOON: Duration = if cfg!(debug_assertions) { Duration::from_secs(2) } else { Duration::from_millis(50) };
/// A machine that is busy with other tests may be slow once, and not each time.
const ATTEMPTS: usize = 5;

/// An installation of its own: its memory is measured.
struct Target {
    installation: Installation,
    scim: Scim,
    token: String,
}

impl Target {
    async fn start() -> Self {
        let installation = Installation::on_sqlite().await;
        let scim = installation.workspace(WORKSPACE).await;
        let issued = installation.command(&["token", "issue", WORKSPACE]).await;
        let token = issued["token"].as_str().unwrap().to_owned();
        assert_eq!(scim.post("/Users", &user("ada")).await.unwrap().status, 201);
        // A body of the largest size once, so that what the process keeps for it is there already.
        scim.post("/Users", &json!({ "userName": "large", "title": "x".repeat(900_000) })).await.unwrap();
        Self { installation, scim, token }
    }

    /// The most memory that the process ever had, in kilobytes.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.installation.provisioner.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn head(&self, rest: &str) -> String {
        format!("POST /scim/v2/{WORKSPACE}/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{rest}\r\n\r\n", self.token)
    }

    async fn status_of(&self, request: &str) -> String {
        let line = first_line(&self.installation.provisioner, request).await;
        line.split(' ').nth(1).unwrap_or("closed").to_owned()
    }

    /// Its good clients are served, nothing came in, and nothing fell over.
    async fn is_well(&self) {
        let list = self.scim.get("/Users?filter=userName+sw+%22never%22").await.unwrap();
        assert_eq!(list.json::<Value>().unwrap()["totalResults"], 0);
        let log = self.installation.provisioner.log();
        assert!(!log.contains("panicked") && !log.contains("overflow"), "{log}");
    }
}

/// A gigabyte in chunks, for as long as somebody takes it: how much was sent until the answer, and the answer.
async fn endless(target: &Target) -> (usize, String) {
    let stream = TcpStream::connect(target.installation.provisioner.url().trim_start_matches("http://")).await.unwrap();
    let (reader, mut writer) = stream.into_split();
    writer.write_all(target.head("Transfer-Encoding: chunked\r\nContent-Type: application/json").as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(65_536)).into_bytes();
    let mut line = String::new();
    let mut reader = BufReader::new(reader);
    let mut sent = 0;
    let writing = async {
        while sent < 1024 * 1024 * 1024 && writer.write_all(&chunk).await.is_ok() {
            sent += chunk.len();
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = writing => {}
        read = reader.read_line(&mut line) => drop(read),
    }
    (sent, line)
}

/// A body of zeros, a thousand times as long as it is sent.
async fn bomb() -> Vec<u8> {
    let mut gzip = Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = gzip.stdin.take().unwrap();
    let zeros = tokio::spawn(async move {
        let block = vec![b' '; 1024 * 1024];
        for _ in 0..100 {
            input.write_all(&block).await.unwrap();
        }
    });
    let packed = gzip.wait_with_output().await.unwrap().stdout;
    zeros.await.unwrap();
    packed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a2_large_bodies_and_lies_about_their_length_cost_next_to_nothing() {
    let target = Target::start().await;
    let before = target.peak();

    for length in ["10485760", "1073741824", "9223372036854775807"] {
        let announced = target.head(&format!("Content-Length: {length}\r\nContent-Type: application/json"));
        assert_eq!(target.status_of(&announced).await, "413", "{length} announced, and never sent");
    }
    let (sent, line) = timeout(Duration::from_mins(1), endless(&target)).await.unwrap();
    assert!(line.starts_with("HTTP/1.1 413 "), "{line}");
    assert!(sent < 64 * 1024 * 1024, "{sent} bytes were taken");
    let packed = bomb().await;
    assert!(packed.len() < 200_000, "{}", packed.len());
    let headers = "Content-Encoding: gzip\r\nContent-Type: application/json";
    let mut request = target.head(&format!("{headers}\r\nContent-Length: {}", packed.len())).into_bytes();
    request.extend(&packed);
    let mut stream = TcpStream::connect(target.installation.provisioner.url().trim_start_matches("http://")).await.unwrap();
    stream.write_all(&request).await.unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    assert!(line.starts_with("HTTP/1.1 415 "), "nobody unpacks it: {line}");

    let body = json!({ "userName": "never" }).to_string();
    for (length, told) in [
        ("99999999999999999999999", "400"),
        ("-1", "400"),
        ("+5", "400"),
        ("0x15", "400"),
        ("5, 6", "400"),
        ("", "400"),
        ("5\r\nContent-Length: 6", "400"),
        // Cut: the rest would be another request.
        ("5", "400"),
    ] {
        let request = target.head(&format!("Content-Type: application/json\r\nContent-Length: {length}"));
        assert_eq!(target.status_of(&format!("{request}{body}")).await, told, "Content-Length: {length}");
    }
    // Longer than what comes: the end of the connection is the end of the request.
    let mut short = TcpStream::connect(target.installation.provisioner.url().trim_start_matches("http://")).await.unwrap();
    short
        .write_all(format!("{}{body}", target.head("Content-Length: 5000\r\nContent-Type: application/json")).as_bytes())
        .await
        .unwrap();
    short.shutdown().await.unwrap();
    let mut line = String::new();
    drop(timeout(Duration::from_secs(30), BufReader::new(short).read_line(&mut line)).await.unwrap());
    assert!(!line.starts_with("HTTP/1.1 2"), "{line}");

    let grown = target.peak().saturating_sub(before);
    assert!(grown < MOST_MEMORY, "{grown} kB");
    target.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a3_large_heads_are_refused_before_anybody_reads_them() {
    let target = Target::start().await;
    let before = target.peak();
    let many = "x: y\r\n".repeat(1_000);
    let path = |query: &str| format!("GET /scim/v2/{WORKSPACE}/Users?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");

    for (head, told) in [
        (format!("{}x: {}\r\n\r\n", path(""), "a".repeat(64 * 1024)), "431"),
        (format!("{}{many}\r\n", path("")), "431"),
        (format!("{}Cookie: {}\r\n\r\n", path(""), "a".repeat(1024 * 1024)), "431"),
        (format!("{}Authorization: Bearer {}\r\n\r\n", path(""), "a".repeat(64 * 1024)), "431"),
        (format!("{}\r\n", path(&format!("filter={}", "a".repeat(10 * 1024)))), "414"),
        (format!("{}Authorization: Bearer {}\r\n\r\n", path(""), "a".repeat(16 * 1024)), "401"),
    ] {
        assert_eq!(target.status_of(&head).await, told, "{}", &head[..60]);
    }

    assert!(target.peak().saturating_sub(before) < MOST_MEMORY);
    target.is_well().await;
}

async fn sent(target: &Target, method: &Method, path: &str, bytes: &str) -> Answer {
    // The body as it is: no JSON library would write it.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/scim/v2/{WORKSPACE}{path}", target.installation.provisioner.url());
    let json = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let request = client.request(method.clone(), &url).bearer_auth(&target.token).headers(json).body(bytes.to_owned());
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { url: url.parse().unwrap(), status, headers, body: response.bytes().await.unwrap() }
}

/// What a request is told, and the shortest time that this took.
async fn soonest(target: &Target, method: &Method, path: &str, bytes: &str) -> (u16, String, Duration) {
    let mut best = (0, String::new(), Duration::MAX);
    for _ in 0..ATTEMPTS {
        let begun = Instant::now();
        let answer = sent(target, method, path, bytes).await;
        let took = begun.elapsed();
        if took < best.2 {
            let why = answer.json::<Value>().map(|error| error["scimType"].as_str().unwrap_or_default().to_owned());
            best = (answer.status.as_u16(), why.unwrap_or_default(), took);
        }
    }
    best
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a4_json_that_is_a_weapon_is_refused_soon() {
    let target = Target::start().await;
    let named = |value: &str| format!("{{\"userName\":\"never\",\"x\":{value}}}");
    let elements = |item: &str, count: usize| vec![item; count].join(",");

    for (body, told) in [
        (format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)), (400, "invalidSyntax")),
        ("[".repeat(400_000), (400, "invalidSyntax")),
        (named(&format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000))), (400, "invalidSyntax")),
        (named(&format!("[{}]", elements("1", 1_000_000))), (413, "")),
        (format!("{{\"userName\":\"never\",\"emails\":[{}]}}", elements("{}", 300_000)), (413, "")),
        (format!("{{\"userName\":\"never\",\"emails\":[{}]}}", elements("1", 500_000)), (413, "")),
        (format!("{{\"userName\":\"never\",\"emails\":[[{}]]}}", elements("1", 500_000)), (413, "")),
        (named(&format!("1{}", "0".repeat(400))), (400, "invalidSyntax")),
        (named("1e400"), (400, "invalidSyntax")),
        ("{\"userName\":\"never\",\"userName\":\"never\"}".to_owned(), (400, "invalidSyntax")),
        (named("\"\\ud800\""), (400, "invalidSyntax")),
        (named("\"\\u0000\""), (400, "invalidSyntax")),
        (format!("{{{}}}", elements("\"a\":1", 100_000)), (400, "invalidSyntax")),
        (
            format!("{{\"userName\":\"never\",{}}}", (0..50_000).map(|at| format!("\"k{at}\":1")).collect::<Vec<_>>().join(",")),
            (413, ""),
        ),
    ] {
        let shown: String = body.chars().take(60).collect();
        let (status, why, took) = soonest(&target, &Method::POST, "/Users", &body).await;

        assert_eq!((status, why.as_str()), told, "{shown}");
        assert!(took < SOON, "{shown}: {took:?}");
    }
    target.is_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a5_filters_and_paths_that_are_weapons_are_refused_soon() {
    let target = Target::start().await;
    let filters = [
        format!("{}userName pr{}", "(".repeat(100_000), ")".repeat(100_000)),
        "(".repeat(16_000),
        "not (".repeat(3_000) + "]",
        format!("{}\u{1}", "not (".repeat(100_000)),
        vec!["userName pr"; 10_000].join(" and "),
        "emails[".repeat(2_300),
        format!("userName eq \"{}\"", "x".repeat(16_384)),
        format!("userName eq \"{}", "\\".repeat(16_000)),
        "userName pr or ".repeat(1_000),
    ];
    for filter in filters {
        let shown: String = filter.chars().take(40).collect();
        let search = json!({ "filter": filter }).to_string();
        let path =
            json!({ "Operations": [{ "op": "add", "path": format!("emails[{filter}].value"), "value": "x" }] }).to_string();

        let (status, why, took) = soonest(&target, &Method::POST, "/Users/.search", &search).await;
        assert_eq!((status, why.as_str()), (400, "invalidFilter"), "{shown}");
        assert!(took < SOON, "{shown}: {took:?}");
        let id = target.scim.get("/Users?filter=userName+eq+%22ada%22").await.unwrap().json::<Value>().unwrap();
        let id = id["Resources"][0]["id"].as_str().unwrap().to_owned();
        let (status, why, took) = soonest(&target, &Method::PATCH, &format!("/Users/{id}"), &path).await;
        assert!(status == 400 && ["invalidFilter", "invalidPath"].contains(&why.as_str()), "{shown}: {status} {why}");
        assert!(took < SOON, "{shown}: {took:?}");
    }
    target.is_well().await;
}
