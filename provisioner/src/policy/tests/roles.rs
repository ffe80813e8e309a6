//! One role, told in each way that Entra has (`SingleAppRoleAssignment`, `AppRoleAssignmentsComplex`, `AssertiveAppRoleAssignmentsComplex`).

use super::*;

fn ruled() -> Policy {
    with_rules(&json!({ "attributes": [{ "path": "roles", "allowed": ["ReadOnly", "User", "Admin", "EnterpriseAdmin"] }] }))
}

fn packed(role: &str) -> Value {
    json!(format!("{{\"id\":\"06b0\",\"value\":\"{role}\",\"displayName\":\"{role}\"}}"))
}

/// What products look at: which roles there are.
fn roles(document: &Document) -> Vec<&str> {
    document.get("roles").and_then(Value::as_array).into_iter().flatten().filter_map(|role| role["value"].as_str()).collect()
}

/// Each way to make somebody an administrator.
fn ways() -> Vec<Value> {
    vec![
        json!([{ "op": "Add", "path": "roles[primary eq \"True\"].value", "value": "Admin" }]),
        json!([{ "op": "Add", "path": "roles", "value": [{ "value": packed("Admin") }] }]),
        json!([{ "op": "Add", "path": "roles", "value": packed("Admin") }]),
        json!([{ "op": "replace", "path": "roles", "value": [{ "display": "Admin", "value": "Admin", "type": "WindowsAADRole", "primary": "False" }] }]),
        json!([{ "op": "replace", "value": { "roles[primary eq \"True\"].value": "Admin" } }]),
        json!([{ "op": "Add", "path": "roles", "value": ["Admin"] }]),
    ]
}

#[test]
fn each_way_gives_the_same_role_once_whichever_came_before() {
    let policy = ruled();
    let bare = create(&policy, json!({ "userName": "jo", "roles": [] })).unwrap().document;
    for first in ways() {
        let once = change(&policy, &bare, first.clone()).unwrap();
        assert_eq!(roles(&once), ["Admin"], "{first}");
        for second in ways() {
            let twice = change(&policy, &once, second.clone()).unwrap();

            assert_eq!(roles(&twice), ["Admin"], "{first}, then {second}");
        }
    }
    for body in [
        json!([{ "primary": "True", "value": "Admin" }]),
        json!([{ "value": packed("Admin") }]),
        json!([{ "display": "Admin", "value": "Admin", "type": "WindowsAADRole", "primary": false }]),
        json!("Admin"),
        json!([packed("Admin"), { "value": "Admin", "primary": true }]),
    ] {
        assert_eq!(roles(&create(&policy, json!({ "userName": "jo", "roles": body })).unwrap().document), ["Admin"], "{body}");
    }
}

#[test]
fn a_role_that_is_told_twice_keeps_all_that_was_said_of_it() {
    let policy = ruled();
    let single = create(&policy, json!({ "userName": "jo", "roles": [{ "primary": true, "value": "Admin" }] })).unwrap().document;

    let both =
        change(&policy, &single, json!([{ "op": "Add", "path": "roles", "value": [{ "value": packed("Admin") }, "User"] }]))
            .unwrap();

    assert_eq!(both["roles"], json!([{ "primary": true, "value": "Admin", "display": "Admin" }, { "value": "User" }]));
}

#[test]
fn a_role_that_is_not_allowed_is_refused_in_each_way() {
    let policy = ruled();
    let bare = create(&policy, json!({ "userName": "jo" })).unwrap().document;
    for way in ways() {
        let text = way.to_string().replace("Admin", "admin");
        let refused = change(&policy, &bare, serde_json::from_str::<Value>(&text).unwrap());

        assert_eq!(
            refused,
            Err(ScimError::InvalidValue(
                "roles is \"admin\"; allowed here are ReadOnly, User, Admin, EnterpriseAdmin: change the mapping at your identity provider"
                    .into()
            )),
            "{text}"
        );
    }
}

#[test]
fn a_new_single_role_takes_the_place_of_the_old_one() {
    let policy = ruled();
    let user = create(&policy, json!({ "userName": "jo", "roles": [{ "primary": true, "value": "User" }] })).unwrap().document;

    let promoted =
        change(&policy, &user, json!([{ "op": "Replace", "path": "roles[primary eq \"True\"].value", "value": "Admin" }]));

    assert_eq!(roles(&promoted.unwrap()), ["Admin"]);
}
