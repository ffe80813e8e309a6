//! Gateway and provisioner in one process: the one-machine deployment, and the demo with its walk-through. Everything that they
//! do is in the services' own libraries; here they are only put together.

pub mod demo;
pub mod services;
pub mod walkthrough;
