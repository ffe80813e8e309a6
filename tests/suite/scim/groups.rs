//! Members are rows: side by side nobody is lost, and what a member is, or whether they are known yet, is no obstacle.

use lockstep_tests::{harness::postgres::Postgres, world::text};
use serde_json::{Value, json};
use sqlx::Connection;
use tokio::task::JoinSet;

use super::{Company, GROUP, Installation, body, on_each_database, patch, refusal};

fn add(id: &str) -> Value {
    patch(&json!([{ "op": "Add", "path": "members", "value": [{ "value": id }] }]))
}

/// An id of the right shape that names nobody.
fn stranger(number: u32) -> String {
    format!("01900000-0000-7000-8000-{number:012x}")
}

async fn send_each(company: &Company, group: &str, bodies: Vec<Value>) {
    let mut sent = JoinSet::new();
    for body in bodies {
        let (scim, path) = (company.scim.clone(), format!("/Groups/{group}"));
        sent.spawn(async move { scim.patch(&path, &body).await });
    }
    while let Some(answer) = sent.join_next().await {
        body(answer.unwrap(), 204);
    }
}

on_each_database! {
    async fn sixty_four_changes_side_by_side_lose_nobody(company: &Company) {
        let people: Vec<String> = (0..64).map(stranger).collect();
        let group = company.group("Everybody", &[]).await;

        send_each(company, &group, people.iter().map(|id| add(id)).collect()).await;
        assert_eq!(company.members(&group).await, people);

        let (gone, kept): (Vec<_>, Vec<_>) = people.iter().enumerate().partition(|(number, _)| number % 2 == 0);
        let remove = |id: &String| patch(&json!([{ "op": "remove", "path": format!("members[value eq \"{id}\"]") }]));
        send_each(company, &group, gone.into_iter().map(|(_, id)| remove(id)).collect()).await;
        assert_eq!(company.members(&group).await, kept.into_iter().map(|(_, id)| id.clone()).collect::<Vec<_>>());
    }

    async fn a_member_may_come_before_the_person_and_is_shown_as_nobody(company: &Company) {
        let foreigner = company.another().await.person("foreigner@other.example").await;
        let group = company.group("Early", &[&foreigner, &stranger(1)]).await;

        let shown = body(company.scim.get(&format!("/Groups/{group}")).await, 200);

        let mut expected = [foreigner, stranger(1)];
        expected.sort();
        assert_eq!(company.members(&group).await, expected);
        assert!(!shown.to_string().contains("foreigner@"), "nothing of the other workspace is told: {shown}");
    }

    async fn a_group_may_be_in_a_group_in_itself_and_in_a_circle(company: &Company) {
        let ada = company.person("ada@acme.example").await;
        let inner = company.group("Inner", &[&ada]).await;
        let outer = company.group("Outer", &[&inner]).await;
        body(company.scim.patch(&format!("/Groups/{inner}"), &add(&outer)).await, 204);
        body(company.scim.patch(&format!("/Groups/{outer}"), &add(&outer)).await, 204);

        let shown = body(company.scim.get(&format!("/Groups/{outer}")).await, 200);

        let member = shown["members"].as_array().unwrap().iter().find(|member| member["value"] == inner.as_str()).unwrap();
        assert_eq!(member["type"], "Group");
        assert!(text(member, "$ref").ends_with(&format!("/Groups/{inner}")), "{member}");
        let groups = body(company.scim.get(&format!("/Users/{ada}")).await, 200)["groups"].clone();
        assert_eq!(groups.as_array().unwrap().len(), 1, "direct memberships alone: {groups}");
        body(company.scim.delete(&format!("/Groups/{inner}")).await, 204);
        assert_eq!(company.members(&outer).await, [outer]);
    }

    async fn ten_thousand_members_are_taken_and_one_more_is_too_many(company: &Company) {
        let group = company.group("Large", &[]).await;
        let path = format!("/Groups/{group}");
        let members = |count: u32| (0..count).map(|number| json!({ "value": stranger(number) })).collect::<Value>();

        refusal(
            company.scim.patch(&path, &patch(&json!([{ "op": "add", "path": "members", "value": members(10_001) }]))).await,
            413,
            "",
        );
        refusal(company.scim.post("/Groups", &json!({ "displayName": "Larger", "members": members(10_001) })).await, 413, "");
        assert_eq!(company.members(&group).await, Vec::<String>::new(), "nothing of it was kept");
        body(
            company.scim.patch(&path, &patch(&json!([{ "op": "add", "path": "members", "value": members(10_000) }]))).await,
            204,
        );

        assert_eq!(company.members(&group).await.len(), 10_000);
        let one = patch(&json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", stranger(5_000)) }]));
        body(company.scim.patch(&path, &one).await, 204);
        assert_eq!(company.members(&group).await.len(), 9_999);
    }

    async fn s23_odd_members_are_read_or_refused_and_never_half_kept(company: &Company) {
        let ada = company.person("ada@acme.example").await;
        let group = company.group("Odd", &[&ada]).await;
        let path = format!("/Groups/{group}");

        for harmless in [
            json!([{ "op": "add", "path": "members", "value": [null] }]),
            json!([{ "op": "add", "path": "members", "value": [] }]),
            json!([{ "op": "remove", "path": "members", "value": [] }]),
            json!([{ "op": "remove", "path": "members", "value": [{ "value": stranger(9) }] }]),
            json!([{ "op": "add", "path": "members", "value": [{ "value": ada }, { "value": ada }] }]),
            json!([{ "op": "add", "path": "members", "value": ada }]),
            json!([
                { "op": "add", "path": "members", "value": [{ "value": stranger(1) }] },
                { "op": "remove", "path": "members", "value": [{ "value": stranger(1) }] },
            ]),
            json!([{ "op": "remove", "path": format!("members[value eq \"{}\" or value eq \"{}\"]", stranger(1), stranger(2)) }]),
        ] {
            body(company.scim.patch(&path, &patch(&harmless)).await, 204);
            assert_eq!(company.members(&group).await, std::slice::from_ref(&ada), "{harmless}");
        }
        for (bad, scim_type) in [
            (json!({ "op": "add", "path": "members", "value": [{ "display": "x" }] }), "invalidValue"),
            (json!({ "op": "add", "path": "members", "value": [7] }), "invalidValue"),
            (json!({ "op": "replace", "path": format!("members[value eq \"{ada}\"].value"), "value": "x" }), "mutability"),
            (json!({ "op": "add", "path": "members[value eq \"x\"" , "value": [] }), "invalidPath"),
        ] {
            let both = json!([{ "op": "add", "path": "members", "value": [{ "value": stranger(3) }] }, bad]);
            refusal(company.scim.patch(&path, &patch(&both)).await, 400, scim_type);
            assert_eq!(company.members(&group).await, std::slice::from_ref(&ada), "s24 {bad}");
        }
        body(company.scim.patch(&path, &patch(&json!([{ "op": "remove", "path": "members" }]))).await, 204);
        assert_eq!(company.members(&group).await, Vec::<String>::new());
    }

    async fn members_are_answered_as_asked(company: &Company) {
        let ada = company.person("ada@acme.example").await;
        let group = company.group("Asked", &[&ada]).await;
        let keys = |resource: &Value| resource.as_object().unwrap().keys().cloned().collect::<Vec<_>>();

        for (query, expected) in [
            ("", &["schemas", "id", "displayName", "members", "meta"][..]),
            ("?excludedAttributes=members", &["schemas", "id", "displayName", "meta"]),
            ("?excludedAttributes=MEMBERS,meta", &["schemas", "id", "displayName"]),
            ("?attributes=members", &["schemas", "id", "members"]),
            ("?attributes=displayName", &["schemas", "id", "displayName"]),
        ] {
            assert_eq!(keys(&body(company.scim.get(&format!("/Groups/{group}{query}")).await, 200)), expected, "{query}");
            let list = body(company.scim.get(&format!("/Groups{query}")).await, 200);
            assert_eq!(keys(&list["Resources"][0]), expected, "{query}");
        }
        let named = body(company.scim.get(&format!("/Groups/{group}?attributes=members.display")).await, 200);
        assert_eq!(named["members"][0]["display"], "ada@acme.example", "where the provider says nothing, the person's name");
        let called = json!([{ "op": "add", "path": "members", "value": [{ "value": stranger(2), "displayName": "new User" }] }]);
        body(company.scim.patch(&format!("/Groups/{group}"), &patch(&called)).await, 204);
        let shown = body(company.scim.get(&format!("/Groups/{group}?attributes=members")).await, 200);
        let member = shown["members"].as_array().unwrap().iter().find(|member| member["value"] == stranger(2)).unwrap();
        assert_eq!(member["display"], "new User", "as the provider calls it");
        let added = body(company.scim.patch(&format!("/Groups/{group}?attributes=displayName"), &add(&stranger(1))).await, 200);
        assert_eq!(added["displayName"], "Asked");
        let created = json!({ "schemas": [GROUP], "displayName": "Lean", "members": [{ "value": ada }] });
        let created = body(company.scim.post("/Groups?excludedAttributes=members", &created).await, 201);
        assert!(created.get("members").is_none(), "{created}");
    }

    async fn who_is_deleted_leaves_their_groups(company: &Company) {
        let (ada, bob) = (company.person("ada@acme.example").await, company.person("bob@acme.example").await);
        let group = company.group("Left", &[&ada, &bob]).await;

        body(company.scim.delete(&format!("/Users/{ada}")).await, 204);

        assert_eq!(company.members(&group).await, [bob]);
    }
}

/// The table of members is taken away: whatever reads it, fails.
const UNREADABLE: &str = "ALTER TABLE group_members RENAME TO group_members_elsewhere";

/// A group whose members nobody can read is shown, found, listed and renamed like any other, where they are not asked for.
async fn no_member_is_read_unasked(installation: &Installation, take_away: impl AsyncFnOnce()) {
    let scim = installation.workspace("lean").await;
    let ada = text(&body(scim.post("/Users", &json!({ "userName": "ada" })).await, 201), "id");
    let crew = body(scim.post("/Groups", &json!({ "displayName": "Crew", "members": [{ "value": ada }] })).await, 201);
    let path = format!("/Groups/{}", text(&crew, "id"));

    take_away().await;

    for query in ["excludedAttributes=members", "attributes=displayName", "excludedAttributes=MEMBERS,meta"] {
        assert_eq!(body(scim.get(&format!("{path}?{query}")).await, 200)["displayName"], "Crew", "{query}");
        for filter in ["", "&filter=displayName%20eq%20%22crew%22", "&filter=displayName%20co%20%22rew%22", "&sortBy=displayName"]
        {
            let list = body(scim.get(&format!("/Groups?{query}{filter}")).await, 200);
            assert_eq!(
                (&list["totalResults"], &list["Resources"][0]["displayName"]),
                (&json!(1), &json!("Crew")),
                "{query}{filter}"
            );
        }
    }
    let search = json!({ "excludedAttributes": ["members"], "filter": "displayName eq \"Crew\"" });
    assert_eq!(body(scim.post("/Groups/.search", &search).await, 200)["totalResults"], 1);
    for asked in [path.clone(), format!("{path}?excludedAttributes=displayName"), "/Groups".to_owned()] {
        let status = scim.get(&asked).await.unwrap().status;
        assert!(status.is_server_error(), "{asked}: {status}: they were to be unreadable");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_without_members_reads_none_on_sqlite() {
    let installation = Installation::on_sqlite().await;
    let url = format!("sqlite://{}/lockstep.db", installation.site.folder().display());

    no_member_is_read_unasked(&installation, async || {
        sqlx::query(UNREADABLE).execute(&mut sqlx::SqliteConnection::connect(&url).await.unwrap()).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_without_members_reads_none_on_postgres() {
    let database = Postgres::shared().await.unwrap().database().await.unwrap();
    let installation = Installation::on_postgres(&database).await;

    no_member_is_read_unasked(&installation, async || {
        sqlx::query(UNREADABLE).execute(&mut sqlx::PgConnection::connect(database.url()).await.unwrap()).await.unwrap();
    })
    .await;
}
