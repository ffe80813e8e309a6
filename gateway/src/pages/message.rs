//! The pages that only say something: signed out, not let in, did not work. Each says what happened and what to do.

use std::time::Duration;

use askama::Template;
use http::StatusCode;

use super::templates::CSS;

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// They had access and it has ended.
    Removed,
    /// The provider knows them; this workspace does not.
    NotProvisioned,
    /// They lack every role that the app asks for.
    RoleMissing {
        /// The app, by its host.
        app: String,
    },
    /// The app is not for this workspace.
    OtherWorkspace,
    /// The provider refused, or they pressed "cancel" there.
    ProviderSaidNo,
    /// The provider's answer was not believed.
    AnswerRefused,
    /// The address is not verified at the provider, or its domain is not proven to be the workspace's.
    EmailNotProven,
    /// They sign in with a password and came through the provider.
    UsesPassword,
    /// The workspace lets people in through its provider alone.
    SsoOnly,
    /// The operator has suspended the workspace.
    Suspended,
}

/// What did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The request makes no sense.
    BadRequest,
    /// The sign-in's answer belongs to no sign-in of this browser: an old link, the back button, another browser.
    StartAgain,
    /// Nothing is here.
    NotFound,
    /// An invitation or other link that works once.
    LinkExpired,
    /// Too many attempts.
    TooManyRequests {
        /// When to try again.
        retry_after: Duration,
    },
    /// A bug.
    Internal,
    /// The identity provider cannot be reached, or answers nonsense.
    Provider,
    /// Something that the gateway needs is away.
    Unavailable {
        /// When to try again.
        retry_after: Duration,
    },
}

impl Problem {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest | Self::StartAgain => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::LinkExpired => StatusCode::GONE,
            Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Provider => StatusCode::BAD_GATEWAY,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whole seconds for a `Retry-After` header, at least one.
    #[must_use]
    pub fn retry_after(self) -> Option<u64> {
        match self {
            Self::TooManyRequests { retry_after } | Self::Unavailable { retry_after } => {
                Some(retry_after.as_secs().saturating_add(u64::from(retry_after.subsec_nanos() > 0)).max(1))
            }
            Self::BadRequest | Self::StartAgain | Self::NotFound | Self::LinkExpired | Self::Internal | Self::Provider => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Icon {
    Done,
    Locked,
    Broken,
    Waiting,
}

impl Icon {
    pub(super) fn is_wrong(self) -> bool {
        matches!(self, Self::Broken)
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Done => r#"<path d="M5 12.5l4.5 4.5L19 7.5"/>"#,
            Self::Locked => r#"<rect x="5" y="11" width="14" height="9" rx="2"/><path d="M8 11V8a4 4 0 0 1 8 0v3"/>"#,
            Self::Broken => r#"<path d="M12 5v8.5M12 18.5h.01"/>"#,
            Self::Waiting => r#"<circle cx="12" cy="12" r="8"/><path d="M12 8v4l2.5 2.5"/>"#,
        }
    }
}

#[derive(Debug)]
pub(super) struct Action<'a> {
    label: &'static str,
    href: &'a str,
}

#[derive(Template)]
#[template(path = "message.html")]
pub(super) struct Message<'a> {
    css: &'static str,
    icon: Icon,
    title: &'static str,
    workspace: Option<&'a str>,
    what: String,
    todo: String,
    actions: Vec<Action<'a>>,
    status: u16,
    request_id: Option<&'a str>,
}

impl<'a> Message<'a> {
    pub(super) fn signed_out(workspace: Option<&'a str>, sign_in: &'a str, provider: Option<&'a str>) -> Self {
        let again = Action { label: "Sign in again", href: sign_in };
        let there_too = provider.map(|href| Action { label: "Sign out at the identity provider", href });
        Self {
            css: CSS,
            icon: Icon::Done,
            title: "You are signed out",
            workspace,
            what: "Nothing that you reach through this workspace is open in this browser any more.".to_owned(),
            todo: "You may still be signed in at your company’s identity provider. On a shared computer, sign out there too."
                .to_owned(),
            actions: std::iter::once(again).chain(there_too).collect(),
            status: StatusCode::OK.as_u16(),
            request_id: None,
        }
    }

    pub(super) fn denied(why: &Denied, workspace: Option<&'a str>, retry: Option<&'a str>, request_id: &'a str) -> Self {
        let place = workspace.unwrap_or("this workspace");
        let (title, what, todo, label) = denied_words(why, place);
        Self {
            css: CSS,
            icon: Icon::Locked,
            title,
            workspace,
            what,
            todo: todo.to_owned(),
            actions: retry.map(|href| Action { label, href }).into_iter().collect(),
            status: StatusCode::FORBIDDEN.as_u16(),
            request_id: Some(request_id),
        }
    }

    pub(super) fn problem(problem: Problem, request_id: &'a str) -> Self {
        let (icon, title, what, todo) = problem_words(problem);
        Self {
            css: CSS,
            icon,
            title,
            workspace: None,
            what: what.to_owned(),
            todo,
            actions: Vec::new(),
            status: problem.status().as_u16(),
            request_id: Some(request_id),
        }
    }
}

fn denied_words(why: &Denied, place: &str) -> (&'static str, String, &'static str, &'static str) {
    match why {
        Denied::Removed => (
            "Your access was removed",
            format!("Your company’s directory no longer gives you access to {place}. You have been signed out everywhere."),
            "If that is a mistake, ask your IT department to give it back. Then sign in again.",
            "Sign in again",
        ),
        Denied::NotProvisioned => (
            "You are not set up here yet",
            format!("Your sign-in worked, but your company has not given you access to {place}."),
            "Ask your IT department to assign you to this application. The change may take a while to arrive here.",
            "Try again",
        ),
        Denied::RoleMissing { app } => (
            "This app is not open to you",
            format!("You are signed in to {place}, but {app} asks for a role that you do not have."),
            "Ask your IT department for the role. There is no need to sign in again once you have it.",
            "Try again",
        ),
        Denied::OtherWorkspace => (
            "This app is not part of your workspace",
            format!("You are signed in to {place}, and this app belongs to other workspaces."),
            "If you have an account in another workspace, sign in there.",
            "Sign in elsewhere",
        ),
        Denied::ProviderSaidNo => (
            "The sign-in was not completed",
            "Your company’s identity provider did not let you in, or the sign-in was cancelled there.".to_owned(),
            "Try again. If it keeps happening, give the request id below to your IT department.",
            "Try again",
        ),
        Denied::AnswerRefused => (
            "We could not trust that sign-in",
            "Your company’s identity provider answered, but the answer did not pass our checks.".to_owned(),
            "Try again. If it keeps happening, give the request id below to your IT department: their log says why.",
            "Try again",
        ),
        Denied::EmailNotProven => (
            "We could not match your e-mail",
            format!("Your sign-in worked, but the e-mail address in it is not one that {place} can vouch for."),
            "Ask your IT department to verify your address at the identity provider, and the company’s domain here.",
            "Try again",
        ),
        Denied::UsesPassword => (
            "You sign in with a password",
            format!("Your account in {place} is not part of the company’s directory: it has a password of its own."),
            "Continue with your e-mail address and password.",
            "Use a password",
        ),
        Denied::SsoOnly => (
            "Use your company’s sign-in",
            format!("{place} lets people in through its identity provider only. Passwords are switched off."),
            "Continue with your company account.",
            "Continue",
        ),
        Denied::Suspended => (
            "This workspace is paused",
            format!("Nobody can sign in to {place} at the moment."),
            "Ask the person who runs this service for your company.",
            "Try again",
        ),
    }
}

fn problem_words(problem: Problem) -> (Icon, &'static str, &'static str, String) {
    let wait = |duration: Duration| match problem.retry_after() {
        Some(seconds) if duration > Duration::from_secs(90) => format!("Please try again in {} minutes.", seconds.div_ceil(60)),
        Some(1) => "Please try again in a second.".to_owned(),
        Some(seconds) => format!("Please try again in {seconds} seconds."),
        None => "Please try again.".to_owned(),
    };
    match problem {
        Problem::BadRequest => (
            Icon::Broken,
            "We could not read that request",
            "The address or form that brought you here is incomplete or damaged.",
            "Go back to the app that you came from and start there.".to_owned(),
        ),
        Problem::StartAgain => (
            Icon::Waiting,
            "This sign-in is no longer open",
            "It took longer than ten minutes, was finished already, or was started in another browser.",
            "Go back to the app that you came from and sign in from there.".to_owned(),
        ),
        Problem::NotFound => (
            Icon::Broken,
            "There is nothing here",
            "The address leads to no page of this service.",
            "Check its spelling, or ask whoever gave it to you.".to_owned(),
        ),
        Problem::LinkExpired => (
            Icon::Waiting,
            "This link no longer works",
            "It was used already, or it has expired.",
            "Ask the person who sent it for a new one.".to_owned(),
        ),
        Problem::TooManyRequests { retry_after } => (
            Icon::Waiting,
            "That was too often",
            "There were too many attempts in a short time, from you or from your network.",
            wait(retry_after),
        ),
        Problem::Internal => (
            Icon::Broken,
            "Something went wrong on our side",
            "It is not your fault, and nothing was lost. The people who run this service can find it by the request id below.",
            "Please try again. If it keeps happening, tell them the request id.".to_owned(),
        ),
        Problem::Provider => (
            Icon::Broken,
            "Your identity provider does not answer",
            "We could not reach your company’s identity provider, or did not understand its answer.",
            "Please try again in a moment. If others can sign in elsewhere, give the request id below to your IT department."
                .to_owned(),
        ),
        Problem::Unavailable { retry_after } => (
            Icon::Waiting,
            "Not available at the moment",
            "A part of this service is away. You are not signed out, and you will be back where you were.",
            wait(retry_after),
        ),
    }
}
