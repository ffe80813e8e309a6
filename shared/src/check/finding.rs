//! What a check found: passed, a warning, or a problem with its remedy. It judges nothing by itself.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// It works, but somebody should know.
    Warning,
    /// It does not work.
    Problem,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
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
    pub name: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Finding {
    /// It is as it should be.
    #[must_use]
    pub fn passed(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Passed, message: message.into(), fix: None }
    }

    /// It works, but somebody should know; `fix` says what to do.
    #[must_use]
    pub fn warning(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, message: message.into(), fix: Some(fix.into()) }
    }

    /// It does not work; `fix` says what to do.
    #[must_use]
    pub fn problem(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Problem, message: message.into(), fix: Some(fix.into()) }
    }

    /// Whether it does not work.
    #[must_use]
    pub fn is_problem(&self) -> bool {
        self.verdict == Verdict::Problem
    }

    /// The finding for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({ "name": self.name, "verdict": self.verdict.as_str(), "message": self.message, "fix": self.fix })
    }
}

/// Whether there is no problem among them.
#[must_use]
pub fn all_well(findings: &[Finding]) -> bool {
    !findings.iter().any(Finding::is_problem)
}

/// Findings as people read them: a line each, and below a line what to do.
#[must_use]
pub fn lines(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let _ = writeln!(text, "  {:7}  {:width$}  {}", finding.verdict.as_str(), finding.name, finding.message);
        if let Some(fix) = &finding.fix {
            let _ = writeln!(text, "  {:7}  {:width$}  -> {fix}", "", "");
        }
    }
    text
}

/// How many problems there are, in a sentence.
#[must_use]
pub fn in_short(findings: &[Finding]) -> String {
    match findings.iter().filter(|finding| finding.is_problem()).count() {
        0 => "Everything is in order.".to_owned(),
        1 => "There is 1 problem.".to_owned(),
        count => format!("There are {count} problems."),
    }
}
