//! Domains and address literals: RFC 5321 sections 4.1.2 and 4.1.3, RFC 6531 section 3.3.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

use super::AddressError::{self, Malformed};
use super::{MAX_DOMAIN, TooLong};

/// RFC 1035 section 2.3.4, octets.
const MAX_LABEL: usize = 63;

/// A domain or an address literal (`[192.0.2.1]`, `[IPv6:2001:db8::1]`), as given; compared without regard to case.
///
/// A domain of U-labels and the same domain in A-labels are two domains to `==`, and one to [`Domain::same_as`].
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

    /// Whether both are the same domain to the DNS, `bücher.example` being `xn--bcher-kva.example` (RFC 5890).
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        // Two of ASCII differ as they stand: one domain has one spelling in A-labels.
        if self.is_literal() || other.is_literal() || (self.is_ascii() && other.is_ascii()) {
            return false;
        }
        match (idna::domain_to_ascii(&self.0), idna::domain_to_ascii(&other.0)) {
            (Ok(this), Ok(other)) => this == other,
            _ => false,
        }
    }

    /// As the DNS has it: A-labels in lower case. `None` for a literal, and for what no A-labels stand for.
    #[must_use]
    pub fn to_a_labels(&self) -> Option<String> {
        if self.is_literal() {
            return None;
        }
        if self.is_ascii() { Some(self.0.to_ascii_lowercase()) } else { idna::domain_to_ascii(&self.0).ok() }
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
pub(super) fn is_utf8_non_ascii(c: char) -> bool {
    !c.is_ascii() && !c.is_control()
}

fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase)
}

pub(super) fn eq_ignoring_case(a: &str, b: &str) -> bool {
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
