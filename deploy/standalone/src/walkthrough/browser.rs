//! A person's browser as far as the walk-through needs one: it keeps cookies, follows redirects one by one, and sees the
//! difference between a click and a script. It goes nowhere but to this machine.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::Value;
use url::Url;

use super::Why;

/// Providers wait as long for a SCIM answer; nothing here should come near it.
const PATIENCE: Duration = Duration::from_mins(1);
const MOST_REDIRECTS: usize = 12;
/// What the app answers with JSON instead of a page, without being less of a browser for the gateway.
const PAGE_OR_JSON: &str = "text/html, application/json";

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) location: Option<Url>,
    pub(super) body: String,
}

impl Answer {
    /// The body as JSON; `null` if it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Status and path, as a message names an answer. No query: it may carry a code.
    pub(super) fn in_short(&self) -> String {
        format!("{} at {}{}", self.status.as_u16(), self.url.authority(), self.url.path())
    }
}

/// A browser with its own cookies.
#[derive(Debug, Clone)]
pub(super) struct Browser {
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A browser that has been nowhere.
    pub(super) fn new() -> Result<Self, Why> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .tls_certs_only([])
            .build()?;
        Ok(Self { http, cookies: BTreeMap::new() })
    }

    /// Opens an address, as a click does, without following a redirect.
    pub(super) async fn click(&mut self, url: &Url) -> Result<Answer, Why> {
        let request = self.request(Method::GET, url)?;
        self.send(url, navigation(request, "none")).await
    }

    /// Opens an address with a header that an attacker would like to be believed.
    pub(super) async fn click_with(&mut self, url: &Url, name: &'static str, value: &str) -> Result<Answer, Why> {
        let request = self.request(Method::GET, url)?;
        self.send(url, navigation(request, "none").header(name, value)).await
    }

    /// Asks as a script of the app would: no navigation.
    pub(super) async fn fetch(&mut self, url: &Url) -> Result<Answer, Why> {
        let request = self.request(Method::GET, url)?;
        let request = request.header(header::ACCEPT, "application/json").header("sec-fetch-mode", "cors");
        self.send(url, request.header("sec-fetch-site", "same-origin")).await
    }

    /// Sends a form of a page on the same origin, without following a redirect.
    pub(super) async fn submit(&mut self, url: &Url, form: &[(&str, &str)]) -> Result<Answer, Why> {
        let request = self.request(Method::POST, url)?.form(form);
        let request = navigation(request, "same-origin").header(header::ORIGIN, url.origin().ascii_serialization());
        self.send(url, request).await
    }

    /// Opens an address and follows every redirect.
    pub(super) async fn open(&mut self, url: &Url) -> Result<Answer, Why> {
        let first = self.click(url).await?;
        self.follow(first).await
    }

    /// Follows every redirect from an answer on.
    pub(super) async fn follow(&mut self, mut answer: Answer) -> Result<Answer, Why> {
        for _ in 0..MOST_REDIRECTS {
            let Some(next) = answer.location.clone() else { return Ok(answer) };
            answer = self.click(&next).await?;
        }
        Err(Why::RedirectLoop)
    }

    fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder, Why> {
        if url.host_str() != Some("localhost") {
            return Err(Why::Elsewhere(url.host_str().unwrap_or_default().to_owned()));
        }
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.http.request(method, url.clone());
        Ok(if cookies.is_empty() { request } else { request.header(header::COOKIE, cookies.join("; ")) })
    }

    async fn send(&mut self, url: &Url, request: RequestBuilder) -> Result<Answer, Why> {
        let response = request.send().await?;
        let text = |value: &header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
        for line in response.headers().get_all(header::SET_COOKIE) {
            self.keep(&text(line));
        }
        let status = response.status();
        let location = response.headers().get(header::LOCATION).filter(|_| status.is_redirection());
        let location = location.and_then(|value| url.join(&text(value)).ok());
        Ok(Answer { url: url.clone(), status, location, body: response.text().await? })
    }

    /// Cookies ignore ports, and on this machine browsers keep `Secure` ones without TLS: one jar for everything.
    fn keep(&mut self, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return };
        let is_over = value.is_empty() || parts.any(|attribute| attribute.eq_ignore_ascii_case("max-age=0"));
        if is_over {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

fn navigation(request: RequestBuilder, site: &str) -> RequestBuilder {
    request.header(header::ACCEPT, PAGE_OR_JSON).header("sec-fetch-mode", "navigate").header("sec-fetch-site", site)
}

/// Where the first form of a page leads.
pub(super) fn form_action(page: &Answer) -> Option<Url> {
    let (_, rest) = page.body.split_once("action=\"")?;
    let (action, _) = rest.split_once('"')?;
    let action = ["&#38;", "&#x26;", "&amp;"].iter().fold(action.to_owned(), |text, escape| text.replace(escape, "&"));
    page.url.join(&action).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_kept_until_it_is_taken_away() {
        let mut browser = Browser::new().unwrap();

        browser.keep("__Host-lockstep=1.acme.x; Path=/; Secure; HttpOnly; SameSite=Lax");
        browser.keep("other=1");
        assert_eq!(browser.cookies["__Host-lockstep"], "1.acme.x");

        browser.keep("__Host-lockstep=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
        assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["other"]);
    }

    #[test]
    fn the_action_of_a_form_is_unescaped() {
        let page = Answer {
            url: Url::parse("http://localhost:8100/authorize?x=1").unwrap(),
            status: StatusCode::OK,
            location: None,
            body: r#"<form method="post" action="/sign-in?a=1&#38;b=2&amp;c=3">"#.to_owned(),
        };

        assert_eq!(form_action(&page).unwrap().as_str(), "http://localhost:8100/sign-in?a=1&b=2&c=3");
    }

    #[tokio::test]
    async fn no_other_machine_is_called() {
        let elsewhere = Browser::new().unwrap().click(&Url::parse("http://example.com/").unwrap()).await;

        assert!(matches!(elsewhere, Err(Why::Elsewhere(host)) if host == "example.com"));
    }
}
