//! The provisioning log: every request of the provider has its line, no person's name is in any, and the two questions that
//! admins ask are answered.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use lockstep_shared::secret::BearerToken;
use lockstep_tests::{
    harness::{eventually, postgres::Postgres, services::Program},
    world::{activation, deactivation, text},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};

use super::{Company, GROUP, Installation, USER, body, on_each_database, patch, refusal, user};

/// Entries are written behind the answers, a fifth of a second at the most; a busy machine is given more.
const SOON: Duration = Duration::from_secs(15);

/// The newest entries, oldest first, once there are so many.
async fn entries(company: &Company, count: usize) -> Vec<Value> {
    let list = eventually(format!("{count} entries"), SOON, async || {
        let tail = company.command(&["log", "tail", &company.id, "--limit", "1000"]).await;
        let entries = tail["entries"].as_array().unwrap().clone();
        (entries.len() >= count).then_some(entries)
    });
    list.await.unwrap()
}

/// What an entry says in short.
fn short(entry: &Value) -> (String, u64, String) {
    (text(entry, "action"), entry["status"].as_u64().unwrap(), text(entry, "outcome"))
}

fn says(action: &str, status: u64, outcome: &str) -> (String, u64, String) {
    (action.to_owned(), status, outcome.to_owned())
}

/// A command, however it ends.
async fn output(company: &Company, arguments: &[&str]) -> Output {
    let _turn = company.installation.commands.lock().await;
    company.installation.site.output(Program::Provisioner, arguments, &[]).await.unwrap()
}

/// The findings of a diagnosis that are not as they should be, each as `name: message -> fix`.
async fn explain(company: &Company, arguments: &[&str]) -> Vec<String> {
    let arguments = [&["log", "explain", &company.id], arguments].concat();
    let output = output(company, &arguments).await;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let findings = answer["findings"].as_array().unwrap().iter().filter(|finding| finding["verdict"] != "ok");
    let wrong: Vec<String> = findings
        .map(|finding| {
            let part = |name: &str| finding[name].as_str().unwrap_or_default();
            format!("{}: {} -> {}", part("name"), part("message"), part("fix"))
        })
        .collect();
    let has_problems = answer["findings"].as_array().unwrap().iter().any(|finding| finding["verdict"] == "problem");
    assert_eq!(output.status.success(), !has_problems);
    wrong
}

#[track_caller]
fn contains(findings: &[String], part: &str) {
    assert!(findings.iter().any(|finding| finding.contains(part)), "{part}: {findings:?}");
}

on_each_database! {
    async fn every_request_has_its_line_and_no_name_is_in_any(company: &Company) {
        let lovelace = json!({
            "schemas": [USER], "userName": "ada@lovelace.example", "active": true, "displayName": "Ada Lovelace",
            "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", "shoeSize": "38", "emails": [{ "type": "work", "value": "ada@lovelace.example" }],
        });
        let scim = &company.scim;
        let id = text(&body(scim.post("/Users", &lovelace).await, 201), "id");
        let path = format!("/Users/{id}");
        body(scim.find("/Users", "emails[type eq \"work\" and value eq \"ada@lovelace.example\"]").await, 200);
        body(scim.get(&path).await, 200);
        let rename = patch(&json!([{ "op": "replace", "path": "displayName", "value": "Augusta Lovelace" }]));
        body(scim.patch(&path, &rename).await, 200);
        body(scim.patch(&path, &rename).await, 200);
        body(scim.patch(&path, &deactivation()).await, 200);
        body(scim.patch(&path, &activation()).await, 200);
        let group = json!({ "schemas": [GROUP], "displayName": "Friends of Lovelace" });
        let group = text(&body(scim.post("/Groups", &group).await, 201), "id");
        let add = patch(&json!([{ "op": "Add", "path": "members", "value": [{ "value": id }] }]));
        body(scim.patch(&format!("/Groups/{group}"), &add).await, 204);
        body(scim.get("/ServiceProviderConfig").await, 200);
        refusal(scim.post("/Users", &lovelace).await, 409, "uniqueness");
        refusal(scim.find("/Users", "lovelace eq \"x\"").await, 400, "invalidFilter");
        refusal(scim.get("/Nowhere").await, 404, "");
        body(scim.delete(&path).await, 204);

        let entries = entries(company, 14).await;

        assert_eq!(entries.iter().map(short).collect::<Vec<_>>(), [
            says("user.create", 201, "done"),
            says("user.find", 200, "done"),
            says("user.read", 200, "done"),
            says("user.update", 200, "done"),
            says("user.update", 200, "unchanged"),
            says("user.deactivate", 200, "done"),
            says("user.activate", 200, "done"),
            says("group.create", 201, "done"),
            says("group.members", 204, "done"),
            says("discovery", 200, "done"),
            says("user.create", 409, "refused"),
            says("user.find", 400, "refused"),
            says("unknown", 404, "refused"),
            says("user.delete", 204, "done"),
        ]);
        let detail = |at: usize, name: &str| entries[at]["detail"][name].clone();
        assert_eq!((&entries[0]["target"], detail(0, "external_id")), (&json!(id), lovelace["externalId"].clone()));
        assert_eq!(detail(0, "notes")[0]["text"], "shoeSize was ignored: no schema of this workspace has it");
        assert_eq!((detail(1, "filter"), detail(1, "found")), (json!("emails[(type eq … and value eq …)]"), json!(1)));
        assert_eq!((detail(3, "changed"), detail(5, "changed")), (json!(["displayName"]), json!(["active"])));
        assert_eq!((&entries[8]["target"], &entries[8]["people"]), (&json!(group), &json!([id])));
        assert_eq!(detail(8, "members"), json!({ "add": 1 }));
        assert_eq!(entries[10]["people"], json!([id]), "who has the name already");
        assert!(text(&entries[12], "sentence").ends_with(&format!("`scim show {}` tells the right one", company.id)));
        for entry in &entries {
            assert!(!text(entry, "request").is_empty() && !text(entry, "credential").is_empty(), "{entry}");
            assert_eq!(entry["sentence"].is_string(), entry["outcome"] == "refused", "{entry}");
        }
        let whole = serde_json::to_string(&entries).unwrap();
        // A word of a filter in the place of an attribute is taken for one.
        let whole = whole.replacen("\\\"lovelace\\\" is not an attribute", "", 1).to_lowercase();
        assert!(!whole.contains("lovelace") && !whole.contains("augusta"), "{whole}");
    }

    async fn somebody_who_was_not_created_is_found_by_name_and_the_name_is_not_kept(company: &Company) {
        company.command(&["attribute", "set", &company.id, "userType", "--allow", "Premium,Standard"]).await;
        let bob = json!({ "schemas": [USER], "userName": "Bob@Lovelace.example", "active": true, "userType": "premium" });
        let carol = json!({ "schemas": [USER], "userName": "carol", "active": true, "userType": "Gold" });
        let many = json!({ "Operations": [{ "method": "POST", "path": "/Users", "bulkId": "b", "data": bob }] });
        refusal(company.scim.post("/Users", &bob).await, 400, "invalidValue");
        assert_eq!(body(company.scim.post("/Bulk", &many).await, 200)["Operations"][0]["status"], "400");
        body(company.scim.post("/Users", &carol).await, 400);
        let all = entries(company, 4).await;

        let found = company.command(&["log", "show", &company.id, "--user", "bob@lovelace.example"]).await;

        let found = found["entries"].as_array().unwrap();
        assert_eq!(found.iter().map(short).collect::<Vec<_>>(), [says("user.create", 400, "refused"), says("user.create", 400, "refused")]);
        assert!(found.iter().all(|entry| text(entry, "sentence").contains("userType is \"premium\"")), "{found:?}");
        assert!(!serde_json::to_string(&all).unwrap().to_lowercase().contains("lovelace"), "{all:?}");
        let nobody = output(company, &["log", "show", &company.id, "--user", "dave"]).await;
        assert_eq!(serde_json::from_slice::<Value>(&nobody.stderr).unwrap()["error"]["code"], "user_not_found");

        // Once the mapping is right, what was refused before belongs to the person who is there.
        let bob = json!({ "schemas": [USER], "userName": "Bob@Lovelace.example", "active": true, "userType": "Premium" });
        let id = text(&body(company.scim.post("/Users", &bob).await, 201), "id");
        refusal(company.scim.post("/Users", &bob).await, 409, "uniqueness");
        entries(company, 6).await;
        for name in ["bob@lovelace.example", &id] {
            let whole = company.command(&["log", "show", &company.id, "--user", name]).await;
            let statuses: Vec<_> = whole["entries"].as_array().unwrap().iter().map(|entry| entry["status"].clone()).collect();
            assert_eq!(statuses, [json!(400), json!(400), json!(201), json!(409)], "{name}");
        }
    }

    async fn a_refusal_says_what_was_sent_and_what_is_allowed(company: &Company) {
        company.command(&["attribute", "set", &company.id, "userType", "--allow", "Premium,Standard"]).await;
        let refused = json!({ "schemas": [USER], "userName": "ada", "active": true, "userType": "premium" });
        refusal(company.scim.post("/Users", &refused).await, 400, "invalidValue");
        entries(company, 1).await;

        let tail = company.command(&["log", "tail", &company.id, "--refused", "--since", "1h"]).await;
        let entry = &tail["entries"][0];
        let sentence = text(entry, "sentence");
        for part in ["The identity provider sent a new user, which was refused", "userType", "premium", "Premium, Standard", "mapping"] {
            assert!(sentence.contains(part), "{part}: {sentence}");
        }
        let shown = company.command(&["log", "show", &company.id, &text(entry, "id")]).await;
        assert_eq!(&shown, entry);
        contains(&explain(company, &["accounts-not-created"]).await, "userType");
    }

    async fn operations_of_a_bulk_request_have_a_line_each_and_one_name(company: &Company) {
        let bulk = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [
            { "method": "POST", "path": "/Users", "bulkId": "a", "data": user("ada") },
            { "method": "POST", "path": "/Users", "bulkId": "b", "data": user("ada") },
            { "method": "GET", "path": "/Users" },
            { "method": "DELETE", "path": "/ServiceProviderConfig" },
        ] });
        body(company.scim.post("/Bulk", &bulk).await, 200);

        let entries = entries(company, 5).await;

        let mut found: Vec<_> = entries.iter().map(short).collect();
        found.sort();
        assert_eq!(found[..1], [says("bulk", 200, "done")]);
        assert!(found.contains(&says("user.create", 201, "done")) && found.contains(&says("user.create", 409, "refused")));
        let request = text(&entries[0], "request");
        assert!(entries.iter().all(|entry| text(entry, "request") == request));
        let whole = entries.iter().find(|entry| entry["action"] == "bulk").unwrap();
        assert_eq!((&whole["detail"]["operations"], &whole["detail"]["failed"]), (&json!(4), &json!(3)));
    }

    async fn bad_credentials_are_counted_and_named(company: &Company) {
        let stranger = company.scim.with_token(BearerToken::new().unwrap().expose());
        for _ in 0..20 {
            body(stranger.get("/Users").await, 401);
        }

        let entries = entries(company, 1).await;

        assert_eq!(entries.len(), 1, "the others come as one number");
        assert_eq!(short(&entries[0]), says("turned_away", 401, "refused"));
        assert!(text(&entries[0], "sentence").starts_with("Somebody sent a credential that is not, or no longer, good here"));
        contains(&explain(company, &["accounts-not-created"]).await, "strangers: 1 requests came without a good credential");
    }

    async fn accounts_not_created_is_answered_from_the_switch_on(company: &Company) {
        let unused = explain(company, &["accounts-not-created"]).await;
        contains(&unused, "credential: a good credential is there, and nobody has ever used it");
        contains(&unused, "requests: no request with a good credential came");

        assert_eq!(body(company.scim.find("/Users", "userName eq \"ada\"").await, 200)["totalResults"], 0);
        entries(company, 1).await;
        contains(&explain(company, &["accounts-not-created"]).await, "found nobody, and sent no new user -> let it create users");

        company.person("ada").await;
        entries(company, 2).await;
        assert_eq!(explain(company, &["accounts-not-created"]).await, [""; 0]);

        company.command(&["scim", "disable", &company.id]).await;
        body(company.scim.get("/Users").await, 403);
        contains(&explain(company, &["accounts-not-created"]).await, "switch: SCIM is not enabled");
        let told = entries(company, 3).await;
        assert_eq!(short(&told[2]), says("turned_away", 403, "refused"));
        assert!(text(&told[2], "sentence").contains(&format!("run `log explain {} accounts-not-created`", company.id)), "{told:?}");
    }

    async fn role_did_not_change_is_answered_step_by_step(company: &Company) {
        let id = company.person("ada").await;
        let about = ["role-did-not-change", "--user", "ada"];
        contains(&explain(company, &about).await, "groups: the person is in no group here");
        contains(&explain(company, &["role-did-not-change", "--user", "nobody"]).await, "accounts-not-created");

        let group = company.group("Admins", &[]).await;
        let add = patch(&json!([{ "op": "Add", "path": "members", "value": [{ "value": id }] }]));
        body(company.scim.patch(&format!("/Groups/{group}"), &add).await, 204);
        entries(company, 3).await;
        contains(&explain(company, &about).await, "none of the person's groups gives a role or a team: Admins");

        company.command(&["mapping", "set", &company.id, "--group", "Admins", "--role", "Admin"]).await;
        assert_eq!(explain(company, &about).await, [""; 0]);
        assert_eq!(explain(company, &["role-did-not-change"]).await, [""; 0]);

        let of_user = company.command(&["log", "show", &company.id, "--user", "ada"]).await;
        let actions: Vec<_> = of_user["entries"].as_array().unwrap().iter().map(|entry| text(entry, "action")).collect();
        assert_eq!(actions, ["user.create", "group.members"]);
        let of_group = company.command(&["log", "show", &company.id, "--group", "Admins"]).await;
        assert_eq!(of_group["entries"].as_array().unwrap().len(), 2);
    }

    async fn nothing_of_the_log_is_seen_from_another_workspace(company: &Company) {
        let other = company.another().await;
        company.person("ada").await;
        let entry = entries(company, 1).await.remove(0);

        let foreign = ["log", "show", &other.id, &text(&entry, "id")];
        let output = output(company, &foreign).await;

        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["code"], "entry_not_found");
        assert_eq!(company.command(&["log", "show", &other.id, "--user", &text(&entry, "target")]).await["entries"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_can_be_followed() {
    let company = Company::on_sqlite().await;
    let configuration = {
        let _turn = company.installation.commands.lock().await;
        let site = company.installation.site.configuration().unwrap();
        // Others write it anew while this one runs.
        let copy = site.with_file_name(format!("{}.toml", company.id));
        std::fs::copy(site, &copy).unwrap();
        copy
    };
    let mut follow = tokio::process::Command::new(Program::Provisioner.path().unwrap())
        .args(["--json", "log", "tail", &company.id, "--follow", "--refused", "--config"])
        .arg(configuration)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();

    for name in ["shoeSize", "hatSize"] {
        company.person(name).await;
        refusal(company.scim.find("/Users", &format!("{name} eq 1")).await, 400, "invalidFilter");
        let line = timeout(SOON, lines.next_line()).await.expect("in time").unwrap().unwrap();
        let entry: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(short(&entry), says("user.find", 400, "refused"));
        assert!(text(&entry, "sentence").contains(name), "{entry}");
    }

    // Whoever reads no more ends it.
    drop(lines);
    refusal(company.scim.find("/Users", "headSize eq 1").await, 400, "invalidFilter");
    assert!(timeout(SOON, follow.wait()).await.expect("in time").unwrap().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_in_the_log_after_a_good_exit_at_once() {
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let mut installation = Installation::on_postgres(&database).await;
    let scim = installation.workspace("acme").await;
    for number in 0..50 {
        body(scim.post("/Users", &user(&format!("user-{number}"))).await, 201);
    }

    assert!(installation.provisioner.stop().await.unwrap().success());

    let tail = installation.command(&["log", "tail", "acme", "--limit", "100"]).await;
    assert_eq!(tail["entries"].as_array().unwrap().len(), 50);
}
