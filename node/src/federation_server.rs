//! A running federation server, on whichever runtime.

use std::{net::TcpListener, path::PathBuf, sync::Arc};

use comity_core::{keys::KeySettings, messaging::settings::Settings, pdu::signing::SigningKey};
use comity_sync::{Certificate, ConnectionLimits, RecordingConfig, ServerConfig, StartError};
use ruma_common::OwnedServerName;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{config::Runtime, homeserver::Homeserver, random};

/// The federation's database within its directory.
pub const DATABASE_FILE: &str = "federation.db";

/// What a federation server is started with.
pub struct Parts {
    /// Its name.
    pub server_name: OwnedServerName,
    /// What it signs with.
    pub signing_key: SigningKey,
    /// The directory of its database.
    pub database_directory: PathBuf,
    /// What it chooses of how it takes part in rooms.
    pub settings: Settings,
    /// What it chooses of its own keys and of getting those of others.
    pub keys: KeySettings,
    /// To whom our name delegates, if we serve that page.
    pub delegates_to: Option<OwnedServerName>,
    /// Where it listens.
    pub listeners: Vec<TcpListener>,
    /// What it shows to those who connect; plain HTTP without.
    pub certificate: Option<Certificate>,
    /// What those who connect may take.
    pub connections: ConnectionLimits,
    /// Where to record what goes in.
    pub recording: Option<RecordingConfig>,
    /// Authorities to trust besides the system's (PEM).
    pub extra_ca: Vec<Vec<u8>>,
}

/// A server that federates.
#[derive(Debug)]
pub enum FederationServer {
    /// On smol.
    Smol(comity_smol::Server),
    /// On threads.
    Sync(comity_sync::Server),
}

impl FederationServer {
    /// Begins to federate.
    ///
    /// # Errors
    /// When the database, a certificate or a listener is not usable.
    pub fn start(runtime: Runtime, parts: Parts) -> Result<Self, Box<dyn std::error::Error>> {
        let config = parts.server_config()?;
        let started: Result<Self, StartError> = match runtime {
            Runtime::Smol => smol::block_on(comity_smol::Server::start(config)).map(Self::Smol),
            Runtime::Sync => comity_sync::Server::start(config).map(Self::Sync),
        };
        Ok(started?)
    }

    /// What it is talked to with.
    #[must_use]
    pub fn homeserver(&self) -> Arc<dyn Homeserver> {
        match self {
            Self::Smol(server) => Arc::new(server.handle()),
            Self::Sync(server) => Arc::new(server.handle()),
        }
    }

    /// Why it stopped by itself; `None` while it runs.
    #[must_use]
    pub fn stop_reason(&self) -> Option<String> {
        match self {
            Self::Smol(server) => server.handle().stop_reason().map(ToOwned::to_owned),
            Self::Sync(server) => server.handle().stop_reason().map(ToOwned::to_owned),
        }
    }

    /// Shows another certificate from now on.
    ///
    /// # Errors
    /// When the key does not fit the certificate; the old one is then still shown.
    pub fn show_certificate(&self, certificate: &Certificate) -> Result<(), rustls::Error> {
        match self {
            Self::Smol(server) => server.show_certificate(certificate),
            Self::Sync(server) => server.show_certificate(certificate),
        }
    }

    /// Stops once what is under way is done.
    pub fn shutdown(self) {
        match self {
            Self::Smol(server) => smol::block_on(server.shutdown()),
            Self::Sync(server) => server.shutdown(),
        }
    }

    /// Stops as a crash would.
    pub fn stop_hard(self) {
        match self {
            Self::Smol(server) => smol::block_on(server.stop_hard()),
            Self::Sync(server) => server.stop_hard(),
        }
    }
}

impl Parts {
    fn server_config(self) -> Result<ServerConfig, Box<dyn std::error::Error>> {
        let core = comity_core::Config {
            server_name: self.server_name,
            signing_key: Arc::new(self.signing_key),
            seed: random::bytes()?,
            settings: self.settings,
            keys: self.keys,
            delegates_to: self.delegates_to,
        };
        let database = self.database_directory.join(DATABASE_FILE);
        let mut config = ServerConfig::new(core, database, self.listeners, self.certificate);
        config.recording = self.recording;
        config.connections = self.connections;
        for authorities in self.extra_ca {
            for authority in CertificateDer::pem_slice_iter(&authorities) {
                config.extra_roots.push(authority?);
            }
        }
        Ok(config)
    }
}
