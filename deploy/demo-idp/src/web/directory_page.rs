//! The directory page: people with their switch and groups, and what was sent. Each press is a form, answered with 303.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Form, Path, State, rejection::FormRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::pages::{self, ErrorPage};
use crate::{
    directory::{Directory, NewPerson, Person, PersonId},
    error::DirectoryError,
    provider::{App, lock},
    scim::Exchange,
};

const SHOWN: usize = 40;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(show))
        .route("/people", post(add))
        .route("/people/{person}/active", post(set_active))
        .route("/people/{person}/groups", post(toggle_group))
        .route("/sync", post(sync))
}

#[derive(Debug, Template)]
#[template(path = "directory.html")]
struct DirectoryPage {
    company: String,
    app_url: Option<String>,
    is_connected: bool,
    people: Vec<Row>,
    active: usize,
    groups: Vec<String>,
    sent: Vec<Sent>,
    problem: Option<String>,
}

#[derive(Debug)]
struct Row {
    id: String,
    name: String,
    given_name: String,
    user_name: String,
    title: String,
    initials: String,
    active: bool,
    groups: Vec<Toggle>,
    last: Option<Last>,
}

#[derive(Debug)]
struct Toggle {
    id: String,
    name: String,
    is_on: bool,
}

#[derive(Debug)]
struct Last {
    text: String,
    /// One of the style sheet's words: `good`, `bad`, `out`.
    tone: &'static str,
}

#[derive(Debug)]
struct Sent {
    number: u64,
    at: String,
    method: String,
    path: String,
    purpose: String,
    body: Option<String>,
    status: String,
    time: String,
    failure: Option<String>,
    is_confirmed: bool,
}

async fn show(State(app): State<Arc<App>>) -> Response {
    pages::page(StatusCode::OK, &view(&app, None))
}

#[derive(Debug, Deserialize)]
struct Active {
    active: bool,
}

async fn set_active(
    State(app): State<Arc<App>>,
    Path(person): Path<String>,
    form: Result<Form<Active>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else {
        return unreadable();
    };
    let Some(id) = person_id(&app, &person) else {
        return pages::not_found().await;
    };
    match app.set_active(&id, form.active).await {
        Ok(_) => back_to(&id),
        Err(error) => with_problem(&app, &error),
    }
}

#[derive(Debug, Deserialize)]
struct Membership {
    group: String,
    member: bool,
}

async fn toggle_group(
    State(app): State<Arc<App>>,
    Path(person): Path<String>,
    form: Result<Form<Membership>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else {
        return unreadable();
    };
    let Some(id) = person_id(&app, &person) else {
        return pages::not_found().await;
    };
    let mut groups: Vec<String> = lock(&app.directory).groups_of(&id).map(|group| group.id.to_string()).collect();
    groups.retain(|group| *group != form.group);
    if form.member {
        groups.push(form.group);
    }
    match app.set_groups(&id, &groups).await {
        Ok(_) => back_to(&id),
        Err(error) => with_problem(&app, &error),
    }
}

#[derive(Debug, Deserialize)]
struct NewPersonForm {
    given_name: String,
    family_name: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    group: String,
}

async fn add(State(app): State<Arc<App>>, form: Result<Form<NewPersonForm>, FormRejection>) -> Response {
    let Ok(Form(form)) = form else {
        return unreadable();
    };
    let groups = Some(form.group).filter(|group| !group.is_empty()).into_iter().collect();
    let new = NewPerson {
        given_name: form.given_name,
        family_name: form.family_name,
        title: form.title,
        user_name: String::new(),
        groups,
    };
    match app.add(&new).await {
        Ok((id, _)) => back_to(&id),
        Err(error) => with_problem(&app, &error),
    }
}

async fn sync(State(app): State<Arc<App>>) -> Redirect {
    app.provisioning.sync_all().await;
    Redirect::to("/")
}

fn person_id(app: &App, key: &str) -> Option<PersonId> {
    lock(&app.directory).find(key).ok().map(|person| person.id.clone())
}

fn back_to(id: &PersonId) -> Response {
    Redirect::to(&format!("/#person-{id}")).into_response()
}

fn with_problem(app: &App, error: &DirectoryError) -> Response {
    pages::page(StatusCode::UNPROCESSABLE_ENTITY, &view(app, Some(sentence(error))))
}

fn unreadable() -> Response {
    let back = Some(("/".to_owned(), "Go to the directory"));
    pages::error(
        StatusCode::BAD_REQUEST,
        &ErrorPage { title: "We could not read that request", text: "A field is missing.", back },
    )
}

fn sentence(error: &DirectoryError) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    chars.next().map(|first| format!("{}{}.", first.to_uppercase(), chars.as_str())).unwrap_or_default()
}

fn view(app: &App, problem: Option<String>) -> DirectoryPage {
    let directory = lock(&app.directory).clone();
    let people: Vec<Row> = directory.people().iter().map(|person| row(app, &directory, person)).collect();
    DirectoryPage {
        company: directory.company().to_owned(),
        app_url: app.protected_url.clone(),
        is_connected: app.provisioning.is_configured(),
        active: people.iter().filter(|row| row.active).count(),
        people,
        groups: directory.groups().iter().map(|group| group.name.clone()).collect(),
        sent: app.journal.recent().into_iter().take(SHOWN).map(sent).collect(),
        problem,
    }
}

fn row(app: &App, directory: &Directory, person: &Person) -> Row {
    let toggle = |group: &crate::Group| Toggle {
        id: group.id.to_string(),
        name: group.name.clone(),
        is_on: group.members.contains(&person.id),
    };
    Row {
        id: person.id.to_string(),
        name: person.name(),
        given_name: person.given_name.clone(),
        user_name: person.user_name.clone(),
        title: person.title.clone(),
        initials: pages::initials(person),
        active: person.active,
        groups: directory.groups().iter().map(toggle).collect(),
        last: last(app, person),
    }
}

fn last(app: &App, person: &Person) -> Option<Last> {
    let exchange = app.journal.last(&person.id)?;
    let is_behind = app.provisioning.is_behind(&person.id, person.active);
    let tone = match (exchange.is_confirmed() && !is_behind, person.active) {
        (false, _) => "bad",
        (true, true) => "good",
        (true, false) => "out",
    };
    Some(Last { text: exchange.summary(), tone })
}

fn sent(exchange: Exchange) -> Sent {
    Sent {
        number: exchange.number,
        purpose: exchange.purpose(),
        at: exchange.at.format("%H:%M:%S").to_string(),
        time: exchange.time(),
        is_confirmed: exchange.is_confirmed(),
        status: exchange.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string()),
        body: exchange.body.as_ref().and_then(|body| serde_json::to_string_pretty(body).ok()),
        path: readable(&exchange.path),
        method: exchange.method,
        failure: exchange.failure,
    }
}

/// Shows a filter as it was meant, not as it was encoded.
fn readable(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else {
        return path.to_owned();
    };
    let pairs: Vec<String> =
        url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| format!("{name}={value}")).collect();
    format!("{path}?{}", pairs.join("&"))
}
