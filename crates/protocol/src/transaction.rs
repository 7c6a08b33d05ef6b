//! What MAIL FROM and RCPT TO say, read and written: RFC 5321 sections 4.1.1.2, 4.1.1.3 and 4.1.1.11.

use std::fmt;
use std::str::FromStr;

use crate::address::{AddressError, ForwardPath, ReversePath};
use crate::parameters::ParameterError::{self, BadValue, Duplicate, Unknown};
use crate::parameters::{Body, EnvelopeId, Notify, OriginalRecipient, Return, Submitter};

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
    /// `REQUIRETLS` (RFC 8689 section 3)
    pub require_tls: bool,
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
        Self {
            reverse_path,
            size: None,
            body: None,
            smtputf8: false,
            require_tls: false,
            ret: None,
            envid: None,
            auth: None,
        }
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
            "SMTPUTF8" => set_flag(&mut self.smtputf8, "SMTPUTF8", value),
            "REQUIRETLS" => set_flag(&mut self.require_tls, "REQUIRETLS", value),
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
        if self.require_tls {
            f.write_str(" REQUIRETLS")?;
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

/// Sets a parameter that takes no value and is given once.
fn set_flag(flag: &mut bool, keyword: &'static str, value: Option<&str>) -> Result<(), ParameterError> {
    match value {
        Some(_) => Err(BadValue(keyword)),
        None if std::mem::replace(flag, true) => Err(Duplicate(keyword)),
        None => Ok(()),
    }
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
