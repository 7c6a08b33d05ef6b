//! What MAIL FROM and RCPT TO say, read and written: RFC 5321 sections 4.1.1.2, 4.1.1.3 and 4.1.2, and the parameters
//! of RFC 1870, 3461, 4954, 6152, 6531 and 6533.

use std::fmt;
use std::str::FromStr;

use crate::address::{AddressError, ForwardPath, Mailbox, ReversePath};
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

use ParameterError::{BadValue, Duplicate, Unknown};

/// Why the argument of MAIL or RCPT is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// The path.
    #[error(transparent)]
    Path(#[from] AddressError),
    /// A parameter after it.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

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

/// MAIL FROM. `Display` writes the argument as the client sends it: `<a@example.org> SIZE=12`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The path.
    pub reverse_path: ReversePath,
    /// `SIZE=`, octets (RFC 1870 section 6); more than 64 bits hold is [`u64::MAX`].
    pub size: Option<u64>,
    /// `BODY=`
    pub body: Option<Body>,
    /// `SMTPUTF8` (RFC 6531 section 3.4)
    pub smtputf8: bool,
    /// `RET=`
    pub ret: Option<Return>,
    /// `ENVID=`
    pub envid: Option<EnvelopeId>,
    /// `AUTH=`
    pub auth: Option<Submitter>,
}

impl Mail {
    /// From `reverse_path`, without parameters.
    #[must_use]
    pub fn new(reverse_path: ReversePath) -> Self {
        Self { reverse_path, size: None, body: None, smtputf8: false, ret: None, envid: None, auth: None }
    }

    /// Parses what follows `MAIL FROM:`.
    ///
    /// # Errors
    /// When the path or a parameter is refused. A non-ASCII path without SMTPUTF8 is not an error here.
    pub fn parse(text: &str) -> Result<Self, TransactionError> {
        let (reverse_path, parameters) = ReversePath::parse_prefix(text)?;
        let mut mail = Self::new(reverse_path);
        for parameter in split_parameters(parameters)? {
            mail.take(parameter)?;
        }
        Ok(mail)
    }

    fn take(&mut self, (keyword, value): (&str, Option<&str>)) -> Result<(), ParameterError> {
        match keyword.to_ascii_uppercase().as_str() {
            "SIZE" => set(&mut self.size, "SIZE", value, parse_size),
            "BODY" => set(&mut self.body, "BODY", value, Body::from_str),
            "SMTPUTF8" if value.is_some() => Err(BadValue("SMTPUTF8")),
            "SMTPUTF8" if self.smtputf8 => Err(Duplicate("SMTPUTF8")),
            "SMTPUTF8" => {
                self.smtputf8 = true;
                Ok(())
            }
            "RET" => set(&mut self.ret, "RET", value, Return::from_str),
            "ENVID" => set(&mut self.envid, "ENVID", value, EnvelopeId::from_str),
            "AUTH" => set(&mut self.auth, "AUTH", value, Submitter::from_str),
            _ => Err(Unknown(keyword.to_owned())),
        }
    }
}

impl fmt::Display for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reverse_path)?;
        write_parameter(f, "SIZE", self.size.as_ref())?;
        write_parameter(f, "BODY", self.body.as_ref())?;
        if self.smtputf8 {
            f.write_str(" SMTPUTF8")?;
        }
        write_parameter(f, "RET", self.ret.as_ref())?;
        write_parameter(f, "ENVID", self.envid.as_ref())?;
        write_parameter(f, "AUTH", self.auth.as_ref())
    }
}

/// RCPT TO. `Display` writes the argument as the client sends it: `<b@example.org> NOTIFY=NEVER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    /// The path.
    pub forward_path: ForwardPath,
    /// `NOTIFY=`
    pub notify: Option<Notify>,
    /// `ORCPT=`
    pub original: Option<OriginalRecipient>,
}

impl Rcpt {
    /// To `forward_path`, without parameters.
    #[must_use]
    pub fn new(forward_path: ForwardPath) -> Self {
        Self { forward_path, notify: None, original: None }
    }

    /// Parses what follows `RCPT TO:`.
    ///
    /// # Errors
    /// When the path or a parameter is refused. A non-ASCII path is not an error here.
    pub fn parse(text: &str) -> Result<Self, TransactionError> {
        let (forward_path, parameters) = ForwardPath::parse_prefix(text)?;
        let mut rcpt = Self::new(forward_path);
        for (keyword, value) in split_parameters(parameters)? {
            match keyword.to_ascii_uppercase().as_str() {
                "NOTIFY" => set(&mut rcpt.notify, "NOTIFY", value, Notify::from_str)?,
                "ORCPT" => set(&mut rcpt.original, "ORCPT", value, OriginalRecipient::from_str)?,
                _ => return Err(Unknown(keyword.to_owned()).into()),
            }
        }
        Ok(rcpt)
    }
}

impl fmt::Display for Rcpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.forward_path)?;
        write_parameter(f, "NOTIFY", self.notify.as_ref())?;
        write_parameter(f, "ORCPT", self.original.as_ref())
    }
}

/// `Mail-parameters` and `Rcpt-parameters`: keywords and values after the path, each after a space. Several spaces are
/// let pass, as clients that build the line from parts send them.
fn split_parameters(text: &str) -> Result<Vec<(&str, Option<&str>)>, TransactionError> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(AddressError::Malformed("no space between the > and what follows").into());
    }
    let parameters = text.split(' ').filter(|parameter| !parameter.is_empty());
    parameters
        .map(|parameter| {
            let (keyword, value) = match parameter.split_once('=') {
                Some((keyword, value)) => (keyword, Some(value)),
                None => (parameter, None),
            };
            // esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-")
            let valid = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
                && keyword.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            if valid { Ok((keyword, value)) } else { Err(BadValue("name").into()) }
        })
        .collect()
}

/// Sets a parameter that takes a value and is given once.
fn set<T>(
    slot: &mut Option<T>,
    keyword: &'static str,
    value: Option<&str>,
    parse: impl FnOnce(&str) -> Result<T, ParameterError>,
) -> Result<(), ParameterError> {
    if slot.is_some() {
        return Err(Duplicate(keyword));
    }
    *slot = Some(parse(value.ok_or(BadValue(keyword))?)?);
    Ok(())
}

/// `size-value ::= 1*20DIGIT`: RFC 1870 section 4. Twenty digits can exceed 64 bits, and are then too large anyway.
fn parse_size(text: &str) -> Result<u64, ParameterError> {
    let digits = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { Ok(text.parse().unwrap_or(u64::MAX)) } else { Err(BadValue("SIZE")) }
}

fn write_parameter(f: &mut fmt::Formatter<'_>, keyword: &str, value: Option<&impl fmt::Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {keyword}={value}"))
}

#[cfg(test)]
mod tests;
