//! What a command answers: one JSON object for programs, or short text for people, from one description. It prints nothing.

use std::fmt::Write as _;

use lockstep_shared::check::{Finding, all_well, lines};
use serde_json::{Map, Value, json};

/// What a command answers.
#[derive(Debug, Clone, Default)]
pub struct Output {
    body: Body,
    heading: String,
    blocks: Vec<Block>,
    warnings: Vec<String>,
    next: Vec<String>,
    has_failed: bool,
}

#[derive(Debug, Clone)]
enum Body {
    Object(Map<String, Value>),
    /// JSON lines, whatever the options say: an export.
    Lines(Vec<Value>),
}

impl Default for Body {
    fn default() -> Self {
        Self::Object(Map::new())
    }
}

#[derive(Debug, Clone)]
enum Block {
    Rows(Vec<(&'static str, String)>),
    Table(Vec<Vec<String>>),
    Findings(Vec<Finding>),
}

impl Output {
    /// An answer with these members; anything but an object has none.
    pub(super) fn of(value: Value) -> Self {
        let members = match value {
            Value::Object(members) => members,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
        };
        Self { body: Body::Object(members), ..Self::default() }
    }

    /// An answer of JSON lines.
    pub(super) fn lines(lines: Vec<Value>) -> Self {
        Self { body: Body::Lines(lines), ..Self::default() }
    }

    pub(super) fn heading(mut self, text: impl Into<String>) -> Self {
        self.heading = text.into();
        self
    }

    pub(super) fn rows(mut self, rows: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        self.blocks.push(Block::Rows(rows.into_iter().collect()));
        self
    }

    /// A table whose first line is its header; only the header means that there is nothing.
    pub(super) fn table(mut self, header: &[&str], lines: impl IntoIterator<Item = Vec<String>>) -> Self {
        let header = header.iter().map(|name| (*name).to_owned()).collect();
        self.blocks.push(Block::Table(std::iter::once(header).chain(lines).collect()));
        self
    }

    /// Findings; a problem among them fails the command.
    pub(super) fn findings(mut self, findings: Vec<Finding>) -> Self {
        self.has_failed |= !all_well(&findings);
        self.blocks.push(Block::Findings(findings));
        self
    }

    pub(super) fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    pub(super) fn warn_if(self, applies: bool, warning: impl FnOnce() -> String) -> Self {
        if applies { self.warn(warning()) } else { self }
    }

    pub(super) fn next(mut self, step: impl Into<String>) -> Self {
        self.next.push(step.into());
        self
    }

    pub(super) fn next_if(self, applies: bool, step: impl FnOnce() -> String) -> Self {
        if applies { self.next(step()) } else { self }
    }

    pub(super) fn member(mut self, name: &str, value: Value) -> Self {
        if let Body::Object(members) = &mut self.body {
            members.insert(name.to_owned(), value);
        }
        self
    }

    /// Whether the answer is that something is wrong: exit code 1.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// The answer as one JSON object; an export has none and is an array here.
    #[must_use]
    pub fn json(&self) -> Value {
        match &self.body {
            Body::Lines(lines) => Value::Array(lines.clone()),
            Body::Object(members) => {
                let mut members = members.clone();
                if !self.warnings.is_empty() {
                    members.insert("warnings".to_owned(), json!(self.warnings));
                }
                Value::Object(members)
            }
        }
    }

    /// The answer as it is printed, with a line feed at its end.
    #[must_use]
    pub fn render(&self, as_json: bool) -> String {
        match &self.body {
            Body::Lines(lines) => lines.iter().fold(String::new(), |text, line| format!("{text}{line}\n")),
            Body::Object(_) if as_json => format!("{}\n", self.json()),
            Body::Object(_) => self.text(),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.heading.is_empty() {
            let _ = writeln!(text, "{}", self.heading);
        }
        for block in &self.blocks {
            match block {
                Block::Rows(rows) => write_rows(&mut text, rows),
                Block::Table(lines) => write_table(&mut text, lines),
                Block::Findings(findings) => text.push_str(&lines(findings)),
            }
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "\nWarning: {warning}");
        }
        if !self.next.is_empty() {
            let _ = writeln!(text, "\nNext:");
        }
        for step in &self.next {
            let _ = writeln!(text, "  {step}");
        }
        text
    }
}

fn write_rows(text: &mut String, rows: &[(&'static str, String)]) {
    let width = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    for (label, value) in rows {
        let _ = writeln!(text, "  {label:width$}  {}", shown(value));
    }
}

fn write_table(text: &mut String, lines: &[Vec<String>]) {
    if lines.len() < 2 {
        let _ = writeln!(text, "  (none)");
        return;
    }
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{:width$}", shown(cell)));
        let _ = writeln!(text, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "-" } else { value }
}
