//! The cases of attack-cases.md that no other file here has, by their numbers.

use std::collections::BTreeSet;

use http::Method;
use lockstep_tests::world::text;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use super::{
    Company, ENTERPRISE, USER, body,
    conversations::{numbers, replay},
    found, on_each_database, patch, random_seed, raw, refusal,
};

const DEFECTS: &str = include_str!("conversations/defects.txt");

/// Reported defects that are no conversation of one workspace, and where they are a test.
const ELSEWHERE: [(&[u32], &str); 7] = [
    (&[39, 40, 41, 44, 47], "the benchmarks: what a change of one member costs, by the size of the group"),
    (&[43, 45, 46], "here (d43) and in groups.rs: sixty-four changes side by side"),
    (&[50], "the cursors of RFC 9865"),
    (&[51, 52, 53, 55], "oracle.rs and barrier.rs: nobody gets in after the answer, by whatever credential"),
    (&[54], "groups.rs: a member who is nobody yet is taken"),
    (&[56, 57, 58, 59, 64], "tenancy.rs, routes.rs and isolation.rs"),
    (&[60, 61, 62, 63], "store/people.rs: an address alone links nobody"),
];

/// How many spellings of a path are tried.
const SPELLINGS: usize = 400;

#[test]
fn each_reported_defect_has_its_place() {
    let mut placed: Vec<u32> = numbers(DEFECTS);
    placed.extend(ELSEWHERE.iter().flat_map(|(numbers, _)| numbers.iter().copied()));

    let distinct: BTreeSet<u32> = placed.iter().copied().collect();

    assert_eq!(distinct.len(), placed.len(), "one place each");
    assert_eq!(distinct, (1..=64).collect());
}

/// A path below the base URL that is written in another way, as one who wants past a check of paths would.
fn odd_spelling(random: &mut StdRng, workspace: &str) -> String {
    let mut path = format!("/scim/v2/{workspace}/{}", ["Users", "Groups", "Users/.search", "Schemas"].choose(random).unwrap());
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..path.len());
        let (head, tail) = path.split_at(at);
        let (first, rest) = tail.split_at(1);
        path = match random.random_range(0..9) {
            0 => format!("{head}%{:02x}{rest}", first.as_bytes()[0]),
            1 => format!("{head}%25{:02X}{rest}", first.as_bytes()[0]),
            2 => format!("{head}/{tail}"),
            3 => format!("{head}/./{tail}"),
            4 => format!("{head}/x/../{tail}"),
            5 => format!("{head};a=b{tail}"),
            6 => format!("{head}{}{rest}", if first.is_ascii() { first.to_ascii_uppercase() } else { first.to_owned() }),
            7 => format!("{path}{}", ["/", "//", "%00", "%2f", ".json", "?a=b", "#x", "\\"].choose(random).unwrap()),
            _ => format!("{head}{}{tail}", ["%2f", "%5c", "\\", "..;/", "%c0%af", "%ef%bc%8f"].choose(random).unwrap()),
        };
    }
    if path.starts_with('/') { path } else { format!("/{path}") }
}

on_each_database! {
    async fn reported_defects_are_not_repeated(company: &Company) {
        replay(company, DEFECTS).await;
    }

    async fn d43_a_change_of_one_member_touches_no_other(company: &Company) {
        let stranger = |number: u32| format!("01900000-0000-7000-8000-{number:012x}");
        let mut members: Vec<String> = (0..1_150).map(stranger).collect();
        let group = company.group("Large", &members.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let path = format!("/Groups/{group}");

        let add = json!([{ "op": "Add", "path": "members", "value": [{ "value": stranger(9_999) }] }]);
        body(company.scim.patch(&path, &patch(&add)).await, 204);
        members.push(stranger(9_999));
        assert_eq!(company.members(&group).await, members, "all are shown, and not the first hundred");
        let gone = members.remove(700);
        let remove = json!([{ "op": "Remove", "path": "members", "value": [{ "value": gone }] }]);
        body(company.scim.patch(&path, &patch(&remove)).await, 204);

        assert_eq!(company.members(&group).await, members);
    }

    async fn s1_an_external_id_names_nobody_who_is_there(company: &Company) {
        let theirs = company.another().await;
        let (mine, foreign) = (company.person("admin@acme.example").await, theirs.person("admin@acme.example").await);
        let before = (company.all("/Users").await, theirs.all("/Users").await);

        for (number, external_id) in ["1", "0", "-1", "admin", "admin@acme.example", &mine, &foreign].into_iter().enumerate() {
            let sent = json!({ "id": mine, "externalId": external_id, "userName": format!("new-{number}"), "active": false });
            let made = body(company.scim.post("/Users", &sent).await, 201);

            let id = text(&made, "id");
            assert!(![mine.as_str(), foreign.as_str()].contains(&id.as_str()), "{made}");
            assert_eq!(body(company.scim.get(&format!("/Users/{id}")).await, 200)["externalId"], external_id);
            assert_eq!(body(company.scim.get(&format!("/Users/{mine}")).await, 200)["active"], true, "{external_id}");
            body(company.scim.delete(&format!("/Users/{id}")).await, 204);
        }
        for id in ["1", "0", "-1", "admin", "admin@acme.example", &foreign] {
            refusal(company.scim.get(&format!("/Users/{id}")).await, 404, "");
        }
        assert_eq!((company.all("/Users").await, theirs.all("/Users").await), before);
    }

    async fn s3_no_generated_spelling_of_a_path_comes_past_the_door(company: &Company) {
        company.person("ada@acme.example").await;
        let foreign = company.another().await.token();
        let mut random = StdRng::seed_from_u64(random_seed("s3"));

        for _ in 0..SPELLINGS {
            let path = odd_spelling(&mut random, &company.id);
            for credential in [String::new(), format!("Authorization: Bearer {foreign}\r\n")] {
                let method = [Method::GET, Method::POST, Method::DELETE].choose(&mut random).unwrap().clone();
                let request =
                    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n{credential}\r\n");

                let answer = raw(&company.installation.provisioner, &request).await;

                // What does not look like ours at all is nobody's (404), and what is no target of HTTP is a bad request.
                let told = answer.split(' ').nth(1).unwrap_or_default();
                assert!(["401", "404", "400"].contains(&told), "{method} {path}: {answer}");
                assert!(told == "401" || !path.to_lowercase().starts_with("/scim/v2/") || told == "400", "{method} {path}: {answer}");
                assert!(!answer.contains("ada@acme.example"), "{method} {path}: {answer}");
            }
        }
        assert_eq!(found(&company.scim, "/Users", "userName pr").await, 1);
    }

    async fn s7_nobody_assigns_what_is_not_theirs_to_say(company: &Company) {
        let scim = &company.scim;
        let ours = json!({
            "id": "01900000-0000-7000-8000-000000000001", "schemas": ["urn:x:y"], "workspace": "other", "workspace_id": "other",
            "isAdmin": true, "admin": true, "login_method": "password", "loginMethod": "password", "origin": "invited",
            "version": 99, "ended_seq": 0, "created_at": "2000-01-01T00:00:00Z", "passwordHash": "x", "emailVerified": true,
            "teams": ["all"], "groups": [{ "value": "01900000-0000-7000-8000-000000000002" }],
            "meta": { "created": "2000-01-01T00:00:00Z", "version": "W/\"99\"", "location": "https://evil.example/" },
            "__proto__": { "active": false }, "constructor": { "prototype": {} },
            ENTERPRISE: { "isAdmin": true, "manager": { "displayName": "Forged" } },
        });
        let with = |name: &str| {
            let mut body = ours.clone();
            body["userName"] = json!(name);
            body
        };
        let clean = |user: &Value| {
            let (shown, mut names) = (user.to_string(), user.as_object().unwrap().keys());
            assert!(names.all(|name| ["schemas", "id", "userName", "active", "meta"].contains(&name.as_str())), "{shown}");
            assert!(!shown.contains("evil.example") && !shown.contains("2000-01-01"), "{shown}");
            assert_eq!(user["active"], true, "{shown}");
        };

        let made = body(scim.post("/Users", &with("ada@acme.example")).await, 201);
        let path = format!("/Users/{}", text(&made, "id"));
        assert_ne!(made["id"], ours["id"]);
        clean(&made);
        refusal(scim.put(&path, &with("ada@acme.example")).await, 400, "mutability");
        let mut same_id = with("ada@acme.example");
        same_id["id"] = made["id"].clone();
        clean(&body(scim.put(&path, &same_id).await, 200));
        clean(&body(scim.patch(&path, &patch(&json!([{ "op": "add", "value": same_id }]))).await, 200));

        let core = json!({ USER: { "schemas": ["urn:x:y"], "id": ours["id"] }, "userName": "bob@acme.example" });
        clean(&body(scim.post("/Users", &core).await, 201));
        for operation in [
            json!({ "op": "add", "path": "schemas", "value": ["urn:x:y"] }),
            json!({ "op": "replace", "path": format!("{USER}:schemas"), "value": "urn:x:y" }),
            json!({ "op": "add", "path": USER, "value": { "schemas": ["urn:x:y"] } }),
            json!({ "op": "remove", "path": "schemas" }),
        ] {
            let after = body(scim.patch(&path, &patch(&json!([operation]))).await, 200);
            assert_eq!(after["schemas"], json!([USER]), "{operation}");
        }

        let shown = company.command(&["user", "show", &company.id, "ada@acme.example"]).await;
        assert_eq!((&shown["login_method"], &shown["origin"]), (&json!("sso"), &json!("provisioned")));
        assert_eq!((&shown["groups"], &shown["roles"], &shown["teams"]), (&json!([]), &json!([]), &json!([])), "{shown}");
    }

    async fn s7_what_looks_like_sql_is_text(company: &Company) {
        let theirs = company.another().await;
        theirs.person("theirs@other.example").await;
        company.person("ada@acme.example").await;
        let before = (company.all("/Users").await, theirs.all("/Users").await);

        for attack in [
            "x' OR '1'='1",
            "x\\\" OR \\\"1\\\"=\\\"1",
            "'; DROP TABLE users; --",
            "x' UNION SELECT * FROM tokens --",
            "%",
            "_",
            "$1",
            "x') OR workspace_id <> ('",
        ] {
            assert_eq!(found(&company.scim, "/Users", &format!("userName eq \"{attack}\"")).await, 0, "{attack}");
            assert_eq!(found(&company.scim, "/Users", &format!("emails[type eq \"{attack}\"].value eq \"{attack}\"")).await, 0);
            assert_eq!(found(&company.scim, "/Groups", &format!("members eq \"{attack}\" or displayName eq \"{attack}\"")).await, 0);
            let name: String = url::form_urlencoded::byte_serialize(attack.as_bytes()).collect();
            refusal(company.scim.get(&format!("/Users?sortBy={name}")).await, 400, "invalidPath");
            refusal(company.scim.get(&format!("/Users?count={name}")).await, 400, "invalidValue");
            refusal(company.scim.get(&format!("/Users/{}", name.replace('+', "%20"))).await, 404, "");
            body(company.scim.get(&format!("/Users?attributes={name}")).await, 200);
        }
        assert_eq!((company.all("/Users").await, theirs.all("/Users").await), before);
    }

    async fn p16_who_only_looks_like_somebody_is_somebody_else(company: &Company) {
        let scim = &company.scim;
        let admin = body(
            scim.post("/Users", &json!({ "userName": "admin@acme.example", "emails": [{ "value": "admin@acme.example" }] })).await,
            201,
        );

        for unseen in ["admin\u{200b}@acme.example", "\u{202e}admin@acme.example", "admin\u{200d}@acme.example"] {
            refusal(scim.post("/Users", &json!({ "userName": unseen })).await, 400, "invalidValue");
            refusal(scim.post("/Groups", &json!({ "displayName": unseen })).await, 400, "invalidValue");
        }
        for alike in ["\u{430}dmin@acme.example", "\u{ff41}dmin@acme.example", "adm\u{131}n@acme.example"] {
            let person = json!({ "userName": alike, "emails": [{ "value": "admin@acme.example", "primary": true }] });
            let made = body(scim.post("/Users", &person).await, 201);
            let path = format!("/Users/{}", text(&made, "id"));

            assert_ne!(made["id"], admin["id"]);
            for taken in ["admin@acme.example", "ADMIN@acme.example", "Admin@ACME.EXAMPLE"] {
                let rename = json!([{ "op": "replace", "path": "userName", "value": taken }]);
                refusal(scim.patch(&path, &patch(&rename)).await, 409, "uniqueness");
                refusal(scim.put(&path, &json!({ "userName": taken })).await, 409, "uniqueness");
            }
            body(scim.delete(&path).await, 204);
            assert_eq!(body(scim.get(&format!("/Users/{}", text(&admin, "id"))).await, 200), admin, "{alike}");
        }
        assert_eq!(found(scim, "/Users", "userName eq \"admin@acme.example\"").await, 1);
    }
}
