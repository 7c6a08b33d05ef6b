//! Mailboxes, domains and paths: RFC 5321 section 4.1.2, with RFC 6531 for non-ASCII ones.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// RFC 5321 section 4.5.3.1.1, octets.
pub const MAX_LOCAL_PART: usize = 64;
/// RFC 5321 section 4.5.3.1.2, octets.
pub const MAX_DOMAIN: usize = 255;
/// RFC 5321 section 4.5.3.1.3, octets, angle brackets included.
pub const MAX_PATH: usize = 256;
/// RFC 1035 section 2.3.4, octets.
const MAX_LABEL: usize = 63;

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

use AddressError::Malformed;

/// A domain or an address literal (`[192.0.2.1]`, `[IPv6:2001:db8::1]`), as given; compared without regard to case.
///
/// A domain of U-labels and the same domain in A-labels are two domains here: nothing is converted.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Domain(String);

impl Domain {
    /// Parses a domain or an address literal, without white space around it.
    ///
    /// # Errors
    /// When it is neither, or over [`MAX_DOMAIN`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > MAX_DOMAIN {
            return Err(AddressError::TooLong(TooLong::Domain));
        }
        match text.strip_prefix('[') {
            Some(rest) => check_literal(rest.strip_suffix(']').ok_or(Malformed("the address literal has no ]"))?)?,
            None => text.split('.').try_for_each(check_label)?,
        }
        Ok(Self(text.to_owned()))
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an address literal, and so names no domain.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }

    /// Whether it can be sent to a server without SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }
}

/// `sub-domain` of RFC 5321 section 4.1.2, or a U-label as RFC 6531 section 3.3 adds it.
fn check_label(label: &str) -> Result<(), AddressError> {
    if label.is_empty() {
        return Err(Malformed("the domain has an empty label"));
    }
    if label.len() > MAX_LABEL {
        return Err(Malformed("a label of the domain is over 63 octets"));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err(Malformed("a label of the domain begins or ends with a hyphen"));
    }
    if !label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || is_utf8_non_ascii(c)) {
        return Err(Malformed("the domain has a character that is not allowed"));
    }
    Ok(())
}

/// What stands between the brackets: RFC 5321 section 4.1.3. IPv6 is the only tag IANA has registered.
fn check_literal(inner: &str) -> Result<(), AddressError> {
    let valid = match inner.split_once(':') {
        None => Ipv4Addr::from_str(inner).is_ok(),
        Some((tag, address)) => tag.eq_ignore_ascii_case("IPv6") && Ipv6Addr::from_str(address).is_ok(),
    };
    if valid { Ok(()) } else { Err(Malformed("the address literal is no IPv4 or IPv6 address")) }
}

/// RFC 6532's `UTF8-non-ascii`, less the C1 controls: no mailbox needs them and terminals obey them.
fn is_utf8_non_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_control()
}

fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase)
}

fn eq_ignoring_case(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!a.is_ascii() && folded(a).eq(folded(b)))
}

impl PartialEq for Domain {
    fn eq(&self, other: &Self) -> bool {
        eq_ignoring_case(&self.0, &other.0)
    }
}

impl Eq for Domain {}

impl Hash for Domain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        folded(&self.0).for_each(|c| c.hash(state));
        0xff_u8.hash(state);
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Domain {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

/// `local-part@domain`. The local part is kept without its quoting, `Display` quotes it again where it must be.
///
/// Equal when the local parts are the same and the domains differ in nothing but case (RFC 5321 section 2.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Mailbox {
    local_part: String,
    domain: Domain,
}

impl Mailbox {
    /// Parses `local-part@domain`, without angle brackets, white space or display name.
    ///
    /// # Errors
    /// When it is malformed, or a part is over its length.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        // The path limit includes the angle brackets, which are not here.
        if text.len() > MAX_PATH - 2 {
            return Err(AddressError::TooLong(TooLong::Path));
        }
        let (local_part, rest) = if text.starts_with('"') { quoted_string(text)? } else { dot_string(text)? };
        let domain = rest.strip_prefix('@').ok_or(Malformed("no @ after the local part"))?;
        if text.len() - rest.len() > MAX_LOCAL_PART {
            return Err(AddressError::TooLong(TooLong::LocalPart));
        }
        Ok(Self { local_part, domain: Domain::parse(domain)? })
    }

    /// The mailbox every domain has (RFC 5321 section 4.5.1).
    #[must_use]
    pub fn postmaster(domain: Domain) -> Self {
        Self { local_part: "postmaster".to_owned(), domain }
    }

    /// Without quotes and backslashes.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// What follows the `@`.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether it can be sent to a server without SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.local_part.is_ascii() && self.domain.is_ascii()
    }

    /// Whether both are the same mailbox as administrators see it, `Bob@example.org` being `bob@example.org`.
    ///
    /// RFC 5321 section 2.4 leaves the case of local parts to their own domain. Use this for one's own users only.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        self.domain == other.domain && eq_ignoring_case(&self.local_part, &other.local_part)
    }
}

/// `atext` of RFC 5322 section 3.2.3, as RFC 6531 section 3.3 widens it.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_non_ascii(c)
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// `Dot-string`, and what follows it.
fn dot_string(text: &str) -> Result<(String, &str), AddressError> {
    let end = text.find(|c| c != '.' && !is_atext(c)).unwrap_or(text.len());
    let (local_part, rest) = text.split_at(end);
    if !is_dot_string(local_part) {
        return Err(Malformed(if local_part.is_empty() {
            "no local part"
        } else {
            "a dot at the border of the local part, or two together"
        }));
    }
    Ok((local_part.to_owned(), rest))
}

/// `Quoted-string` without its quoting, and what follows it.
fn quoted_string(text: &str) -> Result<(String, &str), AddressError> {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((content, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                // quoted-pairSMTP escapes ASCII graphics and SPACE only.
                Some((_, escaped @ ' '..='~')) => content.push(escaped),
                _ => return Err(Malformed("a backslash before nothing that can be quoted")),
            },
            ' '..='~' => content.push(c),
            c if is_utf8_non_ascii(c) => content.push(c),
            _ => return Err(Malformed("a control character in the local part")),
        }
    }
    Err(Malformed("the quoted local part has no end"))
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 5321 section 4.1.2: quote only where a Dot-string will not do.
        if is_dot_string(&self.local_part) {
            return write!(f, "{}@{}", self.local_part, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local_part.chars() {
            if matches!(c, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Mailbox {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        Self::parse(&text)
    }
}

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

#[cfg(test)]
mod tests;
