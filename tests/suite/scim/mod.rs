//! SCIM from outside: the requests of real clients, sent to the running provisioner on both databases.

mod abuse;
mod adoption;
mod bulk;
mod cases;
mod conversations;
mod credentials;
mod cursors;
mod groups;
mod guard;
mod history;
mod isolation;
mod large;
mod limits;
mod linked;
mod log;
mod newman;
mod outage;
mod policy;
mod refusals;
mod repeated;
mod routes;
mod searching;
mod searching_everywhere;
mod tenancy;
mod tester;
mod versions;

use std::sync::atomic::{AtomicU32, Ordering};

use lockstep_tests::{
    harness::{
        HarnessError,
        http::Answer,
        postgres::{Database, Postgres},
        redis::Redis,
        scim::Scim,
        services::{Service, Site},
    },
    world::text,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    sync::{Mutex, OnceCell},
};

pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
pub(crate) const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// Makes one test of each database out of one behaviour, in a company of its own.
macro_rules! on_each_database {
    ($(async fn $name:ident($company:ident: &Company) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn behaviour($company: &Company) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                behaviour(&Company::on_sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                behaviour(&Company::on_postgres().await).await;
            }
        }
    )+};
}
use on_each_database;

/// The seed of a test of random requests: `LOCKSTEP_SEED`, or a new one. It is printed, for whoever has to see a failure again.
#[expect(clippy::print_stdout, reason = "a failed test shows its output")]
pub(crate) fn random_seed(what: &str) -> u64 {
    let given = std::env::var_os("LOCKSTEP_SEED").and_then(|seed| seed.to_str()?.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("{what}: LOCKSTEP_SEED={seed}");
    seed
}

/// Whether this is the long form, `tests/run --long`.
pub(crate) fn is_long() -> bool {
    std::env::var_os("LOCKSTEP_LONG").is_some()
}

/// A running provisioner with its database and Redis. Tests that stop nothing share one for each database.
pub(crate) struct Installation {
    pub(crate) site: Site,
    pub(crate) provisioner: Service,
    /// Each command writes the configuration anew before it reads it: one at a time.
    commands: Mutex<()>,
    _redis: Redis,
}

impl Installation {
    pub(crate) async fn on_postgres(database: &Database) -> Self {
        let redis = Redis::start().await.unwrap();
        Self::start(Site::new(database.url(), Some(&redis.url())).unwrap(), redis).await
    }

    pub(crate) async fn on_sqlite() -> Self {
        let redis = Redis::start().await.unwrap();
        let mut site = Site::new("", Some(&redis.url())).unwrap();
        let url = format!("sqlite://{}/lockstep.db", site.folder().display());
        site.set("database.url", url);
        Self::start(site, redis).await
    }

    async fn start(mut site: Site, redis: Redis) -> Self {
        let provisioner = site.provisioner().await.unwrap();
        Self { site, provisioner, commands: Mutex::new(()), _redis: redis }
    }

    /// A client of a new workspace that may provision.
    pub(crate) async fn workspace(&self, id: &str) -> Scim {
        self.command(&["workspace", "create", id, "--name", "A company", "--plan", "enterprise"]).await;
        self.command(&["scim", "enable", id]).await;
        let issued = self.command(&["token", "issue", id]).await;
        self.client(id, &text(&issued, "token"))
    }

    /// Runs an operator's command.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Value {
        let _turn = self.commands.lock().await;
        self.site.command(arguments).await.unwrap()
    }

    pub(crate) fn client(&self, workspace: &str, token: &str) -> Scim {
        Scim::new(format!("{}/scim/v2/{workspace}", self.provisioner.url()), token).unwrap()
    }
}

/// A workspace of its own for one test. Its end fails the test if a token reached the log.
pub(crate) struct Company {
    pub(crate) installation: &'static Installation,
    /// The workspace.
    pub(crate) id: String,
    /// Its identity provider.
    pub(crate) scim: Scim,
}

impl Company {
    pub(crate) async fn on_sqlite() -> Self {
        static SHARED: OnceCell<Installation> = OnceCell::const_new();
        Self::of(SHARED.get_or_init(Installation::on_sqlite).await).await
    }

    pub(crate) async fn on_postgres() -> Self {
        static SHARED: OnceCell<Installation> = OnceCell::const_new();
        let start = async || {
            let database = Postgres::shared().await.unwrap().database().await.unwrap();
            Installation::on_postgres(&database).await
        };
        Self::of(SHARED.get_or_init(start).await).await
    }

    async fn of(installation: &'static Installation) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let id = format!("company-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let scim = installation.workspace(&id).await;
        Self { installation, id, scim }
    }

    /// Another company of the same installation.
    pub(crate) async fn another(&self) -> Self {
        Self::of(self.installation).await
    }

    /// Runs an operator's command.
    pub(crate) async fn command(&self, arguments: &[&str]) -> Value {
        self.installation.command(arguments).await
    }

    /// Its provider's token.
    pub(crate) fn token(&self) -> String {
        self.scim.token().to_owned()
    }

    /// Creates somebody and returns their id.
    pub(crate) async fn person(&self, name: &str) -> String {
        text(&body(self.scim.post("/Users", &user(name)).await, 201), "id")
    }

    /// Creates a group and returns its id.
    pub(crate) async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
        let group = json!({ "schemas": [GROUP], "displayName": name, "members": members });
        text(&body(self.scim.post("/Groups", &group).await, 201), "id")
    }

    /// The ids of a group's members, in their order.
    pub(crate) async fn members(&self, group: &str) -> Vec<String> {
        let group = body(self.scim.get(&format!("/Groups/{group}")).await, 200);
        let mut ids: Vec<String> =
            group["members"].as_array().into_iter().flatten().map(|member| text(member, "value")).collect();
        ids.sort();
        ids
    }

    /// Everything of a kind (`/Users`, `/Groups`), without what the server adds.
    pub(crate) async fn all(&self, resources: &str) -> Value {
        let list = body(self.scim.get(resources).await, 200);
        list["Resources"].as_array().unwrap().iter().map(essence).collect()
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let leaks = self.installation.site.canary().leaks().unwrap();
            assert!(leaks.is_empty(), "a secret reached a log: {leaks:?}");
        }
    }
}

/// A person as most providers send one.
pub(crate) fn user(name: &str) -> Value {
    json!({ "schemas": [USER], "userName": name, "active": true })
}

/// A PATCH of these operations.
pub(crate) fn patch(operations: &Value) -> Value {
    json!({ "schemas": [PATCH], "Operations": operations })
}

/// The body of an answer that has this status, and the media type of SCIM.
#[track_caller]
pub(crate) fn body(answer: Result<Answer, HarnessError>, status: u16) -> Value {
    let answer = answer.unwrap();
    assert_eq!(answer.status.as_u16(), status, "{}: {}", answer.url, answer.text());
    if answer.body.is_empty() {
        return Value::Null;
    }
    assert_eq!(answer.header("content-type"), "application/scim+json", "{}", answer.url);
    answer.json().unwrap()
}

/// The error body (RFC 7644, section 3.12) of an answer that refuses for this reason.
#[track_caller]
pub(crate) fn refusal(answer: Result<Answer, HarnessError>, status: u16, scim_type: &str) -> Value {
    let error = body(answer, status);
    assert_eq!(error["schemas"], json!([ERROR]));
    assert_eq!(error["status"], json!(status.to_string()));
    assert_eq!(error["scimType"].as_str().unwrap_or_default(), scim_type, "{error}");
    assert!(error["detail"].is_string(), "{error}");
    error
}

/// How many a filter finds.
pub(crate) async fn found(scim: &Scim, resources: &str, filter: &str) -> u64 {
    let list = body(scim.find(resources, filter).await, 200);
    assert_eq!(list["Resources"].as_array().unwrap().len() as u64, list["itemsPerPage"].as_u64().unwrap(), "{filter}");
    list["totalResults"].as_u64().unwrap()
}

/// A resource without what the server adds.
pub(crate) fn essence(resource: &Value) -> Value {
    let mut resource = resource.clone();
    let members = resource.as_object_mut().unwrap();
    for added in ["id", "meta", "schemas"] {
        assert!(members.remove(added).is_some(), "{added} is missing");
    }
    resource
}

/// One request as bytes, for what no client library would send, and the whole answer; it must ask for the connection's end.
pub(crate) async fn raw(service: &Service, request: &str) -> String {
    let mut answer = String::new();
    send(service, request).await.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The first line of the answer to a request that need not be whole.
pub(crate) async fn first_line(service: &Service, request: &str) -> String {
    let mut line = String::new();
    send(service, request).await.read_line(&mut line).await.unwrap();
    line
}

async fn send(service: &Service, request: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(service.url().trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    BufReader::new(stream)
}
