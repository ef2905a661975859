//! A certificate authority that lives as long as one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{
    ClientConfig, ConfigBuilder, ConfigSide, RootCertStore, ServerConfig, WantsVerifier,
    WantsVersions,
};
use ureq::tls::{Certificate, RootCerts};

use super::failure::Failure;

/// Signs a certificate for every server of the run: those that are programs of their own are
/// `localhost` and `127.0.0.1`.
pub struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate<'static>,
}

/// Where a server finds its TLS identity: two PEM files.
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
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
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let (certificate, key) = self.issue(names)?;
        let identity = Identity {
            certificate: directory.join("tls.crt"),
            private_key: directory.join("tls.key"),
        };
        write(&identity.certificate, &certificate.pem())?;
        write(&identity.private_key, &key.serialize_pem())?;
        Ok(identity)
    }

    /// The TLS of a server that is this program itself and has this one name or address.
    pub fn server_tls(&self, name: &str) -> Result<Arc<ServerConfig>, Failure> {
        let (certificate, key) = self.issue([name.to_owned()])?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = with_ring(ServerConfig::builder_with_provider)?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .map_err(Failure::while_doing("preparing the TLS of a server"))?;
        Ok(Arc::new(config))
    }

    /// The TLS of a client that trusts this authority alone.
    pub fn client_tls(&self) -> Result<Arc<ClientConfig>, Failure> {
        let mut roots = RootCertStore::empty();
        roots
            .add(self.certificate.der().to_vec().into())
            .map_err(Failure::while_doing("trusting the CA"))?;
        let config = with_ring(ClientConfig::builder_with_provider)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    fn issue(
        &self,
        names: impl Into<Vec<String>>,
    ) -> Result<(rcgen::Certificate, KeyPair), Failure> {
        let key = KeyPair::generate().map_err(Failure::while_doing("making a TLS key"))?;
        let certificate = server_parameters(names)
            .and_then(|parameters| parameters.signed_by(&key, &self.issuer))
            .map_err(Failure::while_doing("signing a TLS certificate"))?;
        Ok((certificate, key))
    }
}

/// The start of a TLS configuration, of either side.
fn with_ring<S: ConfigSide>(
    builder: fn(Arc<CryptoProvider>) -> ConfigBuilder<S, WantsVersions>,
) -> Result<ConfigBuilder<S, WantsVerifier>, Failure> {
    builder(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Failure::while_doing("choosing the versions of TLS"))
}

fn authority_parameters() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters
        .distinguished_name
        .push(DnType::CommonName, "Comity tests");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn server_parameters(names: impl Into<Vec<String>>) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.use_authority_key_identifier_extension = true;
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(parameters)
}

fn write(path: &Path, content: &str) -> Result<(), Failure> {
    fs::write(path, content).map_err(Failure::while_doing(format!("writing {}", path.display())))
}
