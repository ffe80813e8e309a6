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
            (json!({ "active": "True" }), "invalidValue"),
            (json!({ ENTERPRISE: { "manager": "m1" } }), "invalidValue"),
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
            (&person, json!({ "op": "replace", "path": "shoeSize", "value": 7 }), "invalidPath"),
            (&person, json!({ "op": "replace", "path": "id", "value": "mine" }), "mutability"),
            (&person, json!({ "op": "add", "path": format!("{ENTERPRISE}:manager"), "value": "m1" }), "invalidValue"),
            (&group, json!({ "op": "Remove", "path": "members", "value": members }), "invalidSyntax"),
            (&group, json!({ "op": "add", "path": "members", "value": "u1" }), "invalidValue"),
        ] {
            refusal(company.scim.patch(path, &patch(&json!([operation]))).await, 400, reason);
        }
        let unlisted = json!({ "Operations": [{ "op": "replace", "path": "title", "value": "x" }] });
        refusal(company.scim.patch(&person, &unlisted).await, 400, "invalidSyntax");
        for filter in ["userName eq jo", "shoeSize eq \"7\"", "active eq \"True\"", "manager eq \"m1\""] {
            refusal(company.scim.find("/Users", filter).await, 400, "invalidFilter");
        }
        let after = (body(company.scim.get(&person).await, 200), body(company.scim.get(&group).await, 200));
        assert_eq!(before, after, "nothing of a refused request stays");
        assert_eq!(found(&company.scim, "/Users", "userName eq \"JO\" and id pr").await, 1);
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
