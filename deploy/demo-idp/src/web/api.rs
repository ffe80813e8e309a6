//! The control API, for tests and walk-throughs: each change answers when the SCIM server has, with every request that was
//! sent. It takes JSON alone, which no page of another site can send unasked.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    directory::{Directory, NewPerson, Person, PersonId},
    error::DirectoryError,
    provider::{App, lock},
    scim::{Exchange, SyncReport},
};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/people", get(list).post(add))
        .route("/api/people/{person}/active", post(set_active))
        .route("/api/people/{person}/groups", put(set_groups))
        .route("/api/sync", post(sync))
        .route("/api/sent", get(sent))
}

/// The API's one way to say no.
#[derive(Debug)]
enum ApiError {
    Directory(DirectoryError),
    Body(JsonRejection),
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}

impl From<JsonRejection> for ApiError {
    fn from(error: JsonRejection) -> Self {
        Self::Body(error)
    }
}

impl ApiError {
    fn parts(&self) -> (StatusCode, &'static str, String) {
        match self {
            Self::Directory(error) => {
                let (status, code) = match error {
                    DirectoryError::NoPerson(_) => (StatusCode::NOT_FOUND, "no_person"),
                    DirectoryError::NoGroup(_) => (StatusCode::BAD_REQUEST, "no_group"),
                    DirectoryError::Taken(_) => (StatusCode::CONFLICT, "taken"),
                    DirectoryError::BadName { .. } => (StatusCode::BAD_REQUEST, "bad_name"),
                    DirectoryError::BadUserName => (StatusCode::BAD_REQUEST, "bad_user_name"),
                    DirectoryError::Full => (StatusCode::CONFLICT, "full"),
                };
                (status, code, error.to_string())
            }
            Self::Body(error) => (error.status(), "bad_body", error.body_text()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code, message) = self.parts();
        (status, Json(json!({"error": {"code": code, "message": message}}))).into_response()
    }
}

#[derive(Debug, Serialize)]
struct PersonView {
    #[serde(flatten)]
    person: Person,
    name: String,
    groups: Vec<String>,
}

impl PersonView {
    fn of(directory: &Directory, person: &Person) -> Self {
        let groups = directory.groups_of(&person.id).map(|group| group.name.clone()).collect();
        Self { name: person.name(), groups, person: person.clone() }
    }
}

/// What a change led to.
#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<PersonView>,
    confirmed: bool,
    requests: Vec<Exchange>,
}

impl Outcome {
    fn of(app: &App, id: Option<&PersonId>, report: SyncReport) -> Self {
        let directory = lock(&app.directory);
        let person = id.and_then(|id| directory.person(id)).map(|person| PersonView::of(&directory, person));
        Self { person, confirmed: report.is_confirmed(), requests: report.requests }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Active {
    active: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Groups {
    groups: Vec<String>,
}

async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let directory = lock(&app.directory);
    let people: Vec<_> = directory.people().iter().map(|person| PersonView::of(&directory, person)).collect();
    Json(json!({"company": directory.company(), "people": people, "groups": directory.groups()}))
}

async fn add(
    State(app): State<Arc<App>>,
    body: Result<Json<NewPerson>, JsonRejection>,
) -> Result<(StatusCode, Json<Outcome>), ApiError> {
    let Json(new) = body?;
    let (id, report) = app.add(&new).await?;
    Ok((StatusCode::CREATED, Json(Outcome::of(&app, Some(&id), report))))
}

async fn set_active(
    State(app): State<Arc<App>>,
    Path(person): Path<String>,
    body: Result<Json<Active>, JsonRejection>,
) -> Result<Json<Outcome>, ApiError> {
    let Json(body) = body?;
    let id = person_id(&app, &person)?;
    let report = app.set_active(&id, body.active).await?;
    Ok(Json(Outcome::of(&app, Some(&id), report)))
}

async fn set_groups(
    State(app): State<Arc<App>>,
    Path(person): Path<String>,
    body: Result<Json<Groups>, JsonRejection>,
) -> Result<Json<Outcome>, ApiError> {
    let Json(body) = body?;
    let id = person_id(&app, &person)?;
    let report = app.set_groups(&id, &body.groups).await?;
    Ok(Json(Outcome::of(&app, Some(&id), report)))
}

async fn sync(State(app): State<Arc<App>>) -> Json<Outcome> {
    let report = app.provisioning.sync_all().await;
    Json(Outcome::of(&app, None, report))
}

async fn sent(State(app): State<Arc<App>>) -> Json<Vec<Exchange>> {
    Json(app.journal.recent())
}

fn person_id(app: &App, key: &str) -> Result<PersonId, DirectoryError> {
    lock(&app.directory).find(key).map(|person| person.id.clone())
}
