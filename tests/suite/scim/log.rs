//! The provisioning log: every request of the provider has its line, no person's name is in any, and the two questions that
//! admins ask are answered.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use lockstep_shared::{id::EntryId, secret::BearerToken};
use lockstep_tests::{
    harness::{eventually, postgres::Postgres, services::Program},
    world::{activation, deactivation, text},
};
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};

use super::{Company, GROUP, Installation, USER, body, on_each_database, patch, refusal, user};

/// Entries are written behind the answers, a fifth of a second at the most; a busy machine is given more.
const SOON: Duration = Duration::from_secs(15);

/// The newest entries, oldest first, once there are so many.
pub(super) async fn entries(company: &Company, count: usize) -> Vec<Value> {
    let list = eventually(format!("{count} entries"), SOON, async || {
        let tail = company.command(&["log", "tail", &company.id, "--limit", "1000"]).await;
        let entries = tail["entries"].as_array().unwrap().clone();
        (entries.len() >= count).then_some(entries)
    });
    list.await.unwrap()
}

/// What an entry says in short.
pub(super) fn short(entry: &Value) -> (String, u64, String) {
    (text(entry, "action"), entry["status"].as_u64().unwrap(), text(entry, "outcome"))
}

pub(super) fn says(action: &str, status: u64, outcome: &str) -> (String, u64, String) {
    (action.to_owned(), status, outcome.to_owned())
}

/// A command, however it ends.
async fn output(company: &Company, arguments: &[&str]) -> Output {
    let _turn = company.installation.commands.lock().await;
    company.installation.site.output(Program::Provisioner, arguments, &[]).await.unwrap()
}

/// The findings of a diagnosis that are not as they should be, each as `name: message -> fix`.
pub(super) async fn explain(company: &Company, arguments: &[&str]) -> Vec<String> {
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

/// With what the diagnosis of missing accounts exits.
async fn explain_success(company: &Company) -> Option<i32> {
    output(company, &["log", "explain", &company.id, "accounts-not-created"]).await.status.code()
}

#[track_caller]
pub(super) fn contains(findings: &[String], part: &str) {
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
        assert!(text(&entries[12], "sentence").ends_with(&format!("`provisioner scim show {}` tells the right one", company.id)));
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

    async fn who_was_refused_is_told_by_name_and_solved_once_they_are_created(company: &Company) {
        company.command(&["attribute", "set", &company.id, "userType", "--allow", "Premium,Standard"]).await;
        let zoe = |kind: &str| json!({ "schemas": [USER], "userName": "Zoe@Acme.example", "active": true, "userType": kind });
        let about = ["accounts-not-created", "--user", "zoe@acme.example"];
        for number in 0..7 {
            let other = json!({ "schemas": [USER], "userName": format!("other-{number}"), "active": true, "userType": format!("x{number}") });
            for _ in 0..2 {
                refusal(company.scim.post("/Users", &other).await, 400, "invalidValue");
            }
        }
        entries(company, 14).await;
        contains(&explain(company, &about).await, "person: nobody of this name is here, and the log has nobody of this name");

        refusal(company.scim.post("/Users", &zoe("\u{1b}[31mpre\nmium")).await, 400, "invalidValue");
        entries(company, 15).await;
        let of_all = explain(company, &["accounts-not-created"]).await;
        contains(&of_all, "refusals: 3 further kinds, of 5 requests, are not told here");
        let refused = explain(company, &about).await;
        contains(&refused, "person: nobody of this name is here: they were sent, and not created");
        contains(&refused, "person: once, last at");
        contains(&refused, "[31mpre\u{fffd}mium\"; allowed here are Premium, Standard: change the mapping");
        contains(&refused, "refusals: 14 requests about others, or nobody known, were not carried out");

        let id = text(&body(company.scim.post("/Users", &zoe("Premium")).await, 201), "id");
        entries(company, 16).await;
        let here = explain(company, &about).await;
        assert!(here.len() == 1 && here[0].starts_with("refusals: 14 requests about others"), "{here:?}");
        contains(&explain(company, &["accounts-not-created"]).await, "refusals: 2 further kinds, of 4 requests, are not told here");

        body(company.scim.delete(&format!("/Users/{id}")).await, 204);
        let all = entries(company, 17).await;
        for name in ["zoe@acme.example", &id] {
            let gone = explain(company, &["accounts-not-created", "--user", name]).await;
            contains(&gone, &format!("person: user {id} was deleted at "));
        }
        let shown = company.command(&["log", "show", &company.id, "--user", "zoe@acme.example"]).await;
        let shown: Vec<_> = shown["entries"].as_array().unwrap().iter().map(short).collect();
        assert_eq!(shown, [says("user.create", 400, "refused"), says("user.create", 201, "done"), says("user.delete", 204, "done")]);
        assert!(!serde_json::to_string(&all).unwrap().to_lowercase().contains("zoe"), "{all:?}");
    }

    async fn what_is_solved_or_harmless_is_no_problem(company: &Company) {
        company.command(&["attribute", "set", &company.id, "userType", "--allow", "Premium,Standard"]).await;
        let zoe = |kind: &str| json!({ "schemas": [USER], "userName": "zoe", "active": true, "userType": kind });
        refusal(company.scim.post("/Users", &zoe("x")).await, 400, "invalidValue");
        entries(company, 1).await;
        contains(&explain(company, &["accounts-not-created"]).await, "refusals: once, last at");

        let id = text(&body(company.scim.post("/Users", &zoe("Premium")).await, 201), "id");
        refusal(company.scim.get("/Users?cursor=nonsense").await, 400, "invalidCursor");
        body(company.scim.delete("/Users").await, 405);
        refusal(company.scim.find("/Users", "nonsense eq 1").await, 400, "invalidFilter");
        for _ in 0..2 {
            company.scim.delete(&format!("/Users/{id}")).await.unwrap();
        }
        entries(company, 7).await;

        let told = explain(company, &["accounts-not-created"]).await;

        let refusals = told.iter().filter(|told| told.starts_with("refusals: once, last at")).count();
        assert_eq!((refusals, told.len()), (2, 2), "{told:?}");
        let tail = company.command(&["log", "tail", &company.id, "--refused"]).await;
        let by_method = tail["entries"].as_array().unwrap().iter().find(|entry| entry["status"] == 405).unwrap();
        assert!(text(by_method, "sentence").starts_with("The identity provider sent a request, which was refused"), "{by_method}");
        let last = tail["entries"].as_array().unwrap().last().cloned().unwrap();
        assert!(text(&last, "sentence").ends_with("nothing has to be done, it is gone"), "{last}");
        assert_eq!(explain_success(company).await, Some(0));
    }

    async fn what_can_be_no_name_is_not_kept(company: &Company) {
        let odd = json!({
            "schemas": [USER], "userName": "odd", "active": true, "name": { "leak16@acme.example": 1, "givenName": "O" },
            "leak17@acme.example": 1, "urn:acme:leak18@acme.example": { "x": 1 }, "shoeSize": 1,
        });
        body(company.scim.post("/Users", &odd).await, 201);

        let entries = entries(company, 1).await;

        let notes = entries[0]["detail"]["notes"].as_array().unwrap();
        assert!(notes.iter().any(|note| note["attribute"] == "an attribute"), "{notes:?}");
        assert!(notes.iter().any(|note| note["attribute"] == "shoeSize"), "{notes:?}");
        assert!(!entries[0].to_string().contains("leak"), "{entries:?}");
    }

    async fn a_malformed_member_is_the_clients_affair(company: &Company) {
        let group = company.group("Admins", &[]).await;
        for value in [json!([{}]), json!([{ "value": 5 }]), json!([5])] {
            let add = patch(&json!([{ "op": "add", "path": "members", "value": value }]));
            refusal(company.scim.patch(&format!("/Groups/{group}"), &add).await, 400, "invalidValue");
        }

        let entries = entries(company, 4).await;

        for entry in &entries[1..] {
            assert!(text(entry, "sentence").ends_with("tell the vendor of the client"), "{entry}");
        }
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
        assert!(text(&told[2], "sentence").contains(&format!("run `provisioner log explain {} accounts-not-created`", company.id)), "{told:?}");
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

    async fn a_role_by_attribute_needs_no_group_and_what_is_not_granted_or_refused_is_told(company: &Company) {
        company.command(&["mapping", "set", &company.id, "--role-attribute", "roles", "--grants", "User,Admin"]).await;
        company.command(&["attribute", "set", &company.id, "roles", "--allow", "ReadOnly,User,Admin"]).await;
        let ada = json!({ "schemas": [USER], "userName": "ada", "active": true, "roles": [{ "value": "Admin" }] });
        let path = format!("/Users/{}", text(&body(company.scim.post("/Users", &ada).await, 201), "id"));
        let about = ["role-did-not-change", "--user", "ada"];
        let to = |role: &str| patch(&json!([{ "op": "replace", "path": "roles", "value": [{ "value": role }] }]));
        entries(company, 1).await;
        assert_eq!(explain(company, &about).await, [""; 0]);
        assert_eq!(explain(company, &["role-did-not-change"]).await, [""; 0]);

        refusal(company.scim.patch(&path, &to("Boss")).await, 400, "invalidValue");
        entries(company, 2).await;
        for about in [&about[..], &about[..1]] {
            let refused = explain(company, about).await;
            assert_eq!(refused.len(), 1, "{refused:?}");
            contains(&refused, "changed a user, which was refused: roles is \"Boss\"; allowed here are ReadOnly, User, Admin");
        }

        body(company.scim.patch(&path, &to("ReadOnly")).await, 200);
        entries(company, 3).await;
        let not_granted = explain(company, &about).await;
        assert!(not_granted[0].starts_with("attribute: roles is ReadOnly; granted are Admin, User"), "{not_granted:?}");
        assert_eq!(not_granted.len(), 1, "what was refused is solved: {not_granted:?}");

        body(company.scim.patch(&path, &to("User")).await, 200);
        entries(company, 4).await;
        assert_eq!(explain(company, &about).await, [""; 0]);
    }

    async fn a_held_change_of_a_group_is_told_as_it_is_typed_and_solved_once_it_passes(company: &Company) {
        let people = [company.person("ada").await, company.person("bob").await];
        let group = company.group("Admins", &people.each_ref().map(String::as_str)).await;
        company.command(&["mapping", "set", &company.id, "--group", "Admins", "--role", "Admin"]).await;
        company.command(&["scim", "guard", &company.id, "--max", "1", "--percent", "0"]).await;
        let members = people.iter().map(|id| json!({ "value": id })).collect::<Vec<_>>();
        let remove = patch(&json!([{ "op": "remove", "path": "members", "value": members }]));
        body(company.scim.patch(&format!("/Groups/{group}"), &remove).await, 429);
        entries(company, 4).await;

        let held = explain(company, &["role-did-not-change", "--user", "ada"]).await;

        let of_change: Vec<_> = held.iter().filter(|told| told.starts_with("membership: ")).collect();
        let approve = format!("`provisioner scim guard {} approve`", company.id);
        assert_eq!(of_change.len(), 1, "{held:?}");
        assert!(of_change[0].contains("is held: it is part of a mass removal -> if it is meant, run"), "{held:?}");
        for told in held.iter().filter(|told| told.contains("approve")) {
            assert!(told.contains(&approve) && !told.contains("WORKSPACE"), "{told}");
        }

        company.command(&["scim", "guard", &company.id, "approve"]).await;
        body(company.scim.patch(&format!("/Groups/{group}"), &remove).await, 204);
        entries(company, 5).await;
        let passed = explain(company, &["role-did-not-change"]).await;
        assert_eq!(passed, [""; 0]);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_kept_for_30_days_or_as_long_as_is_set() {
    const HOUR: i64 = 3_600_000;
    let mut installation = Installation::on_sqlite().await;
    installation.workspace("acme").await;
    let url = format!("sqlite://{}/lockstep.db", installation.site.folder().display());
    let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
    for (target, age) in [("31-days", 31 * 24), ("29-days", 29 * 24), ("1-hour", 1)] {
        sqlx::query(
            "INSERT INTO provisioning_log
                 (workspace_id, id, at, request, credential, client, action, target, status, outcome, detail)
             VALUES ('acme', $1, CAST(unixepoch() AS INTEGER) * 1000 - $2, 'r', 'c', '', 'user.read', $3, 200, 'done', '{}')",
        )
        .bind(EntryId::new().to_string())
        .bind(age * HOUR)
        .bind(target)
        .execute(&mut database)
        .await
        .unwrap();
    }
    database.close().await.unwrap();
    let kept = async |installation: &Installation, count: usize| {
        let left = eventually(format!("{count} entries are left"), SOON, async || {
            let tail = installation.command(&["log", "tail", "acme"]).await;
            let targets: Vec<String> = tail["entries"].as_array().unwrap().iter().map(|entry| text(entry, "target")).collect();
            (targets.len() == count).then_some(targets)
        });
        left.await.unwrap()
    };

    // It sweeps when it starts.
    assert!(installation.provisioner.stop().await.unwrap().success());
    installation.provisioner = installation.site.provisioner().await.unwrap();
    assert_eq!(kept(&installation, 2).await, ["29-days", "1-hour"]);

    assert!(installation.provisioner.stop().await.unwrap().success());
    installation.site.set("provisioner.log_retention", "2h");
    installation.provisioner = installation.site.provisioner().await.unwrap();
    assert_eq!(kept(&installation, 1).await, ["1-hour"]);
}
