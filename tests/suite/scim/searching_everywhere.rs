//! Queries over all resource types at once, and what of a request decides how it is read: its quotation marks, what an entry does not
//! say, where its path stands.

use http::{HeaderMap, Method};
use lockstep_tests::world::text;
use serde_json::{Value, json};

use super::{Company, GROUP, USER, body, on_each_database, patch, raw, refusal, user};

async fn found(company: &Company, query: &str, search: &Value) -> Vec<String> {
    let by_get = body(company.scim.get(query).await, 200);
    let by_post = body(company.scim.send(Method::POST, "/.search", HeaderMap::new(), Some(search)).await, 200);
    let names = |list: &Value| -> Vec<String> {
        let resources = list["Resources"].as_array().unwrap();
        assert_eq!(list["totalResults"], resources.len(), "{query}");
        resources.iter().map(|resource| resource["displayName"].as_str().unwrap_or("-").to_owned()).collect()
    };
    assert_eq!(names(&by_get), names(&by_post), "{query}");
    names(&by_get)
}

on_each_database! {
    async fn an_attribute_of_another_type_has_no_value_in_this_one(company: &Company) {
        let bea = body(company.scim.post("/Users", &json!({ "userName": "bea", "displayName": "Bea" })).await, 201);
        body(company.scim.post("/Users", &json!({ "userName": "zoe", "displayName": "Zoe" })).await, 201);
        let members = json!([{ "value": text(&bea, "id") }]);
        body(company.scim.post("/Groups", &json!({ "displayName": "Berlin", "members": members })).await, 201);
        body(company.scim.post("/Groups", &json!({ "displayName": "Alps" })).await, 201);

        for (filter, expected) in [
            ("displayName sw \"B\"", &["Bea", "Berlin"][..]),
            (&format!("{USER}:displayName sw \"B\""), &["Bea"]),
            (&format!("{GROUP}:displayName sw \"B\""), &["Berlin"]),
            (&format!("{GROUP}:displayName eq \"berlin\""), &["Berlin"]),
            (&format!("{GROUP}:members pr"), &["Berlin"]),
            (&format!("{GROUP}:members[value eq \"{}\"]", text(&bea, "id")), &["Berlin"]),
            (&format!("{USER}:userName pr or {GROUP}:members pr"), &["Bea", "Zoe", "Berlin"]),
            (&format!("not ({USER}:displayName pr)"), &["Berlin", "Alps"]),
            (&format!("{GROUP}:displayName ne \"Berlin\""), &["Bea", "Zoe", "Alps"]),
            (&format!("{USER}:id eq \"{}\"", text(&bea, "id")), &["Bea"]),
            (&format!("{GROUP}:id eq \"{}\"", text(&bea, "id")), &[]),
            ("userName pr", &["Bea", "Zoe"]),
        ] {
            let query: String = url::form_urlencoded::byte_serialize(filter.as_bytes()).collect();
            assert_eq!(found(company, &format!("?filter={query}"), &json!({ "filter": filter })).await, expected, "{filter}");
        }
        for (by, order, expected) in [
            ("displayName", "ascending", ["Alps", "Bea", "Berlin", "Zoe"]),
            (&format!("{GROUP}:displayName"), "ascending", ["Alps", "Berlin", "Bea", "Zoe"]),
            (&format!("{USER}:displayName"), "descending", ["Berlin", "Alps", "Zoe", "Bea"]),
        ] {
            let search = json!({ "sortBy": by, "sortOrder": order });
            assert_eq!(found(company, &format!("?sortBy={by}&sortOrder={order}"), &search).await, expected, "{by}");
        }
        for names in [format!("{USER}:displayName"), format!("{GROUP}:displayName")] {
            let of_users = names.starts_with(USER);
            let (only, without) = if of_users { (["Bea", "Zoe", "-", "-"], ["-", "-", "Berlin", "Alps"]) } else { (["-", "-", "Berlin", "Alps"], ["Bea", "Zoe", "-", "-"]) };
            assert_eq!(found(company, &format!("?attributes={names}"), &json!({ "attributes": [names] })).await, only, "{names}");
            assert_eq!(
                found(company, &format!("?excludedAttributes={names}"), &json!({ "excludedAttributes": [names] })).await,
                without,
                "{names}"
            );
        }
        refusal(company.scim.get("?filter=shoeSize%20pr").await, 400, "invalidFilter");
        refusal(company.scim.get(&format!("?sortBy={GROUP}:userName")).await, 400, "invalidPath");
        // Of one type, another's attribute is an error as ever.
        refusal(company.scim.find("/Users", &format!("{GROUP}:members pr")).await, 400, "invalidFilter");
    }

    async fn an_entry_that_does_not_say_that_it_is_the_primary_one_is_not(company: &Company) {
        let scim = &company.scim;
        let mut ada = user("ada@acme.example");
        ada["emails"] = json!([{ "value": "a@x", "type": "work" }, { "value": "b@x", "type": "home", "primary": true }]);
        ada["roles"] = json!([{ "value": "Captain" }]);
        let id = text(&body(scim.post("/Users", &ada).await, 201), "id");

        for (filter, count) in [
            (r#"emails[value eq "a@x" and primary eq false]"#, 1),
            (r#"emails[value eq "b@x" and primary eq false]"#, 0),
            (r#"roles[primary eq "False"]"#, 1),
            ("roles.primary eq false", 1),
            ("roles[primary ne false]", 0),
            ("roles.primary pr", 0),
            ("phoneNumbers.primary eq false", 0),
        ] {
            assert_eq!(body(scim.find("/Users", filter).await, 200)["totalResults"], count, "{filter}");
        }
        let path = format!("/Users/{id}");
        let changed = body(scim.patch(&path, &patch(&json!([
            { "op": "Replace", "path": "emails[type eq \"work\" and primary eq false].value", "value": "a2@x" },
            { "op": "remove", "path": "roles[primary eq false]" },
        ]))).await, 200);
        assert_eq!(changed["emails"], json!([{ "value": "a2@x", "type": "work" }, { "value": "b@x", "type": "home", "primary": true }]));
        assert_eq!(changed["roles"], Value::Null);
    }

    async fn a_value_in_other_quotation_marks_is_the_value_between_them(company: &Company) {
        let scim = &company.scim;
        let mut ada = user("o'ada@acme.example");
        ada["emails"] = json!([{ "value": "a@x", "type": "work" }]);
        let id = text(&body(scim.post("/Users", &ada).await, 201), "id");

        for filter in [
            "userName eq 'o'ada@acme.example'",
            "userName eq \u{201c}o'ada@acme.example\u{201d}",
            "userName eq \u{2018}o'ada@acme.example\u{2019}",
            "userName eq `o'ada@acme.example`",
            "userName eq o'ada@acme.example",
        ] {
            assert_eq!(body(scim.find("/Users", filter).await, 200)["totalResults"], 1, "{filter}");
        }
        refusal(scim.find("/Users", "userName eq 'o'ada@acme.example").await, 400, "invalidFilter");
        let change = patch(&json!([{ "op": "replace", "path": "emails[type eq 'work'].value", "value": "b@x" }]));
        let changed = body(scim.patch(&format!("/Users/{id}"), &change).await, 200);
        assert_eq!(changed["emails"], json!([{ "value": "b@x", "type": "work" }]));

        company.command(&["scim", "set", &company.id, "--profile", "strict"]).await;
        refusal(scim.find("/Users", "userName eq 'o'ada@acme.example'").await, 400, "invalidFilter");
        let change = patch(&json!([{ "op": "replace", "path": "emails[type eq 'work'].value", "value": "c@x" }]));
        refusal(scim.patch(&format!("/Users/{id}"), &change).await, 400, "invalidFilter");
    }

    async fn a_path_behind_a_query_string_is_never_answered_with_everybody(company: &Company) {
        let id = text(&body(company.scim.post("/Users", &user("ada@acme.example")).await, 201), "id");
        let filter = "filter=userName%20eq%20%22ada@acme.example%22";

        for query in [
            format!("?aadOptscim062020/Users?{filter}"),
            format!("?aadOptscim062020/Users/{id}"),
            format!("?aadOptscim062020%2FUsers?{filter}"),
            format!("?flag=1/Users?{filter}"),
            "?aadOptscim062020/Groups".to_owned(),
        ] {
            for method in [Method::GET, Method::POST, Method::DELETE] {
                let answer = company.scim.send(method.clone(), &query, HeaderMap::new(), None).await;
                let refused = refusal(answer, 400, "invalidSyntax");
                let detail = refused["detail"].as_str().unwrap();
                assert!(detail.contains("the tenant URL") && detail.ends_with(&format!("/scim/v2/{}", company.id)), "{detail}");
            }
        }
        assert_eq!(body(company.scim.get(&format!("/Users?aadOptscim062020&{filter}")).await, 200)["totalResults"], 1);
        assert_eq!(body(company.scim.get("?aadOptscim062020&filter=displayName%20eq%20%22a/b%22").await, 200)["totalResults"], 0);
    }

    async fn a_head_says_the_length_that_a_get_has_or_none(company: &Company) {
        let id = text(&body(company.scim.post("/Users", &user("ada@acme.example")).await, 201), "id");
        let group = text(&body(company.scim.post("/Groups", &json!({ "displayName": "Crew", "members": [{ "value": id }] })).await, 201), "id");

        let paths = ["/Users".to_owned(), format!("/Users/{id}"), format!("/Groups/{group}"), "/Schemas".to_owned(), "/Nothing".to_owned()];
        for path in paths {
            let ask = async |method: &str| {
                let authorization = format!("Authorization: Bearer {}", company.token());
                let line = format!("{method} /scim/v2/{}{path} HTTP/1.1", company.id);
                raw(&company.installation.provisioner, &format!("{line}\r\nHost: x\r\n{authorization}\r\nConnection: close\r\n\r\n")).await
            };
            let length = |answer: &str| answer.lines().find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned));
            let (get, head) = (ask("GET").await, ask("HEAD").await);

            assert!(head.ends_with("\r\n\r\n"), "{head}");
            assert_eq!(head.lines().next(), get.lines().next());
            assert_eq!(length(&head), length(&get), "{path}");
            assert_ne!(length(&head).as_deref(), Some("0"), "{path}");
        }
    }
}
