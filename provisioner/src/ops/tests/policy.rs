//! What a workspace asks of its provider: schemas, rules, profile.

use lockstep_shared::{
    model::{
        audit::Actor,
        revocation::{RevocationKind, Scope},
        user::{LoginMethod, Origin, Profile},
    },
    store::NewUser,
};

use super::*;

const FOLDERS: &str = "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName";
const METADATA: &str = "urn:ietf:params:scim:schemas:extension:2.0:Metadata";

impl Deployment {
    async fn person(&self, name: &str, active: bool, attributes: Value) {
        let profile =
            Profile { user_name: name.into(), external_id: None, active, attributes: attributes.as_object().unwrap().clone() };
        let new = NewUser { profile, origin: Origin::Provisioned, login_method: LoginMethod::Sso };
        self.store().create_user(&acme(), new, &Actor::system()).await.unwrap();
    }

    async fn last_change(&self) -> (String, Value) {
        let last = self.trail().await.pop().unwrap();
        (last["action"].as_str().unwrap().to_owned(), last["detail"].clone())
    }
}

#[tokio::test]
async fn schemas_are_defined_by_words_and_by_files_listed_and_removed() {
    let deployment = Deployment::with_acme().await;

    let by_words =
        deployment.json(&format!("schema add acme {FOLDERS} --attribute folders:string[] --attribute badge:integer")).await;
    let free = deployment.json(&format!("schema add acme {METADATA}:{{key}}")).await;
    let shown = by_words["schemas"][0]["schema"].clone();
    let file = deployment
        .write_secret("schema.json", &json!([{ "id": "urn:acme:x:1.0:Seat", "attributes": [{ "name": "seat" }] }]).to_string());
    let by_file = deployment.json(&format!("schema add acme --file {file} --resource User --resource Group")).await;

    assert_eq!((&shown["id"], &shown["name"]), (&json!(FOLDERS), &json!("CustomExtensionName")));
    assert_eq!((&shown["attributes"][0]["multiValued"], &shown["attributes"][1]["type"]), (&json!(true), &json!("integer")));
    assert_eq!(
        (&free["schemas"][1]["schema"]["id"], &free["schemas"][1]["schema"]["freeForm"]),
        (&json!(METADATA), &json!(true))
    );
    let resources: Vec<&str> =
        by_file["schemas"].as_array().unwrap().iter().map(|one| one["resource"].as_str().unwrap()).collect();
    assert_eq!(resources, ["User", "User", "User", "Group"]);
    let removed = deployment.json("schema remove acme urn:acme:x:1.0:seat").await;
    assert_eq!(removed["schemas"].as_array().unwrap().len(), 2);
    assert!(removed["warnings"][0].as_str().unwrap().contains("kept"));
    let listed = deployment.run("schema list acme").await.stdout;
    assert!(listed.contains("folders:string[], badge:integer") && listed.contains("any name, as text"), "{listed}");
}

#[tokio::test]
async fn a_change_is_audited_with_what_was_there_and_what_is() {
    let deployment = Deployment::with_acme().await;

    deployment.json("attribute set acme userType --allow Premium,Standard").await;
    deployment.json("attribute set acme UserType --default Standard").await;
    let (action, detail) = deployment.last_change().await;
    deployment.json("attribute set acme userType --default Standard").await;
    deployment.json("scim set acme --profile strict").await;
    deployment.json("scim set acme --profile strict").await;

    assert_eq!(action, "scim.attribute_set");
    assert_eq!(detail["before"]["UserType"]["default"], Value::Null);
    assert_eq!(detail["after"]["UserType"]["default"], "Standard");
    assert_eq!(detail["after"]["UserType"]["allowed"], json!(["Premium", "Standard"]));
    let trail = deployment.trail().await;
    let actions: Vec<&str> = trail.iter().map(|record| record["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        ["workspace.created", "scim.attribute_set", "scim.attribute_set", "scim.profile_set"],
        "what was so already is no change"
    );
    assert_eq!(
        trail[3]["detail"],
        json!({ "target": "profile", "before": { "profile": "lenient" }, "after": { "profile": "strict" } })
    );
}

#[tokio::test]
async fn a_rule_tells_how_many_people_break_it_now() {
    let deployment = Deployment::with_acme().await;
    for (name, active, kind) in [("a", true, "Premium"), ("b", true, "premium"), ("c", false, "gold"), ("d", true, "gold")] {
        deployment.person(name, active, json!({ "userType": kind })).await;
    }

    let set = deployment.json("attribute set acme userType --allow Premium,Standard").await;
    let named = deployment.json("attribute set acme --user-name-is-email").await;
    let listed = deployment.json("attribute list acme --violations").await;
    let off = deployment.json("attribute set acme userType --unset").await;

    assert_eq!(
        (&set["violations"]["looked_at"], &set["violations"]["broken"]),
        (&json!(3), &json!(2)),
        "who is out breaks nothing"
    );
    assert!(set["warnings"][0].as_str().unwrap().starts_with("2 of 3 users with access break a rule now"), "{set}");
    assert_eq!((&named["violations"]["broken"], &named["user_name_is_email"]), (&json!(3), &json!(true)));
    let rules = &listed["violations"]["users"]["rules"];
    assert_eq!((&rules[0]["path"], &rules[1]["path"], &rules[1]["count"]), (&json!("userName"), &json!("userType"), &json!(2)));
    assert!(rules[1]["examples"][0]["sentence"].as_str().unwrap().contains("allowed here are Premium, Standard"));
    assert_eq!(off["users"], json!([]));
}

#[tokio::test]
async fn several_attributes_are_set_together_or_not_at_all() {
    let deployment = Deployment::with_acme().await;

    let (code, error) = deployment.refusal("attribute set acme name.givenName shoeSize --required").await;
    assert_eq!((code, &error["code"]), (1, &json!("attribute_not_found")));
    assert_eq!(deployment.json("attribute list acme").await["users"], json!([]));

    let set = deployment.json("attribute set acme name.givenName name.familyName emails --required").await;
    let paths: Vec<&str> = set["users"].as_array().unwrap().iter().map(|rule| rule["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["emails", "name.familyName", "name.givenName"]);
    assert!(set.get("warnings").is_none());
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_a_way_out() {
    let deployment = Deployment::with_acme().await;
    deployment.json(&format!("schema add acme {FOLDERS} --attribute folders:string[]")).await;
    deployment.json(&format!("attribute set acme {FOLDERS}:folders --required")).await;
    let misspelt = deployment.write_secret("misspelt.json", r#"{"id":"urn:x:y","attributes":[{"name":"a","multivalued":true}]}"#);
    let absent = deployment.path("absent.json").display().to_string();

    for (line, code, word) in [
        (format!("schema add acme {FOLDERS} --attribute folders"), "schema_exists", "--replace"),
        (format!("schema add acme {FOLDERS}:folders --attribute names"), "schema_invalid", "schema remove acme"),
        ("schema add acme acme-schema --attribute a".to_owned(), "schema_invalid", "RFC 7643"),
        ("schema add acme urn:x:y".to_owned(), "schema_invalid", "--free-form"),
        (format!("schema add acme --file {misspelt}"), "schema_file", "schema list"),
        (format!("schema add acme --file {absent}"), "schema_file", "schema list"),
        (format!("schema remove acme {FOLDERS}"), "schema_in_use", "--unset"),
        ("schema remove acme urn:x:y".to_owned(), "schema_not_found", "schema list"),
        ("attribute set acme active --allow yes".to_owned(), "rule_invalid", "--allow"),
        ("attribute set acme id --required".to_owned(), "rule_invalid", "another attribute"),
        ("attribute set acme externalId --default 1".to_owned(), "rule_invalid", "--default"),
        ("attribute set acme userType --allow A --default B".to_owned(), "rule_invalid", "--no-default"),
        ("scim show nowhere".to_owned(), "workspace_not_found", "workspace create"),
    ] {
        let (exit, error) = deployment.refusal(&line).await;

        assert_eq!((exit, &error["code"]), (1, &json!(code)), "{line}: {error}");
        assert!(error["fix"].as_str().unwrap().contains(word), "{line}: {error}");
    }
    for line in [
        "schema add acme urn:x:y --attribute a:text",
        "schema add acme --attribute a",
        "attribute set acme userType",
        "attribute set acme --required",
        "attribute set acme userType --required --optional",
        "attribute set acme userType --user-name-is-email",
        "scim set acme --profile odd",
    ] {
        assert_eq!(deployment.run(line).await.code, 2, "{line}");
    }
}

#[tokio::test]
async fn scim_show_tells_everything_in_one_place() {
    let deployment = Deployment::with_acme().await;
    deployment.json("scim enable acme").await;
    deployment.json("token issue acme").await;
    deployment.json(&format!("schema add acme {METADATA} --free-form")).await;
    deployment.json("attribute set acme roles --allow ReadOnly,User,Admin,EnterpriseAdmin").await;

    let shown = deployment.json("scim show acme").await;

    assert_eq!(shown["scim_base_url"], "https://scim.example.com/scim/v2/acme");
    assert_eq!((&shown["scim_enabled"], &shown["profile"]), (&json!(true), &json!("lenient")));
    assert_eq!(shown["live_credentials"]["tokens"], 1);
    assert_eq!(shown["schemas"][0]["schema"]["id"], METADATA);
    assert_eq!(shown["rules"]["users"][0]["path"], "roles");
    assert_eq!(shown["guard"]["on"], true);
    let text = deployment.run("scim show acme").await.stdout;
    assert!(text.contains(METADATA) && text.contains("mass-change guard"), "{text}");
}

#[tokio::test]
async fn what_apps_see_by_another_schema_is_in_force_with_the_answer_and_a_rule_concerns_no_app() {
    let deployment = Deployment::with_acme().await;
    let gateway = Gateway::serving(&deployment).await;
    let add = "schema add acme urn:x:acme:1.0 --attribute badge:integer";

    gateway.apply_during(deployment.json(add)).await;
    gateway.apply_during(deployment.json(add)).await;
    deployment.json("schema add acme urn:x:acme:2.0 --attribute badge:integer --resource Group").await;
    deployment.json("attribute set acme userType --required").await;
    deployment.json("scim set acme --profile strict").await;
    gateway.apply_during(deployment.json("schema remove acme urn:x:acme:1.0")).await;

    let head = deployment.store().head().await.unwrap();
    let rows = deployment.store().revocations_after(&head.generation, Seq(0)).await.unwrap().records;
    let said: Vec<_> = rows.iter().map(|row| (row.kind, row.reason.as_str(), row.scopes.as_slice())).collect();
    let of_all = [Scope::Workspace];
    assert_eq!(
        said,
        [
            (RevocationKind::Changed, "scim.schema_set", of_all.as_slice()),
            (RevocationKind::Changed, "scim.schema_removed", of_all.as_slice())
        ]
    );
}
