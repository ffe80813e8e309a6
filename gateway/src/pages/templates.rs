//! The templates of the pages that have a form; what is the same for all of them is here.

use askama::Template;

use super::{Choice, Notice};

/// The one style sheet, inside each page; the policy names its digest.
pub(super) const CSS: &str = include_str!("../../templates/lockstep.css");

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignIn<'a> {
    css: &'static str,
    title: &'static str,
    workspace: Option<&'a str>,
    email: &'a str,
    rd: &'a str,
    notice: Option<Notice>,
    wrong: bool,
}

impl<'a> SignIn<'a> {
    pub(super) fn new(workspace: Option<&'a str>, email: &'a str, rd: &'a str, notice: Option<Notice>) -> Self {
        Self { css: CSS, title: "Sign in", workspace, email, rd, notice, wrong: notice.is_some() }
    }
}

#[derive(Template)]
#[template(path = "choose.html")]
pub(super) struct Choose<'a> {
    css: &'static str,
    title: &'static str,
    workspace: Option<&'a str>,
    email: &'a str,
    choices: &'a [Choice],
    back: &'a str,
}

impl<'a> Choose<'a> {
    pub(super) fn new(workspace: Option<&'a str>, email: &'a str, choices: &'a [Choice], back: &'a str) -> Self {
        Self { css: CSS, title: "How do you want to sign in?", workspace, email, choices, back }
    }
}

#[derive(Template)]
#[template(path = "password.html")]
pub(super) struct Password<'a> {
    css: &'static str,
    title: &'static str,
    workspace: Option<&'a str>,
    email: &'a str,
    rd: &'a str,
    back: &'a str,
    notice: Option<Notice>,
    wrong: bool,
}

impl<'a> Password<'a> {
    pub(super) fn new(email: &'a str, rd: &'a str, back: &'a str, notice: Option<Notice>) -> Self {
        let wrong = notice.is_some();
        Self { css: CSS, title: "Enter your password", workspace: None, email, rd, back, notice, wrong }
    }
}

#[derive(Template)]
#[template(path = "set_password.html")]
pub(super) struct SetPassword<'a> {
    css: &'static str,
    title: &'static str,
    workspace: Option<&'a str>,
    email: &'a str,
    action: &'a str,
    min_length: usize,
    notice: Option<Notice>,
    wrong: bool,
}

impl<'a> SetPassword<'a> {
    pub(super) fn new(workspace: &'a str, email: &'a str, action: &'a str, min_length: usize, notice: Option<Notice>) -> Self {
        let wrong = notice.is_some();
        Self { css: CSS, title: "Set your password", workspace: Some(workspace), email, action, min_length, notice, wrong }
    }
}

#[derive(Template)]
#[template(path = "sign_out.html")]
pub(super) struct SignOut<'a> {
    css: &'static str,
    title: &'static str,
    workspace: Option<&'a str>,
    rd: &'a str,
    stay: &'a str,
}

impl<'a> SignOut<'a> {
    pub(super) fn new(workspace: Option<&'a str>, rd: &'a str, stay: &'a str) -> Self {
        Self { css: CSS, title: "Sign out?", workspace, rd, stay }
    }
}
