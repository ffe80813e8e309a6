//! Microsoft's own Postman collection, run by `newman`, finds nothing to object to. The collection is Microsoft's and no part of this
//! project: it is taken from where `LOCKSTEP_MICROSOFT_COLLECTION` says, or from beside the repository.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use lockstep_tests::harness::{HarnessError, Scratch, process::find};
use serde_json::{Value, json};

use super::{Company, on_each_database};

const BESIDE: &str = "../../shared/peers/microsoft-scim.postman_collection.json";
const NEWMAN: &str = "peers/node_modules/newman/bin/newman.js";
/// Its first step asks for a token at a path that is no part of SCIM.
const TOKEN_STEP: &str = "Get Token";
/// What the rest of it asserts.
const ASSERTIONS: u64 = 107;

fn collection() -> Option<Value> {
    let named = env::var_os("LOCKSTEP_MICROSOFT_COLLECTION").map(PathBuf::from);
    let file = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join(BESIDE));
    if !file.is_file() {
        // Past what the test runner keeps back of a test that passes.
        let said = format!("\nLEFT OUT: Microsoft's collection is not at {}; nothing was checked by it\n", file.display());
        std::io::stderr().write_all(said.as_bytes()).unwrap();
        return None;
    }
    let mut collection: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    collection["item"].as_array_mut().unwrap().retain(|step| step["name"] != TOKEN_STEP);
    Some(collection)
}

/// What newman reports of a run.
async fn run(company: &Company, collection: &Value) -> Result<Value, HarnessError> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(NEWMAN);
    if !script.is_file() {
        return Err(HarnessError::Missing("newman (npm)".to_owned()));
    }
    let folder = Scratch::new("newman")?;
    let port = company.installation.provisioner.url().rsplit(':').next().unwrap_or_default().to_owned();
    let token = company.token();
    let values = [
        ("Protocol", "http".to_owned()),
        ("Server", "127.0.0.1".to_owned()),
        ("Port", format!(":{port}")),
        ("Api", format!("scim/v2/{}", company.id)),
        ("token", token),
    ];
    let values: Vec<Value> = values.iter().map(|(key, value)| json!({ "key": key, "value": value, "enabled": true })).collect();
    let environment = folder.write("environment.json", json!({ "name": "test", "values": values }).to_string())?;
    let collection = folder.write("collection.json", collection.to_string())?;
    let report = folder.path().join("report.json");
    let output = tokio::process::Command::new(find("node", &[])?)
        .arg(script)
        .arg("run")
        .arg(collection)
        .arg("--environment")
        .arg(environment)
        .args(["--reporters", "json", "--reporter-json-export"])
        .arg(&report)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let report =
        std::fs::read(&report).map_err(|_| HarnessError::Missing(String::from_utf8_lossy(&output.stderr).into_owned()))?;
    Ok(serde_json::from_slice(&report)?)
}

on_each_database! {
    async fn microsofts_collection_asserts_nothing_that_is_not_so(company: &Company) {
        let Some(collection) = collection() else { return };

        let report = run(company, &collection).await.unwrap();

        let failures: Vec<String> = report["run"]["failures"]
            .as_array()
            .unwrap()
            .iter()
            .map(|failure| format!("{}: {}: {}", failure["source"]["name"], failure["error"]["test"], failure["error"]["message"]))
            .collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        assert_eq!(report["run"]["stats"]["assertions"], json!({ "total": ASSERTIONS, "pending": 0, "failed": 0 }));
    }
}
