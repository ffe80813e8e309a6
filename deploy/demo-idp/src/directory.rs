//! The company's directory: people, groups, and who is in which. Pure state with its rules; it knows nothing of SCIM or
//! OpenID, and it never forgets a person: people are switched off, as in a real directory.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::DirectoryError;

const MOST_PEOPLE: usize = 5_000;
const LONGEST_NAME: usize = 64;
const LONGEST_USER_NAME: usize = 128;

macro_rules! object_id {
    ($name:ident, $what:literal) => {
        #[doc = concat!("The directory's object id of a ", $what, ": it never changes, and is the `externalId` over SCIM.")]
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub(crate) fn fixed(id: &str) -> Self {
                Self(id.to_owned())
            }

            /// Reads the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

object_id!(PersonId, "person");
object_id!(GroupId, "group");

impl PersonId {
    fn random() -> Self {
        Self(Uuid::new_v4().to_string())
    }
}

/// A person of the company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The object id: claim `oid`, and `externalId` over SCIM.
    pub id: PersonId,
    /// What the person signs in with: claim `preferred_username`.
    pub user_name: String,
    /// The given name.
    pub given_name: String,
    /// The family name.
    pub family_name: String,
    /// The e-mail address, verified by the company.
    pub email: String,
    /// The job title, which may be empty.
    pub title: String,
    /// Whether the person may sign in at all.
    pub active: bool,
}

impl Person {
    /// Reads the name as people write it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name)
    }

    /// Tells whether a `login_hint`, or what somebody typed, means this person.
    #[must_use]
    pub fn answers_to(&self, key: &str) -> bool {
        self.id.as_str() == key || is_same_name(&self.user_name, key) || is_same_name(&self.email, key)
    }
}

/// A group of the company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The object id.
    pub id: GroupId,
    /// The name, unique in the directory.
    pub name: String,
    /// Who is in it; people who are switched off stay in.
    pub members: BTreeSet<PersonId>,
}

/// A person who is to be added.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// The given name.
    pub given_name: String,
    /// The family name.
    pub family_name: String,
    /// The user name; made of the names where it is empty.
    #[serde(default)]
    pub user_name: String,
    /// The job title, which may be empty.
    #[serde(default)]
    pub title: String,
    /// The groups, each by name or object id.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// All people and groups of one company.
#[derive(Debug, Clone)]
pub struct Directory {
    company: String,
    domain: String,
    people: Vec<Person>,
    groups: Vec<Group>,
}

impl Directory {
    /// Makes an empty directory; user names of added people end in the domain.
    #[must_use]
    pub fn new(company: &str, domain: &str) -> Self {
        Self { company: company.to_owned(), domain: domain.to_owned(), people: Vec::new(), groups: Vec::new() }
    }

    /// Reads the company's name.
    #[must_use]
    pub fn company(&self) -> &str {
        &self.company
    }

    /// Reads all people, in the order in which they came.
    #[must_use]
    pub fn people(&self) -> &[Person] {
        &self.people
    }

    /// Reads all groups.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Reads one person.
    #[must_use]
    pub fn person(&self, id: &PersonId) -> Option<&Person> {
        self.people.iter().find(|person| person.id == *id)
    }

    /// Reads one group.
    #[must_use]
    pub fn group(&self, id: &GroupId) -> Option<&Group> {
        self.groups.iter().find(|group| group.id == *id)
    }

    /// Finds a person by object id, user name or e-mail address.
    pub fn find(&self, key: &str) -> Result<&Person, DirectoryError> {
        self.people.iter().find(|person| person.answers_to(key)).ok_or_else(|| DirectoryError::NoPerson(key.to_owned()))
    }

    /// Finds a group by object id or name.
    pub fn find_group(&self, key: &str) -> Result<&Group, DirectoryError> {
        let found = self.groups.iter().find(|group| group.id.as_str() == key || is_same_name(&group.name, key));
        found.ok_or_else(|| DirectoryError::NoGroup(key.to_owned()))
    }

    /// Reads the groups that a person is in.
    pub fn groups_of(&self, id: &PersonId) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(move |group| group.members.contains(id))
    }

    /// Switches a person on or off.
    pub fn set_active(&mut self, id: &PersonId, active: bool) -> Result<(), DirectoryError> {
        let person = self.people.iter_mut().find(|person| person.id == *id);
        person.ok_or_else(|| DirectoryError::NoPerson(id.to_string()))?.active = active;
        Ok(())
    }

    /// Puts a person into exactly these groups, and returns the groups that gained or lost the person.
    pub fn set_groups(&mut self, id: &PersonId, keys: &[String]) -> Result<Vec<GroupId>, DirectoryError> {
        self.person(id).ok_or_else(|| DirectoryError::NoPerson(id.to_string()))?;
        let wanted = self.group_ids(keys)?;
        let mut changed = Vec::new();
        for group in &mut self.groups {
            let is_changed = if wanted.contains(&group.id) { group.members.insert(id.clone()) } else { group.members.remove(id) };
            if is_changed {
                changed.push(group.id.clone());
            }
        }
        Ok(changed)
    }

    /// Adds a person, active, and returns the new object id.
    pub fn add(&mut self, new: &NewPerson) -> Result<PersonId, DirectoryError> {
        let groups = self.group_ids(&new.groups)?;
        let person = self.admit(new)?;
        let id = person.id.clone();
        self.people.push(person);
        for group in self.groups.iter_mut().filter(|group| groups.contains(&group.id)) {
            group.members.insert(id.clone());
        }
        Ok(id)
    }

    pub(crate) fn insert(&mut self, person: Person) {
        self.people.push(person);
    }

    pub(crate) fn insert_group(&mut self, group: Group) {
        self.groups.push(group);
    }

    fn group_ids(&self, keys: &[String]) -> Result<BTreeSet<GroupId>, DirectoryError> {
        keys.iter().map(|key| self.find_group(key).map(|group| group.id.clone())).collect()
    }

    fn admit(&self, new: &NewPerson) -> Result<Person, DirectoryError> {
        if self.people.len() >= MOST_PEOPLE {
            return Err(DirectoryError::Full);
        }
        let given_name = name(&new.given_name, "the given name")?;
        let family_name = name(&new.family_name, "the family name")?;
        let title = if new.title.trim().is_empty() { String::new() } else { name(&new.title, "the title")? };
        let user_name = match new.user_name.trim() {
            "" => format!("{}.{}@{}", ascii(&given_name), ascii(&family_name), self.domain),
            given => given.to_owned(),
        };
        if !is_user_name(&user_name) {
            return Err(DirectoryError::BadUserName);
        }
        if self.people.iter().any(|person| person.answers_to(&user_name)) {
            return Err(DirectoryError::Taken(user_name));
        }
        Ok(Person { id: PersonId::random(), email: user_name.clone(), user_name, given_name, family_name, title, active: true })
    }
}

fn is_same_name(left: &str, right: &str) -> bool {
    left.to_lowercase() == right.trim().to_lowercase()
}

fn name(text: &str, field: &'static str) -> Result<String, DirectoryError> {
    let text = text.trim();
    let is_good = !text.is_empty() && text.chars().count() <= LONGEST_NAME && !text.chars().any(char::is_control);
    is_good.then(|| text.to_owned()).ok_or(DirectoryError::BadName { field })
}

/// A name that is written in no ASCII letter at all leaves an empty part, which `is_user_name` then refuses.
fn ascii(name: &str) -> String {
    name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect()
}

fn is_user_name(text: &str) -> bool {
    let is_part = |part: &str| {
        let is_edged = part.starts_with('.') || part.ends_with('.');
        !part.is_empty() && !is_edged && !part.chars().any(|c| c.is_whitespace() || c.is_control() || c == '@')
    };
    text.len() <= LONGEST_USER_NAME && text.split_once('@').is_some_and(|(local, domain)| is_part(local) && is_part(domain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::acme;

    fn new(given_name: &str, family_name: &str) -> NewPerson {
        NewPerson { given_name: given_name.into(), family_name: family_name.into(), ..NewPerson::default() }
    }

    #[test]
    fn an_added_person_gets_a_user_name_of_the_company() {
        let mut directory = acme();

        let id = directory.add(&NewPerson { groups: vec!["finance".into()], ..new("Zoe", "O'Neill") }).unwrap();

        assert_eq!(directory.person(&id).unwrap().user_name, "zoe.oneill@acme.example");
        assert_eq!(directory.groups_of(&id).map(|group| group.name.as_str()).collect::<Vec<_>>(), ["Finance"]);
    }

    #[test]
    fn what_is_no_person_is_refused_and_changes_nothing() {
        let mut directory = acme();
        let before = directory.people().len();
        let cases = [
            (new("", "Ng"), DirectoryError::BadName { field: "the given name" }),
            (new("A", &"x".repeat(65)), DirectoryError::BadName { field: "the family name" }),
            (new("A\u{7}", "Ng"), DirectoryError::BadName { field: "the given name" }),
            (new("花", "Ng"), DirectoryError::BadUserName),
            (NewPerson { user_name: "no domain".into(), ..new("A", "Ng") }, DirectoryError::BadUserName),
            (NewPerson { user_name: "a@b@c".into(), ..new("A", "Ng") }, DirectoryError::BadUserName),
            (new("ada", "OKAFOR"), DirectoryError::Taken("ada.okafor@acme.example".into())),
            (NewPerson { groups: vec!["Sales".into()], ..new("A", "Ng") }, DirectoryError::NoGroup("Sales".into())),
        ];

        for (person, error) in cases {
            assert_eq!(directory.add(&person), Err(error), "{person:?}");
        }

        assert_eq!(directory.people().len(), before);
    }

    #[test]
    fn a_move_names_only_the_groups_that_changed() {
        let mut directory = acme();
        let ada = directory.find("ada.okafor@acme.example").unwrap().id.clone();

        let changed = directory.set_groups(&ada, &["Engineering".into(), "Finance".into()]).unwrap();

        let names: Vec<_> = changed.iter().map(|id| directory.group(id).unwrap().name.as_str()).collect();
        assert_eq!(names, ["Finance", "Admins"]);
    }
}
