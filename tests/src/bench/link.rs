//! A connection to the server under test, over which prepared requests go one after the other.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use comity_core::transport::http1::{ClientConnection, HttpLimits};
use http::{Request, Response};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, StreamOwned};

use crate::homeservers::failure::Failure;

/// A TLS connection that is kept open.
pub struct Link {
    stream: StreamOwned<rustls::ClientConnection, TcpStream>,
    http: ClientConnection,
    buffer: Box<[u8]>,
}

impl Link {
    /// Connects to a port of loopback.
    pub fn open(port: u16, tls: &Arc<ClientConfig>) -> Result<Self, Failure> {
        let address = Ipv4Addr::LOCALHOST;
        let doing = || Failure::while_doing("connecting to the server under test");
        let socket = TcpStream::connect((address, port)).map_err(doing())?;
        socket.set_nodelay(true).map_err(doing())?;
        let name = ServerName::from(std::net::IpAddr::from(address));
        let session = rustls::ClientConnection::new(tls.clone(), name)
            .map_err(Failure::while_doing("beginning TLS"))?;
        Ok(Self {
            stream: StreamOwned::new(session, socket),
            http: ClientConnection::new(),
            buffer: vec![0; 64 << 10].into(),
        })
    }

    /// Sends a request and waits for its answer, which must be a success.
    pub fn ask(&mut self, request: &Request<Bytes>) -> Result<Response<Bytes>, Failure> {
        let name = || format!("{} {}", request.method(), request.uri());
        let answer = self
            .exchange(request)
            .map_err(|error| Failure::Unreachable {
                request: name(),
                reason: error.to_string(),
            })?;
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(Failure::Refused {
                request: name(),
                status: answer.status().as_u16(),
                body: String::from_utf8_lossy(answer.body()).into(),
            }),
        }
    }

    fn exchange(&mut self, request: &Request<Bytes>) -> io::Result<Response<Bytes>> {
        let bytes = self
            .http
            .send(request, HttpLimits::default())
            .map_err(io::Error::other)?;
        self.stream.write_all(&bytes)?;
        loop {
            if let Some(response) = self.http.next_response().map_err(io::Error::other)? {
                return Ok(response);
            }
            match self.stream.read(&mut self.buffer)? {
                0 => self.http.receive_eof(),
                read => self
                    .http
                    .receive(self.buffer.get(..read).unwrap_or_default()),
            }
        }
    }
}
