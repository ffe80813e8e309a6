//! The parts that a test starts, each behind a guard that ends it.

pub mod browser;
pub mod canary;
mod error;
pub mod faulty_provider;
pub mod http;
pub mod nginx;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod provider;
pub mod redis;
pub mod scim;
mod scratch;
pub mod services;
pub mod smtp;
mod wait;

pub use error::HarnessError;
pub use scratch::Scratch;
pub use wait::eventually;
