//! The certificates in files that are shown, and read again when the files change.
//!
//! A file that cannot be used leaves the old certificate in place: whoever renews certificates
//! writes two files, one after the other.

use std::{error::Error, fs, path::Path, time::SystemTime};

use comity_sync::{Certificate, tls::ShownCertificate};

use crate::{
    config::{Config, TlsPaths},
    federation_server::FederationServer,
    serve::read,
};

/// The files of both listeners.
pub struct CertificateFiles {
    federation: Option<TlsPaths>,
    clients: Option<(TlsPaths, ShownCertificate)>,
    written: Vec<Option<SystemTime>>,
}

impl CertificateFiles {
    /// The files that a configuration names; those for clients are read.
    ///
    /// # Errors
    /// When these cannot be used.
    pub fn of(config: &Config) -> Result<Self, Box<dyn Error>> {
        let shown = |paths: &TlsPaths| -> Result<_, Box<dyn Error>> {
            let shown = ShownCertificate::new(&certificate(paths)?)?;
            Ok((paths.clone(), shown))
        };
        let mut files = Self {
            federation: config.federation.tls.clone(),
            clients: config.client.tls.as_ref().map(shown).transpose()?,
            written: Vec::new(),
        };
        files.have_changed();
        Ok(files)
    }

    /// What is shown to clients; nothing if they are served plain HTTP.
    #[must_use]
    pub fn of_clients(&self) -> Option<&ShownCertificate> {
        self.clients.as_ref().map(|(_, shown)| shown)
    }

    /// Whether a file has been written since this was asked last.
    pub fn have_changed(&mut self) -> bool {
        let clients = self.clients.iter().map(|(paths, _)| paths);
        let paths = self.federation.iter().chain(clients);
        let written = paths
            .flat_map(|paths| [&paths.certificate, &paths.private_key])
            .map(|path| written(path))
            .collect();
        let before = std::mem::replace(&mut self.written, written);
        before != self.written
    }

    /// Reads all files again and shows what is in them.
    pub fn read_again(&self, server: &FederationServer) {
        if let Some(paths) = &self.federation {
            note(paths, show(paths, |it| server.show_certificate(it)));
        }
        if let Some((paths, shown)) = &self.clients {
            note(paths, show(paths, |it| shown.replace(it)));
        }
    }
}

/// The certificate in these files.
///
/// # Errors
/// When they cannot be read; the error names the file.
pub fn certificate(paths: &TlsPaths) -> Result<Certificate, Box<dyn Error>> {
    let (chain, key) = (read(&paths.certificate)?, read(&paths.private_key)?);
    Certificate::from_pem(&chain, &key)
        .map_err(|error| format!("{}: {error}", paths.certificate.display()).into())
}

fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

fn show(
    paths: &TlsPaths,
    show: impl FnOnce(&Certificate) -> Result<(), rustls::Error>,
) -> Result<(), Box<dyn Error>> {
    Ok(show(&certificate(paths)?)?)
}

fn note(paths: &TlsPaths, outcome: Result<(), Box<dyn Error>>) {
    let file = paths.certificate.display();
    match outcome {
        Ok(()) => tracing::info!(%file, "the certificate was read again"),
        Err(error) => tracing::warn!(%file, %error, "the old certificate is still shown"),
    }
}
