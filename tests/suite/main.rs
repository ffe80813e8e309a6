//! The suite: one binary, one module per behaviour, every part real.

#[cfg(test)]
mod access;
#[cfg(test)]
mod barrier;
#[cfg(test)]
mod bus;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod front;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod model;
#[cfg(test)]
mod notices;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod scim;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod store;
