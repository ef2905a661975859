//! HTTP as messages: the layer that turns requests and responses into bytes and back.
//!
//! Everything here is pure: bytes in, messages out, and the reverse. Whoever owns the sockets
//! (a runtime, or the node's client API listener) feeds what it read and writes what it is
//! handed; whoever owns the clock passes the time in.
//!
//! What comes in is hostile until proven otherwise, so each part bounds what it reads and refuses
//! what it cannot read in exactly one way.

pub mod address_guard;
pub mod authenticate;
pub mod client;
pub mod connection_attempts;
pub mod connection_pool;
pub mod discovery;
pub mod dns;
pub mod endpoint_name;
mod homeserver_question;
pub mod http1;
pub mod json;
pub mod matrix_error;
pub mod multipart;
pub mod names;
pub mod path;
pub mod remote_host;
pub mod remote_request;
pub mod remote_response;
pub mod router;
pub mod serve;
pub mod server_address;
pub mod x_matrix;
