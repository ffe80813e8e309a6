//! Pages by cursor (RFC 9865): nobody is lost or shown twice, whoever comes and goes meanwhile; and no cursor serves for anything
//! but the request that it was made for.

use std::collections::HashSet;

use lockstep_tests::{harness::scim::Scim, world::text};
use serde_json::{Value, json};

use super::{Company, body, on_each_database, patch, refusal};

/// Walks to the end, and calls `between` after each page with its number.
async fn walk(scim: &Scim, resources: &str, query: &str, mut between: impl AsyncFnMut(usize)) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    for number in 1.. {
        let page = body(scim.get(&format!("{resources}?cursor={cursor}&{query}")).await, 200);
        let resources = page["Resources"].as_array().unwrap();
        assert_eq!(page["itemsPerPage"], resources.len());
        assert!(page.get("startIndex").is_none() && page.get("previousCursor").is_none(), "{page}");
        all.extend(resources.iter().cloned());
        let Some(next) = page["nextCursor"].as_str() else { break };
        let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        assert!(next.chars().all(is_unreserved), "{next}");
        cursor = next.to_owned();
        between(number).await;
    }
    all
}

fn names(resources: &[Value]) -> Vec<String> {
    resources
        .iter()
        .map(|resource| resource["userName"].as_str().or(resource["displayName"].as_str()).unwrap().to_owned())
        .collect()
}

async fn people(company: &Company, count: u32) -> Vec<String> {
    let operations: Vec<Value> = (0..count)
        .map(|number| {
            let data = json!({ "userName": format!("user-{number:03}"), "title": if number % 2 == 0 { "Even" } else { "odd" } });
            json!({ "method": "POST", "path": "/Users", "bulkId": number.to_string(), "data": data })
        })
        .collect();
    let done = body(company.scim.post("/Bulk", &json!({ "Operations": operations })).await, 200);
    let done = done["Operations"].as_array().unwrap();
    done.iter().map(|outcome| text(outcome, "location").rsplit('/').next().unwrap().to_owned()).collect()
}

on_each_database! {
    async fn a_walk_loses_nobody_and_shows_nobody_twice(company: &Company) {
        let ids = people(company, 60).await;
        let scim = &company.scim;

        let seen = walk(scim, "/Users", "count=7&attributes=userName", async |page| {
            // Somebody who was shown, the very last one that was, somebody who was not; and somebody new.
            for gone in [page - 1, page * 7 - 1, 59 - page] {
                scim.delete(&format!("/Users/{}", ids[gone])).await.unwrap();
            }
            company.person(&format!("late-{page}")).await;
        })
        .await;

        let names = names(&seen);
        let distinct: HashSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
        let stayed = (0..60).filter(|number| *number < 49);
        let missing: Vec<usize> = stayed.filter(|number| !names.contains(&format!("user-{number:03}"))).collect();
        assert!(missing.is_empty(), "{missing:?} of {names:?}");
        assert!(names.iter().any(|name| name.starts_with("late-")), "who is made meanwhile comes at the end: {names:?}");
        let last_of_old = names.iter().rposition(|name| name.starts_with("user-")).unwrap();
        assert!(names[last_of_old + 1..].iter().all(|name| name.starts_with("late-")), "{names:?}");
    }

    async fn a_walk_goes_by_filter_order_and_page_size(company: &Company) {
        people(company, 25).await;
        let scim = &company.scim;
        let nothing = async |_| {};

        let even = walk(scim, "/Users", "count=5&filter=title+eq+%22even%22", nothing).await;
        let descending = walk(scim, "/Users", "count=4&sortBy=userName&sortOrder=descending", nothing).await;
        let by_title = walk(scim, "/Users", "count=3&sortBy=title&filter=userName+lt+%22user-010%22", nothing).await;
        let one = walk(scim, "/Users", "count=5&filter=userName+eq+%22USER-003%22", nothing).await;
        let without_a_size = walk(scim, "/Users", "", nothing).await;
        let exactly = walk(scim, "/Users", "count=25", async |_| panic!("the first page is the last")).await;

        assert_eq!(names(&even), (0..25).step_by(2).map(|number| format!("user-{number:03}")).collect::<Vec<_>>());
        assert_eq!(names(&descending), (0..25).rev().map(|number| format!("user-{number:03}")).collect::<Vec<_>>());
        assert_eq!(names(&by_title), [0, 2, 4, 6, 8, 1, 3, 5, 7, 9].map(|number| format!("user-{number:03}")));
        assert_eq!(names(&one), ["user-003"]);
        assert_eq!((without_a_size.len(), exactly.len()), (25, 25));
        let total = body(scim.get("/Users?cursor=&count=0").await, 200);
        assert_eq!((&total["totalResults"], &total["itemsPerPage"]), (&json!(25), &json!(0)));
        assert!(total.get("nextCursor").is_none(), "{total}");
    }

    async fn a_walk_leads_from_users_to_groups_and_by_post_too(company: &Company) {
        people(company, 5).await;
        for number in 0..5 {
            company.group(&format!("group-{number}"), &[]).await;
        }

        for count in [1, 2, 5, 10] {
            let all = walk(&company.scim, "/", &format!("count={count}"), async |_| {}).await;
            let expected: Vec<String> = (0..5).map(|number| format!("user-{number:03}")).chain((0..5).map(|number| format!("group-{number}"))).collect();
            assert_eq!(names(&all), expected, "{count}");
        }
        let search = json!({ "cursor": "", "count": 3, "filter": "displayName pr", "attributes": ["displayName"] });
        let first = body(company.scim.post("/Groups/.search", &search).await, 200);
        let mut second = search.clone();
        second["cursor"] = first["nextCursor"].clone();
        let second = body(company.scim.post("/Groups/.search", &second).await, 200);

        assert_eq!(names(second["Resources"].as_array().unwrap()), ["group-3", "group-4"]);
        assert!(second.get("nextCursor").is_none());
    }

    async fn s28_a_cursor_serves_for_its_own_request_alone(company: &Company) {
        let other = company.another().await;
        people(company, 3).await;
        people(&other, 3).await;
        let first = async |scim: &Scim, query: &str| {
            text(&body(scim.get(&format!("{query}cursor=&count=1")).await, 200), "nextCursor")
        };
        let cursor = first(&company.scim, "/Users?").await;
        let mut forged = cursor.clone().into_bytes();
        let middle = forged.len() / 2;
        forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();

        for (what, path) in [
            ("forged", format!("/Users?count=1&cursor={forged}")),
            ("shortened", format!("/Users?count=1&cursor={}", &cursor[..cursor.len() - 1])),
            ("nonsense", "/Users?count=1&cursor=1".to_owned()),
            ("long", format!("/Users?count=1&cursor={}", "a".repeat(4_000))),
            ("of another workspace", format!("/Users?count=1&cursor={}", first(&other.scim, "/Users?").await)),
            ("of another path", format!("/Groups?count=1&cursor={cursor}")),
            ("with another filter", format!("/Users?count=1&filter=userName+pr&cursor={cursor}")),
            ("with another order", format!("/Users?count=1&sortBy=userName&cursor={cursor}")),
            ("with another projection", format!("/Users?count=1&attributes=userName&cursor={cursor}")),
        ] {
            let refused = company.scim.get(&path).await;
            assert_eq!(refused.as_ref().unwrap().status, 400, "{what}");
            refusal(refused, 400, "invalidCursor");
        }
        refusal(company.scim.get(&format!("/Users?count=2&cursor={cursor}")).await, 400, "invalidCount");
        for count in ["x", "-1", "1.5"] {
            refusal(company.scim.get(&format!("/Users?cursor=&count={count}")).await, 400, "invalidCount");
        }
        let good = body(company.scim.get(&format!("/Users?count=1&cursor={cursor}")).await, 200);
        assert_eq!(names(good["Resources"].as_array().unwrap()), ["user-001"]);
        let stranger = company.scim.with_token("nonsense").get(&format!("/Users?count=1&cursor={cursor}")).await.unwrap();
        assert_eq!(stranger.status, 401, "a cursor is no credential");
    }

    async fn a_page_far_behind_in_an_order_is_that_part_of_the_whole(company: &Company) {
        let ids = people(company, 150).await;
        for (number, id) in ids.iter().enumerate().step_by(10) {
            company.group(&format!("group-{number:03}"), &[id]).await;
        }
        let order = "sortBy=userName&sortOrder=descending&attributes=userName,groups";
        let whole = body(company.scim.get(&format!("/Users?count=1000&{order}")).await, 200);
        let whole = whole["Resources"].as_array().unwrap();

        let mut pages = Vec::new();
        for start in (1..=150).step_by(40) {
            let page = body(company.scim.get(&format!("/Users?startIndex={start}&count=40&{order}")).await, 200);
            assert_eq!(page["totalResults"], 150);
            pages.extend(page["Resources"].as_array().unwrap().iter().cloned());
        }

        let mut wanted: Vec<String> = (0..150).map(|number| format!("user-{number:03}")).collect();
        wanted.reverse();
        assert_eq!((names(whole), pages.as_slice()), (wanted, whole.as_slice()));
        for (number, user) in whole.iter().rev().enumerate() {
            let group = user["groups"][0]["display"].as_str().map(ToOwned::to_owned);
            assert_eq!(group, (number % 10 == 0).then(|| format!("group-{number:03}")), "{user}");
        }
        let behind = body(company.scim.get(&format!("/Users?startIndex=151&count=40&{order}")).await, 200);
        assert_eq!((&behind["totalResults"], &behind["itemsPerPage"]), (&json!(150), &json!(0)));
    }

    async fn index_paging_stays_the_default(company: &Company) {
        people(company, 3).await;

        let page = body(company.scim.get("/Users?count=1").await, 200);
        let config = body(company.scim.get("/ServiceProviderConfig").await, 200);

        assert_eq!((&page["totalResults"], &page["startIndex"]), (&json!(3), &json!(1)));
        assert!(page.get("nextCursor").is_none());
        assert_eq!(
            config["pagination"],
            json!({ "cursor": true, "index": true, "defaultPaginationMethod": "index", "defaultPageSize": 100, "maxPageSize": 1_000, "cursorTimeout": 3_600 })
        );
    }

    async fn a_search_of_both_types_can_be_put_in_order(company: &Company) {
        let ada = company.person("Ada").await;
        for name in ["beta", "Alpha"] {
            company.group(name, &[&ada]).await;
        }
        body(company.scim.patch(&format!("/Users/{ada}"), &patch(&json!([{ "op": "add", "path": "displayName", "value": "Aleph" }]))).await, 200);

        let list = body(company.scim.get("/?sortBy=displayName").await, 200);

        let shown: Vec<&Value> = list["Resources"].as_array().unwrap().iter().map(|resource| &resource["displayName"]).collect();
        assert_eq!(shown, ["Aleph", "Alpha", "beta"]);
        assert_eq!(list["Resources"][1]["members"][0]["value"], ada.as_str());
    }
}
