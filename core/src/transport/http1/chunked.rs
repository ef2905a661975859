//! The chunked transfer coding (RFC 9112, section 7.1), read strictly.

use bytes::BytesMut;
use http::header::{HeaderName, HeaderValue};

use super::error::FramingError;
use super::limits::{CHUNK_LINE_BYTES_MAX, HEADERS_MAX, TRAILER_BYTES_MAX};
use super::receive_buffer::{NoLineEnd, ReceiveBuffer};

/// Where in the coding the reader stands.
#[derive(Debug)]
pub(super) enum ChunkedReader {
    /// Before or in the line that gives a chunk's size.
    Size,
    /// In a chunk's data.
    Data { remaining: u64 },
    /// Before the line end that follows a chunk's data.
    DataEnd,
    /// After the last chunk, reading fields that are dropped.
    Trailers {
        bytes_left: usize,
        fields_left: usize,
    },
}

impl ChunkedReader {
    /// Moves what has come into `body`; `true` once the body and its trailers are complete.
    pub(super) fn read(
        &mut self,
        input: &mut ReceiveBuffer,
        body: &mut BytesMut,
        body_max: usize,
    ) -> Result<bool, FramingError> {
        loop {
            match self {
                Self::Size => {
                    let Some(line) = input.take_line(CHUNK_LINE_BYTES_MAX).map_err(chunk_error)?
                    else {
                        return Ok(false);
                    };
                    *self = Self::after_size(chunk_size(&line)?, body.len(), body_max)?;
                }
                Self::Data { remaining: 0 } => *self = Self::DataEnd,
                Self::Data { remaining } => {
                    let wanted = usize::try_from(*remaining).unwrap_or(usize::MAX);
                    let data = input.take_up_to(wanted);
                    if data.is_empty() {
                        return Ok(false);
                    }
                    *remaining = remaining.saturating_sub(data.len() as u64);
                    body.extend_from_slice(&data);
                }
                Self::DataEnd => match input.take_line(2).map_err(chunk_error)? {
                    None => return Ok(false),
                    Some(_) => *self = Self::Size,
                },
                Self::Trailers {
                    bytes_left,
                    fields_left,
                } => match input.take_line(*bytes_left).map_err(trailer_error)? {
                    None => return Ok(false),
                    Some(line) if line == "\r\n" => return Ok(true),
                    Some(_) if *fields_left == 0 => return Err(FramingError::TrailersTooLong),
                    Some(line) if !is_field(&line) => return Err(FramingError::MalformedTrailer),
                    Some(line) => {
                        *bytes_left = bytes_left.saturating_sub(line.len());
                        *fields_left = fields_left.saturating_sub(1);
                    }
                },
            }
        }
    }

    fn after_size(size: u64, body_bytes: usize, body_max: usize) -> Result<Self, FramingError> {
        if size == 0 {
            return Ok(Self::Trailers {
                bytes_left: TRAILER_BYTES_MAX,
                fields_left: HEADERS_MAX,
            });
        }
        match size.checked_add(body_bytes as u64) {
            Some(total) if total <= body_max as u64 => Ok(Self::Data { remaining: size }),
            Some(_) | None => Err(FramingError::BodyTooLarge),
        }
    }
}

/// The size a chunk line gives: hexadecimal digits alone, then perhaps extensions, which are
/// ignored. The grammar's "bad" white space before an extension is refused.
fn chunk_size(line: &[u8]) -> Result<u64, FramingError> {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    let (digits, extensions) = match line.iter().position(|byte| *byte == b';') {
        Some(end) => line.split_at(end),
        None => (line, &[][..]),
    };
    let digits = str::from_utf8(digits).map_err(|_| FramingError::MalformedChunk)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        || extensions
            .iter()
            .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        return Err(FramingError::MalformedChunk);
    }
    u64::from_str_radix(digits, 16).map_err(|_| FramingError::MalformedChunk)
}

/// Whether a line is a header field: what is none could be the beginning of a chunk or a message to
/// another reader.
fn is_field(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r\n").unwrap_or(line);
    let mut parts = line.splitn(2, |byte| *byte == b':');
    let name = parts.next().map(HeaderName::from_bytes);
    let value = parts.next().map(HeaderValue::from_bytes);
    matches!((name, value), (Some(Ok(_)), Some(Ok(_))))
}

fn chunk_error(error: NoLineEnd) -> FramingError {
    match error {
        NoLineEnd::BareLineFeed => FramingError::BareLineFeed,
        NoLineEnd::TooLong => FramingError::MalformedChunk,
    }
}

fn trailer_error(error: NoLineEnd) -> FramingError {
    match error {
        NoLineEnd::BareLineFeed => FramingError::BareLineFeed,
        NoLineEnd::TooLong => FramingError::TrailersTooLong,
    }
}
