//! What was refused, each thing once: a problem only as long as nothing was carried out since that solves it, and somebody has to act.

use std::collections::HashMap;

use lockstep_shared::{
    check::Finding,
    model::provisioning::{Action, Entry},
    store::LogCount,
};
use serde_json::Value;

use super::lines::{self, Words};
use crate::journal::NOTHING_TO_DO;

/// How many different refusals are told.
const DIFFERENT: usize = 5;

/// What has become of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It stands in the way still.
    Open,
    /// Nobody has to act on it, or accounts come in spite of it.
    Remark,
    /// Anybody could have caused it who knows the workspace's name: a remark, and never in the place of what is known.
    Strangers,
    /// The same was carried out later.
    Solved,
}

/// Whether the sentence says of itself that nobody has to act on it.
pub(super) fn is_harmless(entry: &Entry) -> bool {
    entry.sentence.as_deref().is_some_and(|sentence| sentence.contains(NOTHING_TO_DO))
}

/// Whether the same client was later successful with the same.
pub(super) fn is_done_since(entry: &Entry, counts: &[LogCount]) -> bool {
    let is_same = |count: &LogCount| count.action == entry.action && count.client == entry.client;
    counts.iter().any(|count| is_same(count) && count.is_success() && count.last_at > entry.at)
}

/// How many entries there are of an action that were carried out.
pub(super) fn carried_out(counts: &[LogCount], action: Action) -> u64 {
    counts.iter().filter(|count| count.action() == Some(action) && count.is_success()).map(|count| count.entries).sum()
}

/// How many requests an entry stands for.
pub(super) fn times(entry: &Entry) -> u64 {
    entry.detail.get("count").and_then(Value::as_u64).unwrap_or(1)
}

/// What the entries say that concern the question, as findings of this name, the most frequent first.
pub(super) fn each_once(
    name: &'static str,
    faults: &[Entry],
    words: Words,
    standing: impl Fn(&Entry) -> Option<Standing>,
) -> Vec<Finding> {
    let (mut open, mut remarks, mut strangers, mut solved) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for entry in faults {
        match standing(entry) {
            Some(Standing::Open) => open.push(entry),
            Some(Standing::Remark) => remarks.push(entry),
            Some(Standing::Strangers) => strangers.push(entry),
            Some(Standing::Solved) => solved += times(entry),
            None => {}
        }
    }
    let mut findings = told(name, &open, words, Finding::problem);
    findings.extend(told(name, &remarks, words, Finding::warning));
    findings.extend(told(name, &strangers, words, Finding::warning));
    if solved > 0 {
        findings.push(Finding::passed(name, format!("solved since: {solved} requests that were not carried out at first")));
    }
    findings
}

fn told(
    name: &'static str,
    entries: &[&Entry],
    words: Words,
    finding: fn(&'static str, String, String) -> Finding,
) -> Vec<Finding> {
    let mut kinds: HashMap<String, (u64, &Entry)> = HashMap::new();
    for entry in entries {
        let Some(sentence) = lines::sentence(entry, words) else { continue };
        let (count, last) = kinds.entry(sentence).or_insert((0, entry));
        *count += times(entry);
        if entry.at > last.at {
            *last = entry;
        }
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|(left_text, (left, _)), (right_text, (right, _))| right.cmp(left).then_with(|| left_text.cmp(right_text)));
    let others = kinds.split_off(kinds.len().min(DIFFERENT));
    let mut findings: Vec<Finding> = kinds
        .into_iter()
        .map(|(sentence, (count, last))| {
            let often = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            let fix = format!("for one of them whole: `{} log show {} {}`", words.program, last.workspace, last.id);
            finding(name, format!("{often}, last at {}: {sentence}", last.at), fix)
        })
        .collect();
    if let Some((_, (_, entry))) = others.first() {
        let requests: u64 = others.iter().map(|(_, (count, _))| count).sum();
        findings.push(finding(
            name,
            format!("{} further kinds, of {requests} requests, are not told here", others.len()),
            format!("for all of them: `{} log tail {} --refused --limit 10000`", words.program, entry.workspace),
        ));
    }
    findings
}
