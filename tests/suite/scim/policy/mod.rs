//! What products ask of their customers' providers, over HTTP: schemas of their own, rules, the strict profile, and the import of
//! the people who are there already.

mod extensions;
mod import;
mod replicas;
mod rules;
mod strict;

use super::{Company, ENTERPRISE, GROUP, PATCH, USER, body, found, on_each_database, patch, refusal, user};

const FOLDERS: &str = "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName";
const METADATA: &str = "urn:ietf:params:scim:schemas:extension:2.0:Metadata";

impl Company {
    /// Runs an operator's command on this workspace: `ask(&["schema", "add"], &["URN"])`.
    async fn ask(&self, command: &[&str], more: &[&str]) -> serde_json::Value {
        let words: Vec<&str> = command.iter().copied().chain([self.id.as_str()]).chain(more.iter().copied()).collect();
        self.command(&words).await
    }
}
