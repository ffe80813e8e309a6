//! Those who were not created, or are deleted, by a keyed digest of their name: who asks for the name finds why, and nobody reads a
//! name out of the log.

use lockstep_shared::{
    id::WorkspaceId,
    model::text::fold,
    secret::{Key, MacKey, SecretError},
    store::{KeyPurpose, Store, StoreError},
};
use tokio::sync::OnceCell;

/// Where an entry has the digest.
pub const NAME_DIGEST: &str = "user_name_digest";

/// Makes digests; the key is read when there is a first one to make.
#[derive(Debug)]
pub struct Names {
    store: Store,
    current: OnceCell<MacKey>,
}

impl Names {
    /// With the keys of this database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, current: OnceCell::new() }
    }

    /// The digest of a user name as an entry has it.
    pub async fn digest(&self, workspace: &WorkspaceId, user_name: &str) -> Result<String, StoreError> {
        let key = self.current.get_or_try_init(|| async {
            let keys = self.store.keys(KeyPurpose::ProvisioningLog).await?;
            keys.first().map(mac_key).ok_or(StoreError::Secret(SecretError::CannotOpen))
        });
        Ok(sign(key.await?, workspace, user_name))
    }

    /// The digests of a user name by every key that there was.
    pub async fn digests(&self, workspace: &WorkspaceId, user_name: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.every_key().await?.digests(workspace, user_name))
    }

    /// Every key that there was, for many names.
    pub async fn every_key(&self) -> Result<EveryKey, StoreError> {
        let keys = self.store.keys(KeyPurpose::ProvisioningLog).await?;
        Ok(EveryKey(keys.iter().map(mac_key).collect()))
    }
}

/// The keys by which digests were ever made.
#[derive(Debug)]
pub struct EveryKey(Vec<MacKey>);

impl EveryKey {
    /// The digests of a user name.
    #[must_use]
    pub fn digests(&self, workspace: &WorkspaceId, user_name: &str) -> Vec<String> {
        self.0.iter().map(|key| sign(key, workspace, user_name)).collect()
    }
}

fn mac_key(key: &Key) -> MacKey {
    MacKey::derive(key, "user name in the provisioning log")
}

/// Names that are one to the directory have one digest, which is another in each workspace.
fn sign(key: &MacKey, workspace: &WorkspaceId, user_name: &str) -> String {
    key.sign(&[workspace.as_str().as_bytes(), fold(user_name.trim()).as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_a_name_in_any_spelling_of_one_workspace_and_one_key() {
        let key = |byte: u8| mac_key(&Key::from_bytes([byte; 32]));
        let workspace = |id: &str| WorkspaceId::parse(id).unwrap();
        let digest = sign(&key(1), &workspace("acme"), "Bob@acme.example");

        assert_eq!(sign(&key(1), &workspace("acme"), " BOB@ACME.example"), digest);
        for other in [
            sign(&key(1), &workspace("acme"), "bobby@acme.example"),
            sign(&key(1), &workspace("other"), "bob@acme.example"),
            sign(&key(2), &workspace("acme"), "bob@acme.example"),
        ] {
            assert_ne!(other, digest);
        }
    }
}
