//! An HTTP/1.1 listener with a thread for each connection, for federation and for anything else
//! that a homeserver listens to.

mod connection;
mod listener;

pub use listener::{Handler, HttpListener};
