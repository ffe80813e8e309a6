//! A person's browser as far as HTTP goes: it keeps cookies and follows a redirect only when told to.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use chrono::DateTime;
use http::{HeaderMap, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use url::Url;

use super::HarnessError;

const LONGEST_CALL: Duration = Duration::from_mins(1);
const MOST_REDIRECTS: usize = 20;
const SHOWN_OF_A_BODY: usize = 600;

/// One HTTP answer, read whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked.
    pub url: Url,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    async fn read(url: Url, response: reqwest::Response) -> Result<Self, HarnessError> {
        let status = response.status();
        let headers = response.headers().clone();
        Ok(Self { url, status, headers, body: response.bytes().await? })
    }

    /// One header as text, empty if it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HarnessError> {
        serde_json::from_slice(&self.body).map_err(|_| self.unlike("JSON"))
    }

    /// Where it redirects to, resolved against what was asked.
    #[must_use]
    pub fn location(&self) -> Option<Url> {
        if !self.status.is_redirection() {
            return None;
        }
        self.url.join(self.header("location")).ok()
    }

    /// Where it redirects to, or an error that shows what came instead.
    pub fn redirect(&self) -> Result<Url, HarnessError> {
        self.location().ok_or_else(|| self.unlike("a redirect"))
    }

    /// Itself, if the status is the wanted one; otherwise an error that shows what came.
    pub fn expect_status(self, wanted: StatusCode) -> Result<Self, HarnessError> {
        if self.status == wanted { Ok(self) } else { Err(self.unlike(wanted.canonical_reason().unwrap_or("another"))) }
    }

    pub(super) fn unlike(&self, wanted: &'static str) -> HarnessError {
        let body = self.text().chars().take(SHOWN_OF_A_BODY).collect();
        HarnessError::Answer { url: Box::new(self.url.clone()), status: self.status, wanted, body }
    }
}

/// A client that asks exactly once: no redirect followed, no proxy used.
pub(super) fn client() -> Result<reqwest::Client, HarnessError> {
    Ok(reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().timeout(LONGEST_CALL).build()?)
}

pub(super) async fn send(request: reqwest::RequestBuilder) -> Result<Answer, HarnessError> {
    let (client, request) = request.build_split();
    let request = request?;
    let url = request.url().clone();
    Answer::read(url, client.execute(request).await?).await
}

/// A browser without a screen: one cookie jar, redirects on demand.
#[derive(Clone, Debug)]
pub struct Agent {
    client: reqwest::Client,
    jar: Jar,
}

impl Agent {
    /// A browser that has been nowhere yet.
    pub fn new() -> Result<Self, HarnessError> {
        Ok(Self { client: client()?, jar: Jar::default() })
    }

    /// Asks once.
    pub async fn get(&mut self, url: impl AsRef<str>) -> Result<Answer, HarnessError> {
        self.get_with(url, HeaderMap::new()).await
    }

    /// Asks once, with further headers.
    pub async fn get_with(&mut self, url: impl AsRef<str>, headers: HeaderMap) -> Result<Answer, HarnessError> {
        let url = Url::parse(url.as_ref())?;
        let request = self.client.request(Method::GET, url.clone()).headers(headers);
        self.send(url, request).await
    }

    /// Sends a form.
    pub async fn post_form(&mut self, url: impl AsRef<str>, fields: &[(&str, &str)]) -> Result<Answer, HarnessError> {
        self.post_form_with(url, fields, HeaderMap::new()).await
    }

    /// Sends a form, with further headers.
    pub async fn post_form_with(
        &mut self,
        url: impl AsRef<str>,
        fields: &[(&str, &str)],
        headers: HeaderMap,
    ) -> Result<Answer, HarnessError> {
        let url = Url::parse(url.as_ref())?;
        let request = self.client.request(Method::POST, url.clone()).headers(headers).form(fields);
        self.send(url, request).await
    }

    /// Follows redirects from an answer on, until one does not redirect or `stop` says so of the next address, which is then
    /// left unasked.
    pub async fn follow(&mut self, from: Answer, stop: impl Fn(&Url) -> bool) -> Result<Answer, HarnessError> {
        let mut answer = from;
        for _ in 0..MOST_REDIRECTS {
            match answer.location() {
                Some(next) if !stop(&next) => answer = self.get(next).await?,
                _ => return Ok(answer),
            }
        }
        Err(answer.unlike("an end of redirects"))
    }

    /// The value of a cookie for a host, if there is one.
    #[must_use]
    pub fn cookie(&self, host: &str, name: &str) -> Option<&str> {
        self.jar.cookies.get(host)?.get(name).map(|cookie| cookie.value.as_str())
    }

    /// The names of the cookies for a host.
    #[must_use]
    pub fn cookie_names(&self, host: &str) -> Vec<&str> {
        self.jar.cookies.get(host).into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// Plants a cookie for a host, as an attacker on the same machine could.
    pub fn set_cookie(&mut self, host: &str, name: &str, value: &str) {
        let cookie = Cookie { value: value.to_owned(), path: "/".to_owned() };
        self.jar.cookies.entry(host.to_owned()).or_default().insert(name.to_owned(), cookie);
    }

    /// The `Cookie` header that this browser would send to an address, for a client of another kind.
    pub fn cookie_header(&self, url: impl AsRef<str>) -> Result<String, HarnessError> {
        Ok(self.jar.header(&Url::parse(url.as_ref())?))
    }

    /// Forgets every cookie.
    pub fn forget(&mut self) {
        self.jar = Jar::default();
    }

    async fn send(&mut self, url: Url, mut request: reqwest::RequestBuilder) -> Result<Answer, HarnessError> {
        let cookies = self.jar.header(&url);
        if !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies);
        }
        let answer = send(request).await?;
        for line in answer.headers.get_all(header::SET_COOKIE) {
            self.jar.keep(&url, line.to_str().unwrap_or_default());
        }
        Ok(answer)
    }
}

/// Cookies per host, since cookies ignore ports. `Secure` ones are kept over plain HTTP as browsers do for loopback; the suite
/// goes nowhere else.
#[derive(Clone, Debug, Default)]
struct Jar {
    cookies: BTreeMap<String, BTreeMap<String, Cookie>>,
}

#[derive(Clone, Debug)]
struct Cookie {
    value: String,
    path: String,
}

impl Jar {
    fn keep(&mut self, url: &Url, line: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let mut path = "/".to_owned();
        let mut is_over = false;
        for attribute in parts {
            let (key, content) = attribute.split_once('=').unwrap_or((attribute, ""));
            match key.to_ascii_lowercase().as_str() {
                "path" => content.clone_into(&mut path),
                "max-age" => is_over = content.parse::<i64>().is_ok_and(|seconds| seconds <= 0),
                // Servers delete with a date at the start of time; a real end in the future does not matter here.
                "expires" => {
                    is_over |= DateTime::parse_from_rfc2822(content).is_ok_and(|end| end.timestamp() < 86_400);
                }
                _ => {}
            }
        }
        let host = self.cookies.entry(url.host_str().unwrap_or_default().to_owned()).or_default();
        if is_over {
            host.remove(name);
        } else {
            host.insert(name.to_owned(), Cookie { value: value.to_owned(), path });
        }
    }

    fn header(&self, url: &Url) -> String {
        let host = self.cookies.get(url.host_str().unwrap_or_default());
        let sent = host.into_iter().flatten().filter(|(_, cookie)| covers(&cookie.path, url.path()));
        sent.map(|(name, cookie)| format!("{name}={}", cookie.value)).collect::<Vec<_>>().join("; ")
    }
}

/// RFC 6265, section 5.1.4.
fn covers(cookie: &str, path: &str) -> bool {
    path.strip_prefix(cookie).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_goes_where_it_belongs_until_it_is_deleted() {
        let mut jar = Jar::default();
        let here = Url::parse("http://localhost:1/callback/x").unwrap();
        jar.keep(&here, "__Host-a=1; Path=/; Secure; HttpOnly");
        jar.keep(&here, "b=2=2; Path=/callback");

        assert_eq!(jar.header(&here), "__Host-a=1; b=2=2");
        assert_eq!(jar.header(&Url::parse("http://localhost:2/callbacks").unwrap()), "__Host-a=1", "ports are ignored");
        assert_eq!(jar.header(&Url::parse("http://127.0.0.1:1/").unwrap()), "", "another host");

        jar.keep(&here, "__Host-a=; Path=/; Max-Age=0");
        jar.keep(&here, "b=; Path=/callback; Expires=Thu, 01 Jan 1970 00:00:00 GMT");

        assert_eq!(jar.header(&here), "");
    }
}
