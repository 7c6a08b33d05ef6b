//! TLS towards the next hop: one client configuration per route, for its mode.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde_spanned::Spanned;
use tokio_rustls::TlsConnector;

use crate::error::DeliveryError;
use crate::settings::{RouteSettings, TlsMode};

/// What a connection of a route does about TLS.
#[derive(Clone)]
pub(crate) enum Tls {
    /// Clear text.
    Never,
    /// TLS if the next hop offers it and the handshake works.
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

impl Tls {
    pub(crate) fn new(route: &RouteSettings, provider: &Arc<CryptoProvider>) -> Result<Self, DeliveryError> {
        if let (Some(ca), false) = (&route.ca, route.tls == TlsMode::Verify) {
            return Err(DeliveryError::UnusedCa(ca.span()));
        }
        Ok(match route.tls {
            TlsMode::None => Self::Never,
            TlsMode::May => Self::May(connector(Arc::new(Anybody(provider.clone())), provider)?),
            TlsMode::Require => Self::Must(connector(Arc::new(Anybody(provider.clone())), provider)?),
            TlsMode::Verify => {
                let roots = Arc::new(authorities(route.ca.as_ref())?);
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                    .build()
                    .map_err(|error| DeliveryError::Tls(rustls::Error::General(error.to_string())))?;
                Self::Must(connector(verifier, provider)?)
            }
        })
    }
}

fn connector(
    verifier: Arc<dyn ServerCertVerifier>,
    provider: &Arc<CryptoProvider>,
) -> Result<TlsConnector, DeliveryError> {
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Who may vouch for the next hop under `verify`.
fn authorities(ca: Option<&Spanned<std::path::PathBuf>>) -> Result<RootCertStore, DeliveryError> {
    match ca {
        Some(ca) => authorities_of_file(ca.get_ref(), ca.span()),
        None => authorities_of_system(),
    }
}

fn authorities_of_file(path: &Path, span: Range<usize>) -> Result<RootCertStore, DeliveryError> {
    let pem =
        std::fs::read(path).map_err(|error| DeliveryError::CaFile { path: path.into(), error, span: span.clone() })?;
    let content = |why: String| DeliveryError::CaContent { path: path.into(), why, span: span.clone() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| content(error.to_string()))?;
        roots.add(certificate).map_err(|error| content(error.to_string()))?;
    }
    if roots.is_empty() { Err(content("no CERTIFICATE block".to_owned())) } else { Ok(roots) }
}

fn authorities_of_system() -> Result<RootCertStore, DeliveryError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system's bundle may hold a certificate that rustls cannot use; the others still serve.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(DeliveryError::SystemAuthorities(why));
    }
    Ok(roots)
}

/// Takes any certificate, and still has its key proved: `may` and `require` keep listeners out, not impostors.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
