//! Mailboxes, domains and paths: RFC 5321 section 4.1.2, with RFC 6531 for non-ASCII ones.

mod pattern;
mod path;
mod mailbox;
mod domain;

use std::fmt;

pub use domain::Domain;
pub use mailbox::Mailbox;
pub(crate) use mailbox::is_atext;
pub use path::{ForwardPath, ReversePath};
pub use pattern::{MailPattern, MailPatternError};

/// RFC 5321 section 4.5.3.1.1, octets.
pub const MAX_LOCAL_PART: usize = 64;
/// RFC 5321 section 4.5.3.1.2, octets.
pub const MAX_DOMAIN: usize = 255;
/// RFC 5321 section 4.5.3.1.3, octets, angle brackets included.
pub const MAX_PATH: usize = 256;

/// Why text is not an address. The text says what is wrong, for the reply and for configuration errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// The grammar of RFC 5321 section 4.1.2 does not yield this text.
    #[error("malformed address: {0}")]
    Malformed(&'static str),
    /// A part is longer than RFC 5321 section 4.5.3.1 lets it be.
    #[error("{0}")]
    TooLong(TooLong),
    /// Non-ASCII text where SMTPUTF8 was not declared (RFC 6531 section 3.4 and 3.6). Never from a parser here:
    /// they take both, and the one who knows what was declared asks `is_ascii`.
    #[error("a non-ASCII address needs SMTPUTF8")]
    NeedsSmtpUtf8,
}

/// Which limit of RFC 5321 section 4.5.3.1 an address is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooLong {
    /// [`MAX_LOCAL_PART`]
    LocalPart,
    /// [`MAX_DOMAIN`]
    Domain,
    /// [`MAX_PATH`]
    Path,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LocalPart => write!(f, "the local part is over {MAX_LOCAL_PART} octets"),
            Self::Domain => write!(f, "the domain is over {MAX_DOMAIN} octets"),
            Self::Path => write!(f, "the address is over {MAX_PATH} octets"),
        }
    }
}

#[cfg(test)]
mod tests;
