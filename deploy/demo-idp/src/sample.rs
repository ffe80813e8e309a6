//! The sample company. Its object ids are fixed, so that a walk-through reads the same each time.

use std::collections::BTreeSet;

use crate::directory::{Directory, Group, GroupId, Person, PersonId};

const DOMAIN: &str = "acme.example";

/// (object id, given name, family name, user name, title)
const PEOPLE: [(&str, &str, &str, &str, &str); 6] = [
    ("6f1d2c1e-0b7a-4c55-9d0e-3a4f8e21a001", "Ada", "Okafor", "ada.okafor", "Head of platform"),
    ("6f1d2c1e-0b7a-4c55-9d0e-3a4f8e21a002", "Kenji", "Watanabe", "kenji.watanabe", "Backend engineer"),
    ("6f1d2c1e-0b7a-4c55-9d0e-3a4f8e21a003", "Priya", "Raman", "priya.raman", "Finance lead"),
    ("6f1d2c1e-0b7a-4c55-9d0e-3a4f8e21a004", "Lucía", "Fernández", "lucia.fernandez", "Frontend engineer"),
    ("6f1d2c1e-0b7a-4c55-9d0e-3a4f8e21a005", "Tomasz", "Nowak", "tomasz.nowak", "Controller"),
    ("6f1d2c1e-0b7a-4c55-9d0e-3a4f8e21a006", "Amina", "Haddad", "amina.haddad", "IT administrator"),
];

/// (object id, name, members by user name)
const GROUPS: [(&str, &str, &[&str]); 3] = [
    ("b27c9a40-5f3e-4e0b-8d61-77d1c0de0001", "Engineering", &["ada.okafor", "kenji.watanabe", "lucia.fernandez"]),
    ("b27c9a40-5f3e-4e0b-8d61-77d1c0de0002", "Finance", &["priya.raman", "tomasz.nowak"]),
    ("b27c9a40-5f3e-4e0b-8d61-77d1c0de0003", "Admins", &["ada.okafor", "amina.haddad"]),
];

/// Makes the directory of Acme: six people in three groups.
#[must_use]
pub fn acme() -> Directory {
    let mut directory = Directory::new("Acme", DOMAIN);
    for (id, given, family, local, title) in PEOPLE {
        let user_name = format!("{local}@{DOMAIN}");
        directory.insert(Person {
            id: PersonId::fixed(id),
            email: user_name.clone(),
            user_name,
            given_name: given.to_owned(),
            family_name: family.to_owned(),
            title: title.to_owned(),
            active: true,
        });
    }
    for (id, name, members) in GROUPS {
        let is_member = |person: &&Person| members.iter().any(|local| person.user_name == format!("{local}@{DOMAIN}"));
        let members: BTreeSet<_> = directory.people().iter().filter(is_member).map(|person| person.id.clone()).collect();
        directory.insert_group(Group { id: GroupId::fixed(id), name: name.to_owned(), members });
    }
    directory
}
