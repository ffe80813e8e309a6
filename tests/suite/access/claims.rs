//! Attributes reach the apps that ask for them, as the directory has them now.

use http::StatusCode;
use lockstep_tests::world::WORKSPACE;
use serde_json::{Value, json};

use super::{House, OPEN, payload};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[tokio::test(flavor = "multi_thread")]
async fn an_attribute_is_in_the_jwt_of_every_gateway_with_the_answer_that_changed_it() {
    let house = House::build().await;
    let (ada, cookie) = house.somebody("ada").await;
    let path = format!("/Users/{}", ada.id);
    let told = async |claim: &str| {
        let mut values: Vec<Value> = Vec::new();
        for gateway in 0..2 {
            let answer = house.ask(gateway, OPEN, &cookie).await;
            assert_eq!(answer.status, StatusCode::OK);
            values.push(payload(&answer).get(claim).cloned().unwrap_or_default());
        }
        assert_eq!(values[0], values[1], "{claim}");
        values.remove(0)
    };

    assert_eq!(
        (told("userType").await, told("department").await, told("first_name").await),
        (json!(null), json!(null), json!("ada"))
    );
    for kind in ["Premium", "Standard", "Premium"] {
        house.patch(&path, json!([{ "op": "Replace", "path": "userType", "value": kind }])).await;
        assert_eq!(told("userType").await, kind);
    }
    house.patch(&path, json!([{ "op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Research" }])).await;
    assert_eq!((told("department").await, told("directory").await), (json!("Research"), json!({ "department": "Research" })));
    house
        .patch(
            &path,
            json!([{ "op": "Remove", "path": "userType" }, { "op": "Remove", "path": format!("{ENTERPRISE}:department") }]),
        )
        .await;

    assert_eq!((told("userType").await, told("department").await), (json!(null), json!(null)));
}

const FOLDERS: &str = "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName:folders";

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_shows_what_the_schemas_of_today_show_and_no_more() {
    let house = House::build().await;
    let (ada, cookie) = house.somebody("ada").await;
    let schema = async |arguments: &[&str]| {
        let arguments = [&["schema"], arguments].concat();
        house.world.site.command(&arguments).await.unwrap();
    };
    let told = async || {
        let mut values: Vec<Value> = Vec::new();
        for gateway in 0..2 {
            let answer = house.ask(gateway, OPEN, &cookie).await;
            assert_eq!(answer.status, StatusCode::OK);
            values.push(payload(&answer).get("folders").cloned().unwrap_or_default());
        }
        let shown: Value = house.world.scim.get(&format!("/Users/{}", ada.id)).await.unwrap().json().unwrap();
        assert_eq!(values[0], shown[FOLDERS]["folders"], "as a GET shows it");
        assert_eq!(values[0], values[1]);
        values.remove(0)
    };
    let define = ["add", WORKSPACE, FOLDERS, "--attribute", "folders:string[]"];
    schema(&define).await;
    house
        .patch(&format!("/Users/{}", ada.id), json!([{ "op": "Add", "path": format!("{FOLDERS}:folders"), "value": ["a", "b"] }]))
        .await;
    assert_eq!(told().await, json!(["a", "b"]));

    schema(&["remove", WORKSPACE, FOLDERS]).await;
    assert_eq!(told().await, json!(null), "with the command's answer, on every gateway");
    let again = house.world.sign_in(&ada).await.unwrap();
    let answer = house.ask(0, OPEN, &house.world.cookie(&again).unwrap()).await;
    assert_eq!(payload(&answer).get("folders"), None, "nor does a new session have it");

    schema(&define).await;
    assert_eq!(told().await, json!(["a", "b"]), "nothing was lost");
    schema(&["add", WORKSPACE, FOLDERS, "--attribute", "folders:integer[]", "--replace"]).await;
    assert_eq!(told().await, json!(null), "what is text is no number");
}
