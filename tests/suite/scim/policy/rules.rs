//! Rules on attributes, as products state them.

use lockstep_tests::world::text;
use serde_json::{Value, json};

use super::{Company, ENTERPRISE, USER, body, found, on_each_database, patch, refusal, user};

/// A user as the demanding product wants one.
fn whole(email: &str) -> Value {
    json!({
        "schemas": [USER], "userName": email, "name": { "givenName": "Jo", "familyName": "Moe" },
        "emails": [{ "value": email, "type": "work", "primary": true }], "active": true,
    })
}

on_each_database! {
    async fn a_user_type_is_one_of_two_and_null_is_the_lesser(company: &Company) {
        let set = company.ask(&["attribute", "set"], &["userType", "--allow", "Premium,Standard", "--default", "Standard"]).await;
        assert_eq!(set["violations"]["broken"], 0);
        let with = |name: &str, kind: Value| json!({ "schemas": [USER], "userName": name, "userType": kind });

        assert_eq!(body(company.scim.post("/Users", &with("a", json!("Premium"))).await, 201)["userType"], "Premium");
        assert_eq!(body(company.scim.post("/Users", &with("b", json!(null))).await, 201)["userType"], "Standard");
        assert_eq!(body(company.scim.post("/Users", &user("c")).await, 201)["userType"], "Standard");
        let refused = refusal(company.scim.post("/Users", &with("d", json!("premium"))).await, 400, "invalidValue");

        assert_eq!(
            refused["detail"],
            "userType is \"premium\"; allowed here are Premium, Standard: change the mapping at your identity provider"
        );
        assert_eq!(found(&company.scim, "/Users", "userType eq \"Standard\"").await, 2);
        let announced = body(company.scim.get(&format!("/Schemas/{USER}")).await, 200);
        let kind = announced["attributes"].as_array().unwrap().iter().find(|one| one["name"] == "userType").unwrap();
        assert_eq!(kind["canonicalValues"], json!(["Premium", "Standard"]));
    }

    async fn names_and_an_email_address_that_is_the_user_name_are_required(company: &Company) {
        let without = |gone: &str| {
            let mut body = whole("jo@acme.example");
            body.as_object_mut().unwrap().remove(gone);
            body
        };
        body(company.scim.post("/Users", &user("off until set")).await, 201);
        company.ask(&["attribute", "set"], &["name.givenName", "name.familyName", "emails", "--required"]).await;
        company.ask(&["attribute", "set"], &["--user-name-is-email"]).await;

        for (gone, sentence) in [("name", "name.familyName is required here"), ("emails", "emails is required here")] {
            let refused = refusal(company.scim.post("/Users", &without(gone)).await, 400, "invalidValue");
            assert!(text(&refused, "detail").starts_with(sentence), "{refused}");
        }
        let mut other = whole("jo@acme.example");
        other["userName"] = json!("jo");
        refusal(company.scim.post("/Users", &other).await, 400, "invalidValue");
        other["userName"] = json!("other@acme.example");
        refusal(company.scim.post("/Users", &other).await, 400, "invalidValue");
        let id = text(&body(company.scim.post("/Users", &whole("jo@acme.example")).await, 201), "id");
        refusal(company.scim.post("/Users", &whole("JO@acme.example")).await, 409, "uniqueness");

        let renamed = json!([
            { "op": "Replace", "path": "userName", "value": "joanna@acme.example" },
            { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "joanna@acme.example" },
        ]);
        body(company.scim.patch(&format!("/Users/{id}"), &patch(&renamed)).await, 200);
        refusal(company.scim.patch(&format!("/Users/{id}"), &patch(&json!([renamed[0], { "op": "remove", "path": "name.givenName" }]))).await, 400, "invalidValue");
    }

    async fn a_rule_that_comes_later_leaves_everybody_where_they_are(company: &Company) {
        let id = company.person("jo").await;
        let path = format!("/Users/{id}");
        let set = company.ask(&["attribute", "set"], &["name.givenName", "--required"]).await;
        assert_eq!(set["violations"]["broken"], 1);
        assert!(text(&set["warnings"], "0").is_empty() || set["warnings"].is_array());

        assert_eq!(body(company.scim.get(&path).await, 200)["active"], true);
        assert_eq!(found(&company.scim, "/Users", "userName eq \"jo\"").await, 1);
        let titled = json!([{ "op": "replace", "path": "title", "value": "Captain" }]);
        body(company.scim.patch(&path, &patch(&titled)).await, 200);
        let out = json!([{ "op": "Replace", "path": "active", "value": "False" }]);
        assert_eq!(body(company.scim.patch(&path, &patch(&out)).await, 200)["active"], false);
        let back = json!([{ "op": "Replace", "path": "active", "value": "True" }]);
        refusal(company.scim.patch(&path, &patch(&back)).await, 400, "invalidValue");
        let named = json!([back[0], { "op": "Add", "path": "name.givenName", "value": "Jo" }]);
        assert_eq!(body(company.scim.patch(&path, &patch(&named)).await, 200)["active"], true);
    }

    async fn a_role_is_the_same_in_each_of_entras_three_ways(company: &Company) {
        company.ask(&["attribute", "set"], &["roles.value", "--allow", "ReadOnly,User,Admin,EnterpriseAdmin"]).await;
        let packed = |role: &str| format!("{{\"id\":\"06b0\",\"value\":\"{role}\",\"displayName\":\"{role}\"}}");
        let ways = |role: &str| [
            json!([{ "op": "Add", "path": "roles[primary eq \"True\"].value", "value": role }]),
            json!([{ "op": "Add", "path": "roles", "value": [{ "value": packed(role) }] }]),
            json!([{ "op": "replace", "path": "roles", "value": [{ "display": role, "value": role, "primary": "False" }] }]),
        ];
        for (number, way) in ways("EnterpriseAdmin").iter().enumerate() {
            let path = format!("/Users/{}", company.person(&format!("user-{number}")).await);
            for way in [way, &ways("EnterpriseAdmin")[0]] {
                let changed = body(company.scim.patch(&path, &patch(way)).await, 200);
                let roles: Vec<&str> = changed["roles"].as_array().unwrap().iter().map(|role| role["value"].as_str().unwrap()).collect();
                assert_eq!(roles, ["EnterpriseAdmin"], "{way}");
            }
            let refused = refusal(company.scim.patch(&path, &patch(&ways("Owner")[number])).await, 400, "invalidValue");
            assert!(text(&refused, "detail").contains("allowed here are ReadOnly, User, Admin, EnterpriseAdmin"), "{refused}");
        }
        assert_eq!(found(&company.scim, "/Users", "roles eq \"EnterpriseAdmin\"").await, 3);
        assert_eq!(found(&company.scim, "/Users", "roles[value eq \"EnterpriseAdmin\"]").await, 3);
    }

    async fn a_manager_is_kept_in_each_spelling_also_one_who_is_still_to_come(company: &Company) {
        let path = format!("/Users/{}", company.person("jo").await);
        let urn = format!("{ENTERPRISE}:manager");
        let set = json!({ "value": "still-to-come" });
        for (operation, expected) in [
            (json!({ "op": "Add", "path": &urn, "value": "still-to-come" }), Some(&set)),
            (json!({ "op": "Replace", "path": &urn, "value": "" }), None),
            (json!({ "op": "Add", "path": "manager", "value": [{ "$ref": null, "value": "still-to-come" }] }), Some(&set)),
            (json!({ "op": "Replace", "path": &urn, "value": null }), None),
            (json!({ "op": "replace", "path": &urn, "value": { "value": "still-to-come", "displayName": "Boss" } }), Some(&set)),
            (json!({ "op": "remove", "path": &urn }), None),
            (json!({ "op": "replace", "value": { ENTERPRISE: { "manager": { "managerId": "still-to-come" } } } }), Some(&set)),
            (json!({ "op": "replace", "value": { ENTERPRISE: { "manager": [] } } }), None),
            (json!({ "op": "replace", "value": { format!("{urn}.value"): "still-to-come" } }), Some(&set)),
        ] {
            let changed = body(company.scim.patch(&path, &patch(&json!([operation]))).await, 200);

            assert_eq!(changed.get(ENTERPRISE).and_then(|home| home.get("manager")), expected, "{operation}");
        }
        let id = path.rsplit('/').next().unwrap();
        assert_eq!(found(&company.scim, "/Users", &format!("id eq \"{id}\" and manager eq \"still-to-come\"")).await, 1);
    }
}
