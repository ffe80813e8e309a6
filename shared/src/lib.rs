//! What the gateway and the provisioner must agree on: identifiers, records, the store, the bus and the one road by which
//! access ends. It holds no policy of either program.

pub mod bus;
pub mod check;
pub mod clock;
pub mod config;
pub mod http;
pub mod id;
pub mod jose;
pub mod json;
pub mod kept;
pub mod model;
pub mod percent;
pub mod revoke;
pub mod runtime;
pub mod secret;
pub mod session;
pub mod signals;
pub mod store;
pub mod telemetry;

/// See `deploy/decisions/allocator.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
