//! Notices by mail, from a held change to a real mail server: every admin once, whatever fails on the way.

mod failures;
mod settings;

use std::time::Duration;

use http::StatusCode;
use lockstep_tests::{
    harness::{
        eventually,
        postgres::{Database, Postgres},
        redis::Redis,
        scim::Scim,
        services::{Service, Site},
        smtp::{Mail, Smtp},
    },
    world::{deactivation, text},
};
use serde_json::{Value, json};

use crate::scim::{body, user};

/// Makes one test of each database out of one behaviour, on an installation of its own.
macro_rules! on_each_database {
    ($(async fn $name:ident($office:ident: &mut Office) $body:block)+) => {$(
        mod $name {
            use super::*;

            async fn behaviour($office: &mut Office) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                behaviour(&mut Office::on_sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                behaviour(&mut Office::on_postgres().await).await;
            }
        }
    )+};
}
use on_each_database;

/// A provisioner of the company `acme`, whose guard lets one person an hour go, with a mail server.
struct Office {
    smtp: Smtp,
    provisioner: Service,
    scim: Scim,
    people: Vec<String>,
    site: Site,
    _redis: Redis,
    _database: Option<Database>,
}

impl Office {
    async fn on_sqlite() -> Self {
        let redis = Redis::start().await.unwrap();
        let mut site = Site::new("", Some(&redis.url())).unwrap();
        let url = format!("sqlite://{}/lockstep.db", site.folder().display());
        site.set("database.url", url);
        Self::of(site, redis, None).await
    }

    async fn on_postgres() -> Self {
        let (redis, database) = (Redis::start().await.unwrap(), Postgres::shared().await.unwrap().database().await.unwrap());
        let site = Site::new(database.url(), Some(&redis.url())).unwrap();
        Self::of(site, redis, Some(database)).await
    }

    async fn of(mut site: Site, redis: Redis, database: Option<Database>) -> Self {
        let smtp = Smtp::start().await.unwrap();
        site.set("mail.smtp_url", smtp.url());
        site.set("mail.from", "Lockstep <login@example.com>");
        let provisioner = site.provisioner().await.unwrap();
        let (scim, people) = company(&site, &provisioner, "B\u{fc}cher & S\u{f6}hne").await;
        Self { smtp, provisioner, scim, people, site, _redis: redis, _database: database }
    }

    async fn command(&self, arguments: &[&str]) -> Value {
        self.site.command(arguments).await.unwrap()
    }

    async fn told(&self, addresses: &[&str]) {
        for address in addresses {
            self.command(&["workspace", "notify", "acme", "--add", address]).await;
        }
    }

    async fn deactivate(&self, person: usize) -> StatusCode {
        deactivate(&self.scim, &self.people[person]).await
    }

    /// Has the guard hold something: the first leaver passes, the second does not.
    async fn hold(&self) {
        assert!(self.deactivate(0).await.is_success());
        assert_eq!(self.deactivate(1).await, StatusCode::TOO_MANY_REQUESTS);
    }

    /// What became of the notices, oldest first: to whom, the state, the attempts and what the server said.
    async fn notices(&self) -> Vec<(String, String, u64, String)> {
        let listed = self.command(&["mail", "list", "acme"]).await;
        let of = |notice: &Value| {
            (text(notice, "address"), text(notice, "state"), notice["attempts"].as_u64().unwrap(), text(notice, "answer"))
        };
        listed["notices"].as_array().unwrap().iter().rev().map(of).collect()
    }

    /// Waits until no notice is on its way.
    async fn settled(&self) -> Vec<(String, String, u64, String)> {
        let settled = async || {
            let notices = self.notices().await;
            notices.iter().all(|(_, state, ..)| state != "waiting").then_some(notices)
        };
        eventually("every notice having come to its end", Duration::from_secs(20), settled).await.unwrap()
    }

    async fn metrics(&self) -> String {
        reqwest::get(format!("{}/metrics", self.provisioner.ops_url())).await.unwrap().text().await.unwrap()
    }
}

/// The company `acme` with three people, whose guard lets one person an hour go.
async fn company(site: &Site, provisioner: &Service, name: &str) -> (Scim, Vec<String>) {
    site.command(&["workspace", "create", "acme", "--name", name, "--plan", "enterprise"]).await.unwrap();
    site.command(&["scim", "enable", "acme"]).await.unwrap();
    site.command(&["scim", "guard", "acme", "--max", "1", "--percent", "0"]).await.unwrap();
    let issued = site.command(&["token", "issue", "acme"]).await.unwrap();
    let scim = Scim::new(format!("{}/scim/v2/acme", provisioner.url()), text(&issued, "token")).unwrap();
    let mut people = Vec::new();
    for name in ["ulla", "vera", "wanda"] {
        people.push(text(&body(scim.post("/Users", &user(&format!("{name}@acme.example"))).await, 201), "id"));
    }
    (scim, people)
}

async fn deactivate(scim: &Scim, person: &str) -> StatusCode {
    scim.patch(&format!("/Users/{person}"), &deactivation()).await.unwrap().status
}

fn recipients(mails: &[Mail]) -> Vec<&str> {
    let mut to: Vec<&str> = mails.iter().flat_map(|mail| &mail.to).map(String::as_str).collect();
    to.sort_unstable();
    to
}

on_each_database! {
    async fn a_hold_mails_everybody_once_and_the_next_one_again(office: &mut Office) {
        office.told(&["ops@acme.example", "ada@partner.example"]).await;

        office.hold().await;
        for _ in 0..3 {
            assert_eq!(office.deactivate(2).await, StatusCode::TOO_MANY_REQUESTS, "a repetition is no news");
        }

        let mails = office.smtp.taken(2).await.unwrap();
        assert_eq!(office.settled().await.len(), 2);
        assert_eq!(recipients(&mails), ["ada@partner.example", "ops@acme.example"]);
        for mail in &mails {
            assert_eq!(mail.to.len(), 1, "nobody sees who else is told");
            assert_eq!((mail.from.as_str(), mail.field("From").as_deref()), ("login@example.com", Some("Lockstep <login@example.com>")));
            assert_eq!(mail.field("To").as_deref(), Some(mail.to[0].as_str()));
            assert_eq!(mail.field("Auto-Submitted").as_deref(), Some("auto-generated"));
            assert!(mail.field("Message-ID").unwrap().ends_with("@example.com>") && mail.field("Date").is_some());
            assert!(mail.field("Subject").unwrap().contains("=?utf-8?"), "{}", mail.text);
            let text = mail.text.replace("=\r\n", "");
            assert!(text.contains("2 of 3 people") && text.contains("provisioner scim guard acme approve"), "{text}");
            for somebody in ["ulla", "vera", "wanda"].iter().chain(office.people.iter().map(|id| &**id).collect::<Vec<_>>().iter()) {
                assert!(!text.contains(somebody), "{somebody} is nobody's business: {text}");
            }
        }
        let guard = office.command(&["scim", "guard", "acme"]).await;
        assert_eq!((&guard["mail"]["recipients"], &guard["mail"]["newest"]["notices"]), (&json!(2), &json!({ "sent": 2 })));
        assert!(office.metrics().await.contains("lockstep_mails_total{outcome=\"sent\"} 2"));

        office.command(&["scim", "guard", "acme", "approve"]).await;
        office.command(&["scim", "guard", "acme", "on"]).await;
        assert_eq!(office.deactivate(2).await, StatusCode::TOO_MANY_REQUESTS);
        office.smtp.taken(4).await.unwrap();
        assert_eq!(office.settled().await.len(), 4, "a new hold after an approval is news");
        assert_eq!(office.smtp.mails().unwrap().len(), 4);
    }

    async fn replicas_that_race_send_each_notice_once(office: &mut Office) {
        let mut others = vec![office.site.provisioner().await.unwrap(), office.site.provisioner().await.unwrap()];
        let addresses: Vec<String> = (10..30).map(|number| format!("admin-{number}@acme.example")).collect();
        office.told(&addresses.iter().map(String::as_str).collect::<Vec<_>>()).await;

        office.hold().await;

        office.smtp.taken(20).await.unwrap();
        let notices = office.settled().await;
        assert!(notices.iter().all(|(_, state, attempts, _)| state == "sent" && *attempts == 1), "{notices:?}");
        let mails = office.smtp.mails().unwrap();
        assert_eq!(recipients(&mails), addresses);
        for other in &mut others {
            assert!(other.stop().await.unwrap().success());
        }
    }

    async fn whoever_lost_access_hears_nothing(office: &mut Office) {
        office.told(&["ulla@acme.example", "vera@acme.example", "team@acme.example"]).await;

        office.hold().await;

        assert_eq!(office.settled().await.len(), 2, "the first one is the one who left");
        assert_eq!(recipients(&office.smtp.taken(2).await.unwrap()), ["team@acme.example", "vera@acme.example"]);
        let shown = office.command(&["workspace", "notify", "acme"]).await;
        let told: Vec<(String, bool)> = shown["recipients"].as_array().unwrap().iter().map(|one| (text(one, "address"), one["told"] == true)).collect();
        assert_eq!(told, [("team@acme.example".into(), true), ("ulla@acme.example".into(), false), ("vera@acme.example".into(), true)]);
    }
}
