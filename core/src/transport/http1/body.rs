//! Reading a body to its end, however that end is marked.

use bytes::{Bytes, BytesMut};

use super::chunked::ChunkedReader;
use super::error::FramingError;
use super::receive_buffer::ReceiveBuffer;

/// A body on its way in.
#[derive(Debug)]
pub(super) struct IncomingBody {
    end: BodyEnd,
    received: BytesMut,
    bytes_max: usize,
}

/// What marks the end of a body.
#[derive(Debug)]
enum BodyEnd {
    Length { remaining: usize },
    LastChunk(ChunkedReader),
    ConnectionClose,
}

impl IncomingBody {
    /// A body of a stated length. Errors when that is more than `bytes_max`.
    pub(super) fn with_length(length: u64, bytes_max: usize) -> Result<Self, FramingError> {
        match usize::try_from(length) {
            Ok(remaining) if remaining <= bytes_max => {
                Ok(Self::new(BodyEnd::Length { remaining }, bytes_max))
            }
            Ok(_) | Err(_) => Err(FramingError::BodyTooLarge),
        }
    }

    /// A body in the chunked coding.
    pub(super) fn chunked(bytes_max: usize) -> Self {
        Self::new(BodyEnd::LastChunk(ChunkedReader::Size), bytes_max)
    }

    /// A body that ends when the connection does.
    pub(super) fn until_close(bytes_max: usize) -> Self {
        Self::new(BodyEnd::ConnectionClose, bytes_max)
    }

    fn new(end: BodyEnd, bytes_max: usize) -> Self {
        Self {
            end,
            received: BytesMut::new(),
            bytes_max,
        }
    }

    /// Takes from `input` what belongs to the body; `true` once the body is complete.
    pub(super) fn read(&mut self, input: &mut ReceiveBuffer) -> Result<bool, FramingError> {
        match &mut self.end {
            BodyEnd::Length { remaining } => {
                let data = input.take_up_to(*remaining);
                *remaining = remaining.saturating_sub(data.len());
                self.received.extend_from_slice(&data);
                Ok(*remaining == 0)
            }
            BodyEnd::LastChunk(reader) => reader.read(input, &mut self.received, self.bytes_max),
            BodyEnd::ConnectionClose => {
                self.received
                    .extend_from_slice(&input.take_up_to(usize::MAX));
                if self.received.len() > self.bytes_max {
                    return Err(FramingError::BodyTooLarge);
                }
                Ok(false)
            }
        }
    }

    /// How many bytes may come.
    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// How many bytes have come.
    pub(super) fn len(&self) -> usize {
        self.received.len()
    }

    /// Whether the connection's end is this body's end.
    pub(super) fn ends_with_connection(&self) -> bool {
        match self.end {
            BodyEnd::ConnectionClose => true,
            BodyEnd::Length { .. } | BodyEnd::LastChunk(_) => false,
        }
    }

    /// The bytes of the body, taken out.
    pub(super) fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.received).freeze()
    }
}
