//! Links by an operator's word.

use lockstep_shared::{
    id::UserId,
    model::{
        audit::Actor,
        user::{LoginMethod, Origin, Profile},
    },
    store::NewUser,
};
use serde_json::{Map, json};

use super::*;

async fn somebody(deployment: &Deployment, name: &str) -> UserId {
    let profile = Profile { user_name: name.into(), external_id: None, active: true, attributes: Map::new() };
    let new = NewUser { profile, origin: Origin::Provisioned, login_method: LoginMethod::Sso };
    deployment.store().create_user(&acme(), new, &Actor::system()).await.unwrap().id
}

/// A deployment with the draft `acme-generic`, which has an issuer already.
async fn deployment() -> Deployment {
    let deployment = Deployment::with_acme().await;
    deployment.json("connection add acme --preset generic --issuer https://idp.example.com --link none").await;
    deployment
}

#[tokio::test]
async fn a_person_is_linked_and_shown_and_it_is_on_record() {
    let deployment = deployment().await;
    let ada = somebody(&deployment, "ada").await;

    let linked = deployment.json("user link acme ada acme-generic s-1").await;
    let again = deployment.json("user link acme ada acme-generic s-1").await;
    let shown = deployment.json("user show acme ada").await;

    assert_eq!(
        (&linked["id"], &linked["issuer"], &linked["linked"]),
        (&json!(ada), &json!("https://idp.example.com"), &json!(true))
    );
    assert!(linked["warnings"][0].as_str().unwrap().contains("is draft"), "{linked}");
    assert_eq!(again["linked"], false);
    assert_eq!((&shown["links"][0]["connection"], &shown["links"][0]["subject"]), (&json!("acme-generic"), &json!("s-1")));
    let trail = deployment.trail().await;
    let record: Vec<_> = trail.iter().filter(|record| record["action"] == "user.linked").collect();
    assert_eq!((record.len(), &record[0]["actor"]["kind"], &record[0]["target"]), (1, &json!("operator"), &json!(ada)));
    assert_eq!(record[0]["detail"]["subject"], "s-1");
}

#[tokio::test]
async fn nobodys_identity_is_taken_from_them() {
    let deployment = deployment().await;
    let (ada, _) = (somebody(&deployment, "ada").await, somebody(&deployment, "bob").await);
    deployment.json("user link acme ada acme-generic s-1").await;

    let (code, taken) = deployment.refusal("user link acme bob acme-generic s-1").await;
    let (_, other) = deployment.refusal("user link acme ada acme-generic s-2").await;
    let (_, unknown) = deployment.refusal("user link acme ada elsewhere s-2").await;
    deployment.json("connection add acme --preset okta").await;
    let (_, draft) = deployment.refusal("user link acme ada acme-okta s-2").await;

    assert_eq!((code, &taken["code"]), (1, &json!("identity_taken")));
    assert!(taken["fix"].as_str().unwrap().contains(&format!("user unlink acme {ada} acme-generic")), "{taken}");
    assert_eq!(other["code"], "user_linked");
    assert!(other["message"].as_str().unwrap().contains("'s-1'"), "{other}");
    assert_eq!((&unknown["code"], &draft["code"]), (&json!("connection_not_found"), &json!("connection_not_active")));
    for bad in ["user link acme ada acme-generic", &format!("user link acme ada acme-generic {}", "x".repeat(256))] {
        assert_eq!(deployment.run(bad).await.code, 2, "{bad}");
    }
}

#[tokio::test]
async fn an_identity_of_somebody_deleted_is_handed_on_by_saying_so() {
    let deployment = deployment().await;
    let (ada, heir) = (somebody(&deployment, "ada").await, somebody(&deployment, "heir").await);
    deployment.json("user link acme ada acme-generic s-1").await;
    deployment.store().delete_user(&acme(), &ada, &Actor::system()).await.unwrap();

    let (code, refused) = deployment.refusal("user link acme heir acme-generic s-1").await;
    let said = deployment.json("user link acme heir acme-generic s-1 --hand-on").await;

    assert_eq!((code, &refused["code"], &said["linked"]), (1, &json!("identity_of_deleted_user"), &json!(true)));
    assert!(refused["message"].as_str().unwrap().contains(ada.as_str()), "{refused}");
    assert!(refused["fix"].as_str().unwrap().contains("--hand-on"), "{refused}");
    let trail = deployment.trail().await;
    let handed = trail.iter().find(|record| record["action"] == "user.identity_handed_on").unwrap();
    assert_eq!((&handed["target"], &handed["detail"]["from"]), (&json!(heir), &json!(ada)));
}

#[tokio::test]
async fn an_end_of_a_link_is_confirmed_by_every_gateway() {
    let deployment = deployment().await;
    somebody(&deployment, "ada").await;
    deployment.json("user link acme ada acme-generic s-1").await;
    let gateway = Gateway::serving(&deployment).await;

    let unlinked = gateway.apply_during(deployment.json("user unlink acme ada acme-generic")).await;
    let again = gateway.apply_during(deployment.json("user unlink acme ada acme-generic")).await;

    assert_eq!(unlinked["unlinked"]["subject"], "s-1");
    assert_eq!(unlinked["receipt"]["confirmed"][0]["gateway"], gateway.id.as_str());
    assert_eq!(again["unlinked"], json!(null));
    let head = deployment.store().head().await.unwrap();
    let rows = deployment.store().revocations_after(&head.generation, Seq(0)).await.unwrap().records;
    assert_eq!(rows.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["user.unlinked"]);
}
