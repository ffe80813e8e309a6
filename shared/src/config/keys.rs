//! `[keys]`: the master key, which encrypts providers' secrets and our own keys in the database.

use secrecy::ExposeSecret;

use super::reader::Section;
use crate::secret::Sealer;

/// `[keys]`.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Seals with the first line of the master key file and opens with any.
    pub sealer: Sealer,
}

impl Keys {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let given = section.secret("master_key", "master_key_file");
        let keys = given.and_then(|(text, origin)| match Sealer::from_master_key(text.expose_secret()) {
            Ok(sealer) => Some(Self { sealer }),
            Err(error) => {
                section.invalid("master_key", origin, format!("is not right: {error}"));
                None
            }
        });
        section.finish();
        keys
    }
}
