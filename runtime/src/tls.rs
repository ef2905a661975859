//! TLS as federation uses it: our certificate for those who connect, verified certificates of
//! those we connect to (server-server API, "TLS").

use std::sync::{Arc, PoisonError, RwLock};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::CertificateDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::Certificate;

/// The certificate that a listener shows, which can be replaced while it listens.
#[derive(Clone, Debug)]
pub struct ShownCertificate(Arc<RwLock<Arc<CertifiedKey>>>);

impl ShownCertificate {
    /// Shows this certificate.
    ///
    /// Errors when the key does not fit the certificate.
    pub fn new(certificate: &Certificate) -> Result<Self, rustls::Error> {
        Ok(Self(Arc::new(RwLock::new(certified(certificate)?))))
    }

    /// Shows another certificate to everybody who connects from now on. Connections that are open
    /// stay open.
    ///
    /// Errors when the key does not fit the certificate; the old one is then still shown.
    pub fn replace(&self, certificate: &Certificate) -> Result<(), rustls::Error> {
        let certified = certified(certificate)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certified;
        Ok(())
    }

    /// How a listener shows it.
    ///
    /// Errors when this platform's cryptography offers no version of TLS that we speak.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for ShownCertificate {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(shown.clone())
    }
}

fn certified(certificate: &Certificate) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let (chain, key) = (certificate.chain.clone(), certificate.key.clone_key());
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map(Arc::new)
}

/// How we check those we connect to: against `extra_roots` and, if wished, the platform's roots.
///
/// Errors when one of `extra_roots` is no certificate. What the platform cannot read of its own
/// store is only logged, as one broken file must not stop federation.
pub fn client_config(
    extra_roots: &[CertificateDer<'static>],
    use_platform_roots: bool,
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    if use_platform_roots {
        add_platform_roots(&mut roots);
    }
    for root in extra_roots {
        roots.add(root.clone())?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn add_platform_roots(roots: &mut RootCertStore) {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a root certificate of the platform cannot be read");
    }
    let (added, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(added, ignored, "root certificates of the platform");
}
