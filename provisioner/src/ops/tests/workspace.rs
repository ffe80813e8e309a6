//! Workspaces, receipts, the audit trail and migrations.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_new_workspace_has_its_addresses_and_invites_its_admin() {
    let deployment = Deployment::migrated().await;

    let created = deployment.json("workspace create acme --name Acme --plan enterprise --admin ada@acme.com").await;

    assert_eq!(created["id"], "acme");
    assert_eq!(created["plan"], "enterprise");
    assert_eq!(created["sign_on_url"], "https://login.example.com/sso/acme");
    assert_eq!(created["scim_base_url"], "https://scim.example.com/scim/v2/acme");
    let token = created["setup_url"].as_str().unwrap().strip_prefix("https://login.example.com/invite/acme/").unwrap().to_owned();
    let invited = deployment.store().invited_user(&acme(), &token).await.unwrap().unwrap();
    assert_eq!(invited.profile.user_name, "ada@acme.com");
    deployment.clock.advance(Duration::from_hours(72));
    assert_eq!(deployment.store().invited_user(&acme(), &token).await.unwrap(), None);
}

#[tokio::test]
async fn text_for_people_says_what_comes_next() {
    let deployment = Deployment::migrated().await;

    let created = deployment.run("workspace create acme --name Acme --plan enterprise").await;

    insta::assert_snapshot!(created.stdout, @r"
    Workspace acme is created.
      name             Acme
      plan             enterprise
      state            active
      SSO enforcement  off
      SCIM             disabled
      Sign-On Link     https://login.example.com/sso/acme
      SCIM base URL    https://scim.example.com/scim/v2/acme

    Next:
      Register the company's provider: lockstep connection add acme --preset PRESET
    ");
}

#[tokio::test]
async fn a_workspace_shows_what_it_holds() {
    let deployment = Deployment::with_acme().await;
    deployment.json("connection add acme --preset okta").await;
    deployment.json("domain add acme Acme.com").await;
    deployment.json("domain verify acme acme.com --by-operator").await;
    deployment.json("user invite acme ada@acme.com").await;

    let shown = deployment.json("workspace show acme").await;

    assert_eq!(shown["connections"][0]["id"], "acme-okta");
    assert_eq!(shown["domains"][0], json!({"domain": "acme.com", "verified": true, "verified_at": "2026-01-01T00:00:00.000Z"}));
    assert_eq!(shown["users"], 1);
}

#[tokio::test]
async fn name_and_plan_change_and_a_smaller_plan_warns() {
    let deployment = Deployment::with_acme().await;
    deployment.json("scim enable acme").await;

    let renamed = deployment.json("workspace set acme --name ACME").await;
    let smaller = deployment.json("workspace set acme --plan free").await;

    assert_eq!((&renamed["name"], &renamed["plan"]), (&json!("ACME"), &json!("enterprise")));
    assert_eq!(smaller["plan"], "free");
    assert!(smaller["warnings"][0].as_str().unwrap().contains("SCIM"), "{smaller}");
}

#[tokio::test]
async fn suspending_waits_for_the_gateway_and_leaves_a_receipt() {
    let deployment = Deployment::with_acme().await;
    let gateway = Gateway::serving(&deployment).await;

    let suspended = gateway.apply_during(deployment.json("workspace suspend acme")).await;
    let receipt = deployment.json("receipt show acme").await;
    let by_number = deployment.json(&format!("receipt show acme {}", receipt["seq"])).await;

    assert_eq!(suspended["state"], "suspended");
    assert_eq!(suspended["receipt"]["confirmed"][0]["gateway"], gateway.id.as_str());
    assert_eq!((&receipt["seq"], &receipt["confirmed"]), (&suspended["receipt"]["seq"], &suspended["receipt"]["confirmed"]));
    assert_eq!(by_number, receipt);
    assert_eq!(deployment.json("workspace resume acme").await["state"], "active");
}

#[tokio::test]
async fn an_export_has_every_record_on_a_line_oldest_first() {
    let deployment = Deployment::with_acme().await;
    deployment.json("scim enable acme").await;

    let trail = deployment.trail().await;

    let actions: Vec<&str> = trail.iter().map(|record| record["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["workspace.created", "scim.enabled"]);
    assert_eq!(trail[0]["actor"]["kind"], "operator");
    assert_eq!(trail[0]["at"], "2026-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn migrating_twice_changes_nothing_and_a_new_generation_is_new() {
    let deployment = Deployment::empty();

    let first = deployment.json("migrate").await;
    let second = deployment.json("migrate").await;
    let renewed = deployment.json("migrate --new-generation").await;

    assert_eq!((&first["migrated"], &second["migrated"]), (&json!(true), &json!(false)));
    assert_eq!(first["generation"], second["generation"]);
    assert_ne!(second["generation"], renewed["generation"]);
}

#[tokio::test]
async fn a_running_program_lends_its_parts_and_keeps_them() {
    let deployment = Deployment::with_acme().await;
    let stop = CancellationToken::new();
    let config = Arc::new(deployment.config());
    let schema = lockstep_shared::runtime::Schema::Await;
    let runtime = lockstep_shared::runtime::Runtime::open(config, deployment.clock.clone(), schema, stop).await.unwrap();
    let context = Context::within(Program::Standalone, runtime.clone());

    let cli = Cli::try_parse_from(["lockstep", "workspace", "suspend", "acme"]).unwrap();
    let output = run(cli.command, &context).await.unwrap();
    context.close().await;

    assert_eq!(output.json()["state"], "suspended");
    assert!(!runtime.stop.is_cancelled());
    assert!(runtime.store.ping().await.is_ok());
    runtime.close().await;
}
