//! What is refused: how it is said, with which exit code, and that nothing is written.

use serde_json::json;

use super::*;

#[tokio::test]
async fn an_unknown_workspace_is_named_by_every_command() {
    let deployment = Deployment::migrated().await;
    for line in [
        "workspace show nowhere",
        "workspace set nowhere --plan enterprise",
        "workspace suspend nowhere",
        "workspace resume nowhere",
        "connection add nowhere --preset okta",
        "connection show nowhere",
        "connection set nowhere x --link none",
        "connection test nowhere",
        "connection disable nowhere x",
        "connection remove nowhere x",
        "domain add nowhere example.com",
        "domain verify nowhere example.com --by-operator",
        "scim enable nowhere",
        "scim disable nowhere",
        "token issue nowhere",
        "token list nowhere",
        "token revoke nowhere 01890000-0000-7000-8000-000000000000",
        "sso off nowhere",
        "sso enforce nowhere",
        "sso staged nowhere --percent 1",
        "user invite nowhere a@example.com",
        "user show nowhere a",
        "user login-method nowhere a sso",
        "user revoke-sessions nowhere a",
        "receipt show nowhere",
        "audit export nowhere",
    ] {
        let (code, error) = deployment.refusal(line).await;
        assert_eq!((code, &error["code"]), (1, &json!("workspace_not_found")), "{line}: {error}");
    }
    assert_eq!(deployment.store().head().await.unwrap().seq, Seq(0), "nothing was written");
}

#[tokio::test]
async fn what_cannot_be_understood_exits_2_and_is_json_where_that_was_asked_for() {
    let deployment = Deployment::empty();
    for line in [
        "workspace create Acme_1 --name Acme",
        "workspace create acme",
        "workspace create acme --name Acme --plan gold",
        "workspace create acme --name Acme --admin nobody",
        "workspace set acme",
        "connection add acme --preset ping",
        "connection add acme --preset okta --client-secret s3cret",
        "connection add acme --preset okta --link phone",
        "connection set acme acme-okta",
        "domain add acme localhost",
        "domain verify acme acme.com",
        "token issue acme --expires 5",
        "token issue acme --expires 0d",
        "token revoke acme 1",
        "sso enforce acme --force",
        "sso enforce acme --reason x",
        "sso staged acme",
        "sso staged acme --percent 101",
        "user login-method acme ada magic",
        "frobnicate",
    ] {
        let (code, error) = deployment.refusal(line).await;
        let text = deployment.run(line).await;
        assert_eq!((code, &error["code"]), (2, &json!("usage")), "{line}: {error}");
        assert!(text.code == 2 && text.stderr.starts_with("error: "), "{line}: {}", text.stderr);
    }
    let (_, slug) = deployment.refusal("workspace create Acme_1 --name Acme").await;
    assert!(slug["message"].as_str().unwrap().contains("1 to 63 characters of a-z, 0-9 and '-'"), "{slug}");
    let (_, duration) = deployment.refusal("token issue acme --expires 5").await;
    assert!(duration["message"].as_str().unwrap().contains("such as 12h or 365d"), "{duration}");
}

#[tokio::test]
async fn the_global_options_stand_before_or_after_the_command() {
    let deployment = Deployment::with_acme().await;

    let before = deployment.run("--json workspace show acme").await;
    let between = deployment.run("workspace --json show acme").await;
    let after = deployment.run("workspace show acme --json").await;

    assert!(before.stdout.starts_with('{'));
    assert_eq!((&before, &between), (&after, &after));
}

#[tokio::test]
async fn help_is_no_error() {
    let deployment = Deployment::empty();

    let help = deployment.run("connection add --help").await;

    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
    assert!(help.stdout.contains("--client-secret-file"), "{}", help.stdout);
}

#[tokio::test]
async fn a_second_workspace_of_one_id_is_refused() {
    let deployment = Deployment::with_acme().await;

    let refused = deployment.run("workspace create acme --name Again").await;

    assert_eq!(refused.code, 1);
    assert_eq!(
        refused.stderr,
        "error: there already is a workspace acme\nfix: choose another id, or change this one with `lockstep workspace set acme`\n"
    );
    assert_eq!(deployment.json("workspace show acme").await["name"], "Acme");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_said_so_and_not_made() {
    let deployment = Deployment::empty();

    let (code, error) = deployment.refusal("workspace show acme").await;

    assert_eq!((code, &error["code"]), (1, &json!("database_unreachable")));
    assert!(!deployment.path("lockstep.db").exists());
}

#[tokio::test]
async fn a_server_that_is_down_is_said_so_at_once() {
    let deployment = Deployment::empty();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    deployment.write_config(&format!("postgres://lockstep:pa55@{closed}/lockstep"));

    for line in ["workspace show acme", "migrate", "workspace suspend acme"] {
        let (code, error) = deployment.refusal(line).await;
        assert_eq!((code, &error["code"]), (1, &json!("database_unreachable")), "{line}");
        assert!(!error.to_string().contains("pa55"), "{error}");
    }
}

#[tokio::test]
async fn a_schema_of_another_time_is_not_written_to() {
    let deployment = Deployment::empty();
    std::fs::write(deployment.path("lockstep.db"), "").unwrap();

    let (code, error) = deployment.refusal("workspace create acme --name Acme").await;

    assert_eq!((code, &error["code"], &error["fix"]), (1, &json!("schema_behind"), &json!("run `lockstep migrate`")));
}

#[tokio::test]
async fn a_setting_that_is_missing_is_found_before_anything_is_written() {
    let deployment = Deployment::migrated().await;
    let text = std::fs::read_to_string(deployment.path("lockstep.toml")).unwrap();
    std::fs::write(deployment.path("lockstep.toml"), text.replace("public_url = \"https://login.example.com\"\n", "")).unwrap();

    let (code, error) = deployment.refusal("workspace create acme --name Acme").await;

    assert_eq!((code, &error["code"]), (1, &json!("configuration")));
    assert!(error["message"].as_str().unwrap().contains("gateway.public_url"), "{error}");
    assert_eq!(deployment.store().workspace(&acme()).await.unwrap(), None);
}

#[tokio::test]
async fn a_secret_file_must_be_there_and_hold_one_line() {
    let deployment = Deployment::with_acme().await;
    let files = [
        deployment.path("missing").display().to_string(),
        deployment.write_secret("empty", "\n"),
        deployment.write_secret("two", "one\ntwo\n"),
    ];

    for file in files {
        let (code, error) = deployment.refusal(&format!("connection add acme --preset okta --client-secret-file {file}")).await;
        assert_eq!((code, &error["code"]), (1, &json!("secret_file")), "{file}");
    }
    assert_eq!(deployment.json("connection show acme").await["connections"], json!([]));
}
