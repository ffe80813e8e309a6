//! The conversations of Okta (scim-dialects.md, 1.2): custom integrations that PUT whole people, catalogue ones that PATCH, and
//! group push in each of its forms.

use http::{HeaderMap, HeaderValue, Method, header};
use lockstep_tests::world::text;
use serde_json::{Value, json};

use super::super::{Company, GROUP, USER, body, essence, found, on_each_database, patch, refusal};

const TEST_USER: &str = "test.user@okta.local";

fn new_user() -> Value {
    json!({
        "schemas": [USER], "userName": TEST_USER, "name": { "givenName": "Test", "familyName": "User" },
        "emails": [{ "primary": true, "value": TEST_USER, "type": "work" }], "displayName": "Test User", "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7", "groups": [], "password": "1mz050nq-random", "active": true,
    })
}

fn headers() -> HeaderMap {
    let okta = [
        (header::USER_AGENT, "Okta SCIM Client 1.0.0"),
        (header::ACCEPT, "application/scim+json"),
        (header::ACCEPT_CHARSET, "utf-8"),
        (header::CONTENT_TYPE, "application/scim+json; charset=utf-8"),
    ];
    okta.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect()
}

on_each_database! {
    async fn a_person_of_a_custom_integration_is_put_in_and_out(company: &Company) {
        let scim = &company.scim;
        company.installation.site.secret("a placeholder password", "1mz050nq-random");
        let exists = format!("/Users?filter=userName%20eq%20%22{}%22&startIndex=1&count=100", TEST_USER.replace('@', "%40"));
        assert_eq!(body(scim.get("/Users?startIndex=1&count=2").await, 200)["totalResults"], 0);
        assert_eq!(body(scim.get(&exists).await, 200)["Resources"], json!([]));

        let created = body(scim.send(Method::POST, "/Users", headers(), Some(&new_user())).await, 201);

        assert!(!created.to_string().contains("password"), "{created}");
        let path = format!("/Users/{}", text(&created, "id"));
        let known = body(scim.get(&exists).await, 200);
        for number in ["itemsPerPage", "startIndex", "totalResults"] {
            assert_eq!(known[number], 1, "{number}");
        }
        refusal(scim.post("/Users", &new_user()).await, 409, "uniqueness");

        // It reads, changes one thing and sends everything back: `id`, `meta`, `groups`, `schemas`.
        let mut whole = body(scim.get(&path).await, 200);
        whole["name"]["familyName"] = json!("Changed");
        whole["groups"] = json!([]);
        let put = body(scim.send(Method::PUT, &path, headers(), Some(&whole)).await, 200);
        assert_eq!((&put["name"]["familyName"], &put["id"]), (&json!("Changed"), &created["id"]));
        let mut off = put.clone();
        off["active"] = json!(false);
        assert_eq!(body(scim.put(&path, &off).await, 200)["active"], false);
        assert_eq!(body(scim.get(&path).await, 200)["active"], false);
        off["active"] = json!(true);
        let back = body(scim.put(&path, &off).await, 200);

        assert_eq!(
            essence(&back),
            json!({
                "externalId": "00ujl29u0le5T6Aj10h7", "userName": TEST_USER, "active": true, "locale": "en-US",
                "name": { "givenName": "Test", "familyName": "Changed" }, "displayName": "Test User",
                "emails": [{ "primary": true, "value": TEST_USER, "type": "work" }],
            })
        );
        assert_eq!(company.all("/Users").await, json!([essence(&back)]));
    }

    async fn a_person_of_the_catalogue_is_patched_in_and_out(company: &Company) {
        let scim = &company.scim;
        let path = format!("/Users/{}", text(&body(scim.post("/Users", &new_user()).await, 201), "id"));

        for active in [false, true, false] {
            let operations = json!([{ "op": "replace", "value": { "active": active } }]);
            let answer = body(scim.send(Method::PATCH, &path, headers(), Some(&patch(&operations))).await, 200);

            assert_eq!(answer["active"], active);
            assert_eq!(answer["userName"], TEST_USER, "no full replacement");
        }
        let password = json!([{ "op": "replace", "value": { "password": "synchronised" } }]);
        let answer = body(scim.patch(&path, &patch(&password)).await, 200);
        assert!(!answer.to_string().contains("synchronised"));
    }

    async fn a_group_is_pushed_renamed_and_removed(company: &Company) {
        let scim = &company.scim;
        let people =
            [company.person("a@okta.local").await, company.person("b@okta.local").await, company.person("c@okta.local").await];
        let [a, b, c] = &people;
        let created =
            body(scim.post("/Groups", &json!({ "schemas": [GROUP], "displayName": "Test SCIMv2", "members": [] })).await, 201);
        let id = text(&created, "id");
        let path = format!("/Groups/{id}");
        let named = |id: &str| json!({ "value": id, "display": "somebody@okta.local" });

        let push = async |operations: Value| body(scim.patch(&path, &patch(&operations)).await, 204);
        push(json!([{ "op": "add", "path": "members", "value": [named(a), named(b)] }])).await;
        assert_eq!(company.members(&id).await, [a.clone(), b.clone()]);
        push(json!([{ "op": "replace", "value": { "id": id, "displayName": "Renamed" } }])).await;
        push(json!([
            { "op": "remove", "path": format!("members[value eq \"{a}\"]") },
            { "op": "add", "path": "members", "value": [named(c)] },
        ]))
        .await;
        assert_eq!(company.members(&id).await, [b.clone(), c.clone()]);
        push(json!([{ "op": "replace", "path": "members", "value": [named(a), named(c)] }])).await;
        assert_eq!(company.members(&id).await, [a.clone(), c.clone()], "push now");

        let foreign = json!([{ "op": "replace", "value": { "id": b, "displayName": "Stolen" } }]);
        refusal(scim.patch(&path, &patch(&foreign)).await, 400, "mutability");
        let listed = body(scim.get("/Groups?filter=displayName%20eq%20%22Renamed%22&startIndex=1&count=100").await, 200);
        assert_eq!(listed["Resources"][0]["id"], id.as_str());
        let put = json!({ "schemas": [GROUP], "displayName": "Put", "members": [named(b)] });
        let put = body(scim.put(&path, &put).await, 200);
        assert_eq!((text(&put, "displayName").as_str(), company.members(&id).await), ("Put", vec![b.clone()]));
        let nameless = json!({ "schemas": [GROUP], "displayName": "Put again" });
        body(scim.put(&path, &nameless).await, 200);
        assert_eq!(company.members(&id).await, std::slice::from_ref(b), "a PUT that does not speak of members leaves them");

        body(scim.delete(&path).await, 204);
        assert_eq!(found(scim, "/Groups", "displayName eq \"Put again\"").await, 0);
        assert_eq!(body(scim.get(&format!("/Users/{b}")).await, 200).get("groups"), None);
    }

    async fn an_import_walks_every_page_in_one_order(company: &Company) {
        let mut ids = Vec::new();
        for number in 0..7 {
            ids.push(company.person(&format!("user-{number}@okta.local")).await);
        }

        let mut walked = Vec::new();
        for start in [1, 4, 7] {
            let page = body(company.scim.get(&format!("/Users?startIndex={start}&count=3")).await, 200);
            walked.extend(page["Resources"].as_array().unwrap().iter().map(|user| text(user, "id")));
        }

        assert_eq!(walked, ids);
    }
}
