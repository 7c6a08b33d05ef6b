//! The whole table, as the client reads it.

use pki::{Certificate, PathError, Time};
use policy::{Refusal, Temporary};
use protocol::{Command, Mailbox};

use super::{command_error, refusal};

#[test]
fn refusals() {
    let own = |addresses: &[&str]| {
        Refusal::SenderNotOwn(addresses.iter().map(|address| Mailbox::parse(address).unwrap()).collect())
    };
    let whose = || "CN=DOE.JOHN".to_owned();
    let invalid = Refusal::CertificateInvalid;
    let words = || policy::ReplyText::try_from("Call the help desk".to_owned()).unwrap();
    let malformed = Certificate::from_der(b"\x30\x00").unwrap_err();
    let day = Time::from_rfc3339("2026-11-24T12:00:00Z").unwrap();
    let table = [
        (Refusal::AccessDenied(None), "554 5.7.1 Access denied"),
        (Refusal::AccessDenied(Some(words())), "554 5.7.1 Call the help desk"),
        (Refusal::RecipientDenied(None), "550 5.7.1 Access denied"),
        (Refusal::RecipientDenied(Some(words())), "550 5.7.1 Call the help desk"),
        (Refusal::TlsRequired, "530 5.7.0 Must issue a STARTTLS command first"),
        (Refusal::CertificateMissing, "554 5.7.0 A client certificate is required; none was presented"),
        (
            invalid(PathError::Expired { certificate: whose(), not_after: day }),
            "554 5.7.8 Client certificate not accepted: expired on 2026-11-24T12:00:00Z",
        ),
        (
            invalid(PathError::NotYetValid { certificate: whose(), not_before: day }),
            "554 5.7.8 Client certificate not accepted: not valid before 2026-11-24T12:00:00Z",
        ),
        (
            invalid(PathError::UnknownIssuer { certificate: whose(), issuer: "CN=Secret CA".to_owned() }),
            "554 5.7.8 Client certificate not accepted: its issuer is not trusted here",
        ),
        (
            invalid(PathError::WrongExtendedKeyUsage { certificate: whose(), needed: "clientAuth".to_owned() }),
            "554 5.7.8 Client certificate not accepted: it is not meant for client authentication",
        ),
        (invalid(malformed.into()), "554 5.7.8 Client certificate not accepted: it cannot be read"),
        (
            invalid(PathError::TooComplex),
            "554 5.7.8 Client certificate not accepted: no valid path to a trusted authority was found",
        ),
        (Refusal::CertificateRevoked, "554 5.7.8 Client certificate not accepted: it has been revoked"),
        (
            Refusal::CertificateStatusUnknown,
            "554 5.7.8 Client certificate not accepted: its revocation status cannot be determined",
        ),
        (Refusal::CertificateUnmatched, "554 5.7.1 Client certificate is valid, but belongs to no user here"),
        (
            Refusal::CertificateAmbiguous,
            "554 5.7.1 Client certificate is valid, but does not belong to exactly one user here",
        ),
        (
            Refusal::Temporary(Temporary::RevocationStatus),
            "454 4.7.0 Temporary authentication failure: certificate status unknown, try again later",
        ),
        (Refusal::Temporary(Temporary::CertificateQuery), "454 4.7.0 Temporary authentication failure"),
        (Refusal::Temporary(Temporary::PasswordQuery), "454 4.7.0 Temporary authentication failure"),
        (Refusal::Temporary(Temporary::Allowance), "454 4.7.0 Temporary authentication failure"),
        (Refusal::AuthenticationRequired, "530 5.7.0 Authentication required"),
        (Refusal::EncryptionRequired, "538 5.7.11 Encryption required for requested authentication mechanism"),
        (Refusal::InvalidCredentials, "535 5.7.8 Authentication credentials invalid"),
        (Refusal::AlreadyAuthenticated, "503 5.5.1 Already authenticated"),
        (Refusal::AuthNotOffered, "503 5.5.1 AUTH is not available in this session"),
        (Refusal::MechanismNotOffered, "504 5.5.4 Unrecognized authentication type"),
        (own(&[]), "550 5.7.1 Sender refused: no address is on record for you"),
        (
            own(&["alice@example.mil", "a.doe@example.mil"]),
            "550 5.7.1 Sender address is not yours; you may send as <alice@example.mil>, <a.doe@example.mil>",
        ),
        (Refusal::RecipientUnknown, "550 5.1.1 Recipient unknown"),
        (Refusal::RelayingDenied, "550 5.7.1 Relaying denied"),
        (Refusal::Temporary(Temporary::RecipientQuery), "451 4.4.3 Recipient cannot be verified now, try again later"),
        (Refusal::TooManyRecipients(100), "452 4.5.3 Too many recipients in this message"),
        (
            Refusal::ClientHourFull(500),
            "450 4.7.1 Too many recipients from this client within an hour, try again later",
        ),
        (
            Refusal::IdentityHourFull(500),
            "450 4.7.1 Too many recipients from this identity within an hour, try again later",
        ),
        (Refusal::Harvesting(25), "421 4.7.1 Too many unknown recipients, try again later"),
        (Refusal::SenderNotOwnDomain, "550 5.7.1 Sender address is not in your domain"),
    ];
    for (reason, expected) in table {
        let reply = refusal(&reason).to_string();
        assert_eq!(reply, expected, "{reason:?}");
        assert!(!reply.contains("Secret CA"), "a reply names what only the log may");
    }
}

#[test]
fn command_errors() {
    let table = [
        ("FROBNICATE", "500 5.5.2 Command not recognized"),
        ("TURN", "502 5.5.1 Command not implemented"),
        ("EHLO", "501 5.5.4 Syntax: EHLO domain"),
        ("MAIL FROM:<a@b@c>", "501 5.1.7 "),
        ("RCPT TO:<@>", "501 5.1.3 "),
        ("MAIL FROM:<a@example.org> NOSUCH=1", "555 5.5.4 Parameter NOSUCH not recognized"),
        ("MAIL FROM:<a@example.org> SIZE=x", "501 5.5.4 Parameter SIZE has a bad value"),
        ("MAIL FROM:<a@example.org> BODY=BINARYMIME", "504 5.5.4 BODY=BINARYMIME is not implemented"),
        ("NOOP \u{1}", "500 5.5.2 Command line is not text"),
    ];
    for (line, expected) in table {
        let error = Command::parse(line.as_bytes()).unwrap_err();
        let reply = command_error(&error).to_string();
        assert!(reply.starts_with(expected), "{line:?}: {reply}");
    }
}
