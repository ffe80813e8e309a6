//! Entries of the provisioning log as people and programs read them.

use lockstep_shared::model::{
    connection::Preset,
    provisioning::{Action, Entry},
};
use serde_json::{Value, json};

use crate::journal::known_as;

/// Whom the sentences of a workspace are about where the client does not say: its one kind of provider.
pub(super) fn provider(presets: &[Preset]) -> &'static str {
    let (Some(first), true) = (presets.first(), presets.windows(2).all(|pair| pair.first() == pair.last())) else {
        return SOMEBODY;
    };
    match first {
        Preset::Entra => "Microsoft Entra ID",
        Preset::Okta => "Okta",
        Preset::Google => "Google",
        Preset::OneLogin => "OneLogin",
        Preset::JumpCloud => "JumpCloud",
        Preset::Keycloak => "Keycloak",
        Preset::Generic => SOMEBODY,
    }
}

const SOMEBODY: &str = "The identity provider";

/// What was wrong, as a whole sentence.
pub(super) fn sentence(entry: &Entry, provider: &str) -> Option<String> {
    let sentence = entry.sentence.as_deref()?.replace("WORKSPACE", entry.workspace.as_str());
    match entry.action() {
        Some(Action::Lost) => Some(sentence),
        // Requests without a good credential may be anybody's.
        Some(Action::TurnedAway) if matches!(entry.status, 401) => {
            Some(format!("{} {}", known_as(&entry.client).unwrap_or("Somebody"), sentence))
        }
        _ => Some(format!("{} {}", known_as(&entry.client).unwrap_or(provider), sentence)),
    }
}

/// An entry in one line: what was wrong, or what changed.
pub(super) fn line(entry: &Entry, provider: &str) -> Vec<String> {
    let count = entry.detail.get("count").and_then(Value::as_u64).filter(|count| *count > 1);
    let status = if entry.status == 0 { String::new() } else { entry.status.to_string() };
    let mut says = sentence(entry, provider).unwrap_or_else(|| remarks(entry));
    if let Some(count) = count {
        says = format!("{count} times: {says}");
    }
    vec![entry.at.to_string(), entry.action.clone(), status, entry.outcome.to_string(), entry.target.clone(), says]
}

/// The header over lines.
pub(super) const HEADER: [&str; 6] = ["TIME", "WHAT", "STATUS", "OUTCOME", "WHOM", ""];

/// What an entry without a fault tells besides.
fn remarks(entry: &Entry) -> String {
    let mut parts = Vec::new();
    let text = |name: &str| entry.detail.get(name).and_then(Value::as_str);
    let number = |name: &str| entry.detail.get(name).and_then(Value::as_u64);
    if let Some(found) = number("found") {
        parts.push(format!("found {found}"));
    }
    parts.extend(text("filter").map(ToOwned::to_owned));
    if let Some(changed) = entry.detail.get("changed").and_then(Value::as_array) {
        parts.push(changed.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
    }
    if let Some(members) = entry.detail.get("members").and_then(Value::as_object) {
        let counts: Vec<String> = members.iter().map(|(what, count)| format!("{what} {count}")).collect();
        parts.push(format!("members: {}", counts.join(", ")));
    }
    if let Some(operations) = number("operations") {
        parts.push(format!("{operations} operations"));
    }
    let notes = entry.detail.get("notes").and_then(Value::as_array);
    parts.extend(notes.into_iter().flatten().filter_map(|note| note.get("text")?.as_str()).map(ToOwned::to_owned));
    parts.join("; ")
}

/// An entry for programs.
pub(super) fn describe(entry: &Entry, provider: &str) -> Value {
    json!({
        "id": entry.id,
        "workspace": entry.workspace,
        "at": entry.at.to_string(),
        "request": entry.request,
        "credential": entry.credential,
        "client": entry.client,
        "action": entry.action,
        "target": entry.target,
        "status": entry.status,
        "outcome": entry.outcome,
        "sentence": sentence(entry, provider),
        "detail": entry.detail,
        "people": entry.people,
    })
}

/// An entry in full.
pub(super) fn rows(entry: &Entry, provider: &str) -> Vec<(&'static str, String)> {
    let list = |name: &str| match entry.detail.get(name) {
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let notes = entry.detail.get("notes").and_then(Value::as_array);
    let notes: Vec<&str> = notes.into_iter().flatten().filter_map(|note| note.get("text")?.as_str()).collect();
    let all = [
        ("time", entry.at.to_string()),
        ("what", entry.action.clone()),
        ("outcome", format!("{} ({})", entry.outcome, entry.status)),
        ("why", sentence(entry, provider).unwrap_or_default()),
        ("whom", entry.target.clone()),
        ("external id", list("external_id")),
        ("filter", list("filter")),
        ("found", list("found")),
        ("changed", list("changed")),
        ("members", list("members")),
        ("people", entry.people.join(", ")),
        ("operations", list("operations")),
        ("count", list("count")),
        ("remarks", notes.join("; ")),
        ("took", format!("{} ms", list("took_ms"))),
        ("client", entry.client.clone()),
        ("credential", entry.credential.clone()),
        ("request", entry.request.clone()),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty() && value != " ms").collect()
}
