//! The one table from outcome to reply. Text for the client says what a person at a mail client can act on, and nothing
//! of the configuration; the detail goes to the log.

use std::borrow::Cow;

use delivery::Cause;
use pki::PathError;
use policy::{Judgement, MailFlowPolicy, Refusal, ReplyText, Temporary};
use protocol::address::AddressError;
use protocol::{CommandError, EnhancedCode, ParameterError, Reply};
use spool::SpoolError;

use crate::connections::TooMany;

/// A reply with its enhanced code.
fn reply(code: u16, (class, subject, detail): (u8, u16, u16), text: impl Into<Cow<'static, str>>) -> Reply {
    Reply::new(code, Some(EnhancedCode(class, subject, detail)), text)
}

/// What the client reads.
pub fn refusal(refusal: &Refusal) -> Reply {
    match refusal {
        // RFC 5321 section 3.1.
        Refusal::AccessDenied(None) => reply(554, (5, 7, 1), "Access denied"),
        Refusal::AccessDenied(Some(text)) => reply(554, (5, 7, 1), text.to_string()),
        // The same at RCPT, where RFC 5321 section 4.2.3 has 550.
        Refusal::RecipientDenied(None) => reply(550, (5, 7, 1), "Access denied"),
        Refusal::RecipientDenied(Some(text)) => reply(550, (5, 7, 1), text.to_string()),
        // RFC 3207 section 4.
        Refusal::TlsRequired => reply(530, (5, 7, 0), "Must issue a STARTTLS command first"),
        // RFC 3207 sections 4.1 and 6: after TLS, a peer that will not do is told so here, in words.
        Refusal::CertificateMissing => reply(554, (5, 7, 0), "A client certificate is required; none was presented"),
        Refusal::CertificateInvalid(error) => {
            reply(554, (5, 7, 8), format!("Client certificate not accepted: {}", certificate_problem(error)))
        }
        Refusal::CertificateRevoked => reply(554, (5, 7, 8), "Client certificate not accepted: it has been revoked"),
        Refusal::CertificateStatusUnknown => {
            reply(554, (5, 7, 8), "Client certificate not accepted: its revocation status cannot be determined")
        }
        Refusal::CertificateUnmatched => {
            reply(554, (5, 7, 1), "Client certificate is valid, but belongs to no user here")
        }
        Refusal::CertificateAmbiguous => {
            reply(554, (5, 7, 1), "Client certificate is valid, but does not belong to exactly one user here")
        }
        // RFC 4954 section 6.
        Refusal::Temporary(Temporary::RevocationStatus) => {
            reply(454, (4, 7, 0), "Temporary authentication failure: certificate status unknown, try again later")
        }
        Refusal::Temporary(Temporary::CertificateQuery | Temporary::PasswordQuery | Temporary::Allowance) => {
            reply(454, (4, 7, 0), "Temporary authentication failure")
        }
        Refusal::AuthenticationRequired => reply(530, (5, 7, 0), "Authentication required"),
        Refusal::EncryptionRequired => {
            reply(538, (5, 7, 11), "Encryption required for requested authentication mechanism")
        }
        Refusal::InvalidCredentials => reply(535, (5, 7, 8), "Authentication credentials invalid"),
        // RFC 4954 section 4.
        Refusal::AlreadyAuthenticated => reply(503, (5, 5, 1), "Already authenticated"),
        Refusal::AuthNotOffered => reply(503, (5, 5, 1), "AUTH is not available in this session"),
        Refusal::MechanismNotOffered => reply(504, (5, 5, 4), "Unrecognized authentication type"),
        Refusal::SenderNotOwn(own) if own.is_empty() => {
            reply(550, (5, 7, 1), "Sender refused: no address is on record for you")
        }
        Refusal::SenderNotOwn(own) => {
            let own = own.iter().map(|address| format!("<{address}>")).collect::<Vec<_>>().join(", ");
            reply(550, (5, 7, 1), format!("Sender address is not yours; you may send as {own}"))
        }
        Refusal::NullSender => reply(550, (5, 7, 1), "A sender address is required: the null sender is not accepted"),
        // RFC 7372's codes are for DKIM, SPF and reverse DNS; RFC 3463 section 3.8 has the one for who may send.
        Refusal::AuthorNotOwn { written, own } if own.is_empty() => reply(
            550,
            (5, 7, 1),
            format!("The header's From or Sender names {written}; no address is on record for you"),
        ),
        Refusal::AuthorNotOwn { written, own } => {
            let own = own.iter().map(|address| format!("<{address}>")).collect::<Vec<_>>().join(", ");
            reply(550, (5, 7, 1), format!("The header's From or Sender names {written}, which is not yours"))
                .with_line(format!("You may send as {own}"))
        }
        Refusal::AuthorNotOwnDomain(written) => {
            reply(550, (5, 7, 1), format!("The header's From or Sender names {written}, which is not in your domain"))
        }
        // RFC 3463 section 3.7.
        Refusal::AuthorUnclear(error) => reply(550, (5, 6, 0), format!("The header's author is unclear: {error}")),
        Refusal::AuthorSigned => {
            reply(550, (5, 7, 1), "The header's author is not you, and a signed message cannot be made yours")
        }
        Refusal::SenderNotOwnDomain => reply(550, (5, 7, 1), "Sender address is not in your domain"),
        // RFC 3463 section 3.2.
        Refusal::RecipientUnknown => reply(550, (5, 1, 1), "Recipient unknown"),
        Refusal::RelayingDenied => reply(550, (5, 7, 1), "Relaying denied"),
        // RFC 3463 section 3.5: directory server failure.
        Refusal::Temporary(Temporary::RecipientQuery) => {
            reply(451, (4, 4, 3), "Recipient cannot be verified now, try again later")
        }
        // RFC 5321 section 4.5.3.1.10.
        Refusal::TooManyRecipients(_) => reply(452, (4, 5, 3), "Too many recipients in this message"),
        Refusal::ClientHourFull(_) => {
            reply(450, (4, 7, 1), "Too many recipients from this client within an hour, try again later")
        }
        Refusal::IdentityHourFull(_) => {
            reply(450, (4, 7, 1), "Too many recipients from this identity within an hour, try again later")
        }
        Refusal::Harvesting(_) => reply(421, (4, 7, 1), "Too many unknown recipients, try again later"),
        _ => reply(550, (5, 7, 1), "Refused"),
    }
}

/// What its holder can act on: the kind of problem, without the names of other certificates, of trusts or of files.
fn certificate_problem(error: &PathError) -> Cow<'static, str> {
    match error {
        PathError::Expired { not_after, .. } => format!("expired on {not_after}").into(),
        PathError::NotYetValid { not_before, .. } => format!("not valid before {not_before}").into(),
        PathError::UnknownIssuer { .. } => "its issuer is not trusted here".into(),
        PathError::BadSignature { .. } => "a signature of its chain is wrong".into(),
        PathError::NotACa { .. } => "a certificate of its chain may not issue others".into(),
        PathError::NameConstraint { .. } => "a name in it is outside what its issuer may certify".into(),
        PathError::PolicyNotAcceptable { .. } => "it has no certificate policy that is accepted here".into(),
        PathError::WrongKeyUsage { .. } => "its key usage does not allow this".into(),
        PathError::WrongExtendedKeyUsage { .. } => "it is not meant for client authentication".into(),
        PathError::WeakKeyOrAlgorithm { .. } => "a key or algorithm of its chain is too weak".into(),
        PathError::CriticalExtension { .. } => "it has a critical extension that is not understood".into(),
        PathError::Malformed(_) => "it cannot be read".into(),
        _ => "no valid path to a trusted authority was found".into(),
    }
}

pub(crate) fn command_error(error: &CommandError) -> Reply {
    match error {
        CommandError::Unrecognized => reply(500, (5, 5, 2), "Command not recognized"),
        CommandError::NotText => reply(500, (5, 5, 2), "Command line is not text"),
        CommandError::NotImplemented => reply(502, (5, 5, 1), "Command not implemented"),
        CommandError::Syntax(form) => reply(501, (5, 5, 4), format!("Syntax: {form}")),
        // RFC 6531 section 3.5.
        CommandError::Sender(AddressError::NeedsSmtpUtf8) => reply(550, (5, 6, 7), "Sender address needs SMTPUTF8"),
        CommandError::Recipient(AddressError::NeedsSmtpUtf8) => {
            reply(553, (5, 6, 7), "Recipient address needs SMTPUTF8")
        }
        CommandError::Sender(error) => reply(501, (5, 1, 7), format!("Sender: {error}")),
        CommandError::Recipient(error) => reply(501, (5, 1, 3), format!("Recipient: {error}")),
        // RFC 5321 section 4.1.1.11.
        CommandError::Parameter(ParameterError::Unknown(name)) => {
            reply(555, (5, 5, 4), format!("Parameter {name} not recognized"))
        }
        CommandError::Parameter(error @ ParameterError::BinaryMime) => reply(504, (5, 5, 4), sentence(error)),
        CommandError::Parameter(error) => reply(501, (5, 5, 4), sentence(error)),
        _ => reply(501, (5, 5, 4), "Syntax error"),
    }
}

fn sentence(error: &ParameterError) -> String {
    let text = error.to_string();
    text.chars().take(1).flat_map(char::to_uppercase).chain(text.chars().skip(1)).collect()
}

pub(crate) fn spool_error(error: &SpoolError) -> Reply {
    match error {
        // RFC 5321 section 4.2.3 and RFC 3463 section 3.4.
        SpoolError::Full => reply(452, (4, 3, 1), "Insufficient system storage"),
        _ => reply(451, (4, 3, 0), "Local error in processing"),
    }
}

/// RFC 5321 section 4.3.1: the host's name comes first; `ESMTP` tells older clients that they may say EHLO.
pub(crate) fn greeting(hostname: &str, banner: Option<&ReplyText>) -> Reply {
    Reply::new(220, None, format!("{hostname} ESMTP {}", banner.map_or("Postern", ReplyText::as_str)))
}

pub(crate) fn ok() -> Reply {
    reply(250, (2, 0, 0), "Ok")
}

pub(crate) fn sender_ok() -> Reply {
    reply(250, (2, 1, 0), "Sender ok")
}

pub(crate) fn recipient_ok() -> Reply {
    reply(250, (2, 1, 5), "Recipient ok")
}

pub(crate) fn start_input() -> Reply {
    Reply::new(354, None, "End data with <CR><LF>.<CR><LF>")
}

pub(crate) fn chunk_ok(octets: u64) -> Reply {
    reply(250, (2, 0, 0), format!("{octets} octets received"))
}

/// The next hop has taken it: its words, with the ids by which it can be found there.
pub(crate) fn relayed(said: Reply) -> Reply {
    let text = said.lines().next().unwrap_or_default().to_owned();
    reply(250, said.enhanced().map_or((2, 0, 0), |EnhancedCode(class, subject, detail)| (class, subject, detail)), text)
}

/// What the next hop refused in its own words; what this side failed at, without a word of how it is set up.
pub(crate) fn next_hop(cause: &Cause) -> Reply {
    let status = cause.status();
    let said = cause.reply().filter(|said| !cause.unreachable && (said.is_permanent() || said.is_transient()));
    let code = match said.map(Reply::code) {
        // RFC 5321 section 3.8: 421 would end this session.
        None | Some(421) if !cause.is_permanent() => 451,
        None => 554,
        Some(code) => code,
    };
    match said {
        Some(said) => {
            said.lines().skip(1).fold(
                Reply::new(code, Some(status), said.lines().next().unwrap_or_default().to_owned()),
                |reply, line| reply.with_line(line.to_owned()),
            )
        }
        None if code == 451 => reply(451, (4, 4, 1), "The next server cannot take it now; try again later"),
        None => Reply::new(code, Some(status), "The next server cannot take such a message"),
    }
}

pub(crate) fn next_hop_lost() -> Reply {
    reply(451, (4, 4, 2), "The connection to the next server was lost; try again later")
}

/// RFC 5321 section 4.5.3.1.10: the client sends the message again for those who got this.
pub(crate) fn another_destination() -> Reply {
    reply(452, (4, 5, 3), "This recipient's mail goes another way; send it separately")
}

/// RFC 3463 section 3.5.
pub(crate) fn no_route() -> Reply {
    reply(550, (5, 4, 4), "No mail is taken for this domain")
}

/// RFC 3461 section 3: DSN was not offered.
pub(crate) fn no_dsn() -> Reply {
    reply(555, (5, 5, 4), "DSN parameters are not supported")
}

pub(crate) fn queued(id: impl std::fmt::Display) -> Reply {
    reply(250, (2, 0, 0), format!("Ok: queued as {id}"))
}

pub(crate) fn ready_for_tls() -> Reply {
    reply(220, (2, 0, 0), "Ready to start TLS")
}

pub(crate) fn authenticated() -> Reply {
    reply(235, (2, 7, 0), "Authentication successful")
}

pub(crate) fn challenge(base64: String) -> Reply {
    Reply::new(334, None, base64)
}

pub(crate) fn bye(hostname: &str) -> Reply {
    reply(221, (2, 0, 0), format!("{hostname} closing connection"))
}

/// RFC 5321 section 3.5.3.
pub(crate) fn cannot_verify() -> Reply {
    reply(252, (2, 5, 0), "Cannot VRFY user; try RCPT to attempt delivery")
}

pub(crate) fn help() -> Reply {
    reply(214, (2, 0, 0), "See RFC 5321 and RFC 6409")
}

pub(crate) fn expn_disabled() -> Reply {
    reply(502, (5, 5, 1), "EXPN is not available")
}

pub(crate) fn bad_sequence(what: &'static str) -> Reply {
    reply(503, (5, 5, 1), what)
}

/// RFC 3207 section 4.
pub(crate) fn tls_not_available() -> Reply {
    reply(502, (5, 5, 1), "STARTTLS is not available in this session")
}

/// RFC 4954 section 4: the client gave the exchange up, or its octets are not base64.
pub(crate) fn auth_aborted(text: &'static str) -> Reply {
    reply(501, (5, 7, 0), text)
}

pub(crate) fn bad_base64() -> Reply {
    reply(501, (5, 5, 2), "Cannot decode the response")
}

/// RFC 4954 section 4: a line over 12288 octets.
pub(crate) fn auth_too_long() -> Reply {
    reply(500, (5, 5, 6), "Authentication exchange line is too long")
}

pub(crate) fn line_too_long() -> Reply {
    reply(500, (5, 5, 2), "Line too long")
}

/// RFC 5321 section 2.3.8: only CRLF ends a line.
pub(crate) fn bare_line_ending() -> Reply {
    reply(500, (5, 5, 2), "Bare CR or LF in a command line")
}

pub(crate) fn bare_line_ending_in_data() -> Reply {
    reply(554, (5, 6, 0), "Bare CR or LF in the message; lines must end in CRLF")
}

/// RFC 1870 section 6.1 and 6.3.
pub(crate) fn too_large(maximum: u64) -> Reply {
    reply(552, (5, 3, 4), format!("Message size exceeds {maximum} octets"))
}

/// What the newest AUTH exchange came to.
pub(crate) fn attempt(judgement: &Judgement) -> Reply {
    match &judgement.attempt {
        Some(Ok(())) => authenticated(),
        Some(Err(refused)) => refusal(refused),
        None => refusal(&Refusal::AuthNotOffered),
    }
}

/// What MAIL meets after so many messages.
pub(crate) fn messages_limit(policy: &MailFlowPolicy, messages: u32) -> Option<Reply> {
    (messages >= policy.max_messages_per_connection).then(too_many_messages)
}

/// RFC 1870 section 6.1: what is announced as too large need not be sent.
pub(crate) fn size_limit(policy: &MailFlowPolicy, announced: Option<u64>) -> Option<Reply> {
    announced.is_some_and(|size| size > policy.max_message_size).then(|| too_large(policy.max_message_size))
}

fn too_many_messages() -> Reply {
    reply(421, (4, 7, 0), "Too many messages in this connection")
}

pub(crate) fn too_many_errors() -> Reply {
    reply(421, (4, 7, 0), "Too many errors")
}

pub(crate) fn too_many_logins() -> Reply {
    reply(421, (4, 7, 0), "Too many failed logins, try again later")
}

pub(crate) fn too_many_connections(too_many: TooMany) -> Reply {
    let text = match too_many {
        TooMany::InAll(_) => "Too many connections",
        TooMany::OfThisListener(_) => "Too many connections to this service",
        TooMany::OfThisClient(_) => "Too many connections from your address",
    };
    reply(421, (4, 7, 0), text)
}

pub(crate) fn timed_out() -> Reply {
    reply(421, (4, 4, 2), "Timed out")
}

pub(crate) fn shutting_down(hostname: &str) -> Reply {
    reply(421, (4, 3, 2), format!("{hostname} is going down, try again shortly"))
}

/// RFC 5321 section 6.3.
pub(crate) fn mail_loop() -> Reply {
    reply(554, (5, 4, 6), "Too many hops: this message is looping")
}

pub(crate) fn header_too_large() -> Reply {
    reply(552, (5, 3, 4), "Message header is too large")
}

pub(crate) fn no_recipients() -> Reply {
    reply(554, (5, 5, 1), "No valid recipients")
}

#[cfg(test)]
mod tests;
