//! Command lines, read: RFC 5321 section 4.1, RFC 3030 (BDAT), RFC 3207 (STARTTLS), RFC 4954 (AUTH).

use std::fmt;

use crate::address::AddressError;
use crate::extensions::is_mechanism_name;
use crate::parameters::ParameterError;
use crate::transaction::{Mail, Rcpt, TransactionError};

/// RFC 5321 section 4.5.3.1.2, for the name a client greets with.
const MAX_CLIENT_NAME: usize = 255;

/// Why a line is not a command, and what RFC 5321 section 4.2.2 and RFC 3463 would have the server say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// No command has this name: 500 5.5.2.
    #[error("command not recognised")]
    Unrecognized,
    /// A command of some RFC that this server does not have (SEND, TURN, ETRN …): 502 5.5.1.
    #[error("command not implemented")]
    NotImplemented,
    /// Octets no command line can have, controls or malformed UTF-8: 500 5.5.2.
    #[error("the command line has octets that are not text")]
    NotText,
    /// The argument is missing, malformed or one too many; the text is the right form: 501 5.5.4.
    #[error("the syntax is: {0}")]
    Syntax(&'static str),
    /// The argument of BDAT: 501 5.5.4 and close, for octets follow and nobody knows how many. Read as commands they
    /// would be a way to smuggle some in.
    #[error("the syntax is: BDAT size [LAST]")]
    Chunk,
    /// MAIL's path: 501 5.1.7 (for [`AddressError::NeedsSmtpUtf8`] 550 5.6.7).
    #[error("sender: {0}")]
    Sender(AddressError),
    /// RCPT's path: 501 5.1.3 (for [`AddressError::NeedsSmtpUtf8`] 553 5.6.7).
    #[error("recipient: {0}")]
    Recipient(AddressError),
    /// MAIL's or RCPT's parameters: 555 5.5.4, 501 5.5.4 or 504 5.5.4, as its variants say.
    #[error(transparent)]
    Parameter(ParameterError),
}

use CommandError::{NotImplemented, NotText, Syntax, Unrecognized};

impl CommandError {
    /// Whether what follows can no longer be told to be commands, so that the connection has to go after the reply.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Chunk)
    }
}

/// The name a client gives at EHLO or HELO.
///
/// RFC 5321 section 4.1.4 forbids refusing mail because the name is not the client's, and mail programs give whatever
/// their machine is called. So this is looser than [`Domain`](crate::Domain): letters, digits and `-._:[]`, which
/// can stand in a Received field as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName(String);

impl ClientName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`CommandError::Syntax`] when it is empty, over 255 octets or has other characters.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let fits = (1..=MAX_CLIENT_NAME).contains(&text.len());
        match fits && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c)) {
            true => Ok(Self(text.to_owned())),
            false => Err(Syntax("EHLO domain")),
        }
    }

    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The argument of AUTH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The mechanism's name, in upper case.
    pub mechanism: String,
    /// The initial response, if any came with the command.
    pub initial_response: Option<InitialResponse>,
}

/// A secret: base64, or `=` for the empty response (RFC 4954 section 4). `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct InitialResponse(String);

impl InitialResponse {
    /// The base64 text, empty for `=`. Not decoded yet, and not known to be base64.
    #[must_use]
    pub fn as_base64(&self) -> &str {
        if self.0 == "=" { "" } else { &self.0 }
    }
}

impl fmt::Debug for InitialResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitialResponse(..)")
    }
}

/// A command line that is well-formed. Whether it may come now is for the session to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO domain
    Ehlo(ClientName),
    /// HELO domain
    Helo(ClientName),
    /// MAIL FROM:<…>
    Mail(Mail),
    /// RCPT TO:<…>
    Rcpt(Rcpt),
    /// DATA
    Data,
    /// `BDAT size [LAST]`: `size` octets follow, whatever the reply will be (RFC 3030 section 2).
    Bdat {
        /// Octets in this chunk.
        size: u64,
        /// No chunk follows this one.
        last: bool,
    },
    /// RSET
    Rset,
    /// NOOP, its argument ignored
    Noop,
    /// QUIT
    Quit,
    /// HELP, its argument ignored
    Help,
    /// VRFY text
    Vrfy(String),
    /// EXPN text
    Expn(String),
    /// STARTTLS
    StartTls,
    /// `AUTH mechanism [initial-response]`
    Auth(Auth),
}

impl Command {
    /// Parses a line without its CRLF. White space at its end is ignored (RFC 5321 section 4.1.1).
    ///
    /// # Errors
    /// [`CommandError`] says what is wrong and which reply that asks for. None of them quotes the argument of AUTH.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let line = std::str::from_utf8(line).map_err(|_| NotText)?.trim_end_matches([' ', '\t']);
        if line.contains(char::is_control) {
            return Err(NotText);
        }
        let (verb, argument) = match line.split_once(' ') {
            Some((verb, argument)) => (verb, Some(argument.trim_start_matches(' '))),
            None => (line, None),
        };
        let verb = verb.to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => Ok(Self::Ehlo(ClientName::parse(argument.ok_or(Syntax("EHLO domain"))?)?)),
            "HELO" => {
                ClientName::parse(argument.unwrap_or_default()).map(Self::Helo).map_err(|_| Syntax("HELO domain"))
            }
            "MAIL" => parse_mail(argument),
            "RCPT" => parse_rcpt(argument),
            "DATA" => alone(Self::Data, argument, "DATA"),
            "BDAT" => parse_bdat(argument).ok_or(CommandError::Chunk),
            "RSET" => alone(Self::Rset, argument, "RSET"),
            "NOOP" => Ok(Self::Noop),
            "QUIT" => alone(Self::Quit, argument, "QUIT"),
            "HELP" => Ok(Self::Help),
            "VRFY" => argument.map(|text| Self::Vrfy(text.to_owned())).ok_or(Syntax("VRFY user")),
            "EXPN" => argument.map(|text| Self::Expn(text.to_owned())).ok_or(Syntax("EXPN list")),
            "STARTTLS" => alone(Self::StartTls, argument, "STARTTLS"),
            "AUTH" => argument.and_then(parse_auth).map(Self::Auth).ok_or(Syntax("AUTH mechanism [initial-response]")),
            // RFC 5321 appendix F, RFC 1985, RFC 2645.
            "SEND" | "SOML" | "SAML" | "TURN" | "ETRN" | "ATRN" => Err(NotImplemented),
            _ => Err(Unrecognized),
        }
    }
}

/// RFC 5321 section 4.1.1: commands without arguments are refused with one (501).
fn alone(command: Command, argument: Option<&str>, syntax: &'static str) -> Result<Command, CommandError> {
    if argument.is_none() { Ok(command) } else { Err(Syntax(syntax)) }
}

fn parse_mail(argument: Option<&str>) -> Result<Command, CommandError> {
    let path = after_keyword(argument, "FROM:").ok_or(Syntax("MAIL FROM:<address> [parameters]"))?;
    Mail::parse(path).map(Command::Mail).map_err(|error| match error {
        TransactionError::Path(error) => CommandError::Sender(error),
        TransactionError::Parameter(error) => CommandError::Parameter(error),
    })
}

fn parse_rcpt(argument: Option<&str>) -> Result<Command, CommandError> {
    let path = after_keyword(argument, "TO:").ok_or(Syntax("RCPT TO:<address> [parameters]"))?;
    Rcpt::parse(path).map(Command::Rcpt).map_err(|error| match error {
        TransactionError::Path(error) => CommandError::Recipient(error),
        TransactionError::Parameter(error) => CommandError::Parameter(error),
    })
}

/// What follows `FROM:` or `TO:`. RFC 5321 section 3.3 allows no space there, but clients in use send one, and Postfix
/// and Exim take it; one is taken here, and no other looseness.
fn after_keyword<'a>(argument: Option<&'a str>, keyword: &str) -> Option<&'a str> {
    let (head, path) = argument?.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| path.strip_prefix(' ').unwrap_or(path))
}

/// `bdat-cmd ::= "BDAT" SP chunk-size [ SP end-marker ]`: RFC 3030 section 2.
fn parse_bdat(argument: Option<&str>) -> Option<Command> {
    let (size, last) = match argument?.split_once(' ') {
        Some((size, marker)) => (size, marker.eq_ignore_ascii_case("LAST").then_some(true)?),
        None => (argument?, false),
    };
    let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
    Some(Command::Bdat { size: digits.then(|| size.parse().ok()).flatten()?, last })
}

fn parse_auth(argument: &str) -> Option<Auth> {
    let (mechanism, response) = match argument.split_once(' ') {
        Some((mechanism, response)) => (mechanism, Some(response)),
        None => (argument, None),
    };
    let one_word = response.is_none_or(|response| !response.is_empty() && !response.contains(' '));
    (is_mechanism_name(mechanism) && one_word).then(|| Auth {
        mechanism: mechanism.to_ascii_uppercase(),
        initial_response: response.map(|response| InitialResponse(response.to_owned())),
    })
}

#[cfg(test)]
mod tests;
