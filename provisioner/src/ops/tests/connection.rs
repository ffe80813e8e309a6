//! Connections: from draft to removal, their secrets, and the tests of their providers.

use lockstep_shared::id::ConnectionId;
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_connection_is_a_draft_with_a_redirect_uri_until_it_is_complete() {
    let deployment = Deployment::with_acme().await;
    let secret = deployment.write_secret("client.secret", "s3cret\n");

    let draft = deployment.json("connection add acme --preset okta").await;
    let half = deployment.json("connection set acme acme-okta --issuer https://acme.okta.com").await;
    let whole =
        deployment.json(&format!("connection set acme acme-okta --client-id lockstep --client-secret-file {secret}")).await;

    assert_eq!((&draft["id"], &draft["state"]), (&json!("acme-okta"), &json!("draft")));
    assert_eq!(draft["redirect_uri"], "https://login.example.com/callback/acme-okta");
    assert_eq!(half["state"], "draft");
    assert_eq!((&whole["state"], &whole["has_client_secret"]), (&json!("active"), &json!(true)));
    assert_eq!(whole["link"], "externalId=sub");
    let store = deployment.store();
    let stored = store.connection(&acme(), &ConnectionId::parse("acme-okta").unwrap()).await.unwrap().unwrap();
    assert_eq!(store.client_secret(&stored).unwrap().as_deref(), Some("s3cret"));
}

#[tokio::test]
async fn a_secret_is_never_printed() {
    let deployment = Deployment::with_acme().await;
    let secret = deployment.write_secret("client.secret", "s3cret-canary");
    let add =
        format!("connection add acme --preset okta --issuer https://a.okta.com --client-id c --client-secret-file {secret}");

    let mut printed = deployment.run(&add).await.stdout;
    for line in
        ["connection show acme", "connection show acme acme-okta --json", "workspace show acme --json", "audit export acme"]
    {
        printed += &deployment.run(line).await.stdout;
    }

    assert!(!printed.contains("s3cret-canary") && !printed.contains("sealed_secret") && !printed.contains("v1."), "{printed}");
}

#[tokio::test]
async fn a_draft_tells_what_to_give_to_the_provider_and_what_is_missing() {
    let deployment = Deployment::with_acme().await;

    let draft = deployment.run("connection add acme --preset entra").await;

    insta::assert_snapshot!(draft.stdout, @r"
    Connection acme-entra is added to workspace acme (draft).
      preset         entra
      state          draft
      issuer         -
      client id      -
      client secret  -
      link rule      externalId=oid
      redirect URI   https://login.example.com/callback/acme-entra
      Sign-On Link   https://login.example.com/sso/acme

    Warning: Entra: in the provisioning app's attribute mappings, map objectId to externalId; unless told otherwise Entra sends mailNickname there, and nobody's first sign-in finds their user

    Next:
      Give the redirect URI to your provider when you register the application there.
      Then: lockstep connection set acme acme-entra --issuer URL --client-id ID --client-secret-file FILE
    ");
}

#[tokio::test]
async fn google_has_one_issuer_for_everybody() {
    let deployment = Deployment::with_acme().await;

    assert_eq!(deployment.json("connection add acme --preset google").await["issuer"], "https://accounts.google.com");
}

#[tokio::test]
async fn an_id_is_taken_for_the_whole_deployment() {
    let deployment = Deployment::with_acme().await;
    deployment.json("workspace create other --name Other").await;
    deployment.json("connection add acme --preset okta --id front").await;

    let (code, error) = deployment.refusal("connection add other --preset okta --id front").await;

    assert_eq!((code, &error["code"]), (1, &json!("connection_exists")));
}

#[tokio::test]
async fn an_issuer_that_would_let_others_in_is_refused_before_anything_is_written() {
    let deployment = Deployment::with_acme().await;
    let shared = "https://login.microsoftonline.com/common/v2.0";

    for issuer in [shared, "http://idp.example", "https://10.0.0.1", "idp.example", "https://idp.example/?x=1"] {
        let (code, error) = deployment.refusal(&format!("connection add acme --preset entra --issuer {issuer}")).await;
        assert_eq!((code, &error["code"]), (1, &json!("issuer")), "{issuer}: {error}");
    }
    assert_eq!(deployment.json("connection show acme").await["connections"], json!([]));
}

#[tokio::test]
async fn a_disabled_connection_is_put_in_use_by_enable_alone() {
    let deployment = Deployment::with_acme().await;
    let provider = Provider::start(json!({})).await;
    deployment.connect(&provider).await;

    let disabled = deployment.json("connection disable acme acme-generic").await;
    let (code, error) = deployment.refusal("connection set acme acme-generic --link email").await;
    let enabled = deployment.json("connection set acme acme-generic --enable").await;

    assert_eq!(disabled["state"], "disabled");
    assert!(disabled["receipt"]["seq"].as_i64().unwrap() > 0);
    assert_eq!((code, &error["code"]), (1, &json!("connection_not_active")));
    assert_eq!((&enabled["state"], &enabled["link"]), (&json!("active"), &json!("externalId=sub")));
    provider.stop().await;
}

#[tokio::test]
async fn another_issuer_ends_the_sessions_made_through_the_old_one() {
    let deployment = Deployment::with_acme().await;
    let provider = Provider::start(json!({})).await;
    deployment.connect(&provider).await;
    let gateway = Gateway::serving(&deployment).await;

    let same = deployment.json("connection set acme acme-generic --link none").await;
    let moved = deployment.json("connection set acme acme-generic --issuer https://new.example");
    let moved = gateway.apply_during(moved).await;

    assert!(same.get("receipt").is_none());
    assert_eq!(moved["receipt"]["confirmed"].as_array().unwrap().len(), 1);
    provider.stop().await;
}

#[tokio::test]
async fn a_test_says_what_works_and_what_does_not() {
    let deployment = Deployment::with_acme().await;
    let provider = Provider::start(json!({})).await;
    deployment.connect(&provider).await;

    let good = deployment.json("connection test acme").await;
    provider.stop().await;
    let gone = deployment.run("connection test acme acme-generic --json").await;

    assert_eq!(good["ok"], true);
    let names: Vec<&str> = good["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["discovery", "issuer", "code flow", "PKCE", "signatures", "client secret", "keys"]);
    let printed: Value = serde_json::from_str(&gone.stdout).unwrap();
    assert_eq!((gone.code, &printed["ok"]), (1, &json!(false)));
    assert_eq!(printed["checks"][0]["name"], "discovery");
}

#[tokio::test]
async fn a_connection_that_is_removed_again_is_gone_everywhere_before_it_says_so() {
    let deployment = Deployment::with_acme().await;
    deployment.json("connection add acme --preset okta").await;
    let gateway = Gateway::serving(&deployment).await;
    let removed = gateway.apply_during(deployment.json("connection remove acme acme-okta")).await;
    // The log goes on, and this gateway has not heard of it yet.
    let store = deployment.store();
    let draft = lockstep_shared::model::revocation::Draft::end(
        &acme(),
        vec![lockstep_shared::model::revocation::Scope::Workspace],
        "test",
    );
    let appended = store.revoke(draft).await.unwrap();

    let again = deployment.refusal("connection remove acme acme-okta");
    tokio::pin!(again);
    let early = tokio::time::timeout(Duration::from_secs(1), &mut again).await;
    assert!(early.is_err(), "answered before the gateway had applied the log: {early:?}");
    let applied = gateway.apply().await;
    let (code, error) = again.await;

    assert_eq!(removed["state"], "removed");
    assert!(applied >= appended.through);
    assert_eq!((code, &error["code"]), (1, &json!("connection_not_found")));
}
