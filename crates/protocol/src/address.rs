//! Mailboxes, domains and paths: RFC 5321 section 4.1.2, with RFC 6531 for non-ASCII ones.

use std::fmt;

/// Why text is not an address. The text says what is wrong, for the reply and for configuration errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The grammar of RFC 5321 section 4.1.2 does not yield this text.
    #[error("malformed address: {0}")]
    Malformed(&'static str),
    /// A part is longer than RFC 5321 section 4.5.3.1 lets it be.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// Non-ASCII text where SMTPUTF8 was not declared (RFC 6531 section 3.4 and 3.6).
    #[error("a non-ASCII address needs SMTPUTF8")]
    NeedsSmtpUtf8,
}

/// A domain or an address literal (`[192.0.2.1]`, `[IPv6:2001:db8::1]`), as given; compared without regard to case.
#[derive(Debug, Clone)]
pub struct Domain(String);

/// `local-part@domain`. The local part is kept without its quoting, `Display` quotes it again where it must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local_part: String,
    domain: Domain,
}

/// What MAIL FROM names: nobody (`<>`, notifications) or a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: never answered by a notification.
    Null,
    /// The sender.
    Mailbox(Mailbox),
}
