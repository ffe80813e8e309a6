//! The suite: one binary, one module per behaviour, every part real.

#[cfg(test)]
mod harness;
#[cfg(test)]
mod store;
