use std::{collections::HashMap, time::Duration};

use http::header;

use super::{templates::CSS, *};

const HOSTILE: &str = "<script>alert(1)</script>\"' onload=x {{7*7}}";

fn every_page(text: &str, email: &str) -> Vec<(&'static str, Page)> {
    let text = || text.to_owned();
    let email = || email.to_owned();
    let some = || Some(text());
    let denied = |why| Page::Denied { why, workspace: some(), retry: some() };
    let half_a_minute = Duration::from_secs(30);
    vec![
        ("sign-in", Page::SignIn { workspace: None, email: String::new(), rd: text(), notice: None }),
        ("sign-in-wrong", Page::SignIn { workspace: None, email: email(), rd: text(), notice: Some(Notice::EmailMalformed) }),
        ("sign-in-to", Page::SignIn { workspace: some(), email: email(), rd: text(), notice: None }),
        (
            "choose",
            Page::Choose {
                workspace: some(),
                email: email(),
                choices: vec![
                    Choice { label: text(), detail: text(), href: text() },
                    Choice { label: "Password".into(), detail: "For people outside the directory".into(), href: "/login".into() },
                ],
                back: text(),
            },
        ),
        ("password", Page::Password { email: email(), rd: text(), back: text(), notice: Some(Notice::PasswordWrong) }),
        ("set-password", Page::SetPassword { workspace: text(), email: email(), action: text(), min_length: 12, notice: None }),
        ("sign-out", Page::SignOut { workspace: some(), rd: text(), stay: text() }),
        ("signed-out", Page::SignedOut { workspace: some(), sign_in: text(), provider: some() }),
        ("denied-removed", denied(Denied::Removed)),
        ("denied-not-provisioned", denied(Denied::NotProvisioned)),
        ("denied-role", denied(Denied::RoleMissing { app: text() })),
        ("denied-other-workspace", denied(Denied::OtherWorkspace)),
        ("denied-provider", denied(Denied::ProviderSaidNo)),
        ("denied-answer", denied(Denied::AnswerRefused)),
        ("denied-email", denied(Denied::EmailNotProven)),
        ("denied-uses-password", denied(Denied::UsesPassword)),
        ("denied-sso-only", denied(Denied::SsoOnly)),
        ("denied-suspended", denied(Denied::Suspended)),
        ("400", Page::Problem(Problem::BadRequest)),
        ("400-start-again", Page::Problem(Problem::StartAgain)),
        ("404", Page::Problem(Problem::NotFound)),
        ("410", Page::Problem(Problem::LinkExpired)),
        ("429", Page::Problem(Problem::TooManyRequests { retry_after: half_a_minute })),
        ("500", Page::Problem(Problem::Internal)),
        ("502", Page::Problem(Problem::Provider)),
        ("503", Page::Problem(Problem::Unavailable { retry_after: Duration::from_millis(1) })),
    ]
}

#[test]
fn g48_nothing_that_somebody_typed_becomes_markup() {
    for (name, page) in every_page(HOSTILE, HOSTILE) {
        let html = page.html(HOSTILE);

        assert!(!html.contains("<script"), "{name}");
        // Every quote of an attribute is ours: the hostile one is an entity.
        assert!(!html.contains("\"' onload"), "{name}");
        assert!(!html.contains("49"), "{name}: no template inside a template");
    }
}

#[test]
fn a_page_loads_and_runs_nothing() {
    for (name, page) in every_page("Acme", "anna@acme.example") {
        let html = page.html("request-1");

        for forbidden in
            ["<script", " src=", "url(", "@import", "http://", "https://", " onclick", "style=\"", "<iframe", "javascript:"]
        {
            assert!(!html.contains(forbidden), "{name}: {forbidden}");
        }
        assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{name}");
        assert_eq!(html.matches("<h1>").count(), 1, "{name}");
        assert!(html.contains("width=device-width"), "{name}");
    }
}

#[test]
fn every_field_has_a_label_and_every_wrong_one_says_why() {
    for (name, page) in every_page("Acme", "anna@acme.example") {
        let html = page.html("request-1");
        for input in html.split("<input").skip(1).map(|rest| rest.split('>').next().unwrap()) {
            let labelled = input
                .split("id=\"")
                .nth(1)
                .is_some_and(|id| html.contains(&format!("for=\"{}\"", id.split('"').next().unwrap())));
            assert!(labelled || input.contains("type=\"hidden\"") || input.contains("aria-hidden"), "{name}: {input}");
            assert!(
                !input.contains("aria-invalid") || (input.contains("notice") && html.contains("role=\"alert\"")),
                "{name}: {input}"
            );
        }
    }
}

#[test]
fn a_refusal_or_error_shows_its_request_and_a_form_does_not() {
    for (name, page) in every_page("Acme", "anna@acme.example") {
        let shows = page.html("request-7f3a").contains("request-7f3a");

        assert_eq!(shows, page.status() != StatusCode::OK, "{name}");
    }
}

#[test]
fn statuses_and_retry_times() {
    let status = |problem: Problem| (problem.status().as_u16(), problem.retry_after());
    let wait = |millis| Duration::from_millis(millis);

    assert_eq!(status(Problem::BadRequest), (400, None));
    assert_eq!(status(Problem::StartAgain), (400, None));
    assert_eq!(status(Problem::NotFound), (404, None));
    assert_eq!(status(Problem::LinkExpired), (410, None));
    assert_eq!(status(Problem::Internal), (500, None));
    assert_eq!(status(Problem::Provider), (502, None));
    assert_eq!(status(Problem::TooManyRequests { retry_after: wait(1500) }), (429, Some(2)));
    assert_eq!(status(Problem::Unavailable { retry_after: wait(0) }), (503, Some(1)));
    assert_eq!(Page::Denied { why: Denied::Removed, workspace: None, retry: None }.status(), 403);
}

#[test]
fn a_person_whose_access_ended_is_told_so() {
    let html = Page::Denied { why: Denied::Removed, workspace: Some("Acme".into()), retry: None }.html("r");

    assert!(html.contains("Your access was removed"));
    assert!(!html.contains("class=\"button"), "nothing to press where nothing would help");
}

#[test]
fn r62_every_page_has_the_headers_of_a_page() {
    for (name, page) in every_page("Acme", "anna@acme.example") {
        let headers = headers(&page);

        assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{name}");
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{name}");
        let has_form = page.html("r").contains("<form");
        assert_eq!(headers[header::REFERRER_POLICY], if has_form { "strict-origin" } else { "no-referrer" }, "{name}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{name}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{name}: {policy}");
        assert_eq!(policy.contains("form-action 'none'"), !has_form, "{name}");
    }
}

#[test]
fn the_policy_names_the_style_that_the_page_has() {
    use base64::Engine as _;

    let page = Page::Problem(Problem::NotFound);
    let html = page.html("r");
    let style = html.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, style.as_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(digest);

    assert!(headers(&page)[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains(&format!("'sha256-{hash}'")));
}

/// WCAG 2.2, 1.4.3 and 1.4.11, in both schemes.
#[test]
fn colours_have_enough_contrast() {
    let (light, dark) = CSS.split_once("prefers-color-scheme:dark").unwrap();
    for (scheme, css) in [("light", light), ("dark", dark)] {
        let colours: HashMap<&str, &str> = css
            .split("--")
            .filter_map(|rest| rest.split_once(':'))
            .map(|(name, rest)| (name, rest.split([';', '}']).next().unwrap()))
            .filter(|(_, value)| value.starts_with('#'))
            .collect();
        let contrast = |one: &str, other: &str| {
            let (one, other) = (luminance(colours[one]), luminance(colours[other]));
            (one.max(other) + 0.05) / (one.min(other) + 0.05)
        };
        for (text, ground, least) in [
            ("text", "bg", 7.0),
            ("text", "card", 7.0),
            ("muted", "card", 4.5),
            ("muted", "bg", 4.5),
            ("accent", "card", 4.5),
            ("accent-strong", "card", 4.5),
            ("on-accent", "accent", 4.5),
            ("on-accent", "accent-strong", 4.5),
            ("danger", "danger-tint", 4.5),
            ("text", "tint", 4.5),
            ("accent", "tint", 3.0),
            ("field-line", "card", 3.0),
        ] {
            let found = contrast(text, ground);
            assert!(found >= least, "{scheme}: {text} on {ground} is {found:.2}, less than {least}");
        }
    }
}

fn luminance(hex: &str) -> f64 {
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

/// `LOCKSTEP_PAGES=folder cargo test -p lockstep-gateway pages_can_be_written` writes every page there, to be looked at.
#[test]
fn pages_can_be_written_to_be_looked_at() {
    let Some(folder) = option_env_at_run_time("LOCKSTEP_PAGES") else { return };
    for (name, page) in every_page("Acme Corporation", "anna.berg@acme.example") {
        std::fs::write(format!("{folder}/{name}.html"), page.html("01978a3e-5c1d-7b7e-9a40-3f2d1c0b9a88")).unwrap();
    }
}

#[expect(clippy::disallowed_methods, reason = "a switch of this test alone, not a setting of the program")]
fn option_env_at_run_time(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
