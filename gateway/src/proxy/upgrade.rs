//! The one protocol that is switched to, RFC 6455. Over `h2c` a client could talk to the upstream past us, identity headers and all.
//! The tunnel hangs on its session's leash.

use std::task::{Poll, ready};

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use hyper::{
    body::{Body as _, Incoming},
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use lockstep_shared::http::client_addr::Client;
use url::Url;

use super::{body::Upload, leash::Leash, not_passed::NotPassed, request::Asked, upstream::Failure};
use crate::{forward::headers::for_client, state::Gateway};

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// The client's side of a switch that it asks for.
pub(super) struct Switch(OnUpgrade);

impl Switch {
    /// Takes it off a request, if that asks for a WebSocket. The cookie goes with a request from any page, so the page that asks
    /// must be one of the same host.
    pub(super) fn take(request: &mut Request, asked: &Asked) -> Result<Option<Self>, NotPassed> {
        if !asks_for_websocket(request) {
            return Ok(None);
        }
        // RFC 6455, section 10.2; no other check of the browser's stands between another site and this connection.
        if !is_of_this_host(request.headers(), &asked.client) {
            return Err(NotPassed::ForeignOrigin);
        }
        Ok(Some(Self(hyper::upgrade::on(request))))
    }
}

/// RFC 6455, section 4.1, every word of it: what only resembles it goes on as a request without a switch.
fn asks_for_websocket(request: &Request) -> bool {
    let headers = request.headers();
    let only = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    let connection = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && request.body().is_end_stream()
        && connection.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
        && only(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes()))
        && only(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
        && only(header::SEC_WEBSOCKET_KEY).is_some()
}

/// Whether a page of the host that was called asks. Browsers always say whose page it is; no word, two and `null` are no answer.
fn is_of_this_host(headers: &HeaderMap, client: &Client) -> bool {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else { return false };
    let Some(origin) = origin.to_str().ok().and_then(|text| Url::parse(text).ok()) else { return false };
    // Scheme and port of the first proxy are not always told; a port that was left out is that of the page's own scheme.
    let called_port = client.host.port_u16().or_else(|| match origin.scheme() {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    });
    origin.host_str().is_some_and(|host| host.eq_ignore_ascii_case(client.host.host()))
        && called_port.is_some()
        && origin.port_or_known_default() == called_port
}

/// The request with the words that were taken off as of this hop.
pub(super) fn asking(mut request: http::Request<Upload>) -> http::Request<Upload> {
    switching(request.headers_mut());
    request
}

fn switching(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, WEBSOCKET);
}

/// The answer to a switch, while a task of its own joins the two sides.
pub(super) fn switched(
    gateway: &Gateway,
    switch: Option<Switch>,
    mut answer: http::Response<Incoming>,
    leash: Leash,
) -> Result<Response, NotPassed> {
    let to_websocket = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes());
    let agreed = answer.headers().get(header::UPGRADE).is_some_and(to_websocket);
    let Some(Switch(client)) = switch.filter(|_| agreed) else { return Err(Failure::SwitchedUnasked.into()) };
    gateway.tasks.spawn(tunnel(client, hyper::upgrade::on(&mut answer), leash));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    for_client(response.headers_mut());
    switching(response.headers_mut());
    Ok(response)
}

async fn tunnel(client: OnUpgrade, upstream: OnUpgrade, mut leash: Leash) {
    let joined = async {
        let (client, upstream) = tokio::try_join!(client, upstream)?;
        let sides = |side: Upgraded| TokioIo::new(side);
        // Either side may simply be gone; there is nobody to tell.
        let _ = tokio::io::copy_bidirectional(&mut sides(client), &mut sides(upstream)).await;
        Ok::<_, hyper::Error>(())
    };
    let mut joined = std::pin::pin!(joined);
    // The leash first: while it is held, and once it is pulled, not a byte more passes.
    let ended =
        std::future::poll_fn(
            |cx| {
                if ready!(leash.poll_pass(cx)) { joined.as_mut().poll(cx).map(Some) } else { Poll::Ready(None) }
            },
        );
    match ended.await {
        None => tracing::debug!("a WebSocket was cut"),
        Some(Err(error)) => tracing::debug!(error = %error, "a WebSocket did not come to be"),
        Some(Ok(())) => {}
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::http::client_addr::{TrustedProxies, client_of};

    use super::*;

    fn request(changes: &[(HeaderName, Option<&'static str>)]) -> Request {
        let mut request = Request::new(Body::empty());
        let headers = request.headers_mut();
        switching(headers);
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        for (name, value) in changes {
            match value {
                Some(value) => drop(headers.insert(name, HeaderValue::from_static(value))),
                None => drop(headers.remove(name)),
            }
        }
        request
    }

    #[test]
    fn only_a_websocket_is_switched_to() {
        assert!(asks_for_websocket(&request(&[])));
        assert!(asks_for_websocket(&request(&[
            (header::CONNECTION, Some("keep-alive, Upgrade")),
            (header::UPGRADE, Some("WebSocket"))
        ])));
        for change in [
            (header::UPGRADE, Some("h2c")),
            (header::UPGRADE, Some("h2c, websocket")),
            (header::UPGRADE, Some("TLS/1.2")),
            (header::UPGRADE, None),
            (header::CONNECTION, Some("keep-alive")),
            (header::CONNECTION, None),
            (header::SEC_WEBSOCKET_VERSION, Some("7")),
            (header::SEC_WEBSOCKET_VERSION, None),
            (header::SEC_WEBSOCKET_KEY, None),
        ] {
            assert!(!asks_for_websocket(&request(std::slice::from_ref(&change))), "{change:?}");
        }
        let mut posted = request(&[]);
        *posted.method_mut() = Method::POST;
        assert!(!asks_for_websocket(&posted));
        let with_body = request(&[]).map(|_| Body::from("x"));
        assert!(!asks_for_websocket(&with_body));
    }

    fn is_welcome(host: &str, origins: &[&str]) -> bool {
        let mut headers: HeaderMap = [(header::HOST, HeaderValue::try_from(host).unwrap())].into_iter().collect();
        for origin in origins {
            headers.append(header::ORIGIN, HeaderValue::try_from(*origin).unwrap());
        }
        let client = client_of([127, 0, 0, 1].into(), &"/".parse().unwrap(), &headers, &TrustedProxies::default()).unwrap();
        is_of_this_host(&headers, &client)
    }

    #[test]
    fn r65_only_a_page_of_the_same_host_opens_a_websocket() {
        for (host, origin) in [
            ("app.example.com", "https://app.example.com"),
            ("app.example.com", "http://app.example.com"),
            ("APP.example.com", "https://app.example.com"),
            ("app.example.com:443", "https://app.example.com"),
            ("app.example.com:8443", "https://app.example.com:8443"),
            ("[::1]:81", "http://[::1]:81"),
        ] {
            assert!(is_welcome(host, &[origin]), "{host} {origin}");
        }
        for origins in [
            &[][..],
            &["null"],
            &[""],
            &["https://evil.example"],
            &["https://app.example.com.evil.example"],
            &["https://app.example.com:8443"],
            &["https://app.example.com@evil.example"],
            &["app.example.com"],
            &["file://app.example.com"],
            &["https://app.example.com", "https://app.example.com"],
        ] {
            assert!(!is_welcome("app.example.com", origins), "{origins:?}");
        }
    }
}
