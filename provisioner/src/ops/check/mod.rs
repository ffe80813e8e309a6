//! `check`: validates the configuration and every dependency, and says of each what was found and what to do. It changes
//! nothing: it makes no file, no key and no table.

pub(super) mod database;
mod keys;
mod redis_server;
mod urls;

use lockstep_shared::{
    config::{Config, ConfigError, Program},
    http::outbound::Outbound,
};
use serde_json::{Value, json};

use super::{
    Context, Output,
    error::chain,
    finding::{Finding, all_well},
};

/// Checks everything.
pub(super) async fn run(context: &Context) -> Output {
    let (config, program) = (context.config(), context.program());
    let mut findings = of_config(config, program);
    findings.extend(urls::check(config));
    findings.push(match Outbound::new(&config.outbound) {
        Ok(_) => Finding::passed("outbound", "providers can be called"),
        Err(error) => Finding::problem("outbound", chain(&error), "mend [outbound] ca_file"),
    });
    if let Some(database) = &config.database {
        findings.extend(database::check(context, database).await);
    }
    if let Some(redis) = &config.redis {
        findings.extend(redis_server::check(redis).await);
    }
    present(findings)
}

/// What there is to say of a configuration that cannot be read.
pub(super) fn of_unreadable(error: &ConfigError) -> Output {
    present(problems(error))
}

fn present(findings: Vec<Finding>) -> Output {
    let ok = all_well(&findings);
    let checks: Vec<Value> = findings.iter().map(Finding::json).collect();
    let count = findings.iter().filter(|finding| finding.is_problem()).count();
    let heading = match count {
        0 => "Everything is in order.".to_owned(),
        1 => "There is 1 problem.".to_owned(),
        count => format!("There are {count} problems."),
    };
    Output::of(json!({ "ok": ok, "checks": checks })).heading(heading).findings(findings)
}

fn of_config(config: &Config, program: Program) -> Vec<Finding> {
    let demands = [
        config.require_database().err(),
        config.require_keys().err(),
        config.require_provisioner().err(),
        match program {
            Program::Standalone | Program::Gateway => config.require_gateway().err(),
            Program::Provisioner => config.require_gateway_url().err(),
        },
        config.check_program(program).err(),
    ];
    let problems: Vec<Finding> = demands.iter().flatten().flat_map(problems).collect();
    if problems.is_empty() { vec![Finding::passed("configuration", "complete")] } else { problems }
}

fn problems(error: &ConfigError) -> Vec<Finding> {
    // Each problem carries its own remedy in its sentence.
    let of_one = |problem: &lockstep_shared::config::Problem| Finding {
        fix: None,
        ..Finding::problem("configuration", problem.to_string(), "")
    };
    error.problems().iter().map(of_one).collect()
}
