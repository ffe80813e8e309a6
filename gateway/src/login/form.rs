//! What a browser sends to the sign-in pages, read strictly: a field of ours that comes twice is refused, and a form that another
//! site had sent is not acted upon.

use axum::{
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use lockstep_shared::config::PublicUrl;
use url::form_urlencoded;

use super::Stop;
use crate::{
    forward::return_to::{Origins, ReturnTo},
    state::Gateway,
};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const VALUE_LIMIT: usize = 4096;

/// The fields of a query or a form. Those that nobody asks for are not looked at.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fields(…)")
    }
}

impl Fields {
    /// Reads a query or form that may have these fields.
    pub(crate) fn read(text: &[u8], names: &[&str]) -> Result<Self, Stop> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text).filter(|(name, _)| names.contains(&name.as_ref())) {
            if value.len() > VALUE_LIMIT {
                return Err(Stop::Malformed("a parameter is too long"));
            }
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(Stop::Malformed("a parameter appears twice"));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// A field's value; one that is empty is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Where to go afterwards; home, where it says none or one that nobody may be sent to.
    pub(crate) fn return_to(&self, name: &str, origins: &Origins) -> ReturnTo {
        self.get(name).and_then(|text| ReturnTo::parse(text, origins)).unwrap_or_else(ReturnTo::home)
    }
}

/// A form that one of our own pages sent.
#[derive(Debug)]
pub(crate) struct OwnForm(pub(crate) Bytes);

impl FromRequest<Gateway> for OwnForm {
    type Rejection = Response;

    async fn from_request(request: Request, gateway: &Gateway) -> Result<Self, Response> {
        if !is_ours(request.headers(), &gateway.settings.public_url) {
            return Err(Stop::CrossSite.into_response());
        }
        let form = axum::extract::RawForm::from_request(request, &()).await.map_err(IntoResponse::into_response)?;
        Ok(Self(form.0))
    }
}

/// Whether the browser says that this came from a page of ours, or from the person themselves.
pub(crate) fn is_own_navigation(headers: &HeaderMap) -> bool {
    only(headers, &SEC_FETCH_SITE).is_some_and(|site| matches!(site, "same-origin" | "none"))
}

/// Browsers say where a form came from in `Sec-Fetch-Site`; those that do not yet (Safari before 16.4) say it in `Origin`, which
/// our forms' referrer policy lets them fill in. What says neither is no browser that any of our forms was shown in.
fn is_ours(headers: &HeaderMap, public_url: &PublicUrl) -> bool {
    if headers.contains_key(SEC_FETCH_SITE) {
        return is_own_navigation(headers);
    }
    only(headers, &header::ORIGIN) == Some(public_url.origin())
}

fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    value.to_str().ok()
}

/// A path of ours with a query; parameters without a value are left out.
pub(crate) fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_form_of_another_site_is_told_from_one_of_ours() {
        let own = PublicUrl::parse("https://login.example.com").unwrap();
        for (lines, expected) in [
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "none")], true),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "Same-Origin")], false),
            (vec![("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (vec![("sec-fetch-site", "cross-site"), ("origin", "https://login.example.com")], false),
            (vec![("origin", "https://login.example.com")], true),
            (vec![("origin", "https://login.example.com:444")], false),
            (vec![("origin", "http://login.example.com")], false),
            (vec![("origin", "https://login.example.com.evil.example")], false),
            (vec![("origin", "null")], false),
            (vec![], false),
        ] {
            assert_eq!(is_ours(&headers(&lines), &own), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_field_that_comes_twice_is_refused_and_an_unknown_one_is_not_looked_at() {
        let names = ["rd", "email"];

        let fields = Fields::read(b"rd=%2Fa%3Fb&x=1&x=2&email=", &names).unwrap();
        assert_eq!((fields.get("rd"), fields.get("email"), fields.get("x")), (Some("/a?b"), None, None));
        for twice in ["rd=a&rd=b", "rd=&rd=", "rd=a&email=b&%72d=c"] {
            assert!(matches!(Fields::read(twice.as_bytes(), &names), Err(Stop::Malformed(_))), "{twice}");
        }
        assert!(Fields::read(format!("rd={}", "x".repeat(5000)).as_bytes(), &names).is_err());
    }

    #[test]
    fn a_link_encodes_what_it_carries() {
        assert_eq!(link("/sso/acme", &[("rd", "/a?b=c&d"), ("login_hint", "")]), "/sso/acme?rd=%2Fa%3Fb%3Dc%26d");
        assert_eq!(link("/login", &[]), "/login");
    }
}
