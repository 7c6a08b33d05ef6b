//! TLS towards a server: whom to trust, what to show.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::error::SetupError;

/// What connections do about TLS.
#[derive(Clone)]
pub enum Tls {
    /// Clear text.
    Never,
    /// TLS if the server offers it and the handshake works.
    May(TlsConnector),
    /// TLS or nothing.
    Must(TlsConnector),
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Never => "Never",
            Self::May(_) => "May",
            Self::Must(_) => "Must",
        })
    }
}

/// The certificate that is shown to a server that asks for one. `Debug` shows no key.
pub struct OwnCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl std::fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnCertificate").field("chain", &self.chain.len()).finish_non_exhaustive()
    }
}

impl OwnCertificate {
    /// Reads two PEM files: the certificate with its chain, and the key, not encrypted.
    ///
    /// # Errors
    /// When either is not that.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, SetupError> {
        let unusable = |path: &Path, why: String| SetupError::OwnCertificate { path: path.to_owned(), why };
        let chain = CertificateDer::pem_slice_iter(&read(certificate)?).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| unusable(certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(unusable(certificate, "no CERTIFICATE block".to_owned()));
        }
        let octets = Zeroizing::new(read(key)?);
        let key = PrivateKeyDer::from_pem_slice(&octets).map_err(|error| unusable(key, error.to_string()))?;
        Ok(Self { chain, key })
    }
}

/// For servers whose certificate names them, and comes from one of these authorities.
///
/// # Errors
/// When the TLS library refuses what it is given.
pub fn connector_to_verified(
    roots: RootCertStore,
    own: Option<&OwnCertificate>,
    provider: &Arc<CryptoProvider>,
) -> Result<TlsConnector, SetupError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    connector(verifier, own, provider)
}

/// For servers whose certificate will do for this verifier.
///
/// # Errors
/// When the TLS library refuses what it is given.
pub fn connector(
    verifier: Arc<dyn ServerCertVerifier>,
    own: Option<&OwnCertificate>,
    provider: &Arc<CryptoProvider>,
) -> Result<TlsConnector, SetupError> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder.with_client_auth_cert(own.chain.clone(), own.key.clone_key())?,
    };
    // A resumed session is not verified again, and what is true of certificates changes.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Who may vouch for a server: the certificates of a PEM file, or the system's.
///
/// # Errors
/// When there is none.
pub fn authorities(file: Option<&Path>) -> Result<RootCertStore, SetupError> {
    file.map_or_else(authorities_of_system, authorities_of_file)
}

fn authorities_of_file(path: &Path) -> Result<RootCertStore, SetupError> {
    let content = |why: String| SetupError::Authorities { path: path.to_owned(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read(path)?) {
        let certificate = certificate.map_err(|error| content(error.to_string()))?;
        roots.add(certificate).map_err(|error| content(error.to_string()))?;
    }
    if roots.is_empty() { Err(content("no CERTIFICATE block".to_owned())) } else { Ok(roots) }
}

fn authorities_of_system() -> Result<RootCertStore, SetupError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system's bundle may hold a certificate that rustls cannot use; the others still serve.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(SetupError::SystemAuthorities(why));
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|error| SetupError::Read { path: path.to_owned(), error })
}
