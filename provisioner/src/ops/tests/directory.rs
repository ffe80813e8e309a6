//! Tokens, people and domains.

use lockstep_shared::{
    model::{
        audit::Actor,
        user::{LoginMethod, Origin, Profile},
    },
    secret::BearerToken,
    store::NewUser,
};
use serde_json::{Map, json};

use super::*;

async fn provision(deployment: &Deployment, user_name: &str, email: &str) -> String {
    let attributes = Map::from_iter([("emails".to_owned(), json!([{ "value": email, "primary": true }]))]);
    let profile = Profile { user_name: user_name.into(), external_id: Some(user_name.into()), active: true, attributes };
    let new = NewUser { profile, origin: Origin::Provisioned, login_method: LoginMethod::Sso };
    deployment.store().create_user(&acme(), new, &Actor::system()).await.unwrap().id.to_string()
}

#[tokio::test]
async fn a_token_opens_its_workspace_until_it_is_revoked() {
    let deployment = Deployment::with_acme().await;
    let enabled = deployment.json("scim enable acme").await;

    let issued = deployment.json("token issue acme --expires 90d").await;
    let id = issued["id"].as_str().unwrap();
    let listed = deployment.run("token list acme --json").await.stdout;
    let revoked = deployment.json(&format!("token revoke acme {id}")).await;
    let (_, again) = deployment.refusal(&format!("token revoke acme {id}")).await;

    assert_eq!(enabled["scim_base_url"], "https://scim.example.com/scim/v2/acme");
    let secret = issued["token"].as_str().unwrap();
    assert_eq!(issued["expires_at"], "2026-04-01T00:00:00.000Z");
    assert!(!listed.contains(secret) && listed.contains(id), "{listed}");
    let (found, _) = deployment.store().find_token(&acme(), &BearerToken::parse(secret).unwrap()).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.revoked_at.is_some()), (id, true));
    assert_eq!((&revoked["state"], &again["code"]), (&json!("revoked"), &json!("token_not_found")));
}

#[tokio::test]
async fn a_person_is_found_by_id_user_name_and_address() {
    let deployment = Deployment::with_acme().await;
    let id = provision(&deployment, "ada", "Ada@Acme.com").await;

    for name in [id.as_str(), "ADA", "ada@acme.com"] {
        let shown = deployment.json(&format!("user show acme {name}")).await;
        assert_eq!((&shown["id"], &shown["user_name"], &shown["active"]), (&json!(id), &json!("ada"), &json!(true)), "{name}");
    }
    provision(&deployment, "bob", "ada@acme.com").await;
    let (_, ambiguous) = deployment.refusal("user show acme ada@acme.com").await;
    let (_, unknown) = deployment.refusal("user show acme nobody").await;
    assert_eq!((&ambiguous["code"], &unknown["code"]), (&json!("user_ambiguous"), &json!("user_not_found")));
}

#[tokio::test]
async fn whoever_signs_in_by_sso_is_not_invited_to_a_password() {
    let deployment = Deployment::with_acme().await;
    provision(&deployment, "ada@acme.com", "ada@acme.com").await;

    let (code, error) = deployment.refusal("user invite acme ada@acme.com").await;
    let guest = deployment.json("user invite acme guest@example.org").await;

    assert_eq!((code, &error["code"]), (1, &json!("user_signs_in_by_sso")));
    assert!(guest["setup_url"].as_str().unwrap().starts_with("https://login.example.com/invite/acme/"));
}

#[tokio::test]
async fn ending_sessions_is_confirmed_by_every_gateway_and_on_record() {
    let deployment = Deployment::with_acme().await;
    let id = provision(&deployment, "ada", "ada@acme.com").await;
    let gateway = Gateway::serving(&deployment).await;

    let signed_out = gateway.apply_during(deployment.json("user revoke-sessions acme ada")).await;
    let by_password = gateway.apply_during(deployment.run("user login-method acme ada password")).await;

    assert_eq!((&signed_out["id"], &signed_out["receipt"]["confirmed"][0]["gateway"]), (&json!(id), &json!(gateway.id.as_str())));
    let head = deployment.store().head().await.unwrap();
    assert_eq!(head.seq, Seq(2));
    let rows = deployment.store().revocations_after(&head.generation, Seq(0)).await.unwrap().records;
    assert_eq!(rows[0].reason, "user.sessions_revoked");
    assert!(by_password.stdout.contains("out on 1 of 1 gateways in"), "{}", by_password.stdout);
    assert!(
        deployment
            .trail()
            .await
            .iter()
            .any(|record| record["action"] == "user.sessions_revoked" && record["target"] == json!(id))
    );
}

#[tokio::test]
async fn a_domain_is_added_once_and_verified_after() {
    let deployment = Deployment::with_acme().await;

    let (_, early) = deployment.refusal("domain verify acme acme.com --by-operator").await;
    let added = deployment.json("domain add acme ACME.com").await;
    let (_, twice) = deployment.refusal("domain add acme acme.com").await;
    let verified = deployment.json("domain verify acme acme.com --by-operator").await;

    assert_eq!((&early["code"], &twice["code"]), (&json!("domain_not_found"), &json!("domain_exists")));
    assert_eq!((&added["domain"], &added["verified"], &verified["verified"]), (&json!("acme.com"), &json!(false), &json!(true)));
}
