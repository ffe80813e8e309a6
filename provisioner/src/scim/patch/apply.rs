//! One step on a document. What the document is afterwards as a whole is judged later, in `normalise`.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Op;
use super::budget::{self, Budget};
use super::steps::Step;
use crate::scim::filter::Filter;
use crate::scim::normalise::{
    MAX_ENTRIES, NoteKind, Reader, append, demote, edit_home, is_hollow, is_primary, only_one_is_true, resolve, settle, too_long,
    unite,
};
use crate::scim::path::{Path, Target};
use crate::scim::schema::{Attribute, Mutability};
use crate::scim::text::{for_log, normal_key};
use crate::scim::{Document, ScimError};

pub(super) struct Editor<'d, 'n> {
    pub(super) document: &'d mut Document,
    pub(super) reader: Reader<'n>,
    pub(super) budget: &'n mut Budget,
}

impl Editor<'_, '_> {
    pub(super) fn apply(mut self, step: Step<'_>) -> Result<(), ScimError> {
        let target = match step.path {
            Path::Schema(schema) => {
                let home = self.document.get(&schema.id).and_then(Value::as_object);
                let kept = schema.attributes.iter().find(|attribute| {
                    attribute.mutability == Mutability::Immutable && home.is_some_and(|home| home.contains_key(&attribute.name))
                });
                if let Some(kept) = kept {
                    return Err(set_once(&kept.name));
                }
                self.document.shift_remove(&schema.id);
                return Ok(());
            }
            Path::Attribute(target) => target,
        };
        if let Some(refusal) = self.not_ours_to_write(&target) {
            return refusal;
        }
        let value = match (step.op, step.value) {
            (Op::Add | Op::Replace, None) => {
                return Err(ScimError::InvalidValue(format!("{} {} needs a value", step.op.word(), target.name)));
            }
            (_, value) => value.unwrap_or_default(),
        };
        let urn = target.extension.map(|schema| schema.id.as_str());
        let target = self.as_kept(target)?;
        let before = edit_home(self.document, urn, |home| home.get_mut(&target.name).map(Value::take));
        let was_there = before.is_some();
        let entries = before.as_ref().and_then(Value::as_array).map_or(0, Vec::len);
        self.budget.spend(entries * target.filter.as_ref().map_or(1, Filter::comparisons))?;
        let after = match (&target.filter, target.sub) {
            (Some(filter), _) => self.entries(step.op, &target, filter, before, value)?,
            (None, Some(sub)) => self.part(step.op, &target, sub, before, value)?,
            (None, None) => self.whole(step.op, &target, before, value)?,
        };
        // A PUT that leaves it out says nothing of it; this step says that it is to go.
        if was_there && after.is_none() && target.definition.mutability == Mutability::Immutable {
            return Err(set_once(&target.name));
        }
        // What an extension requires is a rule, which a person who leaves need not follow.
        if after.is_none() && target.definition.required && target.extension.is_none() {
            return Err(match step.op {
                Op::Remove => ScimError::Mutability(format!("{} is required and cannot be removed", target.name)),
                Op::Add | Op::Replace => ScimError::InvalidValue(format!("{} is required and cannot be empty", target.name)),
            });
        }
        if after.is_some() && !was_there {
            self.has_room(&target)?;
        }
        edit_home(self.document, urn, |home| match after {
            Some(after) => {
                home.insert(target.name.clone(), after);
            }
            None => {
                home.shift_remove(&target.name);
            }
        });
        Ok(())
    }

    /// A free-form extension has no canonical spelling but the one that is there, which is looked for among all that are.
    fn as_kept<'s>(&mut self, target: Target<'s>) -> Result<Target<'s>, ScimError> {
        let Some(schema) = target.extension.filter(|_| target.definition.is_free_form()) else { return Ok(target) };
        let Some(home) = self.document.get(&schema.id).and_then(Value::as_object) else { return Ok(target) };
        self.budget.spend(home.len().div_ceil(budget::NAMES_AT_ONCE))?;
        Ok(match home.keys().find(|key| key.eq_ignore_ascii_case(&target.name)) {
            Some(kept) => Target { name: kept.clone(), ..target },
            None => target,
        })
    }

    /// One name more than there may be is refused at once: each further one would be looked for among all before it.
    fn has_room(&self, target: &Target<'_>) -> Result<(), ScimError> {
        let Some(schema) = target.extension.filter(|_| target.definition.is_free_form()) else { return Ok(()) };
        let names = self.document.get(&schema.id).and_then(Value::as_object).map_or(0, Map::len);
        if names < MAX_ENTRIES { Ok(()) } else { Err(too_long(&schema.id)) }
    }

    fn not_ours_to_write(&mut self, target: &Target<'_>) -> Option<Result<(), ScimError>> {
        // What the schemas of a resource are follows from what it has.
        if target.extension.is_none() && target.name == "schemas" {
            return Some(Ok(()));
        }
        match target.sub.map_or(target.definition.mutability, |sub| sub.mutability) {
            Mutability::ReadOnly => Some(Err(ScimError::Mutability(format!("{} is read-only", named(target))))),
            Mutability::WriteOnly if !self.reader.profile.is_lenient() => Some(self.reader.unknown(&named(target))),
            Mutability::WriteOnly => {
                self.reader.notes.add(NoteKind::NotKept, &target.name);
                Some(Ok(()))
            }
            Mutability::ReadWrite | Mutability::Immutable => None,
        }
    }

    /// The attribute itself.
    fn whole(&mut self, op: Op, target: &Target<'_>, before: Option<Value>, value: Value) -> Result<Option<Value>, ScimError> {
        let definition = target.definition;
        if op == Op::Remove {
            return self.removal(target, before, value);
        }
        let is_forgiven = self.reader.profile.is_lenient() && !definition.multi_valued;
        let value = match value {
            Value::Array(items) if is_forgiven && matches!(items.as_slice(), [Value::Object(_)]) => single(items.into()),
            value => value,
        };
        if merges(op, definition, self.reader.profile.is_lenient())
            && let Value::Object(parts) = value
        {
            return self.merged(target, before, parts);
        }
        let new = self.reader.attribute(&target.name, definition, value)?;
        match (op, before, new) {
            (Op::Add, Some(Value::Array(mut list)), Some(Value::Array(more))) if definition.multi_valued => {
                append(definition, self.reader.profile, &mut list, more);
                self.checked(target, list)
            }
            // Adding nothing to a list is no removal.
            (Op::Add, before, None) if definition.multi_valued => Ok(before),
            (_, _, new) => Ok(new),
        }
    }

    /// RFC 7644 removes all of it. Entra lists what is to go in the value, and everybody who did not look lost whole groups.
    fn removal(&mut self, target: &Target<'_>, before: Option<Value>, value: Value) -> Result<Option<Value>, ScimError> {
        if value.is_null() || !target.definition.multi_valued {
            return Ok(None);
        }
        if !self.reader.profile.is_lenient() {
            return Err(ScimError::InvalidSyntax("remove has no value".into()));
        }
        let listed = self.reader.attribute(&target.name, target.definition, value)?;
        let listed = listed.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let Some(Value::Array(mut list)) = before else { return Ok(before) };
        let gone: HashSet<Meant<'_>> = listed.iter().map(|entry| Meant::of(entry, target.definition)).collect();
        list.retain(|entry| !gone.contains(&Meant::of(entry, target.definition)));
        Ok((!list.is_empty()).then_some(Value::Array(list)))
    }

    /// Sub-attributes that are not named stay (RFC 7644, sections 3.5.2.1 and 3.5.2.3).
    fn merged(
        &mut self,
        target: &Target<'_>,
        before: Option<Value>,
        parts: Map<String, Value>,
    ) -> Result<Option<Value>, ScimError> {
        let mut merged = before;
        for (key, value) in parts {
            match target.definition.sub(&key) {
                Some(sub) if matches!(sub.mutability, Mutability::ReadOnly | Mutability::WriteOnly) => {}
                Some(sub) => merged = self.part(Op::Replace, target, sub, merged, value)?,
                None => self.reader.unknown(&format!("{}.{key}", target.name))?,
            }
        }
        Ok(merged)
    }

    /// A sub-attribute: of the value, or of every entry of a list.
    fn part(
        &mut self,
        op: Op,
        target: &Target<'_>,
        sub: &Attribute,
        before: Option<Value>,
        value: Value,
    ) -> Result<Option<Value>, ScimError> {
        let new = self.part_value(op, target, sub, value)?;
        if !target.definition.multi_valued {
            let mut parts = before.and_then(into_object).unwrap_or_default();
            put(&mut parts, &sub.name, new);
            only_one_is_true(target.definition, &sub.name, &mut parts);
            resolve(&target.name, target.definition, &mut parts)?;
            return Ok((!parts.is_empty()).then_some(Value::Object(parts)));
        }
        let mut list = before.map(into_list).unwrap_or_default();
        if list.is_empty() && new.is_some() {
            list.push(Value::Object(Map::new()));
        }
        for entry in &mut list {
            put_into(entry, &sub.name, new.clone());
        }
        self.checked(target, list)
    }

    /// The entries of a list that a filter selects.
    fn entries(
        &mut self,
        op: Op,
        target: &Target<'_>,
        filter: &Filter,
        before: Option<Value>,
        value: Value,
    ) -> Result<Option<Value>, ScimError> {
        let list = before.map(into_list).unwrap_or_default();
        let selected: Vec<bool> = list.iter().map(|entry| filter.matches(entry)).collect();
        if !selected.contains(&true) {
            return self.no_entry(op, target, filter, list, value);
        }
        let mut entries: Vec<(Value, bool)> = list.into_iter().zip(selected).collect();
        match (op, target.sub) {
            (Op::Remove, None) => entries.retain(|(_, selected)| !selected),
            (_, Some(sub)) => {
                let new = self.part_value(op, target, sub, value)?;
                for (entry, _) in entries.iter_mut().filter(|(_, selected)| *selected) {
                    put_into(entry, &sub.name, new.clone());
                }
            }
            (Op::Add | Op::Replace, None) => match self.reader.entry(&target.name, target.definition, single(value))? {
                None => entries.retain(|(_, selected)| !selected),
                Some(new) => {
                    let lenient = self.reader.profile.is_lenient();
                    for (entry, _) in entries.iter_mut().filter(|(_, selected)| *selected) {
                        *entry = renewed(op, entry.take(), new.clone(), filter, lenient);
                    }
                }
            },
        }
        one_primary(&mut entries);
        self.checked(target, entries.into_iter().map(|(entry, _)| entry).collect())
    }

    /// Entra expects an entry to be made that the filter would have selected (RFC 7644 would have an error).
    fn no_entry(
        &mut self,
        op: Op,
        target: &Target<'_>,
        filter: &Filter,
        mut list: Vec<Value>,
        value: Value,
    ) -> Result<Option<Value>, ScimError> {
        let lenient = self.reader.profile.is_lenient();
        let no_target = || ScimError::NoTarget(format!("no entry of {} satisfies the path's filter", target.name));
        match op {
            Op::Remove if lenient => {
                self.reader.notes.add(NoteKind::NoMatch, &named(target));
                return self.checked(target, list);
            }
            Op::Replace if !lenient => return Err(no_target()),
            Op::Remove => return Err(no_target()),
            Op::Add | Op::Replace => {}
        }
        let made = match target.sub {
            Some(sub) => {
                self.part_value(op, target, sub, value)?.map(|value| Value::Object(Map::from_iter([(sub.name.clone(), value)])))
            }
            None => self.reader.entry(&target.name, target.definition, single(value))?,
        };
        let Some(made) = made else { return self.checked(target, list) };
        let made = with_equalities(made, filter);
        if !filter.matches(&made) {
            return Err(no_target());
        }
        append(target.definition, self.reader.profile, &mut list, vec![made]);
        self.checked(target, list)
    }

    /// A list as it may be stored: no empty entry, none twice, at most one primary, not too long.
    fn checked(&self, target: &Target<'_>, mut list: Vec<Value>) -> Result<Option<Value>, ScimError> {
        list.retain(|entry| !entry.is_null() && !is_hollow(entry));
        unite(target.definition, self.reader.profile, &mut list);
        settle(&mut list);
        if list.len() > MAX_ENTRIES {
            return Err(too_long(&target.name));
        }
        Ok((!list.is_empty()).then_some(Value::Array(list)))
    }

    fn part_value(&mut self, op: Op, target: &Target<'_>, sub: &Attribute, value: Value) -> Result<Option<Value>, ScimError> {
        if op == Op::Remove {
            return Ok(None);
        }
        self.reader.attribute(&format!("{}.{}", target.name, sub.name), sub, value)
    }
}

fn set_once(name: &str) -> ScimError {
    ScimError::Mutability(format!("{name} is set once and cannot be removed"))
}

/// Whether an object is merged into a value that is there. One that has a `value` (a manager) is replaced: what else is
/// known of the old one is not true of the new one.
fn merges(op: Op, definition: &Attribute, lenient: bool) -> bool {
    definition.is_complex() && !definition.multi_valued && definition.sub("value").is_none() && (op == Op::Add || lenient)
}

/// After entries were changed: where one of them is primary now, nothing else is.
fn one_primary(entries: &mut [(Value, bool)]) {
    if entries.iter().any(|(entry, selected)| *selected && is_primary(entry)) {
        let untouched = entries.iter_mut().filter(|(_, selected)| !selected);
        untouched.for_each(|(entry, _)| demote(entry));
    }
}

/// A selected entry after `add` or `replace` of the whole of it.
fn renewed(op: Op, old: Value, new: Value, filter: &Filter, lenient: bool) -> Value {
    match (op, old, new) {
        (Op::Add, Value::Object(mut old), Value::Object(new)) => {
            old.extend(new);
            Value::Object(old)
        }
        // An entry that lost the type it was found by would be made anew by the provider's next update.
        (_, _, new) if lenient => with_equalities(new, filter),
        (_, _, new) => new,
    }
}

fn with_equalities(entry: Value, filter: &Filter) -> Value {
    match entry {
        Value::Object(mut parts) => {
            for (name, value) in filter.equalities() {
                parts.entry(name).or_insert(value);
            }
            Value::Object(parts)
        }
        plain => plain,
    }
}

/// What a listed entry is recognised by: its `value` where it has one, else all of it.
#[derive(PartialEq, Eq, Hash)]
enum Meant<'v> {
    Value(String),
    Whole(&'v Value),
}

impl<'v> Meant<'v> {
    fn of(entry: &'v Value, definition: &Attribute) -> Self {
        let value = entry.get("value").and_then(Value::as_str);
        let exact = definition.sub("value").is_some_and(|value| value.case_exact);
        value.map_or(Self::Whole(entry), |value| Self::Value(if exact { value.to_owned() } else { normal_key(value) }))
    }
}

/// A list of one where one entry is asked for.
fn single(value: Value) -> Value {
    match value {
        Value::Array(mut items) if items.len() < 2 => items.pop().unwrap_or_default(),
        value => value,
    }
}

fn put(parts: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            parts.insert(name.to_owned(), value);
        }
        None => {
            parts.shift_remove(name);
        }
    }
}

fn put_into(entry: &mut Value, name: &str, value: Option<Value>) {
    if let Value::Object(parts) = entry {
        put(parts, name, value);
    }
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(parts) => Some(parts),
        _ => None,
    }
}

fn into_list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        Value::Null => Vec::new(),
        single => vec![single],
    }
}

fn named(target: &Target<'_>) -> String {
    let sub = target.sub.map(|sub| format!(".{}", sub.name)).unwrap_or_default();
    for_log(&format!("{}{sub}", target.name))
}
