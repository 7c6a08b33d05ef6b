//! Mailboxes: RFC 5321 section 4.1.2, RFC 6531 section 3.3.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use super::AddressError::{self, Malformed};
use super::domain::{Domain, eq_ignoring_case, is_utf8_non_ascii};
use super::{MAX_LOCAL_PART, MAX_PATH, TooLong};

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
        self.domain.same_as(&other.domain) && eq_ignoring_case(&self.local_part, &other.local_part)
    }
}

impl Mailbox {
    /// The mailbox that this one is a detail of (RFC 5233), as `alice@` is for `alice+lists@`; `None` when it is none.
    #[must_use]
    pub fn without_detail(&self, separator: char) -> Option<Self> {
        let (local_part, _) = self.local_part.split_once(separator).filter(|(whole, _)| !whole.is_empty())?;
        Some(Self { local_part: local_part.to_owned(), domain: self.domain.clone() })
    }
}

/// `atext` of RFC 5322 section 3.2.3, as RFC 6531 section 3.3 widens it.
pub(crate) fn is_atext(c: char) -> bool {
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

impl Serialize for Mailbox {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
