//! Enforcement: who may turn it on, when, and what it ends.

use lockstep_shared::model::workspace::Enforcement;
use serde_json::json;

use super::*;

async fn enforcement(deployment: &Deployment) -> Enforcement {
    deployment.store().workspace(&acme()).await.unwrap().unwrap().enforcement
}

#[tokio::test]
async fn the_plan_free_has_neither_enforcement_nor_scim() {
    let deployment = Deployment::migrated().await;
    deployment.json("workspace create acme --name Acme").await;

    for line in ["sso enforce acme", "sso enforce acme --force --reason x", "sso staged acme --percent 10", "scim enable acme"] {
        let (code, error) = deployment.refusal(line).await;
        assert_eq!((code, &error["code"]), (1, &json!("plan")), "{line}");
        assert_eq!(error["fix"], "run `lockstep workspace set acme --plan enterprise`");
    }
    assert_eq!(enforcement(&deployment).await, Enforcement::Off);
}

#[tokio::test]
async fn sso_is_not_enforced_while_nobody_could_sign_in() {
    let deployment = Deployment::with_acme().await;

    let (_, without) = deployment.refusal("sso enforce acme").await;
    let broken = Provider::start(json!({"code_challenge_methods_supported": ["plain"]})).await;
    deployment.connect(&broken).await;
    let (code, with_broken) = deployment.refusal("sso enforce acme").await;
    let (_, staged) = deployment.refusal("sso staged acme --percent 5").await;

    assert_eq!(without["code"], "no_working_connection");
    assert_eq!((code, &with_broken["code"]), (1, &json!("no_working_connection")));
    assert!(
        with_broken["message"].as_str().unwrap().contains("acme-generic: the provider does not offer the method S256"),
        "{with_broken}"
    );
    assert_eq!(staged["code"], "no_working_connection");
    assert_eq!(enforcement(&deployment).await, Enforcement::Off);
    broken.stop().await;
}

#[tokio::test]
async fn an_operator_may_insist_and_it_is_on_record_why() {
    let deployment = Deployment::with_acme().await;

    let forced = deployment.json("sso enforce acme --force --reason lost-laptop").await;

    assert_eq!((&forced["enforcement"], &forced["forced"]), (&json!("enforced"), &json!(true)));
    assert!(forced["warnings"][0].as_str().unwrap().contains("nobody can sign in"), "{forced}");
    let trail = deployment.trail().await;
    let change = trail.iter().find(|record| record["action"] == "sso.enforcement_changed").unwrap();
    assert_eq!(change["detail"]["forced_because"], "lost-laptop");
}

#[tokio::test]
async fn enforcing_ends_password_sessions_on_every_gateway_before_it_answers() {
    let deployment = Deployment::with_acme().await;
    let provider = Provider::start(json!({})).await;
    deployment.connect(&provider).await;
    let gateway = Gateway::serving(&deployment).await;

    let enforced = gateway.apply_during(deployment.json("sso enforce acme")).await;
    let off = deployment.json("sso off acme").await;

    assert_eq!((&enforced["enforcement"], &enforced["forced"]), (&json!("enforced"), &json!(false)));
    assert_eq!(enforced["receipt"]["confirmed"][0]["gateway"], gateway.id.as_str());
    assert_eq!(off["enforcement"], "off");
    provider.stop().await;
}

#[tokio::test]
async fn a_stage_names_people_groups_and_a_share() {
    let deployment = Deployment::with_acme().await;
    let provider = Provider::start(json!({})).await;
    deployment.connect(&provider).await;

    let staged = deployment.json("sso staged acme --user Ada@acme.com --user bob@acme.com --group Pilots --percent 25").await;

    assert_eq!(staged["stage"], json!({"users": ["ada@acme.com", "bob@acme.com"], "groups": ["pilots"], "percent": 25}));
    provider.stop().await;
}
