//! The scenes of the story. Ada signs in and is switched off in the directory; Kenji is switched off by SCIM alone, so that his
//! provider still lets him in and the gateway has to refuse by itself.

use std::time::{Duration, Instant};

use lockstep_demo_idp::{Action, Person, SyncReport};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use url::Url;

use super::{
    Seen, Why,
    browser::{Answer, Browser, form_action},
};
use crate::demo::Demo;

const ADA: &str = "ada.okafor@acme.example";
const KENJI: &str = "kenji.watanabe@acme.example";
const NAMES: [&str; 9] = [
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-lockstep-workspace",
    "x-lockstep-user-id",
    "x-lockstep-roles",
    "x-lockstep-teams",
    "x-lockstep-jwt",
];

/// The directory sends everybody.
pub(super) async fn provision(demo: &Demo) -> Result<Seen<()>, Why> {
    let report = demo.provision().await?;
    let (people, groups) = (demo.provider.people().len(), demo.provider.groups().len());
    let requests = report.requests.len();
    Ok(Seen::that(format!("{people} people and {groups} groups by {requests} SCIM requests, each confirmed")))
}

/// Ada with her browser, after she has signed in.
pub(super) struct Story<'d> {
    demo: &'d Demo,
    app: Url,
    ada: Person,
    browser: Browser,
}

impl<'d> Story<'d> {
    /// Ada opens the app, is led to Acme's provider, and picks herself there.
    pub(super) async fn sign_in(demo: &'d Demo) -> Result<Seen<Self>, Why> {
        let mut story = Self { demo, app: Url::parse(&demo.app_url)?, ada: demo.provider.find(ADA)?, browser: Browser::new()? };
        let landed = sign_in(&mut story.browser, &story.app, demo, &story.ada).await?;
        is_in_the_app(&landed, &story.app)?;
        let detail = format!("{} at {}, then back through the callback", story.ada.name(), demo.directory_url());
        Ok(Seen { detail, result: story, took: None })
    }

    /// The app is told who she is, and by nobody but the gateway.
    pub(super) async fn reach_the_app(&mut self) -> Result<Seen<()>, Why> {
        let answer = self.browser.click_with(&self.app, "x-auth-request-user", "root").await?;
        is_in_the_app(&answer, &self.app)?;
        let headers = identity_headers(&answer)?;
        let read = |name: &str| headers.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let facts = ["x-lockstep-workspace", "x-auth-request-email", "x-auth-request-groups", "x-lockstep-roles"].map(read);
        if facts != ["acme", ADA, "Admins,Engineering", "Admin"] || read("x-auth-request-user") != read("x-lockstep-user-id") {
            return Err(Why::otherwise("Ada's own identity headers", Value::from(headers).to_string()));
        }
        Ok(Seen::that(format!("it reads {}; a forged header was replaced", facts.join(" · "))))
    }

    /// She leaves a group, and the next request says so, and that the role went with it.
    pub(super) async fn change_a_group(&mut self) -> Result<Seen<()>, Why> {
        let report = self.demo.provider.set_groups(&self.ada.id, &["Engineering".to_owned()]).await?;
        let sent = confirmed(&report, Action::RemoveMembers)?;
        let answer = self.browser.click(&self.app).await?;
        is_in_the_app(&answer, &self.app)?;
        let headers = identity_headers(&answer)?;
        let read = |name: &str| headers.get(name).and_then(Value::as_str).unwrap_or_default();
        match (read("x-auth-request-groups"), read("x-lockstep-roles")) {
            ("Engineering", "User") => {
                Ok(Seen::that(format!("out of Admins ({sent}); the next request has the role User alone")))
            }
            (groups, roles) => Err(Why::otherwise("the group Engineering and the role User", format!("{groups} · {roles}"))),
        }
    }

    /// The directory switches her off. When the answer is there, she is out.
    pub(super) async fn deactivate(&mut self) -> Result<Seen<()>, Why> {
        let began = Instant::now();
        let report = self.demo.provider.deactivate(&self.ada.id).await?;
        let took = began.elapsed();
        let sent = confirmed(&report, Action::Deactivate)?;
        let detail = format!("SCIM PATCH active=False ({sent}): from here on she is out");
        Ok(Seen { detail, result: (), took: Some(took) })
    }

    /// The very next requests, by click and by script, do not reach the app.
    pub(super) async fn denied(&mut self) -> Result<Seen<()>, Why> {
        let before = self.demo.app.requests();
        let fetched = self.browser.fetch(&self.app).await?;
        let took_until = Instant::now();
        let clicked = self.browser.clone().click(&self.app).await?;
        let took = took_until.elapsed();
        is(&fetched, StatusCode::UNAUTHORIZED, "401 for a script")?;
        if !clicked.status.is_redirection() && !clicked.status.is_client_error() {
            return Err(Why::otherwise("a click that is led away from the app", clicked.in_short()));
        }
        if self.demo.app.requests() != before {
            return Err(Why::otherwise("no request at the app", "one that came through"));
        }
        let detail = format!("same cookie: {} for a click, 401 for a script; the app saw neither", clicked.status.as_u16());
        Ok(Seen { detail, result: (), took: Some(took) })
    }

    /// Signing in anew ends on a page that says why not.
    pub(super) async fn no_way_back_in(&mut self) -> Result<Seen<()>, Why> {
        let before = self.demo.app.requests();
        let page = self.browser.clone().open(&self.app).await?;
        let fresh = sign_in(&mut Browser::new()?, &self.app, self.demo, &self.ada).await?;
        is(&fresh, StatusCode::FORBIDDEN, "a new sign-in that is refused")?;
        is(&page, StatusCode::FORBIDDEN, "a page that says that she is out")?;
        if self.demo.app.requests() != before {
            return Err(Why::otherwise("no request at the app", "one that came through"));
        }
        Ok(Seen::that("her next click reads that access was removed; her provider refuses a new sign-in"))
    }

    /// Whoever is switched off by SCIM is refused even where the provider still says yes.
    pub(super) async fn provider_errs(&mut self) -> Result<Seen<()>, Why> {
        let kenji = self.demo.provider.find(KENJI)?;
        let answered = self.switch_off_by_scim(KENJI).await?;
        let refused = sign_in(&mut Browser::new()?, &self.app, self.demo, &kenji).await?;
        is(&refused, StatusCode::FORBIDDEN, "a refusal by the gateway itself")?;
        if refused.url.authority() != self.app.authority() {
            return Err(Why::otherwise("a refusal by the gateway itself", refused.in_short()));
        }
        let ms = in_ms(answered);
        Ok(Seen::that(format!("Kenji is off over SCIM alone (200 in {ms}); his provider lets him in, the gateway does not")))
    }

    /// She may sign in again; what ended stays ended.
    pub(super) async fn reactivate(&mut self) -> Result<Seen<()>, Why> {
        let report = self.demo.provider.activate(&self.ada.id).await?;
        let sent = confirmed(&report, Action::Activate)?;
        let old = self.browser.fetch(&self.app).await?;
        is(&old, StatusCode::UNAUTHORIZED, "the old session to stay dead")?;
        Ok(Seen::that(format!("SCIM PATCH active=True ({sent}); her old session stays dead")))
    }

    /// A new sign-in makes a new session.
    pub(super) async fn sign_in_again(&mut self) -> Result<Seen<()>, Why> {
        let landed = sign_in(&mut self.browser, &self.app, self.demo, &self.ada).await?;
        is_in_the_app(&landed, &self.app)?;
        Ok(Seen::that("a new sign-in, a new session, and the app again"))
    }

    /// Does what another client of the company's token could do: no page and no session of the provider hears of it.
    async fn switch_off_by_scim(&self, user_name: &str) -> Result<Duration, Why> {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build()?;
        let scim = &self.demo.scim;
        let users = format!("{}/Users", scim.base_url);
        let filter = format!("userName eq \"{user_name}\"");
        let found = http.get(&users).query(&[("filter", filter)]).bearer_auth(&scim.token).send().await?;
        let found: Value = found.json().await?;
        let id = found.pointer("/Resources/0/id").and_then(Value::as_str);
        let id = id.ok_or_else(|| Why::otherwise("one user of that name", found.to_string()))?;
        let patch = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": "active", "value": false }],
        });
        let request = http.request(Method::PATCH, format!("{users}/{id}")).bearer_auth(&scim.token);
        let began = Instant::now();
        let request = request.header(header::CONTENT_TYPE, "application/scim+json").body(patch.to_string());
        let answer = request.send().await?;
        let took = began.elapsed();
        if answer.status() == StatusCode::OK {
            Ok(took)
        } else {
            Err(Why::NotConfirmed(format!("{} for PATCH of a user", answer.status())))
        }
    }
}

/// Opens the app as somebody who has no session, and picks a person where the provider asks who it is.
async fn sign_in(browser: &mut Browser, app: &Url, demo: &Demo, person: &Person) -> Result<Answer, Why> {
    let page = browser.open(app).await?;
    let asked_by_provider = page.status == StatusCode::OK && page.url.as_str().starts_with(demo.directory_url());
    let action = form_action(&page).filter(|_| asked_by_provider && page.body.contains(person.id.as_str()));
    let Some(action) = action else { return Ok(page) };
    let answer = browser.submit(&action, &[("person", person.id.as_str())]).await?;
    browser.follow(answer).await
}

fn is_in_the_app(answer: &Answer, app: &Url) -> Result<(), Why> {
    let answered = answer.json();
    if answer.status == StatusCode::OK && answer.url == *app && answered.get("identity").is_some() {
        Ok(())
    } else {
        Err(Why::otherwise("the app's own answer", answer.in_short()))
    }
}

fn is(answer: &Answer, status: StatusCode, expected: &'static str) -> Result<(), Why> {
    if answer.status == status { Ok(()) } else { Err(Why::otherwise(expected, answer.in_short())) }
}

/// The identity headers that the app received: each exactly once, present even where nothing is known.
fn identity_headers(answer: &Answer) -> Result<serde_json::Map<String, Value>, Why> {
    let answered = answer.json();
    let mut headers = serde_json::Map::new();
    for name in NAMES {
        let values = answered.pointer(&format!("/headers/{name}")).and_then(Value::as_array).map(Vec::as_slice);
        match values {
            Some([only]) => headers.insert(name.to_owned(), only.clone()),
            Some(_) | None => return Err(Why::otherwise("each identity header exactly once", answered.to_string())),
        };
    }
    Ok(headers)
}

/// The request of a kind, confirmed: `204 in 3.1 ms`.
fn confirmed(report: &SyncReport, action: Action) -> Result<String, Why> {
    let sent = report.find(action).ok_or_else(|| Why::NotConfirmed("nothing was sent".to_owned()))?;
    match sent.status {
        Some(status) if report.is_confirmed() => Ok(format!("{status} in {:.1} ms", sent.ms)),
        Some(_) | None => Err(Why::NotConfirmed(sent.failure.clone().unwrap_or_else(|| "another request failed".to_owned()))),
    }
}

fn in_ms(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
}
