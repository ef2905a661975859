//! The commented configuration that `comity init` writes.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ruma_common::OwnedServerName;
use toml::Value;

/// Where a certificate and its key are.
#[derive(Clone, Debug)]
pub struct TlsPaths {
    /// The certificate and those that lead from it to a known authority (PEM).
    pub certificate: PathBuf,
    /// The certificate's private key (PEM).
    pub private_key: PathBuf,
}

impl TlsPaths {
    /// The same paths seen from `directory`.
    #[must_use]
    pub fn relative_to(&self, directory: &Path) -> Self {
        Self {
            certificate: directory.join(&self.certificate),
            private_key: directory.join(&self.private_key),
        }
    }
}

/// What differs between one new configuration and another; written by [`fmt::Display`].
#[derive(Clone, Debug)]
pub struct Template {
    /// The server's name.
    pub server_name: OwnedServerName,
    /// Where to listen for other servers.
    pub federation_listen: SocketAddr,
    /// Where to listen for clients.
    pub client_listen: SocketAddr,
    /// The certificate for other servers.
    pub tls: TlsPaths,
    /// Certificate authorities to trust besides the system's.
    pub extra_ca: Vec<PathBuf>,
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |path: &Path| Value::from(path.to_string_lossy().into_owned());
        write!(
            f,
            include_str!("comity.toml.template"),
            server_name = Value::from(self.server_name.as_str()),
            federation_listen = Value::from(self.federation_listen.to_string()),
            client_listen = Value::from(self.client_listen.to_string()),
            certificate = text(&self.tls.certificate),
            private_key = text(&self.tls.private_key),
            extra_ca = Value::Array(self.extra_ca.iter().map(|path| text(path)).collect()),
        )
    }
}
