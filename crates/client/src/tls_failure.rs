//! What goes wrong about TLS, and how it is called where it is reported.

use std::fmt;

/// RFC 8460 section 4.3: `result-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum TlsFailure {
    /// STARTTLS is not offered, or refused.
    StarttlsNotSupported,
    /// The certificate is somebody else's.
    CertificateHostMismatch,
    /// The certificate, or one above it, is not valid now.
    CertificateExpired,
    /// No authority that is trusted vouches for it, or it was revoked.
    CertificateNotTrusted,
    /// Anything else in the handshake.
    ValidationFailure,
    /// TLSA records, none of which matches.
    TlsaInvalid,
    /// Answers that should be signed and are not rightly so.
    DnssecInvalid,
    /// DANE was required, and there are no TLSA records.
    DaneRequired,
    /// The MTA-STS policy cannot be fetched.
    StsPolicyFetchError,
    /// The MTA-STS policy cannot be read, or does not list the host.
    StsPolicyInvalid,
    /// The certificate of the host that has the MTA-STS policy will not do.
    StsWebpkiInvalid,
}

impl TlsFailure {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::StarttlsNotSupported,
        Self::CertificateHostMismatch,
        Self::CertificateExpired,
        Self::CertificateNotTrusted,
        Self::ValidationFailure,
        Self::TlsaInvalid,
        Self::DnssecInvalid,
        Self::DaneRequired,
        Self::StsPolicyFetchError,
        Self::StsPolicyInvalid,
        Self::StsWebpkiInvalid,
    ];

    /// The RFC's word for it.
    #[must_use]
    pub fn result_type(self) -> &'static str {
        match self {
            Self::StarttlsNotSupported => "starttls-not-supported",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::ValidationFailure => "validation-failure",
            Self::TlsaInvalid => "tlsa-invalid",
            Self::DnssecInvalid => "dnssec-invalid",
            Self::DaneRequired => "dane-required",
            Self::StsPolicyFetchError => "sts-policy-fetch-error",
            Self::StsPolicyInvalid => "sts-policy-invalid",
            Self::StsWebpkiInvalid => "sts-webpki-invalid",
        }
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.result_type())
    }
}

/// Why a certificate will not do: what a verifier hands through the TLS library, so that the [`Cause`](crate::Cause) says it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Mistrust {
    /// What kind of failure.
    pub failure: TlsFailure,
    /// For people.
    pub text: String,
}

impl Mistrust {
    /// As the TLS library wants it.
    #[must_use]
    pub fn into_tls(self) -> rustls::Error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(rustls::OtherError(std::sync::Arc::new(
            self,
        ))))
    }

    /// What a failed handshake was about.
    pub(crate) fn of(error: &std::io::Error) -> Self {
        use rustls::CertificateError as Bad;
        let text = error.to_string();
        let failure = match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(Bad::Other(rustls::OtherError(other)))) => {
                match other.downcast_ref::<Self>() {
                    Some(mistrust) => return mistrust.clone(),
                    None => TlsFailure::ValidationFailure,
                }
            }
            Some(rustls::Error::InvalidCertificate(bad)) => match bad {
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => TlsFailure::CertificateHostMismatch,
                Bad::Expired | Bad::ExpiredContext { .. } => TlsFailure::CertificateExpired,
                _ => TlsFailure::CertificateNotTrusted,
            },
            _ => TlsFailure::ValidationFailure,
        };
        Self { failure, text }
    }
}
