//! The one road by which access ends: a row in the log (written by the store, in the transaction of the change), the doorbell,
//! the barrier, the receipt. Every answer that tells somebody "they are out" comes from [`Road::settle`].

pub mod barrier;
mod receipt;
mod road;
mod watch;

pub use receipt::{Confirmation, Receipt, WaitedOut};
pub use road::{Road, SettleError};
