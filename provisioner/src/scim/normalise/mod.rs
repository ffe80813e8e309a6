//! Every provider's spelling of a resource becomes ours, here. What comes out needs no second look: canonical names, typed
//! values, no null, nothing that the server alone writes.

mod body;
mod entries;
mod form;
mod members;
mod notes;
mod reference;
mod room;
mod rules;
#[cfg(test)]
mod tests;
mod value;

pub use members::{MAX_MEMBERS, MemberRef};
pub use notes::{Note, NoteKind, Notes};
pub use rules::{AttributeRule, AttributeRules, RuleError, Violation};

pub(super) use entries::{append, demote, is_hollow, is_primary, settle, unite};
pub(super) use members::too_many as too_many_members;
pub(super) use reference::{only_one_is_true, resolve};
pub(super) use value::{MAX_ENTRIES, Reader, is_base64, is_whole, too_long};

use serde_json::Value;

use super::schema::Mutability;
use super::stored::Stored;
use super::text::{name_fault, normal_key, unseen_fault};
use super::{Document, Profile, ResourceSchema, ScimError};
use rules::Change;

/// Under what a workspace reads resources of one type.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The schemas of the resource type.
    pub schema: &'a ResourceSchema,
    /// How much is forgiven.
    pub profile: Profile,
    /// The workspace's own rules.
    pub rules: &'a AttributeRules,
}

/// The resource that a write is about, as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Current<'a> {
    /// Its identifier.
    pub id: &'a str,
    /// Its attributes.
    pub document: &'a Document,
}

/// A user, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The user name as it was sent.
    pub user_name: String,
    /// The form in which it is unique in the workspace.
    pub user_name_key: String,
    /// The provider's identifier: opaque text, never a key of ours.
    pub external_id: Option<String>,
    /// Whether the person may sign in.
    pub active: bool,
    /// All attributes, those above too.
    pub document: Document,
    /// What the log should say.
    pub notes: Notes,
}

/// A group, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The name.
    pub display_name: String,
    /// The provider's identifier: opaque text, never a key of ours.
    pub external_id: Option<String>,
    /// All attributes but the members.
    pub document: Document,
    /// The members; `None` where the request does not speak of them, and they stay as they are.
    pub members: Option<Vec<MemberRef>>,
    /// What the log should say.
    pub notes: Notes,
}

/// Reads the body of a POST, or of a PUT where there is a `current` user.
pub fn user(body: Value, context: &Context<'_>, current: Option<Current<'_>>) -> Result<User, ScimError> {
    let read = body::read(body, context, current)?;
    let stored = current.map(|current| Stored::read(current.document, context.schema));
    finish_user(read.document, context, stored.as_ref(), read.notes)
}

/// Reads the body of a POST, or of a PUT where there is a `current` group.
pub fn group(body: Value, context: &Context<'_>, current: Option<Current<'_>>) -> Result<Group, ScimError> {
    let mut read = body::read(body, context, current)?;
    let members = match read.members {
        // A list of nothing empties the group; null and silence do not.
        Some(Value::Null) | None => None,
        Some(value) => Some(Reader { profile: context.profile, notes: &mut read.notes }.members(value)?),
    };
    let stored = current.map(|current| Stored::read(current.document, context.schema));
    finish_group(read.document, context, stored.as_ref(), read.notes).map(|group| Group { members, ..group })
}

/// The last look at a user before it is stored, after a POST, PUT or PATCH.
pub(super) fn finish_user(
    mut document: Document,
    context: &Context<'_>,
    stored: Option<&Stored>,
    mut notes: Notes,
) -> Result<User, ScimError> {
    let before = stored.map(|stored| &stored.seen);
    // A body without `active` neither lets anybody back in nor puts anybody out.
    let active = truth(&document, "active").or_else(|| truth(before?, "active")).unwrap_or(true);
    document.insert("active".to_owned(), active.into());
    not_too_many(&document)?;
    keep_immutable(before, &mut document, context.schema)?;
    context.rules.fill(&mut document, context.schema);
    context.rules.enforce(&Change { before, after: &document }, context.schema, &mut notes)?;

    let user_name = required_name(&document, "userName")?;
    if user_name.trim() != user_name {
        return Err(ScimError::InvalidValue("userName begins or ends with a space".into()));
    }
    nothing_unseen(before, "userName", &user_name)?;
    let external_id = optional_name(&document, "externalId")?;
    for email in document.get("emails").and_then(Value::as_array).into_iter().flatten() {
        if let Some(fault) = email.get("value").and_then(Value::as_str).and_then(name_fault) {
            return Err(ScimError::InvalidValue(format!("emails.value {fault}")));
        }
    }
    keep_unseen(stored, &mut document);
    match (room::check(&document, stored), stored) {
        (Ok(()), _) => Ok(User { user_name_key: normal_key(&user_name), user_name, external_id, active, document, notes }),
        (Err(_), Some(stored)) if !active && truth(&stored.seen, "active") == Some(true) => switched_off(stored, notes),
        (Err(full), _) => Err(full),
    }
}

/// A person is out whatever else the request wants: the record is as it was, but inactive.
fn switched_off(stored: &Stored, mut notes: Notes) -> Result<User, ScimError> {
    let mut document = stored.whole();
    document.insert("active".to_owned(), false.into());
    notes.add(NoteKind::NoRoom, "active");
    let (user_name, external_id) = (required_name(&document, "userName")?, optional_name(&document, "externalId")?);
    Ok(User { user_name_key: normal_key(&user_name), user_name, external_id, active: false, document, notes })
}

/// The last look at a group before it is stored, after a POST, PUT or PATCH.
pub(super) fn finish_group(
    mut document: Document,
    context: &Context<'_>,
    stored: Option<&Stored>,
    mut notes: Notes,
) -> Result<Group, ScimError> {
    let before = stored.map(|stored| &stored.seen);
    not_too_many(&document)?;
    keep_immutable(before, &mut document, context.schema)?;
    context.rules.fill(&mut document, context.schema);
    context.rules.enforce(&Change { before, after: &document }, context.schema, &mut notes)?;

    let display_name = required_name(&document, "displayName")?;
    nothing_unseen(before, "displayName", &display_name)?;
    let external_id = optional_name(&document, "externalId")?;
    keep_unseen(stored, &mut document);
    room::check(&document, stored)?;
    Ok(Group { display_name, external_id, document, members: None, notes })
}

fn keep_unseen(stored: Option<&Stored>, document: &mut Document) {
    if let Some(stored) = stored {
        stored.keep_unseen(document);
    }
}

fn truth(document: &Document, name: &str) -> Option<bool> {
    document.get(name).and_then(Value::as_bool)
}

fn required_name(document: &Document, name: &str) -> Result<String, ScimError> {
    optional_name(document, name)?.ok_or_else(|| ScimError::InvalidValue(format!("{name} is required")))
}

/// A name that is stored already stays, whatever is in it.
fn nothing_unseen(before: Option<&Document>, name: &str, value: &str) -> Result<(), ScimError> {
    let is_stored = before.and_then(|before| before.get(name)).is_some_and(|stored| stored == value);
    match unseen_fault(value).filter(|_| !is_stored) {
        Some(fault) => Err(ScimError::InvalidValue(format!("{name} {fault}"))),
        None => Ok(()),
    }
}

fn optional_name(document: &Document, name: &str) -> Result<Option<String>, ScimError> {
    let Some(value) = document.get(name).and_then(Value::as_str) else { return Ok(None) };
    match name_fault(value) {
        Some(fault) => Err(ScimError::InvalidValue(format!("{name} {fault}"))),
        None => Ok(Some(value.to_owned())),
    }
}

/// RFC 7644, section 3.5.1: an immutable value that is set stays, whether the request repeats it or not.
fn keep_immutable(before: Option<&Document>, after: &mut Document, schema: &ResourceSchema) -> Result<(), ScimError> {
    for extension in schema.extensions() {
        for attribute in extension.attributes.iter().filter(|attribute| attribute.mutability == Mutability::Immutable) {
            let old = before.and_then(|before| before.get(&extension.id)?.get(&attribute.name));
            let Some(old) = old else { continue };
            let new = edit_home(after, Some(&extension.id), |home| home.insert(attribute.name.clone(), old.clone()));
            if new.is_some_and(|new| new != *old) {
                return Err(ScimError::Mutability(format!("{} is set once and cannot change", attribute.name)));
            }
        }
    }
    Ok(())
}

/// Edits the object that holds the attributes of the core schema, or of an extension. An extension without any is not there.
pub(super) fn edit_home<T>(document: &mut Document, urn: Option<&str>, edit: impl FnOnce(&mut Document) -> T) -> T {
    let Some(urn) = urn else { return edit(document) };
    let mut home = match document.get_mut(urn).map(Value::take) {
        Some(Value::Object(home)) => home,
        Some(_) | None => Document::new(),
    };
    let result = edit(&mut home);
    if home.is_empty() {
        document.shift_remove(urn);
    } else {
        document.insert(urn.to_owned(), Value::Object(home));
    }
    result
}

/// A free-form extension has as many names as it is given.
fn not_too_many(document: &Document) -> Result<(), ScimError> {
    let crowded = document.iter().find(|(_, value)| value.as_object().is_some_and(|home| home.len() > MAX_ENTRIES));
    crowded.map_or(Ok(()), |(name, _)| Err(too_long(name)))
}
