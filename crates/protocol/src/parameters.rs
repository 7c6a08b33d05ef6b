//! The values of MAIL's and RCPT's parameters: RFC 3461, 4954, 6152 and 6533.

use std::fmt;
use std::str::FromStr;

use crate::address::Mailbox;
use crate::xtext;

/// RFC 3461 section 4.4: "no more than 100 characters in length".
const MAX_ENVELOPE_ID: usize = 100;
/// RFC 3461 section 4.2, the whole of `ORCPT=` and its value.
const MAX_ORIGINAL_RECIPIENT: usize = 500;

/// Why the parameters after a path are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// No extension offered here defines it: 555 5.5.4 (RFC 5321 section 4.1.1.11).
    #[error("unknown parameter {0}")]
    Unknown(String),
    /// Given twice: 501 5.5.4.
    #[error("parameter {0} given twice")]
    Duplicate(&'static str),
    /// Its value is not what the RFC lets it be: 501 5.5.4.
    #[error("parameter {0} has a bad value")]
    BadValue(&'static str),
    /// `BODY=BINARYMIME`, of an extension (RFC 3030 section 3) that is not offered: 504 5.5.4.
    #[error("BODY=BINARYMIME is not implemented")]
    BinaryMime,
}

use ParameterError::BadValue;

/// RFC 6152 section 3: what the client says of the content's octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Body {
    /// `BODY=7BIT`, or no BODY at all.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
}

impl FromStr for Body {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        match text.to_ascii_uppercase().as_str() {
            "7BIT" => Ok(Self::SevenBit),
            "8BITMIME" => Ok(Self::EightBitMime),
            "BINARYMIME" => Err(ParameterError::BinaryMime),
            _ => Err(BadValue("BODY")),
        }
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SevenBit => "7BIT",
            Self::EightBitMime => "8BITMIME",
        })
    }
}

/// RFC 3461 section 4.3: how much of the message a failure notice brings back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// `RET=FULL`
    Full,
    /// `RET=HDRS`
    Headers,
}

impl FromStr for Return {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        match text.to_ascii_uppercase().as_str() {
            "FULL" => Ok(Self::Full),
            "HDRS" => Ok(Self::Headers),
            _ => Err(BadValue("RET")),
        }
    }
}

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "FULL",
            Self::Headers => "HDRS",
        })
    }
}

/// RFC 3461 section 4.1: of what the sender is to be told. All false is `NOTIFY=NEVER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify {
    /// `SUCCESS`
    pub success: bool,
    /// `FAILURE`
    pub failure: bool,
    /// `DELAY`
    pub delay: bool,
}

impl Notify {
    /// `NOTIFY=NEVER`
    pub const NEVER: Self = Self { success: false, failure: false, delay: false };
}

impl FromStr for Notify {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        let mut notify = Self::NEVER;
        if text.eq_ignore_ascii_case("NEVER") {
            return Ok(notify);
        }
        for event in text.split(',') {
            match event.to_ascii_uppercase().as_str() {
                "SUCCESS" => notify.success = true,
                "FAILURE" => notify.failure = true,
                "DELAY" => notify.delay = true,
                _ => return Err(BadValue("NOTIFY")),
            }
        }
        Ok(notify)
    }
}

impl fmt::Display for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let events = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let mut chosen = events.into_iter().filter_map(|(chosen, name)| chosen.then_some(name));
        f.write_str(chosen.next().unwrap_or("NEVER"))?;
        chosen.try_for_each(|name| write!(f, ",{name}"))
    }
}

/// `ENVID=`, the sender's name for this message: RFC 3461 section 4.4. Kept as xtext, the way it is passed on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnvelopeId(String);

impl EnvelopeId {
    /// The xtext, as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it stands for: printable ASCII, for the `Original-Envelope-Id` of RFC 3464 section 2.2.1.
    #[must_use]
    pub fn decoded(&self) -> String {
        xtext::decode(&self.0).map(|octets| octets.into_iter().map(char::from).collect()).unwrap_or_default()
    }
}

impl FromStr for EnvelopeId {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        // RFC 3461 section 4.4: what is encoded "MUST consist entirely of printable (graphic and white space) US-ASCII".
        let printable = |octets: Vec<u8>| octets.iter().all(|octet| matches!(octet, b' '..=b'~'));
        let valid = !text.is_empty() && text.len() <= MAX_ENVELOPE_ID && xtext::decode(text).is_some_and(printable);
        if valid { Ok(Self(text.to_owned())) } else { Err(BadValue("ENVID")) }
    }
}

impl fmt::Display for EnvelopeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `ORCPT=`, whom the sender wrote to: RFC 3461 section 4.2 and RFC 6533 section 3. Kept encoded, the way it is passed
/// on and reported (`rfc822;bob@example.org`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OriginalRecipient(String);

impl OriginalRecipient {
    /// For a recipient whose client gave none: `rfc822;` and its mailbox, or `utf-8;` for a non-ASCII one.
    #[must_use]
    pub fn of(mailbox: &Mailbox) -> Self {
        let address = mailbox.to_string();
        if mailbox.is_ascii() {
            return Self(format!("rfc822;{}", xtext::encode(address.as_bytes())));
        }
        let escaped = address.chars().map(|c| match c {
            '+' | '=' | '\\' | ' ' => format!("\\x{{{:X}}}", u32::from(c)),
            c => c.to_string(),
        });
        Self(format!("utf-8;{}", escaped.collect::<String>()))
    }

    /// Type and address, encoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `;`, `rfc822` for nearly all.
    #[must_use]
    pub fn address_type(&self) -> &str {
        self.0.split_once(';').map_or("", |(address_type, _)| address_type)
    }

    /// The address without its armour, for the `Original-Recipient` of RFC 3464 section 2.3.1. Control characters and
    /// malformed UTF-8 that the armour hid become `?`.
    #[must_use]
    pub fn decoded_address(&self) -> String {
        let address = self.0.split_once(';').map_or("", |(_, address)| address);
        let decoded = match self.address_type().eq_ignore_ascii_case("utf-8") {
            true => decode_unitext(address),
            false => xtext::decode(address).map(|octets| String::from_utf8_lossy(&octets).replace('\u{fffd}', "?")),
        };
        decoded.unwrap_or_default().replace(char::is_control, "?")
    }

    /// Whether it can be sent to a server without SMTPUTF8.
    #[must_use]
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }
}

impl FromStr for OriginalRecipient {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        let valid = |(address_type, address): (&str, &str)| {
            let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
            let decodes = match address_type.eq_ignore_ascii_case("utf-8") {
                true => decode_unitext(address).is_some(),
                false => xtext::is_xtext(address),
            };
            !address_type.is_empty() && address_type.chars().all(atom) && !address.is_empty() && decodes
        };
        match text.len() + "ORCPT=".len() <= MAX_ORIGINAL_RECIPIENT && text.split_once(';').is_some_and(valid) {
            true => Ok(Self(text.to_owned())),
            false => Err(BadValue("ORCPT")),
        }
    }
}

impl fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `utf-8-addr-xtext` and `utf-8-addr-unitext` of RFC 6533 section 3: `\x{HEX}` escapes, no raw `+`, `=`, `\` or space.
fn decode_unitext(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        match c {
            '\\' => {
                let (hex, tail) = rest.strip_prefix("\\x{")?.split_once('}')?;
                let digits = (2..=6).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
                decoded.push(digits.then(|| u32::from_str_radix(hex, 16).ok()).flatten().and_then(char::from_u32)?);
                rest = tail;
            }
            '+' | '=' | ' ' => return None,
            c if c.is_control() => return None,
            c => {
                decoded.push(c);
                rest = rest.get(c.len_utf8()..)?;
            }
        }
    }
    Some(decoded)
}

/// `AUTH=` at MAIL, who submitted the message according to the client: RFC 4954 section 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitter {
    /// `AUTH=<>`: not known, or the client is not to be believed.
    Unknown,
    /// The identity of the submitter.
    Mailbox(Mailbox),
}

impl FromStr for Submitter {
    type Err = ParameterError;

    fn from_str(text: &str) -> Result<Self, ParameterError> {
        if text == "<>" {
            return Ok(Self::Unknown);
        }
        let octets = xtext::decode(text).ok_or(BadValue("AUTH"))?;
        let address = String::from_utf8(octets).map_err(|_| BadValue("AUTH"))?;
        Mailbox::parse(&address).map(Self::Mailbox).map_err(|_| BadValue("AUTH"))
    }
}

impl fmt::Display for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("<>"),
            Self::Mailbox(mailbox) => f.write_str(&xtext::encode(mailbox.to_string().as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests;
