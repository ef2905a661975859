//! One connection that somebody made to a remote.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::Ordering;

use comity_core::transport::http1::{HttpLimits, ServerConnection};
use rustls::StreamOwned;

use super::Shared;

/// Answers the requests of a connection until it ends. Errors end it, too, and are nobody's
/// concern.
pub fn serve(shared: &Shared, address: Ipv4Addr, socket: TcpStream) -> io::Result<()> {
    let Some(server) = shared.servers.get(&address).filter(|one| !one.is_away()) else {
        return Ok(());
    };
    server.connections.fetch_add(1, Ordering::Relaxed);
    socket.set_nodelay(true)?;
    let session = rustls::ServerConnection::new(server.tls.clone()).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(session, socket);
    let mut http = ServerConnection::new(HttpLimits::default());
    let mut buffer = [0; 16 << 10];
    loop {
        if let Some(request) = http.next_request().map_err(io::Error::other)? {
            if server.is_away() {
                return Ok(());
            }
            let answer = shared.answer(server, &request);
            let bytes = http.respond(&answer).map_err(io::Error::other)?;
            stream.write_all(&bytes)?;
        } else {
            if let Some(interim) = http.take_interim_response() {
                stream.write_all(&interim)?;
            }
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                read => http.receive(buffer.get(..read).unwrap_or_default()),
            }
        }
    }
}
