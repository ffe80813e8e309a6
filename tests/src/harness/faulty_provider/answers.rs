//! What the faulty provider answers on each endpoint.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Json, Router,
    body::Body,
    extract::{Form, RawQuery, State as FromState},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::{Endpoint, Fault, Grant, Shared, random};
use crate::harness::HarnessError;

const HUGE: usize = 20 * 1024 * 1024;
const MANY_KEYS: usize = 10_000;

type Provider = FromState<Arc<Shared>>;
type Fields = HashMap<String, String>;

impl IntoResponse for HarnessError {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, format!("{self:?}")).into_response()
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/jwks", get(keys))
        .route("/stranger/jwks", get(stranger_keys))
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo))
        .with_state(shared)
}

async fn discovery(FromState(provider): Provider) -> Response {
    let issuer = &provider.issuer;
    let fault = provider.asked(Endpoint::Discovery);
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    match fault {
        Some(Fault::DiscoveryHtml) => html(),
        Some(Fault::DiscoveryHuge) => huge(),
        Some(Fault::DiscoveryServerError) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::DiscoveryRedirect) => redirect(StatusCode::FOUND, &format!("{issuer}/elsewhere")),
        Some(Fault::DiscoverySilent) => silent(&provider).await,
        Some(Fault::DiscoveryIssuer) => {
            set(&mut document, "issuer", json!("https://elsewhere.example"));
            Json(document).into_response()
        }
        Some(Fault::DiscoveryOffersNone) => {
            set(&mut document, "id_token_signing_alg_values_supported", json!(["none"]));
            Json(document).into_response()
        }
        _ => Json(document).into_response(),
    }
}

async fn keys(FromState(provider): Provider) -> Response {
    let fault = provider.asked(Endpoint::Keys);
    let usage = if fault == Some(Fault::KeyForEncryption) { "enc" } else { "sig" };
    let mut keys: Vec<Value> = provider.state().keys.iter().map(|key| key.jwk(usage)).collect();
    match fault {
        Some(Fault::NoKeys) => Json(json!({ "keys": [] })).into_response(),
        Some(Fault::KeysHtml) => html(),
        Some(Fault::KeysHuge) => huge(),
        Some(Fault::KeysServerError) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::KeysSilent) => silent(&provider).await,
        Some(Fault::KeysMany) => {
            let padding = (0..MANY_KEYS).map(|number| {
                let mut key = provider.stranger.jwk("sig");
                set(&mut key, "kid", json!(format!("padding-{number}")));
                key
            });
            let padded: Vec<Value> = padding.chain(keys.drain(..)).collect();
            Json(json!({ "keys": padded })).into_response()
        }
        _ => Json(json!({ "keys": keys })).into_response(),
    }
}

/// The keys to which a token's `jku` points; whoever asks for them has been fooled.
async fn stranger_keys(FromState(provider): Provider) -> Response {
    provider.asked(Endpoint::Keys);
    Json(json!({ "keys": [provider.stranger.jwk("sig")] })).into_response()
}

/// Answers at once: the person has signed in already, or refuses.
async fn authorize(FromState(provider): Provider, RawQuery(query): RawQuery) -> Result<Response, HarnessError> {
    let fault = provider.asked(Endpoint::Authorization);
    let fields: Fields = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    if let Some(problem) = request_problem(&provider, &fields) {
        return Ok((StatusCode::BAD_REQUEST, problem).into_response());
    }
    let code = random()?;
    let mut back = Url::parse(&field("redirect_uri"))?;
    answer_parameters(&mut back, fault, &provider.issuer, &code, &field("state"));
    let mut state = provider.state();
    let grant = Grant {
        redirect_uri: field("redirect_uri"),
        nonce: fields.get("nonce").cloned(),
        challenge: field("code_challenge"),
        person: state.person.clone(),
    };
    state.grants.insert(code, grant);
    Ok(redirect(StatusCode::SEE_OTHER, back.as_str()))
}

fn request_problem(provider: &Shared, fields: &Fields) -> Option<&'static str> {
    let field = |name: &str| fields.get(name).map(String::as_str);
    let allowed = provider.state().redirect_uri.clone();
    if field("client_id") != Some(&provider.client.id) {
        return Some("unknown client_id");
    }
    if field("redirect_uri").is_none() || allowed.is_some_and(|uri| field("redirect_uri") != Some(&uri)) {
        return Some("unknown redirect_uri");
    }
    if field("response_type") != Some("code") || !field("scope").is_some_and(|scope| scope.contains("openid")) {
        return Some("not a code flow of OpenID Connect");
    }
    (field("code_challenge_method") != Some("S256") || field("code_challenge").is_none()).then_some("no PKCE with S256")
}

fn answer_parameters(back: &mut Url, fault: Option<Fault>, issuer: &str, code: &str, state: &str) {
    let mut pairs = back.query_pairs_mut();
    if fault == Some(Fault::AccessDenied) {
        pairs.append_pair("error", "access_denied").append_pair("error_description", "<script>alert(1)</script>");
    } else {
        pairs.append_pair("code", code);
    }
    if fault == Some(Fault::DuplicateCode) {
        pairs.append_pair("code", "another-code");
    }
    let state = match fault {
        Some(Fault::MissingState) => None,
        Some(Fault::WrongState) => Some("another-state"),
        _ => Some(state),
    };
    let issuer = match fault {
        Some(Fault::MissingIssuerParameter) => None,
        Some(Fault::WrongIssuerParameter) => Some("https://elsewhere.example"),
        _ => Some(issuer),
    };
    pairs.extend_pairs(state.map(|state| ("state", state)));
    pairs.extend_pairs(issuer.map(|issuer| ("iss", issuer)));
}

async fn token(FromState(provider): Provider, headers: HeaderMap, Form(fields): Form<Fields>) -> Result<Response, HarnessError> {
    let fault = provider.asked(Endpoint::Token);
    match fault {
        Some(Fault::TokenServerError) => {
            return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
        }
        Some(Fault::TokenHtml) => return Ok(html()),
        Some(Fault::TokenHuge) => return Ok(huge()),
        Some(Fault::TokenSilent) => return Ok(silent(&provider).await),
        Some(Fault::TokenCutShort) => {
            return Ok(json_text(r#"{"access_token":"a","id_tok"#.to_owned()));
        }
        Some(Fault::TokenRedirect) => {
            return Ok(redirect(StatusCode::TEMPORARY_REDIRECT, &format!("{}/elsewhere", provider.issuer)));
        }
        Some(Fault::InvalidGrant) => return Ok(refused(StatusCode::BAD_REQUEST, "invalid_grant")),
        _ => {}
    }
    if !is_our_client(&provider, &headers, &fields) {
        return Ok(refused(StatusCode::UNAUTHORIZED, "invalid_client"));
    }
    let Some(grant) = redeemed(&provider, &fields) else {
        return Ok(refused(StatusCode::BAD_REQUEST, "invalid_grant"));
    };
    let access_token = random()?;
    let id_token = provider.id_token(&grant, &access_token)?;
    provider.state().grants.insert(access_token.clone(), grant);
    let mut answer = json!({
        "access_token": access_token,
        "token_type": if fault == Some(Fault::TokenTypeMac) { "mac" } else { "Bearer" },
        "expires_in": super::TOKEN_LIFE,
    });
    if fault != Some(Fault::NoIdToken) {
        set(&mut answer, "id_token", json!(id_token));
    }
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// RFC 6749, section 2.3.1: name and secret in a form or, form-encoded, in Basic authentication.
fn is_our_client(provider: &Shared, headers: &HeaderMap, fields: &Fields) -> bool {
    let basic = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
        .and_then(|encoded| String::from_utf8(STANDARD.decode(encoded).ok()?).ok());
    let pair = basic.as_deref().and_then(|pair| pair.split_once(':'));
    let (id, secret) = if let Some((id, secret)) = pair {
        (decoded(id), decoded(secret))
    } else {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        (field("client_id"), field("client_secret"))
    };
    id == provider.client.id && secret == provider.client.secret
}

/// The grant behind a code, once, for the redirect URI and the PKCE verifier that belong to it.
fn redeemed(provider: &Shared, fields: &Fields) -> Option<Grant> {
    let grant = provider.state().grants.remove(fields.get("code")?)?;
    let verifier = digest(&SHA256, fields.get("code_verifier")?.as_bytes());
    let is_whole = fields.get("grant_type")? == "authorization_code"
        && fields.get("redirect_uri")? == &grant.redirect_uri
        && URL_SAFE_NO_PAD.encode(verifier) == grant.challenge;
    is_whole.then_some(grant)
}

async fn userinfo(FromState(provider): Provider, headers: HeaderMap) -> Response {
    let fault = provider.asked(Endpoint::Userinfo);
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let grant = token.and_then(|token| provider.state().grants.get(token).cloned());
    let Some(grant) = grant else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let mut person = Value::Object(grant.person);
    match fault {
        Some(Fault::UserinfoServerError) => {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        Some(Fault::UserinfoSubject) => set(&mut person, "sub", json!("somebody-else")),
        _ => {}
    }
    Json(person).into_response()
}

fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

fn decoded(text: &str) -> String {
    let pairs = format!("v={text}");
    form_urlencoded::parse(pairs.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

fn redirect(status: StatusCode, to: &str) -> Response {
    (status, [(header::LOCATION, to)]).into_response()
}

fn html() -> Response {
    ([(header::CONTENT_TYPE, "text/html")], "<!doctype html><title>Maintenance</title>").into_response()
}

fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], Body::from(text)).into_response()
}

fn huge() -> Response {
    json_text(format!(r#"{{"padding":"{}"}}"#, "x".repeat(HUGE)))
}

/// Never answers; the connection ends with the provider.
async fn silent(provider: &Shared) -> Response {
    provider.stop.cancelled().await;
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}
