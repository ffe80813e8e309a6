//! An operation becomes steps that each have one path: an operation without a path has one step for each name in its value.

use serde_json::Value;

use super::budget::{Budget, NAME};
use super::{Op, Operation};
use crate::scim::ScimError;
use crate::scim::normalise::{Context, NoteKind, Notes, Reader};
use crate::scim::path::{Path, PathError, Target};
use crate::scim::schema::{Mutability, Schema};

/// One change at one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step<'s> {
    pub(super) op: Op,
    pub(super) path: Path<'s>,
    pub(super) value: Option<Value>,
}

/// The steps of an operation on the resource `id`.
pub(super) fn of<'s>(
    operation: Operation,
    context: &Context<'s>,
    id: &str,
    notes: &mut Notes,
    budget: &mut Budget,
) -> Result<Vec<Step<'s>>, ScimError> {
    let reader = Reader { profile: context.profile, notes };
    let mut steps = Steps { context, id, reader, budget, op: operation.op, done: Vec::new() };
    match operation.path {
        Some(path) => steps.at(&path, operation.value)?,
        None => steps.without_path(operation.value)?,
    }
    Ok(steps.done)
}

struct Steps<'c, 's, 'n> {
    context: &'c Context<'s>,
    id: &'c str,
    reader: Reader<'n>,
    budget: &'n mut Budget,
    op: Op,
    done: Vec<Step<'s>>,
}

impl<'s> Steps<'_, 's, '_> {
    fn at(&mut self, text: &str, value: Option<Value>) -> Result<(), ScimError> {
        match Path::parse(text, self.context.schema, self.context.profile) {
            Ok(Path::Attribute(target)) if target.definition.mutability == Mutability::ReadOnly => {
                Err(ScimError::Mutability(format!("{} is read-only", target.name)))
            }
            Ok(Path::Schema(schema)) => self.whole_schema(schema, value),
            Ok(path) => {
                self.step(path, value);
                Ok(())
            }
            // Failing an unmapped attribute would hold up everything else that the provider has to say of the person.
            Err(PathError::Unknown) => self.reader.unknown(text),
            Err(PathError::Refused(error)) => Err(error),
        }
    }

    fn without_path(&mut self, value: Option<Value>) -> Result<(), ScimError> {
        if self.op == Op::Remove {
            return Err(ScimError::NoTarget("remove needs a path".into()));
        }
        if !self.context.profile.is_lenient() {
            return Err(ScimError::InvalidSyntax("an operation needs a path".into()));
        }
        let Some(Value::Object(members)) = value else {
            return Err(ScimError::InvalidSyntax("an operation without a path needs an object as its value".into()));
        };
        self.budget.spend(members.len() * NAME)?;
        for (key, value) in members {
            self.keyed(&key, value)?;
        }
        Ok(())
    }

    /// A name in the value of an operation without a path: an attribute, a dotted path, a URN, a path with a filter.
    fn keyed(&mut self, key: &str, value: Value) -> Result<(), ScimError> {
        if key.eq_ignore_ascii_case("schemas") {
            return Ok(());
        }
        match Path::parse(key, self.context.schema, self.context.profile) {
            Ok(Path::Attribute(target)) if target.definition.mutability == Mutability::ReadOnly => {
                self.read_only(&target.name, &value)
            }
            Ok(Path::Schema(schema)) => self.whole_schema(schema, Some(value)),
            Ok(path) => {
                self.step(path, Some(value));
                Ok(())
            }
            Err(PathError::Unknown) if self.context.schema.is_stem(key) => self.stem(key, value),
            Err(PathError::Unknown) => self.reader.unknown(key),
            Err(PathError::Refused(error)) => Err(error),
        }
    }

    /// A provider takes what stands behind the last colon for an attribute, also where it belongs to the schema's URN.
    fn stem(&mut self, stem: &str, value: Value) -> Result<(), ScimError> {
        let Value::Object(members) = value else { return self.reader.unknown(stem) };
        self.budget.spend(members.len() * NAME)?;
        members.into_iter().try_for_each(|(key, value)| self.keyed(&format!("{stem}:{key}"), value))
    }

    /// The attributes of a schema together. The strict profile replaces all of an extension, the lenient one what is named.
    fn whole_schema(&mut self, schema: &'s Schema, value: Option<Value>) -> Result<(), ScimError> {
        let is_core = schema.id == self.context.schema.core().id;
        let sole = value.as_ref().filter(|_| self.context.profile.is_lenient()).and_then(|value| schema.means_sole(value));
        if let Some(sole) = sole {
            let path = Target { extension: Some(schema), name: sole.name.clone(), definition: sole, filter: None, sub: None };
            self.step(Path::Attribute(path), value);
            return Ok(());
        }
        let removal = Step { op: Op::Remove, path: Path::Schema(schema), value: None };
        match (self.op, value) {
            (Op::Remove, _) | (Op::Add | Op::Replace, Some(Value::Null)) if !is_core => self.done.push(removal),
            (Op::Remove, _) => return Err(ScimError::Mutability("the core attributes cannot all be removed".into())),
            (Op::Add | Op::Replace, Some(Value::Object(members))) => {
                if self.op == Op::Replace && !is_core && !self.context.profile.is_lenient() {
                    self.done.push(removal);
                }
                self.budget.spend(members.len() * NAME)?;
                for (key, value) in members {
                    self.member_of(schema, &key, value)?;
                }
            }
            (Op::Add | Op::Replace, _) => return Err(ScimError::InvalidValue(format!("{} must be an object", schema.id))),
        }
        Ok(())
    }

    fn member_of(&mut self, schema: &Schema, key: &str, value: Value) -> Result<(), ScimError> {
        if key.eq_ignore_ascii_case("schemas") {
            return Ok(());
        }
        let qualified = format!("{}:{key}", schema.id);
        match Path::parse(&qualified, self.context.schema, self.context.profile) {
            Ok(Path::Attribute(target)) if target.definition.mutability == Mutability::ReadOnly => {
                self.read_only(&target.name, &value)
            }
            Ok(Path::Attribute(target)) => {
                self.step(Path::Attribute(target), Some(value));
                Ok(())
            }
            Ok(Path::Schema(_)) | Err(PathError::Unknown) => self.reader.unknown(&qualified),
            Err(PathError::Refused(error)) => Err(error),
        }
    }

    /// Okta sends the group's `id` along with its new name.
    fn read_only(&mut self, name: &str, value: &Value) -> Result<(), ScimError> {
        let other_id = name == "id" && value.as_str() != Some(self.id);
        if other_id || !self.context.profile.is_lenient() {
            return Err(ScimError::Mutability(format!("{name} is given by the server and cannot change")));
        }
        if !matches!(name, "id" | "meta" | "groups") {
            self.reader.notes.add(NoteKind::ReadOnly, name);
        }
        Ok(())
    }

    fn step(&mut self, path: Path<'s>, value: Option<Value>) {
        self.done.push(Step { op: self.op, path, value });
    }
}
