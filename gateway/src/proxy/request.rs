//! A request as it came, as far as answers depend on it, and the request that the upstream gets instead.

use axum::{body::Body, extract::Request};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use hyper::body::Body as _;
use lockstep_shared::http::{
    client_addr::{Client, ClientAddress},
    layers::{REQUEST_ID, RequestId},
};
use url::Url;

use super::body::{Progress, Upload};
use crate::forward::{
    decision::{Allowed, Refused},
    headers::for_upstream,
    return_to::{Origins, ReturnTo},
};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Who asked, and how.
#[derive(Debug)]
pub(super) struct Asked {
    /// The client, as `identify` found it.
    pub(super) client: Client,
    /// The request's id.
    pub(super) id: RequestId,
    /// Whether a person follows a link or types an address, as against a script that reads the answer.
    pub(super) is_navigation: bool,
    /// Where to come back to after a sign-in.
    pub(super) here: ReturnTo,
}

impl Asked {
    /// Reads it off a request; `None` where `identify` has not been.
    pub(super) fn of(request: &Request, origins: &Origins) -> Option<Self> {
        let here = request.uri().path_and_query().and_then(|path| ReturnTo::parse(path.as_str(), origins));
        Some(Self {
            client: request.extensions().get::<Client>()?.clone(),
            id: request.extensions().get::<RequestId>().copied().unwrap_or_default(),
            is_navigation: is_navigation(request.method(), request.headers()),
            here: here.unwrap_or_else(ReturnTo::home),
        })
    }
}

fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let reads = method == Method::GET || method == Method::HEAD;
    reads
        && match headers.get(FETCH_MODE) {
            Some(mode) => mode == "navigate",
            // Before 2023 not every browser said so.
            None => {
                headers.get_all(header::ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(|text| text.contains("text/html")))
            }
        }
}

/// Why a request is not one to pass on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsound {
    /// `CONNECT` is for other proxies; `TRACE` would show cookies to scripts.
    #[error("the method is not passed on")]
    Method,
    /// The target is no path.
    #[error("the target is not a path")]
    Target,
    /// The path might lead out of the upstream's own.
    #[error("the path could lead out of the app's")]
    LeadsOut,
}

/// Where a request goes: the upstream's authority, its path if it has one, and then what was asked for as it came.
pub(super) fn target(upstream: &Url, method: &Method, asked: &Uri) -> Result<Uri, Unsound> {
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(Unsound::Method);
    }
    let path = asked.path_and_query().filter(|path| path.as_str().starts_with('/')).ok_or(Unsound::Target)?;
    let base = upstream.path().trim_end_matches('/');
    let authority = match (upstream.host_str(), upstream.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return Err(Unsound::Target),
    };
    let uri = Uri::builder().scheme(upstream.scheme()).authority(authority);
    let uri = if base.is_empty() {
        uri.path_and_query(path.clone())
    } else if may_lead_out(path.path()) {
        return Err(Unsound::LeadsOut);
    } else {
        uri.path_and_query(format!("{base}{path}"))
    };
    uri.build().map_err(|_| Unsound::Target)
}

/// Whether some server might read a way up in this path. Encoded dots, slashes, backslashes and percent signs are refused whole:
/// how often each server decodes is not ours to know.
fn may_lead_out(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let encoded = ["%2e", "%2f", "%5c", "%25", "\\"].iter().any(|way| lower.contains(way));
    // `..;x` is `..` to servers that know path parameters.
    encoded || lower.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

/// The request as the upstream gets it: framed anew, with its headers made fit and nothing of ours missing.
pub(super) fn outgoing(
    request: Request,
    target: Uri,
    asked: &Asked,
    allowed: &Allowed,
    upload: impl FnOnce(Body) -> (Upload, Progress),
) -> Result<(http::Request<Upload>, Progress), Refused> {
    let identity = allowed.live.headers.as_ref().map_err(|too_large| Refused::Unwritable((*too_large).into()))?;
    let (head, body) = request.into_parts();
    let mut headers = head.headers;
    // RFC 9110, section 10.1.1: our listener has answered it, or will when the body is read.
    headers.remove(header::EXPECT);
    // A trusted proxy's own headers were read by `identify`; none of them goes on as it came.
    for_upstream(&mut headers, Some((identity, allowed.jwt.as_ref())));
    frame_anew(&mut headers, &body);
    let host = &asked.client.host;
    for (name, value) in [
        (header::HOST, host.as_str()),
        (FORWARDED_HOST, host.as_str()),
        (FORWARDED_PROTO, asked.client.scheme.as_str()),
        (FORWARDED_FOR, &client_address(asked.client.address)),
        (REQUEST_ID, &asked.id.to_string()),
    ] {
        // Hosts are checked by `identify`, the others are ours: they are all visible ASCII.
        headers.insert(name, HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("")));
    }
    let (body, progress) = upload(body);
    let mut request = http::Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = target;
    *request.version_mut() = Version::HTTP_11;
    *request.headers_mut() = headers;
    Ok((request, progress))
}

/// One statement of the length and no two, whatever the client made of it.
fn frame_anew(headers: &mut HeaderMap, body: &Body) {
    let was_stated = headers.remove(header::CONTENT_LENGTH).is_some();
    match body.size_hint().exact() {
        Some(0) if !was_stated => {}
        Some(length) => drop(headers.insert(header::CONTENT_LENGTH, length.into())),
        // Said out loud, or the client would send a GET without its body.
        None => drop(headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"))),
    }
}

/// An address that is not certain is said to be unknown: a proxy's own would pass for somebody on the inside.
fn client_address(address: ClientAddress) -> String {
    address.for_rules().map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(upstream: &str, asked: &str) -> Result<String, Unsound> {
        target(&Url::parse(upstream).unwrap(), &Method::GET, &asked.parse().unwrap()).map(|uri| uri.to_string())
    }

    #[test]
    fn g17_g18_a_path_goes_on_as_it_came() {
        for path in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/..;/admin",
            "//admin",
            "/admin%2f",
            "/admin\\x",
            "/%61dmin",
            "/foo/secret%23/bar",
            "/x?x=/status",
            "/a//b/./c?d=%zz&e='|[]",
            "/?",
        ] {
            assert_eq!(to("http://10.0.0.1:3000", path).unwrap(), format!("http://10.0.0.1:3000{path}"));
        }
        assert_eq!(to("https://app.internal", "https://app.example.com/x").unwrap(), "https://app.internal/x");
        assert_eq!(to("http://[::1]:81/", "/x").unwrap(), "http://[::1]:81/x");
    }

    #[test]
    fn g17_nothing_leads_out_of_an_upstream_with_a_path() {
        assert_eq!(to("http://up/base/", "/a/b?c=..%2f").unwrap(), "http://up/base/a/b?c=..%2f");
        assert_eq!(to("http://up/base", "/a..b/...").unwrap(), "http://up/base/a..b/...");
        for path in [
            "/..",
            "/../x",
            "/a/../../x",
            "/./x",
            "/%2e%2e/x",
            "/.%2E/x",
            "/..;/x",
            "/..;a=b/x",
            "/..\\x",
            "/a%2f..",
            "/%252e%252e/x",
            "/%5c",
        ] {
            assert_eq!(to("http://up/base", path), Err(Unsound::LeadsOut), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_and_what_is_for_other_proxies_is_not_passed_on() {
        let up = Url::parse("http://up").unwrap();
        assert_eq!(target(&up, &Method::OPTIONS, &"*".parse().unwrap()), Err(Unsound::Target));
        assert_eq!(target(&up, &Method::CONNECT, &"evil.example:443".parse().unwrap()), Err(Unsound::Method));
        assert_eq!(target(&up, &Method::TRACE, &"/".parse().unwrap()), Err(Unsound::Method));
    }

    #[test]
    fn g9_an_address_that_is_not_certain_is_said_to_be_unknown() {
        let proxy = [10, 0, 0, 1].into();
        assert_eq!(client_address(ClientAddress::Known(proxy)), "10.0.0.1");
        assert_eq!(client_address(ClientAddress::Unknown { proxy }), "unknown");
    }

    #[test]
    fn a_navigation_is_what_a_person_sees() {
        let asks = |method: Method, headers: &[(HeaderName, &'static str)]| {
            is_navigation(&method, &headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect())
        };
        let html = (header::ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8");

        assert!(asks(Method::GET, &[(FETCH_MODE, "navigate"), (header::ACCEPT, "*/*")]));
        assert!(asks(Method::HEAD, &[(FETCH_MODE, "navigate")]));
        assert!(asks(Method::GET, std::slice::from_ref(&html)));
        assert!(!asks(Method::GET, &[]));
        assert!(!asks(Method::GET, &[(header::ACCEPT, "application/json")]));
        assert!(!asks(Method::POST, &[(FETCH_MODE, "navigate"), html.clone()]));
        for mode in ["cors", "no-cors", "same-origin", "websocket", ""] {
            assert!(!asks(Method::GET, &[(FETCH_MODE, mode), html.clone()]), "{mode}");
        }
    }
}
