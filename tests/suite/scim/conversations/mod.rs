//! One golden conversation for each provider (scim-dialects.md, section 1), as data beside this file: its requests in its
//! order, what it has to be answered, and the directory that it leaves, exactly.

mod entra;
mod okta;
mod script;

use futures_util::future::join_all;
use lockstep_tests::harness::{HarnessError, http::Answer, scim::Scim};
use serde_json::{Value, json};

use self::script::{Exchange, Names, Script, Step, has_name};
use super::{Company, ERROR, body, on_each_database};

/// What Okta's bodies carry: no log may hold it, no answer may either.
const PASSWORDS: [&str; 2] = ["1mz050nq-placeholder", "synchronised-placeholder"];

/// The numbers of the cases in a conversation.
pub(super) fn numbers(text: &str) -> Vec<u32> {
    Script::read(text).numbers()
}

/// Plays a conversation to a company's workspace.
pub(super) async fn replay(company: &Company, text: &str) {
    for password in PASSWORDS {
        company.installation.site.secret("a placeholder password", password);
    }
    let (script, mut names, mut about) = (Script::read(text), Names::default(), "");
    for step in &script.steps {
        match step {
            Step::Exchange(together) => {
                let sent = together.iter().map(|exchange| send(&company.scim, &script, exchange, &names));
                for (exchange, answer) in together.iter().zip(join_all(sent).await) {
                    judge(about, exchange, answer.unwrap(), &mut names);
                }
            }
            Step::Directory { resources, expected } => {
                let (found, expected) = (directory(company, resources).await, ordered(names.fill_in(expected)));
                assert_eq!(found, expected, "{about} {resources} afterwards");
            }
            Step::About(of) => about = of,
        }
    }
}

async fn send(scim: &Scim, script: &Script, exchange: &Exchange, names: &Names) -> Result<Answer, HarnessError> {
    let (mut path, body) = (names.fill(&exchange.path), exchange.body.as_ref().map(|body| names.fill_in(body)));
    let sent = format!("{path} {}", body.as_ref().map(ToString::to_string).unwrap_or_default());
    assert!(!has_name(&sent), "a name that nothing explained: {sent}");
    if let Some(flag) = &script.query {
        path = match path.split_once('?') {
            Some((path, query)) => format!("{path}?{flag}&{query}"),
            None => format!("{path}?{flag}"),
        };
    }
    scim.send(exchange.method.clone(), &path, script.headers.clone(), body.as_ref()).await
}

/// What every answer is, and what this one has to be.
fn judge(about: &str, exchange: &Exchange, answer: Answer, names: &mut Names) {
    let Exchange { method, path, status, expected, .. } = exchange;
    let (location, url) = (answer.header("location").to_owned(), answer.url.clone());
    assert_eq!(answer.status, *status, "{about} {method} {url}: {}", answer.text());
    let found = body(Ok(answer), status.as_u16());

    assert!(!has_null(&found), "{method} {path}: an answer has no null: {found}");
    assert!(!PASSWORDS.iter().any(|password| found.to_string().contains(password)), "{method} {path}: {found}");
    if *status == 201 {
        assert_eq!(found["meta"]["location"], location, "{method} {path}");
        assert!(location.ends_with(&format!("/{}", found["id"].as_str().unwrap())), "{location}");
    }
    if status.is_client_error() {
        assert_eq!((&found["schemas"], &found["status"]), (&json!([ERROR]), &json!(status.as_str())), "{method} {path}");
    }
    let found = if found.is_null() { json!({}) } else { found };
    if let Err(why) = names.compare(expected, &found) {
        panic!("{about} {method} {url}: {why}\nin {found}");
    }
}

/// Everything of a kind, without what the server alone writes; members and groups are their ids.
async fn directory(company: &Company, resources: &str) -> Value {
    let list = body(company.scim.get(&format!("{resources}?count=1000")).await, 200);
    let mut all = list["Resources"].clone();
    for resource in all.as_array_mut().unwrap() {
        let resource = resource.as_object_mut().unwrap();
        assert!(resource.remove("meta").is_some() && resource.remove("schemas").is_some());
        for rows in ["members", "groups"] {
            if let Some(rows) = resource.get_mut(rows) {
                *rows = rows.as_array().unwrap().iter().map(|row| row["value"].clone()).collect();
            }
        }
    }
    ordered(all)
}

/// In one order: nobody promises one for requests that came together.
fn ordered(mut resources: Value) -> Value {
    let by = |value: &Value| value.as_str().or_else(|| value["id"].as_str()).unwrap_or_default().to_owned();
    for resource in resources.as_array_mut().unwrap() {
        for rows in ["members", "groups"] {
            if let Some(rows) = resource.get_mut(rows) {
                rows.as_array_mut().unwrap().sort_by_key(by);
            }
        }
    }
    resources.as_array_mut().unwrap().sort_by_key(by);
    resources
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| item.is_null() || has_null(item)),
        Value::Object(members) => members.values().any(|member| member.is_null() || has_null(member)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

on_each_database! {
    async fn entra_in_its_default_spelling(company: &Company) {
        replay(company, include_str!("entra.txt")).await;
    }

    async fn entra_with_aad_opt_scim_062020(company: &Company) {
        replay(company, include_str!("entra-aadoptscim062020.txt")).await;
    }

    async fn okta_as_a_custom_app(company: &Company) {
        replay(company, include_str!("okta-custom.txt")).await;
    }

    async fn okta_as_an_app_of_the_catalogue(company: &Company) {
        replay(company, include_str!("okta-catalogue.txt")).await;
    }

    async fn onelogin_with_a_template(company: &Company) {
        replay(company, include_str!("onelogin.txt")).await;
    }

    async fn jumpcloud_with_its_test_user(company: &Company) {
        replay(company, include_str!("jumpcloud.txt")).await;
    }

    async fn google_style_provisioning(company: &Company) {
        replay(company, include_str!("google.txt")).await;
    }

    async fn authentik_hour_by_hour(company: &Company) {
        replay(company, include_str!("authentik.txt")).await;
    }

    async fn sailpoint_side_by_side(company: &Company) {
        replay(company, include_str!("sailpoint.txt")).await;
    }
}
