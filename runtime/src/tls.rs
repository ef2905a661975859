//! TLS as federation uses it: our certificate for those who connect, verified certificates of
//! those we connect to (server-server API, "TLS").

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};

use crate::Certificate;

/// How a listener shows `certificate`.
///
/// Errors when the key does not fit the certificate.
pub fn server_config(
    certificate: &Certificate,
) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificate.chain.clone(), certificate.key.clone_key())?;
    Ok(Arc::new(config))
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
