//! The compliance check of scim2-tester, an implementation that is not ours, finds no error.

use std::{env, path::PathBuf, process::Stdio};

use lockstep_tests::harness::HarnessError;

use super::{Company, on_each_database};

/// Where tests/run puts it; it is on the path there.
const PROGRAM: &str = "scim2";
const ENVIRONMENT: &str = "target/tests-venv/bin";

fn program() -> Result<PathBuf, HarnessError> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(ENVIRONMENT);
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain([beside]);
    folders
        .find_map(|folder| Some(folder.join(PROGRAM)).filter(|file| file.is_file()))
        .ok_or(HarnessError::Missing(PROGRAM.into()))
}

/// Checks a company's service. A default is not among its demands: what the check removes would be there again.
async fn check(company: &Company, at_least: usize) {
    let token = company.token();
    let base = format!("{}/scim/v2/{}", company.installation.site.provisioner_url(), company.id);

    let output = tokio::process::Command::new(program().unwrap())
        .args(["--url", &base, "test"])
        .env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {token}"))
        .env("NO_PROXY", "localhost,127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();

    let report = String::from_utf8_lossy(&output.stdout);
    let checks = |status: &str| report.lines().filter(|line| line.starts_with(status)).count();
    // It ends well even if it could not describe the server and so left most of its checks out.
    assert!(checks("SUCCESS ") >= at_least, "{report}{}", String::from_utf8_lossy(&output.stderr));
    let others: Vec<&str> =
        ["ERROR ", "CRITICAL ", "DEVIATION ", "SKIPPED "].into_iter().filter(|status| checks(status) > 0).collect();
    assert!(others.is_empty(), "{others:?}\n{report}");
}

on_each_database! {
    async fn scim2_tester_reports_no_error(company: &Company) {
        check(company, 120).await;
    }

    async fn scim2_tester_reports_no_error_where_a_workspace_asks_for_more(company: &Company) {
        let id = company.id.as_str();
        let custom = "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName";
        // It fills decimals and dates with letters, compares base64 with bytes, and takes what it adds to a list for all of it.
        let attributes = ["seat", "badge:integer", "page:reference", "vip:boolean"];
        let mut define = vec!["schema", "add", id, custom];
        define.extend(attributes.iter().flat_map(|attribute| ["--attribute", attribute]));
        company.command(&define).await;
        company.command(&["schema", "add", id, "urn:example:acme:1.0:Team", "--attribute", "floor", "--resource", "Group"]).await;
        company.command(&["attribute", "set", id, "userType", "--allow", "Premium,Standard"]).await;
        company.command(&["attribute", "set", id, "roles", "--allow", "ReadOnly,User,Admin,EnterpriseAdmin"]).await;

        check(company, 150).await;
    }
}
