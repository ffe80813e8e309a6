//! Many operations at once (RFC 7644, section 3.7): each as if it had been sent by itself, in any order that its references allow, and
//! nobody hears of somebody without access before they are out.

use std::time::{Duration, Instant};

use http::StatusCode;
use lockstep_tests::{
    harness::scim::Scim,
    world::{Shape, World, deactivation, text},
};
use serde_json::{Value, json};

use super::{
    Company, ENTERPRISE, GROUP, USER, body, found,
    guard::done,
    log::{contains, entries, explain, says, short},
    on_each_database, patch, refusal, user,
};

const REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

fn bulk(operations: &Value) -> Value {
    json!({ "schemas": [REQUEST], "Operations": operations })
}

fn post_user(name: &str) -> Value {
    json!({ "method": "POST", "path": "/Users", "bulkId": name, "data": user(name) })
}

fn post_group(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|member| json!({ "value": format!("bulkId:{member}") })).collect();
    let data = json!({ "schemas": [GROUP], "displayName": name, "members": members });
    json!({ "method": "POST", "path": "/Groups", "bulkId": name, "data": data })
}

/// What became of each operation.
async fn outcomes(scim: &Scim, operations: &Value) -> Vec<Value> {
    let answer = body(scim.post("/Bulk", &bulk(operations)).await, 200);
    assert_eq!(answer["schemas"], json!([RESPONSE]));
    answer["Operations"].as_array().unwrap().clone()
}

fn statuses(outcomes: &[Value]) -> Vec<&str> {
    outcomes.iter().map(|outcome| outcome["status"].as_str().unwrap()).collect()
}

fn id(outcome: &Value) -> String {
    text(outcome, "location").rsplit('/').next().unwrap().to_owned()
}

on_each_database! {
    async fn a_company_comes_in_one_request(company: &Company) {
        let manager = json!({ "schemas": [USER, ENTERPRISE], "userName": "ada", ENTERPRISE: { "manager": { "value": "bulkId:grace" } } });

        let done = outcomes(&company.scim, &json!([
            post_group("Engineering", &["grace", "ada", "Research"]),
            { "method": "PATCH", "path": "/Users/bulkId:grace", "data": patch(&json!([{ "op": "add", "path": "title", "value": "Admiral" }])) },
            { "method": "post", "path": "/Users", "bulkId": "ada", "data": manager },
            post_user("grace"),
            post_group("Research", &["Engineering"]),
            { "method": "PUT", "path": "Groups/bulkId:Research", "data": {
                "displayName": "Science", "members": [{ "$ref": "../Users/bulkId:ada" }, { "value": "bulkId:Engineering" }] } },
        ]))
        .await;

        assert_eq!(statuses(&done), ["201", "200", "201", "201", "201", "200"], "{done:?}");
        let names: Vec<&Value> = done.iter().map(|outcome| &outcome["bulkId"]).collect();
        assert_eq!(names, [&json!("Engineering"), &Value::Null, &json!("ada"), &json!("grace"), &json!("Research"), &Value::Null]);
        assert!(done.iter().all(|outcome| outcome.get("response").is_none()), "{done:?}");
        let [engineering, ada, grace, research] = [0, 2, 3, 4].map(|at| id(&done[at]));
        let mut expected = [grace.clone(), ada.clone(), research.clone()];
        expected.sort();
        assert_eq!(company.members(&engineering).await, expected);
        let mut expected = [ada.clone(), engineering.clone()];
        expected.sort();
        assert_eq!(company.members(&research).await, expected);
        let ada = body(company.scim.get(&format!("/Users/{ada}")).await, 200);
        assert_eq!(ada[ENTERPRISE]["manager"]["value"], grace.as_str());
        assert_eq!((&ada["meta"]["location"], &ada["meta"]["version"]), (&done[2]["location"], &done[2]["version"]));
        let grace = body(company.scim.get(&format!("/Users/{grace}")).await, 200);
        assert_eq!((&grace["title"], &grace["meta"]["version"]), (&json!("Admiral"), &done[1]["version"]));
    }

    async fn s31_each_operation_fails_by_itself(company: &Company) {
        let foreigner = company.another().await.person("foreigner").await;
        let ada = company.person("ada").await;
        let stale = json!({ "method": "DELETE", "path": format!("/Users/{ada}"), "version": "W/\"7\"" });
        let operations = json!([
            post_user("ADA"),
            post_group("refers to a failure", &["ADA"]),
            post_group("refers to nobody", &["somebody"]),
            stale,
            { "method": "DELETE", "path": format!("/Users/{foreigner}") },
            { "method": "GET", "path": format!("/Users/{ada}") },
            { "method": "POST", "path": "/Bulk", "bulkId": "nested", "data": bulk(&json!([])) },
            { "method": "POST", "path": "/Users/.search", "bulkId": "search", "data": {} },
            { "method": "PUT", "path": "/ServiceProviderConfig", "data": {} },
            { "method": "DELETE", "path": "/Users" },
            { "method": "POST", "path": "/Users", "bulkId": "nameless", "data": {} },
            { "method": "POST", "path": "/Users", "data": user("no bulkId") },
            7,
            post_user("grace"),
        ]);

        let done = outcomes(&company.scim, &operations).await;

        let expected =
            ["409", "409", "400", "412", "404", "400", "400", "400", "400", "405", "400", "400", "400", "201"];
        assert_eq!(statuses(&done), expected, "{done:?}");
        for outcome in &done[..13] {
            assert_eq!(outcome["response"]["status"], outcome["status"], "{outcome}");
        }
        // RFC 7644, section 3.7: required, but of a POST that failed.
        let base = text(&body(company.scim.get(&format!("/Users/{ada}")).await, 200)["meta"], "location");
        let base = base.strip_suffix(&format!("/Users/{ada}")).unwrap();
        let expected = [(3, format!("/Users/{ada}")), (4, format!("/Users/{foreigner}")), (5, format!("/Users/{ada}")),
            (8, "/ServiceProviderConfig".to_owned()), (9, "/Users".to_owned())];
        for (at, outcome) in done[..13].iter().enumerate() {
            let path = expected.iter().find(|(place, _)| *place == at).map(|(_, path)| path);
            assert_eq!(outcome.get("location"), path.map(|path| json!(format!("{base}{path}"))).as_ref(), "{outcome}");
        }
        assert_eq!(done[0]["response"]["scimType"], "uniqueness");
        assert_eq!(found(&company.scim, "/Users", "userName pr").await, 2);
        assert_eq!(found(&company.scim, "/Groups", "displayName pr").await, 0);
    }

    async fn s31_of_a_circle_that_cannot_be_made_nothing_stays(company: &Company) {
        company.group("Taken", &[]).await;

        let done = outcomes(&company.scim, &json!([
            post_group("First", &["taken"]),
            post_group("taken", &["First", "ada"]),
            post_user("ada"),
        ]))
        .await;

        assert_eq!(statuses(&done), ["409", "409", "201"], "{done:?}");
        assert_eq!(found(&company.scim, "/Groups", "displayName pr").await, 1);
    }

    async fn s31_a_circle_is_taken_back_whatever_the_guard_holds(company: &Company) {
        let (leaver, stayer) = (company.person("leaver").await, company.person("taken").await);
        company.group("Taken", &[]).await;
        company.command(&["scim", "guard", &company.id, "--max", "1", "--percent", "0"]).await;
        done(company.scim.patch(&format!("/Users/{leaver}"), &deactivation()).await);
        body(company.scim.patch(&format!("/Users/{stayer}"), &deactivation()).await, 429);
        let managed = |name: &str, by: &str| {
            let data = json!({ "schemas": [USER, ENTERPRISE], "userName": name, ENTERPRISE: { "manager": { "value": format!("bulkId:{by}") } } });
            json!({ "method": "POST", "path": "/Users", "bulkId": name, "data": data })
        };
        let circles = json!([
            managed("ada", "taken"),
            managed("taken", "ada"),
            post_group("First", &["Second", "ada"]),
            post_group("Second", &["First"]),
            post_group("Third", &["Taken"]),
            post_group("Taken", &["Third"]),
        ]);

        let answers = outcomes(&company.scim, &circles).await;

        assert_eq!(statuses(&answers), ["409"; 6], "{answers:?}");
        assert_eq!((found(&company.scim, "/Users", "userName pr").await, found(&company.scim, "/Groups", "displayName pr").await), (2, 1));
        let guard = company.command(&["scim", "guard", &company.id]).await;
        assert_eq!((&guard["departed"], &guard["held"]["requests"]), (&json!(1), &json!(1)), "the guard has not heard of it");
        let entries = entries(company, 14).await;
        let others = ["user.deactivate", "user.find", "group.find"];
        let mut told: Vec<_> = entries.iter().map(short).filter(|(action, ..)| !others.contains(&action.as_str())).collect();
        told.sort();
        let mut expected = vec![says("bulk", 200, "done"), says("group.create", 201, "done")];
        expected.extend(vec![says("group.create", 409, "refused"); 4]);
        expected.extend(vec![says("user.create", 201, "done"); 2]);
        expected.extend(vec![says("user.create", 409, "refused"); 2]);
        assert_eq!(told, expected);
        contains(&explain(company, &["accounts-not-created", "--user", "ada"]).await, "mend what the other entries of the same request tell");
        let again = outcomes(&company.scim, &json!([post_user("ada"), post_group("Third", &["ada"])])).await;
        assert_eq!(statuses(&again), ["201", "201"]);
    }

    async fn every_operation_has_its_line_though_it_was_not_begun(company: &Company) {
        let ada = company.person("taken").await;
        let data = |name: &str, manager: &str| {
            json!({ "schemas": [USER, ENTERPRISE], "userName": name, ENTERPRISE: { "manager": { "value": format!("bulkId:{manager}") } } })
        };
        let operations = json!([
            { "method": "DELETE", "path": "/Users/bulkId:Jane Roe" },
            { "method": "PATCH", "path": "/Groups/bulkId:Jane Roe", "data": patch(&json!([{ "op": "add", "path": "members", "value": [] }])) },
            { "method": "PATCH", "path": format!("/Users/{ada}"), "data": patch(&json!([{ "op": "add", "path": "members[value eq \"bulkId:Jane Roe\"]", "value": "x" }])) },
            { "method": "POST", "path": "/Users", "bulkId": "1", "data": data("alone@lost.example", "Jane Roe") },
            { "method": "POST", "path": "/Users", "bulkId": "Mary Major", "data": user("taken") },
            { "method": "POST", "path": "/Users", "bulkId": "3", "data": data("depends@lost.example", "Mary Major") },
            { "method": "POST", "path": "/Users", "data": user("unnamed@lost.example") },
            { "method": "POST", "path": "/Users", "bulkId": "5", "data": user("left@lost.example") },
        ]);

        let whole = json!({ "Operations": operations, "failOnErrors": 7 });
        let answer = body(company.scim.post("/Bulk", &whole).await, 200);

        let answered = answer["Operations"].as_array().unwrap();
        assert_eq!(statuses(answered), ["400", "400", "400", "400", "409", "409", "400"], "{answered:?}");
        let entries = entries(company, 10).await;
        let told: Vec<_> = entries.iter().filter(|entry| entry["action"] != "bulk").map(short).collect();
        let refused = |action: &str, status: u64| says(action, status, "refused");
        assert_eq!(told, [
            says("user.create", 201, "done"),
            refused("user.delete", 400),
            refused("group.update", 400),
            refused("user.update", 400),
            refused("user.create", 400),
            refused("user.create", 409),
            refused("user.create", 409),
            refused("user.create", 400),
            refused("user.create", 0),
        ]);
        assert_eq!(entries[3]["target"], ada.as_str());
        for (name, why) in [
            ("alone@lost.example", "no operation of this request makes bulkId \"…\"; the request is not as SCIM has it"),
            ("depends@lost.example", "bulkId \"…\" was not made, or what it refers to was not; mend what the other entries"),
            ("unnamed@lost.example", "a POST needs a bulkId"),
            ("left@lost.example", "was not begun: as many operations before it had failed as the client allows"),
        ] {
            contains(&explain(company, &["accounts-not-created", "--user", name]).await, why);
        }
        let kept = serde_json::to_string(&entries).unwrap();
        assert!(!kept.contains("Jane") && !kept.contains("Mary") && !kept.contains("lost.example"), "{kept}");
    }

    async fn a_text_that_looks_like_a_reference_is_a_text(company: &Company) {
        let group = json!({ "displayName": "bulkId:ada", "externalId": "bulkId:nobody", "members": [{ "value": "bulkId:ada", "display": "bulkId:ada" }] });
        let title = patch(&json!([{ "op": "replace", "path": "title", "value": "bulkId:nobody" }]));
        let done = outcomes(&company.scim, &json!([
            { "method": "POST", "path": "/Groups", "bulkId": "g", "data": group },
            post_user("ada"),
            { "method": "PATCH", "path": "/Users/bulkId:ada", "data": title },
        ]))
        .await;

        assert_eq!(statuses(&done), ["201", "201", "200"], "{done:?}");
        let (group, ada) = (id(&done[0]), id(&done[1]));
        let shown = body(company.scim.get(&format!("/Groups/{group}")).await, 200);
        assert_eq!((&shown["displayName"], &shown["externalId"]), (&json!("bulkId:ada"), &json!("bulkId:nobody")));
        assert_eq!(company.members(&group).await, std::slice::from_ref(&ada));
        assert_eq!(body(company.scim.get(&format!("/Users/{ada}")).await, 200)["title"], "bulkId:nobody");
    }

    async fn s31_so_many_errors_end_a_request(company: &Company) {
        company.person("ada").await;
        let with = |most: Value| json!({ "failOnErrors": most, "Operations": [post_user("ADA"), post_user("grace")] });

        let stopped = body(company.scim.post("/Bulk", &with(json!(1))).await, 200);
        assert_eq!(statuses(stopped["Operations"].as_array().unwrap()), ["409"]);
        let went_on = body(company.scim.post("/Bulk", &with(json!(2))).await, 200);

        assert_eq!(statuses(went_on["Operations"].as_array().unwrap()), ["409", "201"]);
        refusal(company.scim.post("/Bulk", &with(json!("x"))).await, 400, "invalidValue");
    }

    async fn s31_a_request_that_is_too_large_or_ambiguous_does_nothing(company: &Company) {
        let many = |count: u32| (0..count).map(|number| post_user(&format!("user-{number}"))).collect::<Value>();
        refusal(company.scim.post("/Bulk", &bulk(&many(1_001))).await, 413, "");
        let large = json!({ "Operations": [{ "method": "POST", "path": "/Users", "bulkId": "x", "data": { "title": "x".repeat(5 * 1024 * 1024) } }] });
        refusal(company.scim.post("/Bulk", &large).await, 413, "");
        refusal(company.scim.post("/Bulk", &bulk(&json!([post_user("ada"), post_user("ada")]))).await, 400, "invalidSyntax");
        refusal(company.scim.post("/Bulk", &json!({ "Operations": 7 })).await, 400, "invalidSyntax");
        assert_eq!(found(&company.scim, "/Users", "userName pr").await, 0);

        // Larger than what a request of one operation may be, and as many as are announced.
        let config = body(company.scim.get("/ServiceProviderConfig").await, 200);
        assert_eq!(config["bulk"], json!({ "supported": true, "maxOperations": 1_000, "maxPayloadSize": 5 * 1024 * 1024 }));
        let mut allowed = many(1_000);
        for operation in allowed.as_array_mut().unwrap() {
            operation["data"]["title"] = "x".repeat(2_000).into();
        }
        let done = outcomes(&company.scim, &allowed).await;

        assert!(statuses(&done).iter().all(|status| *status == "201"));
        assert_eq!(found(&company.scim, "/Users", "userName pr").await, 1_000);
    }
}

/// Everybody of a company out, in one request; and one who was out before, whose own answer may have been lost.
fn all_out(people: &[&str], before: &str) -> Value {
    let out = |id: &&str| json!({ "method": "PATCH", "path": format!("/Users/{id}"), "data": deactivation() });
    let mut operations: Vec<Value> = people.iter().map(out).collect();
    operations.push(json!({ "method": "DELETE", "path": format!("/Users/{before}") }));
    operations.push(post_user("newcomer"));
    bulk(&Value::Array(operations))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i1_whoever_a_bulk_request_puts_out_is_out_when_it_is_answered() {
    let mut world = World::start(Shape { gateways: 2, ..Shape::default() }).await.unwrap();
    let (ada, grace, gone) =
        (world.person("ada").await.unwrap(), world.person("grace").await.unwrap(), world.person("gone").await.unwrap());
    let mut cookies = Vec::new();
    for person in [&ada, &grace] {
        let agent = world.sign_in(person).await.unwrap();
        let cookie = world.cookie(&agent).unwrap();
        assert_eq!(world.ask(0, &cookie).await.unwrap().status, StatusCode::OK);
        cookies.push(cookie);
    }
    world.scim.delete(&format!("/Users/{}", gone.id)).await.unwrap().expect_status(StatusCode::NO_CONTENT).unwrap();
    world.gateways[1].pause().await.unwrap();

    let begun = Instant::now();
    let answer = world.scim.post("/Bulk", &all_out(&[&ada.id, &grace.id], &gone.id)).await;
    let took = begun.elapsed();

    let done = body(answer, 200)["Operations"].clone();
    assert_eq!(statuses(done.as_array().unwrap()), ["200", "200", "404", "201"]);
    // It stood still from before the request on: a beat of one second may have been seen, hardly more.
    assert!(took >= Duration::from_millis(1_500), "the gateway that stands still was waited out: {took:?}");
    assert!(took < Duration::from_secs(6), "and once for all: {took:?}");
    for cookie in &cookies {
        assert_eq!(world.ask(0, cookie).await.unwrap().status, StatusCode::UNAUTHORIZED);
    }
    world.gateways[1].resume().unwrap();
    for cookie in &cookies {
        let answer = world.ask(1, cookie).await.unwrap();
        assert_ne!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_bulk_request_waits_once_and_not_for_each() {
    let mut world = World::start(Shape { gateways: 1, ..Shape::default() }).await.unwrap();
    let mut people = Vec::new();
    for number in 0..20 {
        people.push(world.person(&format!("person-{number}")).await.unwrap().id);
    }
    world.redis.stop().await.unwrap();
    let ids: Vec<&str> = people.iter().map(String::as_str).collect();

    let begun = Instant::now();
    let done = body(world.scim.post("/Bulk", &all_out(&ids, &people[0])).await, 200);

    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let done = done["Operations"].as_array().unwrap();
    assert!(statuses(&done[..20]).iter().all(|status| *status == "200"), "{done:?}");
}
