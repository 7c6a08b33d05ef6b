//! The facts of a session: plain data that `policy` judges. Gathered by the session and by [`crate::Profile`]; written
//! by hand in tables and in `postern explain`; kept in the log, from where the same judgement can be asked again.

use std::borrow::Cow;

pub use directory::WrongPassword;
use pki::{PathError, Revocation};
use serde::{Deserialize, Serialize};

use crate::principal::Principal;
use crate::rules::Mechanism;

/// Everything a judgement rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// How the bytes travel.
    pub transport: Transport,
    /// What the handshake showed, and what became of it.
    pub certificate: CertificateFact,
    /// The newest AUTH exchange that ran to its end.
    pub attempt: Attempt,
}

/// The connection under SMTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// No TLS (yet).
    Plain,
    /// Inside TLS.
    Tls(TlsFact),
}

/// A TLS session as the Received line and the log name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsFact {
    /// `TLSv1.3`
    pub version: Cow<'static, str>,
    /// `TLS_AES_256_GCM_SHA384`
    pub cipher: Cow<'static, str>,
    /// TLS from the first byte (RFC 8314 section 3.3), not by STARTTLS.
    pub implicit: bool,
    /// An exchange can be bound to it (RFC 9266).
    #[serde(default)]
    pub channel_binding: bool,
}

/// The client's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateFact {
    /// The handshake did not ask, or there was none.
    NotRequested,
    /// Asked, and the client sent an empty list.
    NotPresented,
    /// Shown, with proof that the client holds its key.
    Presented(Box<PresentedCertificate>),
}

/// A certificate after everything was asked about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresentedCertificate {
    /// Subject, RFC 4514; a placeholder when the certificate could not be read.
    pub subject: String,
    /// Issuer, RFC 4514.
    pub issuer: String,
    /// Serial number, lower-case hex.
    pub serial: String,
    /// The path to a trust anchor, or why there is none.
    pub path: Result<(), PathError>,
    /// The revocation status of that path.
    pub revocation: Revocation,
    /// Whom the directory knows by it.
    pub query: QueryFact,
}

/// The outcome of a certificate query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueryFact {
    /// No directory is named beside the trust, or an earlier fact made the question idle.
    NotAsked,
    /// Exactly one person.
    One(Principal),
    /// No entry matches; the text says what was asked and why nothing could match.
    Nobody(String),
    /// More than one entry matches: never the first of them.
    Several,
    /// The directory could not answer; the text is for the log.
    Unavailable(String),
}

/// The newest AUTH exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attempt {
    /// No AUTH yet.
    None,
    /// `AUTH EXTERNAL` (RFC 4422 appendix A); the authorization identity may be empty.
    External {
        /// Who the client wants to be.
        authorization_identity: String,
    },
    /// A mechanism that proves a password, or brings a token in its place.
    Password {
        /// By which it was sent.
        mechanism: Mechanism,
        /// As typed; of a good token, whom it names.
        user: String,
        /// What was said of it.
        password: PasswordFact,
        /// What the allowance query said; [`AllowanceFact::NotAsked`] unless the password was right.
        allowance: AllowanceFact,
    },
}

/// What became of a password, or of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PasswordFact {
    /// It is this person's.
    Right(Principal),
    /// It is not, or there is no such person, or several: the reason is for the log, never for the client.
    Wrong(WrongPassword),
    /// The token is not good, or not theirs; the text is for the log.
    TokenRefused(String),
    /// Right or not, the account is closed.
    AccountDisabled,
    /// The directory could not answer; the text is for the log.
    Unavailable(String),
}

/// May this person use SMTP AUTH?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AllowanceFact {
    /// No allowance query is configured, or the password was not right.
    NotAsked,
    /// The query matched the person.
    Allowed,
    /// It did not.
    NotAllowed,
    /// The directory could not answer; the text is for the log.
    Unavailable(String),
}

impl Transport {
    /// The TLS session, if there is one.
    pub fn tls(&self) -> Option<&TlsFact> {
        match self {
            Self::Plain => None,
            Self::Tls(tls) => Some(tls),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transport_has_tls_or_not() {
        let cipher = Cow::Borrowed("TLS_AES_256_GCM_SHA384");
        let tls = TlsFact { version: "TLSv1.3".into(), cipher, implicit: true, channel_binding: true };
        assert_eq!(Transport::Tls(tls.clone()).tls(), Some(&tls));
        assert_eq!(Transport::Plain.tls(), None);
    }
}
