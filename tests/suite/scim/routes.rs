//! The one door: whoever has no good credential of exactly this workspace hears 401, on every route, by every method, in every
//! spelling of a path, before anything that they sent is read.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use lockstep_tests::{
    harness::{eventually, http::Answer, scim::Scim},
    world::text,
};
use serde_json::{Value, json};

use super::{Company, body, first_line, found, on_each_database, patch, raw, refusal, user};

const ROUTES: [&str; 18] = [
    "",
    "/",
    "/Users",
    "/Users/",
    "/Users/01900000-0000-7000-8000-000000000000",
    "/Users/.search",
    "/Groups",
    "/Groups/01900000-0000-7000-8000-000000000000",
    "/Groups/.search",
    "/.search",
    "/ServiceProviderConfig",
    "/ResourceTypes",
    "/ResourceTypes/User",
    "/Schemas",
    "/Schemas/urn:ietf:params:scim:schemas:core:2.0:User",
    "/Me",
    "/Bulk",
    "/Nothing",
];

/// What comes after the host, with `{w}` for the workspace.
const SPELLINGS: [&str; 24] = [
    "/scim/v2/{w}/%55sers",
    "/scim%2Fv2/{w}/Users",
    "/scim%2fv2%2f{w}%2fUsers",
    "//scim/v2/{w}//Users",
    "//scim//v2//{w}//Users",
    "/scim/v2//{w}/Users",
    "/scim/v2/{w}//Users",
    "/scim/v2/{w}/Users/",
    "/scim/v2/{w}/Users//",
    "/scim/v2/{w}/Users/..%2fGroups",
    "/scim/v2/{w}/Users/../Groups",
    "/scim/v2/{w}/./Users",
    "/scim/v2/{w}/Users;x",
    "/scim/v2/{w};x/Users",
    "/scim/v2/{w}/users",
    "/SCIM/V2/{w}/Users",
    "/scim/v2/{w}/%2555sers",
    "/scim/v2/{w}/Users%00",
    "/scim/v2/{w}/%ff",
    "/scim/v2/%ff/Users",
    "/scim/v2/{w}/Users?token=x&access_token=x",
    "/scim/v2/%63ompany/Users",
    "/scim/v2/{w}%20/Users",
    "/scim/v2/../v2/{w}/Users",
];

/// What is the same path by RFC 3986, section 6.2.2.2, and what some providers make of a base URL.
const FORGIVEN: [&str; 8] = [
    "/scim/v2/{w}/%55sers",
    "/scim/v2/%63ompany/Users",
    "/scim/v2/{w}/users",
    "/scim/v2//{w}/Users",
    "/scim/v2/{w}//Users",
    "/scim/v2/{w}/Users/",
    "/scim/v2/{w}/Users//",
    "/scim/v2/{w}/Users?token=x&access_token=x",
];

fn methods() -> [Method; 8] {
    let other = Method::from_bytes(b"PROPFIND").unwrap();
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, other]
}

fn authorization(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())])
}

#[track_caller]
fn unauthorized(answer: &Answer, why: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.header("www-authenticate")),
        (401, "Bearer"),
        "{why} {}: {}",
        answer.url,
        answer.text()
    );
}

async fn refused_everywhere(scim: &Scim, headers: &HeaderMap, why: &str) {
    for route in ROUTES {
        for method in methods() {
            // Were it read, it would be a 400.
            let malformed = Value::String("{".repeat(64));
            let sent = [Method::POST, Method::PUT, Method::PATCH].contains(&method).then_some(&malformed);
            let answer = scim.send(method.clone(), route, headers.clone(), sent).await.unwrap();
            unauthorized(&answer, &format!("{why} {method}"));
        }
    }
}

on_each_database! {
    async fn s4_s6_p17_every_route_wants_a_credential_of_its_own_workspace(company: &Company) {
        let scim = &company.scim;
        let foreign = company.another().await.token();
        let (mine, revoked) = (company.token(), company.command(&["token", "issue", &company.id]).await);
        let (revoked_id, revoked) = (text(&revoked, "id"), text(&revoked, "token"));
        company.command(&["token", "revoke", &company.id, &revoked_id]).await;
        let expired = text(&company.command(&["token", "issue", &company.id, "--expires", "1s"]).await, "token");
        let over = company.scim.with_token(&expired);
        eventually("the token's end", Duration::from_secs(10), async || {
            (over.get("/Users").await.ok()?.status == 401).then_some(())
        })
        .await
        .unwrap();

        let mut last = mine.clone();
        let other_end = if last.pop() == Some('A') { 'B' } else { 'A' };
        last.push(other_end);
        for (why, value) in [
            ("nothing", String::new()),
            ("no token", "Bearer".to_owned()),
            ("an empty token", "Bearer ".to_owned()),
            ("nonsense", "Bearer nonsense".to_owned()),
            ("a token with another end", format!("Bearer {last}")),
            ("another scheme", format!("Basic {mine}")),
            ("no scheme", mine.clone()),
            ("another workspace's token", format!("Bearer {foreign}")),
            ("a revoked token", format!("Bearer {revoked}")),
            ("an expired token", format!("Bearer {expired}")),
        ] {
            refused_everywhere(scim, &authorization(&value), why).await;
        }
        assert_eq!(scim.send(Method::GET, "/Users", authorization(&format!("Bearer {mine}")), None).await.unwrap().status, 200);
    }

    async fn p17_a_credential_counts_once_and_only_in_its_header(company: &Company) {
        let token = company.token();
        let path = format!("/scim/v2/{}/Users", company.id);
        let end = "Host: x\r\nConnection: close\r\n\r\n";

        for request in [
            format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n{end}"),
            format!("GET {path}?access_token={token} HTTP/1.1\r\n{end}"),
            format!("GET {path} HTTP/1.1\r\nCookie: Authorization=Bearer {token}\r\n{end}"),
            format!("GET {path} HTTP/1.1\r\nX-Original-Authorization: Bearer {token}\r\n{end}"),
        ] {
            let answer = raw(&company.installation.provisioner, &request).await;
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        }
        let good = format!("GET {path} HTTP/1.1\r\nauthorization: bEARER   {token}\r\n{end}");
        assert!(raw(&company.installation.provisioner, &good).await.starts_with("HTTP/1.1 200 "));
    }

    async fn s3_s30_no_spelling_of_a_path_comes_past_the_door(company: &Company) {
        company.person("ada@acme.example").await;
        let token = company.token();
        for spelling in SPELLINGS {
            let path = spelling.replace("{w}", &company.id).replace("%63ompany", &company.id.replacen('c', "%63", 1));
            for method in methods() {
                let request = |line: &str| {
                    format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n{line}\r\n")
                };

                let stranger = raw(&company.installation.provisioner, &request("")).await;
                assert!(stranger.starts_with("HTTP/1.1 401 "), "{method} {path}: {stranger}");
                let known = raw(&company.installation.provisioner, &request(&format!("Authorization: Bearer {token}\r\n"))).await;
                let is_forgiven = FORGIVEN.contains(&spelling) && method == Method::GET;
                assert_eq!(known.contains("ada@acme.example"), is_forgiven, "{method} {path}: {known}");
                assert_eq!(
                    known.starts_with("HTTP/1.1 2"),
                    FORGIVEN.contains(&spelling) && [Method::GET, Method::HEAD].contains(&method),
                    "{method} {path}: {known}"
                );
            }
        }
        assert_eq!(found(&company.scim, "/Users", "userName pr").await, 1);
    }

    async fn a_path_that_is_percent_encoded_names_what_it_stands_for(company: &Company) {
        let scim = &company.scim;
        let id = company.person("ada@acme.example").await;

        let schema = body(scim.get("/Schemas/urn%3Aietf%3Aparams%3Ascim%3Aschemas%3Acore%3A2.0%3AUser").await, 200);
        assert_eq!(schema["id"], "urn:ietf:params:scim:schemas:core:2.0:User");
        assert_eq!(body(scim.get(&format!("/Users/{}", id.replace('-', "%2D"))).await, 200)["id"], id.as_str());
        let search = json!({ "filter": "userName eq \"ada@acme.example\"" });
        assert_eq!(body(scim.post("/Users/%2Esearch", &search).await, 200)["totalResults"], 1);
        let within = json!({ "Operations": [{ "method": "DELETE", "path": format!("/%55sers/{}", id.replace('-', "%2D")) }] });
        assert_eq!(body(scim.post("/Bulk", &within).await, 200)["Operations"][0]["status"], "204");
    }

    async fn the_log_and_the_limits_know_a_workspace_in_every_spelling_that_the_door_knows(company: &Company) {
        let encoded = company.id.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        let request = format!("GET /scim/v2/{encoded}/Users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");

        assert!(raw(&company.installation.provisioner, &request).await.starts_with("HTTP/1.1 401 "));

        eventually("the line of the log", Duration::from_secs(10), async || {
            let log = company.command(&["log", "tail", &company.id]).await;
            log["entries"].as_array()?.iter().any(|entry| entry["status"] == 401).then_some(())
        })
        .await
        .unwrap();
    }

    async fn nobodys_body_is_read(company: &Company) {
        let head = |path: &str, length: usize| {
            format!(
                "POST /scim/v2/{}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n",
                company.id
            )
        };

        for path in ["/Users", "/Groups", "/Users/.search", "/Bulk"] {
            // The body is announced and never sent: an answer shows that nobody waits for it.
            let answer = first_line(&company.installation.provisioner, &format!("{}{{", head(path, 5_000_000))).await;
            assert!(answer.starts_with("HTTP/1.1 401 "), "{path}: {answer}");
        }
        let five_megabytes = Value::String("{".repeat(5_000_000));
        for _ in 0..8 {
            // It hears why, though nobody read what it sent: a reset would look like an outage and not like a bad token.
            let answer = company.scim.with_token("nonsense").post("/Users", &five_megabytes).await.unwrap();
            unauthorized(&answer, "sent whole");
        }
    }

    async fn p17_a_token_that_is_revoked_ends_on_an_open_connection_too(company: &Company) {
        let issued = company.command(&["token", "issue", &company.id]).await;
        let scim = company.scim.with_token(text(&issued, "token"));
        body(scim.get("/Users").await, 200);

        company.command(&["token", "revoke", &company.id, &text(&issued, "id")]).await;

        unauthorized(&scim.get("/Users").await.unwrap(), "the next request");
    }

    async fn a_wrong_method_is_told_the_right_ones(company: &Company) {
        for (route, allow) in [
            ("/Users", "GET, HEAD, POST"),
            ("/Groups/01900000-0000-7000-8000-000000000000", "GET, HEAD, PUT, PATCH, DELETE"),
            ("/Users/.search", "POST"),
            ("/.search", "POST"),
            ("/Bulk", "POST"),
            ("/ServiceProviderConfig", "GET, HEAD"),
            ("/Schemas/urn:ietf:params:scim:schemas:core:2.0:User", "GET, HEAD"),
        ] {
            for method in methods() {
                if allow.split(", ").any(|one| one == method.as_str()) {
                    continue;
                }
                let answer = company.scim.send(method.clone(), route, HeaderMap::new(), None).await.unwrap();
                assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{method} {route}");
            }
        }
        for method in methods() {
            // Nobody reads what is sent there, and it is as little offered to whoever sends nothing.
            for sent in [None, Some(&json!([]))] {
                let answer = company.scim.send(method.clone(), "/Me", HeaderMap::new(), sent).await.unwrap();
                assert_eq!((answer.status.as_u16(), answer.header("allow")), (501, ""), "{method}");
            }
        }
        let head = company.scim.send(Method::HEAD, "/Users", HeaderMap::new(), None).await.unwrap();
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    }

    async fn who_may_not_provision_is_told_so_whatever_they_ask(company: &Company) {
        let scim = &company.scim;
        let id = company.person("ada@acme.example").await;
        let deactivate = patch(&json!([{ "op": "replace", "path": "active", "value": false }]));
        for (closed, opened) in [
            (&["scim", "disable", &company.id][..], &["scim", "enable", &company.id][..]),
            (&["workspace", "suspend", &company.id], &["workspace", "resume", &company.id]),
            (&["workspace", "set", &company.id, "--plan", "free"], &["workspace", "set", &company.id, "--plan", "enterprise"]),
        ] {
            company.command(closed).await;

            let told = refusal(scim.get("/Users").await, 403, "")["detail"].clone();
            assert!(told.as_str().is_some_and(|told| told.contains("ask its operator")), "{closed:?}: {told}");
            refusal(scim.get("/Nothing").await, 403, "");
            refusal(scim.get("/ServiceProviderConfig").await, 403, "");
            refusal(scim.post("/Users", &user("new@acme.example")).await, 403, "");
            refusal(scim.patch(&format!("/Users/{id}"), &deactivate).await, 403, "");
            unauthorized(&scim.with_token("nonsense").get("/Users").await.unwrap(), "it is not told to strangers");

            company.command(opened).await;
            if closed[0] == "workspace" && closed[1] == "set" {
                company.command(&["scim", "enable", &company.id]).await;
            }
            assert_eq!(body(scim.get("/Users").await, 200)["totalResults"], 1, "{closed:?}");
        }
    }
}
