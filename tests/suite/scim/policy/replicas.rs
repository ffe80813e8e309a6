//! A change of what a workspace asks for is in force on every provisioner with the next request.

use lockstep_tests::harness::{
    postgres::{Database, Postgres},
    scim::Scim,
};
use serde_json::json;

use super::{FOLDERS, USER, body, patch, refusal};
use crate::scim::Installation;

/// Two provisioners on one database, each of which has read the policy before it changes.
async fn each_next_request_knows(mut installation: Installation) {
    let id = "acme";
    let first = installation.workspace(id).await;
    let second = installation.site.provisioner().await.unwrap();
    let other = Scim::new(format!("{}/scim/v2/{id}", second.url()), first.token()).unwrap();
    let person = format!(
        "/Users/{}",
        lockstep_tests::world::text(
            &body(first.post("/Users", &json!({ "schemas": [USER], "userName": "jo" })).await, 201),
            "id"
        )
    );
    let typed = |kind: &str| patch(&json!([{ "op": "replace", "path": "userType", "value": kind }]));

    for round in 0..3 {
        for scim in [&first, &other] {
            body(scim.patch(&person, &typed("Gold")).await, 200);
        }
        installation.command(&["attribute", "set", id, "userType", "--allow", "Premium"]).await;
        for scim in [&other, &first] {
            refusal(scim.patch(&person, &typed(&format!("Other-{round}"))).await, 400, "invalidValue");
        }
        installation.command(&["attribute", "set", id, "userType", "--unset"]).await;
        installation.command(&["schema", "add", id, FOLDERS, "--attribute", "folders:string[]"]).await;
        for scim in [&other, &first] {
            assert_eq!(scim.get(&format!("/Schemas/{FOLDERS}")).await.unwrap().status, 200);
        }
        installation.command(&["scim", "set", id, "--profile", "strict"]).await;
        for scim in [&other, &first] {
            refusal(scim.find("/Users", "userName eq jo").await, 400, "invalidFilter");
        }
        installation.command(&["schema", "remove", id, FOLDERS]).await;
        installation.command(&["scim", "set", id, "--profile", "lenient"]).await;
        for scim in [&other, &first] {
            assert_eq!(scim.get(&format!("/Schemas/{FOLDERS}")).await.unwrap().status, 404);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_in_force_on_every_replica_on_sqlite() {
    each_next_request_knows(Installation::on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_in_force_on_every_replica_on_postgres() {
    let database: Database = Postgres::shared().await.unwrap().database().await.unwrap();
    each_next_request_knows(Installation::on_postgres(&database).await).await;
}
