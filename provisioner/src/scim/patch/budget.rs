//! How much work one request may ask for. Each limit alone (operations, entries of a list, length of a filter) is generous;
//! their product would keep a core busy for minutes.

use crate::scim::ScimError;

/// Entries looked at, each once for every comparison of the filter that looks. No provider's request comes near it.
const MAX_WORK: usize = 50_000;

/// What a name in a value costs, in entries.
pub(super) const NAME: usize = 5;

/// As many names as are compared with another at the cost of an entry.
pub(super) const NAMES_AT_ONCE: usize = 50;

#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Self(MAX_WORK)
    }

    pub(super) fn spend(&mut self, work: usize) -> Result<(), ScimError> {
        self.0 = self
            .0
            .checked_sub(work)
            .ok_or_else(|| ScimError::TooLarge("the PATCH is too much work: send less at a time".into()))?;
        Ok(())
    }
}
