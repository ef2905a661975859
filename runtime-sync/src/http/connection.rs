//! One connection, from its handshake to its end.

use std::{io, net::TcpStream, sync::Arc, thread, time::Instant};

use comity_runtime::{ConnectionLimits, Incoming, LINGER, Place, READ_BYTES, Step};
use rustls::StreamOwned;

use super::listener::Handler;
use crate::timed_stream::{TimedSocket, TimedStream};

/// Serves a connection until it closes.
///
/// Errors when the peer breaks it or is too slow.
pub(super) fn serve(
    socket: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: ConnectionLimits,
    handler: &Handler,
    place: Place,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut socket = TimedSocket::new(socket, Instant::now() + limits.handshake);
    let incoming = Incoming::new(limits, place);
    let Some(tls) = tls else {
        return exchange(socket, incoming, handler);
    };
    let mut session = rustls::ServerConnection::new(tls).map_err(io::Error::other)?;
    while session.is_handshaking() {
        session.complete_io(&mut socket)?;
    }
    exchange(StreamOwned::new(session, socket), incoming, handler)
}

fn exchange(
    mut stream: impl TimedStream,
    mut incoming: Incoming,
    handler: &Handler,
) -> io::Result<()> {
    let mut buffer = [0; READ_BYTES];
    loop {
        match incoming.next_step() {
            Step::Read(deadline) => {
                stream.set_deadline(deadline);
                let count = stream.read(&mut buffer)?;
                incoming.receive(buffer.get(..count).unwrap_or_default());
            }
            Step::Pause(until) => thread::sleep(until.saturating_duration_since(Instant::now())),
            Step::Write(bytes, deadline) => {
                stream.set_deadline(deadline);
                stream.write_all(&bytes)?;
                stream.flush()?;
            }
            Step::Answer(request) => incoming.respond(handler(*request)),
            Step::Close => break,
        }
    }
    stream.finish_sending()?;
    stream.set_deadline(Instant::now() + LINGER);
    stream.drain();
    Ok(())
}
