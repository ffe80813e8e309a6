//! OpenID Connect Discovery 1.0: what the provider can do, and the keys that its tokens are signed with.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use crate::provider::App;

pub(super) async fn configuration(State(app): State<Arc<App>>) -> Json<Value> {
    let at = |path: &str| format!("{}{path}", app.issuer);
    Json(json!({
        "issuer": app.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "end_session_endpoint": at("/logout"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "email", "profile"],
        "prompt_values_supported": ["none", "login", "select_account"],
        "claims_supported": [
            "iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "sid", "oid", "email", "email_verified", "name",
            "given_name", "family_name", "preferred_username"
        ],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    }))
}

pub(super) async fn keys(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.key.jwks())
}
