//! The authorization endpoint and the sign-in page: the person chooses who to be, since this is a demo.

use std::sync::Arc;

use axum::{
    extract::{Form, Query, State, rejection::FormRejection, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::{
    grants::Grant,
    request::{Params, Prompt, Refusal, Request},
    sessions::{self, Session},
};
use crate::{
    directory::Person,
    provider::{App, lock, now},
    web::pages::{self, Choice, ErrorPage, SignInPage},
};

/// Which person a button stands for.
#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    person: String,
}

pub(super) async fn get(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Result<Query<Params>, QueryRejection>,
) -> Response {
    match params {
        Ok(Query(params)) => authorize(&app, &headers, &params),
        Err(_) => unreadable(),
    }
}

/// OpenID Connect Core 1.0, section 3.1.2.1: POST must work too.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Result<Form<Params>, FormRejection>,
) -> Response {
    match params {
        Ok(Form(params)) => authorize(&app, &headers, &params),
        Err(_) => unreadable(),
    }
}

fn authorize(app: &App, headers: &HeaderMap, params: &Params) -> Response {
    let request = match judge(app, params) {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let now = now();
    let session = sessions::cookie(headers).and_then(|secret| lock(&app.sessions).find(&secret, now));
    if let (Some(session), Prompt::AsNeeded | Prompt::Never) = (&session, request.prompt) {
        let person = lock(&app.directory).person(&session.person).cloned();
        match person {
            Some(person) if !person.active && request.prompt == Prompt::AsNeeded => {
                return switched_off(app, params, &person);
            }
            Some(person) if is_fit(session, &person, &request, now) => {
                return answer(app, &request, session, now);
            }
            Some(_) | None => {}
        }
    }
    if request.prompt == Prompt::Never {
        let answer = [("error", "login_required"), ("error_description", "nobody is signed in")];
        return Redirect::to(&request.return_to.with(&app.issuer, &answer)).into_response();
    }
    choose(app, params, &request)
}

/// The press of a person's button on the sign-in page.
pub(super) async fn sign_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Result<Query<Params>, QueryRejection>,
    chosen: Result<Form<Chosen>, FormRejection>,
) -> Response {
    let (Ok(Query(params)), Ok(Form(chosen))) = (params, chosen) else {
        return unreadable();
    };
    let request = match judge(&app, &params) {
        Ok(request) => request,
        Err(refused) => return *refused,
    };
    let Ok(person) = lock(&app.directory).find(&chosen.person).cloned() else {
        return unreadable();
    };
    if !person.active {
        return switched_off(&app, &params, &person);
    }
    let now = now();
    let started = {
        let mut sessions = lock(&app.sessions);
        if let Some(old) = sessions::cookie(&headers) {
            sessions.forget(&old);
        }
        sessions.start(person.id, now)
    };
    match started {
        Ok((secret, session)) => {
            (AppendHeaders([(header::SET_COOKIE, sessions::set_cookie(&secret))]), answer(&app, &request, &session, now))
                .into_response()
        }
        Err(error) => broken(&error),
    }
}

fn judge(app: &App, params: &Params) -> Result<Request, Box<Response>> {
    let client = app.client();
    Request::judge(params, &client).map_err(|refusal| Box::new(refuse(app, refusal)))
}

fn refuse(app: &App, refusal: Refusal) -> Response {
    match refusal {
        Refusal::Page(why) => {
            pages::error(StatusCode::BAD_REQUEST, &ErrorPage { title: "This sign-in cannot go on", text: why, back: None })
        }
        Refusal::Redirect(return_to, error, why) => {
            Redirect::to(&return_to.with(&app.issuer, &[("error", error), ("error_description", why)])).into_response()
        }
    }
}

fn is_fit(session: &Session, person: &Person, request: &Request, now: DateTime<Utc>) -> bool {
    let is_fresh = request.max_age.and_then(TimeDelta::try_seconds).is_none_or(|most| now - session.since <= most);
    let is_meant = request.login_hint.as_deref().is_none_or(|hint| person.answers_to(hint));
    person.active && !session.is_ended && is_fresh && is_meant
}

fn answer(app: &App, request: &Request, session: &Session, now: DateTime<Utc>) -> Response {
    let grant = Grant {
        client_id: request.client_id.clone(),
        redirect_uri: request.return_to.registered.clone(),
        challenge: request.challenge.clone(),
        nonce: request.nonce.clone(),
        person: session.person.clone(),
        sid: session.sid.clone(),
        auth_time: session.since,
    };
    match lock(&app.grants).issue(grant, now) {
        Ok(code) => Redirect::to(&request.return_to.with(&app.issuer, &[("code", &code)])).into_response(),
        Err(error) => broken(&error),
    }
}

fn choose(app: &App, params: &Params, request: &Request) -> Response {
    let Ok(query) = url_query(params) else {
        return unreadable();
    };
    let directory = lock(&app.directory);
    let is_hinted = |person: &Person| request.login_hint.as_deref().is_some_and(|hint| person.answers_to(hint));
    let mut people: Vec<Choice> = directory.people().iter().map(|person| Choice::new(person, is_hinted(person))).collect();
    people.sort_by_key(|choice| !choice.is_hinted);
    pages::page(StatusCode::OK, &SignInPage { company: directory.company(), action: format!("/sign-in?{query}"), people })
}

fn switched_off(app: &App, params: &Params, person: &Person) -> Response {
    let text = format!(
        "{}’s account is switched off at {}. Ask an administrator there to switch it on again.",
        person.name(),
        app.company()
    );
    let back = url_query(&params.choosing()).ok().map(|query| (format!("/authorize?{query}"), "Sign in as somebody else"));
    pages::error(StatusCode::FORBIDDEN, &ErrorPage { title: "You cannot sign in", text: &text, back })
}

fn url_query(params: &Params) -> Result<String, axum::Error> {
    let pairs = serde_json::to_value(params).map_err(axum::Error::new)?;
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.as_object().into_iter().flatten() {
        query.append_pair(name, value.as_str().unwrap_or_default());
    }
    Ok(query.finish())
}

fn unreadable() -> Response {
    let text = "The request has a parameter twice, or lacks one.";
    pages::error(StatusCode::BAD_REQUEST, &ErrorPage { title: "We could not read that request", text, back: None })
}

fn broken(error: &crate::random::NoRandomness) -> Response {
    tracing::error!(%error, "a sign-in failed");
    pages::error(
        StatusCode::INTERNAL_SERVER_ERROR,
        &ErrorPage { title: "Something broke here", text: "Please try again.", back: None },
    )
}
