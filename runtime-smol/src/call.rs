//! Requests of ours to other servers.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
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
    Clock, READ_BYTES,
    outgoing::{bad_response, certified_name, io_failed, not_sent, response_limits},
};
use futures_rustls::{TlsConnector, client::TlsStream, rustls::ClientConfig};
use smol::{
    Async, channel,
    io::{AsyncReadExt, AsyncWriteExt},
    lock::Semaphore,
};

use crate::deadline::by;

/// Sends requests over connections that it keeps for the next request. Dropping it breaks them.
pub(crate) struct Caller {
    tls: TlsConnector,
    clock: Clock,
    calls: Semaphore,
    kept: Mutex<ConnectionPool<Connection>>,
}

/// A connection to another server, its TLS handshake done.
struct Connection {
    stream: TlsStream<Async<TcpStream>>,
    http: ClientConnection,
}

impl Caller {
    /// `calls_max` requests may be under way at once.
    pub(crate) fn new(tls: Arc<ClientConfig>, clock: Clock, calls_max: usize) -> Self {
        Self {
            tls: tls.into(),
            clock,
            calls: Semaphore::new(calls_max),
            kept: Mutex::default(),
        }
    }

    /// Sends a request and waits for the response, until the call's deadline.
    pub(crate) async fn call(&self, call: &Call) -> Result<http::Response<Bytes>, CallError> {
        let deadline = self.clock.instant(call.deadline);
        let turn = by(deadline, async { Ok(self.calls.acquire().await) });
        let _turn = turn.await.map_err(|error| io_failed(&error))?;
        let mut connection = match self.kept_connection(&call.address) {
            Some(connection) => connection,
            None => self.connect(&call.address, deadline).await?,
        };
        let response = connection.exchange(call, deadline).await?;
        if connection.http.is_reusable() {
            self.keep(&call.address, connection);
        }
        Ok(response)
    }

    /// Keeps a connection for the next request, and closes those kept too many or too long.
    fn keep(&self, address: &ServerAddress, connection: Connection) {
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
            if !connection.is_disturbed() {
                return Some(connection);
            }
        }
    }

    async fn connect(
        &self,
        address: &ServerAddress,
        deadline: Instant,
    ) -> Result<Connection, CallError> {
        let name = certified_name(address)?;
        let socket = self.connect_to_any(&address.addresses, deadline).await?;
        let stream = by(deadline, self.tls.connect(name, socket)).await;
        let stream = stream.map_err(|error| io_failed(&error))?;
        Ok(Connection {
            stream,
            http: ClientConnection::new(),
        })
    }

    /// Connects to the first address that accepts. Errors with what the last one said.
    async fn connect_to_any(
        &self,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<Async<TcpStream>, CallError> {
        let mut attempts = ConnectionAttempts::new(addresses);
        let (outcomes, ended) = channel::unbounded();
        let mut failure = CallError::TimedOut;
        // A task that is dropped ends.
        let mut under_way = Vec::new();
        while Instant::now() < deadline {
            match attempts.next(self.clock.now().monotonic) {
                NextAttempt::Connect(address) => {
                    let end = deadline.min(Instant::now() + ATTEMPT_TIME_OUT);
                    let outcomes = outcomes.clone();
                    under_way.push(smol::spawn(async move {
                        let _ = outcomes.try_send(by(end, connect(address)).await);
                    }));
                }
                NextAttempt::Exhausted => return Err(failure),
                NextAttempt::Wait(until) => {
                    let until = until.map_or(deadline, |until| self.clock.instant(until));
                    let outcome = by(until.min(deadline), async { Ok(ended.recv().await) }).await;
                    match outcome {
                        Ok(Ok(Ok(socket))) => return Ok(socket),
                        Ok(Ok(Err(error))) => {
                            failure = io_failed(&error);
                            attempts.failed(self.clock.now().monotonic);
                        }
                        Ok(Err(_)) | Err(_) => {}
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
    async fn exchange(
        &mut self,
        call: &Call,
        deadline: Instant,
    ) -> Result<http::Response<Bytes>, CallError> {
        let request = self
            .http
            .send(&call.request, response_limits(call))
            .map_err(not_sent)?;
        by(deadline, self.send(&request))
            .await
            .map_err(|error| io_failed(&error))?;
        loop {
            if let Some(response) = self.http.next_response().map_err(bad_response)? {
                return Ok(response);
            }
            by(deadline, self.receive())
                .await
                .map_err(|error| io_failed(&error))?;
        }
    }

    async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await
    }

    async fn receive(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        match self.stream.read(&mut buffer).await? {
            0 => self.http.receive_eof(),
            count => self.http.receive(buffer.get(..count).unwrap_or_default()),
        }
        Ok(())
    }

    /// Whether the peer has closed the connection or sent something unasked. Does not wait.
    fn is_disturbed(&self) -> bool {
        let peeked = self.stream.get_ref().0.get_ref().peek(&mut [0]);
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

async fn connect(address: SocketAddr) -> io::Result<Async<TcpStream>> {
    let socket = Async::<TcpStream>::connect(address).await?;
    socket.get_ref().set_nodelay(true)?;
    Ok(socket)
}
