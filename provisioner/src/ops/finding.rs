//! What a check found: passed, a warning, or a problem with its remedy. It judges nothing by itself.

use serde_json::{Value, json};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Warning,
    Problem,
}

impl Verdict {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub(super) name: &'static str,
    /// How bad it is.
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) message: String,
    /// What to do about it.
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn passed(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Passed, message: message.into(), fix: None }
    }

    pub(super) fn warning(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, message: message.into(), fix: Some(fix.into()) }
    }

    pub(super) fn problem(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Problem, message: message.into(), fix: Some(fix.into()) }
    }

    pub(super) fn is_problem(&self) -> bool {
        self.verdict == Verdict::Problem
    }

    pub(super) fn json(&self) -> Value {
        json!({ "name": self.name, "verdict": self.verdict.as_str(), "message": self.message, "fix": self.fix })
    }
}

/// Whether there is no problem among them.
pub(super) fn all_well(findings: &[Finding]) -> bool {
    !findings.iter().any(Finding::is_problem)
}
