//! Why something is refused.

use std::borrow::Cow;
use std::fmt;

use pki::PathError;
use protocol::Mailbox;
use protocol::header::OriginatorError;

use crate::flow_values::ReplyText;
use crate::rule::Rule;

/// Why something is refused. One table in `session` turns it into a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The client is not welcome; perhaps the administrator has words for it.
    AccessDenied(Option<ReplyText>),
    /// The same, said of a recipient (`delayed_rejection`).
    RecipientDenied(Option<ReplyText>),
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
    /// `MAIL FROM:<>`, which the policy does not want.
    NullSender,
    /// The header's From or Sender names an address that is not the identity's.
    AuthorNotOwn {
        /// As it could be read there.
        written: String,
        /// The identity's own (at most a few).
        own: Vec<Mailbox>,
    },
    /// The header's From or Sender names this address, which is not in a domain of the identity.
    AuthorNotOwnDomain(String),
    /// From and Sender can be read in more than one way, or not at all.
    AuthorUnclear(OriginatorError),
    /// The author would have to be rewritten, and the message bears a signature that would break.
    AuthorSigned,
    /// The recipient is not one of the listener's own, and the client may not relay.
    RelayingDenied,
    /// The recipient's domain is ours, and there is no such mailbox.
    RecipientUnknown,
    /// RFC 5321 section 4.5.3.1.10: the message has so many recipients already.
    TooManyRecipients(u32),
    /// The client had so many recipients within the hour.
    ClientHourFull(u32),
    /// The identity had so many recipients within the hour.
    IdentityHourFull(u32),
    /// So many of the client's recipients within the hour were unknown that it seems to guess.
    Harvesting(u32),
}

/// What a rule would have refused, were it not monitored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitored {
    /// Which.
    pub rule: Rule,
    /// What the client would have met.
    pub refusal: Refusal,
    /// What the facts said: for the log.
    pub reason: Cow<'static, str>,
}

impl Monitored {
    /// With the refusal's own words as its reason.
    pub(crate) fn of(rule: Rule, refusal: Refusal) -> Self {
        let reason = refusal.to_string().into();
        Self { rule, refusal, reason }
    }
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
    /// The directory, asked for a recipient.
    RecipientQuery,
}

impl Refusal {
    /// Whether the same may be granted later.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Temporary(_)
                | Self::TooManyRecipients(_)
                | Self::ClientHourFull(_)
                | Self::IdentityHourFull(_)
                | Self::Harvesting(_)
        )
    }
}

/// The reason as the log words it; replies have their own table.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessDenied(_) => f.write_str("access denied by policy"),
            Self::RecipientDenied(_) => f.write_str("access denied by policy, delayed to the recipient"),
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
            Self::Temporary(Temporary::RecipientQuery) => f.write_str("directory unavailable for the recipient"),
            Self::AuthenticationRequired => f.write_str("authentication required"),
            Self::EncryptionRequired => f.write_str("AUTH before TLS"),
            Self::InvalidCredentials => f.write_str("invalid credentials"),
            Self::AlreadyAuthenticated => f.write_str("already authenticated"),
            Self::AuthNotOffered => f.write_str("AUTH is not offered"),
            Self::MechanismNotOffered => f.write_str("mechanism not offered"),
            Self::SenderNotOwn(_) => f.write_str("sender is not an address of the identity"),
            Self::SenderNotOwnDomain => f.write_str("sender is not in a domain of the identity"),
            Self::NullSender => f.write_str("null sender"),
            Self::AuthorNotOwn { written, .. } => write!(f, "the header names {written:?}, no address of the identity"),
            Self::AuthorNotOwnDomain(written) => {
                write!(f, "the header names {written:?}, in no domain of the identity")
            }
            Self::AuthorUnclear(error) => write!(f, "the header's author is unclear: {error}"),
            Self::AuthorSigned => f.write_str("the header's author is foreign and signed, and cannot be rewritten"),
            Self::RelayingDenied => f.write_str("recipient is not ours, and the client may not relay"),
            Self::RecipientUnknown => f.write_str("recipient unknown"),
            Self::TooManyRecipients(limit) => write!(f, "{limit} recipients in this message already"),
            Self::ClientHourFull(limit) => write!(f, "{limit} recipients of this client within the hour already"),
            Self::IdentityHourFull(limit) => write!(f, "{limit} recipients of this identity within the hour already"),
            Self::Harvesting(limit) => write!(f, "{limit} unknown recipients of this client within the hour already"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_granted_later() {
        for (refusal, later, words) in [
            (Refusal::AccessDenied(None), false, "access denied by policy"),
            (Refusal::CertificateRevoked, false, "client certificate revoked"),
            (Refusal::InvalidCredentials, false, "invalid credentials"),
            (Refusal::RecipientUnknown, false, "recipient unknown"),
            (Refusal::Temporary(Temporary::Allowance), true, "directory unavailable for the allowance query"),
            (Refusal::TooManyRecipients(3), true, "3 recipients in this message already"),
            (Refusal::ClientHourFull(4), true, "4 recipients of this client within the hour already"),
            (Refusal::IdentityHourFull(5), true, "5 recipients of this identity within the hour already"),
            (Refusal::Harvesting(6), true, "6 unknown recipients of this client within the hour already"),
        ] {
            assert_eq!((refusal.is_temporary(), refusal.to_string().as_str()), (later, words));
        }
    }
}
