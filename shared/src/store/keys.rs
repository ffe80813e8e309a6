//! The deployment's own keys: sealed in the database, so that every replica has the same ones.

use super::{Store, StoreError, row::Columns};
use crate::{model::words, secret::Key};

const FIRST: &str = "
    INSERT INTO keys (purpose, number, sealed, created_at) VALUES ($1, 1, $2, $3)
    ON CONFLICT (purpose, number) DO NOTHING";
const ALL: &str = "SELECT number, sealed FROM keys WHERE purpose = $1 ORDER BY number DESC";

words! {
    /// What a key is for. A key of one purpose is never used for another.
    KeyPurpose, "key purpose" {
        /// Session cookies.
        SessionCookie = "session-cookie",
        /// Cookies of sign-ins under way.
        FlowCookie = "flow-cookie",
        /// Session records in the session store.
        SessionRecord = "session-record",
        /// Messages on the bus.
        Bus = "bus",
        /// Signatures of identity JWTs.
        IdentityJwt = "identity-jwt",
        /// Cursors of walks through lists.
        ScimCursor = "scim-cursor",
        /// Digests of names in the provisioning log.
        ProvisioningLog = "provisioning-log",
    }
}

impl Store {
    /// The keys of a purpose, the current one first; the first is made when there is none.
    pub async fn keys(&self, purpose: KeyPurpose) -> Result<Vec<Key>, StoreError> {
        let raw = self.key_material(purpose, || Ok(Key::random()?.expose().to_vec())).await?;
        raw.into_iter()
            .map(|bytes| {
                let bytes: [u8; 32] = bytes
                    .try_into()
                    .map_err(|_| StoreError::Corrupt { what: "key", source: "a key of another length than 32 bytes".into() })?;
                Ok(Key::from_bytes(bytes))
            })
            .collect()
    }

    /// The material of a purpose's keys in whatever form `make` gives the first, the current one first.
    pub async fn key_material(
        &self,
        purpose: KeyPurpose,
        make: impl FnOnce() -> Result<Vec<u8>, StoreError>,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let stored = self.stored_keys(purpose).await?;
        if !stored.is_empty() {
            return Ok(stored);
        }
        let sealed = self.sealer.seal(purpose.as_str(), &make()?)?;
        let mut tx = self.begin().await?;
        let now = tx.now().0;
        sqlx::query(FIRST).bind(purpose.as_str()).bind(sealed).bind(now).execute(tx.on()).await?;
        tx.commit().await?;
        // Read again: another replica may have been first.
        self.stored_keys(purpose).await
    }

    async fn stored_keys(&self, purpose: KeyPurpose) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = sqlx::query(ALL).bind(purpose.as_str()).fetch_all(&self.pool).await?;
        rows.iter().map(|row| Ok(self.sealer.open(purpose.as_str(), &Columns::of(row, "key").text("sealed")?)?)).collect()
    }
}
