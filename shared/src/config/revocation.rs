//! `[revocation]`: how long a gateway may answer from what it knows.

use std::time::Duration;

use super::{reader::Section, values::format_duration};

/// `[revocation]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// How long a gateway may go without the database, which is also the longest that a deactivation takes when a gateway
    /// is cut off. Between 3 and 45 s, well under the 60 s for which providers wait.
    pub lease: Duration,
}

const SHORTEST: Duration = Duration::from_secs(3);
/// The longest lease that can be configured: whoever has lost sight of the database has to wait this out.
pub const MAX_LEASE: Duration = Duration::from_secs(45);

impl Default for Revocation {
    fn default() -> Self {
        Self { lease: Duration::from_secs(10) }
    }
}

impl Revocation {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let lease = section.get_with_origin::<Duration>("lease");
        if let Some((lease, origin)) = &lease
            && !(SHORTEST..=MAX_LEASE).contains(lease)
        {
            let reason = format!("is \"{}\": must be between 3s and 45s", format_duration(*lease));
            section.invalid("lease", origin.clone(), reason);
        }
        section.finish();
        lease.map_or_else(Self::default, |(lease, _)| Self { lease })
    }
}
