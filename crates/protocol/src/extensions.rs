//! The answer to EHLO, written by the server and read by the client: RFC 5321 section 4.1.1.1 and the RFC of each
//! extension.

use std::fmt::Write as _;

use crate::reply::Reply;

/// Mechanisms kept of a peer's AUTH line; as many as fit into one of ours.
const MAX_MECHANISMS: usize = 20;
/// Attributes kept of a peer's XCLIENT line; Postfix has nine.
const MAX_ATTRIBUTES: usize = 20;
/// RFC 4422 section 3.1: `sasl-mech = 1*20mech-char`.
const MAX_MECHANISM_NAME: usize = 20;

/// Whether `name` can be a SASL mechanism's, in any case.
pub(crate) fn is_mechanism_name(name: &str) -> bool {
    (1..=MAX_MECHANISM_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// Which extensions a server has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extensions {
    /// RFC 2920
    pub pipelining: bool,
    /// RFC 1870, the largest message in octets; 0 says that there is no fixed limit.
    pub size: Option<u64>,
    /// RFC 6152
    pub eight_bit_mime: bool,
    /// RFC 6531
    pub smtputf8: bool,
    /// RFC 3030
    pub chunking: bool,
    /// RFC 3461
    pub dsn: bool,
    /// RFC 2034
    pub enhanced_status_codes: bool,
    /// RFC 3207
    pub starttls: bool,
    /// RFC 8689
    pub require_tls: bool,
    /// RFC 4954, names of mechanisms in upper case; empty when AUTH is not offered.
    pub auth: Vec<String>,
    /// RFC 9422
    pub limits: Limits,
    /// Postfix's XCLIENT, names of attributes in upper case; empty when it is not offered, as this server never does.
    pub xclient: Vec<String>,
}

/// RFC 9422 section 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// `MAILMAX=`, transactions in one session.
    pub mail_max: Option<u32>,
    /// `RCPTMAX=`, recipients in one transaction.
    pub rcpt_max: Option<u32>,
    /// `RCPTDOMAINMAX=`, domains of recipients in one transaction.
    pub rcpt_domain_max: Option<u32>,
}

impl Extensions {
    /// The reply to EHLO: 250 with `greeting` (the server's name, and what it likes to add) and a line for each
    /// extension. No enhanced codes: RFC 2034 section 4 exempts it.
    #[must_use]
    pub fn to_reply(&self, greeting: &str) -> Reply {
        self.lines().into_iter().fold(Reply::new(250, None, greeting.to_owned()), Reply::with_line)
    }

    /// The `ehlo-line`s.
    fn lines(&self) -> Vec<String> {
        let flags = [
            (self.pipelining, "PIPELINING"),
            (self.eight_bit_mime, "8BITMIME"),
            (self.smtputf8, "SMTPUTF8"),
            (self.chunking, "CHUNKING"),
            (self.dsn, "DSN"),
            (self.enhanced_status_codes, "ENHANCEDSTATUSCODES"),
            (self.starttls, "STARTTLS"),
            (self.require_tls, "REQUIRETLS"),
        ];
        let mut lines: Vec<String> = flags.into_iter().filter(|flag| flag.0).map(|flag| flag.1.to_owned()).collect();
        lines.extend(self.size.map(|size| format!("SIZE {size}")));
        if !self.auth.is_empty() {
            lines.push(format!("AUTH {}", self.auth.join(" ")));
        }
        lines.extend(self.limits.line());
        lines
    }

    /// Reads a server's reply to EHLO. Unknown lines and malformed values are passed over; the reply to HELO has none.
    #[must_use]
    pub fn parse(reply: &Reply) -> Self {
        let mut extensions = Self::default();
        // The first line is the server's name.
        for line in reply.lines().skip(1) {
            extensions.take(line);
        }
        extensions
    }

    fn take(&mut self, line: &str) {
        // "AUTH=LOGIN" is how servers before RFC 2554 said it, and some still say it as well.
        let (keyword, values) = line.trim().split_once([' ', '=']).unwrap_or((line.trim(), ""));
        let mut values = values.split_ascii_whitespace();
        match keyword.to_ascii_uppercase().as_str() {
            "PIPELINING" => self.pipelining = true,
            // RFC 1870 section 4: without a value nothing is said about a limit.
            "SIZE" => self.size = Some(values.next().and_then(|value| value.parse().ok()).unwrap_or(0)),
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "CHUNKING" => self.chunking = true,
            "DSN" => self.dsn = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "STARTTLS" => self.starttls = true,
            "REQUIRETLS" => self.require_tls = true,
            "AUTH" => values.for_each(|mechanism| self.take_mechanism(mechanism)),
            "XCLIENT" => self.xclient = values.take(MAX_ATTRIBUTES).map(str::to_ascii_uppercase).collect(),
            "LIMITS" => values.for_each(|limit| self.limits.take(limit)),
            _ => {}
        }
    }

    fn take_mechanism(&mut self, mechanism: &str) {
        let mechanism = mechanism.to_ascii_uppercase();
        let full = self.auth.len() == MAX_MECHANISMS;
        if is_mechanism_name(&mechanism) && !full && !self.auth.contains(&mechanism) {
            self.auth.push(mechanism);
        }
    }
}

impl Limits {
    fn line(&self) -> Option<String> {
        let limits = [("MAILMAX", self.mail_max), ("RCPTMAX", self.rcpt_max), ("RCPTDOMAINMAX", self.rcpt_domain_max)];
        let mut line = String::from("LIMITS");
        for (name, value) in limits {
            if let Some(value) = value {
                // Writing to a String cannot fail.
                let _ = write!(line, " {name}={value}");
            }
        }
        (line != "LIMITS").then_some(line)
    }

    fn take(&mut self, limit: &str) {
        let Some((name, value)) = limit.split_once('=') else { return };
        // RFC 9422 section 4: "a decimal integer of one to six digits, not beginning with 0".
        let valid = (1..=6).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
        let value = value.parse().ok().filter(|&value| valid && value > 0);
        match name.to_ascii_uppercase().as_str() {
            "MAILMAX" => self.mail_max = value,
            "RCPTMAX" => self.rcpt_max = value,
            "RCPTDOMAINMAX" => self.rcpt_domain_max = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
