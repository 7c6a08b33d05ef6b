//! What a judgement says, and the steps that led to it.

use std::borrow::Cow;
use std::fmt;

use auth::Mechanism;
use pki::PathError;
use protocol::Mailbox;

use crate::permit::Clearance;

/// The whole answer of [`crate::judge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// May the session go on?
    pub standing: Standing,
    /// What EHLO says of AUTH, and what an AUTH command meets.
    pub auth: AuthOffer,
    /// What became of the AUTH exchange among the facts; `None` when there is none.
    pub attempt: Option<Result<(), Refusal>>,
    /// May MAIL go on, and as whom?
    pub mail: Result<Clearance, Refusal>,
    /// Each question, its answer, and what followed; in order.
    pub steps: Vec<Step>,
}

/// The session as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Close without a word.
    Disconnect,
    /// Every command but QUIT is answered with this; before the greeting, it is the greeting.
    Refused(Refusal),
    /// Commands are served; before TLS, by rule, only those that lead to it.
    Open {
        /// STARTTLS is offered.
        starttls: bool,
        /// All but EHLO, HELO, STARTTLS, NOOP, RSET and QUIT is refused until then.
        tls_first: bool,
    },
}

/// AUTH, as things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthOffer {
    /// Advertised and served.
    Mechanisms(Vec<Mechanism>),
    /// Not advertised; an attempt is refused so.
    Refused(Refusal),
}

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

/// One question on the way to the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was asked.
    pub question: Question,
    /// What the facts said.
    pub answer: Cow<'static, str>,
    /// What followed from it.
    pub effect: Effect,
}

/// What a judgement asks, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Is the client welcome?
    Access,
    /// Is there TLS?
    Transport,
    /// Is there a certificate?
    Certificate,
    /// Does it lead to a trust anchor?
    Path,
    /// Is it revoked?
    Revocation,
    /// Whose is it?
    CertificateQuery,
    /// Did AUTH succeed?
    Attempt,
    /// May this person use AUTH?
    Allowance,
    /// May mail go on?
    Mail,
    /// Is MAIL FROM the identity's own?
    Sender,
}

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The next question is asked.
    Continue,
    /// The client has an identity.
    Identified,
    /// A password may take the certificate's place.
    Fallback,
    /// A failure that may pass.
    Temporary,
    /// A no.
    Refused,
    /// A yes.
    Permitted,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Access => "access",
            Self::Transport => "transport",
            Self::Certificate => "certificate",
            Self::Path => "path",
            Self::Revocation => "revocation",
            Self::CertificateQuery => "certificate query",
            Self::Attempt => "AUTH",
            Self::Allowance => "allowance",
            Self::Mail => "MAIL",
            Self::Sender => "sender",
        })
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Continue => "go on",
            Self::Identified => "identified",
            Self::Fallback => "password may follow",
            Self::Temporary => "temporary failure",
            Self::Refused => "refused",
            Self::Permitted => "permitted",
        })
    }
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
            Self::Temporary(Temporary::PasswordQuery) => f.write_str("directory unavailable for the password"),
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
