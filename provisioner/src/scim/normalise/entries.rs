//! The entries of a multi-valued attribute (RFC 7643, section 2.4): which of them are the same one, which is primary, and which say
//! nothing.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::scim::Profile;
use crate::scim::schema::Attribute;
use crate::scim::text::normal_key;

/// What an entry is known by: its `type`, in one case, and its `value`.
type Identity<'v> = (Option<Cow<'v, str>>, &'v Value);

/// An entry that says what it would be for and has nothing: what is left when a provider removes `…].value`.
pub(in crate::scim) fn is_hollow(entry: &Value) -> bool {
    entry.as_object().is_some_and(|parts| parts.keys().all(|key| key == "type" || key == "primary"))
}

pub(in crate::scim) fn is_primary(entry: &Value) -> bool {
    entry.get("primary") == Some(&Value::Bool(true))
}

pub(in crate::scim) fn demote(entry: &mut Value) {
    if let Some(primary) = entry.get_mut("primary") {
        *primary = Value::Bool(false);
    }
}

/// Adds entries (RFC 7644, section 3.5.2.1). What is there already is there once, with what is said of it now; a new primary entry
/// takes the place of the old one. The list is to be united afterwards.
pub(in crate::scim) fn append(definition: &Attribute, profile: Profile, list: &mut Vec<Value>, more: Vec<Value>) {
    let known: HashSet<&Value> = list.iter().collect();
    let new: Vec<Value> = more.into_iter().filter(|entry| !known.contains(entry)).collect();
    if new.iter().any(is_primary) {
        list.iter_mut().for_each(demote);
    }
    let of_primary = new.iter().filter(|entry| entry.get("primary").is_some());
    let told: HashSet<Identity<'_>> = of_primary.filter_map(|entry| identity(definition, profile, entry)).collect();
    for entry in list.iter_mut() {
        let is_told = identity(definition, profile, entry).is_some_and(|known| told.contains(&known));
        if let Value::Object(parts) = entry
            && is_told
        {
            parts.shift_remove("primary");
        }
    }
    list.extend(new);
}

/// Makes one of the entries that have the same `type` and `value`, where the first of them is.
pub(in crate::scim) fn unite(definition: &Attribute, profile: Profile, list: &mut Vec<Value>) {
    let mut seen = HashMap::with_capacity(list.len());
    let firsts: Vec<usize> = list
        .iter()
        .enumerate()
        .map(|(at, entry)| identity(definition, profile, entry).map_or(at, |known| *seen.entry(known).or_insert(at)))
        .collect();
    if firsts.iter().enumerate().all(|(at, first)| at == *first) {
        return;
    }
    let mut united: Vec<Value> = Vec::with_capacity(list.len());
    let mut places = HashMap::with_capacity(list.len());
    for (entry, first) in list.drain(..).zip(firsts) {
        if let Some(known) = places.get(&first).and_then(|at: &usize| united.get_mut(*at)) {
            join(known, entry);
        } else {
            places.insert(first, united.len());
            united.push(entry);
        }
    }
    *list = united;
}

/// Nothing is there twice, and no more than one entry is primary. Tells whether more were.
pub(in crate::scim) fn settle(list: &mut Vec<Value>) -> bool {
    without_repetition(list);
    let others: Vec<&mut Value> = list.iter_mut().filter(|entry| is_primary(entry)).skip(1).collect();
    let demoted = !others.is_empty();
    others.into_iter().for_each(demote);
    without_repetition(list);
    demoted
}

fn identity<'v>(definition: &Attribute, profile: Profile, entry: &'v Value) -> Option<Identity<'v>> {
    let value = entry.get("value")?;
    // A role is had once, however it was told: Entra's three ways to send roles differ in what they say beside the `value`.
    if definition.name == "roles" && profile.is_lenient() {
        return Some((None, value));
    }
    Some((entry.get("type").and_then(Value::as_str).map(folded), value))
}

fn folded(text: &str) -> Cow<'_, str> {
    let is_folded = text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
    if is_folded { Cow::Borrowed(text) } else { Cow::Owned(normal_key(text)) }
}

/// The later word counts, but for `primary`: where two entries become one, the one of them that is primary stays so.
fn join(known: &mut Value, later: Value) {
    let was_primary = is_primary(known);
    let (Value::Object(known), Value::Object(later)) = (known, later) else { return };
    known.extend(later);
    if was_primary {
        known.insert("primary".to_owned(), true.into());
    }
}

fn without_repetition(list: &mut Vec<Value>) {
    let mut seen = HashSet::with_capacity(list.len());
    let mut is_new = list.iter().map(|entry| seen.insert(entry)).collect::<Vec<_>>().into_iter();
    list.retain(|_| is_new.next().unwrap_or(true));
}
