//! A certificate authority that lives as long as one run of the suite.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use ureq::tls::{Certificate, RootCerts};

use crate::failure::Failure;

/// Signs a certificate for `localhost` and `127.0.0.1` for every server of the run.
pub struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate<'static>,
}

/// Where a server finds its TLS identity: two PEM files.
pub struct Identity {
    pub certificate: PathBuf,
    pub private_key: PathBuf,
}

impl Authority {
    /// Makes an authority whose certificate lies in `directory` as `ca.pem`.
    pub fn create(directory: &Path) -> Result<Self, Failure> {
        let key = KeyPair::generate().map_err(Failure::while_doing("making the CA key"))?;
        let parameters = authority_parameters();
        let certificate = parameters
            .self_signed(&key)
            .map_err(Failure::while_doing("signing the CA"))?;
        let authority = Self {
            directory: directory.to_owned(),
            issuer: Issuer::new(parameters, key),
            certificate: Certificate::from_der(certificate.der()).to_owned(),
        };
        write(&authority.certificate_path(), &certificate.pem())?;
        Ok(authority)
    }

    /// The PEM file every server of the run trusts.
    pub fn certificate_path(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// The same, for our own client.
    pub fn roots(&self) -> RootCerts {
        RootCerts::new_with_certs(std::slice::from_ref(&self.certificate))
    }

    /// Issues a certificate into `directory`.
    pub fn identity(&self, directory: &Path) -> Result<Identity, Failure> {
        let key = KeyPair::generate().map_err(Failure::while_doing("making a TLS key"))?;
        let certificate = server_parameters()
            .and_then(|parameters| parameters.signed_by(&key, &self.issuer))
            .map_err(Failure::while_doing("signing a TLS certificate"))?;
        let identity = Identity {
            certificate: directory.join("tls.crt"),
            private_key: directory.join("tls.key"),
        };
        write(&identity.certificate, &certificate.pem())?;
        write(&identity.private_key, &key.serialize_pem())?;
        Ok(identity)
    }
}

fn authority_parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters
        .distinguished_name
        .push(DnType::CommonName, "Comity interop suite");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn server_parameters() -> Result<CertificateParams, rcgen::Error> {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut parameters = CertificateParams::new(names)?;
    parameters.use_authority_key_identifier_extension = true;
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(parameters)
}

fn write(path: &Path, content: &str) -> Result<(), Failure> {
    fs::write(path, content).map_err(Failure::while_doing(format!("writing {}", path.display())))
}
