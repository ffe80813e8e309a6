//! Signed tokens (RFC 7515 to 7519), as far as they are the same whoever believes one: the shape, the algorithms that are ever
//! accepted, the key set, the signature. What a token must say is a matter of its reader.

mod error;
mod json;
mod jws;
mod keys;

pub use self::{
    error::{Excerpt, TokenError},
    json::{JsonError, object},
    jws::Jws,
    keys::{Algorithm, KeySet, KeySetError, VerificationKey},
};
