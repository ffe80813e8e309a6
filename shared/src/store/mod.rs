//! The database: PostgreSQL, or SQLite for one machine. One SQL text serves both (TEXT and BIGINT columns, `$n` parameters,
//! every statement a constant), and every method takes the workspace that it may touch.

mod access;
mod adoption;
mod at_once;
mod audit;
mod connections;
mod domains;
mod error;
mod groups;
mod guard;
mod keys;
mod members;
mod oauth_clients;
mod open;
mod passwords;
mod people;
mod policies;
mod pool;
mod provisioning_log;
mod quiet;
mod replicas;
mod revocations;
mod row;
mod sessions;
mod tokens;
mod tx;
mod users;
mod workspaces;

pub use adoption::{Adoption, NotAdopted};
pub use connections::{ConnectionDetails, NewConnection};
pub use domains::Domain;
pub use error::{EditError, StoreError};
pub use groups::{GroupDeletion, GroupMatch};
pub use keys::KeyPurpose;
pub use members::GroupRef;
pub use oauth_clients::{NotGranted, OnceUntil};
pub use open::{Engine, SchemaState, Store, StoreOptions};
pub use passwords::PasswordAccount;
pub use people::{ClaimSource, Freshness, Reading, Refusal, SignedIn};
pub use policies::PolicyEdit;
pub use provisioning_log::LogQuery;
pub use replicas::{Renewal, Replica, ReplicaState};
pub use revocations::Rows;
pub use tokens::TooManyLive;
pub use tx::Settlement;
pub use users::{Deletion, NewUser, UserMatch};
