//! What a next hop shows in the handshake: its key is proved, whatever the certificate says, and a judge says whether the
//! certificate will do.

use std::fmt::Debug;

use client::Mistrust;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

/// Says whether a chain will do, before anything else is said on the connection. It computes and never waits.
pub(crate) trait Judge: Debug + Send + Sync {
    /// `chain` begins with the host's own certificate; `host` is whom the connection was opened to.
    fn judge(&self, chain: &[&[u8]], host: &ServerName<'_>) -> Result<(), Mistrust>;
}

/// Whoever answers will do.
#[derive(Debug)]
pub(crate) struct Anybody;

impl Judge for Anybody {
    fn judge(&self, _: &[&[u8]], _: &ServerName<'_>) -> Result<(), Mistrust> {
        Ok(())
    }
}

/// A judge as the TLS library wants it. The library's own verifier would refuse certificates of version 1, and critical
/// extensions that `pki` knows and it does not.
#[derive(Debug)]
pub(crate) struct Shown<J>(pub(crate) J);

impl<J: Judge> ServerCertVerifier for Shown<J> {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain: Vec<&[u8]> = std::iter::once(own).chain(others).map(AsRef::as_ref).collect();
        self.0.judge(&chain, host).map_err(Mistrust::into_tls)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        possession(pki::TlsVersion::Tls12, certificate, message, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        possession(pki::TlsVersion::Tls13, certificate, message, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        pki::POSSESSION_SCHEMES.into_iter().map(SignatureScheme::from).collect()
    }
}

fn possession(
    version: pki::TlsVersion,
    certificate: &CertificateDer<'_>,
    message: &[u8],
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, rustls::Error> {
    let bad = |error: String| rustls::Error::General(format!("the next hop's certificate: {error}"));
    let key = pki::subject_public_key_info(certificate).map_err(|error| bad(error.to_string()))?;
    pki::verify_possession(key, version, signed.scheme.into(), message, signed.signature())
        .map_err(|error| bad(error.to_string()))?;
    Ok(HandshakeSignatureValid::assertion())
}
