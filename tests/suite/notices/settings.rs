//! What the settings say about mail is what happens: no mail without `[mail]`, none in the clear, none to a server that cannot show
//! who it is.

use std::process::Output;

use lockstep_tests::harness::services::Program;

use super::*;

const PASSWORD: &str = "mail-p4ssw0rd-of-the-tests";

/// What `check` says of mail: the verdict, and the words.
async fn check(site: &Site) -> (String, String) {
    let Output { stdout, .. } = site.output(Program::Lockstep, &["check"], &[]).await.unwrap();
    let checked: Value = serde_json::from_slice(&stdout).unwrap();
    let mail = checked["checks"].as_array().unwrap().iter().find(|check| check["name"] == "mail").unwrap();
    (text(mail, "verdict"), text(mail, "message"))
}

fn site() -> Site {
    let mut site = Site::new("", None).unwrap();
    let url = format!("sqlite://{}/lockstep.db", site.folder().display());
    site.set("database.url", url);
    site
}

fn mailing(site: &mut Site, smtp: &Smtp) {
    site.secret("the mail password", PASSWORD);
    site.set("mail.smtp_url", smtp.url());
    site.set("mail.from", "login@example.com");
    site.set("outbound.ca_file", smtp.ca_file().display().to_string());
}

async fn run(site: &Site, arguments: &[&str]) -> Value {
    site.run(Program::Lockstep, arguments).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_mails_over_starttls_with_a_password() {
    let smtp = Smtp::start_secure(PASSWORD).await.unwrap();
    let mut site = site();
    mailing(&mut site, &smtp);
    let mut lockstep = site.lockstep().await.unwrap();
    let url = site.provisioner_url();
    run(&site, &["workspace", "create", "acme", "--name", "Acme", "--plan", "enterprise", "--admin", "ada@acme.example"]).await;
    run(&site, &["scim", "enable", "acme"]).await;
    run(&site, &["scim", "guard", "acme", "--max", "1", "--percent", "0"]).await;
    let token = text(&run(&site, &["token", "issue", "acme"]).await, "token");
    let scim = Scim::new(format!("{url}/scim/v2/acme"), &token).unwrap();

    let (verdict, message) = check(&site).await;
    let tested = run(&site, &["mail", "test", "ops@acme.example"]).await;
    for name in ["ulla", "vera"] {
        let id = text(&body(scim.post("/Users", &user(name)).await, 201), "id");
        deactivate(&scim, &id).await;
    }

    assert_eq!(verdict, "ok", "{message}");
    assert!(message.contains("over STARTTLS, signed in as login@example.com"), "{message}");
    assert!(text(&tested, "answer").contains("250 2.0.0 taken"), "{tested}");
    let mails = smtp.taken(2).await.unwrap();
    assert!(mails.iter().all(|mail| mail.encrypted && mail.user.is_some()), "{mails:?}");
    assert_eq!((mails[0].to[0].as_str(), mails[1].to[0].as_str()), ("ops@acme.example", "ada@acme.example"));
    assert!(mails[1].text.contains("lockstep scim guard acme approve"), "the first admin is told: {}", mails[1].text);
    assert!(lockstep.stop().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_known_or_does_not_know_us_gets_nothing() {
    let mut smtp = Smtp::start_secure(PASSWORD).await.unwrap();
    let mut site = site();
    mailing(&mut site, &smtp);

    let unknown = site.config["outbound"].as_table_mut().unwrap().remove("ca_file").unwrap();
    let (verdict, message) = check(&site).await;
    assert_eq!(verdict, "problem");
    assert!(message.contains("certificate"), "{message}");

    site.set("outbound.ca_file", unknown);
    let right = smtp.url();
    site.set("mail.smtp_url", right.replace(PASSWORD, "wrong"));
    let (verdict, message) = check(&site).await;
    assert_eq!(verdict, "problem");
    assert!(message.contains("535"), "{message}");

    site.set("mail.smtp_url", right.replace("?tls=required", ""));
    let (verdict, message) = check(&site).await;
    assert_eq!(verdict, "problem", "a server that wants TLS gets no password without it: {message}");

    site.set("mail.smtp_url", right.replace("smtp://", "smtps://").replace("?tls=required", ""));
    assert_eq!(check(&site).await.0, "problem");

    site.set("mail.smtp_url", right);
    smtp.stop().await.unwrap();
    let (verdict, message) = check(&site).await;
    assert_eq!(verdict, "problem");
    assert!(message.contains("takes no mail") && !message.contains(PASSWORD), "{message}");
    assert!(smtp.mails().unwrap().is_empty());
}

/// Holds something while the server refuses us with this code, and mends the settings.
async fn mended(smtp: &Smtp, broken: String, code: &str) {
    let mut site = site();
    mailing(&mut site, smtp);
    site.set("mail.smtp_url", broken);
    let redis = Redis::start().await.unwrap();
    site.set("redis.url", redis.url());
    let mut provisioner = site.provisioner().await.unwrap();
    let (scim, people) = company(&site, &provisioner, "Acme").await;
    site.command(&["workspace", "notify", "acme", "--add", "ops@acme.example"]).await.unwrap();
    for person in &people[..2] {
        deactivate(&scim, person).await;
    }
    let list = async || site.command(&["mail", "list", "acme"]).await.unwrap()["notices"][0].clone();
    let refused =
        async || Some(list().await).filter(|notice| notice["answer"].as_str().is_some_and(|answer| answer.contains(code)));
    let notice = eventually("a refusal", Duration::from_secs(20), refused).await.unwrap();
    assert_eq!(notice["state"], "waiting", "what is said of us is not said of the notice");

    site.set("mail.smtp_url", smtp.url());
    site.configuration().unwrap();
    provisioner.restart().await.unwrap();
    site.command(&["mail", "retry", "acme"]).await.unwrap();

    assert_eq!(recipients(&smtp.taken(1).await.unwrap()), ["ops@acme.example"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_wrong_for_now_loses_no_notice() {
    let smtp = Smtp::start_secure(PASSWORD).await.unwrap();

    mended(&smtp, smtp.url().replace(PASSWORD, "wrong"), "535").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_was_forgotten_loses_no_notice() {
    let smtp = Smtp::start_secure(PASSWORD).await.unwrap();
    let (_, behind_the_user) = smtp.url().split_once('@').map(|(user, rest)| (user.to_owned(), rest.to_owned())).unwrap();

    mended(&smtp, format!("smtp://{behind_the_user}"), "530").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_server_nothing_is_written_that_would_go_out_later() {
    let redis = Redis::start().await.unwrap();
    let mut site = site();
    site.set("redis.url", redis.url());
    let mut provisioner = site.provisioner().await.unwrap();
    let (scim, people) = company(&site, &provisioner, "Acme").await;
    site.command(&["workspace", "notify", "acme", "--add", "ops@acme.example"]).await.unwrap();

    assert!(deactivate(&scim, &people[0]).await.is_success());
    assert_eq!(deactivate(&scim, &people[1]).await, StatusCode::TOO_MANY_REQUESTS);

    assert_eq!(check(&site).await, ("ok".to_owned(), "notices are not mailed: the configuration has no [mail]".to_owned()));
    let guard = site.command(&["scim", "guard", "acme"]).await.unwrap();
    assert_eq!((&guard["held"]["requests"], &guard["mail"]["on"]), (&json!(1), &json!(false)));
    assert_eq!(site.command(&["mail", "list", "acme"]).await.unwrap()["notices"], json!([]));
    let test = site.output(Program::Provisioner, &["mail", "test", "ops@acme.example"], &[]).await.unwrap();
    assert!(!test.status.success() && String::from_utf8_lossy(&test.stderr).contains("[mail]"));
    let smtp = Smtp::start().await.unwrap();
    site.set("mail.smtp_url", smtp.url());
    site.set("mail.from", "login@example.com");
    site.configuration().unwrap();
    provisioner.restart().await.unwrap();
    // It holds again, and that is no news within the hour: whoever sets up mail now is not told of what was before.
    assert_eq!(deactivate(&scim, &people[1]).await, StatusCode::TOO_MANY_REQUESTS);
    site.command(&["mail", "test", "ops@acme.example"]).await.unwrap();
    assert_eq!(smtp.taken(1).await.unwrap()[0].field("Subject").as_deref(), Some("Lockstep can send mail"));
    assert_eq!(site.command(&["mail", "list", "acme"]).await.unwrap()["notices"], json!([]));
}
