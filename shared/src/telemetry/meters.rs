//! What a process counts, all of it and by its name. No label comes from a request: neither a workspace nor a person is ever in
//! a metric, and nobody can make there be more of them.

use prometheus_client::metrics::{counter::Counter, family::Family, histogram::Histogram};

use super::Metrics;
use crate::model::provisioning::{Action, Outcome};

/// The barrier takes milliseconds where all gateways answer, and 46 s at the most.
const BARRIER_SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 50.0];

/// A label and its value.
type Label = (&'static str, &'static str);

/// What a process counts. Clones count together.
#[derive(Debug, Clone)]
pub struct Meters {
    requests: Family<[Label; 3], Counter>,
    decisions: Family<[Label; 1], Counter>,
    /// By itself, since it is counted at every click.
    passed: Counter,
    operations: Family<[Label; 2], Counter>,
    turned_away: Family<[Label; 1], Counter>,
    lost: Counter,
    barrier: Histogram,
    waited_out: Counter,
}

impl Default for Meters {
    fn default() -> Self {
        let decisions = Family::<[Label; 1], Counter>::default();
        Self {
            requests: Family::default(),
            passed: decisions.get_or_create_owned(&[("code", "passed")]),
            decisions,
            operations: Family::default(),
            turned_away: Family::default(),
            lost: Counter::default(),
            barrier: Histogram::new(BARRIER_SECONDS),
            waited_out: Counter::default(),
        }
    }
}

impl Meters {
    /// Shows them among the metrics of a listener, once.
    pub fn show_in(&self, metrics: &Metrics) {
        let Self { requests, decisions, passed: _, operations, turned_away, lost, barrier, waited_out } = self;
        metrics.register("requests", "Requests answered, by kind of path and class of status.", requests.clone());
        metrics.register("decisions", "Decisions of the gateway about requests to apps, by code.", decisions.clone());
        metrics.register("scim_operations", "SCIM operations, by what was asked and what came of it.", operations.clone());
        metrics.register("scim_turned_away", "SCIM requests turned away before they were read, by reason.", turned_away.clone());
        metrics.register("log_entries_lost", "Entries of the provisioning log that could not be written.", lost.clone());
        metrics.register("barrier_seconds", "From a revocation's commit until no gateway answers without it.", barrier.clone());
        metrics.register("gateways_waited_out", "Gateways whose lease a barrier had to wait out.", waited_out.clone());
    }

    /// A request was answered; `path` is the kind of its path.
    pub fn answered(&self, program: &'static str, path: &'static str, status: u16) {
        let class = match status {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500.. => "5xx",
        };
        self.requests.get_or_create(&[("program", program), ("path", path), ("status", class)]).inc();
    }

    /// The gateway let a request pass.
    pub fn passed(&self) {
        self.passed.inc();
    }

    /// The gateway did not let a request pass, for this reason.
    pub fn not_passed(&self, code: &'static str) {
        self.decisions.get_or_create(&[("code", code)]).inc();
    }

    /// A SCIM operation came to its end.
    pub fn operated(&self, action: Action, outcome: Outcome) {
        self.operations.get_or_create(&[("action", action.as_str()), ("outcome", outcome.as_str())]).inc();
    }

    /// A SCIM request was turned away before it was read.
    pub fn turned_away(&self, reason: &'static str) {
        self.turned_away.get_or_create(&[("reason", reason)]).inc();
    }

    /// So many entries of the provisioning log were lost.
    pub fn lost_entries(&self, count: u64) {
        self.lost.inc_by(count);
    }

    /// A barrier was gone through.
    pub fn settled(&self, seconds: f64, waited_out: u64) {
        self.barrier.observe(seconds);
        self.waited_out.inc_by(waited_out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_counted_is_shown() {
        let (meters, metrics) = (Meters::default(), Metrics::new());
        meters.show_in(&metrics);

        meters.answered("provisioner", "scim", 404);
        meters.passed();
        meters.not_passed("session_ended");
        meters.operated(Action::UserDeactivate, Outcome::Held);
        meters.turned_away("rate");
        meters.lost_entries(1);
        meters.settled(0.004, 1);

        let text = metrics.render().unwrap();
        for line in [
            r#"lockstep_requests_total{program="provisioner",path="scim",status="4xx"} 1"#,
            r#"lockstep_decisions_total{code="passed"} 1"#,
            r#"lockstep_decisions_total{code="session_ended"} 1"#,
            r#"lockstep_scim_operations_total{action="user.deactivate",outcome="held"} 1"#,
            r#"lockstep_scim_turned_away_total{reason="rate"} 1"#,
            "lockstep_log_entries_lost_total 1",
            r#"lockstep_barrier_seconds_bucket{le="0.005"} 1"#,
            r#"lockstep_barrier_seconds_bucket{le="0.0025"} 0"#,
            "lockstep_gateways_waited_out_total 1",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }
}
