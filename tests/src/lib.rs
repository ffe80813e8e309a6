//! The harness of Lockstep's suite: it starts real parts (Redis, PostgreSQL, nginx, an OpenID provider, Chromium, our own
//! programs) on loopback, and leaves none behind. It holds no test and no part of the product.

pub mod harness;
pub mod world;
