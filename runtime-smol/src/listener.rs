//! Accepting connections from other servers and serving them.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use comity_runtime::{
    ConnectionLimits, Incoming, LINGER, Message, OpenSockets, Place, READ_BYTES, Step, unavailable,
};
use futures_rustls::{TlsAcceptor, rustls, server::TlsStream};
use smol::{
    Async, Task, Timer,
    channel::{self, Sender},
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
};

use crate::{deadline::by, task_group::Spawner};

/// How long to pause when the system cannot accept a connection, for want of handles mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often to look whether the last connections are gone.
const CLOSING_PAUSE: Duration = Duration::from_millis(10);

/// Listens at one address. Dropping it ends the accepting, not the connections.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    connections: OpenSockets,
    accepting: Option<Task<()>>,
}

impl Listener {
    /// Listens on `socket`, with TLS if it is given how, and puts what is asked into the inbox.
    ///
    /// Errors when the socket has no address or cannot be made non-blocking.
    pub(crate) fn start(
        socket: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        limits: ConnectionLimits,
        inbox: Sender<Message>,
        tasks: Spawner,
    ) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let socket = Async::new(socket)?;
        let connections = OpenSockets::accepting(&limits);
        let acceptor = Acceptor {
            tls: tls.map(TlsAcceptor::from),
            limits,
            inbox,
            connections: connections.clone(),
            tasks,
        };
        let accepting = Some(smol::spawn(async move { acceptor.run(&socket).await }));
        Ok(Self {
            address,
            connections,
            accepting,
        })
    }

    /// Where it listens.
    pub(crate) fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections, closes the idle ones and lets the others close once their
    /// present request is answered. Does not wait for them.
    pub(crate) fn stop_accepting(&mut self) {
        self.connections.stop();
    }

    /// Stops, giving requests under way `grace` to be answered.
    pub(crate) async fn stop(mut self, grace: Duration) {
        self.stop_accepting();
        if let Some(accepting) = self.accepting.take() {
            accepting.cancel().await;
        }
        let end = Instant::now() + grace;
        while !self.connections.is_empty() && Instant::now() < end {
            Timer::after(CLOSING_PAUSE).await;
        }
        self.connections.close_all();
    }
}

/// What the accepting task works with.
struct Acceptor {
    tls: Option<TlsAcceptor>,
    limits: ConnectionLimits,
    inbox: Sender<Message>,
    connections: OpenSockets,
    tasks: Spawner,
}

impl Acceptor {
    async fn run(&self, listener: &Async<TcpListener>) {
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => self.serve(socket, peer),
                Err(error) => {
                    tracing::debug!(%error, "cannot accept connections");
                    Timer::after(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Gives the connection a place and a task; without a place it is closed.
    fn serve(&self, socket: Async<TcpStream>, peer: SocketAddr) {
        let place = match self.connections.admit(socket.get_ref()) {
            Ok(place) => place,
            Err(error) => return tracing::debug!(%peer, %error, "connection refused"),
        };
        let (tls, limits, inbox) = (self.tls.clone(), self.limits, self.inbox.clone());
        self.tasks.spawn(async move {
            if let Err(error) = serve(socket, tls, limits, &inbox, place).await {
                tracing::debug!(%peer, %error, "connection broken");
            }
        });
    }
}

/// Serves a connection until it closes.
///
/// Errors when the peer breaks it or is too slow.
async fn serve(
    mut socket: Async<TcpStream>,
    tls: Option<TlsAcceptor>,
    limits: ConnectionLimits,
    inbox: &Sender<Message>,
    place: Place,
) -> io::Result<()> {
    socket.get_ref().set_nodelay(true)?;
    let incoming = Incoming::new(limits, place);
    let Some(tls) = tls else {
        exchange(&mut socket, incoming, inbox).await?;
        return by(Instant::now() + LINGER, drain(socket)).await;
    };
    let mut stream = by(Instant::now() + limits.handshake, tls.accept(socket)).await?;
    exchange(&mut stream, incoming, inbox).await?;
    by(Instant::now() + LINGER, close(stream)).await
}

async fn exchange(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mut incoming: Incoming,
    inbox: &Sender<Message>,
) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match incoming.next_step() {
            Step::Read(deadline) => {
                let count = by(deadline, stream.read(&mut buffer)).await?;
                incoming.receive(buffer.get(..count).unwrap_or_default());
            }
            Step::Pause(until) => drop(Timer::at(until).await),
            Step::Write(bytes, deadline) => by(deadline, send(stream, &bytes)).await?,
            Step::Answer(request) => incoming.respond(answer(inbox, *request).await),
            Step::Close => return Ok(()),
        }
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Ends our side of TLS, then the socket.
async fn close(mut stream: TlsStream<Async<TcpStream>>) -> io::Result<()> {
    stream.close().await?;
    drain(stream.into_inner().0).await
}

/// Ends our side and waits for the peer to end its own.
async fn drain(mut socket: Async<TcpStream>) -> io::Result<()> {
    socket.get_ref().shutdown(Shutdown::Write)?;
    let mut dropped = [0; 4096];
    while socket.read(&mut dropped).await? > 0 {}
    Ok(())
}

/// Has the core answer a request of another server, and waits for it.
async fn answer(inbox: &Sender<Message>, request: http::Request<Bytes>) -> http::Response<Bytes> {
    let (sender, response) = channel::bounded(1);
    let waiter = Box::new(move |response| drop(sender.try_send(response)));
    let _ = inbox.try_send(Message::Request(request, waiter));
    response.recv().await.unwrap_or_else(|_| unavailable())
}
