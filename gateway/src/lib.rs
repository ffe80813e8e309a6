//! The gateway: lets the employees of a workspace in through their own identity provider and nobody else, and answers for
//! every request who this is. It holds no directory of its own and ends nobody's access but through the revocation log.

pub mod apps;
pub mod forward;
pub mod lease;
pub mod login;
mod logout;
pub mod oidc;
pub mod pages;
pub mod proxy;
pub mod routes;
pub mod serve;
pub mod session;
pub mod state;
#[cfg(test)]
mod testing;
