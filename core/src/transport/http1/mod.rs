//! HTTP/1.1 framing (RFC 9112), both sides, without IO.
//!
//! [`ServerConnection`] turns the bytes of an accepted connection into requests and responses
//! into bytes; [`ClientConnection`] is its mirror. Messages are whole: a request or response is
//! yielded when its last byte has come.
//!
//! Invariants:
//! - Feeding bytes one at a time or all at once yields the same messages and the same errors.
//! - Work is linear in the bytes received and memory is bounded by [`HttpLimits`]; nothing is
//!   reserved because a peer announced it.
//! - A message whose end two readers could see in different places is refused: both framing
//!   headers, repeated lengths, unknown transfer codings, bare line feeds, folded headers, loose
//!   chunk sizes. That is what request smuggling is made of.
//! - Bodies in the `gzip` coding are unpacked, and packed for whoever accepts that.
//! - Waiting is the caller's: [`ServerConnection::phase`] and [`ClientConnection::is_reusable`] say
//!   what for, and [`Pace`] for how long.
//!
//! ```
//! use bytes::Bytes;
//! use comity_core::transport::http1::{HttpLimits, ServerConnection};
//!
//! let mut connection = ServerConnection::new(HttpLimits::default());
//! connection.receive(b"GET /_matrix/federation/v1/version HTTP/1.1\r\nHost: a.example\r\n\r\n");
//! let request = connection.next_request()?.ok_or("incomplete")?;
//! assert_eq!(request.uri().path(), "/_matrix/federation/v1/version");
//! let to_write = connection.respond(&http::Response::new(Bytes::from("{}")))?;
//! assert_eq!(to_write, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod chunked;
mod client;
mod error;
mod gzip;
mod head;
mod limits;
mod pace;
mod receive_buffer;
mod server;
mod write;

pub use client::{BadResponse, CannotSend, ClientConnection};
pub use error::FramingError;
pub use gzip::CodingError;
pub use limits::{
    BODY_BYTES_DEFAULT, CHUNK_LINE_BYTES_MAX, HEAD_BYTES_DEFAULT, HEADERS_MAX, HttpLimits,
    INTERIM_RESPONSES_MAX, TRAILER_BYTES_MAX,
};
pub use pace::{Pace, PaceLimits};
pub use server::{BadRequest, NoRequestToAnswer, ServerConnection, ServerPhase};
