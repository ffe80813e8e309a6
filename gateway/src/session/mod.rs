//! Sessions: the cookies on the browser's side, the record that this gateway holds, the watermarks that end it, and the one
//! check of all of them.

pub mod cookie;
pub mod flow;
pub mod guard;
pub mod issue;
pub mod judge;
pub mod live;
pub mod streams;
pub mod watermarks;
