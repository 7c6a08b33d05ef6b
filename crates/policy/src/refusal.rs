//! Why something is refused.

use std::fmt;

use pki::PathError;
use protocol::Mailbox;

/// Why something is refused. One table in `session` turns it into a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The client's address is not welcome.
    AccessDenied,
    /// RFC 3207 section 4.
    TlsRequired,
    /// TLS went without a certificate where one must be shown.
    CertificateMissing,
    /// There is no valid path from the certificate to a trust anchor.
    CertificateInvalid(PathError),
    /// A certificate on the path is revoked.
    CertificateRevoked,
    /// Nobody can say whether it is revoked, and that counts as a no here.
    CertificateStatusUnknown,
    /// The directory knows nobody by this certificate.
    CertificateUnmatched,
    /// The directory knows several people by this certificate.
    CertificateAmbiguous,
    /// Somebody who must be asked cannot answer now.
    Temporary(Temporary),
    /// RFC 4954 section 6: MAIL before an identity.
    AuthenticationRequired,
    /// RFC 4954 section 6: AUTH needs TLS first.
    EncryptionRequired,
    /// RFC 4954 section 6: wrong, unknown, disabled or not allowed; the client is not told which.
    InvalidCredentials,
    /// RFC 4954 section 4: one successful AUTH a session.
    AlreadyAuthenticated,
    /// This session offers no AUTH.
    AuthNotOffered,
    /// This session offers AUTH, but not by this mechanism.
    MechanismNotOffered,
    /// MAIL FROM is not an address of this identity; these are (at most a few).
    SenderNotOwn(Vec<Mailbox>),
    /// MAIL FROM is not in a domain of this identity.
    SenderNotOwnDomain,
}

/// Who cannot answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporary {
    /// No CRL or OCSP responder says whether the certificate is revoked.
    RevocationStatus,
    /// The directory, asked for the certificate's owner.
    CertificateQuery,
    /// The directory, asked for a password.
    PasswordQuery,
    /// The directory, asked for the allowance.
    Allowance,
}

/// The reason as the log words it; replies have their own table.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessDenied => f.write_str("access denied by policy"),
            Self::TlsRequired => f.write_str("TLS is required first"),
            Self::CertificateMissing => f.write_str("no client certificate"),
            Self::CertificateInvalid(error) => write!(f, "client certificate invalid: {error}"),
            Self::CertificateRevoked => f.write_str("client certificate revoked"),
            Self::CertificateStatusUnknown => f.write_str("revocation status unknown"),
            Self::CertificateUnmatched => f.write_str("the directory knows nobody by this certificate"),
            Self::CertificateAmbiguous => f.write_str("the directory knows several people by this certificate"),
            Self::Temporary(Temporary::RevocationStatus) => f.write_str("revocation status unknown for now"),
            Self::Temporary(Temporary::CertificateQuery) => {
                f.write_str("directory unavailable for the certificate query")
            }
            Self::Temporary(Temporary::PasswordQuery) => f.write_str("nobody can judge the password now"),
            Self::Temporary(Temporary::Allowance) => f.write_str("directory unavailable for the allowance query"),
            Self::AuthenticationRequired => f.write_str("authentication required"),
            Self::EncryptionRequired => f.write_str("AUTH before TLS"),
            Self::InvalidCredentials => f.write_str("invalid credentials"),
            Self::AlreadyAuthenticated => f.write_str("already authenticated"),
            Self::AuthNotOffered => f.write_str("AUTH is not offered"),
            Self::MechanismNotOffered => f.write_str("mechanism not offered"),
            Self::SenderNotOwn(_) => f.write_str("sender is not an address of the identity"),
            Self::SenderNotOwnDomain => f.write_str("sender is not in a domain of the identity"),
        }
    }
}
