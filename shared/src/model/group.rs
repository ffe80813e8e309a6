//! The group: a group of the identity provider. Its members are rows of their own and are never loaded to be changed.

use std::collections::HashMap;

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
    /// Whether the id names nobody yet.
    pub is_pending: bool,
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

/// Everybody whose membership these steps may move; `None` if that is whoever is a member now.
#[must_use]
pub fn named(steps: &[MemberChange]) -> Option<Vec<&str>> {
    let mut ids = Vec::new();
    for step in steps {
        match step {
            MemberChange::Name(_) => {}
            MemberChange::Add(some) | MemberChange::Remove(some) => ids.extend(some.iter().map(String::as_str)),
            MemberChange::Replace(_) => return None,
        }
    }
    Some(ids)
}

/// Of those whose membership was moved by these steps, who is no member afterwards.
#[must_use]
pub fn taken_out<'i>(steps: &[MemberChange], moved: impl IntoIterator<Item = &'i String>) -> Vec<&'i str> {
    let mut is_member: HashMap<&str, bool> = HashMap::new();
    for step in steps {
        let (ids, stay) = match step {
            MemberChange::Name(_) => continue,
            MemberChange::Add(ids) => (ids, true),
            MemberChange::Remove(ids) => (ids, false),
            MemberChange::Replace(ids) => {
                is_member.clear();
                (ids, true)
            }
        };
        is_member.extend(ids.iter().map(|id| (id.as_str(), stay)));
    }
    moved.into_iter().map(String::as_str).filter(|id| !is_member.get(id).copied().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        text.chars().map(|id| id.to_string()).collect()
    }

    #[test]
    fn the_last_step_that_speaks_of_somebody_says_whether_they_are_out() {
        use MemberChange::{Add, Name, Remove, Replace};
        let table = [
            (vec![Remove(ids("ab"))], "ab", "ab"),
            (vec![Add(ids("ab"))], "ab", ""),
            (vec![Remove(ids("ab")), Add(ids("b"))], "ab", "a"),
            (vec![Add(ids("c")), Remove(ids("abc"))], "ab", "ab"),
            (vec![Replace(ids("xy"))], "abx", "ab"),
            (vec![Add(ids("a")), Replace(ids("x")), Remove(ids("y"))], "abxy", "aby"),
            (vec![Replace(Vec::new()), Add(ids("a")), Name(Vec::new())], "ab", "b"),
        ];

        for (steps, moved, out) in table {
            assert_eq!(taken_out(&steps, &ids(moved)), ids(out), "{steps:?}");
        }
    }
}
