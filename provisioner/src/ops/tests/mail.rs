//! Notices by mail, as operators order them: who is told, and what is said where nothing can be mailed.

use std::convert::Infallible;

use lockstep_shared::{
    id::UserId,
    model::{
        audit::Actor,
        user::{Profile, User},
    },
};
use sqlx::{Connection as _, SqliteConnection};

use super::*;

impl Deployment {
    /// Adds a mail server to the configuration.
    fn mails_to(&self, url: &str) {
        let text = std::fs::read_to_string(self.path("lockstep.toml")).unwrap();
        let mail = format!("{text}[mail]\nsmtp_url = \"{url}\"\nfrom = \"login@example.com\"\n");
        std::fs::write(self.path("lockstep.toml"), mail).unwrap();
    }
}

fn told(shown: &Value) -> Vec<(&str, bool)> {
    let recipients = shown["recipients"].as_array().unwrap();
    recipients.iter().map(|one| (one["address"].as_str().unwrap(), one["told"] == true)).collect()
}

async fn closed() -> String {
    format!("smtp://{}", TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap())
}

#[tokio::test]
async fn an_operator_says_who_is_told() {
    let deployment = Deployment::with_acme().await;

    let added = deployment.json("workspace notify acme --add Ops@acme.example --add ada@acme.example").await;
    let removed = deployment.json("workspace notify acme --remove ops@ACME.example").await;
    let shown = deployment.run("workspace notify acme").await.stdout;

    assert_eq!(told(&added), [("ada@acme.example", true), ("Ops@acme.example", true)]);
    assert_eq!(told(&removed), [("ada@acme.example", true)]);
    assert!(shown.contains("ada@acme.example") && shown.contains("the configuration has no [mail]"), "{shown}");
    let actions: Vec<Value> = deployment.trail().await.into_iter().map(|record| record["action"].clone()).collect();
    assert_eq!(actions.iter().filter(|action| *action == "notices.recipient_added").count(), 2);
    let (code, unknown) = deployment.refusal("workspace notify acme --remove nobody@acme.example").await;
    assert_eq!((code, &unknown["code"]), (1, &json!("recipient_not_found")));
    let (_, nowhere) = deployment.refusal("workspace notify nowhere --add ada@acme.example").await;
    assert_eq!(nowhere["code"], "workspace_not_found");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_and_so_is_the_twenty_first() {
    let deployment = Deployment::with_acme().await;

    for address in ["ada", "ada@localhost", "\u{e4}da@acme.example", "a..b@acme.example", "<ada@acme.example>"] {
        assert_eq!(deployment.run(&format!("workspace notify acme --add {address}")).await.code, 2, "{address}");
    }
    for number in 0..20 {
        deployment.json(&format!("workspace notify acme --add admin-{number}@acme.example")).await;
    }
    let (code, full) = deployment.refusal("workspace notify acme --add one@acme.example").await;
    assert_eq!((code, &full["code"]), (1, &json!("too_many_recipients")));
}

#[tokio::test]
async fn the_first_admin_is_told_while_they_have_access() {
    let deployment = Deployment::with_acme().await;
    let created = deployment.json("workspace create beta --name Beta --plan enterprise --admin ada@beta.example").await;

    let shown = deployment.json("workspace notify beta").await;

    assert_eq!(told(&shown), [("ada@beta.example", true)]);
    assert_eq!(shown["recipients"][0]["user"], created["admin"]);
    assert!(created.get("warnings").is_none(), "{created}");
    let odd = deployment.json("workspace create gamma --name Gamma --admin \u{e5}sa@gamma.example").await;
    assert!(odd["warnings"][0].as_str().unwrap().contains("workspace notify gamma"), "{odd}");
}

#[tokio::test]
async fn an_invitation_is_shown_whatever_becomes_of_the_mail() {
    let deployment = Deployment::migrated().await;
    let mut beside = SqliteConnection::connect(&deployment.database_url()).await.unwrap();
    sqlx::raw_sql("ALTER TABLE recipients RENAME TO away").execute(&mut beside).await.unwrap();

    let created = deployment.json("workspace create beta --name Beta --admin ada@beta.example").await;

    let token = created["setup_url"].as_str().unwrap().rsplit('/').next().unwrap();
    let invited = deployment.store().invited_user(&WorkspaceId::parse("beta").unwrap(), token).await.unwrap().unwrap();
    assert_eq!(created["admin"], json!(invited.id));
    let warning = created["warnings"][0].as_str().unwrap();
    assert!(warning.contains("recipients") && warning.contains("workspace notify beta --add ada@beta.example"), "{warning}");
}

#[tokio::test]
async fn an_address_that_is_not_told_is_warned_of() {
    let deployment = Deployment::with_acme().await;
    deployment.mails_to(&closed().await);
    for (name, warned) in [("ada", "1 address is not told"), ("bob", "2 addresses are not told")] {
        let id = deployment.json(&format!("user invite acme {name}@acme.example")).await["id"].as_str().unwrap().to_owned();
        deployment.json(&format!("workspace notify acme --add {name}@acme.example --add team@acme.example")).await;
        let before = deployment.json("scim guard acme").await;
        let away = |user: &User| Ok::<_, Infallible>(Profile { active: false, ..user.profile.clone() });
        drop(deployment.store().update_user(&acme(), &UserId::parse(&id).unwrap(), &Actor::operator(), away).await.unwrap());

        let guard = deployment.json("scim guard acme").await;

        let warnings = |shown: &Value| shown.get("warnings").map_or_else(String::new, ToString::to_string);
        assert!(!warnings(&before).contains(warned) && warnings(&guard).contains(warned), "{before} {guard}");
        assert!(warnings(&guard).contains("no access any more") && warnings(&guard).contains("workspace notify acme"), "{guard}");
        assert_eq!(guard["mail"]["recipients"], 1);
    }
}

#[tokio::test]
async fn without_a_mail_server_nothing_is_sent_and_that_is_said() {
    let deployment = Deployment::with_acme().await;

    for line in ["mail test ada@acme.example", "mail retry acme"] {
        let (code, refused) = deployment.refusal(line).await;
        assert_eq!((code, &refused["code"]), (1, &json!("mail")), "{line}");
    }
    let checked = deployment.run("check").await;
    assert_eq!((checked.code, deployment.json("mail list acme").await["notices"].clone()), (0, json!([])));
    assert!(checked.stdout.contains("notices are not mailed: the configuration has no [mail]"), "{}", checked.stdout);
    let guard = deployment.run("scim guard acme").await.stdout;
    assert!(guard.contains("nobody: the configuration has no [mail]"), "{guard}");
}

#[tokio::test]
async fn a_mail_server_that_is_away_is_told_of() {
    let deployment = Deployment::with_acme().await;
    deployment.mails_to(&closed().await);

    let (code, refused) = deployment.refusal("mail test ada@acme.example").await;
    let checked = deployment.run("check").await;
    let guard = deployment.run("scim guard acme").await.stdout;

    assert_eq!((code, &refused["code"]), (1, &json!("mail_not_sent")));
    assert!(refused["fix"].as_str().unwrap().contains("smtp_url"), "{refused}");
    assert!(checked.code == 1 && checked.stdout.contains("takes no mail"), "{}", checked.stdout);
    assert!(guard.contains("workspace notify acme --add ADDRESS"), "{guard}");
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_found_by_check() {
    let deployment = Deployment::with_acme().await;
    deployment.mails_to("smtps://127.0.0.1:1");
    let text = std::fs::read_to_string(deployment.path("lockstep.toml")).unwrap();
    std::fs::write(deployment.path("lockstep.toml"), text.replace("[outbound]\n", "[outbound]\nca_file = \"missing.pem\"\n"))
        .unwrap();

    let checked = deployment.run("check --json").await;

    let checked: Value = serde_json::from_str(&checked.stdout).unwrap();
    let mail = checked["checks"].as_array().unwrap().iter().find(|check| check["name"] == "mail").unwrap();
    assert!(mail["verdict"] == "problem" && mail["message"].as_str().unwrap().contains("missing.pem"), "{mail}");
}
