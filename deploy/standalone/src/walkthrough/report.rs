//! What a walk-through found: its steps in order, and the one that did not hold.

use std::{fmt, time::Duration};

use serde_json::{Value, json};

use super::Why;

/// A step that held.
#[derive(Debug, Clone)]
pub struct Step {
    /// What was done.
    pub name: &'static str,
    /// What was seen.
    pub detail: String,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16} {:>8}   {}", self.name, in_ms(self.took), self.detail)
    }
}

/// The step that did not hold.
#[derive(Debug)]
pub struct Failure {
    /// What was tried.
    pub name: &'static str,
    /// What was wrong.
    pub why: Why,
}

/// A whole walk-through.
#[derive(Debug)]
pub struct Report {
    /// The steps that held, in order.
    pub steps: Vec<Step>,
    /// The step that did not, if one did not; nothing was tried after it.
    pub failure: Option<Failure>,
    /// How long everything took.
    pub took: Duration,
}

impl Report {
    /// The report as one JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        let ms = |took: Duration| json!((took.as_secs_f64() * 10_000.0).round() / 10.0);
        let steps: Vec<Value> =
            self.steps.iter().map(|step| json!({ "name": step.name, "detail": step.detail, "ms": ms(step.took) })).collect();
        let failure = self.failure.as_ref().map(|failure| json!({ "name": failure.name, "why": failure.why.to_string() }));
        json!({ "ok": self.failure.is_none(), "ms": ms(self.took), "steps": steps, "failure": failure })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            None => writeln!(f, "\nAll {} steps held, in {}.", self.steps.len(), in_ms(self.took)),
            Some(Failure { name, why }) => {
                writeln!(f, "\nStep {} failed: {name}: {why}", self.steps.len() + 1)
            }
        }
    }
}

fn in_ms(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1_000.0;
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failure: Option<Failure>) -> Report {
        let step = Step { name: "provision", detail: "6 people".to_owned(), took: Duration::from_micros(1_234) };
        Report { steps: vec![step], failure, took: Duration::from_millis(20) }
    }

    #[test]
    fn a_report_says_that_all_held_or_which_step_did_not() {
        assert_eq!(report(None).to_string(), "\nAll 1 steps held, in 20 ms.\n");
        let failed = report(Some(Failure { name: "denied", why: Why::RedirectLoop }));
        assert_eq!(failed.to_string(), "\nStep 2 failed: denied: the redirects never end\n");
        assert_eq!(failed.json()["ok"], false);
        assert_eq!(failed.json()["failure"]["name"], "denied");
        assert_eq!(failed.json()["steps"][0]["ms"], 1.2);
    }
}
