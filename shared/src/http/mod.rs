//! HTTP at both edges: how requests come in (accept loop, layers, who the client is, health) and the one client by which
//! our own requests go out.

pub mod client_addr;
pub mod health;
pub mod layers;
pub mod listener;
pub mod outbound;
pub mod serve;
