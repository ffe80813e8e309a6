//! Which statements must find their rows by an index, however many there are.

use super::{groups, members, quiet, tokens, users};

/// Names and texts of the statements that an identity provider's requests come down to. None of them may scan a table.
pub const INDEXED: &[(&str, &str)] = &[
    ("a credential and its workspace", tokens::BY_DIGEST),
    ("a user by id", users::ONE),
    ("a user by user name", users::BY_USER_NAME),
    ("a user by external id", users::BY_EXTERNAL_ID),
    ("users by address", users::BY_EMAIL),
    ("users behind an id", users::AFTER),
    ("the end of a user's access", users::ENDED),
    ("a user and the mapping", quiet::READ),
    ("a quiet change", quiet::CHANGE),
    ("a group by id", groups::ONE),
    ("a group by name", groups::BY_NAME),
    ("a group by external id", groups::BY_EXTERNAL_ID),
    ("groups by member", groups::BY_MEMBER),
    ("groups behind an id", groups::AFTER),
    ("the last change of a group", groups::CHANGED),
    ("members behind an id", members::OF_GROUP),
    ("whether there are more members", members::BEHIND),
    ("a member by id", members::NAMED),
    ("groups of a user", members::OF_USER),
];
