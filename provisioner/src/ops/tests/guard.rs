//! The mass-change guard and adoption, as operators order them.

use std::convert::Infallible;

use lockstep_shared::{
    id::UserId,
    model::{
        audit::Actor,
        user::{Profile, User},
    },
    store::{EditError, Mailing, StoreError},
};
use serde_json::json;

use super::*;

/// Deactivates somebody as the provider does; `false`: it is held.
async fn deactivate(deployment: &Deployment, id: &UserId) -> bool {
    let (store, provider) = (deployment.store(), Actor::provider(&"a credential"));
    let edit = |user: &User| Ok::<_, Infallible>(Profile { active: false, ..user.profile.clone() });
    match store.update_user(&acme(), id, &provider, edit).await {
        Ok(_) => true,
        Err(EditError::Store(StoreError::Held(excess))) => {
            assert!(store.note_held(&acme(), &provider, &excess, Mailing::On).await.is_ok());
            false
        }
        Err(error) => panic!("{error:?}"),
    }
}

async fn provisioned(deployment: &Deployment, name: &str) -> UserId {
    let id = deployment.json(&format!("user invite acme {name}@acme.com")).await["id"].as_str().unwrap().to_owned();
    deployment.json(&format!("user adopt acme {id}")).await;
    UserId::parse(&id).unwrap()
}

#[tokio::test]
async fn the_guard_is_on_and_says_what_passes() {
    let deployment = Deployment::with_acme().await;

    let shown = deployment.json("scim guard acme").await;
    let set = deployment.json("scim guard acme --max 7").await;
    let more = deployment.json("scim guard acme --percent 0").await;

    let guard = |max: u32, percent: u8| json!({ "workspace": "acme", "on": true, "max": max, "percent": percent, "departed": 0, "approved_until": null, "held": null, "mail": { "on": false, "recipients": 0, "newest": { "at": null, "notices": {} } } });
    assert_eq!((shown, set, more), (guard(500, 20), guard(7, 20), guard(7, 0)));
    let actions = deployment.trail().await;
    assert_eq!(actions.iter().filter(|record| record["action"] == "guard.set").count(), 2);
}

#[tokio::test]
async fn what_is_held_is_shown_with_the_way_out_and_passes_after_an_approval() {
    let deployment = Deployment::with_acme().await;
    let people = [provisioned(&deployment, "ada").await, provisioned(&deployment, "bob").await];
    deployment.json("scim guard acme --max 1 --percent 0").await;
    assert!(deactivate(&deployment, &people[0]).await && !deactivate(&deployment, &people[1]).await);

    let held = deployment.run("scim guard acme").await.stdout;
    let shown = deployment.run("scim show acme").await.stdout;
    let approved = deployment.json("scim guard acme approve --for 2h").await;

    assert!(shown.contains("on, and something is HELD"), "{shown}");
    assert!(held.contains("HOLDS") && held.contains("lockstep scim guard acme approve"), "{held}");
    assert_eq!((&approved["approved_until"], &approved["held"]), (&json!("2026-01-01T02:00:00.000Z"), &json!(null)));
    assert!(deactivate(&deployment, &people[1]).await);
    deployment.clock.advance(Duration::from_hours(2));
    assert_eq!(deployment.json("scim guard acme").await["approved_until"], json!(null));
}

#[tokio::test]
async fn off_stays_off_until_limits_are_set() {
    let deployment = Deployment::with_acme().await;

    let off = deployment.json("scim guard acme --max 9 off").await;
    let shown = deployment.run("scim guard acme").await.stdout;
    let on = deployment.json("scim guard acme --percent 30").await;

    assert_eq!((&off["on"], &off["max"], &on["on"], &on["max"]), (&json!(false), &json!(9), &json!(true), &json!(9)));
    assert!(shown.starts_with("The mass-change guard of workspace acme is off."), "{shown}");
}

#[tokio::test]
async fn on_keeps_the_limits_and_takes_an_approval_back() {
    let deployment = Deployment::with_acme().await;
    let people = [provisioned(&deployment, "ada").await, provisioned(&deployment, "bob").await];
    deployment.json("scim guard acme --max 1 --percent 0 off").await;

    let on = deployment.json("scim guard acme on").await;
    assert!(deactivate(&deployment, &people[0]).await && !deactivate(&deployment, &people[1]).await);
    deployment.json("scim guard acme approve").await;
    let again = deployment.json("scim guard acme on").await;

    assert_eq!((&on["on"], &on["max"], &on["percent"]), (&json!(true), &json!(1), &json!(0)));
    assert_eq!((&again["on"], &again["approved_until"]), (&json!(true), &json!(null)));
    assert!(!deactivate(&deployment, &people[1]).await, "the approval is taken back");
    assert!(deployment.trail().await.iter().any(|record| record["action"] == "guard.switched_on"));
}

#[tokio::test]
async fn limits_that_would_hold_a_single_leaver_are_no_limits() {
    let deployment = Deployment::with_acme().await;

    for line in [
        "scim guard acme --max 0",
        "scim guard acme --max -1",
        "scim guard acme --percent 101",
        "scim guard acme approve --for 0s",
        "scim guard acme approve --for 31d",
        "scim guard acme off --for 1h",
        "scim guard",
    ] {
        assert_eq!(deployment.run(line).await.code, 2, "{line}");
    }
    let (code, unknown) = deployment.refusal("scim guard nowhere").await;
    assert_eq!((code, &unknown["code"]), (1, &json!("workspace_not_found")));
}

#[tokio::test]
async fn adopting_somebody_says_what_becomes_of_their_password() {
    let deployment = Deployment::with_acme().await;
    deployment.json("user invite acme guest@partner.example").await;

    let adopted = deployment.json("user adopt acme guest@partner.example").await;
    let again = deployment.run("user adopt acme guest@partner.example").await.stdout;
    let shown = deployment.run("user show acme guest@partner.example").await.stdout;

    assert_eq!((&adopted["origin"], &adopted["login_method"]), (&json!("provisioned"), &json!("password")));
    assert_eq!(adopted["adoption"]["waits_for_connection"], json!(true));
    assert!(adopted["warnings"][0].as_str().unwrap().contains("no connection in use"), "{adopted}");
    assert!(again.contains("belonged to the directory already"), "{again}");
    assert!(shown.contains("provisioned: invited, and adopted at 2026-01-01T00:00:00.000Z by the operator"), "{shown}");
    let (_, unknown) = deployment.refusal("user adopt acme nobody").await;
    assert_eq!(unknown["code"], json!("user_not_found"));
}
