//! Whether the master key opens what it sealed: our own keys and the providers' client secrets.

use sqlx::{AnyConnection, Row as _};

use super::{Deployment, Finding, chain};
use crate::{
    config::Keys,
    model::connection::Connection,
    runtime,
    store::{KeyPurpose, StoreError},
};

const SEALED_SECRETS: &str = "SELECT id, sealed_secret FROM connections WHERE sealed_secret IS NOT NULL ORDER BY id";
const FIX: &str = "put the line that sealed them back into [keys] master_key_file, below the current one";

pub(super) async fn check(of: Deployment<'_>, keys: &Keys, connection: &mut AnyConnection) -> Finding {
    let (ours, theirs) = (our_keys(of).await, client_secrets(keys, connection).await);
    match (ours, theirs) {
        (Err(message), _) | (_, Err(message)) => Finding::problem("master key", message, FIX),
        (Ok(ours), Ok(theirs)) => Finding::passed("master key", format!("opens {ours} stored keys and {theirs} client secrets")),
    }
}

/// Opens our own keys without making any that is missing.
async fn our_keys(of: Deployment<'_>) -> Result<usize, String> {
    let store = runtime::open_store(of.config, of.clock.clone()).map_err(|error| chain(&error))?;
    let mut opened = Ok(0);
    for purpose in KeyPurpose::ALL {
        let found = store.key_material(*purpose, || Err(StoreError::NotFound("key"))).await;
        opened = opened.and_then(|count| match found {
            Ok(keys) => Ok(count + keys.len()),
            Err(StoreError::NotFound(_)) => Ok(count),
            Err(error) => Err(format!("the stored keys for {purpose} cannot be opened: {}", chain(&error))),
        });
    }
    store.close().await;
    opened
}

async fn client_secrets(keys: &Keys, connection: &mut AnyConnection) -> Result<usize, String> {
    let rows = sqlx::query(SEALED_SECRETS).fetch_all(connection).await.map_err(|error| chain(&error))?;
    let opens = |row: &sqlx::any::AnyRow| -> Result<(), String> {
        let read = |column| row.try_get::<String, _>(column).map_err(|error| chain(&error));
        let id = read("id")?;
        let purpose = format!("{}{id}", Connection::SECRET_PURPOSE);
        let opened = keys.sealer.open(&purpose, &read("sealed_secret")?);
        opened.map(drop).map_err(|error| format!("the client secret of connection {id} cannot be opened: {error}"))
    };
    rows.iter().try_for_each(opens)?;
    Ok(rows.len())
}
