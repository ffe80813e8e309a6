//! What the commands on a workspace's demands share: one read, one audited edit, and how many people break a rule today.

use std::collections::BTreeMap;

use lockstep_shared::{
    id::WorkspaceId,
    model::audit::Actor,
    store::{EditError, PolicyEdit, Settlement, Store, StoreError},
};
use serde_json::{Value, json};

use super::{Context, OpsError};
use crate::{
    policy::{EditRefusal, Edited, Policy, PolicyDocument, PolicyError},
    scim::{Document, ResourceKind, normalise::Violation, stored::Stored},
    service::{group_document, user_document},
};

/// How many records are read at a time.
const STRETCH: u32 = 500;
/// The most records that a command looks through.
const LOOKED_AT_MOST: u64 = 200_000;
/// The most examples of one rule's violations.
const EXAMPLES: usize = 5;

pub(super) async fn read(context: &Context, workspace: &WorkspaceId) -> Result<Policy, OpsError> {
    context.workspace(workspace).await?;
    let (_, stored) = context.store().await?.scim_policy(workspace).await?.ok_or(StoreError::NotFound("workspace"))?;
    Policy::read(stored).map_err(|error| refused(workspace, error.into()))
}

/// Changes what the workspace asks for; `target` names in the audit trail what the change is about. `None`: it was so already. Where
/// apps see more or less of people by it, that is still to be settled.
pub(super) async fn edit(
    context: &Context,
    workspace: &WorkspaceId,
    action: &'static str,
    target: Value,
    change: impl FnOnce(PolicyDocument) -> Result<Edited, EditRefusal>,
) -> Result<Option<(Edited, Settlement)>, OpsError> {
    context.workspace(workspace).await?;
    let mut edited = None;
    let pure = |stored: Value| -> Result<Option<PolicyEdit>, EditRefusal> {
        let old: PolicyDocument = serde_json::from_value(stored).map_err(PolicyError::from)?;
        let new = change(old.clone())?;
        if new.document == old {
            return Ok(None);
        }
        let document = serde_json::to_value(&new.document).map_err(PolicyError::from)?;
        let detail = json!({ "target": target, "before": new.before, "after": new.after });
        edited = Some(new);
        Ok(Some(PolicyEdit { document, detail }))
    };
    let outcome = context.store().await?.edit_scim_policy(workspace, &Actor::operator(), action, pure).await;
    let settlement = outcome.map_err(|error| match error {
        EditError::Refused(refusal) => refused(workspace, refusal),
        EditError::Store(error) => error.into(),
    })?;
    Ok(edited.zip(settlement.map(|(_, settlement)| settlement)))
}

fn refused(workspace: &WorkspaceId, refusal: EditRefusal) -> OpsError {
    OpsError::Policy { workspace: workspace.clone(), refusal }
}

/// Who breaks the rules today. They stay as they are; a write is refused only in what it brings in.
#[derive(Debug, Default)]
pub(super) struct Violations {
    /// How many resources were looked at.
    pub(super) looked_at: u64,
    /// How many of them break a rule.
    pub(super) broken: u64,
    /// Whether there are more that were not looked at.
    pub(super) has_more: bool,
    /// By attribute: how many, and a few of them with the sentence that a provider would be told.
    pub(super) by_path: BTreeMap<String, (u64, Vec<(String, String)>)>,
}

impl Violations {
    fn add(&mut self, id: &str, violations: Vec<Violation>) {
        self.looked_at += 1;
        self.broken += u64::from(!violations.is_empty());
        for Violation { path, sentence } in violations {
            let (count, examples) = self.by_path.entry(path).or_default();
            *count += 1;
            if examples.len() < EXAMPLES {
                examples.push((id.to_owned(), sentence));
            }
        }
    }

    pub(super) fn describe(&self) -> Value {
        let by_path = self.by_path.iter().map(|(path, (count, examples))| {
            let examples: Vec<Value> = examples.iter().map(|(id, sentence)| json!({ "id": id, "sentence": sentence })).collect();
            json!({ "path": path, "count": count, "examples": examples })
        });
        json!({
            "looked_at": self.looked_at,
            "broken": self.broken,
            "complete": !self.has_more,
            "rules": by_path.collect::<Vec<_>>(),
        })
    }
}

/// Looks through the users who have access, or the groups.
pub(super) async fn violations(
    store: &Store,
    workspace: &WorkspaceId,
    policy: &Policy,
    kind: ResourceKind,
) -> Result<Violations, StoreError> {
    match kind {
        ResourceKind::User => of_users(store, workspace, policy).await,
        ResourceKind::Group => of_groups(store, workspace, policy).await,
    }
}

async fn of_users(store: &Store, workspace: &WorkspaceId, policy: &Policy) -> Result<Violations, StoreError> {
    let (mut found, mut last) = (Violations::default(), None);
    loop {
        let users = store.users_after(workspace, last.as_ref(), STRETCH).await?;
        for user in users.iter().filter(|user| user.profile.active) {
            found.add(user.id.as_str(), broken(policy, ResourceKind::User, &user_document(&user.profile)));
        }
        last = match users.last() {
            Some(user) if found.looked_at < LOOKED_AT_MOST => Some(user.id.clone()),
            Some(_) => return Ok(Violations { has_more: true, ..found }),
            None => return Ok(found),
        };
    }
}

async fn of_groups(store: &Store, workspace: &WorkspaceId, policy: &Policy) -> Result<Violations, StoreError> {
    let (mut found, mut last) = (Violations::default(), None);
    loop {
        let groups = store.groups_after(workspace, last.as_ref(), STRETCH).await?;
        for group in &groups {
            found.add(group.id.as_str(), broken(policy, ResourceKind::Group, &group_document(&group.profile)));
        }
        last = match groups.last() {
            Some(group) if found.looked_at < LOOKED_AT_MOST => Some(group.id.clone()),
            Some(_) => return Ok(Violations { has_more: true, ..found }),
            None => return Ok(found),
        };
    }
}

fn broken(policy: &Policy, kind: ResourceKind, document: &Document) -> Vec<Violation> {
    let schema = policy.schemas().of(kind);
    policy.document().rules(kind).violations(&Stored::read(document, schema).seen, schema)
}

/// Reads the name of a resource type.
pub(super) fn resource(text: &str) -> Result<ResourceKind, &'static str> {
    let known = [ResourceKind::User, ResourceKind::Group];
    known.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text)).ok_or("expected User or Group")
}

/// What people call resources of a type.
pub(super) fn plural(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::User => "users",
        ResourceKind::Group => "groups",
    }
}
