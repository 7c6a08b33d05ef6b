//! Reasons in a few words each: what is counted apart.

use auth::{AllowanceFact, Attempt, PasswordFact, PresentedCertificate, QueryFact, WrongPassword};
use pki::{PathError, Revocation};
use policy::{Refusal, Temporary};

/// Of a certificate, as far as it was looked at: the first thing wrong with it, or who it is.
pub(crate) fn of_certificate(presented: &PresentedCertificate) -> &'static str {
    match (&presented.path, &presented.revocation, &presented.query) {
        (Err(error), ..) => of_path(error),
        (Ok(()), Revocation::Revoked { .. }, _) => "revoked",
        (Ok(()), Revocation::Unknown(_), QueryFact::NotAsked) => "status unknown",
        (Ok(()), _, QueryFact::One(_)) => "one person",
        (Ok(()), _, QueryFact::Nobody(_)) => "nobody's",
        (Ok(()), _, QueryFact::Several) => "several people's",
        (Ok(()), _, QueryFact::Unavailable(_)) => "directory unavailable",
        (Ok(()), _, QueryFact::NotAsked) => "valid",
    }
}

fn of_path(error: &PathError) -> &'static str {
    match error {
        PathError::Expired { .. } => "expired",
        PathError::NotYetValid { .. } => "not yet valid",
        PathError::UnknownIssuer { .. } => "unknown issuer",
        PathError::BadSignature { .. } => "bad signature",
        PathError::NotACa { .. } => "issued by no CA",
        PathError::NameConstraint { .. } => "name constraint",
        PathError::PolicyNotAcceptable { .. } => "policy not acceptable",
        PathError::WrongKeyUsage { .. } => "wrong key usage",
        PathError::WrongExtendedKeyUsage { .. } => "wrong extended key usage",
        PathError::WeakKeyOrAlgorithm { .. } => "weak key or algorithm",
        PathError::CriticalExtension { .. } => "critical extension",
        PathError::Malformed(_) => "malformed",
        _ => "no path",
    }
}

/// Of a refused AUTH, as the client is not told.
pub(crate) fn of_attempt(attempt: &Attempt, refusal: &Refusal) -> &'static str {
    if *refusal != Refusal::InvalidCredentials {
        return of_refusal(refusal);
    }
    match attempt {
        Attempt::Password { password: PasswordFact::Wrong(why), .. } => match why {
            WrongPassword::UnknownUser => "unknown user",
            WrongPassword::SeveralUsers => "several users",
            WrongPassword::Empty => "empty password",
            WrongPassword::NoPassword => "no password on record",
            WrongPassword::Locked => "locked",
            WrongPassword::AccountExpired => "account expired",
            WrongPassword::PasswordExpired => "password expired",
            _ => "wrong password",
        },
        Attempt::Password { password: PasswordFact::TokenRefused(_), .. } => "token refused",
        Attempt::Password { password: PasswordFact::AccountDisabled, .. } => "account disabled",
        Attempt::Password { allowance: AllowanceFact::NotAllowed, .. } => "not allowed",
        // What was right was the password of somebody else than the certificate's owner.
        Attempt::Password { password: PasswordFact::Right(_), .. } | Attempt::External { .. } => "another person",
        _ => "not accepted",
    }
}

/// Of anything else.
pub(crate) fn of_refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::AccessDenied(_) | Refusal::RecipientDenied(_) => "access denied",
        Refusal::TlsRequired => "no TLS",
        Refusal::CertificateMissing => "missing",
        Refusal::CertificateInvalid(error) => of_path(error),
        Refusal::CertificateRevoked => "revoked",
        Refusal::CertificateStatusUnknown | Refusal::Temporary(Temporary::RevocationStatus) => "status unknown",
        Refusal::CertificateUnmatched => "nobody's",
        Refusal::CertificateAmbiguous => "several people's",
        Refusal::Temporary(_) => "directory unavailable",
        Refusal::AuthenticationRequired => "no identity",
        Refusal::EncryptionRequired => "before TLS",
        Refusal::InvalidCredentials => "not allowed",
        Refusal::AlreadyAuthenticated => "already authenticated",
        Refusal::AuthNotOffered => "not offered",
        Refusal::MechanismNotOffered => "mechanism not offered",
        Refusal::SenderNotOwn(_) => "another's address",
        Refusal::SenderNotOwnDomain | Refusal::AuthorNotOwnDomain(_) => "another domain",
        Refusal::AuthorNotOwn { .. } => "another's address",
        Refusal::AuthorUnclear(_) => "author unclear",
        Refusal::AuthorSigned => "signed",
        Refusal::NullSender => "null sender",
        Refusal::RelayingDenied => "relaying denied",
        Refusal::RecipientUnknown => "unknown recipient",
        Refusal::TooManyRecipients(_) => "recipients of a message",
        Refusal::ClientHourFull(_) => "the client's hour",
        Refusal::IdentityHourFull(_) => "the identity's hour",
        Refusal::Harvesting(_) => "unknown recipients within an hour",
        _ => "otherwise",
    }
}
