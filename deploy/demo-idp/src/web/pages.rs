//! The pages of the provider: templates and the view models that fill them.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use crate::directory::Person;

/// A person's button on the sign-in page.
#[derive(Debug)]
pub(crate) struct Choice {
    id: String,
    name: String,
    detail: String,
    initials: String,
    active: bool,
    pub(crate) is_hinted: bool,
}

impl Choice {
    pub(crate) fn new(person: &Person, is_hinted: bool) -> Self {
        Self {
            id: person.id.to_string(),
            name: person.name(),
            detail: person.user_name.clone(),
            initials: initials(person),
            active: person.active,
            is_hinted,
        }
    }
}

/// "Who are you?"
#[derive(Debug, Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage<'a> {
    pub(crate) company: &'a str,
    pub(crate) action: String,
    pub(crate) people: Vec<Choice>,
}

/// "Do you want to sign out?"
#[derive(Debug, Template)]
#[template(path = "sign_out.html")]
pub(crate) struct SignOutPage<'a> {
    pub(crate) name: &'a str,
    pub(crate) fields: &'a [(&'a str, &'a str)],
}

/// "You are signed out."
#[derive(Debug, Template)]
#[template(path = "signed_out.html")]
pub(crate) struct SignedOutPage;

/// What went wrong, in plain words, with a way on where there is one.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage<'a> {
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    pub(crate) back: Option<(String, &'a str)>,
}

pub(crate) fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

pub(crate) fn error(status: StatusCode, template: &ErrorPage<'_>) -> Response {
    page(status, template)
}

pub(super) async fn not_found() -> Response {
    let back = Some(("/".to_owned(), "Go to the directory"));
    error(StatusCode::NOT_FOUND, &ErrorPage { title: "There is nothing here", text: "This address leads nowhere.", back })
}

/// The letters in a person's round badge.
pub(super) fn initials(person: &Person) -> String {
    [&person.given_name, &person.family_name].iter().filter_map(|name| name.chars().next()).collect()
}
