//! Versions (RFC 7644, section 3.14): whoever names the version that they read loses nobody's change.

use http::{HeaderMap, HeaderValue, Method, header};
use lockstep_tests::{
    harness::{HarnessError, http::Answer, scim::Scim},
    world::text,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{Company, body, on_each_database, patch, refusal, user};

async fn send(scim: &Scim, method: Method, path: &str, tag: &str, body: Option<&Value>) -> Result<Answer, HarnessError> {
    let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_str(tag).unwrap())]);
    scim.send(method, path, headers, body).await
}

/// Reads it, unless it is at this version still.
async fn unless(scim: &Scim, path: &str, tag: &str) -> Answer {
    let unchanged = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap())]);
    scim.send(Method::GET, path, unchanged, None).await.unwrap()
}

fn title(title: &str) -> Value {
    patch(&json!([{ "op": "replace", "path": "title", "value": title }]))
}

async fn version(scim: &Scim, path: &str) -> String {
    let answer = scim.get(path).await.unwrap();
    let tag = answer.header("etag").to_owned();
    assert_eq!(body(Ok(answer), 200)["meta"]["version"], tag.as_str());
    tag
}

/// Adds one to the number in the title, reading again for as long as somebody else was faster.
async fn count_up(scim: Scim, path: String) -> u32 {
    let mut refused = 0;
    loop {
        let read = body(scim.get(&path).await, 200);
        let (tag, number) = (read["meta"]["version"].as_str().unwrap(), read["title"].as_str().unwrap().parse::<u32>().unwrap());
        let answer = send(&scim, Method::PATCH, &path, tag, Some(&title(&(number + 1).to_string()))).await.unwrap();
        if answer.status == 200 {
            return refused;
        }
        refusal(Ok(answer), 412, "");
        refused += 1;
    }
}

on_each_database! {
    async fn an_old_version_changes_nothing(company: &Company) {
        let scim = &company.scim;
        for path in [format!("/Users/{}", company.person("ada").await), format!("/Groups/{}", company.group("Ada's", &[]).await)]
        {
            let old = version(scim, &path).await;
            let body_of = |name: &str| json!({ "userName": name, "displayName": name });
            body(scim.put(&path, &body_of("changed")).await, 200);
            let now = version(scim, &path).await;
            assert_ne!(old, now);

            for (method, sent) in [
                (Method::PUT, Some(body_of("stale"))),
                (Method::PATCH, Some(patch(&json!([{ "op": "replace", "path": "displayName", "value": "stale" }])))),
                (Method::DELETE, None),
            ] {
                refusal(send(scim, method, &path, &old, sent.as_ref()).await, 412, "");
                assert_eq!(version(scim, &path).await, now);
            }
            let answer = unless(scim, &format!("{path}?excludedAttributes=groups,members"), &now).await;
            assert_eq!((answer.status.as_u16(), answer.header("etag"), answer.body.len()), (304, now.as_str(), 0));
            let only_if_new = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("*"))]);
            refusal(scim.send(Method::PUT, &path, only_if_new, Some(&body_of("overwritten"))).await, 412, "");
            let listed = body(scim.get(path.rsplit_once('/').unwrap().0).await, 200);
            assert_eq!(listed["Resources"][0]["meta"]["version"], now.as_str(), "a list has versions too");
            let good = send(scim, Method::PUT, &path, &format!("\"x\", {now}"), Some(&body_of("fresh"))).await;
            assert_eq!(body(good, 200)["displayName"], "fresh");
            body(send(scim, Method::DELETE, &path, "*", None).await, 204);
            // RFC 9110, section 13.2.1: where there is nothing, no precondition is looked at.
            refusal(send(scim, Method::DELETE, &path, "*", None).await, 404, "");
        }
    }

    async fn what_others_records_show_is_never_called_unchanged(company: &Company) {
        let scim = &company.scim;
        let ada = company.person("ada").await;
        let user = format!("/Users/{ada}");
        let as_user = version(scim, &user).await;
        let group = format!("/Groups/{}", company.group("Crew", &[&ada]).await);
        let as_group = version(scim, &group).await;
        let renamed = patch(&json!([{ "op": "replace", "path": "userName", "value": "lovelace" }]));

        let read = body(Ok(unless(scim, &user, &as_user).await), 200);
        assert_eq!(read["groups"][0]["display"], "Crew", "the membership is no change of the person");
        body(scim.patch(&user, &renamed).await, 200);
        let as_user = version(scim, &user).await;

        for query in ["", "?attributes=members", "?attributes=members.display", "?excludedAttributes=displayName"] {
            let read = body(Ok(unless(scim, &format!("{group}{query}"), &as_group).await), 200);
            assert_eq!(read["members"][0]["display"], "lovelace", "{query}: the new name is no change of the group");
        }
        for (path, tag) in [(&user, &as_user), (&group, &as_group)] {
            for query in ["?excludedAttributes=groups,members", "?attributes=displayName,externalId"] {
                let answer = unless(scim, &format!("{path}{query}"), tag).await;
                assert_eq!((answer.status.as_u16(), answer.header("etag")), (304, tag.as_str()), "{path}{query}");
            }
        }
    }

    async fn what_a_schema_shows_or_hides_is_never_called_unchanged(company: &Company) {
        const BADGE: &str = "urn:example:acme:1.0:Badge";
        let scim = &company.scim;
        let define = async |attribute: &str, more: &[&str]| {
            for kind in ["User", "Group"] {
                let urn = format!("{BADGE}:{kind}");
                let words = ["schema", "add", &company.id, &urn, "--attribute", attribute, "--resource", kind];
                company.command(&[&words, more].concat()).await;
            }
        };
        define("floor:integer", &[]).await;
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for (resources, kind) in [("/Users", "User"), ("/Groups", "Group")] {
            let urn = format!("{BADGE}:{kind}");
            let made = json!({ "userName": "ada", "displayName": "Ada", &urn: { "floor": 3 } });
            let id = text(&body(scim.post(resources, &made).await, 201), "id");
            with.push((format!("{resources}/{id}?excludedAttributes=groups,members"), urn));
            let made = json!({ "userName": "bob", "displayName": "Bob" });
            let id = text(&body(scim.post(resources, &made).await, 201), "id");
            without.push(format!("{resources}/{id}?excludedAttributes=groups,members"));
        }
        let (path, urn) = &with[0];
        let tag = version(scim, path).await;

        assert_eq!(body(Ok(unless(scim, path, &tag).await), 200)[urn], json!({ "floor": 3 }));
        define("floor:string", &["--replace"]).await;
        for (path, urn) in &with {
            assert_eq!(body(Ok(unless(scim, path, &tag).await), 200)[urn], json!({ "floor": "3" }), "{path}");
        }
        for (path, urn) in &with {
            company.command(&["schema", "remove", &company.id, urn]).await;
            let read = body(Ok(unless(scim, path, &tag).await), 200);
            assert!(read.get(urn).is_none() && read["schemas"].as_array().unwrap().len() == 1, "{read}");
        }
        for path in without {
            let answer = unless(scim, &path, &tag).await;
            assert_eq!((answer.status.as_u16(), answer.header("etag")), (304, tag.as_str()), "{path}: nothing of it is a schema's");
        }
        let as_read = send(scim, Method::PATCH, path, &tag, Some(&title("Captain"))).await;
        assert_eq!(body(as_read, 200)["title"], "Captain", "the record is as it was when it was read");
    }

    async fn thirty_two_writers_that_name_their_version_lose_no_update(company: &Company) {
        let scim = &company.scim;
        let path = format!("/Users/{}", company.person("counter").await);
        body(scim.patch(&path, &title("0")).await, 200);

        let mut writers = JoinSet::new();
        for _ in 0..32 {
            writers.spawn(count_up(scim.clone(), path.clone()));
        }
        let refused: u32 = writers.join_all().await.into_iter().sum();

        assert_eq!(body(scim.get(&path).await, 200)["title"], "32");
        assert!(refused > 0, "they were side by side");
    }

    async fn entras_dialect_is_answered_without_a_body_unless_one_is_asked_for(company: &Company) {
        let scim = &company.scim;
        let path = format!("/Users/{}", company.person("ada").await);
        let change = |op: &str, title: &str| patch(&json!([{ "op": op, "path": "title", "value": title }]));
        let taking = |types: &'static str| HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(types))]);

        let brief = scim.send(Method::PATCH, &path, taking("*/*"), Some(&change("Replace", "1"))).await.unwrap();
        assert_eq!((brief.status.as_u16(), brief.body.len()), (204, 0));
        assert_eq!(brief.header("etag"), version(scim, &path).await);

        for (query, types, op) in
            [("", "application/scim+json", "Replace"), ("?attributes=title", "*/*", "Replace"), ("", "*/*", "replace")]
        {
            let answer = scim.send(Method::PATCH, &format!("{path}{query}"), taking(types), Some(&change(op, types))).await;
            assert_eq!(body(answer, 200)["title"], types, "{query} {op}");
        }
    }

    async fn what_changes_nothing_keeps_the_version(company: &Company) {
        let scim = &company.scim;
        let path = format!("/Users/{}", company.person("ada").await);
        let before = version(scim, &path).await;

        body(scim.put(&path, &user("ada")).await, 200);
        body(scim.patch(&path, &patch(&json!([{ "op": "Replace", "path": "active", "value": "True" }]))).await, 200);

        assert_eq!(version(scim, &path).await, before);
    }
}
