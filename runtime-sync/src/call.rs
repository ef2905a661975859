//! Requests of ours to other servers.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_core::{
    action::Call,
    input::CallError,
    transport::{
        connection_attempts::{ATTEMPT_TIME_OUT, ConnectionAttempts, NextAttempt},
        connection_pool::ConnectionPool,
        http1::ClientConnection,
        server_address::ServerAddress,
    },
};
use comity_runtime::{
    Clock, OpenSockets, Place, READ_BYTES,
    outgoing::{bad_response, certified_name, io_failed, not_sent, response_limits},
};
use rustls::{ClientConfig, StreamOwned};

use crate::timed_stream::{TimedSocket, TimedStream};

/// The least that the system lets a time-out be.
const INSTANT: Duration = Duration::from_millis(1);

/// Sends requests over connections that it keeps for the next request. Dropping it breaks them.
pub(crate) struct Caller {
    tls: Arc<ClientConfig>,
    clock: Clock,
    kept: Mutex<ConnectionPool<Connection>>,
    sockets: OpenSockets,
}

/// A connection to another server, its TLS handshake done.
struct Connection {
    stream: StreamOwned<rustls::ClientConnection, TimedSocket>,
    http: ClientConnection,
    place: Place,
}

impl Caller {
    /// `sockets_max` connections may be open at once; those that are kept make room for others.
    pub(crate) fn new(tls: Arc<ClientConfig>, clock: Clock, sockets_max: usize) -> Self {
        Self {
            tls,
            clock,
            kept: Mutex::default(),
            sockets: OpenSockets::new(sockets_max),
        }
    }

    /// Sends a request and waits for the response, until the call's deadline.
    pub(crate) fn call(&self, call: &Call) -> Result<http::Response<Bytes>, CallError> {
        let deadline = self.clock.instant(call.deadline);
        let mut connection = match self.kept_connection(&call.address) {
            Some(connection) => connection,
            None => self.connect(&call.address, deadline)?,
        };
        let response = connection.exchange(call, deadline)?;
        if connection.http.is_reusable() {
            self.keep(&call.address, connection);
        }
        Ok(response)
    }

    /// Breaks every connection.
    pub(crate) fn close(&self) {
        self.sockets.close_all();
    }

    /// Keeps a connection for the next request, and closes those kept too many or too long.
    fn keep(&self, address: &ServerAddress, connection: Connection) {
        connection.place.note_idle();
        let now = self.clock.now().monotonic;
        let mut kept = self.kept();
        drop(kept.expire(now));
        drop(kept.put(address.clone(), connection, now));
    }

    /// A kept connection that the peer has not closed.
    fn kept_connection(&self, address: &ServerAddress) -> Option<Connection> {
        let now = self.clock.now().monotonic;
        loop {
            let connection = self.kept().take(address, now)?;
            if !connection.stream.sock.is_disturbed() {
                connection.place.note_busy();
                return Some(connection);
            }
        }
    }

    fn connect(&self, address: &ServerAddress, deadline: Instant) -> Result<Connection, CallError> {
        let name = certified_name(address)?;
        let socket = self.connect_to_any(&address.addresses, deadline)?;
        let place = self
            .sockets
            .add(&socket)
            .map_err(|error| io_failed(&error))?;
        let mut socket = TimedSocket::new(socket, deadline);
        let mut session = rustls::ClientConnection::new(self.tls.clone(), name)
            .map_err(|error| CallError::Tls(error.to_string()))?;
        while session.is_handshaking() {
            session
                .complete_io(&mut socket)
                .map_err(|error| io_failed(&error))?;
        }
        let stream = StreamOwned::new(session, socket);
        Ok(Connection {
            stream,
            http: ClientConnection::new(),
            place,
        })
    }

    /// Connects to the first address that accepts. Errors with what the last one said.
    fn connect_to_any(
        &self,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<TcpStream, CallError> {
        let mut attempts = ConnectionAttempts::new(addresses);
        let (outcomes, ended) = mpsc::channel();
        let mut failure = CallError::TimedOut;
        while Instant::now() < deadline {
            match attempts.next(self.clock.now().monotonic) {
                NextAttempt::Connect(address) => attempt(address, deadline, &outcomes),
                NextAttempt::Exhausted => return Err(failure),
                NextAttempt::Wait(until) => {
                    let until = until.map_or(deadline, |until| self.clock.instant(until));
                    let left = until
                        .min(deadline)
                        .saturating_duration_since(Instant::now());
                    match ended.recv_timeout(left) {
                        Ok(Ok(socket)) => return without_delay(socket).map_err(|e| io_failed(&e)),
                        Ok(Err(error)) => {
                            failure = io_failed(&error);
                            attempts.failed(self.clock.now().monotonic);
                        }
                        Err(_) => {}
                    }
                }
            }
        }
        Err(CallError::TimedOut)
    }

    fn kept(&self) -> MutexGuard<'_, ConnectionPool<Connection>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    fn exchange(
        &mut self,
        call: &Call,
        deadline: Instant,
    ) -> Result<http::Response<Bytes>, CallError> {
        let request = self
            .http
            .send(&call.request, response_limits(call))
            .map_err(not_sent)?;
        self.stream.set_deadline(deadline);
        self.send(&request).map_err(|error| io_failed(&error))?;
        loop {
            if let Some(response) = self.http.next_response().map_err(bad_response)? {
                return Ok(response);
            }
            self.receive().map_err(|error| io_failed(&error))?;
        }
    }

    fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request)?;
        self.stream.flush()
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        match self.stream.read(&mut buffer)? {
            0 => self.http.receive_eof(),
            count => self.http.receive(buffer.get(..count).unwrap_or_default()),
        }
        Ok(())
    }
}

/// Begins to connect in a thread of its own.
fn attempt(address: SocketAddr, deadline: Instant, outcomes: &Sender<io::Result<TcpStream>>) {
    let end = deadline.min(Instant::now() + ATTEMPT_TIME_OUT);
    let (outcome, failed) = (outcomes.clone(), outcomes.clone());
    let connect = move || {
        let left = end.saturating_duration_since(Instant::now());
        let _ = outcome.send(TcpStream::connect_timeout(&address, left.max(INSTANT)));
    };
    let thread = thread::Builder::new().name("comity-connect".to_owned());
    if let Err(error) = thread.spawn(connect) {
        let _ = failed.send(Err(error));
    }
}

/// Small writes go out at once; each request is one write.
fn without_delay(socket: TcpStream) -> io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    Ok(socket)
}
