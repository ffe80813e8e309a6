//! The conversations of Microsoft Entra ID (scim-dialects.md, 1.1), word for word and in their order, in both spellings: the
//! default one and that of `aadOptscim062020`. A customer's directory speaks both in one day.

use lockstep_tests::harness::scim::Scim;
use serde_json::{Value, json};

use super::super::{Company, ENTERPRISE, GROUP, USER, body, essence, found, on_each_database, patch, refusal};

const ADA: &str = "ada@contoso.example";
const ENTRA_GROUP: &str = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group";

fn new_user(name: &str, external_id: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "externalId": external_id, "userName": name, "active": true,
        "emails": [{ "primary": true, "type": "work", "value": name }],
        "meta": { "resourceType": "User" },
        "name": { "formatted": "Ada Lovelace", "familyName": "Lovelace", "givenName": "Ada" },
        "roles": [],
    })
}

async fn create(scim: &Scim, resources: &str, resource: &Value) -> String {
    let answer = scim.post(resources, resource).await.unwrap();
    let location = answer.header("location").to_owned();
    let created = body(Ok(answer), 201);
    let id = created["id"].as_str().unwrap().to_owned();
    assert!(location.ends_with(&format!("{resources}/{id}")), "{location}");
    assert_eq!(created["meta"]["location"], location);
    id
}

async fn change(scim: &Scim, path: &str, operations: Value) -> Value {
    let answer = scim.patch(path, &patch(&operations)).await.unwrap();
    assert!([200, 204].contains(&answer.status.as_u16()), "{operations}: {}", answer.text());
    essence(&body(scim.get(path).await, 200))
}

/// What a PATCH leaves of one attribute.
async fn changed(scim: &Scim, path: &str, operations: Value, pointer: &str) -> Value {
    change(scim, path, operations).await.pointer(pointer).cloned().unwrap_or_default()
}

fn pointer(attribute: &str) -> String {
    format!("/{ENTERPRISE}/{attribute}")
}

on_each_database! {
    async fn the_connection_test_finds_nobody_and_is_content(company: &Company) {
        let nobody = "6e31a2c1-8b5c-4f0e-9d20-3a64bb1e8d17";

        for probe in [
            format!("/Users?filter=userName+eq+%22{nobody}%22"),
            format!("/Users?aadOptscim062020&filter=userName%20eq%20%22{nobody}%22"),
            format!("/Groups?excludedAttributes=members&filter=displayName+eq+%22{nobody}%22"),
            format!("/Users?filter=externalId+eq+{nobody}"),
        ] {
            let list = body(company.scim.get(&probe).await, 200);

            assert_eq!((&list["totalResults"], &list["Resources"]), (&json!(0), &json!([])), "{probe}");
        }
    }

    async fn the_schemas_name_every_attribute_that_is_mapped_and_hold_no_null(company: &Company) {
        let list = body(company.scim.get("/Schemas").await, 200);

        assert!(!list.to_string().contains("null"));
        assert_eq!(list["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
        let schema = |urn: &str| list["Resources"].as_array().unwrap().iter().find(|schema| schema["id"] == urn).unwrap();
        let attribute = |urn: &str, name: &str| {
            let attributes = schema(urn)["attributes"].as_array().unwrap();
            attributes.iter().find(|attribute| attribute["name"] == name).unwrap_or_else(|| panic!("{name}")).clone()
        };
        for name in ["active", "displayName", "name", "preferredLanguage", "title", "userName"] {
            attribute(USER, name);
        }
        for name in ["department", "employeeNumber", "manager"] {
            attribute(ENTERPRISE, name);
        }
        // It reads `emails[type eq "work"].value` off the canonical values.
        for (name, kind) in [("emails", "work"), ("phoneNumbers", "mobile"), ("addresses", "work")] {
            let types = attribute(USER, name)["subAttributes"]
                .as_array()
                .unwrap()
                .iter()
                .find(|sub| sub["name"] == "type")
                .cloned()
                .unwrap();
            assert!(types["canonicalValues"].as_array().unwrap().contains(&json!(kind)), "{types}");
        }
    }

    async fn a_person_from_create_to_delete(company: &Company) {
        let scim = &company.scim;
        let id = create(scim, "/Users", &new_user(ADA, "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef")).await;
        let path = format!("/Users/{id}");

        assert_eq!(
            essence(&body(scim.get(&path).await, 200)),
            json!({
                "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", "userName": ADA, "active": true,
                "emails": [{ "primary": true, "type": "work", "value": ADA }],
                "name": { "formatted": "Ada Lovelace", "familyName": "Lovelace", "givenName": "Ada" },
            })
        );
        refusal(scim.post("/Users", &new_user("ADA@Contoso.example", "another")).await, 409, "uniqueness");

        let updated = change(
            scim,
            &path,
            json!([
                { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "ada.king@contoso.example" },
                { "op": "Replace", "path": "name.familyName", "value": "King" },
                { "op": "Replace", "path": "userName", "value": "ada.king@contoso.example" },
                { "op": "Add", "path": "nickName", "value": "Countess" },
                { "op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+44 20 7946 0000" },
                { "op": "Replace", "path": "addresses[type eq \"work\"].country", "value": "UK" },
                { "op": "Replace", "path": format!("{ENTERPRISE}:employeeNumber"), "value": "E1" },
            ]),
        )
        .await;
        let expected = json!({
            "externalId": "0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", "userName": "ada.king@contoso.example", "active": true,
            "nickName": "Countess",
            "emails": [{ "primary": true, "type": "work", "value": "ada.king@contoso.example" }],
            "phoneNumbers": [{ "type": "mobile", "value": "+44 20 7946 0000" }],
            "addresses": [{ "type": "work", "country": "UK" }],
            "name": { "formatted": "Ada Lovelace", "familyName": "King", "givenName": "Ada" },
            ENTERPRISE: { "employeeNumber": "E1" },
        });
        assert_eq!(updated, expected);

        let flagged = change(
            scim,
            &path,
            json!([
                { "op": "replace", "path": "emails[type eq \"work\"].value", "value": "ada@contoso.example" },
                { "op": "replace", "value": {
                    "displayName": "Ada K.", "name.givenName": "Augusta", "name.familyName": "Byron",
                    "emails[type eq \"other\"].value": "ada@home.example",
                    format!("{ENTERPRISE}:employeeNumber"): "E2", format!("{ENTERPRISE}:department"): "Engines",
                } },
            ]),
        )
        .await;
        assert_eq!(flagged["name"], json!({ "formatted": "Ada Lovelace", "familyName": "Byron", "givenName": "Augusta" }));
        assert_eq!(
            flagged["emails"],
            json!([
                { "primary": true, "type": "work", "value": ADA }, { "type": "other", "value": "ada@home.example" },
            ])
        );
        assert_eq!(flagged[ENTERPRISE], json!({ "employeeNumber": "E2", "department": "Engines" }));
        assert_eq!(flagged["displayName"], "Ada K.");

        body(scim.delete(&path).await, 204);
        refusal(scim.get(&path).await, 404, "");
        assert_eq!(company.all("/Users").await, json!([]));
    }

    async fn nulls_a_mistyped_urn_and_an_unlisted_extension_are_no_obstacle(company: &Company) {
        let scim = &company.scim;
        let odd = json!({
            "schemas": [USER, "urn:ietf:params:scim:schemas:extension:enterprise:2.0User"],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0User": { "department": "nowhere" },
            "urn:ietf:params:scim:schemas:extension:Contoso:2.0:User": { "badge": "7" },
            ENTERPRISE: { "manager": "123456", "department": null },
            "userName": "odd@contoso.example", "active": "True", "addresses": null, "phoneNumbers": null, "title": null,
            "roles": [{ "primary": "True", "value": "Admin" }], "password": "1mz050nq-placeholder", "groups": [],
        });

        let id = create(scim, "/Users", &odd).await;

        company.installation.site.secret("a placeholder password", "1mz050nq-placeholder");
        assert_eq!(
            essence(&body(scim.get(&format!("/Users/{id}")).await, 200)),
            json!({
                "userName": "odd@contoso.example", "active": true, "roles": [{ "primary": true, "value": "Admin" }],
                ENTERPRISE: { "manager": { "value": "123456" }, "department": "nowhere" },
            })
        );
    }

    async fn every_spelling_of_a_deactivation_is_one_and_each_can_be_taken_back(company: &Company) {
        let scim = &company.scim;
        let id = create(scim, "/Users", &new_user(ADA, "e1")).await;
        let path = format!("/Users/{id}");
        let spellings = [
            json!([{ "op": "Replace", "path": "active", "value": "False" }]),
            json!([{ "op": "Replace", "path": "active", "value": false }]),
            json!([{ "op": "replace", "value": { "active": false } }]),
            json!([{ "op": "Replace", "value": { "active": "False" } }]),
            json!([{ "op": "Add", "path": "active", "value": "false" }]),
            json!([{ "op": "replace", "path": format!("{USER}:active"), "value": "False" }]),
            json!([{ "op": "replace", "path": "active", "value": ["False"] }]),
            json!([{ "op": "REPLACE", "path": "Active", "value": "false" }]),
        ];

        for spelling in spellings {
            let answer = body(scim.patch(&path, &patch(&spelling)).await, 200);
            assert_eq!(answer["active"], false, "{spelling}");
            assert_eq!(body(scim.get(&path).await, 200)["active"], false, "{spelling}");
            assert_eq!(found(scim, "/Users", &format!("userName eq \"{ADA}\"")).await, 1, "a disabled person is still found");
            assert_eq!(found(scim, "/Users", "active eq False").await, 1);

            let back = changed(scim, &path, json!([{ "op": "Replace", "path": "active", "value": "True" }]), "/active").await;
            assert_eq!(back, true, "{spelling}");
        }

        let mut put = new_user(ADA, "e1");
        put["active"] = json!(false);
        assert_eq!(body(scim.put(&path, &put).await, 200)["active"], false);
        for unclear in [json!("no"), json!("FALSE"), json!(0), json!("0"), json!({}), json!(""), json!(null)] {
            let operations = json!([{ "op": "Replace", "path": "active", "value": unclear }]);
            refusal(scim.patch(&path, &patch(&operations)).await, 400, "invalidValue");
        }
        refusal(scim.patch(&path, &patch(&json!([{ "op": "Remove", "path": "active" }]))).await, 400, "mutability");
        assert_eq!(body(scim.get(&path).await, 200)["active"], false, "nothing unclear lets anybody in");
        let silent = json!({ "schemas": [USER], "userName": ADA });
        assert_eq!(body(scim.put(&path, &silent).await, 200)["active"], false, "a PUT without `active` re-activates nobody");
    }

    async fn the_manager_comes_changes_and_goes(company: &Company) {
        let scim = &company.scim;
        let boss = create(scim, "/Users", &new_user("boss@contoso.example", "e1")).await;
        let other = create(scim, "/Users", &new_user("other@contoso.example", "e2")).await;
        let id = create(scim, "/Users", &new_user(ADA, "e3")).await;
        let (path, urn, at) = (format!("/Users/{id}"), format!("{ENTERPRISE}:manager"), pointer("manager/value"));

        let set = json!([{ "op": "Add", "path": urn, "value": boss }]);
        assert_eq!(changed(scim, &path, set, &at).await, json!(boss));
        assert_eq!(found(scim, "/Users", &format!("id eq \"{id}\" and manager eq \"{boss}\"")).await, 1);
        assert_eq!(found(scim, "/Users", &format!("id eq \"{id}\" and manager eq \"{other}\"")).await, 0);
        let list =
            json!([{ "op": "Add", "path": "manager", "value": [{ "$ref": format!("http://x/Users/{other}"), "value": other }] }]);
        assert_eq!(changed(scim, &path, list, &at).await, json!(other));
        let replaced = json!([{ "op": "Replace", "path": urn, "value": boss }]);
        assert_eq!(changed(scim, &path, replaced, &at).await, json!(boss));

        let removed = change(scim, &path, json!([{ "op": "Replace", "path": urn, "value": "" }])).await;

        assert!(removed.get(ENTERPRISE).is_none(), "absent, not empty: {removed}");
        let again = json!([{ "op": "replace", "value": { (urn.clone()): boss } }]);
        assert_eq!(changed(scim, &path, again, &at).await, json!(boss));
        let gone = change(scim, &path, json!([{ "op": "Remove", "path": urn }])).await;
        assert!(gone.get(ENTERPRISE).is_none(), "{gone}");
    }

    async fn roles_come_in_three_shapes(company: &Company) {
        let scim = &company.scim;
        let path = format!("/Users/{}", create(scim, "/Users", &new_user(ADA, "e1")).await);

        let single = json!([{ "op": "Add", "path": "roles[primary eq \"True\"].value", "value": "Admin" }]);
        assert_eq!(changed(scim, &path, single, "/roles").await, json!([{ "primary": true, "value": "Admin" }]));
        let packed = r#"{"id":"06b07648-ecfe-589f-9d2f-6325724a46ee","value":"Reader","displayName":"Readers"}"#;
        let complex = json!([{ "op": "Replace", "path": "roles", "value": [{ "value": packed }] }]);
        assert_eq!(changed(scim, &path, complex, "/roles/0/value").await, "Reader");
        let assertive = json!([{ "op": "replace", "path": "roles", "value": [
            { "value": "A", "display": "Role A", "primary": true }, { "value": "B", "display": "Role B", "primary": false },
        ] }]);
        let roles = changed(scim, &path, assertive, "/roles").await;

        assert_eq!(
            roles,
            json!([
                { "value": "A", "display": "Role A", "primary": true }, { "value": "B", "display": "Role B", "primary": false },
            ])
        );
    }

    async fn people_are_found_by_every_filter_that_entra_or_its_collection_sends(company: &Company) {
        let scim = &company.scim;
        let mut ada = new_user(ADA, "jyoung");
        ada["emails"] = json!([{ "type": "work", "value": "ada@example.com" }, { "type": "other", "value": "ada@example.org" }]);
        let id = create(scim, "/Users", &ada).await;
        create(scim, "/Users", &new_user("o'malley+x&y#z%@contoso.example", r#"a"quote\and more"#)).await;

        let table = [
            ("userName eq \"ADA@contoso.example\"", 1),
            ("externalId eq jyoung", 1),
            ("externalId eq \"JYoung\"", 0),
            ("emails[type eq \"work\"].value eq \"ada@example.com\"", 1),
            ("emails[type eq \"work\"].value eq \"ada@example.org\"", 0),
            ("emails.Value eq \"ada@example.org\"", 1),
            ("userName sw o", 1),
            ("name.FamilyName eq Lovelace and (emails.Value co example.com or emails.Value co example.org)", 1),
            ("meta.Created gt 2015-10-10T14:38:21.8617979-07:00", 2),
            ("userName eq \"o'malley+x&y#z%@contoso.example\"", 1),
            (r#"externalId eq "a\"quote\\and more""#, 1),
        ];
        for (filter, count) in table {
            assert_eq!(found(scim, "/Users", filter).await, count, "{filter}");
        }
        let probe = body(scim.get(&format!("/Users?filter=id+eq+%22{id}%22&attributes=id")).await, 200);
        assert_eq!(probe["Resources"], json!([{ "schemas": [USER], "id": id }]));
    }

    async fn a_group_from_create_to_delete(company: &Company) {
        let scim = &company.scim;
        let (ada, bob) = (company.person("ada@contoso.example").await, company.person("bob@contoso.example").await);
        let id = create(
            scim,
            "/Groups",
            &json!({
                "schemas": [GROUP, ENTRA_GROUP], "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
                "displayName": "Engines", "meta": { "resourceType": "Group" },
            }),
        )
        .await;
        let path = format!("/Groups/{id}");
        let lean = format!("{path}?excludedAttributes=members");

        for operations in [
            json!([{ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": ada }] }]),
            json!([{ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": bob }] }]),
            json!([{ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": ada }] }]),
            json!([{ "op": "Replace", "path": "displayName", "value": "Analytical engines" }]),
            json!([{ "op": "replace", "path": "externalId", "value": "8aa1a0c0" }]),
        ] {
            body(scim.patch(&path, &patch(&operations)).await, 204);
        }
        assert_eq!(company.members(&id).await, [ada.clone(), bob.clone()]);
        assert!(body(scim.get(&lean).await, 200).get("members").is_none());
        assert_eq!(found(scim, "/Groups", "displayName eq \"analytical ENGINES\"").await, 1);
        assert_eq!(found(scim, "/Groups", &format!("id eq \"{id}\" and members eq \"{ada}\"")).await, 1);
        assert_eq!(found(scim, "/Groups", &format!("id eq \"{id}\" and members eq \"{id}\"")).await, 0);
        assert_eq!(body(scim.get(&format!("/Users/{ada}")).await, 200)["groups"][0]["display"], "Analytical engines");

        let remove = json!([{ "op": "Remove", "path": "members", "value": [{ "$ref": null, "value": ada }] }]);
        body(scim.patch(&path, &patch(&remove)).await, 204);
        assert_eq!(company.members(&id).await, std::slice::from_ref(&bob), "the listed one, and nobody else");
        body(scim.patch(&path, &patch(&remove)).await, 204);
        let flagged = json!([{ "op": "remove", "path": format!("members[value eq \"{bob}\"]") }]);
        body(scim.patch(&path, &patch(&flagged)).await, 204);
        body(scim.patch(&path, &patch(&flagged)).await, 204);

        assert_eq!(
            company.all("/Groups").await,
            json!([{ "externalId": "8aa1a0c0", "displayName": "Analytical engines", "members": [] }])
        );
        refusal(scim.post("/Groups", &json!({ "displayName": "Analytical Engines" })).await, 409, "uniqueness");
        body(scim.delete(&path).await, 204);
        refusal(scim.get(&lean).await, 404, "");
        assert_eq!(company.all("/Groups").await, json!([]));
    }

    async fn a_group_name_of_special_characters_is_found_again(company: &Company) {
        let name = r#"TestGrp-!@#$%^&*()_+=-{}][":;'/.,?\1"#;
        let id = company.group(name, &[]).await;

        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        let list = body(company.scim.find("/Groups", &format!("displayName eq \"{quoted}\"")).await, 200);

        assert_eq!((&list["totalResults"], &list["Resources"][0]["id"]), (&json!(1), &json!(id)));
        assert_eq!(list["Resources"][0]["displayName"], name);
    }

    async fn a_person_who_comes_back_is_still_in_their_groups(company: &Company) {
        let ada = company.person(ADA).await;
        let group = company.group("Engines", &[&ada]).await;
        let path = format!("/Users/{ada}");

        change(&company.scim, &path, json!([{ "op": "Replace", "path": "active", "value": "False" }])).await;
        let back = change(&company.scim, &path, json!([{ "op": "Replace", "path": "active", "value": "True" }])).await;

        assert_eq!(back["groups"][0]["value"], group);
        assert_eq!(company.members(&group).await, [ada]);
    }

    async fn pages_echo_where_they_begin(company: &Company) {
        for number in 0..11 {
            company.person(&format!("user-{number}@contoso.example")).await;
        }

        let mut seen = Vec::new();
        for start in [1, 6, 11] {
            let page = body(company.scim.get(&format!("/Users?startIndex={start}&count=5")).await, 200);
            assert_eq!((&page["startIndex"], &page["totalResults"]), (&json!(start), &json!(11)));
            seen.extend(page["Resources"].as_array().unwrap().iter().map(|user| user["id"].to_string()));
        }

        let distinct: std::collections::HashSet<&String> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (11, 11));
    }
}
