//! The bytes received and not yet consumed.

use bytes::{Buf, BytesMut};

/// Why no line end was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoLineEnd {
    /// A line feed without a carriage return before it.
    BareLineFeed,
    /// More bytes than allowed before the end.
    TooLong,
}

/// A queue of bytes in which each byte is searched for line ends once.
#[derive(Debug, Default)]
pub(super) struct ReceiveBuffer {
    bytes: BytesMut,
    /// How many of the bytes are known to hold no end of what is being looked for.
    searched: usize,
}

impl ReceiveBuffer {
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Drops the empty lines that may precede a start line (RFC 9112, 2.2).
    pub(super) fn skip_empty_lines(&mut self) {
        while self.bytes.starts_with(b"\r\n") {
            self.bytes.advance(2);
            self.searched = 0;
        }
    }

    /// Takes everything through the first empty line, once it has come.
    pub(super) fn take_head(&mut self, bytes_max: usize) -> Result<Option<BytesMut>, NoLineEnd> {
        self.take_through(b"\r\n\r\n", bytes_max)
    }

    /// Takes one line, with its end, once it has come.
    pub(super) fn take_line(&mut self, bytes_max: usize) -> Result<Option<BytesMut>, NoLineEnd> {
        self.take_through(b"\r\n", bytes_max)
    }

    /// Takes what there is, at most `bytes_max`.
    pub(super) fn take_up_to(&mut self, bytes_max: usize) -> BytesMut {
        self.searched = 0;
        self.bytes.split_to(bytes_max.min(self.bytes.len()))
    }

    fn take_through(
        &mut self,
        end: &[u8],
        bytes_max: usize,
    ) -> Result<Option<BytesMut>, NoLineEnd> {
        let window = bytes_max.min(self.bytes.len());
        for position in self.searched..window {
            let through = self.bytes.get(..=position).unwrap_or_default();
            if !through.ends_with(b"\n") {
                continue;
            }
            if !through.ends_with(b"\r\n") {
                return Err(NoLineEnd::BareLineFeed);
            }
            if through.ends_with(end) {
                return Ok(Some(self.take_up_to(position.saturating_add(1))));
            }
        }
        self.searched = window;
        if window == bytes_max {
            Err(NoLineEnd::TooLong)
        } else {
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_is_searched_twice_however_slowly_a_head_comes() {
        let mut buffer = ReceiveBuffer::default();
        for received in 1..100 {
            buffer.extend(b"a");
            assert_eq!(buffer.take_head(1000), Ok(None));
            assert_eq!(buffer.searched, received);
        }
    }

    #[test]
    fn a_line_is_taken_with_its_end_and_the_rest_stays() {
        let mut buffer = ReceiveBuffer::default();
        buffer.extend(b"5\r\nhello\r\n");
        assert_eq!(buffer.take_line(3).unwrap().unwrap(), "5\r\n");
        assert_eq!(buffer.take_up_to(5), "hello");
        assert_eq!(buffer.take_line(2).unwrap().unwrap(), "\r\n");
        assert!(buffer.is_empty());
        assert_eq!(buffer.take_line(0), Err(NoLineEnd::TooLong));
    }
}
