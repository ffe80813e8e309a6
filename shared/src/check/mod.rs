//! Validates a configuration and every dependency that it names, and says of each what was found and what to do. It changes
//! nothing: it makes no file, no key and no table.

mod database;
mod finding;
mod keys;
mod redis_server;
mod upstreams;
mod urls;

pub use self::{
    database::{ConnectError, connect},
    finding::{Finding, Verdict, all_well, in_short, lines},
};
use crate::{
    clock::SharedClock,
    config::{Config, ConfigError, Problem, Program},
    http::outbound::Outbound,
};

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub struct Deployment<'d> {
    /// For which program.
    pub program: Program,
    /// Its settings.
    pub config: &'d Config,
    /// Where time comes from.
    pub clock: &'d SharedClock,
}

impl Deployment<'_> {
    /// Checks everything.
    pub async fn check(self) -> Vec<Finding> {
        let mut findings = self.completeness();
        findings.extend(urls::check(self.config));
        findings.push(match Outbound::new(&self.config.outbound) {
            Ok(_) => Finding::passed("outbound", "providers can be called"),
            Err(error) => Finding::problem("outbound", chain(&error), "mend [outbound] ca_file"),
        });
        if let Some(database) = &self.config.database {
            findings.extend(database::check(self, database).await);
        }
        if let Some(redis) = &self.config.redis {
            findings.extend(redis_server::check(redis).await);
        }
        if matches!(self.program, Program::Gateway | Program::Standalone) {
            findings.extend(upstreams::check(&self.config.apps).await);
        }
        findings
    }

    /// The program that migrates the database.
    fn administrator(self) -> &'static str {
        match self.program {
            Program::Standalone => "lockstep",
            Program::Gateway | Program::Provisioner => "provisioner",
        }
    }

    fn completeness(self) -> Vec<Finding> {
        let config = self.config;
        let (gateway, provisioner) = match self.program {
            Program::Gateway => (config.require_gateway().err(), None),
            Program::Provisioner => (config.require_gateway_url().err(), config.require_provisioner().err()),
            Program::Standalone => (config.require_gateway().err(), config.require_provisioner().err()),
        };
        let demands = [
            config.require_database().err(),
            config.require_keys().err(),
            provisioner,
            gateway,
            config.check_program(self.program).err(),
        ];
        let problems: Vec<Finding> = demands.iter().flatten().flat_map(of_unreadable).collect();
        if problems.is_empty() { vec![Finding::passed("configuration", "complete")] } else { problems }
    }
}

/// What there is to say of a configuration that cannot be read.
#[must_use]
pub fn of_unreadable(error: &ConfigError) -> Vec<Finding> {
    // Each problem carries its own remedy in its sentence.
    let of_one =
        |problem: &Problem| Finding { fix: None, ..Finding::problem("configuration", problem.to_string(), String::new()) };
    error.problems().iter().map(of_one).collect()
}

/// An error with its causes, on one line; a cause that its effect has already told is left out.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}
