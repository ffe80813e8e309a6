//! What is judged of a provider's documents, without a provider.

use serde_json::json;

use super::*;
use lockstep_shared::check::all_well;

const ISSUER: &str = "https://idp.example";

fn judge(change: &Value) -> Vec<Finding> {
    let mut metadata = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://idp.example/authorize",
        "token_endpoint": "https://idp.example/token",
        "jwks_uri": "https://idp.example/jwks",
        "response_types_supported": ["code", "id_token"],
        "code_challenge_methods_supported": ["plain", "S256"],
        "id_token_signing_alg_values_supported": ["HS256", "RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    });
    for (name, value) in change.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    judge_metadata(ISSUER, metadata.as_object().unwrap())
}

#[test]
fn a_provider_that_has_what_is_needed_passes() {
    assert!(all_well(&judge(&json!({}))));
    let sparse = json!({
        "response_types_supported": null,
        "code_challenge_methods_supported": null,
        "id_token_signing_alg_values_supported": null,
        "token_endpoint_auth_methods_supported": null,
    });
    assert!(all_well(&judge(&sparse)), "lists that are not published have the defaults of the specification");
}

#[test]
fn each_thing_that_is_missing_is_named() {
    for (change, name) in [
        (json!({"issuer": "https://idp.example/"}), "issuer"),
        (json!({"issuer": "HTTPS://idp.example"}), "issuer"),
        (json!({"issuer": null}), "issuer"),
        (json!({"token_endpoint": null}), "endpoints"),
        (json!({"authorization_endpoint": "http://idp.example/authorize"}), "endpoints"),
        (json!({"jwks_uri": "https://u:p@idp.example/jwks"}), "endpoints"),
        (json!({"response_types_supported": ["id_token"]}), "code flow"),
        (json!({"code_challenge_methods_supported": ["plain"]}), "PKCE"),
        (json!({"id_token_signing_alg_values_supported": ["HS256", "none"]}), "signatures"),
        (json!({"token_endpoint_auth_methods_supported": ["tls_client_auth"]}), "client secret"),
    ] {
        let findings = judge(&change);
        let problems: Vec<&str> = findings.iter().filter(|finding| finding.is_problem()).map(|finding| finding.name).collect();
        assert_eq!(problems, [name], "{change}");
    }
}

#[test]
fn a_key_that_cannot_verify_is_not_counted() {
    assert!(!judge_keys(&json!({"keys": [{"kty": "oct"}, {"kty": "RSA"}, {"kty": "EC", "use": "sig"}]})).is_problem());
    for keys in
        [json!({"keys": []}), json!({"keys": [{"kty": "oct"}]}), json!({"keys": [{"kty": "RSA", "use": "enc"}]}), json!([])]
    {
        assert!(judge_keys(&keys).is_problem(), "{keys}");
    }
}

#[test]
fn an_issuer_of_entra_names_one_tenant() {
    let tenant = "11111111-2222-3333-4444-555555555555";
    for host in ENTRA_HOSTS {
        assert!(location(&format!("https://{host}/{tenant}/v2.0")).is_ok(), "{host}");
        for shared in ["common", "organizations", "consumers", "{tenantid}", PERSONAL_ACCOUNTS, ""] {
            let judged = location(&format!("https://{host}/{shared}/v2.0"));
            assert!(matches!(judged, Err(IssuerError::Shared)), "{host} {shared}: {judged:?}");
        }
    }
}

#[test]
fn metadata_is_found_beside_the_issuer() {
    for (issuer, place) in [
        ("https://idp.example", "https://idp.example/.well-known/openid-configuration"),
        ("https://idp.example/a/", "https://idp.example/a/.well-known/openid-configuration"),
    ] {
        assert_eq!(location(issuer).unwrap().as_str(), place);
    }
    for bad in [
        "",
        "idp.example",
        "https://idp.example?x",
        "https://idp.example#x",
        "https://u@idp.example",
        "file:///etc",
        "https://a b",
    ] {
        assert!(matches!(location(bad), Err(IssuerError::Form)), "{bad}");
    }
}

#[test]
fn a_providers_text_is_shown_on_one_line_and_cut() {
    assert_eq!(excerpt("a\n\u{1b}[31m"), "a\u{fffd}\u{fffd}[31m");
    assert_eq!(excerpt(&"x".repeat(1_000)).len(), 200);
}
