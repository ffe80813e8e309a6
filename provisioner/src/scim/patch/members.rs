//! What a PATCH does to a group's members, as instructions to whoever has the rows.

use serde_json::Value;

use super::Op;
use crate::scim::ScimError;
use crate::scim::filter::Filter;
use crate::scim::normalise::{MAX_MEMBERS, MemberRef, NoteKind, Reader, too_many_members};
use crate::scim::path::Target;

/// One instruction. They are to be followed in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberOp {
    /// Adds those who are not in yet.
    Add(Vec<MemberRef>),
    /// Removes these identifiers; whoever is not in is not missed.
    Remove(Vec<String>),
    /// Removes the members that the filter selects.
    RemoveWhere(Filter),
    /// Makes these, and nobody else, the members.
    ReplaceAll(Vec<MemberRef>),
    /// Removes everybody. It is an instruction of its own, since a guard may want to ask back.
    Clear,
}

/// The instructions so far, and how many members they name.
#[derive(Debug, Default)]
pub(super) struct Plan {
    operations: Vec<MemberOp>,
    named: usize,
}

impl Plan {
    pub(super) fn add(
        &mut self,
        op: Op,
        target: &Target<'_>,
        value: Option<Value>,
        reader: &mut Reader<'_>,
    ) -> Result<(), ScimError> {
        match (&target.filter, target.sub) {
            (None, None) => self.whole(op, value, reader),
            (Some(filter), None) => self.selected(op, filter, value, reader),
            // Taking a member's identifier away leaves no member.
            (Some(filter), Some(sub)) if op == Op::Remove && sub.name == "value" && reader.profile.is_lenient() => {
                self.remove_where(filter)
            }
            (Some(_) | None, Some(sub)) if sub.name == "display" && reader.profile.is_lenient() => {
                reader.notes.add(NoteKind::ReadOnly, "members.display");
                Ok(())
            }
            (Some(_) | None, Some(sub)) => {
                Err(ScimError::Mutability(format!("members.{} cannot change: remove the member and add another", sub.name)))
            }
        }
    }

    pub(super) fn into_operations(self) -> Vec<MemberOp> {
        self.operations
    }

    fn whole(&mut self, op: Op, value: Option<Value>, reader: &mut Reader<'_>) -> Result<(), ScimError> {
        match (op, value) {
            (Op::Remove, None | Some(Value::Null)) => self.operations.push(MemberOp::Clear),
            (Op::Remove, Some(_)) if !reader.profile.is_lenient() => {
                return Err(ScimError::InvalidSyntax("remove has no value".into()));
            }
            (Op::Remove, Some(value)) => {
                let members = self.counted(value, reader)?;
                self.remove(members.into_iter().map(|member| member.value).collect());
            }
            (Op::Add | Op::Replace, None) => return Err(ScimError::InvalidValue(format!("{} members needs a value", op.word()))),
            (Op::Add, Some(value)) => {
                let members = self.counted(value, reader)?;
                if !members.is_empty() {
                    self.operations.push(MemberOp::Add(members));
                }
            }
            (Op::Replace, Some(value)) => {
                let members = self.counted(value, reader)?;
                self.operations.push(MemberOp::ReplaceAll(members));
            }
        }
        Ok(())
    }

    fn selected(&mut self, op: Op, filter: &Filter, value: Option<Value>, reader: &mut Reader<'_>) -> Result<(), ScimError> {
        if op == Op::Remove {
            return self.remove_where(filter);
        }
        if op == Op::Replace {
            self.remove_where(filter)?;
        }
        self.whole(Op::Add, Some(value.unwrap_or_default()), reader)
    }

    fn remove_where(&mut self, filter: &Filter) -> Result<(), ScimError> {
        match filter.as_one_of("value") {
            Some(values) => {
                self.count(values.len())?;
                self.remove(values.into_iter().map(ToOwned::to_owned).collect());
            }
            None => self.operations.push(MemberOp::RemoveWhere(filter.clone())),
        }
        Ok(())
    }

    fn remove(&mut self, values: Vec<String>) {
        if !values.is_empty() {
            self.operations.push(MemberOp::Remove(values));
        }
    }

    fn counted(&mut self, value: Value, reader: &mut Reader<'_>) -> Result<Vec<MemberRef>, ScimError> {
        let members = reader.members(value)?;
        self.count(members.len())?;
        Ok(members)
    }

    fn count(&mut self, more: usize) -> Result<(), ScimError> {
        self.named += more;
        if self.named > MAX_MEMBERS { Err(too_many_members()) } else { Ok(()) }
    }
}
