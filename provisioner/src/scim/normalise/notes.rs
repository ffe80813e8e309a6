//! What was understood differently from what was written, for the provisioning log. Names of attributes alone, no values.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::scim::text::for_log;

/// A request with more surprises than this has one cause, and the log has room for other requests.
const MAX_NOTES: usize = 50;

/// What happened to an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// No schema of the workspace knows the attribute.
    UnknownAttribute,
    /// No schema of the workspace has the URN.
    UnknownSchema,
    /// Only the server writes the attribute.
    ReadOnly,
    /// The attribute is never kept (a password).
    NotKept,
    /// An entry of the list was empty.
    EmptyEntry,
    /// More than one entry of the list was primary; the first is.
    SecondPrimary,
    /// The request would have unassigned what must not be lost by omission.
    Retained,
    /// The path selected no entry.
    NoMatch,
    /// The attribute was sent without its extension's URN.
    Unqualified,
    /// A free-form extension was sent a name that none can be.
    NoName,
    /// The value of a text was a number.
    NumberAsText,
    /// A rule of the workspace was not applied, since the person has no access.
    RuleWaived,
    /// The record had no room for what came with the end of the person's access.
    NoRoom,
}

impl NoteKind {
    /// A stable word for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownAttribute => "unknown_attribute",
            Self::UnknownSchema => "unknown_schema",
            Self::ReadOnly => "read_only",
            Self::NotKept => "not_kept",
            Self::EmptyEntry => "empty_entry",
            Self::SecondPrimary => "second_primary",
            Self::Retained => "retained",
            Self::NoMatch => "no_match",
            Self::Unqualified => "unqualified",
            Self::NoName => "no_name",
            Self::NumberAsText => "number_as_text",
            Self::RuleWaived => "rule_waived",
            Self::NoRoom => "no_room",
        }
    }
}

/// One remark on one attribute. Its text is for the admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What happened.
    pub kind: NoteKind,
    /// The attribute as it was sent.
    pub attribute: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.attribute;
        match self.kind {
            NoteKind::UnknownAttribute => write!(f, "{name} was ignored: no schema of this workspace has it"),
            NoteKind::UnknownSchema => write!(f, "{name} was ignored: this workspace has no such schema"),
            NoteKind::ReadOnly => write!(f, "{name} was ignored: it is read-only"),
            NoteKind::NotKept => write!(f, "{name} was ignored: Lockstep never keeps it"),
            NoteKind::EmptyEntry => write!(f, "an empty entry of {name} was ignored"),
            NoteKind::SecondPrimary => write!(f, "{name} had more than one primary entry: the first one is primary"),
            NoteKind::Retained => write!(f, "{name} was kept: a replacement that leaves it out does not remove it"),
            NoteKind::NoMatch => write!(f, "{name} selected nothing: there was nothing to remove"),
            NoteKind::Unqualified => write!(f, "{name} was taken for an extension's attribute: the mapping lacks its URN"),
            NoteKind::NoName => write!(f, "{name} was ignored: the name cannot be a SCIM attribute name"),
            NoteKind::NumberAsText => write!(f, "{name} came as a number and was kept as its text"),
            NoteKind::RuleWaived => write!(f, "the rule on {name} was not applied: the person is inactive"),
            NoteKind::NoRoom => write!(f, "of this request only {name} was taken over: the record would have become too large"),
        }
    }
}

impl Serialize for Note {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut note = serializer.serialize_struct("Note", 3)?;
        note.serialize_field("code", self.kind.code())?;
        note.serialize_field("attribute", &self.attribute)?;
        note.serialize_field("text", &self.to_string())?;
        note.end()
    }
}

/// The remarks on one request, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Notes(Vec<Note>);

impl Notes {
    /// Adds a remark, unless it is there or there are too many.
    pub fn add(&mut self, kind: NoteKind, attribute: &str) {
        let note = Note { kind, attribute: for_log(attribute) };
        if self.0.len() < MAX_NOTES && !self.0.contains(&note) {
            self.0.push(note);
        }
    }

    /// The remarks in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Note> {
        self.0.iter()
    }

    /// Tells whether there is nothing to remark.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'n> IntoIterator for &'n Notes {
    type Item = &'n Note;
    type IntoIter = std::slice::Iter<'n, Note>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
