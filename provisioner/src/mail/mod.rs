//! Notices by mail. They are taken from the outbox behind everything else: a mail server that is slow or away slows no request
//! down, and loses nothing.

mod courier;
mod line;
mod message;
mod schedule;
mod server;

pub(crate) use self::{
    courier::{Courier, style, sweep},
    message::probe,
    server::MailServer,
};
pub use self::{
    message::MessageError,
    server::{MailSetupError, SendError, Stage},
};
