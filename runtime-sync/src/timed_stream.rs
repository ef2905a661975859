//! Sockets whose every wait ends at a deadline, with TLS or without.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    ops::DerefMut,
    time::Instant,
};

use rustls::{ConnectionCommon, SideData, StreamOwned};

/// A stream of bytes with a deadline. A wait that reaches it fails with
/// [`io::ErrorKind::TimedOut`], however many bytes came before: a peer that sends one byte at a
/// time gains nothing.
pub(crate) trait TimedStream: Read + Write {
    /// Sets the moment at which all waits end from now on.
    fn set_deadline(&mut self, deadline: Instant);

    /// Tells the peer that nothing more will be sent.
    fn finish_sending(&mut self) -> io::Result<()>;

    /// Reads and drops what still comes, past any TLS, until the peer closes or the deadline.
    fn drain(&mut self);
}

/// A TCP socket with a deadline.
#[derive(Debug)]
pub(crate) struct TimedSocket {
    socket: TcpStream,
    deadline: Instant,
}

impl TimedSocket {
    pub(crate) fn new(socket: TcpStream, deadline: Instant) -> Self {
        Self { socket, deadline }
    }

    /// Whether the peer has closed the connection or sent something unasked. Does not wait.
    pub(crate) fn is_disturbed(&self) -> bool {
        let quiet = || -> io::Result<bool> {
            self.socket.set_nonblocking(true)?;
            let peeked = self.socket.peek(&mut [0]);
            self.socket.set_nonblocking(false)?;
            Ok(peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
        };
        !quiet().unwrap_or(false)
    }

    fn time_left(&self) -> io::Result<std::time::Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(left)
        }
    }
}

impl Read for TimedSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.time_left()?))?;
        self.socket.read(buffer).map_err(timed_out)
    }
}

impl Write for TimedSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.time_left()?))?;
        self.socket.write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl TimedStream for TimedSocket {
    fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
    }

    fn finish_sending(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn drain(&mut self) {
        let mut dropped = [0; 4096];
        while self.read(&mut dropped).is_ok_and(|count| count > 0) {}
    }
}

impl<C, S> TimedStream for StreamOwned<C, TimedSocket>
where
    C: DerefMut<Target = ConnectionCommon<S>>,
    S: SideData,
{
    fn set_deadline(&mut self, deadline: Instant) {
        self.sock.set_deadline(deadline);
    }

    fn finish_sending(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()?;
        self.sock.finish_sending()
    }

    fn drain(&mut self) {
        self.sock.drain();
    }
}

/// Unix reports a socket's time-out as [`io::ErrorKind::WouldBlock`].
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock {
        io::ErrorKind::TimedOut.into()
    } else {
        error
    }
}
