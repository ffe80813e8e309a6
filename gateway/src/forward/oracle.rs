//! The forward-auth oracle and its companions: 200, 401, 403, 503 for a front that asks about a request; who somebody is, for
//! a page that asks; the keys of the identity JWT. Never a redirect, never a cookie.

use std::net::SocketAddr;

use axum::{
    Extension, Json,
    extract::{ConnectInfo, Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use lockstep_shared::{
    http::{
        client_addr::{Ambiguous, Client, TrustedProxies, client_of},
        layers::{Observation, observe_decision},
    },
    id::WorkspaceId,
};
use serde_json::json;

use super::decision::{Allowed, Narrow, Refused};
use crate::{pages::in_place_of_a_panic, state::Gateway};

const REASON: HeaderName = HeaderName::from_static("x-lockstep-reason");
const LOGIN: HeaderName = HeaderName::from_static("x-lockstep-login");
/// What proxies put the URL of the request in that they ask about. It plays no part in the decision; one that nobody could parse
/// is refused all the same (CVE-2021-32637).
const ORIGINAL: [HeaderName; 2] = [HeaderName::from_static("x-original-url"), HeaderName::from_static("x-original-uri")];
/// As many headers as an answer that lets a request pass has, at the most; to make room once.
const MOST_HEADERS: usize = 16;
/// How soon to ask again when nothing can be known.
const RETRY_AFTER_SECONDS: u16 = 1;

/// Where fronts ask.
pub const AUTH: &str = "/oauth2/auth";

/// What the oracle needs. It is asked at every click of everybody, so it is mounted without layers and does their work itself.
#[derive(Debug, Clone)]
pub struct Oracle {
    gateway: Gateway,
    trusted: TrustedProxies,
}

impl Oracle {
    /// The oracle of a gateway.
    #[must_use]
    pub fn new(gateway: Gateway, trusted: TrustedProxies) -> Self {
        Self { gateway, trusted }
    }

    async fn decide(&self, peer: SocketAddr, Parts { uri, headers, .. }: &Parts) -> Result<Response, NotPassed> {
        let client = client_of(peer.ip(), uri, headers, &self.trusted)?;
        let query = uri.query().unwrap_or_default();
        let narrow = narrow(query).filter(|_| original_is_sound(headers)).ok_or(NotPassed::Malformed)?;
        let app = self.gateway.apps.of(&client.host).ok_or(NotPassed::UnknownHost)?;
        let allowed = self.gateway.decide(app, headers, &narrow).await?;
        Ok(passed(&allowed))
    }
}

/// Why a request that a front asks about does not pass.
#[derive(Debug)]
enum NotPassed {
    Ambiguous(Ambiguous),
    Malformed,
    UnknownHost,
    Refused(Refused),
}

impl From<Ambiguous> for NotPassed {
    fn from(ambiguous: Ambiguous) -> Self {
        Self::Ambiguous(ambiguous)
    }
}

impl From<Refused> for NotPassed {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Whether the request that a front asks about may pass.
pub async fn auth(State(oracle): State<Oracle>, ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request) -> Response {
    let observation = Observation { panic_answer: in_place_of_a_panic, is_quiet: true };
    let (head, _) = request.into_parts();
    observe_decision(observation, &head.method, AUTH, oracle.decide(peer, &head), not_passed).await
}

fn not_passed(why: NotPassed) -> Response {
    match why {
        NotPassed::Ambiguous(ambiguous) => {
            tracing::info!(reason = %ambiguous, "refused a request with an ambiguous head: {ambiguous}");
            ambiguous.into_response()
        }
        NotPassed::Malformed => plain(StatusCode::BAD_REQUEST, "malformed"),
        NotPassed::UnknownHost => plain(StatusCode::NOT_FOUND, "unknown_host"),
        NotPassed::Refused(refused) => refusal(&refused),
    }
}

/// Who is signed in, for the app's own pages. No token, no secret.
pub async fn userinfo(State(gateway): State<Gateway>, Extension(client): Extension<Client>, headers: HeaderMap) -> Response {
    let Some(app) = gateway.apps.of(&client.host) else {
        return plain(StatusCode::NOT_FOUND, "unknown_host");
    };
    match gateway.decide(app, &headers, &Narrow::default()).await {
        Ok(Allowed { live, .. }) => {
            let (session, person) = (&live.session, &live.session.person);
            let body = Json(json!({
                "user": session.user,
                "email": person.email,
                "preferredUsername": person.user_name,
                "name": person.display_name,
                "groups": person.groups,
                "workspace": session.workspace,
                "roles": person.roles,
                "teams": person.teams,
            }));
            ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], body).into_response()
        }
        Err(refused) => refusal(&refused),
    }
}

/// The keys of the identity JWT (RFC 7517).
pub async fn jwks(State(gateway): State<Gateway>) -> Response {
    match super::jwt::key_set(gateway.signers()) {
        Ok(keys) => ([(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))], Json(keys)).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "the key set could not be written");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "internal")
        }
    }
}

/// 200 with every identity header, so that none that a client sent shows through (CVE-2026-30851).
fn passed(allowed: &Allowed) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.reserve(MOST_HEADERS);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(block) = &allowed.live.headers {
        for (name, value) in block.iter(allowed.jwt.as_ref()) {
            headers.insert(name, value.clone());
        }
    }
    response
}

pub(crate) fn refusal(refused: &Refused) -> Response {
    let status = refused.status();
    if status.is_server_error() {
        tracing::error!(reason = refused.code(), error = %refused, source = ?std::error::Error::source(refused), "a request was not decided: {refused}");
    }
    let mut response = plain(status, refused.code());
    match status {
        StatusCode::UNAUTHORIZED => response.headers_mut().insert(LOGIN, HeaderValue::from_static("/oauth2/start")),
        StatusCode::SERVICE_UNAVAILABLE => response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into()),
        _ => None,
    };
    response
}

fn plain(status: StatusCode, code: &'static str) -> Response {
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store")), (REASON, HeaderValue::from_static(code))];
    (status, headers, format!("{code}\n")).into_response()
}

fn original_is_sound(headers: &HeaderMap) -> bool {
    ORIGINAL.iter().flat_map(|name| headers.get_all(name)).all(|value| {
        let text = value.to_str().unwrap_or(" ");
        text.parse::<http::Uri>().is_ok() && percent_signs_are_sound(text)
    })
}

fn percent_signs_are_sound(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

/// Reads what a front narrows by; `None` where it is malformed: a restriction that cannot be read must not be one that is off.
fn narrow(query: &str) -> Option<Narrow> {
    let mut narrow = Narrow::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "workspace" if narrow.workspace.is_none() => narrow.workspace = Some(WorkspaceId::parse(&value).ok()?),
            "workspace" => return None,
            "allowed_groups" => {
                let groups = narrow.groups.get_or_insert_default();
                groups.extend(value.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned));
            }
            _ => {}
        }
    }
    Some(narrow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_front_can_only_narrow() {
        assert_eq!(narrow(""), Some(Narrow::default()));
        assert_eq!(narrow("x=y&workspace=acme").unwrap().workspace, Some(WorkspaceId::parse("acme").unwrap()));
        assert_eq!(narrow("allowed_groups=a,b&allowed_groups=c").unwrap().groups, Some(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(narrow("allowed_groups=").unwrap().groups, Some(vec![]), "no group at all lets nobody in");
    }

    #[test]
    fn a_restriction_that_cannot_be_read_is_not_one_that_is_off() {
        for bad in ["workspace=", "workspace=A_b", "workspace=a&workspace=b"] {
            assert_eq!(narrow(bad), None, "{bad}");
        }
    }

    #[test]
    fn g20_an_original_url_that_nobody_could_parse_is_refused() {
        let sound = |value: &str| {
            original_is_sound(&[(ORIGINAL[0].clone(), HeaderValue::from_str(value).unwrap())].into_iter().collect())
        };

        assert!(sound("https://app.example.com/a%20b?c=d"));
        assert!(sound("/a/b"));
        for bad in ["https://a b/%zz", "/%zz", "/%4", "/a b", ""] {
            assert!(!sound(bad), "{bad}");
        }
    }
}
