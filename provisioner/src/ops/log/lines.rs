//! Entries of the provisioning log as people and programs read them.

use std::sync::LazyLock;

use clap::Subcommand as _;
use lockstep_shared::{
    config::Program,
    id::WorkspaceId,
    model::{
        connection::Preset,
        provisioning::{Action, Entry},
    },
};
use serde_json::{Value, json};

use crate::{
    journal::{OAUTH_CLIENT, known_as},
    ops,
};

/// What the sentences of the log leave open: who it was, and the program that its reader types commands of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) provider: &'static str,
    pub(super) program: Program,
}

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

/// The first words of all commands.
static COMMANDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let all = ops::Command::augment_subcommands(clap::Command::new("all"));
    all.get_subcommands().map(|command| command.get_name().to_owned()).collect()
});

/// A text with its commands as they are typed: behind the program's name, with the workspace filled in.
fn runnable(text: &str, workspace: &WorkspaceId, program: Program) -> String {
    let text = text.replace("WORKSPACE", workspace.as_str());
    let is_command = |part: &str| part.split([' ', '`']).next().is_some_and(|word| COMMANDS.iter().any(|known| known == word));
    let mut parts = text.split('`');
    let mut typed = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        typed.push('`');
        if is_command(part) {
            typed.push_str(&program.to_string());
            typed.push(' ');
        }
        typed.push_str(part);
    }
    typed
}

/// What was wrong, as a whole sentence.
pub(super) fn sentence(entry: &Entry, words: Words) -> Option<String> {
    let sentence = runnable(entry.sentence.as_deref()?, &entry.workspace, words.program);
    let provider = words.provider;
    match entry.action() {
        Some(Action::Lost) => Some(sentence),
        // What names no client that is here may be anybody's, whatever it calls itself.
        Some(Action::TokenGrant) if !entry.detail.contains_key(OAUTH_CLIENT) => Some(format!("Somebody {sentence}")),
        // Requests without a good credential may be too.
        Some(Action::TurnedAway | Action::TokenGrant) if matches!(entry.status, 401) => {
            Some(format!("{} {}", known_as(&entry.client).unwrap_or("Somebody"), sentence))
        }
        _ => Some(format!("{} {}", known_as(&entry.client).unwrap_or(provider), sentence)),
    }
}

/// An entry in one line: what was wrong, or what changed.
pub(super) fn line(entry: &Entry, words: Words) -> Vec<String> {
    let count = entry.detail.get("count").and_then(Value::as_u64).filter(|count| *count > 1);
    let status = if entry.status == 0 { String::new() } else { entry.status.to_string() };
    let mut says = sentence(entry, words).unwrap_or_else(|| remarks(entry));
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
pub(super) fn describe(entry: &Entry, words: Words) -> Value {
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
        "sentence": sentence(entry, words),
        "detail": entry.detail,
        "people": entry.people,
    })
}

/// An entry in full.
pub(super) fn rows(entry: &Entry, words: Words) -> Vec<(&'static str, String)> {
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
        ("why", sentence(entry, words).unwrap_or_default()),
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
        ("OAuth client", list(OAUTH_CLIENT)),
        ("request", entry.request.clone()),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty() && value != " ms").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_a_sentence_can_be_typed_as_it_stands() {
        let beta = WorkspaceId::parse("beta").unwrap();
        let told = |text: &str| runnable(text, &beta, Program::Provisioner);

        for (stored, typed) in [
            ("run `scim guard WORKSPACE approve`, else stop", "run `provisioner scim guard beta approve`, else stop"),
            ("see `token list WORKSPACE`; `x`", "see `provisioner token list beta`; `x`"),
            ("raise `[provisioner] requests_per_second`", "raise `[provisioner] requests_per_second`"),
            (
                "userType is \"`\"; define it with `schema add WORKSPACE URN`",
                "userType is \"`\"; define it with `provisioner schema add beta URN`",
            ),
        ] {
            assert_eq!(told(stored), typed);
        }
    }
}
