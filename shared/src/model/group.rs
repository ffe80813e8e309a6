//! The group: a group of the identity provider. Its members are rows of their own and are never loaded to be changed.

use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    id::{GroupId, WorkspaceId},
    model::revocation::Seq,
};

/// What the caller says of a group, without its members. `attributes` leaves out what has a field here, and `id`, `meta`,
/// `schemas` and `members`.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupProfile {
    /// Unique in the workspace, without regard to case (Entra demands it).
    pub display_name: String,
    /// The provider's own name of the group: opaque, unique in the workspace.
    pub external_id: Option<String>,
    /// All other attributes.
    pub attributes: Map<String, Value>,
}

/// A group of the identity provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Ours, random, never used again.
    pub id: GroupId,
    /// What the directory says.
    pub profile: GroupProfile,
    /// Counts the changes of the record and of its membership, for entity tags.
    pub version: i64,
    /// The revocation that last told the members' sessions to read their groups again; zero if none did.
    pub changed_seq: Seq,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When the record or its membership last changed.
    pub updated_at: Timestamp,
}

/// One member, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// A user's or a group's id. It may name nobody yet: a provider may send a membership before the person.
    pub id: String,
    /// What the provider called it when it was added, else the person's or group's name; `None` while the id names nobody.
    pub display: Option<String>,
    /// Whether it is a group within the group.
    pub is_group: bool,
}

/// One step of a change of membership; steps are carried out in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberChange {
    /// What the provider calls members (id, name) that a later step adds. It changes nothing by itself.
    Name(Vec<(String, String)>),
    /// These are members from now on.
    Add(Vec<String>),
    /// These are no members from now on; whoever was none stays none.
    Remove(Vec<String>),
    /// Exactly these are members from now on.
    Replace(Vec<String>),
}

impl MemberChange {
    /// Whether somebody who is a member may be none afterwards.
    #[must_use]
    pub fn takes_away(&self) -> bool {
        match self {
            Self::Name(_) | Self::Add(_) => false,
            Self::Remove(_) | Self::Replace(_) => true,
        }
    }
}
