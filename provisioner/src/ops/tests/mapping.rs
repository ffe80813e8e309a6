//! Roles and teams by groups: what is set, what is shown, and where a person has theirs from.

use lockstep_shared::{
    id::GroupId,
    model::{
        audit::Actor,
        group::GroupProfile,
        user::{LoginMethod, Origin, Profile},
    },
    store::NewUser,
};
use serde_json::{Map, json};

use super::*;

/// A company with the groups Staff and Admins, whose only admin is ada, and she is staff too.
async fn company() -> (Deployment, GroupId, GroupId) {
    let deployment = Deployment::with_acme().await;
    let attributes = json!({ "userType": "Auditor", "roles": [{ "value": "Owner" }] });
    let profile =
        Profile { user_name: "ada".into(), external_id: None, active: true, attributes: attributes.as_object().unwrap().clone() };
    let new = NewUser { profile, origin: Origin::Provisioned, login_method: LoginMethod::Sso };
    let ada = deployment.store().create_user(&acme(), new, &Actor::system()).await.unwrap().id;
    let staff = group(&deployment, "Staff", vec![ada.to_string()]).await;
    let admins = group(&deployment, "Admins", vec![ada.to_string()]).await;
    (deployment, staff, admins)
}

async fn group(deployment: &Deployment, name: &str, members: Vec<String>) -> GroupId {
    let profile = GroupProfile { display_name: name.into(), external_id: None, attributes: Map::new() };
    deployment.store().create_group(&acme(), profile, members, &Actor::system()).await.unwrap().0.id
}

#[tokio::test]
async fn a_group_is_mapped_by_name_or_id_and_shown_with_its_members() {
    let (deployment, staff, admins) = company().await;

    deployment.json("mapping set acme --group staff --role User --team Everybody").await;
    deployment.json(&format!("mapping set acme --group {admins} --role Admin --role Auditor")).await;
    let again = deployment.json("mapping set acme --group Staff --role Guest").await;

    assert_eq!(
        again["groups"],
        json!([
            { "id": staff, "display_name": "Staff", "deleted": false, "members": 1, "roles": ["Guest"], "teams": [] },
            { "id": admins, "display_name": "Admins", "deleted": false, "members": 1, "roles": ["Admin", "Auditor"], "teams": [] },
        ])
    );
    let text = deployment.run("mapping list acme").await.stdout;
    assert!(text.contains("Admins  1        Admin, Auditor"), "{text}");
}

#[tokio::test]
async fn what_is_not_named_stays_as_it_is() {
    let (deployment, staff, _) = company().await;
    let mapping = async |line: &str| deployment.json(&format!("mapping set acme {line}")).await["mapping"].clone();

    mapping("--group Staff --role User").await;
    mapping("--default-role Guest --default-team Lobby").await;
    mapping("--precedence Owner,Admin,User").await;
    let full = mapping("--role-attribute roles --grants Owner,Admin").await;
    assert_eq!(
        full,
        json!({
            "v": 1,
            "default": { "roles": ["Guest"], "teams": ["Lobby"] },
            "rules": [{ "group": staff, "roles": ["User"], "teams": [] }],
            "precedence": ["Owner", "Admin", "User"],
            "role_attribute": { "path": "roles", "grants": ["Admin", "Owner"] },
        })
    );

    mapping("--no-default --no-precedence").await;
    let left = mapping("--no-role-attribute --remove-group Staff").await;

    assert_eq!(left, json!({ "v": 1, "default": { "roles": [], "teams": [] }, "rules": [], "precedence": [] }));
}

#[tokio::test]
async fn a_rule_outlives_its_group_gives_nothing_to_the_next_of_that_name_and_can_be_removed() {
    let (deployment, staff, _) = company().await;
    deployment.json("mapping set acme --group Staff --role User").await;
    drop(deployment.store().delete_group(&acme(), &staff, &Actor::system()).await.unwrap());
    group(&deployment, "Staff", Vec::new()).await;

    let listed = deployment.json("mapping list acme").await;
    let text = deployment.run("mapping list acme").await.stdout;
    let removed = deployment.json(&format!("mapping set acme --remove-group {staff}")).await;

    assert_eq!((&listed["groups"][0]["deleted"], &listed["groups"][0]["display_name"]), (&json!(true), &json!(null)));
    assert!(text.contains(&format!("{staff} (deleted)")), "{text}");
    assert_eq!(removed["groups"], json!([]));
}

#[tokio::test]
async fn a_file_keeps_the_rule_of_a_group_that_is_gone() {
    let (deployment, staff, _) = company().await;
    deployment.json("mapping set acme --group Staff --role User").await;
    drop(deployment.store().delete_group(&acme(), &staff, &Actor::system()).await.unwrap());
    let listed = deployment.json("mapping list acme").await;

    let file = deployment.write_secret("listed.json", &listed.to_string());
    let back = deployment.json(&format!("mapping set acme --file {file}")).await;

    assert_eq!(back["mapping"], listed["mapping"]);
}

#[tokio::test]
async fn to_remove_a_rule_that_is_not_there_is_warned_of() {
    let (deployment, ..) = company().await;
    deployment.json("mapping set acme --group Staff --role User").await;

    let other = deployment.json("mapping set acme --remove-group Admins").await;
    let right = deployment.json("mapping set acme --remove-group Staff").await;
    let again = deployment.json("mapping set acme --remove-group Staff").await;

    assert_eq!(other["warnings"], json!(["Admins gave nothing before: there was nothing to remove"]));
    assert_eq!(other["groups"].as_array().unwrap().len(), 1);
    assert_eq!((&right["warnings"], &right["groups"]), (&json!(null), &json!([])));
    assert_eq!(again["warnings"], json!(["Staff gave nothing before: there was nothing to remove"]));
}

#[tokio::test]
async fn a_whole_mapping_comes_from_a_file_as_it_was_listed_or_with_names() {
    let (deployment, staff, admins) = company().await;
    deployment.json("mapping set acme --group Staff --role User --precedence Admin,User").await;
    let listed = deployment.json("mapping list acme").await;
    deployment.json("mapping set acme --group Admins --role Admin --no-precedence").await;

    let as_listed = deployment.write_secret("listed.json", &listed.to_string());
    let back = deployment.json(&format!("mapping set acme --file {as_listed}")).await;
    let named = json!({ "rules": [{ "group": "Admins", "teams": ["Ops"] }] }).to_string();
    let by_name = deployment.json(&format!("mapping set acme --file {}", deployment.write_secret("named.json", &named))).await;

    assert_eq!(back["mapping"], listed["mapping"]);
    assert_eq!(by_name["mapping"]["rules"], json!([{ "group": admins, "roles": [], "teams": ["Ops"] }]));
    for (text, code) in [
        ("{", "mapping"),
        (r#"{"v":2,"rules":[]}"#, "mapping"),
        (r#"{"rules":[{"group":"Nobody","roles":["A"]}]}"#, "group_not_found"),
        (r#"{"rules":[{"group":"01900000-0000-7000-8000-000000000000","roles":["A"]}]}"#, "group_not_found"),
        (r#"{"rules":[{"group":"Staff"}]}"#, "mapping"),
        (&format!(r#"{{"rules":[{{"group":"Staff","roles":["A"]}},{{"group":"{staff}","roles":["B"]}}]}}"#), "mapping"),
    ] {
        let file = deployment.write_secret("bad.json", text);
        let (exit, error) = deployment.refusal(&format!("mapping set acme --file {file}")).await;
        assert_eq!((exit, &error["code"]), (1, &json!(code)), "{text}: {error}");
    }
    assert_eq!(deployment.json("mapping list acme").await["mapping"], by_name["mapping"], "a refusal changes nothing");
}

#[tokio::test]
async fn what_cannot_be_meant_is_a_usage_error_or_refused() {
    let (deployment, ..) = company().await;

    for line in [
        "mapping set acme",
        "mapping set acme --group Staff",
        "mapping set acme --role User",
        "mapping set acme --group Staff --role a,b",
        "mapping set acme --role-attribute roles",
        "mapping set acme --role-attribute emails[0] --grants A",
        "mapping set acme --grants A",
        "mapping set acme --default-role A --no-default",
        "mapping set acme --file x --no-default",
    ] {
        assert_eq!(deployment.run(line).await.code, 2, "{line}");
    }
    let (_, unknown) = deployment.refusal("mapping set acme --group Nobody --role User").await;
    let (_, twice) = deployment.refusal("mapping set acme --precedence A,B,A").await;
    let (_, nowhere) = deployment.refusal("mapping list nowhere").await;
    assert_eq!(
        (&unknown["code"], &twice["code"], &nowhere["code"]),
        (&json!("group_not_found"), &json!("mapping"), &json!("workspace_not_found"))
    );
}

#[tokio::test]
async fn a_mapping_is_in_force_on_every_gateway_before_the_command_answers() {
    let (deployment, ..) = company().await;
    let gateway = Gateway::serving(&deployment).await;

    let set = gateway.apply_during(deployment.json("mapping set acme --group Staff --role User")).await;
    let same = gateway.apply_during(deployment.json("mapping set acme --group Staff --role User")).await;

    assert_eq!(set["receipt"]["confirmed"][0]["gateway"], gateway.id.as_str());
    assert_eq!(same["receipt"]["seq"], set["receipt"]["seq"], "a repetition writes nothing and waits for the first");
    let changes = deployment.trail().await.into_iter().filter(|record| record["action"] == "mapping.changed").count();
    assert_eq!(changes, 1);
}

#[tokio::test]
async fn a_person_is_shown_with_what_each_group_gives_and_does_not() {
    let (deployment, ..) = company().await;

    let before = deployment.json("user show acme ada").await;
    deployment.json("mapping set acme --group Admins --role Admin --precedence Admin,Auditor").await;
    deployment.json("mapping set acme --role-attribute userType --grants Auditor").await;
    let after = deployment.json("user show acme ada").await;
    let text = deployment.run("user show acme ada").await.stdout;

    assert!(before["warnings"][0].as_str().unwrap().starts_with("none of these groups gives a role"), "{before}");
    assert_eq!((&before["roles"], &after["roles"]), (&json!([]), &json!(["Admin"])));
    let given: Vec<_> =
        after["access"].as_array().unwrap().iter().map(|a| (&a["from"], &a["mapped"], &a["gives"]["roles"])).collect();
    assert_eq!(
        given,
        [
            (&json!("group"), &json!(true), &json!(["Admin"])),
            (&json!("group"), &json!(false), &json!([])),
            (&json!("attribute"), &json!(true), &json!(["Auditor"])),
        ]
    );
    assert!(after["warnings"][0].as_str().unwrap().starts_with("a higher role takes the place of Auditor"), "{after}");
    assert!(text.contains("group Staff         (not mapped)"), "{text}");
}

#[tokio::test]
async fn an_attribute_that_gives_roles_has_to_be_one() {
    let (deployment, ..) = company().await;
    let urn = crate::scim::schema::ENTERPRISE_USER;

    let (exit, refusal) = deployment.refusal("mapping set acme --role-attribute rolez --grants User").await;
    let file = deployment
        .write_secret("m.json", &json!({ "rules": [], "role_attribute": { "path": "rolez", "grants": ["User"] } }).to_string());
    let (_, by_file) = deployment.refusal(&format!("mapping set acme --file {file}")).await;
    let listed = deployment.json("mapping list acme").await;
    let kept = deployment.json("mapping set acme --role-attribute DEPARTMENT --grants Sales").await;

    assert_eq!((exit, &refusal["code"], &by_file["code"]), (1, &json!("attribute_not_found"), &json!("attribute_not_found")));
    assert!(refusal["message"].as_str().unwrap().ends_with("the nearest is roles"), "{refusal}");
    assert_eq!(listed["mapping"].get("role_attribute"), None, "a refusal changes nothing");
    assert_eq!(kept["mapping"]["role_attribute"]["path"], format!("{urn}:department"), "as people's records have it");
}

#[tokio::test]
async fn an_attribute_that_cannot_give_a_role_is_refused_with_those_that_can() {
    let (deployment, ..) = company().await;
    let urn = crate::scim::schema::ENTERPRISE_USER;
    deployment.json("schema add acme urn:acme:x:1.0:Job --attribute level").await;
    deployment.json("schema add acme urn:acme:x:1.0:Metadata --free-form").await;
    deployment.json("mapping set acme --role-attribute userType --grants User").await;

    for path in ["groups", "groups.value", "active", "password", "name", "addresses", "id", "meta.created", "emails.primary"] {
        let (exit, refusal) = deployment.refusal(&format!("mapping set acme --role-attribute {path} --grants User")).await;

        assert_eq!((exit, &refusal["code"]), (1, &json!("attribute_gives_no_role")), "{path}: {refusal}");
        let (_, usable) = refusal["message"].as_str().unwrap().split_once("; what can: ").unwrap();
        let usable: Vec<&str> = usable.split(", ").collect();
        let department = format!("{urn}:department");
        for can in
            ["userType", "roles", "name.givenName", &department, "urn:acme:x:1.0:Job:level", "urn:acme:x:1.0:Metadata:NAME"]
        {
            assert!(usable.contains(&can), "{can}: {usable:?}");
        }
        for cannot in ["groups", "active", "password", "id", "schemas", "meta.version", "name", "addresses"] {
            assert!(!usable.contains(&cannot), "{cannot}: {usable:?}");
        }
    }
    let file =
        deployment.write_secret("m.json", r#"{ "rules": [], "role_attribute": { "path": "groups", "grants": ["User"] } }"#);
    let (_, by_file) = deployment.refusal(&format!("mapping set acme --file {file}")).await;
    let kept = deployment.json("mapping list acme").await;
    assert_eq!(
        (&by_file["code"], &kept["mapping"]["role_attribute"]["path"]),
        (&json!("attribute_gives_no_role"), &json!("userType"))
    );

    for path in
        ["roles", "roles.type", "entitlements", "userName", "externalId", "addresses.country", "urn:acme:x:1.0:Metadata:a.b"]
    {
        let set = deployment.json(&format!("mapping set acme --role-attribute {path} --grants User")).await;
        assert_eq!(set["mapping"]["role_attribute"]["path"], path);
    }
}

#[tokio::test]
async fn a_file_that_holds_no_mapping_of_this_workspace_changes_nothing() {
    let (deployment, staff, _) = company().await;
    deployment.json("workspace create other --name Other --plan enterprise").await;
    deployment.json("mapping set acme --group Staff --role User").await;
    let of_other = deployment.json("mapping list other").await.to_string();
    let before = deployment.json("mapping list acme").await;
    let apply = async |text: &str| {
        let file = deployment.write_secret("file.json", text);
        deployment.refusal(&format!("mapping set acme --file {file}")).await
    };

    let by_place = format!(r#"{{"rules":[["{staff}",["Admin"],[]]]}}"#);
    for text in [
        "[]",
        "[1]",
        "{}",
        "null",
        "7",
        r#"{"mapping":[]}"#,
        r#"{"mapping":{}}"#,
        r#"{"mapping":null}"#,
        r#"{"rules":{}}"#,
        r#"{"workspace":"acme"}"#,
        r#"[1,{"roles":[],"teams":[]},[],[]]"#,
        &by_place,
        r#"{"rules":[],"default":[["Admin"],[]]}"#,
        r#"{"rules":[],"role_attribute":["roles",["Admin"]]}"#,
        r#"{"rules":[],"rulez":[]}"#,
        &of_other,
        r#"{"workspace":7,"mapping":{"rules":[]}}"#,
        r#"{"workspace":"other","rules":[]}"#,
    ] {
        let (exit, refusal) = apply(text).await;
        assert_eq!((exit, &refusal["code"]), (1, &json!("mapping")), "{text}: {refusal}");
    }
    let (_, none) = apply("[]").await;
    let (_, other) = apply(&of_other).await;
    assert_eq!(deployment.json("mapping list acme").await, before, "a refusal changes nothing");

    assert!(none["message"].as_str().unwrap().contains("an object with the member rules"), "{none}");
    for part in ["of the workspace other", "to copy it on purpose, keep what its member mapping has"] {
        assert!(other["message"].as_str().unwrap().contains(part), "{other}");
    }
    let on_purpose = deployment.json("mapping list other").await["mapping"].to_string();
    let copied = deployment.json(&format!("mapping set acme --file {}", deployment.write_secret("c.json", &on_purpose))).await;
    assert_eq!(copied["mapping"]["rules"], json!([]));
}

#[tokio::test]
async fn a_schema_that_gives_roles_is_not_removed() {
    let (deployment, ..) = company().await;
    deployment.json("schema add acme urn:acme:x:1.0:Job --attribute level").await;
    deployment.json("schema add acme urn:acme:x:1.0:Jo --attribute level").await;
    deployment.json("mapping set acme --role-attribute urn:acme:x:1.0:Job:level --grants Admin").await;

    let (exit, refusal) = deployment.refusal("schema remove acme URN:acme:x:1.0:job").await;
    deployment.json("schema remove acme urn:acme:x:1.0:Jo").await;
    deployment.json("mapping set acme --no-role-attribute").await;
    let removed = deployment.json("schema remove acme urn:acme:x:1.0:Job").await;

    assert_eq!((exit, &refusal["code"]), (1, &json!("schema_in_use")));
    assert!(refusal["fix"].as_str().unwrap().contains("mapping set acme --no-role-attribute"), "{refusal}");
    assert_eq!(removed["schemas"], json!([]));
}

#[tokio::test]
async fn a_role_that_differs_in_case_or_that_no_app_asks_for_is_warned_of() {
    let (deployment, ..) = company().await;
    let config = std::fs::read_to_string(deployment.path("lockstep.toml")).unwrap();
    let warnings = async |line: &str| deployment.json(line).await["warnings"].clone();

    let alone = warnings("mapping set acme --group Staff --role User --precedence Admin,User").await;
    let beside = warnings("mapping set acme --group Admins --role admin").await;
    let apps = "[[apps]]\nhosts = [\"a.example.com\"]\nroles = [\"Admin\", \"USER\"]\n\
                [[apps]]\nhosts = [\"b.example.com\"]\nworkspaces = [\"other\"]\nroles = [\"User\"]\n";
    std::fs::write(deployment.path("lockstep.toml"), format!("{config}{apps}")).unwrap();
    let asked = warnings("mapping set acme --group Admins --role Admin").await;

    assert_eq!(alone, json!(null));
    assert_eq!(beside, json!(["the roles Admin and admin differ in case only, and roles are compared exactly"]));
    assert_eq!(
        asked,
        json!([
            "the roles USER and User differ in case only, and roles are compared exactly",
            "no app of the configuration asks for User: apps are told of it, but it opens none that asks for roles",
        ])
    );
}
