//! What a server is started with, and why it may not start.

use std::{io, net::TcpListener, path::PathBuf, time::Duration};

use crate::{
    Resolver,
    recording::{Recorder, RecordingConfig},
};
use comity_core::{
    transaction::outgoing::{LIVING_AT_ONCE, PROBES_AT_ONCE},
    transport::http1::{HttpLimits, PaceLimits},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// Everything that a server needs to know before it starts.
pub struct ServerConfig {
    /// Who this server is, and the core's own limits.
    pub core: comity_core::Config,
    /// The SQLite file; made if it is not there.
    pub database: PathBuf,
    /// Where other servers connect to. They are bound by the caller, so that a test can bind port
    /// 0 and name the server after the port it got.
    pub listeners: Vec<TcpListener>,
    /// What this server shows to those who connect. Without one it speaks plain HTTP: then a
    /// reverse proxy has to stand before it.
    pub certificate: Option<Certificate>,
    /// Certificates to trust as roots, beside the platform's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Whether to trust what the operating system trusts; only tests and private federations
    /// have a reason not to.
    pub use_platform_roots: bool,
    /// What a connection from another server may take.
    pub connections: ConnectionLimits,
    /// How names of other servers are looked up.
    pub resolver: Resolver,
    /// How many requests of ours may be under way at once; the rest wait, and their time runs. More
    /// than the core makes for transactions, so that there is room for others.
    pub calls_max: usize,
    /// Where to record everything that goes into the core; nowhere if `None`.
    pub recording: Option<RecordingConfig>,
}

impl ServerConfig {
    /// A configuration with the usual limits that trusts what the platform trusts. Without a
    /// certificate the limits are those of a server behind a reverse proxy.
    #[must_use]
    pub fn new(
        core: comity_core::Config,
        database: impl Into<PathBuf>,
        listeners: Vec<TcpListener>,
        certificate: impl Into<Option<Certificate>>,
    ) -> Self {
        let certificate = certificate.into();
        let connections = match certificate {
            Some(_) => ConnectionLimits::default(),
            None => ConnectionLimits::behind_proxy(),
        };
        Self {
            core,
            database: database.into(),
            listeners,
            certificate,
            extra_roots: Vec::new(),
            use_platform_roots: true,
            connections,
            resolver: Resolver::system(),
            calls_max: LIVING_AT_ONCE + PROBES_AT_ONCE + 64,
            recording: None,
        }
    }

    /// The log to record into, begun.
    ///
    /// Errors when its file cannot be written.
    pub fn recorder(&self) -> io::Result<Option<Recorder>> {
        let recording = self.recording.as_ref();
        recording
            .map(|recording| Recorder::start(recording, &self.core))
            .transpose()
    }
}

/// A certificate chain, the server's own certificate first, and its private key.
#[derive(Debug)]
pub struct Certificate {
    /// The chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the chain's first certificate.
    pub key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Reads chain and key from PEM text, which may be the same text.
    ///
    /// Errors when either is malformed or missing.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>()?;
        if chain.is_empty() {
            return Err(CertificateError::Empty);
        }
        Ok(Self {
            chain,
            key: PrivateKeyDer::from_pem_slice(key)?,
        })
    }
}

impl Clone for Certificate {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// Why PEM text holds no [`Certificate`].
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Malformed, or without a private key.
    #[error("cannot read the certificate or key: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// No certificate in it.
    #[error("there is no certificate in the chain")]
    Empty,
}

/// What a listener grants those who connect to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at the same time. At the limit the one that has been idle for longest makes
    /// room; if none is idle, the newcomer is refused.
    pub connections: usize,
    /// The same of one IPv4 address or one IPv6 network of 64 bits; if none of its own is idle, the
    /// newcomer is refused. Those from this machine count for nobody: they may come from a proxy. A
    /// proxy on another machine stands for all whom it serves, so that there must be no such bound,
    /// `None`, wherever one passes connections on.
    pub connections_per_host: Option<usize>,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a request may take to come, and a connection may stay open without one.
    pub pace: PaceLimits,
    /// How long the peer may take to read an answer.
    pub response: Duration,
    /// How large a request may be.
    pub http: HttpLimits,
}

/// Bytes of a request's body unless told otherwise. The largest transaction that the specification
/// allows, 50 PDUs and 100 EDUs of 64 KiB each, fits.
const REQUEST_BYTES: usize = 12 * 1024 * 1024;

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_host: Some(128),
            handshake: Duration::from_secs(10),
            pace: PaceLimits::default(),
            response: Duration::from_secs(60),
            http: HttpLimits {
                body_bytes: REQUEST_BYTES,
                ..HttpLimits::default()
            },
        }
    }
}

impl ConnectionLimits {
    /// For a listener that only a reverse proxy connects to: no host has a bound of its own.
    #[must_use]
    pub fn behind_proxy() -> Self {
        Self {
            connections_per_host: None,
            ..Self::default()
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be opened.
    #[error("cannot open the database: {0}")]
    Store(#[from] comity_store::OpenError),
    /// The certificate, its key or a root is not acceptable.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A listener or thread could not be set up.
    #[error("cannot start: {0}")]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use comity_core::{
        pdu::format::MAX_EVENT_BYTES,
        transaction::outgoing::{EDUS_MAX, PDUS_MAX},
    };

    use super::*;

    /// TXN-20: whatever a transaction may hold comes in.
    #[test]
    fn txn_20_the_largest_transaction_is_no_larger_than_a_request_may_be() {
        let largest = (PDUS_MAX + EDUS_MAX) * MAX_EVENT_BYTES;
        assert!(ConnectionLimits::default().http.body_bytes > largest);
    }
}
