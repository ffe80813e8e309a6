//! `check`: validates the configuration and every dependency. It changes nothing: it makes no file, no key and no table.

use lockstep_shared::{
    check::{self, Deployment, Finding, all_well},
    config::ConfigError,
};
use serde_json::{Value, json};

use super::{Context, Output, mail};

/// Checks everything.
pub(super) async fn run(context: &Context) -> Output {
    let deployment = Deployment { program: context.program(), config: context.config(), clock: context.clock() };
    let mut findings = deployment.check().await;
    findings.extend(mail::check(context).await);
    present(findings)
}

/// What there is to say of a configuration that cannot be read.
pub(super) fn of_unreadable(error: &ConfigError) -> Output {
    present(check::of_unreadable(error))
}

fn present(findings: Vec<Finding>) -> Output {
    let checks: Vec<Value> = findings.iter().map(Finding::json).collect();
    let body = json!({ "ok": all_well(&findings), "checks": checks });
    Output::of(body).heading(check::in_short(&findings)).findings(findings)
}
