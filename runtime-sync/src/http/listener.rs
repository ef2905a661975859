//! Accepting connections.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use comity_runtime::{ConnectionLimits, OpenSockets};

use super::connection;

/// Answers requests, each on its connection's thread. It may block: that holds up nothing but
/// the connection.
pub type Handler = Arc<dyn Fn(http::Request<Bytes>) -> http::Response<Bytes> + Send + Sync>;

/// How long to pause when the system cannot accept a connection, for want of handles mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long to wait for the connection that wakes the accepting thread.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// Listens at one address. Dropping it closes it and all its connections at once.
///
/// Requests on a connection are answered one at a time, in order.
#[derive(Debug)]
pub struct HttpListener {
    address: SocketAddr,
    connections: OpenSockets,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl HttpListener {
    /// Listens on `listener`, with TLS if it is given how, and answers with `handler`.
    ///
    /// Errors when the socket has no address or the system gives no thread.
    pub fn start(
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        limits: ConnectionLimits,
        handler: Handler,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let connections = OpenSockets::accepting(&limits);
        let stopping = Arc::new(AtomicBool::new(false));
        let acceptor = Acceptor {
            tls,
            limits,
            handler,
            connections: connections.clone(),
            stopping: stopping.clone(),
        };
        let name = format!("comity-listen-{}", address.port());
        let acceptor = thread::Builder::new()
            .name(name)
            .spawn(move || acceptor.run(&listener))?;
        Ok(Self {
            address,
            connections,
            stopping,
            acceptor: Some(acceptor),
        })
    }

    /// Where it listens; with the port that the system chose if it was bound to port 0.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections, closes the idle ones and lets the others close once their
    /// present request is answered. Does not wait for them.
    pub fn stop_accepting(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.connections.stop();
        if let Some(acceptor) = self.acceptor.take() {
            let _ = TcpStream::connect_timeout(&reachable(self.address), WAKE_TIMEOUT);
            let _ = acceptor.join();
        }
    }

    /// Stops, giving requests under way `grace` to be answered.
    pub fn stop(mut self, grace: Duration) {
        self.stop_accepting();
        self.connections.wait_until_empty(grace);
    }
}

impl Drop for HttpListener {
    fn drop(&mut self) {
        self.stop_accepting();
        self.connections.close_all();
    }
}

/// What the accepting thread works with.
struct Acceptor {
    tls: Option<Arc<rustls::ServerConfig>>,
    limits: ConnectionLimits,
    handler: Handler,
    connections: OpenSockets,
    stopping: Arc<AtomicBool>,
}

impl Acceptor {
    fn run(&self, listener: &TcpListener) {
        while !self.stopping.load(Ordering::Acquire) {
            match listener.accept() {
                Ok((socket, peer)) => self.serve(socket, peer),
                Err(error) => {
                    tracing::debug!(%error, "cannot accept connections");
                    thread::sleep(ACCEPT_PAUSE);
                }
            }
        }
    }

    /// Gives the connection a place and a thread; without either it is closed.
    fn serve(&self, socket: TcpStream, peer: SocketAddr) {
        let thread = self.connections.admit(&socket).and_then(|place| {
            let (tls, limits, handler) = (self.tls.clone(), self.limits, self.handler.clone());
            let serve = move || {
                if let Err(error) = connection::serve(socket, tls, limits, &handler, place) {
                    tracing::debug!(%peer, %error, "connection broken");
                }
            };
            thread::Builder::new()
                .name("comity-connection".to_owned())
                .spawn(serve)
        });
        if let Err(error) = thread {
            tracing::debug!(%peer, %error, "connection refused");
        }
    }
}

/// An address under which this machine reaches its own listener.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
