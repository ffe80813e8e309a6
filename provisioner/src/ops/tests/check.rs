//! What `check` finds, and that it changes nothing.

use super::*;

async fn check(deployment: &Deployment) -> (u8, Value) {
    let finished = deployment.run("check --json").await;
    assert_eq!(finished.stderr, "");
    (finished.code, serde_json::from_str(&finished.stdout).unwrap())
}

fn verdict<'a>(checked: &'a Value, name: &str) -> &'a str {
    let checks = checked["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {checked}"))["verdict"].as_str().unwrap()
}

#[tokio::test]
async fn a_sound_deployment_passes_every_check() {
    let deployment = Deployment::with_acme().await;
    let secret = deployment.write_secret("client.secret", "s3cret");
    deployment.json(&format!("connection add acme --preset okta --client-secret-file {secret}")).await;

    let (code, checked) = check(&deployment).await;

    assert_eq!((code, &checked["ok"]), (0, &Value::Bool(true)), "{checked}");
    for name in ["configuration", "gateway URL", "provisioner URL", "outbound", "database", "schema", "master key"] {
        assert_eq!(verdict(&checked, name), "ok", "{name}");
    }
}

#[tokio::test]
async fn another_master_key_is_found_before_anybody_needs_it() {
    let deployment = Deployment::with_acme().await;
    let secret = deployment.write_secret("client.secret", "s3cret");
    deployment.json(&format!("connection add acme --preset okta --client-secret-file {secret}")).await;
    deployment.write_secret("master.key", "HxAAAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4=");

    let (code, checked) = check(&deployment).await;

    assert_eq!((code, verdict(&checked, "master key")), (1, "problem"), "{checked}");
}

#[tokio::test]
async fn checking_a_database_that_is_not_there_does_not_make_it() {
    let deployment = Deployment::empty();

    let (code, checked) = check(&deployment).await;

    assert_eq!((code, verdict(&checked, "database")), (1, "problem"));
    assert!(!deployment.path("lockstep.db").exists());
}

#[tokio::test]
async fn checking_makes_no_key() {
    let deployment = Deployment::migrated().await;

    let (code, checked) = check(&deployment).await;

    assert_eq!(code, 0, "{checked}");
    assert!(checked.to_string().contains("opens 0 stored keys and 0 client secrets"), "{checked}");
}

#[tokio::test]
async fn a_schema_that_is_behind_is_a_problem_with_its_remedy() {
    let deployment = Deployment::empty();
    std::fs::write(deployment.path("lockstep.db"), "").unwrap();

    let (code, checked) = check(&deployment).await;

    assert_eq!((code, verdict(&checked, "schema")), (1, "problem"));
    assert!(checked.to_string().contains("run `lockstep migrate`"));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_told_key_by_key() {
    let deployment = Deployment::empty();
    std::fs::write(deployment.path("lockstep.toml"), "[databse]\nurl = \"x\"\n[revocation]\nlease = \"1s\"\n").unwrap();

    let (code, checked) = check(&deployment).await;
    let text = deployment.run("check").await;

    assert_eq!((code, &checked["ok"]), (1, &Value::Bool(false)));
    assert_eq!(checked["checks"].as_array().unwrap().len(), 2, "{checked}");
    assert!(text.stdout.contains("problem") && text.stdout.contains("the nearest valid key is"), "{}", text.stdout);
}

#[tokio::test]
async fn a_provisioner_of_its_own_needs_redis() {
    let deployment = Deployment::migrated().await;
    let context = Context::new(Program::Provisioner, Arc::new(deployment.config()), deployment.clock.clone());

    let output = run(Command::Check, &context).await.unwrap();
    context.close().await;

    assert!(output.has_failed());
    assert!(output.json().to_string().contains("redis.url"), "{}", output.json());
}

#[tokio::test]
async fn a_redis_that_is_down_is_a_problem() {
    let deployment = Deployment::migrated().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let text = std::fs::read_to_string(deployment.path("lockstep.toml")).unwrap();
    std::fs::write(deployment.path("lockstep.toml"), format!("{text}[redis]\nurl = \"redis://:pa55@{closed}\"\n")).unwrap();

    let (code, checked) = check(&deployment).await;

    assert_eq!((code, verdict(&checked, "redis")), (1, "problem"));
    assert!(!checked.to_string().contains("pa55"), "{checked}");
}
