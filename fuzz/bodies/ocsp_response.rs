//! OCSP responses: held against a certificate of ours, as every answer of a responder is.

use postern_pki::{Certificate, OcspStatus, Time, check_ocsp_response};

pub(crate) fn run(octets: &[u8]) {
    let certificate = Certificate::from_der(include_bytes!("ocsp_certificate.der")).expect("a certificate");
    let issuer = Certificate::from_der(include_bytes!("ocsp_issuer.der")).expect("its issuer");
    // When the answers of the corpus were given.
    let at = Time::from_unix(1_795_514_300);
    match check_ocsp_response(octets, &certificate, &issuer, at) {
        // Only what one of the corpus' keys has signed can be an answer, and nothing else was ever said.
        Ok(OcspStatus::Good | OcspStatus::Revoked { reason: 1, .. }) => {}
        Ok(other) => panic!("{other:?} was never said"),
        Err(error) => assert!(!error.to_string().contains(['\r', '\n', '\0'])),
    }
}
