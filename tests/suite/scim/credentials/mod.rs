//! The provider's ways in: bearer tokens, HTTP Basic, OAuth 2.0 client credentials.

mod assertions;
mod basic;
mod clients;
mod issuer;
mod told;

use http::{HeaderMap, HeaderValue, Method, header};
use lockstep_tests::{
    harness::{
        HarnessError,
        http::{Agent, Answer},
    },
    world::text,
};
use serde_json::{Value, json};

use super::{Company, body, first_line, on_each_database, raw, user};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const GRANT: (&str, &str) = ("grant_type", "client_credentials");

impl Company {
    /// Runs an operator's command that is refused, and returns the error that it prints.
    async fn refused_command(&self, arguments: &[&str]) -> Value {
        let _turn = self.installation.commands.lock().await;
        match self.installation.site.command(arguments).await {
            Err(HarnessError::Refused { answer, .. }) => answer["error"].clone(),
            outcome => panic!("{outcome:?}"),
        }
    }

    /// Sends a token request; what it grants is remembered as a secret.
    async fn ask_token(&self, fields: &[(&str, &str)], headers: HeaderMap) -> Answer {
        let url = format!("{}/oauth2/token", self.installation.provisioner.url());
        let answer = Agent::new().unwrap().post_form_with(url, fields, headers).await.unwrap();
        let granted = answer.json::<Value>().map(|answer| text(&answer, "access_token")).unwrap_or_default();
        if !granted.is_empty() {
            self.installation.site.secret("a granted token", &granted);
        }
        answer
    }

    /// Sends a request with this `Authorization`.
    async fn with_authorization(&self, value: &str) -> Answer {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
        self.scim.send(Method::GET, "/Users", headers, None).await.unwrap()
    }

    /// Who did what, by the audit trail.
    async fn actor_of(&self, action: &str) -> Vec<String> {
        let installation = self.installation;
        let _turn = installation.commands.lock().await;
        let exported = installation
            .site
            .output(lockstep_tests::harness::services::Program::Provisioner, &["audit", "export", &self.id], &[])
            .await
            .unwrap();
        let lines = String::from_utf8(exported.stdout).unwrap();
        let records = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| record["action"] == action).map(|record| text(&record["actor"], "id")).collect()
    }
}

/// The token of an answer that grants one, as RFC 6749, section 5.1 has it.
#[track_caller]
fn granted(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    let body: Value = answer.json().unwrap();
    assert_eq!((&body["token_type"], &body["scope"]), (&json!("Bearer"), &json!("scim")));
    let token = text(&body, "access_token");
    assert!(token.starts_with("lks_"), "{body}");
    token
}

/// Refused, as RFC 6749, section 5.2 has it.
#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str) {
    let body: Value = answer.json().unwrap();
    assert_eq!((answer.status.as_u16(), &body["error"]), (status, &json!(error)), "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("www-authenticate"), if status == 401 { "Basic realm=\"SCIM\"" } else { "" });
}

/// A list of users, asked for with these `Authorization` lines.
async fn raw_with(company: &Company, lines: &[String]) -> String {
    let lines = lines.iter().fold(String::new(), |text, line| format!("{text}Authorization: {line}\r\n"));
    let request = format!("GET /scim/v2/{}/Users HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n", company.id);
    raw(&company.installation.provisioner, &request).await
}

on_each_database! {
    async fn a_third_live_token_is_refused_with_what_to_do(company: &Company) {
        company.command(&["token", "issue", &company.id]).await;

        let error = company.refused_command(&["token", "issue", &company.id]).await;

        assert_eq!(error["code"], "too_many_live");
        let listed = company.command(&["token", "list", &company.id]).await;
        let oldest = text(&listed["tokens"][0], "id");
        assert!(text(&error, "fix").contains(&format!("token revoke {} {oldest}", company.id)), "{error}");
        company.command(&["token", "revoke", &company.id, &oldest]).await;
        company.command(&["token", "issue", &company.id]).await;
        company.refused_command(&["token", "issue", &company.id]).await;
    }

    async fn the_ways_in_are_told_alike_whatever_exists(company: &Company) {
        let host = company.installation.provisioner.url();
        let mut told = Vec::new();
        for path in [format!("/scim/v2/{}/Users", company.id), "/scim/v2/nowhere/Users".into(), "/scim/v2//Users".into()] {
            let answer = Agent::new().unwrap().get(format!("{host}{path}")).await.unwrap();
            let ways: Vec<_> = answer.headers.get_all(header::WWW_AUTHENTICATE).iter().cloned().collect();
            told.push((answer.status.as_u16(), ways, answer.body.clone()));
        }

        assert_eq!(told[0].0, 401);
        assert_eq!(told[0].1, ["Bearer", "Basic realm=\"SCIM\", charset=\"UTF-8\""]);
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
        let config = body(company.scim.get("/ServiceProviderConfig").await, 200);
        let schemes: Vec<_> = config["authenticationSchemes"].as_array().unwrap().iter().map(|one| text(one, "type")).collect();
        assert_eq!(schemes, ["oauthbearertoken", "oauth2", "httpbasic"]);
    }
}
