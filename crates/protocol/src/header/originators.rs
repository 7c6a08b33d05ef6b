//! Who says to have written and sent a message: From and Sender, RFC 5322 section 3.6.2.
//!
//! Readers disagree about fields that are malformed, obsolete or merely odd, and who wants to write as another looks for
//! such fields. So this is stricter than any reader: what is not plainly one reading is an error, and every address that
//! could be made out anywhere in the fields is given out.

use crate::address::Mailbox;

use super::address_list::{self, Addresses};
use super::field_name;
use super::mentions::mentions;

/// The longest line of such a field, octets: RFC 5322 section 2.1.1. Longer ones are broken somewhere on their way.
const MAX_LINE: usize = 998;
/// Most authors of a message.
const MAX_AUTHORS: usize = 100;

/// The originators of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Originators {
    /// Every address of From, members of groups too; at least one.
    pub authors: Vec<Mailbox>,
    /// The address of Sender; where there are several authors, there is one (RFC 5322 section 3.6.2).
    pub sender: Option<Mailbox>,
    /// What else in From and Sender looks like an address: in display names, comments and encoded words (RFC 2047).
    pub mentions: Vec<String>,
}

/// Why nobody can say for sure who wrote a message. The text goes on from "the message's header:".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginatorError {
    /// RFC 5322 section 3.6 asks for one.
    #[error("there is no From field")]
    NoFrom,
    /// RFC 5322 section 3.6 allows one of each.
    #[error("there are several {0} fields")]
    Several(&'static str),
    /// Groups without members.
    #[error("the From field names no address")]
    NoAuthor,
    /// Nobody writes with a hundred others.
    #[error("the From field names too many addresses")]
    TooManyAuthors,
    /// RFC 5322 section 3.6.2.
    #[error("several authors need a Sender field")]
    NoSender,
    /// RFC 5322 section 3.6.2.
    #[error("the Sender field names not exactly one address")]
    SenderNotOne,
    /// NUL, VT, FF or a separator of ASCII, anywhere in the header section.
    #[error("there is a control character in it")]
    Control,
    /// The field's own name, lines or characters.
    #[error("the {0} field {1}")]
    Unclear(&'static str, &'static str),
}

impl Originators {
    /// Reads whole fields, their names included.
    ///
    /// # Errors
    /// When two readers could see different people.
    pub fn parse(from: &[&[u8]], sender: &[&[u8]]) -> Result<Self, OriginatorError> {
        let mut found = Self { authors: Vec::new(), sender: None, mentions: Vec::new() };
        let from = one("From", from)?.ok_or(OriginatorError::NoFrom)?;
        found.authors = found.read("From", from)?.mailboxes;
        if found.authors.is_empty() {
            return Err(OriginatorError::NoAuthor);
        }
        if found.authors.len() > MAX_AUTHORS {
            return Err(OriginatorError::TooManyAuthors);
        }
        if let Some(sender) = one("Sender", sender)? {
            let Addresses { mailboxes, groups } = found.read("Sender", sender)?;
            match <[Mailbox; 1]>::try_from(mailboxes) {
                Ok([mailbox]) if !groups => found.sender = Some(mailbox),
                _ => return Err(OriginatorError::SenderNotOne),
            }
        } else if found.authors.len() > 1 {
            return Err(OriginatorError::NoSender);
        }
        found.mentions.sort();
        found.mentions.dedup();
        Ok(found)
    }

    /// Reads the value of a From field that stands by itself, as a person writes it to ask about it.
    ///
    /// # Errors
    /// As [`Originators::parse`].
    pub fn of_author(value: &str) -> Result<Self, OriginatorError> {
        Self::parse(&[format!("From: {value}").as_bytes()], &[])
    }

    fn read(&mut self, name: &'static str, field: &[u8]) -> Result<Addresses, OriginatorError> {
        let unclear = |why| OriginatorError::Unclear(name, why);
        let text = unfold(field).map_err(unclear)?;
        let addresses = address_list::parse(&text).map_err(unclear)?;
        self.mentions.extend(mentions(&text).map_err(unclear)?);
        Ok(addresses)
    }
}

fn one<'f>(name: &'static str, fields: &[&'f [u8]]) -> Result<Option<&'f [u8]>, OriginatorError> {
    match fields {
        [] => Ok(None),
        [field] => Ok(Some(field)),
        _ => Err(OriginatorError::Several(name)),
    }
}

/// The field's value on one line: RFC 5322 section 2.2.3, without what section 4 calls obsolete.
fn unfold(field: &[u8]) -> Result<String, &'static str> {
    let field = field.strip_suffix(b"\r\n").unwrap_or(field);
    let (name, _) = field_name(field).ok_or("has no name")?;
    let value = field.get(name.len()..).and_then(|rest| rest.strip_prefix(b":"));
    let text = std::str::from_utf8(value.ok_or("has white space before its colon")?).map_err(|_| "is not UTF-8")?;
    for (number, line) in text.split("\r\n").enumerate() {
        if line.len() > MAX_LINE {
            return Err("has a line over 998 octets");
        }
        // To some readers such a line ends the header section.
        if number > 0 && line.trim_matches([' ', '\t']).is_empty() {
            return Err("has a folded line of nothing but white space");
        }
        if number > 0 && !line.starts_with([' ', '\t']) {
            return Err("has a line that is not folded");
        }
    }
    let text = text.replace("\r\n", "");
    // U+2028 and U+2029 end lines, as U+0085 does, which is a control character.
    match text.chars().any(|c| (c.is_control() && c != '\t') || matches!(c, '\u{2028}' | '\u{2029}')) {
        true => Err("has a control character"),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests;
