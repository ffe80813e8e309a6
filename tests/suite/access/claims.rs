//! Attributes reach the apps that ask for them, as the directory has them now.

use http::StatusCode;
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
