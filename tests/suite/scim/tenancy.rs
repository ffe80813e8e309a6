//! P16, P19: nothing of one workspace can be read, changed or even noticed from another, whatever is alike in both.

use http::{HeaderMap, Method};
use lockstep_tests::harness::scim::Scim;
use serde_json::{Value, json};

use super::{Company, USER, body, found, on_each_database, patch, refusal};

const NOBODY: &str = "01900000-0000-7000-8000-000000000000";

fn ada(external_id: &str) -> Value {
    json!({
        "schemas": [USER], "userName": "ada@shared.example", "externalId": external_id, "active": true,
        "emails": [{ "value": "ada@shared.example", "type": "work" }],
    })
}

async fn answer(scim: &Scim, method: &Method, path: &str) -> (u16, Value) {
    let sent = match *method {
        Method::PUT => Some(json!({ "userName": "taken@over.example", "displayName": "Taken over" })),
        Method::PATCH => Some(patch(&json!([
            { "op": "replace", "path": "displayName", "value": "Taken over" },
            { "op": "replace", "path": "active", "value": "False" },
        ]))),
        _ => None,
    };
    let answer = scim.send(method.clone(), path, HeaderMap::new(), sent.as_ref()).await.unwrap();
    (answer.status.as_u16(), answer.json().unwrap())
}

on_each_database! {
    async fn p16_an_id_of_another_workspace_is_like_one_that_never_was(company: &Company) {
        let theirs = company.another().await;
        let user = body(theirs.scim.post("/Users", &ada("1")).await, 201)["id"].as_str().unwrap().to_owned();
        let group = theirs.group("Shared", &[&user]).await;
        body(company.scim.post("/Users", &ada("1")).await, 201);
        company.group("Shared", &[]).await;
        let before = (theirs.all("/Users").await, theirs.all("/Groups").await);

        for (resources, id) in [("/Users", &user), ("/Groups", &group)] {
            for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
                let foreign = answer(&company.scim, &method, &format!("{resources}/{id}")).await;
                let random = answer(&company.scim, &method, &format!("{resources}/{NOBODY}")).await;

                assert_eq!(foreign, random, "{method} {resources}");
                assert_eq!(foreign.0, 404, "{method} {resources}");
            }
            assert_eq!(found(&company.scim, resources, &format!("id eq \"{id}\"")).await, 0);
            assert_eq!(found(&company.scim, resources, &format!("id eq \"{id}\" or id pr")).await, 1, "its own, and no other");
        }

        assert_eq!((theirs.all("/Users").await, theirs.all("/Groups").await), before);
        assert_eq!(found(&company.scim, "/Groups", &format!("members eq \"{user}\"")).await, 0);
    }

    async fn p19_what_is_alike_in_two_workspaces_stays_apart(company: &Company) {
        let other = company.another().await;
        for workspace in [company, &other] {
            let user = body(workspace.scim.post("/Users", &ada("1")).await, 201)["id"].as_str().unwrap().to_owned();
            workspace.group("Shared", &[&user]).await;
        }
        let theirs = other.all("/Users").await;

        let list = body(company.scim.get("/Users").await, 200);
        let path = format!("/Users/{}", list["Resources"][0]["id"].as_str().unwrap());
        body(company.scim.patch(&path, &patch(&json!([{ "op": "Replace", "path": "active", "value": "False" }]))).await, 200);
        body(company.scim.delete(&path).await, 204);

        assert_eq!(found(&company.scim, "/Users", "userName pr").await, 0);
        assert_eq!(other.all("/Users").await, theirs);
        for (resources, filter) in [("/Users", "externalId eq \"1\""), ("/Groups", "displayName eq \"Shared\"")] {
            assert_eq!(found(&other.scim, resources, filter).await, 1, "{filter}");
        }
        assert_eq!(body(other.scim.get("/Groups").await, 200)["Resources"][0]["members"].as_array().unwrap().len(), 1);
    }

    async fn p16_an_external_id_is_text_and_never_a_key_of_ours(company: &Company) {
        let id = company.person("admin@acme.example").await;

        for (number, external_id) in ["1", "0", "admin", "-1", id.as_str(), NOBODY].into_iter().enumerate() {
            let person = json!({ "userName": format!("user-{number}"), "externalId": external_id, "id": id });
            let made = body(company.scim.post("/Users", &person).await, 201);

            assert_eq!(made["externalId"], external_id);
            assert_ne!(made["id"], id.as_str());
            refusal(company.scim.get("/Users/1").await, 404, "");
        }
        assert_eq!(body(company.scim.get(&format!("/Users/{id}")).await, 200)["userName"], "admin@acme.example");
    }
}
