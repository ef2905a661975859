//! Certificates made on the spot: self-signed ones, and those of a throwaway authority.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use ruma_common::ServerName;

/// A certificate with its key, both PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub private_key: String,
}

/// A certificate for a server, signed by its own key. Others must trust this very certificate.
///
/// # Errors
/// When the name cannot stand in a certificate or no key can be made.
pub fn self_signed(name: &ServerName) -> Result<Certificate, Error> {
    let key = KeyPair::generate()?;
    let certificate = server_parameters(name)?.self_signed(&key)?;
    Ok(Certificate {
        certificate: certificate.pem(),
        private_key: key.serialize_pem(),
    })
}

/// A certificate authority that lives as long as this value.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// A new authority with a new key.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters
            .distinguished_name
            .push(DnType::CommonName, "Comity throwaway authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = parameters.self_signed(&key)?.pem();
        Ok(Self {
            issuer: Issuer::new(parameters, key),
            certificate,
        })
    }

    /// The authority's own certificate, to be trusted (PEM).
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a server.
    ///
    /// # Errors
    /// When the name cannot stand in a certificate or no key can be made.
    pub fn issue(&self, name: &ServerName) -> Result<Certificate, Error> {
        let key = KeyPair::generate()?;
        let certificate = server_parameters(name)?.signed_by(&key, &self.issuer)?;
        Ok(Certificate {
            certificate: certificate.pem(),
            private_key: key.serialize_pem(),
        })
    }
}

/// The name stands in it as a DNS name or, for an IP literal, as an address.
fn server_parameters(name: &ServerName) -> Result<CertificateParams, Error> {
    let host = name.host().trim_start_matches('[').trim_end_matches(']');
    let mut parameters = CertificateParams::new([host.to_owned()])?;
    parameters.distinguished_name.push(DnType::CommonName, host);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(parameters)
}
