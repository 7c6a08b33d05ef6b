//! Paths, a mailbox in angle brackets or what stands for one: RFC 5321 sections 4.1.2, 4.5.1 and appendix C.

use std::fmt;
use std::str::FromStr;

use super::AddressError::{self, Malformed};
use super::domain::Domain;
use super::mailbox::Mailbox;
use super::{MAX_PATH, TooLong};

/// What MAIL FROM names: nobody (`<>`, notifications) or a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`: never answered by a notification.
    Null,
    /// The sender.
    Mailbox(Mailbox),
}

impl ReversePath {
    /// Parses `<…>`; a source route is accepted and dropped.
    ///
    /// # Errors
    /// When it is no path, or over its length.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        whole(Self::parse_prefix(text)?)
    }

    /// Parses the path `text` begins with, and gives back what follows it.
    pub(crate) fn parse_prefix(text: &str) -> Result<(Self, &str), AddressError> {
        let (inner, rest) = split_path(text)?;
        let path = if inner.is_empty() { Self::Null } else { Self::Mailbox(parse_routed(inner)?) };
        Ok((path, rest))
    }

    /// The mailbox, unless it is the null path.
    #[must_use]
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Null => None,
            Self::Mailbox(mailbox) => Some(mailbox),
        }
    }

    /// Whether it can be sent to a server without SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.mailbox().is_none_or(Mailbox::is_ascii)
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

impl FromStr for ReversePath {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// What RCPT TO names: a mailbox, or the postmaster of whoever is asked (RFC 5321 section 4.5.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<Postmaster>`, in any case, without a domain.
    Postmaster,
    /// The recipient.
    Mailbox(Mailbox),
}

impl ForwardPath {
    /// Parses `<…>`; a source route is accepted and dropped.
    ///
    /// # Errors
    /// When it is no path, or over its length.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        whole(Self::parse_prefix(text)?)
    }

    /// Parses the path `text` begins with, and gives back what follows it.
    pub(crate) fn parse_prefix(text: &str) -> Result<(Self, &str), AddressError> {
        let (inner, rest) = split_path(text)?;
        if inner.is_empty() {
            return Err(Malformed("no address between the angle brackets"));
        }
        let postmaster = inner.eq_ignore_ascii_case("postmaster");
        let path = if postmaster { Self::Postmaster } else { Self::Mailbox(parse_routed(inner)?) };
        Ok((path, rest))
    }

    /// The mailbox meant; the bare postmaster is the one of `local`.
    #[must_use]
    pub fn into_mailbox(self, local: &Domain) -> Mailbox {
        match self {
            Self::Postmaster => Mailbox::postmaster(local.clone()),
            Self::Mailbox(mailbox) => mailbox,
        }
    }

    /// Whether it can be sent to a server without SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        match self {
            Self::Postmaster => true,
            Self::Mailbox(mailbox) => mailbox.is_ascii(),
        }
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("<Postmaster>"),
            Self::Mailbox(mailbox) => write!(f, "<{mailbox}>"),
        }
    }
}

impl FromStr for ForwardPath {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

fn whole<T>((path, rest): (T, &str)) -> Result<T, AddressError> {
    if rest.is_empty() { Ok(path) } else { Err(Malformed("something follows the >")) }
}

/// Splits `<inner>rest`. A `>` inside a quoted string is not the end.
fn split_path(text: &str) -> Result<(&str, &str), AddressError> {
    let inner = text.strip_prefix('<').ok_or(Malformed("the address is not in angle brackets"))?;
    let mut quoted = false;
    let mut escaped = false;
    let end = inner.find(|c| {
        let end = c == '>' && !quoted;
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        end
    });
    let (inner, rest) = end.and_then(|at| inner.split_at_checked(at)).ok_or(Malformed("no > after the address"))?;
    Ok((inner, rest.strip_prefix('>').unwrap_or(rest)))
}

/// A mailbox, after a source route perhaps. RFC 5321 appendix C: "MUST be accepted, SHOULD be ignored".
fn parse_routed(inner: &str) -> Result<Mailbox, AddressError> {
    if !inner.starts_with('@') {
        return Mailbox::parse(inner);
    }
    if inner.len() > MAX_PATH - 2 {
        return Err(AddressError::TooLong(TooLong::Path));
    }
    let mut rest = inner;
    loop {
        // A-d-l = At-domain *( "," At-domain ); an IPv6 literal has colons of its own.
        let hop = rest.strip_prefix('@').ok_or(Malformed("the source route is malformed"))?;
        let skip = if hop.starts_with('[') { hop.find(']').unwrap_or(hop.len()) } else { 0 };
        let end =
            hop.get(skip..).and_then(|tail| tail.find([',', ':'])).ok_or(Malformed("the source route has no end"))?;
        let (domain, tail) = hop.split_at(skip + end);
        Domain::parse(domain)?;
        rest = tail.get(1..).unwrap_or_default();
        if tail.starts_with(':') {
            return Mailbox::parse(rest);
        }
    }
}
