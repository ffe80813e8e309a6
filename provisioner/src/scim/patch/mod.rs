//! PATCH (RFC 7644, section 3.5.2) as providers really send it: each form of path, each spelling of a value, all or nothing.
//!
//! A group's members are not part of its document. Operations on them come out as a list that the store applies to its
//! rows in order, so that a change of one member costs the same in a group of any size.

mod apply;
mod budget;
mod members;
#[cfg(test)]
mod model;
#[cfg(test)]
mod reference;
mod steps;
#[cfg(test)]
mod tests;

pub use members::MemberOp;

use serde_json::{Map, Value};

use super::normalise::{self, Context, Current, Group, Notes, Reader, User};
use super::path::Path;
use super::stored::Stored;
use super::text::for_log;
use super::{Document, Profile, ScimError};
use apply::Editor;
use budget::Budget;
use steps::Step;

/// The schema of a PATCH body.
pub const PATCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The most operations of one request.
pub const MAX_OPERATIONS: usize = 1_000;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Adds to lists, merges into complex values, sets the rest.
    Add,
    /// Sets.
    Replace,
    /// Unassigns.
    Remove,
}

impl Op {
    /// The operation's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}

/// One operation as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What it does.
    pub op: Op,
    /// Where.
    pub path: Option<String>,
    /// With what; an explicit null is a value.
    pub value: Option<Value>,
}

/// The operations of one request, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchRequest {
    operations: Vec<Operation>,
    is_capitalised: bool,
}

/// A patched user.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchedUser {
    /// The user as it is to be stored.
    pub user: User,
    /// Whether anything is different.
    pub changed: bool,
}

/// A patched group.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchedGroup {
    /// The group as it is to be stored; its `members` is `None`.
    pub group: Group,
    /// Whether anything but the members is different.
    pub changed: bool,
    /// What to do to the members, in order.
    pub members: Vec<MemberOp>,
}

impl PatchRequest {
    /// Reads the body of a PATCH.
    pub fn parse(body: Value, profile: Profile) -> Result<Self, ScimError> {
        let Value::Object(mut body) = body else {
            return Err(ScimError::InvalidSyntax("the body must be a JSON object".into()));
        };
        let listed = take(&mut body, "schemas").is_some_and(|schemas| names_patch(&schemas));
        if !listed && !profile.is_lenient() {
            return Err(ScimError::InvalidSyntax(format!("schemas must list {PATCH_SCHEMA}")));
        }
        let Some(Value::Array(operations)) = take(&mut body, "Operations") else {
            return Err(ScimError::InvalidSyntax("Operations must be a list".into()));
        };
        if operations.is_empty() {
            return Err(ScimError::InvalidSyntax("Operations is empty".into()));
        }
        if operations.len() > MAX_OPERATIONS {
            return Err(ScimError::TooLarge(format!("a PATCH has at most {MAX_OPERATIONS} operations")));
        }
        let is_capitalised = operations.iter().all(is_capitalised);
        let operations = operations.into_iter().map(operation).collect::<Result<_, _>>()?;
        Ok(Self { operations, is_capitalised })
    }

    /// Tells whether the operations are written `Add`, `Replace` and `Remove`, as Entra's provisioning job does and nobody else.
    #[must_use]
    pub fn is_capitalised(&self) -> bool {
        self.is_capitalised
    }

    /// The operations.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
}

/// Adds what the body of a POST or PUT has under paths with a filter, as an operation without a path would.
pub(super) fn add_selected(
    document: &mut Document,
    selected: Vec<(Path<'_>, Value)>,
    profile: Profile,
    notes: &mut Notes,
) -> Result<(), ScimError> {
    let mut budget = Budget::new();
    for (path, value) in selected {
        let reader = Reader { profile, notes };
        Editor { document, reader, budget: &mut budget }.apply(Step { op: Op::Add, path, value: Some(value) })?;
    }
    Ok(())
}

/// Applies a PATCH to a user, or says why none of it is applied.
pub fn user(request: PatchRequest, context: &Context<'_>, current: Current<'_>) -> Result<PatchedUser, ScimError> {
    let stored = Stored::read(current.document, context.schema);
    let mut document = stored.seen.clone();
    let (mut notes, mut budget) = (Notes::default(), Budget::new());
    for operation in request.operations {
        for step in steps::of(operation, context, current.id, &mut notes, &mut budget)? {
            let reader = Reader { profile: context.profile, notes: &mut notes };
            Editor { document: &mut document, reader, budget: &mut budget }.apply(step)?;
        }
    }
    let user = normalise::finish_user(document, context, Some(&stored), notes)?;
    Ok(PatchedUser { changed: user.document != *current.document, user })
}

/// Applies a PATCH to a group, or says why none of it is applied. `current` has no members, and need not.
pub fn group(request: PatchRequest, context: &Context<'_>, current: Current<'_>) -> Result<PatchedGroup, ScimError> {
    let stored = Stored::read(current.document, context.schema);
    let mut document = stored.seen.clone();
    let (mut notes, mut budget) = (Notes::default(), Budget::new());
    let mut members = members::Plan::default();
    for operation in request.operations {
        for step in steps::of(operation, context, current.id, &mut notes, &mut budget)? {
            let mut reader = Reader { profile: context.profile, notes: &mut notes };
            match &step.path {
                Path::Attribute(target) if target.extension.is_none() && target.name == "members" => {
                    members.add(step.op, target, step.value, &mut reader)?;
                }
                Path::Attribute(_) | Path::Schema(_) => {
                    Editor { document: &mut document, reader, budget: &mut budget }.apply(step)?;
                }
            }
        }
    }
    let group = normalise::finish_group(document, context, Some(&stored), notes)?;
    Ok(PatchedGroup { changed: group.document != *current.document, group, members: members.into_operations() })
}

fn is_capitalised(operation: &Value) -> bool {
    let op = operation.as_object().and_then(|members| members.iter().find(|(name, _)| name.eq_ignore_ascii_case("op")));
    op.and_then(|(_, op)| op.as_str()).is_some_and(|op| op.starts_with(|first: char| first.is_ascii_uppercase()))
}

fn operation(item: Value) -> Result<Operation, ScimError> {
    let Value::Object(mut item) = item else {
        return Err(ScimError::InvalidSyntax("an operation must be an object".into()));
    };
    let op = match take(&mut item, "op") {
        Some(Value::String(op)) if op.eq_ignore_ascii_case("add") => Op::Add,
        Some(Value::String(op)) if op.eq_ignore_ascii_case("replace") => Op::Replace,
        Some(Value::String(op)) if op.eq_ignore_ascii_case("remove") => Op::Remove,
        Some(Value::String(op)) => {
            return Err(ScimError::InvalidSyntax(format!("{:?} is no operation: use add, replace or remove", for_log(&op))));
        }
        Some(_) | None => return Err(ScimError::InvalidSyntax("an operation needs op: add, replace or remove".into())),
    };
    let path = match take(&mut item, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(path)) if path.trim().is_empty() => None,
        Some(Value::String(path)) => Some(path),
        Some(_) => return Err(ScimError::InvalidPath("a path is text".into())),
    };
    Ok(Operation { op, path, value: take(&mut item, "value") })
}

fn names_patch(schemas: &Value) -> bool {
    let listed = schemas.as_array().into_iter().flatten().filter_map(Value::as_str);
    listed.into_iter().any(|urn| urn.eq_ignore_ascii_case(PATCH_SCHEMA))
}

/// A member by its name in any case (RFC 7643, section 2.1).
fn take(members: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let key = members.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    members.shift_remove(&key)
}
