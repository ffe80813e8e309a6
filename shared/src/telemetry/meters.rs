//! What a process counts, all of it and by its name. No label comes from a request: neither a workspace nor a person is ever in
//! a metric, and nobody can make there be more of them.

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};

use super::Metrics;
use crate::model::{
    provisioning::{Action, Outcome},
    revocation::RevocationKind,
};

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
    sign_ins: Family<[Label; 1], Counter>,
    applied: Family<[Label; 1], Counter>,
    streams_open: Gauge,
    streams_held: Counter,
    streams_cut: Counter,
    operations: Family<[Label; 2], Counter>,
    turned_away: Family<[Label; 1], Counter>,
    lost: Counter,
    barrier: Histogram,
    waited_out: Counter,
    mails: Family<[Label; 1], Counter>,
    mails_waiting: Gauge,
}

impl Default for Meters {
    fn default() -> Self {
        let decisions = Family::<[Label; 1], Counter>::default();
        Self {
            requests: Family::default(),
            passed: decisions.get_or_create_owned(&[("code", "passed")]),
            decisions,
            sign_ins: Family::default(),
            applied: Family::default(),
            streams_open: Gauge::default(),
            streams_held: Counter::default(),
            streams_cut: Counter::default(),
            operations: Family::default(),
            turned_away: Family::default(),
            lost: Counter::default(),
            barrier: Histogram::new(BARRIER_SECONDS),
            waited_out: Counter::default(),
            mails: Family::default(),
            mails_waiting: Gauge::default(),
        }
    }
}

impl Meters {
    /// Shows them among the metrics of a listener, once.
    pub fn show_in(&self, metrics: &Metrics) {
        let Self {
            requests,
            decisions,
            passed: _,
            sign_ins,
            applied,
            streams_open,
            streams_held,
            streams_cut,
            operations,
            turned_away,
            lost,
            barrier,
            waited_out,
            mails,
            mails_waiting,
        } = self;
        metrics.register("requests", "Requests answered, by kind of path and class of status.", requests.clone());
        metrics.register("decisions", "Decisions of the gateway about requests to apps, by code.", decisions.clone());
        metrics.register("sign_ins", "Sign-ins that came to an end, by what came of them.", sign_ins.clone());
        metrics.register("revocations_applied", "Rows of the revocation log that the gateway applied, by kind.", applied.clone());
        metrics.register("streams_open", "Answers of apps that are under way through the gateway.", streams_open.clone());
        metrics.register("streams_held", "Answers held until the person was judged again.", streams_held.clone());
        metrics.register("streams_cut", "Answers cut because the session or the lease ended.", streams_cut.clone());
        metrics.register("scim_operations", "SCIM operations, by what was asked and what came of it.", operations.clone());
        metrics.register("scim_turned_away", "SCIM requests turned away before they were read, by reason.", turned_away.clone());
        metrics.register("log_entries_lost", "Entries of the provisioning log that could not be written.", lost.clone());
        metrics.register("barrier_seconds", "From a revocation's commit until no gateway answers without it.", barrier.clone());
        metrics.register("gateways_waited_out", "Gateways whose lease a barrier had to wait out.", waited_out.clone());
        metrics.register("mails", "Attempts to send a notice by mail, by what came of it.", mails.clone());
        metrics.register("mails_waiting", "Notices on their way by mail.", mails_waiting.clone());
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

    /// A sign-in came to its end.
    pub fn signed_in(&self, outcome: &'static str) {
        self.sign_ins.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A row of the revocation log was applied.
    pub fn applied(&self, kind: RevocationKind) {
        self.applied.get_or_create(&[("kind", kind.as_str())]).inc();
    }

    /// An answer of an app goes through the gateway.
    pub fn stream_opened(&self) {
        self.streams_open.inc();
    }

    /// It has come to its end, whichever.
    pub fn stream_over(&self) {
        self.streams_open.dec();
    }

    /// One is held until its person is judged again.
    pub fn stream_held(&self) {
        self.streams_held.inc();
    }

    /// One is cut.
    pub fn stream_cut(&self) {
        self.streams_cut.inc();
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

    /// A notice was tried by mail.
    pub fn mailed(&self, outcome: &'static str) {
        self.mails.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// So many notices are on their way by mail.
    pub fn mails_waiting(&self, count: u64) {
        self.mails_waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
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
        meters.signed_in("refused");
        meters.applied(RevocationKind::End);
        meters.stream_opened();
        meters.stream_opened();
        meters.stream_over();
        meters.stream_held();
        meters.stream_cut();
        meters.operated(Action::UserDeactivate, Outcome::Held);
        meters.turned_away("rate");
        meters.lost_entries(1);
        meters.settled(0.004, 1);
        meters.mailed("sent");
        meters.mails_waiting(2);

        let text = metrics.render().unwrap();
        for line in [
            r#"lockstep_requests_total{program="provisioner",path="scim",status="4xx"} 1"#,
            r#"lockstep_decisions_total{code="passed"} 1"#,
            r#"lockstep_decisions_total{code="session_ended"} 1"#,
            r#"lockstep_sign_ins_total{outcome="refused"} 1"#,
            r#"lockstep_revocations_applied_total{kind="end"} 1"#,
            "lockstep_streams_open 1",
            "lockstep_streams_held_total 1",
            "lockstep_streams_cut_total 1",
            r#"lockstep_scim_operations_total{action="user.deactivate",outcome="held"} 1"#,
            r#"lockstep_scim_turned_away_total{reason="rate"} 1"#,
            "lockstep_log_entries_lost_total 1",
            r#"lockstep_barrier_seconds_bucket{le="0.005"} 1"#,
            r#"lockstep_barrier_seconds_bucket{le="0.0025"} 0"#,
            "lockstep_gateways_waited_out_total 1",
            r#"lockstep_mails_total{outcome="sent"} 1"#,
            "lockstep_mails_waiting 2",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }
}
