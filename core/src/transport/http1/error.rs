//! What can be wrong with the framing of a message, whichever side reads it.

/// The peer's bytes are no HTTP/1.1 message that can be read in exactly one way, or are too many.
///
/// After any of these the connection is out of step with its peer and must be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// A line feed without a carriage return before it.
    #[error("a line ends without a carriage return")]
    BareLineFeed,
    /// The head's start line or a header breaks the grammar.
    #[error("malformed head: {0}")]
    MalformedHead(String),
    /// A version that is neither HTTP/1.1 nor HTTP/1.0.
    #[error("unsupported HTTP version")]
    UnsupportedVersion,
    /// The head is longer than [`HttpLimits::head_bytes`](super::HttpLimits::head_bytes).
    #[error("the head is too long")]
    HeadTooLong,
    /// More headers than [`HEADERS_MAX`](super::HEADERS_MAX).
    #[error("too many headers")]
    TooManyHeaders,
    /// `Content-Length` is no plain decimal number.
    #[error("malformed Content-Length")]
    MalformedContentLength,
    /// `Content-Length` comes more than once.
    #[error("more than one Content-Length")]
    RepeatedContentLength,
    /// Both `Content-Length` and `Transfer-Encoding`: the classic of request smuggling.
    #[error("both Content-Length and Transfer-Encoding")]
    AmbiguousLength,
    /// A `Transfer-Encoding` that is not exactly `chunked`, or comes in an HTTP/1.0 message.
    #[error("unsupported Transfer-Encoding")]
    UnsupportedTransferEncoding,
    /// A chunk's size line or end breaks the grammar.
    #[error("malformed chunk")]
    MalformedChunk,
    /// A line after the last chunk is no header field.
    #[error("malformed trailer field")]
    MalformedTrailer,
    /// Longer than [`TRAILER_BYTES_MAX`](super::TRAILER_BYTES_MAX), or more than
    /// [`HEADERS_MAX`](super::HEADERS_MAX).
    #[error("the trailer fields are too long")]
    TrailersTooLong,
    /// The body is, or announces itself to be, longer than allowed.
    #[error("the body is too large")]
    BodyTooLarge,
}
