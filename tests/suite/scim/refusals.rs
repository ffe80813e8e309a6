//! Bad input (attack-cases.md, s20 to s30): each has the right status and reason, and nothing of a refused request stays.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use lockstep_tests::{harness::http::Answer, world::text};
use serde_json::{Value, json};

use super::{Company, ENTERPRISE, GROUP, USER, body, first_line, found, on_each_database, patch, refusal, user};

/// A POST to /Users of these bytes.
async fn post_bytes(company: &Company, kind: Option<&str>, bytes: Vec<u8>) -> Answer {
    let url = format!("{}/scim/v2/{}/Users", company.installation.provisioner.url(), company.id);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(&url).bearer_auth(company.token()).body(bytes);
    if let Some(kind) = kind {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { url: url.parse().unwrap(), status, headers, body: response.bytes().await.unwrap() }
}

on_each_database! {
    async fn a_body_that_is_no_json_is_refused(company: &Company) {
        for bytes in [
            &b""[..],
            b"{",
            b"nonsense",
            b"[]",
            b"null",
            b"\"x\"",
            b"{\"userName\":\"a\",\"userName\":\"b\"}",
            b"{\"userName\":\"a\"}}",
            b"{\"userName\":\"\\ud800\"}",
            b"{\"userName\":\"a\\u0000\"}",
            b"{\"userName\":\"\xff\"}",
            b"{\"userName\":1e999}",
        ] {
            refusal(Ok(post_bytes(company, Some("application/scim+json"), bytes.to_vec()).await), 400, "invalidSyntax");
        }
        let deep = format!("{{\"userName\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        refusal(Ok(post_bytes(company, Some("application/json"), deep.into_bytes()).await), 400, "invalidSyntax");
        assert_eq!(company.all("/Users").await, json!([]));
    }

    async fn s27_json_has_two_names_or_none_and_one_megabyte(company: &Company) {
        for (number, kind) in
            [Some("application/json"), Some("application/scim+json"), Some("application/scim+json; charset=utf-8"), None]
                .into_iter()
                .enumerate()
        {
            let bytes = user(&format!("user-{number}")).to_string().into_bytes();
            body(Ok(post_bytes(company, kind, bytes).await), 201);
        }
        let marked = [b"\xef\xbb\xbf".to_vec(), user("marked").to_string().into_bytes()].concat();
        body(Ok(post_bytes(company, Some("application/json"), marked).await), 201);
        for kind in ["text/json", "application/xml", "application/x-www-form-urlencoded"] {
            refusal(Ok(post_bytes(company, Some(kind), user("never").to_string().into_bytes()).await), 415, "");
        }
        let large = json!({ "userName": "never", "title": "x".repeat(5_000_000) });
        refusal(Ok(post_bytes(company, Some("application/json"), large.to_string().into_bytes()).await), 413, "");
        // Without a length, in chunks, for ever: 413 when the limit is passed, not when it ends.
        let chunk = format!("{:x}\r\n{}\r\n", 65_536, " ".repeat(65_536)).repeat(20);
        let head = format!(
            "POST /scim/v2/{}/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
            company.id,
            company.token()
        );
        let answer = first_line(&company.installation.provisioner, &format!("{head}{chunk}")).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");

        assert_eq!(found(&company.scim, "/Users", "userName pr").await, 5);
    }

    async fn s20_a_filter_that_is_none_is_refused_and_never_finds_nobody(company: &Company) {
        company.person("ada@acme.example").await;
        let table = [
            "userName".to_owned(),
            "userName eq".to_owned(),
            "userName eq \"open".to_owned(),
            "userName is \"x\"".to_owned(),
            "eq \"x\"".to_owned(),
            "shoeSize eq \"x\"".to_owned(),
            "userName eq \"x\" and".to_owned(),
            "(userName eq \"x\"".to_owned(),
            "userName eq \"x\")".to_owned(),
            "userName eq \"\\ud800\"".to_owned(),
            "userName eq \"\u{0}\"".to_owned(),
            "emails[type eq \"work\"".to_owned(),
            "password eq \"x\"".to_owned(),
            "active gt true".to_owned(),
            format!("{}userName eq \"x\"{}", "(".repeat(10_000), ")".repeat(10_000)),
            "not ".repeat(5_000) + "x",
            vec!["userName eq \"x\""; 5_000].join(" or "),
        ];
        for filter in table {
            let shown: String = filter.chars().take(60).collect();
            let answer = company.scim.post("/Users/.search", &json!({ "filter": filter })).await.unwrap();
            assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
            if !filter.contains('\u{0}') {
                refusal(Ok(answer), 400, "invalidFilter");
            }
            if filter.len() < 1_000 {
                refusal(company.scim.find("/Users", &filter).await, 400, "invalidFilter");
            }
        }
        let long = json!({ "filter": format!("userName eq \"{}\"", "x".repeat(1_000_000)) });
        refusal(company.scim.post("/Users/.search", &long).await, 400, "invalidFilter");
    }

    async fn s22_a_path_selects_what_it_says_or_is_refused(company: &Company) {
        let id = text(&body(company.scim.post("/Users", &json!({ "userName": "ada", "emails": [
            { "type": "work", "value": "w@acme.example" },
            { "type": "home", "value": "h@acme.example" },
            { "type": "home", "value": "i@acme.example" },
        ] })).await, 201), "id");
        let path = format!("/Users/{id}");
        for (operation, scim_type) in [
            (json!({ "op": "replace", "path": "emails[", "value": "x" }), "invalidPath"),
            (json!({ "op": "replace", "path": "userName[type eq \"x\"]", "value": "x" }), "invalidPath"),
            (json!({ "op": "replace", "path": "emails[shoe eq 1].value", "value": "x" }), "invalidFilter"),
            (json!({ "op": "replace", "path": 7, "value": "x" }), "invalidPath"),
            (json!({ "op": "replace", "path": "id", "value": "x" }), "mutability"),
            (json!({ "op": "replace", "path": "meta.created", "value": "2020-01-01T00:00:00Z" }), "mutability"),
            (json!({ "op": "replace", "path": "groups", "value": [] }), "mutability"),
            (json!({ "op": "remove", "path": "userName" }), "mutability"),
            (json!({ "op": "replace", "path": "userName", "value": "" }), "invalidValue"),
            (json!({ "op": "replace", "path": "userName", "value": {} }), "invalidValue"),
            (json!({ "op": "replace", "path": "title" }), "invalidValue"),
            (json!({ "op": "remove" }), "noTarget"),
            (json!({ "op": "copy", "path": "title", "value": "x" }), "invalidSyntax"),
            (json!({ "path": "title", "value": "x" }), "invalidSyntax"),
            (json!({ "op": "add", "value": "x" }), "invalidSyntax"),
            (json!("add"), "invalidSyntax"),
        ] {
            refusal(company.scim.patch(&path, &patch(&json!([operation]))).await, 400, scim_type);
        }
        for no_request in [json!({}), json!({ "Operations": [] }), json!({ "Operations": {} }), json!([])] {
            refusal(company.scim.patch(&path, &no_request).await, 400, "invalidSyntax");
        }

        let both = json!([{ "op": "replace", "path": "emails[type eq \"home\"].display", "value": "Home" }]);
        let emails = body(company.scim.patch(&path, &patch(&both)).await, 200)["emails"].clone();
        assert_eq!(emails.as_array().unwrap().iter().filter(|email| email["display"] == "Home").count(), 2, "{emails}");
        let whole = json!([{ "op": "replace", "path": "emails[type eq \"work\"]", "value": { "value": "new@acme.example" } }]);
        let emails = body(company.scim.patch(&path, &patch(&whole)).await, 200)["emails"].clone();
        assert_eq!(emails[0], json!({ "value": "new@acme.example", "type": "work" }), "it keeps the type by which it was found");
        let prototype =
            json!([{ "op": "add", "value": { "__proto__": { "active": false }, "isAdmin": true, "constructor": "x" } }]);
        let after = body(company.scim.patch(&path, &patch(&prototype)).await, 200);
        assert!(after.get("isAdmin").is_none() && after.get("__proto__").is_none() && after["active"] == true, "{after}");
    }

    async fn s24_of_a_request_that_fails_nothing_stays(company: &Company) {
        let path = format!("/Users/{}", company.person("ada").await);
        let group = company.group("Group", &[]).await;
        let before = (company.all("/Users").await, company.all("/Groups").await);

        let user = json!([
            { "op": "replace", "path": "active", "value": false },
            { "op": "replace", "path": "title", "value": "x" },
            { "op": "replace", "path": "userName", "value": " " },
        ]);
        refusal(company.scim.patch(&path, &patch(&user)).await, 400, "invalidValue");
        let named = json!([
            { "op": "add", "path": "members", "value": [{ "value": "x" }] },
            { "op": "replace", "path": "displayName", "value": "Other" },
            { "op": "remove", "path": "displayName" },
        ]);
        refusal(company.scim.patch(&format!("/Groups/{group}"), &patch(&named)).await, 400, "mutability");
        assert_eq!((company.all("/Users").await, company.all("/Groups").await), before);

        let contrary = json!([
            { "op": "replace", "path": "active", "value": false },
            { "op": "replace", "path": "active", "value": true },
            { "op": "add", "path": "title", "value": "x" },
            { "op": "add", "path": "title", "value": "x" },
        ]);
        let after = body(company.scim.patch(&path, &patch(&contrary)).await, 200);
        assert_eq!((&after["active"], &after["title"]), (&json!(true), &json!("x")), "the last one counts");
    }

    async fn s25_who_somebody_is_cannot_be_taken_over(company: &Company) {
        let scim = &company.scim;
        let ada = body(scim.post("/Users", &json!({ "userName": "ada", "externalId": "1" })).await, 201);
        let bob = body(scim.post("/Users", &json!({ "userName": "bob", "externalId": "2" })).await, 201);
        let path = format!("/Users/{}", text(&bob, "id"));

        let error = refusal(scim.post("/Users", &json!({ "userName": "ADA" })).await, 409, "uniqueness");
        assert!(!error.to_string().contains(&text(&ada, "id")), "{error}");
        let operation = json!([{ "op": "replace", "path": "userName", "value": "Ada" }]);
        refusal(scim.patch(&path, &patch(&operation)).await, 409, "uniqueness");
        refusal(scim.put(&path, &json!({ "userName": "ada" })).await, 409, "uniqueness");
        refusal(scim.put(&path, &json!({ "schemas": [USER], "displayName": "Bob" })).await, 400, "invalidValue");
        refusal(scim.put(&path, &json!({ "id": ada["id"], "userName": "bob" })).await, 400, "mutability");
        refusal(scim.put("/Users/01900000-0000-7000-8000-000000000000", &json!({ "userName": "x" })).await, 404, "");
        assert_eq!(body(scim.get(&path).await, 200), bob);

        body(scim.delete(&path).await, 204);
        refusal(scim.delete(&path).await, 404, "");
        refusal(scim.patch(&path, &patch(&json!([{ "op": "replace", "path": "active", "value": true }]))).await, 404, "");
        let again = body(scim.post("/Users", &json!({ "userName": "bob", "externalId": "2" })).await, 201);
        assert_ne!(again["id"], bob["id"], "a new subject");
        refusal(scim.get(&path).await, 404, "");
    }

    async fn s21_two_spellings_of_one_name_are_one_name(company: &Company) {
        for name in ["Jos\u{e9}@acme.example", "\u{130}stanbul", "stra\u{df}e", &"n".repeat(300)] {
            body(company.scim.post("/Users", &user(name)).await, 201);
        }

        for taken in ["jose\u{301}@ACME.example", "STRA\u{1e9e}E", &"N".repeat(300)] {
            refusal(company.scim.post("/Users", &user(taken)).await, 409, "uniqueness");
            assert_eq!(found(&company.scim, "/Users", &format!("userName eq \"{taken}\"")).await, 1, "{taken}");
        }
        for other in ["istanbul", "strasse"] {
            body(company.scim.post("/Users", &user(other)).await, 201);
        }
        for bad in ["", " ", "a\u{7}b", " ada", "ada ", &"n".repeat(513)] {
            refusal(company.scim.post("/Users", &user(bad)).await, 400, "invalidValue");
        }
    }

    async fn s26_a_body_without_its_schemas_is_understood(company: &Company) {
        for (number, schemas) in
            [json!([]), json!(null), json!("x"), json!(["urn:scim:schemas:core:1.0"]), json!([GROUP])].into_iter().enumerate()
        {
            let made = body(
                company.scim.post("/Users", &json!({ "schemas": schemas, "userName": format!("user-{number}") })).await,
                201,
            );
            assert_eq!(made["schemas"], json!([USER]));
        }
        let with = json!({ "userName": "with", ENTERPRISE: { "department": "x" } });
        assert_eq!(body(company.scim.post("/Users", &with).await, 201)["schemas"], json!([USER, ENTERPRISE]));
    }

    async fn s28_every_page_is_a_page(company: &Company) {
        for number in 0..3 {
            company.person(&format!("user-{number}")).await;
        }
        for (query, start, on_page) in [
            ("count=0", 1, 0),
            ("count=-1", 1, 0),
            ("startIndex=0&count=2", 1, 2),
            ("startIndex=-7&count=2", 1, 2),
            ("startIndex=3", 3, 1),
            ("startIndex=4", 4, 0),
            ("startIndex=9223372036854775807&count=1000", i64::MAX, 0),
            ("count=99999", 1, 3),
            ("startIndex=&count=", 1, 3),
            ("sortBy=userName&sortOrder=descending&count=1", 1, 1),
            ("filter=userName+sw+%22user%22&startIndex=2&count=2", 2, 2),
        ] {
            let page = body(company.scim.get(&format!("/Users?{query}")).await, 200);
            assert_eq!(
                (&page["startIndex"], &page["itemsPerPage"], &page["totalResults"]),
                (&json!(start), &json!(on_page), &json!(3)),
                "{query}"
            );
        }
        for query in ["count=x", "count=1.5", "startIndex=one", "startIndex=99999999999999999999"] {
            refusal(company.scim.get(&format!("/Users?{query}")).await, 400, "invalidValue");
        }
        let last = body(company.scim.get("/Users?sortBy=userName&sortOrder=descending&count=1").await, 200);
        assert_eq!(last["Resources"][0]["userName"], "user-2");
        refusal(company.scim.get("/Users?sortBy=shoeSize").await, 400, "invalidPath");
    }

    async fn s29_an_answer_has_the_attributes_that_were_asked_for(company: &Company) {
        let whole = json!({
            "userName": "ada", "title": "Countess", "name": { "givenName": "Ada", "familyName": "King" },
            "emails": [{ "type": "work", "value": "w@acme.example" }], ENTERPRISE: { "department": "Engines" },
        });
        let path = format!("/Users/{}", text(&body(company.scim.post("/Users", &whole).await, 201), "id"));
        let always = |more: Value| {
            let mut expected = json!({ "schemas": [USER, ENTERPRISE], "id": path.trim_start_matches("/Users/") });
            expected.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            expected
        };
        for (query, expected) in [
            ("attributes=USERNAME,Title", json!({ "userName": "ada", "title": "Countess" })),
            ("attributes=emails[type+eq+%22work%22]", json!({ "emails": [{ "type": "work", "value": "w@acme.example" }] })),
            (
                "attributes=emails.value,name.givenName",
                json!({ "emails": [{ "value": "w@acme.example" }], "name": { "givenName": "Ada" } }),
            ),
            ("attributes=shoeSize,password", json!({})),
            (
                "attributes=urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
                json!({ ENTERPRISE: { "department": "Engines" } }),
            ),
            (
                "excludedAttributes=id,schemas,meta,active,emails,name.familyName,title",
                json!({
                    "userName": "ada", "name": { "givenName": "Ada" }, ENTERPRISE: { "department": "Engines" },
                }),
            ),
        ] {
            assert_eq!(body(company.scim.get(&format!("{path}?{query}")).await, 200), always(expected.clone()), "{query}");
            let list = body(company.scim.get(&format!("/Users?{query}")).await, 200);
            assert_eq!(list["Resources"], json!([always(expected)]), "{query}");
        }
        let lean = body(company.scim.post("/Users?attributes=userName", &json!({ "userName": "bob", "title": "x" })).await, 201);
        assert!(lean.get("title").is_none() && lean["userName"] == "bob", "{lean}");
    }

    async fn a_search_by_post_says_what_a_query_says(company: &Company) {
        let ada = company.person("ada").await;
        company.person("bob").await;
        let group = company.group("Engines", &[&ada]).await;
        let search = async |path: &str, request: Value| body(company.scim.post(path, &request).await, 200);

        let one = search(
            "/Users/.search",
            json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
                "filter": "userName eq \"ada\"", "attributes": ["userName"], "startIndex": 1, "count": 10,
            }),
        )
        .await;
        assert_eq!(one["Resources"], json!([{ "schemas": [USER], "id": ada, "userName": "ada" }]));
        let all = search("/.search", json!({ "excludedAttributes": ["meta"], "count": 10 })).await;
        assert_eq!((&all["totalResults"], &all["Resources"][2]["id"]), (&json!(3), &json!(group)));
        let second = search("/.search", json!({ "startIndex": 2, "count": 2 })).await;
        assert_eq!(
            (&second["totalResults"], &second["Resources"][0]["userName"], &second["Resources"][1]["id"]),
            (&json!(3), &json!("bob"), &json!(group))
        );
        let named = search("/.search", json!({ "filter": "displayName eq \"engines\" or userName eq \"bob\"" })).await;
        assert_eq!(
            (&named["totalResults"], &named["Resources"][1]["id"]),
            (&json!(2), &json!(group)),
            "what a type does not have has no value there"
        );
        let groups = search("/.search", json!({ "filter": "members eq \"".to_owned() + &ada + "\"" })).await;
        assert_eq!(groups["Resources"][0]["id"], group.as_str());

        refusal(company.scim.post("/.search", &json!({ "filter": "shoeSize eq 1" })).await, 400, "invalidFilter");
        refusal(company.scim.post("/.search", &json!({ "sortBy": "shoeSize" })).await, 400, "invalidPath");
        refusal(company.scim.post("/Users/.search", &json!({ "filter": { "a": 1 } })).await, 400, "invalidValue");
        refusal(company.scim.post("/Users/.search", &json!([])).await, 400, "invalidSyntax");
    }

    async fn discovery_is_what_is_offered(company: &Company) {
        let config = body(company.scim.get("/ServiceProviderConfig").await, 200);
        assert_eq!(
            (&config["patch"]["supported"], &config["bulk"]["supported"], &config["etag"]["supported"]),
            (&json!(true), &json!(true), &json!(true))
        );
        for (path, status) in [
            ("/ResourceTypes/User", 200),
            ("/ResourceTypes/Nothing", 404),
            ("/Schemas/urn:x", 404),
            ("/Bulk", 405),
            ("/Me", 501),
            ("/Schemas?filter=id+eq+%22x%22", 403),
            ("/Users/nobody", 404),
            ("/Nothing", 404),
            ("/Users/a/b", 404),
            ("", 200),
            ("/", 200),
        ] {
            let answer = company.scim.get(path).await.unwrap();
            assert_eq!(answer.status, StatusCode::from_u16(status).unwrap(), "{path}: {}", answer.text());
        }
        let none = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"))]);
        assert_eq!(company.scim.send(Method::DELETE, "/Users/nobody", none, None).await.unwrap().status, 404);
    }
}
