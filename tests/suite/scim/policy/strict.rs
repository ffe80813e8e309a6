//! The strict profile: the right column of the table of what is forgiven (draft-zollner-scim-interop-profile-02).

use http::{HeaderMap, HeaderValue, Method, header};
use lockstep_tests::world::text;
use serde_json::{Value, json};

use super::{Company, ENTERPRISE, GROUP, PATCH, USER, body, found, on_each_database, patch, refusal};

fn good(name: &str) -> Value {
    json!({ "schemas": [USER], "userName": name, "active": true, "emails": [{ "value": format!("{name}@x.example"), "type": "work" }] })
}

fn with(name: &str, more: &Value) -> Value {
    let mut body = good(name);
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

on_each_database! {
    async fn what_is_forgiven_otherwise_is_refused(company: &Company) {
        let lenient = body(company.scim.get("/ServiceProviderConfig").await, 200);
        assert!(lenient.get("interopProfileConformant").is_none() && lenient["etag"]["supported"] == true);
        company.ask(&["scim", "set"], &["--profile", "strict"]).await;
        let config = body(company.scim.get("/ServiceProviderConfig").await, 200);
        assert_eq!((&config["interopProfileConformant"], &config["etag"]["supported"]), (&json!(true), &json!(false)));

        let person = format!("/Users/{}", text(&body(company.scim.post("/Users", &good("jo")).await, 201), "id"));
        let members = json!([{ "value": person.rsplit('/').next().unwrap() }]);
        let group = json!({ "schemas": [GROUP], "displayName": "Sales", "members": members });
        let group = format!("/Groups/{}", text(&body(company.scim.post("/Groups", &group).await, 201), "id"));
        let before = (body(company.scim.get(&person).await, 200), body(company.scim.get(&group).await, 200));

        for (more, reason) in [
            (json!({ "shoeSize": 7 }), "invalidSyntax"),
            (json!({ "urn:x:y": {} }), "invalidSyntax"),
            (json!({ "schemas": [USER, "urn:x:y"] }), "invalidSyntax"),
            (json!({ "password": "1mz050nq" }), "invalidSyntax"),
            (json!({ ENTERPRISE: { "department": "x" } }), "invalidSyntax"),
            (json!({ "active": "True" }), "invalidValue"),
            (json!({ "schemas": [USER, ENTERPRISE], ENTERPRISE: { "manager": "m1" } }), "invalidValue"),
            (json!({ "profileUrl": "not a url at all" }), "invalidValue"),
            (json!({ "x509Certificates": [{ "value": "A" }] }), "invalidValue"),
            (json!({ "id": "mine" }), "mutability"),
            (json!({ "meta": { "resourceType": "User" } }), "mutability"),
            (json!({ "groups": [] }), "mutability"),
        ] {
            refusal(company.scim.post("/Users", &with("moe", &more)).await, 400, reason);
        }
        for (path, operation, reason) in [
            (&person, json!({ "op": "replace", "value": { "active": false } }), "invalidSyntax"),
            (&person, json!({ "op": "Replace", "path": "active", "value": "False" }), "invalidValue"),
            (&person, json!({ "op": "replace", "path": "emails[type eq \"home\"].value", "value": "a@x.example" }), "noTarget"),
            (&person, json!({ "op": "replace", "path": "shoeSize", "value": 7 }), "invalidSyntax"),
            (&person, json!({ "op": "replace", "path": "password", "value": "1mz050nq" }), "invalidSyntax"),
            (&person, json!({ "op": "replace", "path": "id", "value": "mine" }), "mutability"),
            (&person, json!({ "op": "add", "path": format!("{ENTERPRISE}:manager"), "value": "m1" }), "invalidValue"),
            (&group, json!({ "op": "Remove", "path": "members", "value": members }), "invalidSyntax"),
            (&group, json!({ "op": "add", "path": "members", "value": "u1" }), "invalidValue"),
        ] {
            refusal(company.scim.patch(path, &patch(&json!([operation]))).await, 400, reason);
        }
        let unlisted = json!({ "Operations": [{ "op": "replace", "path": "title", "value": "x" }] });
        refusal(company.scim.patch(&person, &unlisted).await, 400, "invalidSyntax");
        for filter in ["userName eq jo", "shoeSize eq \"7\"", "active eq \"True\"", "manager eq \"m1\"", "meta.created gt \"2020-02-28\""] {
            refusal(company.scim.find("/Users", filter).await, 400, "invalidFilter");
        }
        for schemas in [json!(null), json!(["x"])] {
            let search = json!({ "schemas": schemas, "filter": "userName eq \"jo\"" });
            refusal(company.scim.post("/Users/.search", &search).await, 400, "invalidSyntax");
        }
        let after = (body(company.scim.get(&person).await, 200), body(company.scim.get(&group).await, 200));
        assert_eq!(before, after, "nothing of a refused request stays");
        assert_eq!(found(&company.scim, "/Users", "userName eq \"JO\" and id pr").await, 1);
    }

    async fn what_is_not_announced_is_not_there(company: &Company) {
        company.ask(&["scim", "set"], &["--profile", "strict"]).await;
        let member = |id: &str| json!({ "schemas": [GROUP], "displayName": "Sales", "members": [{ "value": id }] });
        let renamed = |path: &str| json!([{ "op": "replace", "path": path, "value": "x" }]);
        let search = |more: &Value| {
            let mut search = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"] });
            search.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            search
        };

        let made = company.scim.post("/Users", &good("jo")).await.unwrap();
        let id = text(&made.json::<Value>().unwrap(), "id");
        let person = format!("/Users/{id}");
        let group = company.scim.post("/Groups", &member(&id)).await.unwrap();
        let team = format!("/Groups/{}", text(&group.json::<Value>().unwrap(), "id"));
        let mut seen = Vec::new();
        for answer in [
            made,
            group,
            company.scim.get(&person).await.unwrap(),
            company.scim.get(&format!("{person}?attributes=userName,meta")).await.unwrap(),
            company.scim.get(&format!("{person}?attributes=userName,meta.version,meta.created")).await.unwrap(),
            company.scim.get(&format!("{person}?excludedAttributes=emails")).await.unwrap(),
            company.scim.get(&team).await.unwrap(),
            company.scim.put(&person, &good("jo")).await.unwrap(),
            company.scim.put(&team, &member(&id)).await.unwrap(),
            company.scim.patch(&person, &patch(&renamed("title"))).await.unwrap(),
            company.scim.patch(&format!("{team}?attributes=meta"), &patch(&renamed("displayName"))).await.unwrap(),
        ] {
            assert_eq!((answer.status.is_success(), answer.header("etag")), (true, ""), "{}", answer.url);
            seen.push(answer.json::<Value>().unwrap());
        }
        let brief = company.scim.patch(&team, &patch(&renamed("displayName"))).await.unwrap();
        assert_eq!((brief.status.as_u16(), brief.header("etag")), (204, ""));
        for answer in [
            company.scim.get("/Users").await,
            company.scim.get("/Groups?cursor=").await,
            company.scim.post("/Users/.search", &search(&json!({ "attributes": ["meta"] }))).await,
            company.scim.post("/.search", &search(&json!({}))).await,
        ] {
            seen.extend(body(answer, 200)["Resources"].as_array().unwrap().clone());
        }
        for resource in &seen {
            let meta = resource["meta"].as_object().unwrap();
            assert!(meta.contains_key("created") && !meta.contains_key("version"), "{resource}");
        }
        let bulk = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [{ "method": "POST", "path": "/Users", "bulkId": "b", "data": good("moe") }],
        });
        let done = body(company.scim.post("/Bulk", &bulk).await, 200);
        assert_eq!((&done["Operations"][0]["status"], done["Operations"][0].get("version")), (&json!("201"), None));

        company.ask(&["scim", "set"], &["--profile", "lenient"]).await;
        let announced = company.scim.get(&person).await.unwrap();
        assert_eq!(announced.header("etag"), text(&announced.json::<Value>().unwrap()["meta"], "version"));
    }

    async fn rfc_7644_3_5_2_3_forms_that_clients_are_told_to_avoid_are_done_all_the_same(company: &Company) {
        company.ask(&["scim", "set"], &["--profile", "strict"]).await;
        let path = format!("/Users/{}", text(&body(company.scim.post("/Users", &good("jo")).await, 201), "id"));
        let replace = |path: &str, value: Value| patch(&json!([{ "op": "replace", "path": path, "value": value }]));

        let whole = replace("emails[type eq \"work\"]", json!({ "value": "a@x.example", "type": "home" }));
        let whole = body(company.scim.patch(&path, &whole).await, 200);
        let each = body(company.scim.patch(&path, &replace("emails.value", json!("b@x.example"))).await, 200);

        assert_eq!(whole["emails"], json!([{ "value": "a@x.example", "type": "home" }]));
        assert_eq!(each["emails"], json!([{ "value": "b@x.example", "type": "home" }]));
    }

    async fn what_the_profile_has_is_done(company: &Company) {
        company.ask(&["scim", "set"], &["--profile", "strict"]).await;
        let id = text(&body(company.scim.post("/Users", &good("jo")).await, 201), "id");
        let path = format!("/Users/{id}");

        let operations = json!([
            { "op": "Replace", "path": "active", "value": false },
            { "op": "replace", "path": "emails[type eq \"work\"].value", "value": "new@x.example" },
            { "op": "add", "path": format!("{ENTERPRISE}:manager"), "value": { "value": "m1" } },
        ]);
        let changed = body(company.scim.patch(&path, &json!({ "schemas": [PATCH], "Operations": operations })).await, 200);

        assert_eq!((&changed["active"], &changed["emails"][0]["value"]), (&json!(false), &json!("new@x.example")));
        assert_eq!(changed[ENTERPRISE], json!({ "manager": { "value": "m1" } }));
        let stale = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static("W/\"99\""))]);
        let again = json!({ "schemas": [PATCH], "Operations": [{ "op": "replace", "path": "title", "value": "x" }] });
        let answer = company.scim.send(Method::PATCH, &path, stale.clone(), Some(&again)).await;
        assert_eq!(body(answer, 200)["title"], "x", "the profile has no entity tags");
        company.ask(&["scim", "set"], &["--profile", "lenient"]).await;
        refusal(company.scim.send(Method::PATCH, &path, stale, Some(&again)).await, 412, "");
    }
}
