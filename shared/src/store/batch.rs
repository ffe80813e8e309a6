//! Statements over a list of a fixed length: prepared once, whatever the list. A shorter list is filled up with its last.

/// `$first, …`: so many parameters.
pub(super) fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// The list at its full length.
pub(super) fn filled<'t>(ids: &'t [&'t str], length: usize) -> impl Iterator<Item = &'t str> {
    ids.iter().chain(ids.last().into_iter().cycle()).take(length).copied()
}
