//! Schemas of a workspace's own.

use lockstep_tests::world::text;
use serde_json::{Value, json};

use super::{Company, FOLDERS, GROUP, METADATA, USER, body, found, on_each_database, patch, refusal};

/// A schema with every data type that there is, alone and in lists.
fn every_type() -> Value {
    let kinds = ["string", "boolean", "decimal", "integer", "dateTime", "reference", "binary"];
    let alone = kinds.iter().map(|kind| json!({ "name": format!("one-{kind}"), "type": kind }));
    let lists = kinds.iter().map(|kind| json!({ "name": format!("many-{kind}"), "type": kind, "multiValued": true }));
    let parts = json!([{ "name": "row" }, { "name": "seat", "type": "integer" }, { "name": "primary", "type": "boolean" }]);
    let complex = [false, true].into_iter().map(|many| {
        json!({ "name": if many { "many-complex" } else { "one-complex" }, "type": "complex", "multiValued": many, "subAttributes": parts })
    });
    json!({ "id": "urn:example:acme:types:1.0:User", "name": "Types", "attributes": alone.chain(lists).chain(complex).collect::<Vec<_>>() })
}

fn every_value() -> Value {
    json!({
        "one-string": "Blue", "one-boolean": true, "one-decimal": 1.5, "one-integer": 7, "one-dateTime": "2026-01-02T03:04:05Z",
        "one-reference": "https://x.example/a", "one-binary": "QUJD", "one-complex": { "row": "A", "seat": 1 },
        "many-string": ["Blue", "Red"], "many-boolean": [true], "many-decimal": [1.5, -2], "many-integer": [7, 8],
        "many-dateTime": ["2026-01-02T03:04:05Z"], "many-reference": ["https://x.example/a"], "many-binary": ["QUJD", "REVG"],
        "many-complex": [{ "row": "A", "seat": 1, "primary": true }, { "row": "B", "seat": 2 }],
    })
}

on_each_database! {
    async fn every_data_type_is_stored_found_changed_sorted_and_announced(company: &Company) {
        let file = company.installation.site.folder().join(format!("{}.json", company.id));
        std::fs::write(&file, every_type().to_string()).unwrap();
        company.ask(&["schema", "add"], &["--file", &file.display().to_string()]).await;
        let urn = text(&every_type(), "id");

        let made = json!({ "schemas": [USER, &urn], "userName": "jo", &urn: every_value() });
        let created = body(company.scim.post("/Users", &made).await, 201);
        let bare = company.person("moe").await;
        let id = text(&created, "id");
        let path = format!("/Users/{id}");

        assert_eq!((&created[&urn], &created["schemas"]), (&every_value(), &json!([USER, &urn])));
        assert_eq!(body(company.scim.get(&path).await, 200)[&urn], every_value());
        for filter in [
            "one-string eq \"blue\"", "one-boolean eq true", "one-decimal gt 1.25", "one-integer le 7", "one-dateTime lt \"2027-01-01T00:00:00Z\"",
            "one-reference sw \"https://x\"", "one-binary eq \"QUJD\"", "one-complex.seat eq 1", "many-string co \"e\"", "many-integer[value gt 7]",
            "many-complex[row eq \"B\" and seat eq 2]", "many-complex.row eq \"a\"", "many-decimal eq -2", "many-boolean pr",
        ] {
            let filter = format!("{urn}:{filter}");
            assert_eq!(found(&company.scim, "/Users", &filter).await, 1, "{filter}");
            assert_eq!(found(&company.scim, "/Users", &format!("not ({filter})")).await, 1, "{filter}");
        }
        let operations = json!([
            { "op": "replace", "path": format!("{urn}:one-integer"), "value": 9 },
            { "op": "add", "path": format!("{urn}:many-string"), "value": ["Green"] },
            { "op": "remove", "path": format!("{urn}:many-complex[seat eq 1]") },
            { "op": "replace", "path": format!("{urn}:many-complex[row eq \"B\"].seat"), "value": 5 },
            { "op": "remove", "path": format!("{urn}:one-dateTime") },
        ]);
        let changed = body(company.scim.patch(&path, &patch(&operations)).await, 200);
        assert_eq!((&changed[&urn]["one-integer"], &changed[&urn]["many-string"]), (&json!(9), &json!(["Blue", "Red", "Green"])));
        assert_eq!(changed[&urn]["many-complex"], json!([{ "row": "B", "seat": 5 }]));
        assert!(changed[&urn].get("one-dateTime").is_none());
        let wrong = json!([{ "op": "replace", "path": format!("{urn}:one-integer"), "value": "many" }]);
        refusal(company.scim.patch(&path, &patch(&wrong)).await, 400, "invalidValue");

        let shown = body(company.scim.get(&format!("{path}?attributes={urn}:one-complex.seat,{urn}:one-string")).await, 200);
        assert_eq!(shown[&urn], json!({ "one-complex": { "seat": 1 }, "one-string": "Blue" }));
        let hidden = body(company.scim.get(&format!("{path}?excludedAttributes={urn}")).await, 200);
        assert!(hidden.get(&urn).is_none() && hidden["userName"] == "jo");
        for (order, ids) in [("ascending", [&id, &bare]), ("descending", [&bare, &id])] {
            let list = body(company.scim.get(&format!("/Users?sortBy={urn}:one-integer&sortOrder={order}")).await, 200);
            assert_eq!([&list["Resources"][0]["id"], &list["Resources"][1]["id"]], ids, "{order}");
        }
        let announced = body(company.scim.get(&format!("/Schemas/{urn}")).await, 200);
        let names = |schema: &Value| -> Vec<String> {
            schema["attributes"].as_array().unwrap().iter().map(|one| format!("{} {} {}", one["name"], one["type"], one["multiValued"] == true)).collect()
        };
        assert_eq!(names(&announced), names(&every_type()));
        let kinds = body(company.scim.get("/ResourceTypes/User").await, 200);
        assert!(kinds["schemaExtensions"].as_array().unwrap().contains(&json!({ "schema": urn, "required": false })));
    }

    async fn entra_maps_to_the_urn_that_the_product_documents(company: &Company) {
        company.ask(&["schema", "add"], &[FOLDERS, "--attribute", "folders:string[]"]).await;
        company.ask(&["schema", "add"], &[&format!("{METADATA}:{{key}}")]).await;
        let urn = format!("{FOLDERS}:folders");
        // Entra does not list the extension in `schemas`.
        let made = json!({ "schemas": [USER], "userName": "jo", FOLDERS: { "folders": [{ "value": "Blue" }] }, METADATA: { "tier": 3 } });
        let id = text(&body(company.scim.post("/Users", &made).await, 201), "id");

        let operations = json!([
            { "op": "Add", "path": &urn, "value": [{ "value": "Red" }] },
            { "op": "Replace", "path": format!("{METADATA}:gold"), "value": true },
            { "op": "Replace", "path": format!("{METADATA}:Tier"), "value": 4 },
        ]);
        let changed = body(company.scim.patch(&format!("/Users/{id}"), &patch(&operations)).await, 200);

        assert_eq!(changed[FOLDERS], json!({ "folders": ["Blue", "Red"] }));
        assert_eq!(changed[METADATA], json!({ "tier": "4", "gold": "true" }), "text, whatever was sent");
        assert_eq!(changed["schemas"], json!([USER, FOLDERS, METADATA]));
        assert_eq!(found(&company.scim, "/Users", &format!("{urn} eq \"red\"")).await, 1);
        assert_eq!(found(&company.scim, "/Users", &format!("{METADATA}:tier eq \"4\"")).await, 1);
        assert_eq!(found(&company.scim, "/Users", &format!("{METADATA}:tier eq \"3\"")).await, 0);
    }

    async fn the_documented_urn_may_be_the_schemas_own(company: &Company) {
        let urn = format!("{FOLDERS}:folders");
        company.ask(&["schema", "add"], &[&urn, "--attribute", "names:string[]"]).await;
        let made = json!({ "schemas": [USER, FOLDERS], "userName": "jo", FOLDERS: { "folders": ["Blue"] } });
        let id = text(&body(company.scim.post("/Users", &made).await, 201), "id");

        let operations = json!([{ "op": "Add", "path": &urn, "value": "Red" }]);
        let changed = body(company.scim.patch(&format!("/Users/{id}"), &patch(&operations)).await, 200);

        assert_eq!(changed[&urn], json!({ "names": ["Blue", "Red"] }));
        assert_eq!(changed["schemas"], json!([USER, &urn]));
        assert_eq!(found(&company.scim, "/Users", &format!("{urn} eq \"red\"")).await, 1);
        assert_eq!(found(&company.scim, "/Users", &format!("{urn}:names eq \"red\"")).await, 1);
    }

    async fn a_definition_may_change_and_go_and_come_back(company: &Company) {
        company.ask(&["schema", "add"], &[FOLDERS, "--attribute", "size:integer", "--attribute", "note"]).await;
        let made = json!({ "schemas": [USER, FOLDERS], "userName": "jo", FOLDERS: { "size": 7, "note": "x" } });
        let path = format!("/Users/{}", text(&body(company.scim.post("/Users", &made).await, 201), "id"));
        let size = format!("{FOLDERS}:size");

        company.ask(&["schema", "add"], &[FOLDERS, "--attribute", "size:string", "--attribute", "note", "--replace"]).await;
        assert_eq!(body(company.scim.get(&path).await, 200)[FOLDERS], json!({ "size": "7", "note": "x" }));
        assert_eq!(found(&company.scim, "/Users", &format!("{size} eq \"7\"")).await, 1);

        company.ask(&["schema", "remove"], &[FOLDERS]).await;
        let replaced = body(company.scim.put(&path, &json!({ "schemas": [USER], "userName": "jo", "title": "Captain" })).await, 200);
        assert!(replaced.get(FOLDERS).is_none() && replaced["schemas"] == json!([USER]));
        refusal(company.scim.find("/Users", &format!("{size} pr")).await, 400, "invalidFilter");
        assert!(company.scim.get(&format!("/Schemas/{FOLDERS}")).await.unwrap().status == 404);

        company.ask(&["schema", "add"], &[FOLDERS, "--attribute", "size:integer", "--attribute", "note"]).await;
        let back = body(company.scim.get(&path).await, 200);
        assert_eq!((&back[FOLDERS], &back["title"]), (&json!({ "size": 7, "note": "x" }), &json!("Captain")));
    }

    async fn one_workspaces_schema_is_nothing_to_another(company: &Company) {
        let other = company.another().await;
        company.ask(&["schema", "add"], &[FOLDERS, "--attribute", "folders:string[]"]).await;

        let made = json!({ "schemas": [USER], "userName": "jo", FOLDERS: { "folders": ["Blue"] } });
        let created = body(other.scim.post("/Users", &made).await, 201);

        assert!(created.get(FOLDERS).is_none());
        assert_eq!(other.scim.get(&format!("/Schemas/{FOLDERS}")).await.unwrap().status, 404);
        refusal(other.scim.find("/Users", &format!("{FOLDERS}:folders pr")).await, 400, "invalidFilter");
    }

    async fn groups_have_schemas_too(company: &Company) {
        company.ask(&["schema", "add"], &["urn:example:acme:1.0:Team", "--attribute", "floor:integer", "--resource", "Group"]).await;
        let made = json!({ "schemas": [GROUP], "displayName": "Sales", "urn:example:acme:1.0:Team": { "floor": 3 } });

        let created = body(company.scim.post("/Groups", &made).await, 201);

        assert_eq!(created["urn:example:acme:1.0:Team"], json!({ "floor": 3 }));
        assert_eq!(found(&company.scim, "/Groups", "urn:example:acme:1.0:Team:floor gt 2").await, 1);
        refusal(company.scim.find("/Users", "urn:example:acme:1.0:Team:floor gt 2").await, 400, "invalidFilter");
    }
}
