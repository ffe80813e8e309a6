//! Tokens, passwords and OAuth clients of a provider.

use lockstep_shared::{model::token::TokenKind, secret::BearerToken};
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_third_token_or_password_is_refused_and_says_which_to_revoke() {
    let deployment = Deployment::with_acme().await;
    for (issue, what) in [("token issue acme", "tokens"), ("scim basic acme", "passwords")] {
        let first = deployment.json(issue).await;
        deployment.json(issue).await;

        let (code, error) = deployment.refusal(issue).await;

        assert_eq!((code, &error["code"]), (1, &json!("too_many_live")), "{issue}");
        assert!(error["message"].as_str().unwrap().contains(&format!("2 live {what}")), "{error}");
        let revoke = format!("token revoke acme {}", first["id"].as_str().unwrap());
        assert!(error["fix"].as_str().unwrap().contains(&revoke), "{error}");
        assert_eq!(deployment.json(&revoke).await["state"], "revoked");
        deployment.json(issue).await;
    }
}

#[tokio::test]
async fn a_password_is_shown_once_with_its_user_name() {
    let deployment = Deployment::with_acme().await;

    let issued = deployment.json("scim basic acme --expires 90d").await;
    let listed = deployment.run("token list acme --json").await.stdout;

    let (user_name, password) = (issued["user_name"].as_str().unwrap(), issued["password"].as_str().unwrap());
    let secret = BearerToken::parse(password).unwrap();
    let (found, _) = deployment.store().find_token(&acme(), &secret).await.unwrap().unwrap();
    assert_eq!(found.kind, TokenKind::Basic { user_name: user_name.to_owned() });
    assert_eq!((&issued["kind"], &issued["expires_at"]), (&json!("basic"), &json!("2026-04-01T00:00:00.000Z")));
    assert_eq!(issued["warnings"], json!(["SCIM is off for this workspace: run `lockstep scim enable acme`"]));
    assert!(listed.contains(user_name) && !listed.contains(password), "{listed}");
}

#[tokio::test]
async fn an_oauth_client_is_added_listed_and_revoked() {
    let deployment = Deployment::with_acme().await;

    let added = deployment.json("oauth-client add acme --token-lifetime 90m").await;
    let id = added["client_id"].as_str().unwrap();
    let listed = deployment.json("oauth-client list acme").await;
    let revoked = deployment.json(&format!("oauth-client revoke acme {id}")).await;
    let (_, again) = deployment.refusal(&format!("oauth-client revoke acme {id}")).await;

    assert!(id.starts_with("acme."), "{id}");
    assert!(BearerToken::parse(added["client_secret"].as_str().unwrap()).is_some());
    assert_eq!(added["token_url"], "https://scim.example.com/oauth2/token");
    assert_eq!((&added["scope"], &added["token_lifetime_seconds"]), (&json!("scim"), &json!(5_400)));
    let one = &listed["clients"][0];
    assert_eq!((&one["client_id"], &one["state"], &one["last_used_at"]), (&json!(id), &json!("live"), &json!(null)));
    assert!(!listed.to_string().contains("lks_"), "{listed}");
    assert_eq!((&revoked["state"], &again["code"]), (&json!("revoked"), &json!("oauth_client_not_found")));
}

#[tokio::test]
async fn a_client_with_an_issuer_has_no_secret_and_its_keys_are_looked_at() {
    let deployment = Deployment::with_acme().await;
    let provider = Provider::start(json!({})).await;

    let line = format!("oauth-client add acme --jwks-url {}/jwks --issuer i --subject s --audience a", provider.issuer);
    let added = deployment.json(&line).await;
    let own = deployment.json(&format!("oauth-client add acme --jwks-url {}/jwks", provider.issuer)).await;

    assert_eq!((&added["issuer"], &added["subject"], &added["audience"]), (&json!("i"), &json!("s"), &json!("a")));
    assert_eq!((added.get("client_secret"), &added["proof"]), (None, &json!("assertion")));
    assert_eq!((&own["issuer"], &own["subject"], &own["audience"]), (&own["client_id"], &own["client_id"], &json!(null)));
    // The provider of these tests publishes a key without its numbers.
    assert!(added["warnings"][1].as_str().unwrap().contains("no key that can verify"), "{added}");
    provider.stop().await;
}

#[tokio::test]
async fn a_client_that_could_never_be_given_a_token_is_not_added() {
    let deployment = Deployment::with_acme().await;
    for (line, code) in [
        ("--jwks-url https://10.0.0.1/keys", "jwks_url"),
        ("--jwks-url https://169.254.169.254/keys", "jwks_url"),
        ("--jwks-url http://keys.example.com/keys", "jwks_url"),
        ("--jwks-url file:///etc/passwd", "jwks_url"),
        ("--jwks-url https://user@keys.example.com/keys", "jwks_url"),
        ("--jwks-url https://keys.example.com --issuer https://login.microsoftonline.com/common/v2.0", "issuer"),
        ("--jwks-url https://keys.example.com --issuer https://login.microsoftonline.com/organizations/v2.0", "issuer"),
    ] {
        let (exit, error) = deployment.refusal(&format!("oauth-client add acme {line}")).await;
        assert_eq!((exit, &error["code"]), (1, &json!(code)), "{line}: {error}");
    }
    for usage in [
        "--token-lifetime 59m",
        "--token-lifetime 361m",
        "--token-lifetime x",
        "--secret --jwks-url https://keys.example.com",
        "--issuer i",
        "--subject s",
        "--audience a",
        "--jwks-url nonsense",
        "--jwks-url https://keys.example.com --subject=",
    ] {
        assert_eq!(deployment.run(&format!("oauth-client add acme {usage}")).await.code, 2, "{usage}");
    }
    assert_eq!(deployment.json("oauth-client list acme").await["clients"], json!([]));
}
