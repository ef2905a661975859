//! How much of a message is read before it is refused.

/// Bytes of a head (start line and headers, with the empty line) unless told otherwise.
pub const HEAD_BYTES_DEFAULT: usize = 64 * 1024;

/// Headers in one head, and fields in one trailer.
pub const HEADERS_MAX: usize = 100;

/// Bytes of a body unless told otherwise.
pub const BODY_BYTES_DEFAULT: usize = 64 * 1024 * 1024;

/// Bytes of the line that gives a chunk's size, with its extensions and line end.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;

/// Bytes of all trailer fields of a chunked body together.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// Interim (1xx) responses that may come before the one that counts.
pub const INTERIM_RESPONSES_MAX: u8 = 8;

/// What one connection accepts per message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of a head, start line to empty line.
    pub head_bytes: usize,
    /// Bytes of a body after its framing is taken off.
    pub body_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            head_bytes: HEAD_BYTES_DEFAULT,
            body_bytes: BODY_BYTES_DEFAULT,
        }
    }
}
