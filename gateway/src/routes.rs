//! What is answered at which path. Our own paths have one spelling each: any other leads nowhere, never to an app or to a weaker
//! handler of ours.

use axum::{
    Extension, Router,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use http::Method;
use lockstep_shared::http::{
    client_addr::{Client, TrustedProxies, identify},
    layers::{Observation, count, limit_body, observe, page_headers},
};

use crate::{
    forward::oracle::{self, Oracle},
    login::{self, Stop, see_other},
    logout,
    pages::{in_place_of_a_panic, render},
    proxy::{self, Upstreams},
    state::Gateway,
};

/// The longest body that one of our own pages reads.
const BODY_LIMIT: usize = 64 * 1024;
/// The trees of our own paths.
const OWN_TREES: [&str; 5] = ["login", "sso", "callback", "invite", "oauth2"];
const JWKS: &str = "/.well-known/jwks.json";
/// What is decoded once more than this is no path that anybody sends in earnest.
const MOST_DECODED: usize = 3;

/// Everything that the public listener answers.
pub fn router(gateway: &Gateway, upstreams: Upstreams) -> Router {
    let asked_often = Router::new().route("/oauth2/userinfo", get(oracle::userinfo)).route(JWKS, get(oracle::jwks));
    let apps = proxy::mount(Router::new(), upstreams).layer(from_fn(keep_own_paths)).layer(from_fn(render));
    let pages = login::routes().merge(logout::routes());
    let pages = pages.layer(from_fn_with_state(gateway.clone(), on_our_own_host)).layer(from_fn(render));
    let pages = limit_body(page_headers(pages), BODY_LIMIT);
    let trusted = TrustedProxies::new(&gateway.settings.trusted_proxies);
    let observed = |router: Router<Gateway>, is_quiet| {
        let router = router.layer(from_fn_with_state(trusted.clone(), identify)).with_state(gateway.clone());
        observe(router, Observation { panic_answer: in_place_of_a_panic, is_quiet })
    };
    let oracle = any(oracle::auth).with_state(Oracle::new(gateway.clone(), trusted.clone()));
    let routes = observed(asked_often.merge(apps), true).merge(observed(pages, false));
    count(routes, gateway.meters.clone(), "gateway", kind).route(oracle::AUTH, oracle)
}

/// What a route is for, in the metrics; what is none of ours is an app's. The oracle's answers are counted as decisions alone.
fn kind(route: Option<&str>) -> &'static str {
    match route.map(|route| route.split('/').nth(1).unwrap_or_default()) {
        Some("login" | "sso" | "callback" | "invite") => "sign_in",
        Some(_) => "own",
        None => "app",
    }
}

/// People sign in at the gateway's own host, where its cookies are; at the host of an app they are sent there.
async fn on_our_own_host(
    State(gateway): State<Gateway>,
    Extension(client): Extension<Client>,
    request: Request,
    next: Next,
) -> Response {
    let public_url = &gateway.settings.public_url;
    if client.host.host().eq_ignore_ascii_case(public_url.host()) {
        return next.run(request).await;
    }
    let path =
        request.uri().path_and_query().filter(|_| gateway.apps.of(&client.host).is_some() && request.method() == Method::GET);
    match path {
        Some(path) => see_other(&public_url.at(path.as_str()), []),
        None => Stop::NotFound.into_response(),
    }
}

/// Keeps what looks like a path of ours, and is none as it is written, from being passed on to an app.
async fn keep_own_paths(request: Request, next: Next) -> Response {
    if is_like_own(request.uri().path()) { Stop::NotFound.into_response() } else { next.run(request).await }
}

/// Whether some reader might take this path for one of ours: one that decodes, folds case, drops parameters, joins slashes.
fn is_like_own(path: &str) -> bool {
    let mut decoded = path.to_owned();
    for _ in 0..MOST_DECODED {
        decoded = percent_decoded(&decoded);
    }
    let lower = decoded.replace('\\', "/").to_ascii_lowercase();
    let mut segments: Vec<&str> = Vec::new();
    for segment in lower.split('/') {
        let segment = segment.split(';').next().unwrap_or_default().trim_matches(|c: char| c.is_whitespace() || c.is_control());
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let is_jwks = segments.join("/") == JWKS.trim_start_matches('/');
    is_jwks || segments.first().is_some_and(|first| OWN_TREES.contains(first))
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match rest {
            [b'%', high, low, ..] => {
                std::str::from_utf8(&[*high, *low]).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g17_an_odd_spelling_of_a_path_of_ours_is_nobodys() {
        for odd in [
            "/login/",
            "//login",
            "/./login",
            "/LOGIN",
            "/%6cogin",
            "/%256cogin",
            "/oauth2/auth/",
            "/oauth2//auth",
            "//oauth2/auth",
            "/oauth2%2fauth",
            "/oauth2\\auth",
            "/oauth2/nothing",
            "/x/../oauth2/auth",
            "/x/%2e%2e/oauth2/auth",
            "/oauth2;x=y/auth",
            "/x/..;/oauth2/auth",
            "/login%20",
            "/login%00",
            "/.well-known/jwks.json/",
            "/.well-known//JWKS.json",
            "/sso",
            "/callback",
            "/invite/acme",
        ] {
            assert!(is_like_own(odd), "{odd}");
        }
    }

    #[test]
    fn the_paths_of_apps_are_theirs() {
        for theirs in
            ["/", "", "/logins", "/app/login", "/a%2flogin/x", "/.well-known/openid-configuration", "/%zz", "/%", "/ünï"]
        {
            assert!(!is_like_own(theirs), "{theirs}");
        }
    }
}
