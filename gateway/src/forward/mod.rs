//! What goes on behind a decision: where a browser may be sent back to, and what an upstream gets to read about a person.

pub mod decision;
pub mod headers;
pub mod jwt;
pub mod oracle;
pub mod return_to;
