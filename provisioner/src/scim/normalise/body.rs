//! The body of a POST or PUT, member by member.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::notes::{NoteKind, Notes};
use super::value::{MAX_ENTRIES, Reader, too_long, twice};
use super::{Context, Current, edit_home};
use crate::scim::path::{Path, PathError, without_filter};
use crate::scim::schema::{Attribute, Found, Mutability, Schema};
use crate::scim::{Document, ResourceKind, ScimError, patch};

/// What a body says, before the last look.
pub(super) struct Read {
    pub(super) document: Document,
    /// The members as they were sent, null included.
    pub(super) members: Option<Value>,
    pub(super) notes: Notes,
}

pub(super) fn read(body: Value, context: &Context<'_>, current: Option<Current<'_>>) -> Result<Read, ScimError> {
    let Value::Object(body) = body else {
        return Err(ScimError::InvalidSyntax("the body must be a JSON object".into()));
    };
    let mut notes = Notes::default();
    let mut reading = Reading {
        context,
        current,
        document: Document::new(),
        members: None,
        listed: Vec::new(),
        assigned: HashSet::new(),
        nulls: Vec::new(),
        selected: Vec::new(),
        reader: Reader { profile: context.profile, notes: &mut notes },
    };
    not_too_many(&body)?;
    reading.schemas(&body)?;
    for (key, value) in body {
        reading.member(&key, value)?;
    }
    reading.retain();
    let Reading { mut document, members, selected, .. } = reading;
    patch::add_selected(&mut document, selected, context.profile, &mut notes)?;
    Ok(Read { document, members, notes })
}

struct Reading<'a, 'n> {
    context: &'a Context<'a>,
    current: Option<Current<'a>>,
    document: Document,
    members: Option<Value>,
    /// The schemas that the body says it has.
    listed: Vec<&'a str>,
    /// What was said, in one case, null included: saying it twice is refused.
    assigned: HashSet<(Option<&'a str>, String, Option<&'a str>)>,
    /// What was said to be null.
    nulls: Vec<String>,
    /// What was said of entries of a list, to be added when the lists are there.
    selected: Vec<(Path<'a>, Value)>,
    reader: Reader<'n>,
}

impl<'a> Reading<'a, '_> {
    /// RFC 7643, section 3: the schemas are listed. Providers forget it, mistype it, or list one of SCIM 1.
    fn schemas(&mut self, body: &Map<String, Value>) -> Result<(), ScimError> {
        let listed = body.iter().find(|(key, _)| key.eq_ignore_ascii_case("schemas")).map(|(_, value)| value);
        let listed: Vec<&str> = listed.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let (schema, lenient) = (self.context.schema, self.context.profile.is_lenient());
        for urn in &listed {
            if let Some(Found::Schema(known)) = schema.find(urn, self.context.profile) {
                self.listed.push(&known.id);
                continue;
            }
            let is_understood = lenient && (schema.is_stem(urn) || schema.find_attribute(urn, self.context.profile).is_some());
            if !is_understood {
                self.reader.unknown(urn_or(urn))?;
            }
        }
        self.is_listed(schema.core())
    }

    /// RFC 7643, section 3.3: `schemas` names every extension that the body has. Entra leaves a workspace's own ones out.
    fn is_listed(&self, schema: &Schema) -> Result<(), ScimError> {
        if self.context.profile.is_lenient() || self.listed.contains(&schema.id.as_str()) {
            return Ok(());
        }
        Err(ScimError::InvalidSyntax(format!("schemas must list {}", schema.id)))
    }

    fn member(&mut self, key: &str, value: Value) -> Result<(), ScimError> {
        if key.eq_ignore_ascii_case("schemas") {
            return Ok(());
        }
        if key.eq_ignore_ascii_case("id") {
            return self.identifier(&value);
        }
        let lenient = self.context.profile.is_lenient();
        match self.context.schema.find(key, self.context.profile) {
            Some(Found::Schema(schema)) => self.schema(schema, value),
            Some(Found::Attribute { extension, definition, name, sub }) if lenient || is_plain(extension, sub) => {
                if extension.is_some() && !key.contains(':') {
                    self.reader.notes.add(NoteKind::Unqualified, key);
                }
                self.assign(extension, name, definition, sub, value)
            }
            None if lenient && key.contains('[') => self.select(key, value),
            None if lenient && self.context.schema.is_stem(key) => self.stem(key, value),
            Some(Found::Attribute { .. }) | None => self.reader.unknown(key),
        }
    }

    /// Entra's `emails[type eq "work"].value` where a mapping's target was taken for a member's name: PATCH knows it too.
    fn select(&mut self, key: &str, value: Value) -> Result<(), ScimError> {
        match Path::parse(key, self.context.schema, self.context.profile) {
            Ok(Path::Attribute(target)) if target.definition.mutability == Mutability::ReadOnly => self.read_only(&target.name),
            Ok(Path::Attribute(target)) if self.is_members(target.extension.map(|schema| &*schema.id), &target.name) => {
                self.reader.unknown(key)
            }
            Ok(Path::Schema(_)) | Err(PathError::Unknown) => self.reader.unknown(key),
            Ok(path) => {
                self.selected.extend((!value.is_null()).then_some((path, value)));
                Ok(())
            }
            Err(PathError::Refused(_)) => self.no_path(key),
        }
    }

    /// Text with a bracket that is no path is a name that no schema has. A mapping's slip must not keep somebody out.
    fn no_path(&mut self, key: &str) -> Result<(), ScimError> {
        let name = without_filter(key);
        if self.context.schema.find(&name, self.context.profile).is_some() {
            self.reader.notes.add(NoteKind::NoName, &name);
            return Ok(());
        }
        self.reader.unknown(&name)
    }

    fn is_members(&self, urn: Option<&str>, name: &str) -> bool {
        urn.is_none() && name == "members" && self.context.schema.kind() == ResourceKind::Group
    }

    /// A provider takes what stands behind the last colon for an attribute, also where it belongs to the schema's URN.
    fn stem(&mut self, stem: &str, value: Value) -> Result<(), ScimError> {
        let Value::Object(members) = value else { return self.reader.unknown(stem) };
        not_too_many(&members)?;
        members.into_iter().try_for_each(|(key, value)| self.member(&format!("{stem}:{key}"), value))
    }

    fn schema(&mut self, schema: &'a Schema, value: Value) -> Result<(), ScimError> {
        if let Some(sole) = schema.means_sole(&value).filter(|_| self.context.profile.is_lenient()) {
            return self.assign(Some(schema), &sole.name, sole, None, value);
        }
        let Value::Object(members) = value else {
            return if value.is_null() {
                Ok(())
            } else {
                Err(ScimError::InvalidValue(format!("{} must be an object", schema.id)))
            };
        };
        self.is_listed(schema)?;
        not_too_many(&members)?;
        for (key, value) in members {
            if key.eq_ignore_ascii_case("schemas") {
                continue;
            }
            let qualified = format!("{}:{key}", schema.id);
            match self.context.schema.find(&qualified, self.context.profile) {
                Some(Found::Attribute { extension, definition, name, sub }) => {
                    self.assign(extension, name, definition, sub, value)?;
                }
                Some(Found::Schema(_)) | None => self.reader.unknown_in(schema, &qualified)?,
            }
        }
        Ok(())
    }

    fn assign(
        &mut self,
        extension: Option<&'a Schema>,
        name: &str,
        definition: &'a Attribute,
        sub: Option<&'a Attribute>,
        value: Value,
    ) -> Result<(), ScimError> {
        match definition.mutability {
            Mutability::ReadOnly => return self.read_only(name),
            // RFC 7643 has a `password` and the schemas here have none (decision `not-offered`), so it is as unknown as any other name.
            Mutability::WriteOnly if !self.context.profile.is_lenient() => return self.reader.unknown(name),
            Mutability::WriteOnly => {
                self.reader.notes.add(NoteKind::NotKept, name);
                return Ok(());
            }
            Mutability::ReadWrite | Mutability::Immutable => {}
        }
        // What the schemas of a resource are follows from what it has, also for who writes the name under the core schema's URN.
        if extension.is_none() && name == "schemas" {
            return Ok(());
        }
        let urn = extension.map(|schema| schema.id.as_str());
        let said = (urn, name.to_ascii_lowercase(), sub.map(|sub| sub.name.as_str()));
        if self.assigned.contains(&said) {
            // Entra's own URN and the mistyped one of its documentation stand side by side: what has a value counts.
            let is_spelled_twice = urn.is_some() && self.context.profile.is_lenient();
            if is_spelled_twice && value.is_null() {
                return Ok(());
            }
            if !is_spelled_twice || has(&self.document, urn, name) {
                return Err(twice(&urn.map_or_else(|| name.to_owned(), |urn| format!("{urn}:{name}"))));
            }
        }
        self.assigned.insert(said);
        if value.is_null() {
            self.nulls.push(name.to_owned());
        }
        if self.is_members(urn, name) {
            self.members = Some(value);
            return Ok(());
        }
        // `name.givenName` as a member's name is `{"name": {"givenName": …}}`.
        let value = match sub {
            Some(sub) => Value::Object(Map::from_iter([(sub.name.clone(), value)])),
            None => value,
        };
        let Some(value) = self.reader.attribute(name, definition, value)? else { return Ok(()) };
        edit_home(&mut self.document, urn, |home| {
            match (home.get_mut(name), value) {
                (Some(Value::Object(parts)), Value::Object(more)) => put_parts(parts, more, sub),
                (_, value) => {
                    home.insert(name.to_owned(), value);
                }
            }
            // A schema whose URN is written in many ways is one: each may bring no more than all together.
            if urn.is_none() { Ok(()) } else { not_too_many(home) }
        })
    }

    /// The server gives the identifier. Okta sends it back on PUT; another one would be another resource.
    fn identifier(&self, value: &Value) -> Result<(), ScimError> {
        match (self.current, value) {
            (Some(current), Value::String(id)) if id != current.id => {
                Err(ScimError::Mutability("id is given by the server and cannot change".into()))
            }
            (Some(_), _) | (None, Value::Null) => Ok(()),
            (None, _) if self.context.profile.is_lenient() => Ok(()),
            (None, _) => Err(ScimError::Mutability("id is given by the server".into())),
        }
    }

    fn read_only(&mut self, name: &str) -> Result<(), ScimError> {
        if !self.context.profile.is_lenient() {
            return Err(ScimError::Mutability(format!("{name} is read-only")));
        }
        // Every Okta body has groups and every Entra body has meta: that is no news.
        if !matches!(name, "meta" | "groups") {
            self.reader.notes.add(NoteKind::ReadOnly, name);
        }
        Ok(())
    }

    /// What a replacement does not remove by leaving it out: JumpCloud's short PUT has no externalId and a null for emails,
    /// and both are what a person is recognised by.
    fn retain(&mut self) {
        let Some(current) = self.current.filter(|_| self.context.profile.is_lenient()) else { return };
        let said = |name: &str| self.assigned.iter().any(|(urn, said, _)| urn.is_none() && said.eq_ignore_ascii_case(name));
        let retained = [("externalId", !said("externalId")), ("emails", self.nulls.iter().any(|name| name == "emails"))];
        for (name, keep) in retained {
            if let Some(value) = current.document.get(name).filter(|_| keep) {
                self.document.insert(name.to_owned(), value.clone());
                self.reader.notes.add(NoteKind::Retained, name);
            }
        }
    }
}

fn not_too_many(members: &Map<String, Value>) -> Result<(), ScimError> {
    if members.len() > MAX_ENTRIES { Err(too_long("the resource")) } else { Ok(()) }
}

/// What follows from a part that is said (a manager's `value` from the `$ref`) is less than what is said.
fn put_parts(parts: &mut Map<String, Value>, more: Map<String, Value>, said: Option<&Attribute>) {
    for (name, value) in more {
        if said.is_none_or(|said| said.name == name) {
            parts.insert(name, value);
        } else {
            parts.entry(name).or_insert(value);
        }
    }
}

/// Whether an extension's attribute has a value, in any case of its name.
fn has(document: &Document, urn: Option<&str>, name: &str) -> bool {
    let home = urn.and_then(|urn| document.get(urn)).and_then(Value::as_object);
    home.is_some_and(|home| home.keys().any(|known| known.eq_ignore_ascii_case(name)))
}

fn is_plain(extension: Option<&Schema>, sub: Option<&Attribute>) -> bool {
    extension.is_none() && sub.is_none()
}

fn urn_or(urn: &str) -> &str {
    if urn.is_empty() { "urn:" } else { urn }
}
